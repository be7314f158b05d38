// One key: its value in an editor, who holds it, and saves that never overwrite what somebody else wrote meanwhile: each save
// says on which version of the key it is based (cas).
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { arg, isReachable, keyArg, request, UNREACHABLE, useLive } from "../lib/api";
import { Editor } from "../lib/editor";
import { ApiError, asApiError } from "../lib/errors";
import { bytes as size, plural } from "../lib/format";
import { fault, guess, type Language } from "../lib/highlight";
import { Icon } from "../lib/icons";
import { asText, fromBase64, hexDump, toBase64, toBytes } from "../lib/bytes";
import { download, put } from "../lib/kv";
import { navigate, setGuard, setQuery, to, useGuard } from "../lib/router";
import type { KvEntry, Session } from "../lib/types";
import { ActionButton, Back, Confirm, CopyButton, Empty, Field, Link, say, Select, Trouble, useId, Waiting } from "../lib/widgets";

const languages: [Language, string][] = [
  ["text", "plain"],
  ["json", "JSON"],
  ["yaml", "YAML"],
  ["hcl", "HCL"],
];
const HEX_SHOWN = 16384;

function LockNote({ session }: { session: string }): JSX.Element {
  const live = useLive<Session[]>(`session/info/${arg(session)}`);
  const s = live.data?.[0];
  return (
    <div class="notice lock">
      <Icon name="lock" />
      <div class="grow">
        <strong>Locked</strong> by session <code>{session}</code>
        {s && (
          <>
            {s.Name && <> “{s.Name}”</>} on <Link href={to("nodes", [s.Node], { tab: "sessions" })}>{s.Node}</Link>
          </>
        )}
        . Values can be written nevertheless: locks are an agreement among clients.
      </div>
    </div>
  );
}

// A save that was accepted, until its result is here.
interface Sent {
  value: string | Uint8Array;
  raw: string; // the same, as the API has it
  flags: string;
  basis: number;
}

interface Draft {
  value: string | Uint8Array;
  basis: number; // the ModifyIndex of what it began with
}

function Conflict({ entry, take, keep }: { entry: KvEntry | undefined; take: () => void; keep: () => void }): JSX.Element {
  const theirs = entry ? asText(fromBase64(entry.Value)) : null;
  return (
    <div class="notice warn" role="alert" data-conflict>
      <div class="grow">
        <strong>{entry ? "Somebody else has changed this key meanwhile." : "Somebody else has deleted this key meanwhile."}</strong> What you typed is kept here, not saved.
        {entry && (
          <details>
            <summary>What it is now (index {entry.ModifyIndex})</summary>
            <pre class="theirs">{theirs ? theirs.text.slice(0, 4000) : hexDump(fromBase64(entry.Value), 512)}</pre>
          </details>
        )}
      </div>
      <button type="button" onClick={take}>
        {entry ? "Take theirs" : "Drop mine"}
      </button>
      <button type="button" class="danger" onClick={keep}>
        {entry ? "Overwrite with mine" : "Create again"}
      </button>
    </div>
  );
}

function Binary({ bytes, name, replace }: { bytes: Uint8Array; name: string; replace: (b: Uint8Array) => void }): JSX.Element {
  return (
    <div class="binary">
      <p class="facts">Not text: shown as bytes. {bytes.length > HEX_SHOWN && `The first ${size(HEX_SHOWN)} of ${size(bytes.length)}.`}</p>
      <pre class="hex" tabIndex={0} aria-label="Bytes of the value">
        {hexDump(bytes, HEX_SHOWN)}
      </pre>
      <label class="field">
        <span>Replace by a file</span>
        <input type="file" aria-label={`Replace ${name} by a file`} onChange={(e) => void e.currentTarget.files?.[0]?.arrayBuffer().then((b) => replace(new Uint8Array(b)))} />
      </label>
    </div>
  );
}

export function KvEntryView({ name, back }: { name: string; back: string }): JSX.Element {
  const live = useLive<KvEntry[]>(`kv/${keyArg(name)}`);
  const entry = live.data?.[0];
  const [draft, setDraft] = useState<Draft | null>(null);
  const [flags, setFlags] = useState<string | null>(null);
  const [sent, setSent] = useState<Sent | null>(null);
  const [refused, setRefused] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [language, setLanguage] = useState<Language | "">("");
  const [deleting, setDeleting] = useState(false);
  const now = useMemo(() => fromBase64(entry?.Value ?? null), [entry?.Value]);
  const text = useMemo(() => asText(now), [now]);
  const index = entry?.ModifyIndex ?? 0;

  const shown = draft ? draft.value : (text?.text ?? now);
  const same = draft === null || (typeof draft.value === "string" ? draft.value === text?.text : false);
  const flagsNow = String(entry?.Flags ?? 0);
  const changed = !same || (flags !== null && flags !== flagsNow);
  const dirty = changed && !(sent && shown === sent.value && (flags ?? flagsNow) === sent.flags);
  const conflict = draft !== null && !sent && !live.loading && draft.basis !== index && !same;

  useEffect(() => {
    if (!sent || index <= sent.basis) return;
    const mine = sent.raw === (entry?.Value ?? ""); // else somebody was quicker still
    setDraft((d) => (!d || d.value === sent.value ? null : mine ? { ...d, basis: index } : d)); // typed meanwhile: kept
    setFlags((f) => (f === sent.flags ? null : f));
    setSent(null);
    setRefused(false);
  }, [sent, index]);
  useGuard(dirty);

  const edit = (value: string | Uint8Array): void => {
    setDraft({ value, basis: draft?.basis ?? index });
    setError(null);
  };
  const save = async (basis: number): Promise<void> => {
    if (!dirty || busy || sent) return;
    const value = typeof shown === "string" ? toBytes(shown, text?.crlf ?? false) : shown;
    const bits = flags || flagsNow;
    setBusy(true);
    setError(null);
    try {
      if (await put(name, value, basis, bits)) {
        setSent({ value: shown, raw: toBase64(value), flags: bits, basis: Math.max(basis, index) });
        setDraft((d) => d ?? { value: shown, basis });
        setFlags((f) => f || bits);
        say("Saved");
      } else {
        setRefused(true);
      }
    } catch (thrown) {
      setError(asApiError(thrown));
    }
    setBusy(false);
  };

  if (live.data === undefined) return <Waiting live={live} what="the value" />;
  if (!entry && !draft) {
    return (
      <>
        <Back href={back}>Back</Back>
        <Empty title={`There is no key “${name}”.`}>It may have been deleted; if it comes back, it is shown here.</Empty>
      </>
    );
  }
  const kind: Language = language || (typeof shown === "string" ? guess(name, shown) : "text");
  const wrong = typeof shown === "string" ? fault(shown, kind) : "";
  return (
    <article class="entry" aria-label={`Key ${name}`}>
      <header class="entryhead">
        <Link href={back} class="back narrow-back">
          ‹ Back to the folder
        </Link>
        <h2>
          <code>{name}</code> <CopyButton text={name} what="key" />
        </h2>
        <ActionButton icon="down" kind="quiet" act={() => download(name.split("/").pop() || "value", now, "application/octet-stream")}>
          Download
        </ActionButton>
        <ActionButton icon="trash" kind="quiet" act={() => setDeleting(true)}>
          Delete
        </ActionButton>
      </header>
      {entry?.Session && <LockNote session={entry.Session} />}
      {live.error && <Trouble error={live.error} />}
      {error && <Trouble error={error} own />}
      {(conflict || (refused && dirty && draft !== null && draft.basis !== index)) && (
        <Conflict
          entry={entry}
          take={() => {
            setDraft(null);
            setFlags(null);
            setRefused(false);
          }}
          keep={() => void save(index)}
        />
      )}
      {typeof shown === "string" ? (
        <Editor label={`Value of ${name}`} value={shown} set={edit} language={kind} save={() => void save(draft?.basis ?? index)} />
      ) : (
        <Binary bytes={shown} name={name} replace={edit} />
      )}
      <div class="entryfoot">
        <button type="button" class="primary" disabled={!dirty || busy || conflict || sent !== null} onClick={() => void save(draft?.basis ?? index)}>
          {busy ? "Saving…" : "Save"}
        </button>
        {dirty && (
          <button
            type="button"
            onClick={() => {
              setDraft(null);
              setFlags(null);
            }}
          >
            Undo changes
          </button>
        )}
        {typeof shown === "string" && <Select bare label="Colours" value={kind} set={(v) => setLanguage(v as Language)} options={languages} />}
        <label class="flags">
          <span>Flags</span>
          <input type="number" min="0" value={flags ?? flagsNow} onInput={(e) => setFlags(e.currentTarget.value)} />
        </label>
      </div>
      <p class="facts" aria-live="polite">
        {dirty ? <b>Not saved yet. </b> : ""}
        {wrong && <span class="wrong">This is not valid JSON: {wrong}. </span>}
        {size(now.length)}
        {text?.crlf ? " · lines end with CR LF" : ""} · created at index {entry?.CreateIndex ?? 0} · changed at index {index} · locked {plural(entry?.LockIndex ?? 0, "time")}
      </p>
      {deleting && (
        <Confirm
          title="Delete this key?"
          action="Delete key"
          close={() => setDeleting(false)}
          run={async () => {
            const done = (await request(`kv/${keyArg(name)}`, { method: "DELETE", query: { cas: String(index) } })).text.trim() === "true";
            if (!done) throw new Error("It was changed meanwhile; look at it again.");
            setDeleting(false);
            setGuard(null);
            say("Key deleted");
            navigate(back);
          }}
        >
          <p>
            <code>{name}</code> and its value. This cannot be undone.
          </p>
        </Confirm>
      )}
    </article>
  );
}

export function NewKey({ prefix }: { prefix: string }): JSX.Element {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [language, setLanguage] = useState<Language | "">("");
  const [error, setError] = useState<ApiError | null>(null);
  const [exists, setExists] = useState(false);
  const hint = useId();
  const full = prefix + name;
  const kind = language || guess(name, value);
  const dirty = name !== "" || value !== "";
  useGuard(dirty);
  const save = async (): Promise<void> => {
    setError(null);
    setExists(false);
    if (!isReachable(full)) {
      setError(new ApiError("other", 0, UNREACHABLE));
      return;
    }
    try {
      if (await put(full, toBytes(value, false), 0, "0")) {
        setGuard(null);
        say("Key created");
        navigate(to("kv", full.replace(/\/$/, "").split("/"), {}, full.endsWith("/")));
      } else {
        setExists(true);
      }
    } catch (thrown) {
      setError(asApiError(thrown));
    }
  };
  return (
    <form
      class="entry"
      aria-label="New key"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <h2>New key</h2>
      <Field label={`Name, below ${prefix || "/"}`} value={name} set={setName} required focus mono hint={name.endsWith("/") ? "Ends with “/”: a folder." : "“/” in the name makes folders."} />
      {exists && (
        <p class="notice warn" role="alert">
          This key exists already. <Link href={to("kv", full.split("/"))}>Open it</Link>, or choose another name.
        </p>
      )}
      {error && <Trouble error={error} own />}
      <span class="label" aria-hidden="true">
        Value
      </span>
      <Editor label="Value" value={value} set={setValue} language={kind} save={() => void save()} />
      <div class="entryfoot">
        <button type="submit" class="primary" disabled={name === ""} aria-describedby={hint}>
          Create
        </button>
        <button type="button" onClick={() => setQuery({ new: undefined })}>
          Cancel
        </button>
        <Select bare label="Colours" value={kind} set={(v) => setLanguage(v as Language)} options={languages} />
      </div>
      <p id={hint} class="facts">
        {fault(value, kind) && <span class="wrong">This is not valid JSON: {fault(value, kind)}.</span>}
      </p>
    </form>
  );
}
