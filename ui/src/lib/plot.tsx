// Small pictures of numbers over time, as SVG: the history of a service's health, and lines with an axis.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Store } from "./store";
import type { ServiceSummary } from "./types";
import { useNarrow } from "./virtual";

// ---- health over the time that the page is open ----

interface Moment {
  at: number;
  bad: number; // shares of all checks, 0 to 1
  warn: number;
  any: boolean; // has checks at all
}

const opened = Date.now();
const KEPT = 120;
const histories = new Map<string, Moment[]>();

export function remember(dc: string, services: ServiceSummary[]): void {
  const at = Date.now();
  for (const s of services) {
    const key = `${dc}\n${s.Name}`;
    const all = s.ChecksPassing + s.ChecksWarning + s.ChecksCritical;
    const next = { at, bad: all ? s.ChecksCritical / all : 0, warn: all ? s.ChecksWarning / all : 0, any: all > 0 };
    const list = histories.get(key);
    const last = list?.[list.length - 1];
    if (!list) histories.set(key, [next]);
    else if (last!.bad !== next.bad || last!.warn !== next.warn || last!.any !== next.any) {
      list.push(next);
      if (list.length > KEPT) list.shift();
    }
  }
}

// One clock for all pictures.
const clock = new Store<number>(Date.now());
setInterval(() => {
  if (!document.hidden) clock.set(Date.now());
}, 3000);

function useClock(): void {
  const [, setTick] = useState(0);
  useEffect(() => clock.listen(() => setTick(clock.value)), []);
}

const W = 96;
const H = 18;

// Bands: passing is a low line, what is warning or critical rises from the floor, so it is read without colours.
export function Spark({ dc, name }: { dc: string; name: string }): JSX.Element {
  useClock();
  const now = Date.now();
  const list = histories.get(`${dc}\n${name}`) ?? [];
  const span = Math.max(20_000, now - opened);
  const x = (t: number): number => W - ((now - t) / span) * W;
  const bars: JSX.Element[] = [];
  let trouble = 0;
  list.forEach((m, i) => {
    const from = Math.max(0, x(m.at));
    const to = i + 1 < list.length ? x(list[i + 1]!.at) : W;
    const width = Math.max(0.8, to - from);
    const kind = m.bad > 0 ? "critical" : m.warn > 0 ? "warning" : m.any ? "passing" : "none";
    const high = m.bad > 0 ? 5 + m.bad * (H - 5) : m.warn > 0 ? 5 + m.warn * (H - 8) : 3;
    if (m.bad > 0) trouble += Math.min(width, W) / W;
    bars.push(<rect key={i} class={kind} x={from.toFixed(1)} y={(H - high).toFixed(1)} width={width.toFixed(1)} height={high.toFixed(1)} />);
  });
  const label = trouble > 0 ? `critical for ${Math.round(Math.min(1, trouble) * 100)}% of the time shown` : "not critical in the time shown";
  return (
    <svg class="spark" viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <title>{`${label}; changes since the page was opened: ${Math.max(0, list.length - 1)}`}</title>
      {bars}
    </svg>
  );
}

// ---- lines ----

export interface Series {
  name: string;
  points: [number, number][]; // time in ms, value
}

const PH = 150;
const LEFT = 58;
const BOTTOM = 20;

// The top of an axis: a round number; of bytes a round number of KiB, MiB.
function ceilNice(v: number, binary: boolean): number {
  if (v <= 0) return 1;
  if (binary && v >= 1024) {
    const power = 1024 ** Math.floor(Math.log2(v) / 10);
    return ceilNice(v / power, false) * power;
  }
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= v) ?? v;
}

interface PlotProps {
  title: string;
  series: Series[];
  unit: (v: number) => string;
  note?: string;
  binary?: boolean; // counts bytes
}

export function Plot({ title, series, unit, note, binary = false }: PlotProps): JSX.Element {
  const PW = useNarrow() ? 300 : 480; // the letters keep their size
  const points = series.flatMap((s) => s.points);
  const last = points.length > 0 ? Math.max(...points.map((p) => p[0])) : Date.now();
  const first = Math.min(...points.map((p) => p[0]), last - 60_000);
  const top = ceilNice(Math.max(...points.map((p) => p[1]), 0), binary);
  const x = (t: number): number => LEFT + ((t - first) / Math.max(1, last - first)) * (PW - LEFT - 8);
  const y = (v: number): number => 10 + (1 - v / top) * (PH - BOTTOM - 10);
  return (
    <figure class="plot">
      <figcaption>
        <h2>{title}</h2>
        <span class="legend">
          {series.map((s, i) => (
            <span key={s.name} class={`series s${i}`}>
              <svg viewBox="0 0 18 8" aria-hidden="true">
                <path d="M0 4h18" />
              </svg>
              {s.name} <b>{s.points.length ? unit(s.points[s.points.length - 1]![1]) : "–"}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${PW} ${PH}`} role="img" aria-label={`${title}: ${series.map((s) => `${s.name} ${s.points.length ? unit(s.points[s.points.length - 1]![1]) : "unknown"}`).join(", ")}`}>
        {[0, 0.5, 1].map((f) => (
          <g key={f} class="axis">
            <path d={`M${LEFT} ${y(top * f)}H${PW - 8}`} />
            <text x={LEFT - 6} y={y(top * f) + 4} text-anchor="end">
              {unit(top * f)}
            </text>
          </g>
        ))}
        <g class="axis">
          <text x={LEFT} y={PH - 4}>
            {new Date(first).toLocaleTimeString()}
          </text>
          <text x={PW - 8} y={PH - 4} text-anchor="end">
            {new Date(last).toLocaleTimeString()}
          </text>
        </g>
        {series.map((s, i) => (
          <g key={s.name} class={`series s${i}`}>
            <path d={s.points.map(([t, v], n) => `${n ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("")} />
            {s.points.length === 1 && <circle cx={x(s.points[0]![0])} cy={y(s.points[0]![1])} r="2.500" />}
          </g>
        ))}
      </svg>
      {note && <p class="dim">{note}</p>}
    </figure>
  );
}
