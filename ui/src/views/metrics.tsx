// Numbers of this agent over the time that the view is open: requests, commit latency, memory, and a table of all there are.
// The agent counts in intervals of ten seconds; each new interval is one point.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { usePoll } from "../lib/api";
import { Commands } from "../lib/commands";
import { bytes, count } from "../lib/format";
import { Plot, type Series } from "../lib/plot";
import { place } from "../lib/router";
import { useStore } from "../lib/store";
import type { Metrics } from "../lib/types";
import { FilterBox, Head, Trouble, Waiting } from "../lib/widgets";

const INTERVAL = 10; // s
const KEPT = 360;

interface Point {
  at: number;
  values: Record<string, number>;
}
const history: Point[] = []; // outlives the view, so that coming back shows what was

const named = (label: string) => (m: { Name: string }): boolean => m.Name.endsWith("." + label);

function digest(m: Metrics): Record<string, number> {
  const gauge = (name: string): number => m.Gauges.find(named(name))?.Value ?? NaN;
  const sample = (name: string): number => m.Samples.find(named(name))?.Mean ?? NaN;
  const http = m.Samples.filter((s) => /\.http\.[A-Z]+\./.test(s.Name) || (/\.http$/.test(s.Name) && s.Labels.method));
  const requests = http.reduce((sum, s) => sum + s.Count, 0);
  return {
    requests: requests / INTERVAL,
    latency: requests ? http.reduce((sum, s) => sum + s.Sum, 0) / requests : 0,
    applies: (m.Counters.find(named("raft.apply"))?.Count ?? 0) / INTERVAL,
    commit: sample("raft.commitTime"),
    fsm: sample("raft.fsm.apply"),
    alloc: gauge("runtime.alloc_bytes"),
    sys: gauge("runtime.sys_bytes"),
    blocking: gauge("rpc.queries_blocking"),
  };
}

function record(m: Metrics): void {
  const at = Date.parse(m.Timestamp.replace(" +0000 UTC", "Z").replace(" ", "T"));
  if (isNaN(at) || history[history.length - 1]?.at === at) return;
  history.push({ at, values: digest(m) });
  if (history.length > KEPT) history.shift();
}

const line = (name: string, key: string): Series => ({ name, points: history.filter((p) => Number.isFinite(p.values[key])).map((p) => [p.at, p.values[key]!]) });

const short = (v: number): string => (v >= 100 ? count(Math.round(v)) : String(+v.toPrecision(3)));
const perSecond = (v: number): string => `${short(v)}/s`;
const millis = (v: number): string => (v > 0 && v < 1 ? `${short(v * 1000)} µs` : `${short(v)} ms`);

function Table({ metrics, q }: { metrics: Metrics; q: string }): JSX.Element {
  const labels = (l: Record<string, string>): string => Object.entries(l).map(([k, v]) => `${k}=${v}`).join(" ");
  const rows = [
    ...metrics.Gauges.map((g) => [g.Name, labels(g.Labels), "gauge", "", String(+g.Value.toPrecision(6)), ""]),
    ...metrics.Counters.map((c) => [c.Name, labels(c.Labels), "counter", count(c.Count), String(+c.Sum.toPrecision(6)), ""]),
    ...metrics.Samples.map((s) => [s.Name, labels(s.Labels), "time", count(s.Count), millis(s.Mean), millis(s.Max)]),
  ].filter((r) => !q || `${r[0]} ${r[1]}`.toLowerCase().includes(q));
  return (
    <div class="tablebox">
      <table>
        <thead>
          <tr>
            {["Name", "Labels", "Kind", "Times", "Value or mean", "Highest"].map((h, i) => (
              <th key={h} scope="col" class={i > 2 ? "right" : ""}>
                {h}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r[0]! + r[1]}>
              {r.map((value, i) => (
                <td key={i} class={i > 2 ? "right" : ""}>
                  {i < 2 ? <code>{value}</code> : value}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function MetricsView(): JSX.Element {
  const { query } = useStore(place);
  const live = usePoll<Metrics>("agent/metrics", 5000);
  const q = query.get("q") ?? "";
  useMemo(() => live.data && record(live.data), [live.data]);
  return (
    <section class="view">
      <Head title="Metrics of this agent">
        <Commands list={[{ what: "All numbers of the last ten seconds", path: "agent/metrics" }, { what: "In the form of Prometheus (needs telemetry.prometheus_retention_time)", path: "agent/metrics", query: { format: "prometheus" } }]} />
      </Head>
      {live.error && live.data && <Trouble error={live.error} />}
      {!live.data && <Waiting live={live} what="the numbers" />}
      {live.data && (
        <>
          <div class="plots">
            <Plot title="Requests" unit={perSecond} series={[line("HTTP requests", "requests"), line("Raft entries", "applies")]} />
            <Plot title="Commit latency" unit={millis} series={[line("commit", "commit"), line("apply", "fsm")]} note={Number.isFinite(history[history.length - 1]?.values.commit) ? undefined : "Only the leader commits; nothing was in the last ten seconds."} />
            <Plot title="Memory" unit={bytes} binary series={[line("in use", "alloc"), line("from the system", "sys")]} />
            <Plot title="Time of a request" unit={millis} series={[line("mean", "latency")]} note="Blocking queries count with the time that they wait." />
          </div>
          <h2>All of the last ten seconds</h2>
          <div class="toolbar">
            <FilterBox name="q" value={q} label="Search metrics" />
          </div>
          <Table metrics={live.data} q={q.toLowerCase()} />
        </>
      )}
    </section>
  );
}
