// What the views of access control share: their tabs, links to policies and roles, and service identities.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useLive, type Live } from "./api";
import { Icon, type IconName } from "./icons";
import { RecordList, type ListProps } from "./records";
import { to } from "./router";
import type { AclLink, AclToken } from "./types";
import { Link } from "./widgets";

export const MANAGEMENT = "00000000-0000-0000-0000-000000000001"; // the policy global-management
export const ANONYMOUS = "00000000-0000-0000-0000-000000000002"; // the token of who has none

export function AclTabs({ current }: { current: string }): JSX.Element {
  const tabs: [string, string, IconName][] = [
    ["tokens", "Tokens", "tokens"],
    ["policies", "Policies", "policies"],
    ["roles", "Roles", "roles"],
  ];
  return (
    <nav class="tabs" aria-label="Access control">
      {tabs.map(([view, name, icon]) => (
        <Link key={view} href={to(view)} current={current === view} class="tablink">
          <Icon name={icon} />
          {name}
        </Link>
      ))}
    </nav>
  );
}

export function AclList<T>(p: Omit<ListProps<T>, "head" | "tabs">): JSX.Element {
  return <RecordList<T> {...p} head="Access control" tabs={<AclTabs current={p.view} />} />;
}

// One of them. The agent says “ACL not found” of a record that is gone, and also of a token that is not known any more; who can
// read his own token has asked for the former.
export function useRecord<T>(path: string | null): Live<T | null> & { gone: boolean } {
  const live = useLive<T>(path);
  const unknown = live.error?.kind === "unknown-token";
  const self = useLive<AclToken>(unknown ? "acl/token/self" : null);
  const gone = live.data === null || (unknown && !!self.data && !self.error);
  return { ...live, error: gone ? null : live.error, gone };
}

// ---- choosing ----

interface LinksProps {
  label: string;
  view: string; // "policies", "roles"
  value: AclLink[];
  set: ((value: AclLink[]) => void) | null; // null: only read
}

export function Links({ label, view, value, set }: LinksProps): JSX.Element {
  const all = useLive<AclLink[]>(set ? `acl/${view}` : null);
  const free = (all.data ?? []).filter((a) => !value.some((v) => v.ID === a.ID));
  return (
    <fieldset class="links">
      <legend>{label}</legend>
      {value.length === 0 && <span class="dim">none</span>}
      {value.map((v) => (
        <span key={v.ID} class="linkchip">
          <Link href={to(view, [v.ID])}>{v.Name || v.ID}</Link>
          {set && (
            <button type="button" aria-label={`Remove ${v.Name}`} onClick={() => set(value.filter((o) => o.ID !== v.ID))}>
              <Icon name="close" />
            </button>
          )}
        </span>
      ))}
      {set && free.length > 0 && (
        <select
          aria-label={`Add to ${label.toLowerCase()}`}
          value=""
          onChange={(event) => {
            const chosen = free.find((f) => f.ID === event.currentTarget.value);
            event.currentTarget.value = "";
            if (chosen) set([...value, { ID: chosen.ID, Name: chosen.Name }]);
          }}
        >
          <option value="">Add…</option>
          {free.map((f) => (
            <option key={f.ID} value={f.ID}>
              {f.Name}
            </option>
          ))}
        </select>
      )}
    </fieldset>
  );
}

type ServiceIdentity = { ServiceName: string; Datacenters?: string[] | null };

export function Identities({ value, set }: { value: ServiceIdentity[]; set: ((value: ServiceIdentity[]) => void) | null }): JSX.Element {
  const [name, setName] = useState("");
  const add = (): void => {
    if (!name.trim() || !set) return;
    set([...value.filter((v) => v.ServiceName !== name.trim()), { ServiceName: name.trim() }]);
    setName("");
  };
  return (
    <fieldset class="links">
      <legend>Service identities</legend>
      {value.length === 0 && <span class="dim">none</span>}
      {value.map((v) => (
        <span key={v.ServiceName} class="linkchip">
          {v.ServiceName}
          {v.Datacenters?.length ? ` in ${v.Datacenters.join(", ")}` : ""}
          {set && (
            <button type="button" aria-label={`Remove ${v.ServiceName}`} onClick={() => set(value.filter((o) => o.ServiceName !== v.ServiceName))}>
              <Icon name="close" />
            </button>
          )}
        </span>
      ))}
      {set && (
        <span class="addone">
          <input
            type="text"
            aria-label="Service name"
            placeholder="service name"
            value={name}
            spellcheck={false}
            onInput={(event) => setName(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return;
              event.preventDefault();
              add();
            }}
          />
          <button type="button" onClick={add} disabled={!name.trim()}>
            Add
          </button>
        </span>
      )}
    </fieldset>
  );
}

