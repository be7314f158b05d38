// Checks with their output, as services and nodes show them.
import type { JSX } from "preact";
import { Sign, toLevel } from "./icons";
import type { Check } from "./types";
import { CopyButton } from "./widgets";

const rank = (c: Check): number => (c.Status === "passing" ? 2 : c.Status === "warning" ? 1 : 0);

export function CheckList({ checks, withService }: { checks: Check[]; withService?: boolean }): JSX.Element {
  if (checks.length === 0) return <p class="dim pad">No checks.</p>;
  const sorted = [...checks].sort((a, b) => rank(a) - rank(b) || (a.Name < b.Name ? -1 : 1));
  return (
    <ul class="checks">
      {sorted.map((c) => (
        <li key={`${c.Node}\n${c.CheckID}`} class={`check ${toLevel(c.Status)}`}>
          <div class="checkhead">
            <Sign level={toLevel(c.Status)} />
            <strong>{c.Name || c.CheckID}</strong>
            <span class={`statusword ${toLevel(c.Status)}`}>{c.Status}</span>
            {c.Type && <span class="kind">{c.Type}</span>}
            {withService && c.ServiceName && <span class="dim">of {c.ServiceName}</span>}
            {!c.ServiceID && <span class="dim">of the node</span>}
            <span class="grow" />
            <code class="dim">{c.CheckID}</code>
          </div>
          {c.Notes && <p class="notes">{c.Notes}</p>}
          {c.Output ? (
            <div class="output">
              <pre tabIndex={0} aria-label={`Output of ${c.Name}`}>
                {c.Output}
              </pre>
              <CopyButton text={c.Output} what="output" />
            </div>
          ) : (
            <p class="dim notes">No output.</p>
          )}
        </li>
      ))}
    </ul>
  );
}
