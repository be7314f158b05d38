// Records that are kept by hand (tokens, policies, roles, intentions): a list of them with search, and the frame of an editor that
// keeps what was typed until it is saved.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useLive } from "./api";
import { asApiError, type ApiError } from "./errors";
import { count } from "./format";
import { Sign } from "./icons";
import { navigate, place, setGuard, to, useGuard } from "./router";
import { useStore } from "./store";
import { HeadCell, VirtualList } from "./virtual";
import { ActionButton, Back, Confirm, Empty, FilterBox, Head, say, Trouble, Waiting } from "./widgets";

export interface ListProps<T> {
  head: string; // of the view
  tabs?: JSX.Element;
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
  filters?: (all: T[]) => JSX.Element; // beside the search
  keep?: (item: T) => boolean; // what those let through
  children?: ComponentChildren; // between head and list
}

export function RecordList<T>(p: ListProps<T>): JSX.Element {
  const { query } = useStore(place);
  const live = useLive<T[]>(p.path);
  const q = (query.get("q") ?? "").toLowerCase();
  const all = live.data ?? [];
  const words = q.split(/\s+/).filter(Boolean);
  const shown = all.filter((item) => {
    const text = p.text(item).toLowerCase();
    return words.every((w) => text.includes(w)) && (!p.keep || p.keep(item));
  });
  return (
    <section class="view fill">
      <Head title={p.head}>
        {live.data && (
          <ActionButton icon="plus" kind="primary" act={() => navigate(to(p.view, ["new"]))}>
            New {p.one}
          </ActionButton>
        )}
        {p.commands}
      </Head>
      {p.tabs}
      {p.children}
      {live.data && (
        <div class="toolbar">
          <FilterBox name="q" value={query.get("q") ?? ""} label={`Search ${p.title.toLowerCase()}`} />
          {p.filters?.(all)}
          <span class="dim">{shown.length < all.length ? `${count(shown.length)} of ${count(all.length)}` : count(all.length)}</span>
        </div>
      )}
      {live.error && live.data && <Trouble error={live.error} />}
      {!live.data && <Waiting live={live} what={p.title.toLowerCase()} />}
      {live.data && shown.length === 0 && <Empty title={all.length > 0 ? "Nothing matches." : `No ${p.title.toLowerCase()} yet.`} />}
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

// Whether what is stored became another while something was typed. mine: the next version is of one's own save.
function useOvertaken(dirty: boolean, version: number | undefined, mine: { current: boolean }): boolean {
  const [begun, setBegun] = useState(version);
  useEffect(() => {
    if (!dirty || mine.current) setBegun(version);
    if (version !== begun) mine.current = false;
  }, [dirty, version]);
  return dirty && version !== undefined && begun !== undefined && version !== begun;
}

function Overtaken({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <p class="notice warn" role="alert">
      <Sign level="warning" label="" /> {children}
    </p>
  );
}

interface EditorProps {
  view: string;
  above: string;
  title: string;
  isNew: boolean;
  dirty: boolean;
  fixed?: string; // why it cannot be changed
  version?: number; // of what is stored, to tell when somebody else changes it
  error: ApiError | null; // why what is stored is not known now
  gone?: boolean; // somebody else has deleted it
  save: () => Promise<string | null>; // the address to go to then
  remove?: { text: ComponentChildren; run: () => Promise<void> };
  clone?: () => Promise<string>; // the address of the copy
  cloned?: string; // what is said then
  undo: () => void;
  commands?: JSX.Element;
  children: ComponentChildren;
}

export function RecordEditor(p: EditorProps): JSX.Element {
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const [deleting, setDeleting] = useState(false);
  useGuard(p.dirty);

  const mine = useRef(false);
  const overtaken = useOvertaken(p.dirty, p.version, mine);

  const attempt = async (what: () => Promise<string | null>, done: string, leaves: boolean): Promise<void> => {
    setError(null);
    setBusy(true);
    mine.current = !leaves;
    try {
      const next = await what();
      say(done);
      if (!leaves) setGuard(null);
      if (next) navigate(next);
    } catch (thrown) {
      setError(asApiError(thrown));
      mine.current = false;
    }
    setBusy(false);
  };

  return (
    <section class="view">
      <Head title={p.title} above={<Back href={to(p.view)}>{p.above}</Back>}>
        {p.clone && (
          <ActionButton icon="copy" act={() => void attempt(p.clone!, p.cloned ?? "Cloned: this is the copy", true)}>
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
      {p.gone && <Overtaken>Somebody else has deleted this. What you typed is kept; it cannot be saved any more.</Overtaken>}
      {p.error && !p.gone && <Trouble error={p.error} />}
      {overtaken && !busy && !p.gone && <Overtaken>Somebody else has changed this since you began. Saving writes over it; “Undo changes” shows it.</Overtaken>}
      <form
        class="aclform"
        onSubmit={(event) => {
          event.preventDefault();
          void attempt(p.save, p.isNew ? "Created" : "Saved", false);
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
