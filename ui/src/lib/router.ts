// Addresses. The page lies in a folder that the server names by <base>; a view is a path below it: <datacenter>/<view>/<what>,
// and what else there is to a view (filters, tabs, what is open) is in the query, so that each state has its link.
import { useLayoutEffect } from "preact/hooks";
import { decodeSegment, encodeSegment } from "./segments";
import { Store } from "./store";

export const base = new URL("./", document.baseURI);

export interface Place {
  dc: string;
  view: string;
  rest: string[]; // decoded; a last "" when the path ended with "/"
  folder: boolean; // it did
  path: string; // as it is in the address
  query: URLSearchParams;
}

function read(): Place {
  const path = location.pathname.startsWith(base.pathname) ? location.pathname.slice(base.pathname.length) : "";
  const [dc = "", view = "", ...rest] = path.split("/");
  const parts = rest.map((part, i) => (part === "" && i === rest.length - 1 ? "" : decodeSegment(part)));
  return { path, dc: decodeSegment(dc || "~"), view, rest: parts, folder: path.endsWith("/"), query: new URLSearchParams(location.search) };
}

export const place = new Store<Place>(read());
// The datacenter of the agent that serves the page; "" until it is known.
export const ownDc = new Store<string>("");

export type Query = Record<string, string | undefined>;

function search(query: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) params.set(name, value);
  const text = params.toString();
  return text ? "?" + text : "";
}

// segments: names as they are. folder: the path ends with "/".
export function href(dc: string, view: string, segments: string[] = [], query: Query = {}, folder = false): string {
  const path = [encodeSegment(dc), view, ...segments.map(encodeSegment)].join("/");
  return base.pathname + path + (folder ? "/" : "") + search(query);
}

// An address of a view in the datacenter that is shown.
export function to(view: string, segments: string[] = [], query: Query = {}, folder = false): string {
  return href(place.value.dc, view, segments, query, folder);
}

// Views with unsaved input ask before they are left. Returns true when it is fine to go.
let guard: (() => boolean) | null = null;
export function setGuard(next: (() => boolean) | null): void {
  guard = next;
}
// The same for as long as a component has input that is not saved; before anything else can be pressed.
export function useGuard(dirty: boolean): void {
  useLayoutEffect(() => {
    setGuard(dirty ? () => false : null);
    return () => setGuard(null);
  }, [dirty]);
}
window.addEventListener("beforeunload", (event) => {
  if (guard && !guard()) event.preventDefault();
});

function mayLeave(): boolean {
  if (guard && !guard() && !window.confirm("What you have typed is not saved. Leave it?")) return false;
  guard = null;
  return true;
}

// Entries of the history are numbered, so that a step that is refused can be taken back.
let here = (history.state as number | null) ?? 0;
history.replaceState(here, "");
let returning = false;

function write(address: string, push: boolean): void {
  if (push) here++;
  history[push ? "pushState" : "replaceState"](here, "", address);
  place.set(read());
}

window.addEventListener("popstate", (event) => {
  const there = (event.state as number | null) ?? 0;
  const next = read();
  // Filters and tabs of the same view take nothing away.
  const same = next.path === place.value.path && next.query.get("new") === place.value.query.get("new");
  if (returning) {
    returning = false;
  } else if (same || mayLeave()) {
    here = there;
    place.set(next);
  } else if (there !== here) {
    returning = true;
    history.go(here - there);
  }
});

export function navigate(address: string, replace = false): void {
  if (!mayLeave()) return;
  write(address, !replace);
  if (!replace) document.querySelector("main")?.scrollTo(0, 0);
}

// Changes parts of the query and stays in the view: undefined and "" take a part away. No entry in the history, because filters
// change with each letter typed.
export function setQuery(change: Query, push = false): void {
  const query: Query = Object.fromEntries(place.value.query);
  const address = location.pathname + search({ ...query, ...change });
  write(address, push);
}
