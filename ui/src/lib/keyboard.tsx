// Keys that work everywhere, and the list of them.
import type { JSX } from "preact";
import { paletteShown, views } from "./palette";
import { navigate, to } from "./router";
import { Store, useStore } from "./store";
import { Dialog } from "./widgets";

export const helpShown = new Store<boolean>(false);

const isTyping = (target: EventTarget | null): boolean => target instanceof HTMLElement && (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable);

let afterG = 0; // when "g" was pressed

export function startKeyboard(): void {
  window.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      paletteShown.set(!paletteShown.value);
      return;
    }
    if (event.key === "Escape" && isTyping(event.target) && !document.querySelector("dialog[open]")) (event.target as HTMLElement).blur();
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (Date.now() - afterG < 1200) {
      afterG = 0;
      const view = views.find((v) => v[3] === event.key);
      if (view) navigate(to(view[0]));
      return;
    }
    if (event.key === "g") afterG = Date.now();
    else if (event.key === "/") document.querySelector<HTMLInputElement>("[data-filter]")?.focus();
    else if (event.key === "?") helpShown.set(true);
    else if (event.key === "c") document.querySelector<HTMLButtonElement>("[data-commands]")?.click();
    else return;
    event.preventDefault();
  });
}

export function Help(): JSX.Element | null {
  const shown = useStore(helpShown);
  if (!shown) return null;
  const keys: [string, string][] = [
    ["Ctrl K", "search everything"],
    ["/", "filter what is shown"],
    ["↑ ↓ PgUp PgDn Home End", "move in a list"],
    ["← →", "move among tabs"],
    ["Ctrl S", "save a value while it is edited"],
    ["c", "curl and command line for what is shown"],
    ...views.map(([, name, , key]): [string, string] => [`g ${key}`, name]),
    ["?", "this list"],
    ["Esc", "close, or leave a field"],
  ];
  return (
    <Dialog title="Keyboard" close={() => helpShown.set(false)}>
      <dl class="keys">
        {keys.map(([key, what]) => (
          <div key={key}>
            <dt>
              {key.split(" ").map((k) => (
                <kbd key={k}>{k}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
