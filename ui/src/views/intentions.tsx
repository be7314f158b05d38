// Intentions: which service may connect to which. List, read, create, edit, clone, delete, and the question what holds between two.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { arg, getJson, request, useLive } from "../lib/api";
import { Commands } from "../lib/commands";
import { asApiError, type ApiError } from "../lib/errors";
import { moment } from "../lib/format";
import { Sign } from "../lib/icons";
import { RecordEditor, RecordList } from "../lib/records";
import { place, setQuery, to } from "../lib/router";
import { useStore } from "../lib/store";
import type { Intention, ServiceSummary } from "../lib/types";
import { Cell } from "../lib/virtual";
import { Chips, Empty, Field, Link, Trouble, useId, Waiting } from "../lib/widgets";

const LIST = "connect/intentions";

// A name as the command line has it: with its namespace where that is not the usual one.
const full = (namespace: string, name: string): string => (namespace === "default" || namespace === "" ? name : `${namespace}/${name}`);
const sourceOf = (i: Intention): string => full(i.SourceNS, i.SourceName);
const destinationOf = (i: Intention): string => full(i.DestinationNS, i.DestinationName);
const spoken = (name: string): string => (name === "*" ? "every service" : name);

function Action({ allow }: { allow: boolean }): JSX.Element {
  return (
    <span class="ruling">
      <Sign level={allow ? "passing" : "critical"} label="" /> {allow ? "allow" : "deny"}
    </span>
  );
}

// The first of the list (which comes in order of precedence) that is about these two: what the servers go by.
function decider(list: Intention[], source: string, destination: string): Intention | undefined {
  const wanted = destination.toLowerCase();
  return list.find(
    (i) =>
      (i.SourceNS === "*" || i.SourceNS === "default") &&
      (i.DestinationNS === "*" || i.DestinationNS === "default") &&
      (i.SourceName === "*" || i.SourceName === source) &&
      (i.DestinationName === "*" || i.DestinationName.toLowerCase() === wanted),
  );
}

// ---- what holds between two ----

function useVerdict(source: string, destination: string, list: Intention[] | null | undefined): { allowed?: boolean; error?: ApiError } {
  const [verdict, setVerdict] = useState<{ allowed?: boolean; error?: ApiError }>({});
  useEffect(() => {
    setVerdict({});
    if (!source || !destination) return undefined;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      getJson<{ Allowed: boolean }>(`${LIST}/check`, { query: { source, destination }, signal: stop.signal }).then(
        (answer) => setVerdict({ allowed: answer.Allowed }),
        (thrown: unknown) => stop.signal.aborted || setVerdict({ error: asApiError(thrown) }),
      );
    }, 150); // not for each letter
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [source, destination, list]);
  return verdict;
}

function Question(): JSX.Element {
  const { query } = useStore(place);
  const list = useLive<Intention[]>(LIST).data;
  const source = (query.get("source") ?? "").trim();
  const destination = (query.get("destination") ?? "").trim();
  const { allowed, error } = useVerdict(source, destination, list);
  const by = allowed === undefined ? undefined : decider(list ?? [], source, destination);
  return (
    <div class="question">
      <ServiceNames />
      <span class="asked">
        May <ServiceInput label="Source" value={source} set={(v) => setQuery({ source: v })} /> connect to <ServiceInput label="Destination" value={destination} set={(v) => setQuery({ destination: v })} />?
      </span>
      <span role="status" class="grow">
        {allowed !== undefined && (
          <>
            <span class="ruling">
              <Sign level={allowed ? "passing" : "critical"} label="" /> <strong>{allowed ? "Yes" : "No"}</strong>
            </span>
            {by ? (
              <>
                , by <Link href={to("intentions", [by.ID])}>{`${sourceOf(by)} → ${destinationOf(by)}`}</Link>
              </>
            ) : (
              `, by default: no intention ${list ? "that you may see " : ""}is about them`
            )}
          </>
        )}
      </span>
      {error && <Trouble error={error} own />}
    </div>
  );
}

// ---- the list ----

export function Intentions(): JSX.Element {
  const { query } = useStore(place);
  const action = query.get("action") ?? "";
  return (
    <RecordList<Intention>
      head="Intentions"
      view="intentions"
      path={LIST}
      title="Intentions"
      one="intention"
      id={(i) => i.ID}
      text={(i) => `${i.ID}\n${sourceOf(i)}\n${destinationOf(i)}\n${i.Action}\n${i.Description}`}
      keep={(i) => !action || i.Action === action}
      filters={(all) => (
        <Chips
          label="Action"
          name="action"
          value={action}
          options={[
            ["allow", "Allow", all.filter((i) => i.Action === "allow").length, "passing"],
            ["deny", "Deny", all.filter((i) => i.Action === "deny").length, "critical"],
          ]}
        />
      )}
      columns="g-intentions"
      heads={["Source → destination", "Action", "Description"]}
      commands={<Commands list={[{ what: "All intentions", path: LIST }]} />}
      row={(i) => (
        <>
          <Cell class="a0">
            <Link href={to("intentions", [i.ID])}>{`${sourceOf(i)} → ${destinationOf(i)}`}</Link>
          </Cell>
          <Cell class="a1">
            <Action allow={i.Action === "allow"} />
          </Cell>
          <Cell class="a2 dim">{i.Description}</Cell>
        </>
      )}
    >
      <Question />
    </RecordList>
  );
}

// Those about one service, in its own view.
export function IntentionsOf({ name }: { name: string }): JSX.Element {
  const live = useLive<Intention[]>(LIST);
  if (!live.data) return <Waiting live={live} what="the intentions" />;
  const about = live.data.filter((i) => [i.SourceName, i.DestinationName].some((n) => n === "*" || n.toLowerCase() === name.toLowerCase()));
  return (
    <>
      {live.error && <Trouble error={live.error} />}
      {about.length === 0 ? (
        <Empty title="No intention is about this service.">What holds by default is allowed, or denied where access control denies by default.</Empty>
      ) : (
        <ul class="plainlist">
          {about.map((i) => (
            <li key={i.ID}>
              <Action allow={i.Action === "allow"} /> <Link href={to("intentions", [i.ID])}>{`${sourceOf(i)} → ${destinationOf(i)}`}</Link> <span class="dim">{i.Description}</span>
            </li>
          ))}
        </ul>
      )}
      <p class="pad">
        <Link href={to("intentions", ["new"], { destination: name })}>New intention</Link> · <Link href={to("intentions", [], { destination: name })}>Who may connect to {name}?</Link>
      </p>
    </>
  );
}

// ---- one ----

const NAMES = "service-names"; // the list of a view

function ServiceNames(): JSX.Element {
  const services = useLive<ServiceSummary[]>("internal/ui/services").data ?? [];
  return (
    <datalist id={NAMES}>
      {services.slice(0, 2000).map((s) => (
        <option key={s.Name} value={s.Name} />
      ))}
    </datalist>
  );
}

function ServiceInput({ label, value, set }: { label: string; value: string; set: (value: string) => void }): JSX.Element {
  return <input type="text" class="mono" aria-label={label} placeholder="service" value={value} list={NAMES} spellcheck={false} autocomplete="off" onInput={(event) => set(event.currentTarget.value)} />;
}

const fresh: Intention = { ID: "", Description: "", SourceNS: "default", SourceName: "", DestinationNS: "default", DestinationName: "", SourceType: "consul", Action: "deny", Meta: {}, Precedence: 0 };

// A new one can be given with the address: from a service, and as the copy of another.
const begun = (query: URLSearchParams): Intention => ({
  ...fresh,
  SourceName: query.get("source") ?? "",
  DestinationName: query.get("destination") ?? "",
  Action: query.get("action") === "allow" ? "allow" : "deny",
  Description: query.get("description") ?? "",
});

// "name=value", one a line. A line without "=" is a name with an empty value.
const toLines = (meta: Record<string, string>): string => Object.entries(meta).map(([k, v]) => `${k}=${v}`).join("\n");
function fromLines(text: string): Record<string, string> {
  const lines = text.split("\n").filter((l) => l.trim());
  return Object.fromEntries(lines.map((l) => [l.split("=")[0]!.trim(), l.includes("=") ? l.slice(l.indexOf("=") + 1) : ""]));
}

// What callers write (connect.md 2.1); all else is the servers'.
const written = (i: Intention): Partial<Intention> => ({
  Description: i.Description, SourceNS: i.SourceNS, SourceName: i.SourceName.trim(), DestinationNS: i.DestinationNS, DestinationName: i.DestinationName.trim(), SourceType: i.SourceType, Action: i.Action, Meta: i.Meta,
  DefaultAddr: i.DefaultAddr, DefaultPort: i.DefaultPort,
});

function Actions({ value, set }: { value: string; set: (value: "allow" | "deny") => void }): JSX.Element {
  return (
    <fieldset class="links">
      <legend>Action</legend>
      {(["allow", "deny"] as const).map((action) => (
        <label key={action} class="checkline">
          <input type="radio" name="action" checked={value === action} onChange={() => set(action)} /> <Action allow={action === "allow"} />
        </label>
      ))}
    </fieldset>
  );
}

export function IntentionView({ id }: { id: string }): JSX.Element {
  const isNew = id === "new";
  const { query } = useStore(place);
  // From the list, which says when something changes (a single one does not).
  const live = useLive<Intention[]>(isNew ? null : LIST);
  const [draft, setDraft] = useState<Intention | null>(null);
  const [meta, setMeta] = useState<string | null>(null); // as it is typed
  const latest = useRef(draft);
  latest.current = draft;
  const stored = isNew ? begun(query) : live.data?.find((i) => i.ID === id);
  if (!stored && !draft) return live.data ? <Empty title="There is no such intention.">It may have been deleted, or your token may not see it.</Empty> : <Waiting live={live} what="the intention" />;
  const i = draft ?? stored!;
  const set = (change: Partial<Intention>): void => setDraft({ ...i, ...change });
  const undo = (): void => {
    setDraft(null);
    setMeta(null);
  };
  const create = async (body: Partial<Intention>): Promise<string> => to("intentions", [(await getJson<{ ID: string }>(LIST, { method: "POST", body })).ID]);
  const title = `${sourceOf(i) || "?"} → ${destinationOf(i) || "?"}`;

  return (
    <RecordEditor
      view="intentions"
      above="Intentions"
      title={isNew ? "New intention" : title}
      isNew={isNew}
      dirty={draft !== null}
      version={isNew ? undefined : stored?.ModifyIndex}
      gone={!isNew && !stored}
      error={live.error}
      undo={undo}
      save={async () => {
        if (isNew) return create(written(i));
        await request(`${LIST}/${arg(id)}`, { method: "PUT", body: written(i) });
        if (latest.current === draft) undo(); // typed meanwhile: kept
        return null;
      }}
      clone={isNew ? undefined : () => Promise.resolve(to("intentions", ["new"], { source: i.SourceName, destination: i.DestinationName, action: i.Action, description: i.Description }))}
      cloned="A copy: give it another source or destination"
      remove={
        isNew
          ? undefined
          : {
              text: <p>Without it, what holds between {spoken(sourceOf(i))} and {spoken(destinationOf(i))} is decided by wider intentions, or by default.</p>,
              run: async () => void (await request(`${LIST}/${arg(id)}`, { method: "DELETE" })),
            }
      }
      commands={
        isNew ? undefined : (
          <Commands
            list={[
              { what: "This intention", path: `${LIST}/${arg(id)}`, cli: ["intention", "get", id] },
              { what: "What holds between the two", path: `${LIST}/check`, query: { source: sourceOf(i), destination: destinationOf(i) }, cli: ["intention", "check", sourceOf(i), destinationOf(i)] },
            ]}
          />
        )
      }
    >
      <ServiceNames />
      <div class="field">
        <span class="label">Source</span>
        <ServiceInput label="Source" value={i.SourceName} set={(v) => set({ SourceName: v })} />
        <small class="dim">A service’s name, or * for every service</small>
      </div>
      <div class="field">
        <span class="label">Destination</span>
        <ServiceInput label="Destination" value={i.DestinationName} set={(v) => set({ DestinationName: v })} />
      </div>
      <Actions value={i.Action} set={(action) => set({ Action: action })} />
      <Field label="Description" value={i.Description} set={(v) => set({ Description: v })} />
      <MetaField
        value={meta ?? toLines(i.Meta ?? {})}
        set={(v) => {
          setMeta(v);
          set({ Meta: fromLines(v) });
        }}
      />
      {!isNew && (
        <p class="facts">
          Precedence {i.Precedence} of 9{i.CreatedAt && ` · made ${moment(i.CreatedAt)}`}
          {i.UpdatedAt && i.UpdatedAt !== i.CreatedAt && ` · changed ${moment(i.UpdatedAt)}`}
        </p>
      )}
    </RecordEditor>
  );
}

function MetaField({ value, set }: { value: string; set: (value: string) => void }): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Metadata</label>
      <textarea id={id} class="mono" rows={Math.min(8, value.split("\n").length + 1)} value={value} placeholder="name=value" spellcheck={false} onInput={(event) => set(event.currentTarget.value)} />
      <small class="dim">One name=value a line</small>
    </div>
  );
}
