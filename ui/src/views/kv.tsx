// Keys and values: folders at the left, the key that is open at the right. The parts of a key's name are the address.
import type { JSX } from "preact";
import { useLayoutEffect, useMemo, useState } from "preact/hooks";
import { getJson, keyArg, request, useLive } from "../lib/api";
import { asApiError, type ApiError } from "../lib/errors";
import { Commands } from "../lib/commands";
import { count, plural } from "../lib/format";
import { Icon } from "../lib/icons";
import { download, exportFolder, importKeys, readImport } from "../lib/kv";
import { navigate, place, setQuery, to } from "../lib/router";
import { useStore } from "../lib/store";
import { Cell, VirtualList } from "../lib/virtual";
import { ActionButton, Confirm, Dialog, Empty, FilterBox, Head, Link, say, sayError, Trouble, Waiting } from "../lib/widgets";
import { KvEntryView, NewKey } from "./kv_entry";

export const keyHref = (key: string): string => to("kv", key.split("/"));
export function folderHref(prefix: string): string {
  return prefix === "" ? to("kv") : to("kv", prefix.replace(/\/$/, "").split("/"), {}, true);
}

function Crumbs({ prefix }: { prefix: string }): JSX.Element {
  const parts = prefix.split("/").slice(0, -1);
  return (
    <nav class="crumbs" aria-label="Folders above">
      <Link href={folderHref("")}>Keys</Link>
      {parts.map((part, i) => (
        <>
          <span aria-hidden="true">/</span>
          <Link href={folderHref(parts.slice(0, i + 1).join("/") + "/")}>{part || "(empty)"}</Link>
        </>
      ))}
    </nav>
  );
}

function DeleteFolder({ prefix, close }: { prefix: string; close: () => void }): JSX.Element {
  const all = useLive<string[]>(`kv/${keyArg(prefix)}`, { keys: "" });
  const n = all.data?.length ?? 0;
  return (
    <Confirm
      title={prefix ? "Delete this folder?" : "Delete all keys?"}
      action={all.data === undefined ? "Counting…" : `Delete ${plural(n, "key")}`}
      close={close}
      ready={n > 0}
      run={async () => {
        await request(`kv/${keyArg(prefix)}`, { method: "DELETE", query: { recurse: "" } });
        say(`${plural(n, "key")} deleted`);
        close();
        navigate(folderHref(prefix.split("/").slice(0, -2).concat("").join("/")));
      }}
    >
      {all.error && <Trouble error={all.error} />}
      <p>
        {all.data === undefined ? "Counting the keys" : <b>{plural(n, "key")}</b>} below <code>{prefix || "/"}</code>. This cannot be undone; an export first keeps a copy.
      </p>
    </Confirm>
  );
}

function Import({ prefix, close }: { prefix: string; close: () => void }): JSX.Element {
  const [state, setState] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [text, setText] = useState("");
  const go = async (event: Event): Promise<void> => {
    event.preventDefault();
    setError(null);
    setBusy(true);
    try {
      const entries = readImport(text);
      await importKeys(entries, prefix, (done) => setState(`${count(done)} of ${count(entries.length)} written`));
      say(`${plural(entries.length, "key")} imported`);
      close();
    } catch (thrown) {
      setError(asApiError(thrown));
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Import below ${prefix || "/"}`} close={close}>
      <form onSubmit={(event) => void go(event)}>
        <p class="dim">What “consul kv export” writes: a JSON list of keys with values in base64. Keys that exist are overwritten.</p>
        <label class="field">
          <span>File</span>
          <input type="file" accept=".json,application/json" onChange={(event) => void event.currentTarget.files?.[0]?.text().then(setText)} />
        </label>
        <label class="field">
          <span>or its text</span>
          <textarea class="mono" rows={8} value={text} onInput={(event) => setText(event.currentTarget.value)} spellcheck={false} />
        </label>
        {error && <Trouble error={error} own />}
        <div class="buttons">
          <span class="grow dim" aria-live="polite">
            {state}
          </span>
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy || text.trim() === ""}>
            Import
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function Kv(): JSX.Element {
  const { rest, folder, query } = useStore(place);
  const path = rest.join("/");
  const isFolder = folder || rest.length === 0;
  const open = isFolder ? "" : path;
  const prefix = isFolder ? path : path.slice(0, path.lastIndexOf("/") + 1);
  const live = useLive<string[]>(`kv/${keyArg(prefix)}`, { keys: "", separator: "/" });
  const [asking, setAsking] = useState<"" | "delete" | "import">("");
  useLayoutEffect(() => setAsking((a) => (a === "delete" ? "" : a)), [prefix]); // it was about another folder
  const q = query.get("q") ?? "";
  const making = query.get("new") === "1";
  const all = useMemo(() => live.data ?? [], [live.data]);
  const shown = useMemo(() => {
    const low = q.toLowerCase();
    const match = low ? all.filter((k) => k.slice(prefix.length).toLowerCase().includes(low)) : all;
    // A few: folders first. Many: as they come, sorted by the server.
    return match.length > 5000 ? match : [...match.filter((k) => k.endsWith("/") && k !== prefix), ...match.filter((k) => !k.endsWith("/") || k === prefix)];
  }, [all, q, prefix]);

  const exportNow = async (): Promise<void> => {
    try {
      const text = await exportFolder(prefix);
      download(`kv-${prefix.replace(/[^\w.-]+/g, "-").replace(/^-|-$/g, "") || "all"}.json`, text, "application/json");
    } catch (thrown) {
      sayError(thrown);
    }
  };

  const row = (key: string): JSX.Element => {
    const isDir = key.endsWith("/") && key !== prefix;
    const name = key === prefix ? "(the folder’s own key)" : key.slice(prefix.length);
    return (
      <Cell class="c-key">
        <Link href={isDir ? folderHref(key) : keyHref(key)} class={isDir ? "isfolder" : "iskey"} current={key === open}>
          <Icon name={isDir ? "folder" : "file"} />
          <span>{name}</span>
        </Link>
      </Cell>
    );
  };

  return (
    <section class={`view fill kv ${open || making ? "with-entry" : ""}`}>
      <Head title="Keys and values" above={<Crumbs prefix={prefix} />}>
        <ActionButton icon="plus" kind="primary" act={() => (isFolder ? setQuery({ new: "1" }, true) : navigate(folderHref(prefix) + "?new=1"))}>
          New key
        </ActionButton>
        <ActionButton icon="down" act={() => void exportNow()}>
          Export
        </ActionButton>
        <ActionButton icon="up" act={() => setAsking("import")}>
          Import
        </ActionButton>
        {all.length > 0 && (
          <ActionButton icon="trash" act={() => setAsking("delete")}>
            Delete folder
          </ActionButton>
        )}
        <Commands
          list={[
            { what: "Names in this folder", path: `kv/${keyArg(prefix)}`, query: { keys: "", separator: "/" }, cli: ["kv", "get", "-keys", prefix] },
            { what: "All below, with values", path: `kv/${keyArg(prefix)}`, query: { recurse: "" }, cli: ["kv", "export", prefix] },
            ...(open
              ? [
                  { what: "This key", path: `kv/${keyArg(open)}`, cli: ["kv", "get", "-detailed", open] },
                  { what: "Its value alone", path: `kv/${keyArg(open)}`, query: { raw: "" }, cli: ["kv", "get", open] },
                ]
              : []),
          ]}
        />
      </Head>
      {live.error && live.data !== undefined && <Trouble error={live.error} />}
      <div class="panes">
        <div class="pane listpane">
          <div class="toolbar">
            <FilterBox name="q" value={q} label="Filter this folder" />
            <span class="dim nowrap">{q ? `${count(shown.length)} of ${count(all.length)}` : plural(all.length, "name")}</span>
          </div>
          {live.data === undefined && <Waiting live={live} what="the keys" />}
          {live.data !== undefined && all.length === 0 && <Empty title={prefix ? "Nothing is in this folder, or nothing that you may see." : "No keys, or none that you may see."}>Folders exist as long as there are keys in them.</Empty>}
          {all.length > 0 && shown.length === 0 && <Empty title="Nothing matches." />}
          {shown.length > 0 && <VirtualList label="Keys" items={shown} keyOf={(k) => k} row={row} columns="g-kv" height={32} narrowHeight={40} />}
        </div>
        {(open !== "" || (!isFolder && path === "")) && (
          <div class="pane entrypane">
            <KvEntryView key={open} name={open} back={folderHref(prefix)} />
          </div>
        )}
        {making && (
          <div class="pane entrypane">
            <NewKey prefix={prefix} />
          </div>
        )}
      </div>
      {asking === "delete" && <DeleteFolder prefix={prefix} close={() => setAsking("")} />}
      {asking === "import" && <Import prefix={prefix} close={() => setAsking("")} />}
    </section>
  );
}

// For the search box: what begins with a text.
export const findKeys = (prefix: string, signal: AbortSignal): Promise<string[]> => getJson<string[]>(`kv/${keyArg(prefix)}`, { query: { keys: "", separator: "/" }, signal });
