// The parts that all views are made of: links, errors in words, tabs, dialogs, messages, copying, fields.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { leaderless, link, retryNow, type Live } from "./api";
import { asApiError, inWords, type ApiError } from "./errors";
import { Icon, Sign, type IconName, type Level } from "./icons";
import { navigate, setQuery } from "./router";
import { token } from "./session";
import { Store, useStore } from "./store";

// ---- links ----

interface LinkProps {
  href: string;
  class?: string;
  children: ComponentChildren;
  current?: boolean;
  label?: string;
  index?: number;
}

export function Link(p: LinkProps): JSX.Element {
  const click = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(p.href);
  };
  return (
    <a href={p.href} class={p.class} onClick={click} aria-current={p.current ? "page" : undefined} aria-label={p.label} data-index={p.index}>
      {p.children}
    </a>
  );
}

// ---- messages ----

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}
const toasts = new Store<Toast[]>([]);
let lastToast = 0;

export function say(text: string, bad = false): void {
  const id = ++lastToast;
  toasts.set([...toasts.value.slice(-3), { id, text, bad }]);
  setTimeout(() => toasts.set(toasts.value.filter((t) => t.id !== id)), bad ? 9000 : 4000);
}

export function sayError(thrown: unknown): void {
  const plain = inWords(asApiError(thrown), token.value !== "");
  say(`${plain.title} ${plain.detail}`, true);
}

export function Toasts(): JSX.Element {
  const list = useStore(toasts);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {list.map((t) => (
        <div key={t.id} class={t.bad ? "toast bad" : "toast"}>
          <Sign level={t.bad ? "critical" : "passing"} label={t.bad ? "error" : "done"} />
          <span>{t.text}</span>
        </div>
      ))}
    </div>
  );
}

// ---- errors ----

export const loginWanted = new Store<boolean>(false);

// own: something that the user did has failed. Otherwise what concerns the whole page is said once, above all views.
export function Trouble({ error, own }: { error: ApiError; own?: boolean }): JSX.Element | null {
  const secret = useStore(token);
  const { state } = useStore(link);
  const headless = useStore(leaderless);
  if (!own && (error.kind === "gone" || error.kind === "no-leader") && (state === "trouble" || headless)) return null;
  const plain = inWords(error, secret !== "");
  const asks = error.kind === "denied" || error.kind === "unknown-token";
  const mayLogIn = asks && !loginWanted.value; // the box is not open already
  const off = error.kind === "acl-off" || error.kind === "missing";
  return (
    <div class={off ? "notice" : "notice bad"} role="alert">
      <Sign level={off ? "none" : error.kind === "other" || asks ? "critical" : "warning"} label="" />
      <div class="grow">
        <strong>{plain.title}</strong> {own && (error.kind === "gone" || error.kind === "no-leader") ? "This was not done. What you typed is kept; do it again when the connection is back." : plain.detail}
        {error.text && error.kind !== "other" && error.kind !== "missing" && <div class="said">The agent said: {error.text}</div>}
      </div>
      {mayLogIn && (
        <button type="button" onClick={() => loginWanted.set(true)}>
          Log in
        </button>
      )}
      {!off && !own && (
        <button type="button" class="quiet" onClick={retryNow}>
          Try again
        </button>
      )}
    </div>
  );
}

// What a view shows before it has data: nothing for a moment, then that it waits; or what went wrong.
export function Waiting({ live, what }: { live: Live<unknown>; what: string }): JSX.Element | null {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 400);
    return () => clearTimeout(timer);
  }, []);
  if (live.error && live.error.kind !== "gone" && live.error.kind !== "no-leader") return <Trouble error={live.error} />;
  return late && live.data === undefined ? <p class="dim pad">Waiting for {what}…</p> : null;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
    </div>
  );
}

// ---- heads of views ----

interface HeadProps {
  title: ComponentChildren;
  above?: ComponentChildren;
  children?: ComponentChildren; // at the right
}

export function Head({ title, above, children }: HeadProps): JSX.Element {
  return (
    <header class="head">
      <div class="grow">
        {above && <div class="above">{above}</div>}
        <h1 tabIndex={-1}>{title}</h1>
      </div>
      <div class="actions">{children}</div>
    </header>
  );
}

export function Back({ href, children }: { href: string; children: ComponentChildren }): JSX.Element {
  return (
    <Link href={href} class="back">
      ‹ {children}
    </Link>
  );
}

export interface Tab {
  id: string;
  name: string;
  count?: number;
}

export function Tabs({ tabs, current }: { tabs: Tab[]; current: string }): JSX.Element {
  const keys = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!step) return;
    const at = (tabs.findIndex((t) => t.id === current) + step + tabs.length) % tabs.length;
    setQuery({ tab: at === 0 ? undefined : tabs[at]!.id });
    (event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("[role=tab]")[at]?.focus();
  };
  return (
    <div class="tabs" role="tablist" onKeyDown={keys}>
      {tabs.map((t, i) => (
        <button
          key={t.id}
          type="button"
          role="tab"
          aria-selected={t.id === current}
          tabIndex={t.id === current ? 0 : -1}
          onClick={() => setQuery({ tab: i === 0 ? undefined : t.id }, true)}
        >
          {t.name}
          {t.count !== undefined && <span class="tabcount">{t.count}</span>}
        </button>
      ))}
    </div>
  );
}

// ---- copying ----

export async function copyText(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https there is no clipboard; the old way still works.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "offscreen";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}

export function CopyButton({ text, what }: { text: string; what: string }): JSX.Element {
  return (
    <button type="button" class="iconbutton" aria-label={`Copy ${what}`} title={`Copy ${what}`} onClick={() => void copyText(text, what)}>
      <Icon name="copy" />
    </button>
  );
}

export function Code({ text, what }: { text: string; what: string }): JSX.Element {
  return (
    <span class="codeline">
      <code>{text}</code>
      <CopyButton text={text} what={what} />
    </span>
  );
}

// ---- dialogs ----

interface DialogProps {
  title: string;
  close: () => void;
  children: ComponentChildren;
  wide?: boolean;
}

// The browser's own dialog: it keeps the focus inside, closes on Escape and gives the focus back. It opens at once, so that what
// is typed right after goes there.
export function Dialog({ title, close, children, wide }: DialogProps): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  const pressed = useRef(false); // beside the box: a selection that only ends there closes nothing
  useLayoutEffect(() => {
    const dialog = ref.current!;
    const before = document.activeElement as HTMLElement | null;
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={wide ? "wide" : ""}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onPointerDown={(event) => (pressed.current = event.target === ref.current)}
      onClick={(event) => {
        if (event.target === ref.current && pressed.current) close();
      }}
    >
      <div class="dialogbox">
        <header>
          <h2>{title}</h2>
          <button type="button" class="iconbutton" aria-label="Close" onClick={close}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  action: string;
  close: () => void;
  run: () => Promise<void>;
  children: ComponentChildren;
  ready?: boolean;
}

export function Confirm({ title, action, close, run, children, ready = true }: ConfirmProps): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const go = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await run();
    } catch (thrown) {
      setError(asApiError(thrown));
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} close={close}>
      <form onSubmit={(event) => void go(event)}>
        <div class="dialogtext">{children}</div>
        {error && <Trouble error={error} own />}
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="danger" disabled={busy || !ready}>
            {action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

// ---- fields ----

let lastId = 0;
export function useId(): string {
  return useState(() => `f${++lastId}`)[0];
}

interface FieldProps {
  label: string;
  value: string;
  set: (value: string) => void;
  hint?: string;
  type?: string;
  placeholder?: string;
  required?: boolean;
  readOnly?: boolean;
  mono?: boolean;
  focus?: boolean;
}

export function Field(p: FieldProps): JSX.Element {
  const id = useId();
  const ref = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (p.focus) ref.current?.focus();
  }, []);
  return (
    <div class="field">
      <label for={id}>{p.label}</label>
      <input
        ref={ref}
        id={id}
        class={p.mono ? "mono" : ""}
        type={p.type ?? "text"}
        value={p.value}
        onInput={(event) => p.set(event.currentTarget.value)}
        placeholder={p.placeholder}
        required={p.required}
        readOnly={p.readOnly}
        aria-describedby={p.hint ? id + "h" : undefined}
        spellcheck={false}
        autocomplete="off"
      />
      {p.hint && (
        <small id={id + "h"} class="dim">
          {p.hint}
        </small>
      )}
    </div>
  );
}

// A filter that lives in the address. "/" goes there.
export function FilterBox({ name, value, label }: { name: string; value: string; label: string }): JSX.Element {
  return (
    <label class="filter">
      <Icon name="search" />
      <input
        type="search"
        data-filter
        aria-label={label}
        placeholder={label}
        value={value}
        spellcheck={false}
        onInput={(event) => setQuery({ [name]: event.currentTarget.value })}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}

interface SelectProps {
  label: string;
  bare?: boolean; // its options say what it is
  value: string;
  set: (value: string) => void;
  options: [string, string][];
}

export function Select({ label, bare, value, set, options }: SelectProps): JSX.Element {
  return (
    <label class="select">
      {!bare && <span aria-hidden="true">{label}</span>}
      <select aria-label={label} value={value} onChange={(event) => set(event.currentTarget.value)}>
        {options.map(([id, name]) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

// Chips that choose one of a few, with their counts.
export function Chips({ label, name, value, options }: { label: string; name: string; value: string; options: [string, string, number, Level?][] }): JSX.Element {
  return (
    <div class="chips" role="group" aria-label={label}>
      {options.filter(([id, , n]) => n > 0 || id !== "none" || value === id).map(([id, text, n, level]) => (
        <button key={id} type="button" class="chip" aria-pressed={value === id} onClick={() => setQuery({ [name]: value === id ? undefined : id })}>
          {level && <Sign level={level} label="" />}
          {text} <b>{n}</b>
        </button>
      ))}
    </div>
  );
}

export function Tags({ tags }: { tags: string[] | null | undefined }): JSX.Element | null {
  if (!tags || tags.length === 0) return null;
  return (
    <span class="tags">
      {tags.map((t) => (
        <span key={t} class="tag">
          {t}
        </span>
      ))}
    </span>
  );
}

export function Pairs({ pairs, empty }: { pairs: Record<string, string> | null | undefined; empty: string }): JSX.Element {
  const list = Object.entries(pairs ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  if (list.length === 0) return <p class="dim pad">{empty}</p>;
  return (
    <dl class="pairs">
      {list.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            {value}
            <CopyButton text={value} what={name} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

export function ActionButton({ icon, children, act, kind = "" }: { icon: IconName; children: ComponentChildren; act: () => void; kind?: string }): JSX.Element {
  return (
    <button type="button" class={kind} onClick={act}>
      <Icon name={icon} />
      {children}
    </button>
  );
}
