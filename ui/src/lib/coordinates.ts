// Network coordinates (gossip.md, Vivaldi): the estimated round-trip time of two nodes, and a plane for the map.
import type { Coordinate } from "./types";

export function roundTrip(a: Coordinate["Coord"], b: Coordinate["Coord"]): number {
  let sum = 0;
  for (let i = 0; i < a.Vec.length; i++) sum += (a.Vec[i]! - (b.Vec[i] ?? 0)) ** 2;
  const plain = Math.sqrt(sum) + a.Height + b.Height;
  const adjusted = plain + a.Adjustment + b.Adjustment;
  return adjusted > 0 ? adjusted : plain;
}

// The two directions in which the points differ most (principal components, by power iteration).
export function project(points: number[][]): [number, number][] {
  const n = points.length;
  const d = points[0]?.length ?? 0;
  if (n === 0 || d === 0) return points.map(() => [0, 0]);
  const mean = Array.from({ length: d }, (_, i) => points.reduce((s, p) => s + p[i]!, 0) / n);
  const rest = points.map((p) => p.map((v, i) => v - mean[i]!));
  const out: [number, number][] = points.map(() => [0, 0]);
  for (const axis of [0, 1] as const) {
    let v = Array.from({ length: d }, (_, i) => 1 + i * 0.37 + axis);
    for (let round = 0; round < 60; round++) {
      const next = new Array<number>(d).fill(0);
      for (const p of rest) {
        const dot = p.reduce((s, x, i) => s + x * v[i]!, 0);
        for (let i = 0; i < d; i++) next[i]! += dot * p[i]!;
      }
      const length = Math.hypot(...next);
      if (length < 1e-18) return out;
      v = next.map((x) => x / length);
    }
    rest.forEach((p, k) => {
      const dot = p.reduce((s, x, i) => s + x * v[i]!, 0);
      out[k]![axis] = dot;
      for (let i = 0; i < d; i++) p[i]! -= dot * v[i]!;
    });
  }
  return out;
}
