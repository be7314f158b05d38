// What the agent logs, as it happens (/v1/agent/monitor), with a level, a search and a stop.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { open, streams } from "../lib/api";
import { Commands } from "../lib/commands";
import { asApiError, classify, type ApiError } from "../lib/errors";
import { count } from "../lib/format";
import { download } from "../lib/kv";
import { place, setQuery } from "../lib/router";
import { token } from "../lib/session";
import { useStore } from "../lib/store";
import { VirtualList } from "../lib/virtual";
import { ActionButton, Empty, FilterBox, Head, Select, Trouble } from "../lib/widgets";

const KEPT = 20_000;
const levels = ["trace", "debug", "info", "warn", "err"];

interface Line {
  id: number;
  time: string;
  level: string;
  text: string;
}
let lastId = 0;

function parse(raw: string): Line {
  const match = /^(\S+)\s+\[(\w+)\]\s+([^]*)$/.exec(raw);
  return match ? { id: ++lastId, time: match[1]!, level: match[2]!.toLowerCase(), text: match[3]! } : { id: ++lastId, time: "", level: "", text: raw };
}

// Reads until the agent ends it or the signal comes; calls back at most ten times a second.
async function follow(level: string, signal: AbortSignal, got: (lines: Line[]) => void): Promise<void> {
  const response = await open("agent/monitor", { query: { loglevel: level }, signal });
  if (!response.ok) throw classify(response.status, (await response.text()).trim());
  got([]);
  const reader = response.body!.pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  let batch: Line[] = [];
  let timer = 0;
  const flush = (): void => {
    timer = 0;
    if (!signal.aborted) got(batch);
    batch = [];
  };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop()!;
    batch.push(...parts.filter(Boolean).map(parse));
    if (batch.length > 0 && timer === 0) timer = window.setTimeout(flush, 100);
  }
  throw classify(0, "");
}

export function Logs(): JSX.Element {
  const { query } = useStore(place);
  const secret = useStore(token);
  const level = query.get("level") || "info";
  const q = query.get("q") ?? "";
  const [lines, setLines] = useState<Line[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  const [paused, setPaused] = useState(false);
  const held = useRef<Line[]>([]);
  const stopped = useRef(false);
  stopped.current = paused;

  useEffect(() => {
    const stop = new AbortController();
    streams.add(stop.signal);
    const run = async (): Promise<void> => {
      for (let tries = 0; !stop.signal.aborted; tries++) {
        try {
          await follow(level, stop.signal, (more) => {
            tries = 0;
            setError(null);
            if (more.length === 0) return; // it answers
            if (stopped.current) held.current = [...held.current, ...more].slice(-KEPT);
            else setLines((before) => [...before, ...more].slice(-KEPT));
          });
        } catch (thrown) {
          if (stop.signal.aborted) return;
          setError(asApiError(thrown));
        }
        await new Promise((done) => setTimeout(done, Math.min(10_000, 500 * 2 ** Math.min(tries, 5))));
      }
    };
    void run();
    return () => {
      streams.delete(stop.signal);
      stop.abort();
    };
  }, [level, secret]);

  const resume = (): void => {
    if (paused) {
      setLines((before) => [...before, ...held.current].slice(-KEPT));
      held.current = [];
    }
    setPaused(!paused);
  };
  const shown = useMemo(() => {
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    return words.length ? lines.filter((l) => words.every((w) => l.text.toLowerCase().includes(w) || l.level === w)) : lines;
  }, [lines, q]);

  return (
    <section class="view fill">
      <Head title="Agent log">
        <ActionButton icon="down" act={() => download("agent.log", shown.map((l) => `${l.time} [${l.level.toUpperCase()}] ${l.text}\n`).join(""), "text/plain")}>
          Download
        </ActionButton>
        <Commands list={[{ what: "The same", path: "agent/monitor", query: { loglevel: level }, cli: ["monitor", `-log-level=${level}`] }]} />
      </Head>
      <div class="toolbar">
        <FilterBox name="q" value={q} label="Filter lines" />
        <Select
          label="Level"
          value={level}
          set={(v) => {
            setLines([]);
            setQuery({ level: v === "info" ? undefined : v });
          }}
          options={levels.map((l): [string, string] => [l, l === "err" ? "error" : l])}
        />
        <button type="button" aria-pressed={paused} onClick={resume}>
          {paused ? "Go on" : "Pause"}
        </button>
        <span class="dim">
          {q ? `${count(shown.length)} of ` : ""}
          {count(lines.length)} lines{paused ? `, paused` : ", live"}
        </span>
      </div>
      {error && <Trouble error={error} />}
      {!error && lines.length === 0 && <Empty title="Waiting for the agent to log something.">{level === "trace" || level === "debug" ? "Nothing has happened since this view was opened." : `At the level “${level}” little may happen; “debug” says more.`}</Empty>}
      {shown.length > 0 && (
        <VirtualList
          label="Log lines"
          items={shown}
          keyOf={(l) => String(l.id)}
          columns="g-log"
          height={22}
          narrowHeight={22}
          follow={!paused}
          row={(l) => (
            <>
              <time>{l.time.replace(/^.*T/, "").replace(/(\.\d{3})\d*/, "$1").replace(/[+-]\d\d:?\d\d$|Z$/, "")}</time>
              <span class={`loglevel ${l.level}`}>{l.level}</span>
              <span class="logtext" title={l.text}>
                {l.text}
              </span>
            </>
          )}
        />
      )}
    </section>
  );
}
