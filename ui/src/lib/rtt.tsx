// Round-trip times from one node to the others: a dot for each on a scale of time, and the nearest and farthest by name.
import type { JSX } from "preact";
import { roundTrip } from "./coordinates";
import { plural, seconds } from "./format";
import { to } from "./router";
import type { Coordinate } from "./types";
import { useNarrow } from "./virtual";
import { Empty, Link } from "./widgets";


export function RoundTrips({ node, all }: { node: string; all: Coordinate[] }): JSX.Element {
  const W = useNarrow() ? 340 : 640; // the letters keep their size
  const own = all.find((c) => c.Node === node);
  if (!own) return <Empty title="No coordinates of this node yet.">Agents send theirs some seconds after they joined; servers write them in batches.</Empty>;
  const others = all
    .filter((c) => c.Node !== node && c.Segment === own.Segment)
    .map((c) => ({ name: c.Node, time: roundTrip(own.Coord, c.Coord) }))
    .sort((a, b) => a.time - b.time);
  if (others.length === 0) return <Empty title="There is no other node to measure to." />;
  const max = others[others.length - 1]!.time * 1.05;
  const median = others[Math.floor((others.length - 1) / 2)]!.time;
  const x = (t: number): number => 16 + (t / max) * (W - 32);
  const stacks = new Map<number, number>();
  const dots = others.map((o) => {
    const column = Math.round(x(o.time) / 9);
    const level = stacks.get(column) ?? 0;
    stacks.set(column, level + 1);
    return { ...o, cx: column * 9, cy: 92 - Math.min(level, 9) * 9 };
  });
  const bars = others.length > 24 ? [...others.slice(0, 12), ...others.slice(-12)] : others;
  return (
    <div class="rtt">
      <p class="facts">
        Nearest <b>{seconds(others[0]!.time)}</b> · median <b>{seconds(median)}</b> · farthest <b>{seconds(others[others.length - 1]!.time)}</b> · to {plural(others.length, "node")}
      </p>
      <svg viewBox={`0 0 ${W} 122`} class="dots" role="img" aria-label={`Round-trip times from ${node}: nearest ${seconds(others[0]!.time)}, median ${seconds(median)}, farthest ${seconds(others[others.length - 1]!.time)}`}>
        <path class="axisline" d={`M16 100H${W - 16}`} />
        <path class="medianline" d={`M${x(median)} 16V106`} />
        <text x={x(median)} y="11" text-anchor={x(median) > W * 0.8 ? "end" : x(median) < W * 0.2 ? "start" : "middle"}>
          median
        </text>
        <text x="16" y="118">
          0
        </text>
        <text x={W - 16} y="118" text-anchor="end">
          {seconds(max)}
        </text>
        {dots.map((d) => (
          <circle key={d.name} cx={d.cx} cy={d.cy} r="4">
            <title>{`${d.name}: ${seconds(d.time)}`}</title>
          </circle>
        ))}
      </svg>
      <ol class="bars">
        {bars.map((o) => (
          <li key={o.name}>
            <Link href={to("nodes", [o.name], { tab: "rtt" })}>{o.name}</Link>
            <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
              <rect width={Math.max(0.5, (o.time / max) * 100)} height="6" />
            </svg>
            <span>{seconds(o.time)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}
