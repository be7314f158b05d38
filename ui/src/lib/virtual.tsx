// A list of any length: only the rows in sight are in the document. All rows have one height. Arrow keys, Page Up/Down,
// Home and End move among rows; a row's own link or button takes the focus.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const SPARE = 8; // rows beyond the edge

interface Props<T> {
  label: string;
  items: readonly T[];
  keyOf: (item: T, index: number) => string;
  row: (item: T, index: number) => ComponentChildren;
  head?: ComponentChildren; // cells of the line above
  columns: string; // a class that sets the grid's columns
  height: number;
  narrowHeight?: number; // when cells stand in two lines
  follow?: boolean; // stays at the end, unless who reads has gone back
}

// Which element shows which row: a row keeps its element as long as it is in sight, and one that comes into sight takes over the
// element of one that went, so that scrolling makes no elements.
interface Pool {
  slots: Map<string, number>;
  made: number;
}

function assignSlots(pool: Pool, keys: string[]): number[] {
  const here = new Set(keys);
  const free = [...pool.slots].filter(([key]) => !here.has(key)).map(([, slot]) => slot);
  const next = new Map<string, number>();
  const out = keys.map((key) => {
    const slot = next.has(key) ? pool.made++ : (pool.slots.get(key) ?? free.shift() ?? pool.made++);
    next.set(key, slot);
    return slot;
  });
  pool.slots = next;
  return out;
}

const LETTERS = 14; // px, which the heights of rows are made for (base.css)

const narrow = window.matchMedia("(max-width: 40em)");

export function useNarrow(): boolean {
  const [is, setIs] = useState(narrow.matches);
  useEffect(() => {
    const update = (): void => setIs(narrow.matches);
    narrow.addEventListener("change", update);
    return () => narrow.removeEventListener("change", update);
  }, []);
  return is;
}

export function VirtualList<T>(p: Props<T>): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  // Rows grow with the size of letters that the browser is set to.
  const [zoom] = useState(() => Math.max(1, parseFloat(getComputedStyle(document.documentElement).fontSize) / LETTERS));
  const height = Math.round((useNarrow() ? (p.narrowHeight ?? p.height) : p.height) * zoom);
  const [view, setView] = useState({ first: 0, last: 60, scrolls: false });
  const drawn = useRef<{ of: Props<T> | null; height: number; rows: Map<number, JSX.Element> }>({ of: null, height: 0, rows: new Map() });
  const pool = useRef<Pool>({ slots: new Map(), made: 0 });
  const atEnd = useRef(true);
  const wanted = useRef(-1); // the row that gets the focus when it is drawn

  const measure = (): void => {
    const box = scroller.current;
    if (!box) return;
    // In steps, so that most scroll events draw nothing.
    const first = Math.max(0, Math.floor(box.scrollTop / height / 4) * 4 - SPARE);
    const last = Math.ceil((box.scrollTop + box.clientHeight) / height / 4) * 4 + SPARE;
    const scrolls = box.scrollHeight > box.clientHeight + 1;
    setView((v) => (v.first === first && v.last === last && v.scrolls === scrolls ? v : { first, last, scrolls }));
  };

  const scrolled = (): void => {
    const box = scroller.current;
    if (!box) return;
    atEnd.current = box.scrollHeight - box.scrollTop - box.clientHeight < 2 * height;
    measure();
  };

  useLayoutEffect(() => {
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(scroller.current!);
    return () => watch.disconnect();
  }, [height]);

  useLayoutEffect(() => {
    atEnd.current = true;
  }, [p.follow]);

  useLayoutEffect(() => {
    if (p.follow && atEnd.current) scroller.current!.scrollTop = scroller.current!.scrollHeight;
    measure();
  }, [p.items, p.follow]);

  useLayoutEffect(() => {
    if (wanted.current < 0) return;
    const found = scroller.current!.querySelector<HTMLElement>(`[data-row="${wanted.current}"]`);
    (found?.querySelector<HTMLElement>("a, button") ?? found)?.focus({ preventScroll: true });
    if (found) wanted.current = -1;
  });

  const keys = (event: KeyboardEvent): void => {
    const box = scroller.current!;
    const row = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
    const at = row ? Number(row.dataset.row) : -1;
    const page = Math.max(1, Math.floor(box.clientHeight / height) - 1);
    const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: p.items.length - 1 };
    const next = steps[event.key];
    if (next === undefined || event.ctrlKey || event.altKey || event.metaKey || p.items.length === 0) return;
    event.preventDefault();
    const target = Math.min(p.items.length - 1, Math.max(0, next));
    wanted.current = target;
    if (target * height < box.scrollTop) box.scrollTop = target * height;
    else if ((target + 1) * height > box.scrollTop + box.clientHeight) box.scrollTop = (target + 1) * height - box.clientHeight;
    measure();
    setView((v) => ({ ...v }));
  };

  const end = Math.min(p.items.length, view.last);
  // Rows that were drawn for these very properties are the same objects, which Preact passes over: scrolling costs new rows only.
  if (drawn.current.of !== p || drawn.current.height !== height) drawn.current = { of: p, height, rows: new Map() };
  const rows: JSX.Element[] = [];
  const kept = new Map<number, JSX.Element>();
  const begin = Math.min(view.first, Math.max(0, end - 1));
  const slots = assignSlots(pool.current, p.items.slice(begin, end).map((item, i) => p.keyOf(item, begin + i)));
  for (let i = begin; i < end; i++) {
    const item = p.items[i]!;
    const row = drawn.current.rows.get(i) ?? (
      <div key={slots[i - begin]} role="row" aria-rowindex={i + 1} data-row={i} class={`row ${p.columns}`} style={{ top: `${i * height}px`, height: `${height}px` }}>
        {p.row(item, i)}
      </div>
    );
    kept.set(i, row);
    rows.push(row);
  }
  drawn.current.rows = kept;
  return (
    <div class={view.scrolls ? "list scrolls" : "list"} role="table" aria-label={p.label} aria-rowcount={p.items.length}>
      {p.head && (
        <div role="rowgroup" class="listhead">
          <div role="row" class={`row ${p.columns}`}>
            {p.head}
          </div>
        </div>
      )}
      <div role="rowgroup" ref={scroller} class="scroller" tabIndex={0} aria-label={p.label} onScroll={scrolled} onKeyDown={keys}>
        <div role="presentation" class="runway" style={{ height: `${p.items.length * height}px` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}

export function Cell({ children, class: name = "" }: { children?: ComponentChildren; class?: string }): JSX.Element {
  return (
    <div role="cell" class={name}>
      {children}
    </div>
  );
}

export function HeadCell({ children, class: name = "" }: { children?: ComponentChildren; class?: string }): JSX.Element {
  return (
    <div role="columnheader" class={name}>
      {children}
    </div>
  );
}
