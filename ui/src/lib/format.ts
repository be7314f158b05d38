// Numbers, times and health as text.
import type { Check, Status } from "./types";

const grouped = new Intl.NumberFormat("en");

export const count = (n: number): string => grouped.format(n);
export const plural = (n: number, one: string, many = one + "s"): string => `${count(n)} ${n === 1 ? one : many}`;

export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let i = -1;
  do n /= 1024;
  while (++i < units.length - 1 && n >= 1024);
  return `${+n.toPrecision(3)} ${units[i]}`;
}

export function seconds(s: number): string {
  if (s < 1e-3) return `${(s * 1e6).toFixed(0)} µs`;
  if (s < 1) return `${(s * 1e3).toFixed(s < 0.01 ? 2 : 1)} ms`;
  if (s < 90) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

export const ago = (ms: number): string => (Date.now() - ms < 1500 ? "just now" : `${seconds((Date.now() - ms) / 1000)} ago`);

// "2021-01-01T…Z"; the zero time of the API is "".
export function moment(text: string | undefined): string {
  if (!text || text.startsWith("0001")) return "";
  const date = new Date(text);
  return isNaN(date.getTime()) ? text : date.toLocaleString();
}

export function worst(checks: { Status: string }[]): Status | "none" {
  if (checks.some((c) => c.Status === "critical" || c.Status === "maintenance")) return "critical";
  if (checks.some((c) => c.Status === "warning")) return "warning";
  return checks.length > 0 ? "passing" : "none";
}

export function tally(checks: Check[]): Record<Status, number> {
  const out = { passing: 0, warning: 0, critical: 0 };
  for (const c of checks) out[c.Status === "passing" ? "passing" : c.Status === "warning" ? "warning" : "critical"]++;
  return out;
}

export const kinds: Record<string, string> = {
  "": "service",
  "connect-proxy": "proxy",
  "mesh-gateway": "mesh gateway",
  "terminating-gateway": "terminating gateway",
  "ingress-gateway": "ingress gateway",
};

// "172.801297ms", as the API has durations, in three digits.
export function duration(text: string): string {
  const match = /^([\d.]+)(ns|µs|ms|s)$/.exec(text);
  return match ? `${+Number(match[1]).toPrecision(3)} ${match[2]}` : text;
}
