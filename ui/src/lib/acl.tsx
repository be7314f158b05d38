// What the views of access control share: lists with search, links to policies and roles, and the frame of an editor that keeps
// what was typed until it is saved.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useLive } from "./api";
import { asApiError, type ApiError } from "./errors";
import { count } from "./format";
import { Icon, type IconName } from "./icons";
import { navigate, place, setGuard, to } from "./router";
import { useStore } from "./store";
import type { AclLink } from "./types";
import { HeadCell, VirtualList } from "./virtual";
import { ActionButton, Back, Confirm, Empty, FilterBox, Head, Link, say, Trouble, Waiting } from "./widgets";

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

interface ListProps<T> {
  view: string;
  path: string;
  title: string;
  one: string;
  text: (item: T) => string; // what is searched
  id: (item: T) => string;
  row: (item: T) => ComponentChildren;
  columns: string;
  heads: string[];
  commands: JSX.Element;
}

export function AclList<T>(p: ListProps<T>): JSX.Element {
  const { query } = useStore(place);
  const live = useLive<T[]>(p.path);
  const q = (query.get("q") ?? "").toLowerCase();
  const all = live.data ?? [];
  const shown = q ? all.filter((item) => p.text(item).toLowerCase().includes(q)) : all;
  return (
    <section class="view fill">
      <Head title="Access control">
        {live.data && (
          <ActionButton icon="plus" kind="primary" act={() => navigate(to(p.view, ["new"]))}>
            New {p.one}
          </ActionButton>
        )}
        {p.commands}
      </Head>
      <AclTabs current={p.view} />
      {live.data && (
        <div class="toolbar">
          <FilterBox name="q" value={query.get("q") ?? ""} label={`Search ${p.title.toLowerCase()}`} />
          <span class="dim">{q ? `${count(shown.length)} of ${count(all.length)}` : count(all.length)}</span>
        </div>
      )}
      {live.error && live.data && <Trouble error={live.error} />}
      {!live.data && <Waiting live={live} what={p.title.toLowerCase()} />}
      {live.data && shown.length === 0 && <Empty title={q ? "Nothing matches." : `No ${p.title.toLowerCase()} yet.`} />}
      {shown.length > 0 && (
        <VirtualList
          label={p.title}
          items={shown}
          keyOf={p.id}
          row={p.row}
          columns={p.columns}
          height={42}
          narrowHeight={68}
          head={p.heads.map((h, i) => (
            <HeadCell key={h} class={`a${i}`}>
              {h}
            </HeadCell>
          ))}
        />
      )}
    </section>
  );
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

// ---- the frame of an editor ----

interface EditorProps {
  view: string;
  above: string;
  title: string;
  isNew: boolean;
  dirty: boolean;
  fixed?: string; // why it cannot be changed
  save: () => Promise<string | null>; // the address to go to then
  remove?: { text: ComponentChildren; run: () => Promise<void> };
  clone?: () => Promise<string>;
  undo: () => void;
  commands?: JSX.Element;
  children: ComponentChildren;
}

export function AclEditor(p: EditorProps): JSX.Element {
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const [deleting, setDeleting] = useState(false);
  useEffect(() => {
    setGuard(p.dirty ? () => false : null);
    return () => setGuard(null);
  }, [p.dirty]);

  const attempt = async (what: () => Promise<string | null>, done: string): Promise<void> => {
    setError(null);
    setBusy(true);
    try {
      const next = await what();
      say(done);
      setGuard(null);
      if (next) navigate(next);
    } catch (thrown) {
      setError(asApiError(thrown));
    }
    setBusy(false);
  };

  return (
    <section class="view">
      <Head title={p.title} above={<Back href={to(p.view)}>{p.above}</Back>}>
        {p.clone && (
          <ActionButton icon="copy" act={() => void attempt(p.clone!, "Cloned: this is the copy")}>
            Clone
          </ActionButton>
        )}
        {p.remove && (
          <ActionButton icon="trash" act={() => setDeleting(true)}>
            Delete
          </ActionButton>
        )}
        {p.commands}
      </Head>
      {p.fixed && <p class="notice">{p.fixed}</p>}
      <form
        class="aclform"
        onSubmit={(event) => {
          event.preventDefault();
          void attempt(p.save, p.isNew ? "Created" : "Saved");
        }}
      >
        {p.children}
        {error && <Trouble error={error} own />}
        <div class="entryfoot">
          <button type="submit" class="primary" disabled={busy || (!p.dirty && !p.isNew)}>
            {p.isNew ? "Create" : "Save"}
          </button>
          {p.dirty && !p.isNew && (
            <button type="button" onClick={p.undo}>
              Undo changes
            </button>
          )}
        </div>
      </form>
      {deleting && p.remove && (
        <Confirm
          title="Delete this?"
          action="Delete"
          close={() => setDeleting(false)}
          run={async () => {
            await p.remove!.run();
            setGuard(null);
            say("Deleted");
            navigate(to(p.view));
          }}
        >
          {p.remove.text}
        </Confirm>
      )}
    </section>
  );
}
