// "The same elsewhere": what a view shows, as curl and as the command line, to be copied. Tokens are named by the environment
// variable that the command line reads, never by their value.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { apiUrl } from "./api";
import { Icon } from "./icons";
import { ownDc, place } from "./router";
import { token } from "./session";
import { useStore } from "./store";
import { CopyButton, Dialog } from "./widgets";

export interface Command {
  what: string;
  path?: string; // below /v1/
  query?: Record<string, string | undefined>;
  method?: string;
  body?: string;
  cli?: string[]; // words
}

// In single quotes a shell changes nothing.
export const shellWord = (word: string): string => (/^[A-Za-z0-9_./:=@%+-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`);

function curl(c: Command, withToken: boolean): string {
  const words = ["curl"];
  if (c.method && c.method !== "GET") words.push("-X", c.method);
  if (c.body !== undefined) words.push("--data-binary", shellWord(c.body));
  const head = withToken ? ` -H "X-Consul-Token: $CONSUL_HTTP_TOKEN"` : "";
  return words.join(" ") + head + " " + shellWord(apiUrl(c.path!, c.query).href);
}

// How many words name a command, where it is not two; its options come after them. Commands about the agent itself take no
// datacenter.
const names: Record<string, number> = { acl: 3, operator: 3, rtt: 1, members: 0, info: 0, monitor: 0 };

function line(c: Command): string {
  const words = [...c.cli!];
  const n = names[words[0]!] ?? 2;
  if (n > 0 && place.value.dc !== (ownDc.value || place.value.dc)) words.splice(n, 0, `-datacenter=${place.value.dc}`);
  return "consul " + words.map(shellWord).join(" ");
}

function Row({ text, what }: { text: string; what: string }): JSX.Element {
  return (
    <div class="commandline">
      <code>{text}</code>
      <CopyButton text={text} what={what} />
    </div>
  );
}

export function Commands({ list }: { list: Command[] }): JSX.Element {
  const [shown, setShown] = useState(false);
  const secret = useStore(token);
  return (
    <>
      <button type="button" class="quiet" data-commands onClick={() => setShown(true)} title="The same with curl and the command line (c)">
        <Icon name="code" />
        <span class="wide-only">curl / CLI</span>
        <span class="narrow-label">curl</span>
      </button>
      {shown && (
        <Dialog title="The same elsewhere" close={() => setShown(false)} wide>
          {list.map((c) => (
            <section key={c.what} class="command">
              <h3>{c.what}</h3>
              {c.path !== undefined && <Row text={curl(c, secret !== "")} what="curl command" />}
              {c.cli && <Row text={line(c)} what="command line" />}
            </section>
          ))}
          {secret && <p class="dim">Your token is not shown: put it into CONSUL_HTTP_TOKEN.</p>}
        </Dialog>
      )}
    </>
  );
}
