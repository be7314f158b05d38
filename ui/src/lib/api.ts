// The agent's HTTP API: requests with the token in a header, and live queries that wait on the server for a change.
//
// A browser has six connections to one host (HTTP/1.1), for all tabs together. So at most MAX_WAITING queries wait at once and take
// turns when there are more; tabs in sight share the places, and a tab that nobody looks at waits for nothing.
import { useEffect, useState } from "preact/hooks";
import { ApiError, asApiError, classify } from "./errors";
import { base, place } from "./router";
import { token } from "./session";
import { Store, useStore } from "./store";

const MAX_WAITING = 4; // of all tabs in sight together
const TURN = 3000; // ms that a query may wait undisturbed while others want its place
const WAIT = "55s";
const LARGE = 200_000; // characters; so large an answer is not asked for more than about once a second

const meta = document.querySelector<HTMLMetaElement>('meta[name="api"]');
export const apiRoot = new URL(meta?.content ?? "../v1/", base);

export interface Options {
  method?: string;
  query?: Record<string, string | undefined>;
  body?: unknown; // a string and bytes go as they are, all else as JSON
  signal?: AbortSignal;
  token?: string; // instead of the session's
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

// What concerns this agent or all datacenters takes no dc.
const isLocal = (path: string): boolean => /^(agent\/|catalog\/datacenters|coordinate\/datacenters|status\/)/.test(path);

export function apiUrl(path: string, query: Record<string, string | undefined> = {}): URL {
  const url = new URL(path, apiRoot);
  if (!isLocal(path) && place.value.dc) url.searchParams.set("dc", place.value.dc);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

export async function open(path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = {};
  const secret = options.token ?? token.value;
  if (secret && !/^[\x21-\x7e]+$/.test(secret)) throw new ApiError("unknown-token", 0, ""); // no header can carry it
  if (secret) headers["X-Consul-Token"] = secret;
  const { body } = options;
  const raw = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  let response: Response;
  try {
    response = await fetch(apiUrl(path, options.query), {
      method: options.method ?? "GET",
      headers,
      body: raw ? (body as BodyInit | undefined) : JSON.stringify(body),
      signal: options.signal,
      cache: "no-store",
      credentials: "same-origin",
      redirect: "manual",
    });
  } catch (thrown) {
    if (options.signal?.aborted) throw thrown;
    throw new ApiError("gone", 0, "");
  }
  // What lies at the other address is something else, which must be neither shown nor written as if it were this.
  if (response.type === "opaqueredirect") throw new ApiError("other", 0, UNREACHABLE);
  return response;
}

// Flags of keys have 64 bits, of which a number here holds 53: greater ones stay text. (Within strings the quotes have a "\".)
export const parseJson = <T>(text: string): T => JSON.parse(text.replace(/("flags":\s*)(\d{16,})/gi, '$1"$2"')) as T;
export const writeJson = (value: unknown, indent?: string): string => JSON.stringify(value, null, indent).replace(/("flags":\s*)"(\d+)"/gi, "$1$2");

// Any status is an answer here.
async function ask(path: string, options: Options): Promise<Answer> {
  const response = await open(path, options);
  try {
    return { status: response.status, headers: response.headers, text: await response.text() };
  } catch (thrown) {
    if (options.signal?.aborted) throw thrown;
    throw new ApiError("gone", 0, ""); // the connection broke in the middle
  }
}

export async function request(path: string, options: Options = {}): Promise<Answer> {
  const answer = await ask(path, options);
  if (answer.status >= 300) throw classify(answer.status, answer.text.trim());
  return answer;
}

export async function getJson<T>(path: string, options: Options = {}): Promise<T> {
  return parseJson<T>((await request(path, options)).text);
}

export const putJson = <T>(path: string, body: unknown): Promise<T> => getJson<T>(path, { method: "PUT", body });

// A path's argument: a name, or a key, of which "/" stays where it separates. Keys that a browser would tidy ("a/../b") go
// as one piece.
export const arg = (name: string): string => encodeURIComponent(name);
export const UNREACHABLE = "The agent redirects this name to another one: names that begin with “/”, or with an empty part or a part of dots, are reached by transactions (/v1/txn) only.";
export const isReachable = (key: string): boolean => !/(^|\/)\.{0,2}\//.test(key) && !/(^|\/)\.{1,2}$/.test(key);
export const keyArg = (key: string): string => (isReachable(key) ? key.split("/").map(encodeURIComponent).join("/") : encodeURIComponent(key));

// ---- the state of the connection, for all to see ----

export interface Link {
  state: "connecting" | "live" | "trouble";
  error: ApiError | null;
}
export const link = new Store<Link>({ state: "connecting", error: null });
// No leader is known, as the agent says when it is asked for one.
export const leaderless = new Store<boolean>(false);

function linkIsUp(): void {
  if (link.value.state !== "live") link.set({ state: "live", error: null });
}
function linkIsDown(error: ApiError): void {
  if (error.kind === "gone" || error.kind === "no-leader") link.set({ state: "trouble", error });
}

// ---- places to wait in ----

interface Turn {
  since: number;
  giveUp: () => void;
}
const waiting = new Set<Turn>();
const queue: (() => void)[] = [];

// Other tabs of this page that are in sight, and when they last said so.
const others = new Map<number, number>();
const me = Math.random() + 1;
const channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("praetor");
const SAID = 4000; // ms
const tell = (): void => channel?.postMessage(document.hidden ? -me : me);
channel?.addEventListener("message", (event: MessageEvent<number>) => {
  if (event.data < 0) {
    others.delete(-event.data);
    return;
  }
  const isNew = !others.has(event.data);
  others.set(event.data, Date.now());
  if (isNew) tell();
  [...waiting].slice(0, Math.max(0, waiting.size - places())).forEach((turn) => turn.giveUp());
});
document.addEventListener("visibilitychange", tell);
window.addEventListener("pagehide", () => channel?.postMessage(-me));
setInterval(() => document.hidden || tell(), SAID);
tell();

// The agent's log takes a place as long as it is followed.
export const streams = new Set<AbortSignal>();

function places(): number {
  for (const [id, at] of others) if (Date.now() - at > 3 * SAID) others.delete(id);
  return Math.max(1, Math.floor(MAX_WAITING / (others.size + 1)) - streams.size);
}

function nudge(): void {
  if (queue.length === 0) return;
  if (waiting.size < places()) {
    queue.shift()!();
    return;
  }
  const oldest = [...waiting].sort((a, b) => a.since - b.since)[0]!;
  const left = oldest.since + TURN - Date.now();
  if (left > 0) setTimeout(nudge, left);
  else oldest.giveUp();
}

async function takeTurn(signal: AbortSignal, giveUp: () => void): Promise<() => void> {
  if (waiting.size >= places() || queue.length > 0) {
    await new Promise<void>((resolve, reject) => {
      const go = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        const at = queue.indexOf(go);
        if (at >= 0) queue.splice(at, 1);
        reject(new DOMException("", "AbortError"));
      };
      signal.addEventListener("abort", leave, { once: true });
      queue.push(go);
      nudge();
    });
  }
  const turn: Turn = { since: Date.now(), giveUp };
  waiting.add(turn);
  return () => {
    waiting.delete(turn);
    nudge();
  };
}

// ---- live queries ----

export interface Live<T> {
  data: T | undefined; // the last that was known, also while there is an error
  error: ApiError | null;
  index: number;
  loading: boolean; // nothing is known yet
  at: number; // when the data came, Date.now()
}

const EMPTY: Live<never> = { data: undefined, error: null, index: 0, loading: true, at: 0 };

// Resolves after ms, sooner when the network or the tab comes back or somebody presses "try again".
const hurry = new Set<() => void>();
export function retryNow(): void {
  for (const wake of [...hurry]) wake();
}
window.addEventListener("online", retryNow);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) retryNow();
});

function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      hurry.delete(done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    hurry.add(done);
    signal.addEventListener("abort", done);
  });
}

class LiveQuery<T> {
  readonly state = new Store<Live<T>>(EMPTY);
  private users = 0;
  private stop: AbortController | null = null;
  private fetching: AbortController | null = null;
  private text: string | null = null;

  constructor(
    private readonly path: string,
    private readonly query: Record<string, string | undefined>,
    private readonly poll: number, // ms; 0: waits on the server
  ) {}

  attach(): () => void {
    if (this.users++ === 0) {
      this.stop = new AbortController();
      void this.run(this.stop.signal);
    }
    return () => {
      if (--this.users > 0) return;
      this.stop?.abort();
      this.fetching?.abort();
    };
  }

  get idle(): boolean {
    return this.users === 0;
  }

  private async run(signal: AbortSignal): Promise<void> {
    let index = 0;
    let failures = 0;
    const hide = (): void => {
      if (document.hidden) this.fetching?.abort();
    };
    document.addEventListener("visibilitychange", hide);
    while (!signal.aborted) {
      if (document.hidden && this.text !== null) {
        await rest(3_600_000, signal);
        continue;
      }
      const began = Date.now();
      try {
        const next = await this.once(index, signal);
        failures = 0;
        linkIsUp();
        await rest(this.pause(index, next, Date.now() - began), signal);
        index = next < index ? 0 : next;
      } catch (thrown) {
        if (signal.aborted) break;
        if (thrown instanceof DOMException && thrown.name === "AbortError") continue; // gave up its turn
        const error = asApiError(thrown);
        linkIsDown(error);
        this.state.set({ ...this.state.value, error, loading: false });
        index = 0;
        failures++;
        const patient = error.kind === "denied" || error.kind === "acl-off" || error.kind === "unknown-token";
        await rest(patient ? 15_000 : Math.min(10_000, 500 * 2 ** Math.min(failures, 5)) * (0.8 + Math.random() * 0.4), signal);
      }
    }
    document.removeEventListener("visibilitychange", hide);
  }

  private pause(index: number, next: number, took: number): number {
    if (this.poll > 0) return this.poll;
    if (next === 0 || (next === index && took < 500)) return 3000; // it does not wait for changes
    if (index === 0) return 0;
    return this.text !== null && this.text.length > LARGE ? 1000 : 100;
  }

  private async once(index: number, signal: AbortSignal): Promise<number> {
    const fetching = new AbortController();
    this.fetching = fetching;
    const blocks = this.poll === 0 && index > 0;
    const done = blocks ? await takeTurn(signal, () => fetching.abort()) : (): void => undefined;
    if (signal.aborted) fetching.abort();
    try {
      const query = blocks ? { ...this.query, index: String(index), wait: WAIT } : this.query;
      const answer = await ask(this.path, { query, signal: fetching.signal });
      // The health of the servers comes with 429 when it is bad.
      const sick = answer.status === 429 && answer.text.startsWith("{");
      if (answer.status >= 300 && answer.status !== 404 && !sick) throw classify(answer.status, answer.text.trim());
      const got = Number(answer.headers.get("X-Consul-Index") ?? 0);
      this.accept(answer, got);
      return got;
    } finally {
      done();
    }
  }

  // Data that did not change stay the same object, so that nothing is drawn again.
  private accept(answer: Answer, index: number): void {
    const before = this.state.value;
    const text = answer.status === 404 ? "null" : answer.text;
    if (text === this.text && before.error === null) {
      if (index !== before.index) this.state.set({ ...before, index });
      return;
    }
    const data = text === this.text ? before.data : parseJson<T>(text);
    this.text = text;
    this.state.set({ data, error: null, index, loading: false, at: Date.now() });
  }
}

const queries = new Map<string, LiveQuery<unknown>>();
const KEPT = 40;
token.listen(() => queries.clear());

function findQuery<T>(path: string, query: Record<string, string | undefined>, poll: number, secret: string, dc: string): LiveQuery<T> {
  const key = JSON.stringify([path, query, poll, secret, dc]);
  let found = queries.get(key);
  if (!found) {
    found = new LiveQuery<unknown>(path, query, poll);
    for (const [old, q] of queries) {
      if (queries.size < KEPT) break;
      if (q.idle) queries.delete(old);
    }
    queries.set(key, found);
  }
  return found as LiveQuery<T>;
}

// Follows what is at a path; null follows nothing. data is null when the agent says 404.
export function useLive<T>(path: string | null, query: Record<string, string | undefined> = {}, poll = 0): Live<T | null> {
  const secret = useStore(token);
  const { dc } = useStore(place);
  const key = path === null ? "" : JSON.stringify([path, query, poll, secret, dc]);
  const [shown, setShown] = useState<{ key: string; live: Live<T | null> }>({ key: "", live: EMPTY });
  useEffect(() => {
    if (path === null) return undefined;
    const q = findQuery<T | null>(path, query, poll, secret, dc);
    const update = (): void => setShown({ key, live: q.state.value });
    const detach = q.attach();
    update();
    const forget = q.state.listen(update);
    return () => {
      forget();
      detach();
    };
  }, [key]);
  if (path === null) return EMPTY;
  if (shown.key === key) return shown.live;
  return findQuery<T | null>(path, query, poll, secret, dc).state.value;
}

export const usePoll = <T>(path: string | null, ms: number, query: Record<string, string | undefined> = {}): Live<T | null> =>
  useLive<T>(path, query, ms);
