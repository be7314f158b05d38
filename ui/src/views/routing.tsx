// How requests reach a service within the mesh: its discovery chain, as the servers compile it from their configuration entries.
import type { JSX } from "preact";
import { arg, useLive } from "../lib/api";
import { duration } from "../lib/format";
import { to } from "../lib/router";
import type { Chain, ChainNode, ChainTarget, RouteDestination, RouteMatch } from "../lib/types";
import { Empty, Link, Trouble, Waiting } from "../lib/widgets";

const isOff = (text: string | undefined): boolean => /Connect must be enabled/.test(text ?? "");

// ---- in words ----

function headerInWords(h: NonNullable<NonNullable<RouteMatch["HTTP"]>["Header"]>[number]): string {
  const not = h.Invert ? "not " : "";
  if (h.Exact) return `header ${h.Name} is ${not}“${h.Exact}”`;
  if (h.Regex) return `header ${h.Name} does ${not}match ${h.Regex}`;
  if (h.Prefix) return `header ${h.Name} does ${not}begin with “${h.Prefix}”`;
  if (h.Suffix) return `header ${h.Name} does ${not}end with “${h.Suffix}”`;
  return `header ${h.Name} is ${h.Invert ? "absent" : "there"}`;
}

function queryInWords(q: NonNullable<NonNullable<RouteMatch["HTTP"]>["QueryParam"]>[number]): string {
  if (q.Exact) return `parameter ${q.Name} is “${q.Exact}”`;
  if (q.Regex) return `parameter ${q.Name} matches ${q.Regex}`;
  return `parameter ${q.Name} is there`;
}

function matchInWords(match: RouteMatch | undefined): string {
  const http = match?.HTTP;
  const parts: string[] = [];
  if (http?.PathExact) parts.push(`path is ${http.PathExact}`);
  if (http?.PathPrefix) parts.push(http.PathPrefix === "/" ? "any path" : `path begins with ${http.PathPrefix}`);
  if (http?.PathRegex) parts.push(`path matches ${http.PathRegex}`);
  parts.push(...(http?.Header ?? []).map(headerInWords), ...(http?.QueryParam ?? []).map(queryInWords));
  if (http?.Methods?.length) parts.push(`method is ${http.Methods.join(" or ")}`);
  return parts.join(", and ") || "every request";
}

function destinationInWords(d: RouteDestination | undefined): string {
  const parts: string[] = [];
  if (d?.PrefixRewrite) parts.push(`the path’s beginning becomes ${d.PrefixRewrite}`);
  if (d?.RequestTimeout) parts.push(`at most ${duration(d.RequestTimeout)}`);
  if (d?.NumRetries) parts.push(`up to ${d.NumRetries} more tries`);
  if (d?.RetryOnConnectFailure) parts.push("again when no connection is made");
  if (d?.RetryOnStatusCodes?.length) parts.push(`again on ${d.RetryOnStatusCodes.join(", ")}`);
  return parts.join(" · ");
}

const percent = (weight: number): string => `${+weight.toFixed(2)} %`;

// ---- the graph; a node that is reached twice is shown twice ----

function Target({ target, own }: { target: ChainTarget; own: string }): JSX.Element {
  return (
    <>
      {target.Service === own ? <strong>{target.Service}</strong> : <Link href={to("services", [target.Service], { tab: "routing" })}>{target.Service}</Link>}
      {target.ServiceSubset && <span class="tag">{target.ServiceSubset}</span>}
      <span class="dim">
        {" "}
        in {target.Datacenter}
        {target.Subset.Filter && (
          <>
            {" "}
            where <code>{target.Subset.Filter}</code>
          </>
        )}
        {target.Subset.OnlyPassing && ", only where all checks pass"}
        {target.MeshGateway.Mode && target.MeshGateway.Mode !== "none" && `, through mesh gateways (${target.MeshGateway.Mode})`}
        {target.External && `, outside of the mesh as ${target.SNI}`}
      </span>
    </>
  );
}

function ResolverNode({ chain, node }: { chain: Chain; node: ChainNode }): JSX.Element {
  const resolver = node.Resolver!;
  const failover = resolver.Failover?.Targets ?? [];
  return (
    <div class="hop">
      <Target target={chain.Targets[resolver.Target]!} own={chain.ServiceName} />
      <span class="dim"> · connects within {duration(resolver.ConnectTimeout)}</span>
      {failover.length > 0 && (
        <ol class="failover" aria-label="When it has no healthy instance">
          {failover.map((id) => (
            <li key={id}>
              else <Target target={chain.Targets[id]!} own={chain.ServiceName} />
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function SplitterNode({ chain, node }: { chain: Chain; node: ChainNode }): JSX.Element {
  return (
    <ul class="splits">
      {(node.Splits ?? []).map((s, i) => (
        <li key={i}>
          <span class="share">
            <b>{percent(s.Weight)}</b>
            <meter min={0} max={100} value={s.Weight} aria-hidden="true" />
          </span>
          <Hop chain={chain} name={s.NextNode} />
        </li>
      ))}
    </ul>
  );
}

function RouterNode({ chain, node }: { chain: Chain; node: ChainNode }): JSX.Element {
  return (
    <ol class="routes">
      {(node.Routes ?? []).map((r, i) => {
        const more = destinationInWords(r.Definition?.Destination);
        return (
          <li key={i}>
            <p>
              {matchInWords(r.Definition?.Match)}
              {more && <span class="dim"> · {more}</span>}
            </p>
            <Hop chain={chain} name={r.NextNode} />
          </li>
        );
      })}
    </ol>
  );
}

function Hop({ chain, name }: { chain: Chain; name: string }): JSX.Element | null {
  const node = chain.Nodes[name];
  if (!node) return null;
  if (node.Type === "router") return <RouterNode chain={chain} node={node} />;
  if (node.Type === "splitter") return <SplitterNode chain={chain} node={node} />;
  return <ResolverNode chain={chain} node={node} />;
}

const titles: Record<string, string> = { router: "The first route that matches", splitter: "Each request goes to one of these", resolver: "Every request goes to" };

export function RoutingOf({ name }: { name: string }): JSX.Element | null {
  const live = useLive<{ Chain: Chain }>(`discovery-chain/${arg(name)}`);
  if (isOff(live.error?.text)) return <Empty title="The service mesh is off in this datacenter.">Set connect {"{ enabled = true }"} in the servers’ configuration to use it.</Empty>;
  if (!live.data) return <Waiting live={live} what="the discovery chain" />;
  const chain = live.data.Chain;
  const start = chain.Nodes[chain.StartNode];
  return (
    <div class="routing">
      {live.error && <Trouble error={live.error} />}
      <p class="facts">
        Protocol <b>{chain.Protocol}</b> · for proxies in {chain.Datacenter}
      </p>
      <h2>{titles[start?.Type ?? ""] ?? "Nothing leads there"}</h2>
      <Hop chain={chain} name={chain.StartNode} />
    </div>
  );
}
