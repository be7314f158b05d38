// One box for everything (Ctrl-K): views, services, nodes, keys, sessions, intentions,
// datacenters, and what of access control the token may see.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { getJson, useLive } from "./api";
import { Icon, type IconName } from "./icons";
import { href, navigate, to } from "./router";
import { toggleTheme } from "./session";
import { Store, useStore } from "./store";
import type { AclPolicy, AclRole, AclToken, Intention, NodeInfo, ServiceSummary, Session } from "./types";
import { findKeys, folderHref, keyHref } from "../views/kv";
import { Dialog, loginWanted } from "./widgets";

export const paletteShown = new Store<boolean>(false);

interface Entry {
  group: string;
  icon: IconName;
  name: string;
  more?: string;
  go: () => void;
}

export const views: [string, string, IconName, string][] = [
  ["services", "Services", "services", "s"],
  ["nodes", "Nodes", "nodes", "n"],
  ["kv", "Keys and values", "kv", "k"],
  ["sessions", "Sessions", "sessions", "e"],
  ["cluster", "Cluster", "cluster", "c"],
  ["map", "Network map", "map", "m"],
  ["logs", "Agent log", "logs", "l"],
  ["metrics", "Metrics", "metrics", "t"],
  ["intentions", "Intentions", "intentions", "i"],
  ["tokens", "Access control", "tokens", "a"],
];

// How well a name fits: at its beginning, at a word's beginning, anywhere; -1 not at all.
function fit(name: string, q: string): number {
  const at = name.toLowerCase().indexOf(q);
  if (at < 0) return -1;
  if (at === 0) return name.length === q.length ? 4 : 3;
  return /[^a-z0-9]/i.test(name[at - 1]!) ? 2 : 1;
}

function best<T>(list: T[], name: (t: T) => string, q: string, most: number): T[] {
  return list
    .map((item) => [fit(name(item), q), item] as const)
    .filter(([f]) => f >= 0)
    .sort((a, b) => b[0] - a[0] || (name(a[1]) < name(b[1]) ? -1 : 1))
    .slice(0, most)
    .map(([, item]) => item);
}

// What is asked once when the box opens, and lists that may be denied.
function useOnce<T>(path: string): T[] {
  const [list, setList] = useState<T[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    getJson<T[]>(path, { signal: stop.signal }).then(setList, () => undefined);
    return () => stop.abort();
  }, [path]);
  return list;
}

function useKeys(q: string): string[] {
  const [keys, setKeys] = useState<string[]>([]);
  useEffect(() => {
    if (!q) {
      setKeys([]);
      return undefined;
    }
    const stop = new AbortController();
    const timer = setTimeout(() => {
      // A folder's names hold those that begin so; the folder itself is asked, since it is likely small.
      findKeys(q, stop.signal).then((found) => setKeys(found.slice(0, 8)), () => setKeys([]));
    }, 150);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [q]);
  return keys;
}

function Box(): JSX.Element {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const q = typed.trim().toLowerCase();
  const services = useLive<ServiceSummary[]>("internal/ui/services").data ?? [];
  const nodes = useOnce<NodeInfo>("internal/ui/nodes");
  const tokens = useOnce<AclToken>("acl/tokens");
  const policies = useOnce<AclPolicy>("acl/policies");
  const roles = useOnce<AclRole>("acl/roles");
  const intentions = useOnce<Intention>("connect/intentions");
  const sessions = useOnce<Session>("session/list");
  const datacenters = useOnce<string>("catalog/datacenters");
  const keys = useKeys(typed.trim());
  const list = useRef<HTMLUListElement>(null);

  const entries = useMemo(() => {
    const out: Entry[] = [];
    for (const [view, name, icon] of best(views, (v) => v[1], q, 9)) out.push({ group: "Views", icon, name, go: () => navigate(to(view)) });
    if (q) {
      for (const s of best(services, (s) => s.Name, q, 8)) out.push({ group: "Services", icon: "services", name: s.Name, more: `${s.InstanceCount} instances`, go: () => navigate(to("services", [s.Name])) });
      for (const n of best(nodes, (n) => n.Node, q, 8)) out.push({ group: "Nodes", icon: "nodes", name: n.Node, more: n.Address, go: () => navigate(to("nodes", [n.Node])) });
      for (const k of keys) out.push({ group: "Keys", icon: k.endsWith("/") ? "folder" : "file", name: k, go: () => navigate(k.endsWith("/") ? folderHref(k) : keyHref(k)) });
      for (const s of best(sessions, (s) => `${s.Name} ${s.ID}`, q, 5)) out.push({ group: "Sessions", icon: "sessions", name: s.Name || s.ID, more: s.Node, go: () => navigate(to("sessions", [], { q: s.ID })) });
      for (const i of best(intentions, (i) => `${i.SourceName} → ${i.DestinationName}`, q, 5)) out.push({ group: "Intentions", icon: "intentions", name: `${i.SourceName} → ${i.DestinationName}`, more: i.Action, go: () => navigate(to("intentions", [i.ID])) });
      for (const d of best(datacenters, (d) => d, q, 5)) out.push({ group: "Datacenters", icon: "cluster", name: d, go: () => navigate(href(d, "services")) });
      for (const r of best(roles, (r) => r.Name, q, 5)) out.push({ group: "Roles", icon: "roles", name: r.Name, more: r.Description, go: () => navigate(to("roles", [r.ID])) });
      for (const p of best(policies, (p) => p.Name, q, 5)) out.push({ group: "Policies", icon: "policies", name: p.Name, more: p.Description, go: () => navigate(to("policies", [p.ID])) });
      for (const t of best(tokens, (t) => `${t.Description} ${t.AccessorID}`, q, 5)) out.push({ group: "Tokens", icon: "tokens", name: t.Description || t.AccessorID, go: () => navigate(to("tokens", [t.AccessorID])) });
    }
    const actions: Entry[] = [
      { group: "Actions", icon: "moon", name: "Dark or light", go: toggleTheme },
      { group: "Actions", icon: "user", name: "Log in or out", go: () => loginWanted.set(true) },
      { group: "Actions", icon: "plus", name: "New key", go: () => navigate(folderHref("") + "?new=1") },
    ];
    out.push(...best(actions, (a) => a.name, q, 3));
    return out;
  }, [q, services, nodes, keys, tokens, policies, roles, intentions, sessions, datacenters]);

  const chosen = Math.min(at, entries.length - 1);
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const run = (entry: Entry | undefined): void => {
    paletteShown.set(false);
    if (entry) setTimeout(entry.go); // after the dialog has given the focus back
  };
  const keysDown = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (event.key === "Enter") run(entries[chosen]);
    else if (step && entries.length) setAt((chosen + step + entries.length) % entries.length);
    else return;
    event.preventDefault();
  };

  return (
    <div class="palette">
      <input
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="found"
        aria-activedescendant={entries.length ? `found-${chosen}` : undefined}
        aria-label="Search everything"
        placeholder="Service, node, key, view…"
        value={typed}
        autofocus
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={keysDown}
      />
      <ul role="listbox" id="found" aria-label="Found" ref={list}>
        {entries.map((e, i) => (
          <li key={`${e.group}\n${e.name}\n${i}`} id={`found-${i}`} role="option" aria-selected={i === chosen} onClick={() => run(e)} onMouseMove={() => setAt(i)}>
            <Icon name={e.icon} />
            <span class="name">{e.name}</span>
            {e.more && <span class="dim">{e.more}</span>}
            <span class="group">{e.group}</span>
          </li>
        ))}
        {entries.length === 0 && <li class="dim">Nothing found.</li>}
      </ul>
    </div>
  );
}

export function Palette(): JSX.Element | null {
  const shown = useStore(paletteShown);
  if (!shown) return null;
  return (
    <Dialog title="Search" close={() => paletteShown.set(false)} wide>
      <Box />
    </Dialog>
  );
}
