// The structures of the API that the page reads, with the fields that it uses.

export type Status = "passing" | "warning" | "critical";

export interface ServiceSummary {
  Name: string;
  Kind?: string;
  Tags: string[] | null;
  Nodes: string[];
  InstanceCount: number;
  ProxyFor?: string[];
  ChecksPassing: number;
  ChecksWarning: number;
  ChecksCritical: number;
  ExternalSources: string[] | null;
}

export interface Check {
  Node: string;
  CheckID: string;
  Name: string;
  Status: string;
  Notes: string;
  Output: string;
  ServiceID: string;
  ServiceName: string;
  Type?: string;
}

export interface Service {
  ID: string;
  Service: string;
  Kind?: string;
  Tags: string[] | null;
  Meta: Record<string, string> | null;
  Port: number;
  Address: string;
  Weights?: { Passing: number; Warning: number };
  Proxy?: { DestinationServiceName?: string };
}

export interface Node {
  ID: string;
  Node: string;
  Address: string;
  Datacenter?: string;
  TaggedAddresses: Record<string, string> | null;
  Meta: Record<string, string> | null;
}

export interface NodeInfo extends Node {
  Services: Service[];
  Checks: Check[];
}

export interface Instance {
  Node: Node;
  Service: Service;
  Checks: Check[];
}

export interface Session {
  ID: string;
  Name: string;
  Node: string;
  LockDelay: number; // ns
  Behavior: string;
  TTL: string;
  NodeChecks: string[] | null;
  ServiceChecks: { ID: string }[] | null;
  CreateIndex: number;
}

export interface Coordinate {
  Node: string;
  Segment: string;
  Coord: { Vec: number[]; Error: number; Adjustment: number; Height: number };
}

export interface KvEntry {
  LockIndex: number;
  Key: string;
  Flags: number | string; // text when there are more than 53 bits
  Value: string | null; // base64
  Session?: string;
  CreateIndex: number;
  ModifyIndex: number;
}

export interface AutopilotHealth {
  Healthy: boolean;
  FailureTolerance: number;
  Servers: {
    ID: string;
    Name: string;
    Address: string;
    SerfStatus: string;
    Version: string;
    Leader: boolean;
    LastContact: string;
    LastTerm: number;
    LastIndex: number;
    Healthy: boolean;
    Voter: boolean;
    StableSince: string;
  }[] | null;
}

export interface Member {
  Name: string;
  Addr: string;
  Port: number;
  Tags: Record<string, string>;
  Status: number;
}

export interface AgentSelf {
  Config: { Datacenter: string; NodeName: string; Server: boolean; Version: string };
  Stats?: Record<string, Record<string, string>>;
}

export interface Metrics {
  Timestamp: string;
  Gauges: { Name: string; Value: number; Labels: Record<string, string> }[];
  Counters: { Name: string; Count: number; Sum: number; Rate: number; Labels: Record<string, string> }[];
  Samples: { Name: string; Count: number; Sum: number; Mean: number; Max: number; Rate: number; Labels: Record<string, string> }[];
}

export interface AclLink {
  ID: string;
  Name: string;
}

export interface AclToken {
  AccessorID: string;
  SecretID?: string;
  Description: string;
  Policies?: AclLink[] | null;
  Roles?: AclLink[] | null;
  ServiceIdentities?: { ServiceName: string; Datacenters?: string[] | null }[] | null;
  NodeIdentities?: { NodeName: string; Datacenter: string }[] | null;
  Local: boolean;
  AuthMethod?: string;
  ExpirationTime?: string;
  ExpirationTTL?: string;
  CreateTime?: string;
  Legacy?: boolean; // in lists
  Rules?: string; // of legacy ones, by themselves
  ModifyIndex?: number;
}

export interface AclPolicy {
  ID: string;
  Name: string;
  Description: string;
  Rules?: string;
  Datacenters?: string[] | null;
  ModifyIndex?: number;
}

export interface AclRole {
  ID: string;
  Name: string;
  Description: string;
  Policies?: AclLink[] | null;
  ServiceIdentities?: { ServiceName: string; Datacenters?: string[] | null }[] | null;
  NodeIdentities?: { NodeName: string; Datacenter: string }[] | null;
  ModifyIndex?: number;
}

export interface Intention {
  ID: string;
  Description: string;
  SourceNS: string;
  SourceName: string;
  DestinationNS: string;
  DestinationName: string;
  SourceType: string;
  Action: "allow" | "deny";
  DefaultAddr?: string;
  DefaultPort?: number;
  Meta: Record<string, string> | null;
  Precedence: number;
  CreatedAt?: string;
  UpdatedAt?: string;
  ModifyIndex?: number;
}

// ---- discovery chains ----

export interface RouteMatch {
  HTTP?: {
    PathExact?: string;
    PathPrefix?: string;
    PathRegex?: string;
    Header?: { Name: string; Present?: boolean; Exact?: string; Prefix?: string; Suffix?: string; Regex?: string; Invert?: boolean }[];
    QueryParam?: { Name: string; Present?: boolean; Exact?: string; Regex?: string }[];
    Methods?: string[];
  };
}

export interface RouteDestination {
  RequestTimeout?: string;
  PrefixRewrite?: string;
  NumRetries?: number;
  RetryOnConnectFailure?: boolean;
  RetryOnStatusCodes?: number[];
}

export interface ChainNode {
  Type: "router" | "splitter" | "resolver";
  Name: string;
  Routes?: { Definition?: { Match?: RouteMatch; Destination?: RouteDestination }; NextNode: string }[];
  Splits?: { Weight: number; NextNode: string }[];
  Resolver?: { ConnectTimeout: string; Default?: boolean; Target: string; Failover?: { Targets: string[] } };
}

export interface ChainTarget {
  ID: string;
  Service: string;
  ServiceSubset?: string;
  Datacenter: string;
  MeshGateway: { Mode?: string };
  Subset: { Filter?: string; OnlyPassing?: boolean };
  External?: boolean;
  SNI: string;
}

export interface Chain {
  ServiceName: string;
  Datacenter: string;
  Protocol: string;
  StartNode: string;
  Nodes: Record<string, ChainNode>;
  Targets: Record<string, ChainTarget>;
}
