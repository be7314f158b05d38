// A text field with colours: the coloured text lies exactly below a field whose own letters are transparent, so the browser's
// editing (selection, undo, input methods, screen readers) stays as it is.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { LIMIT, pieces, type Language } from "./highlight";

interface Props {
  label: string;
  value: string;
  set?: (value: string) => void; // none: it is only read
  language: Language;
  save?: () => void; // Ctrl-S
}

export function Coloured({ text, language }: { text: string; language: Language }): JSX.Element {
  return (
    <>
      {pieces(text, language).map((p, i) => (p.kind ? <span key={i} class={`hl-${p.kind}`}>{p.text}</span> : p.text))}
    </>
  );
}

export function Editor({ label, value, set, language, save }: Props): JSX.Element {
  const under = useRef<HTMLPreElement>(null);
  const plain = value.length > LIMIT; // laid out once only
  const scroll = (event: Event): void => {
    const area = event.currentTarget as HTMLTextAreaElement;
    under.current!.scrollTop = area.scrollTop;
    under.current!.scrollLeft = area.scrollLeft;
  };
  const keys = (event: KeyboardEvent): void => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s" && save) {
      event.preventDefault();
      save();
    }
  };
  return (
    <div class={plain ? "editor plain" : "editor"}>
      <pre ref={under} aria-hidden="true">
        {!plain && <Coloured text={value} language={language} />}
        {"\n"}
      </pre>
      <textarea
        aria-label={label}
        value={value}
        readOnly={!set}
        onInput={(event) => set?.(event.currentTarget.value)}
        onScroll={scroll}
        onKeyDown={keys}
        spellcheck={false}
        autocapitalize="off"
        autocomplete="off"
        wrap="off"
      />
    </div>
  );
}
