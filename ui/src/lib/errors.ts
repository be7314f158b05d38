// What went wrong, in plain words: what an answer of the agent, or its absence, means for who looks at the page.

export type Kind = "gone" | "no-leader" | "denied" | "unknown-token" | "acl-off" | "busy" | "missing" | "other";

export class ApiError extends Error {
  constructor(
    readonly kind: Kind,
    readonly status: number,
    readonly text: string,
  ) {
    super(text);
  }
}

export function classify(status: number, text: string): ApiError {
  let kind: Kind = "other";
  if (status === 0 || status === 502 || status === 503 || status === 504) kind = "gone";
  else if (/ACL support disabled/.test(text)) kind = "acl-off";
  else if (/ACL not found/.test(text)) kind = "unknown-token";
  else if (/Permission denied/.test(text) || status === 403) kind = "denied";
  // An agent that still calls a leader that is gone says how that failed.
  else if (/No cluster leader|not the leader|leadership lost|No known Consul servers|rpc error.*(dial tcp|failed to get conn|EOF$|connection reset|broken pipe|i\/o deadline|session shutdown|stream closed)/i.test(text)) kind = "no-leader";
  else if (status === 429) kind = "busy";
  else if (status === 404) kind = "missing";
  return new ApiError(kind, status, text.replace(/^(rpc error making call: )+/, "")); // how many agents it came through says nothing
}

export interface Plain {
  title: string;
  detail: string;
}

export function inWords(error: ApiError, loggedIn: boolean): Plain {
  switch (error.kind) {
    case "gone":
      return { title: "The agent does not answer.", detail: "It may be restarting, or the network is interrupted. What you see is the last that was known. Trying again by itself." };
    case "no-leader":
      return { title: "The cluster has no leader at the moment.", detail: "Servers are electing one, or too few of them run. Nothing can be changed until then. Trying again by itself." };
    case "denied":
      return loggedIn
        ? { title: "Your token does not allow this.", detail: "Its policies lack the permission. Another token may have it." }
        : { title: "This needs a token.", detail: "Access control is on, and without a token you may not see or do this." };
    case "unknown-token":
      return { title: "This token is not known.", detail: "It was deleted, has expired, or belongs to another cluster." };
    case "acl-off":
      return { title: "Access control is off in this cluster.", detail: "There are no tokens, policies or roles. Set acl.enabled = true in the agents' configuration to use them." };
    case "busy":
      return { title: "The agent is busy.", detail: "It turns requests away for the moment. Trying again by itself." };
    case "missing":
      return { title: "This does not exist.", detail: error.text || "It may have been deleted, or never was." };
    default:
      return { title: "The agent could not do this.", detail: error.text || `It answered with status ${error.status}.` };
  }
}

export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  return new ApiError(thrown instanceof TypeError ? "gone" : "other", 0, thrown instanceof Error ? thrown.message : String(thrown));
}
