// The network as the nodes have measured it: near on the picture is near on the wire. Made of the agents' network coordinates.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { useLive } from "../lib/api";
import { Commands } from "../lib/commands";
import { project, roundTrip } from "../lib/coordinates";
import { plural, seconds } from "../lib/format";
import { worst } from "../lib/format";
import { place, setQuery, to } from "../lib/router";
import { useStore } from "../lib/store";
import type { Coordinate, NodeInfo } from "../lib/types";
import { useNarrow } from "../lib/virtual";
import { Empty, Head, Link, Select, Trouble, Waiting } from "../lib/widgets";

const H = 520;
const EDGE = 70;

interface Dot {
  c: Coordinate;
  x: number;
  y: number;
  level: string;
}

// The picture's scale is the same in both directions; a bar tells what a length means.
function layout(list: Coordinate[], levels: Map<string, string>, W: number): { dots: Dot[]; perUnit: number } {
  const flat = project(list.map((c) => c.Coord.Vec));
  const xs = flat.map((p) => p[0]);
  const ys = flat.map((p) => p[1]);
  const [minX, maxX, minY, maxY] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((W - 2 * EDGE) / Math.max(maxX - minX, 1e-9), (H - 2 * EDGE) / Math.max(maxY - minY, 1e-9));
  const dots = list.map((c, i) => ({
    c,
    x: W / 2 + (flat[i]![0] - (minX + maxX) / 2) * scale,
    y: H / 2 + (flat[i]![1] - (minY + maxY) / 2) * scale,
    level: levels.get(c.Node) ?? "none",
  }));
  return { dots, perUnit: scale };
}

function niceTime(s: number): number {
  const power = 10 ** Math.floor(Math.log10(s));
  return [1, 2, 5, 10].map((m) => m * power).reverse().find((m) => m <= s) ?? power;
}

export function NetworkMap(): JSX.Element {
  const { query } = useStore(place);
  const W = useNarrow() ? 400 : 900; // the letters keep their size
  const live = useLive<Coordinate[]>("coordinate/nodes");
  const nodes = useLive<NodeInfo[]>("internal/ui/nodes");
  const chosen = query.get("node") ?? "";
  const segment = query.get("segment") ?? "";
  const all = live.data ?? [];
  const segments = [...new Set(all.map((c) => c.Segment))].sort();
  const { dots, perUnit } = useMemo(() => {
    const levels = new Map((nodes.data ?? []).map((n) => [n.Node, worst(n.Checks) as string]));
    return layout(all.filter((c) => c.Segment === segment).sort((a, b) => (a.Node < b.Node ? -1 : 1)), levels, W);
  }, [live.data, nodes.data, segment, W]);
  const own = dots.find((d) => d.c.Node === chosen);
  const bar = perUnit > 0 && 160 / perUnit > 1e-6 ? niceTime(160 / perUnit) : 0; // no scale where all is in one place
  const others = own ? dots.filter((d) => d !== own).map((d) => ({ d, time: roundTrip(own.c.Coord, d.c.Coord) })).sort((a, b) => a.time - b.time) : [];
  const labels = dots.length <= 60;

  const choose = (name: string): void => setQuery({ node: name === chosen ? undefined : name });
  return (
    <section class="view">
      <Head title="Network map">
        <Commands
          list={[
            { what: "Coordinates of all nodes", path: "coordinate/nodes" },
            ...(own && others[0] ? [{ what: "Round-trip time of two nodes", cli: ["rtt", own.c.Node, others[0].d.c.Node] }] : []),
          ]}
        />
      </Head>
      {live.error && live.data && <Trouble error={live.error} />}
      {!live.data && <Waiting live={live} what="the coordinates" />}
      {live.data && dots.length === 0 && <Empty title="No coordinates yet.">Agents measure round-trip times while they gossip, and send their coordinates some seconds after they have joined.</Empty>}
      {dots.length > 0 && (
        <>
          <div class="toolbar">
            <Select label="From" value={chosen} set={(v) => setQuery({ node: v })} options={[["", "choose a node"], ...dots.map((d): [string, string] => [d.c.Node, d.c.Node])]} />
            {segments.length > 1 && <Select label="Segment" value={segment} set={(v) => setQuery({ segment: v })} options={segments.map((s): [string, string] => [s, s || "(default)"])} />}
            <span class="dim">{plural(dots.length, "node")}. The nearer two are here, the shorter their round trip. The ring is what a node adds by itself.</span>
          </div>
          <svg class="map" viewBox={`0 0 ${W} ${H}`} role="group" aria-label={`Map of ${dots.length} nodes`}>
            {own &&
              others.slice(0, 200).map(({ d }) => <path key={d.c.Node} class="tie" d={`M${own.x.toFixed(1)} ${own.y.toFixed(1)}L${d.x.toFixed(1)} ${d.y.toFixed(1)}`} />)}
            {dots.map((d) => (
              <g
                key={d.c.Node}
                class={`dot ${d.level} ${d === own ? "own" : ""}`}
                role="button"
                tabIndex={0}
                aria-pressed={d === own}
                aria-label={`${d.c.Node}, ${d.level}`}
                onClick={() => choose(d.c.Node)}
                onKeyDown={(event) => {
                  if (event.key !== "Enter" && event.key !== " ") return;
                  event.preventDefault();
                  choose(d.c.Node);
                }}
              >
                <circle class="height" cx={d.x} cy={d.y} r={Math.min(48, 8 + d.c.Coord.Height * perUnit)} />
                <circle class="body" cx={d.x} cy={d.y} r={d === own ? 8 : 6} />
                {d.level === "warning" && <path class="mark" d={`M${d.x} ${d.y - 3.5}v3.500M${d.x} ${d.y + 2.2}v0.800`} />}
                {d.level === "critical" && <path class="mark" d={`M${d.x - 3} ${d.y - 3}l6 6m0-6l-6 6`} />}
                {(labels || d === own) && (
                  <text x={d.x} y={dots.some((o) => o !== d && Math.abs(o.x - d.x) < 70 && o.y <= d.y && d.y - o.y < 42) ? d.y + 22 : d.y - 12} text-anchor="middle">
                    {d.c.Node}
                  </text>
                )}
                <title>{d.c.Node}</title>
              </g>
            ))}
            {bar > 0 && (
              <g class="scalebar">
                <path d={`M24 ${H - 22}h${(bar * perUnit).toFixed(1)}M24 ${H - 27}v10M${(24 + bar * perUnit).toFixed(1)} ${H - 27}v10`} />
                <text x="24" y={H - 32}>
                  {seconds(bar)}
                </text>
              </g>
            )}
          </svg>
          {own && (
            <div class="tablebox">
              <table>
                <caption>
                  From <Link href={to("nodes", [own.c.Node], { tab: "rtt" })}>{own.c.Node}</Link>
                </caption>
                <thead>
                  <tr>
                    <th scope="col">To</th>
                    <th scope="col" class="right">
                      Round trip
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {others.slice(0, 200).map(({ d, time }) => (
                    <tr key={d.c.Node}>
                      <td>
                        <Link href={to("nodes", [d.c.Node])}>{d.c.Node}</Link>
                      </td>
                      <td class="right">{seconds(time)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </>
      )}
    </section>
  );
}
