// Icons, drawn as strokes in a 16 by 16 field, and the signs of health, which differ in shape as well as in colour.
import type { JSX } from "preact";

const paths = {
  services: "M2.5 3.5h4v4h-4zM9.5 3.5h4v4h-4zM2.5 10h4v3.5h-4zM9.5 10h4v3.5h-4z",
  nodes: "M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01M8 5h4M8 11h4",
  kv: "M10.5 2.5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8.2 7.8 3 13M4.8 11.2l1.7 1.7",
  cluster: "M8 2v0m0-.5a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zM3.5 10.5a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zM12.5 10.5a1.7 1.7 0 1 0 0 3.4 1.7 1.7 0 0 0 0-3.4zM7.2 4.8 4.4 10.6M8.8 4.8l2.8 5.8M5.2 12.2h5.6",
  members: "M6 3a2.3 2.3 0 1 0 0 4.6A2.3 2.3 0 0 0 6 3zM1.8 13.2c.3-2.6 2-4 4.2-4s3.900 1.400 4.200 4M10.600 3.400a2 2 0 0 1 0 3.900M11.800 9.500c1.500.500 2.300 1.800 2.500 3.700",
  map: "M8 8m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0M8 2c-4 4-4 8 0 12M8 2c4 4 4 8 0 12M2 8h12",
  logs: "M3 3.500h10M3 6.500h7M3 9.500h10M3 12.500h5",
  metrics: "M2 13.500h12M3 10.500l3-4 2.500 2.500L13 3.500",
  sessions: "M4.500 7.500v-2a3.500 3.500 0 0 1 7 0v2M3.500 7.500h9v6h-9zM8 10v1.500",
  tokens: "M2.500 4h11v8h-11zM5 7h3M5 9.500h5M11 7h.01",
  policies: "M8 1.800l5 2v4c0 3-2 5.300-5 6.400-3-1.100-5-3.400-5-6.400v-4zM5.800 8l1.600 1.600 2.900-3",
  roles: "M8 2.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5zM3 13.500c.400-3 2.300-4.500 5-4.500s4.600 1.500 5 4.500z",
  intentions: "M2 5h9.500M8.500 2l3 3-3 3M14 11H4.500M7.500 8l-3 3 3 3",
  search: "M7 2.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9zM10.300 10.300 14 14",
  copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
  code: "M5.500 4.500 2 8l3.500 3.500M10.500 4.500 14 8l-3.500 3.500",
  sun: "M8 5.200a2.800 2.800 0 1 0 0 5.600 2.800 2.800 0 0 0 0-5.600zM8 1.500v1.300M8 13.200v1.300M1.500 8h1.300M13.200 8h1.300M3.400 3.400l.9.9M11.700 11.700l.9.900M3.400 12.600l.9-.9M11.700 4.300l.9-.9",
  moon: "M13 9.800A5.700 5.700 0 0 1 6.200 3 5.700 5.700 0 1 0 13 9.800z",
  user: "M8 2.500a2.700 2.700 0 1 0 0 5.400 2.700 2.700 0 0 0 0-5.400zM2.800 13.800c.500-2.800 2.500-4.300 5.200-4.300s4.700 1.500 5.200 4.300",
  folder: "M1.800 12.800v-9.300h4.400l1.500 1.700h6.500v7.600z",
  file: "M3.500 1.800h6l3 3v9.400h-9zM9.300 2v3h3",
  plus: "M8 3v10M3 8h10",
  trash: "M3 4.500h10M6.300 4.500v-2h3.400v2M4.300 4.500l.6 9h6.200l.6-9M6.700 7v4M9.300 7v4",
  down: "M8 2.500v8M4.500 7.500 8 11l3.500-3.500M2.500 13.500h11",
  up: "M8 11V3M4.500 6 8 2.500 11.500 6M2.500 13.500h11",
  lock: "M4.500 7.500v-2a3.500 3.500 0 0 1 7 0v2M3.500 7.500h9v6h-9z",
  close: "M3.500 3.500l9 9M12.500 3.500l-9 9",
  chevron: "M6 3.500 10.500 8 6 12.500",
  menu: "M2 4h12M2 8h12M2 12h12",
  eye: "M1.500 8C3 5 5.300 3.700 8 3.700S13 5 14.500 8c-1.500 3-3.800 4.300-6.500 4.300S3 11 1.500 8zM8 6.200a1.800 1.800 0 1 0 0 3.600 1.800 1.800 0 0 0 0-3.600z",
  edit: "M3 13l.700-3L11 2.700 13.300 5 6 12.300z",
  crown: "M2.500 12.500h11M2.500 10 2 4.500l3.500 2.500L8 3l2.500 4L14 4.500 13.500 10z",
  help: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM6.300 6.300C6.400 5.300 7.100 4.800 8 4.800s1.700.600 1.700 1.500c0 1.300-1.700 1.300-1.700 2.700M8 11.200h.01",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}

export type Level = "passing" | "warning" | "critical" | "none";

export const toLevel = (status: string): Level =>
  status === "passing" || status === "warning" ? status : status === "" || status === "none" ? "none" : "critical";

export function Sign({ level, label }: { level: Level; label?: string }): JSX.Element {
  return (
    <svg class={`sign ${level}`} viewBox="0 0 16 16" role="img" aria-label={label ?? (level === "none" ? "no checks" : level)}>
      {level === "passing" && <circle class="fill" cx="8" cy="8" r="6.500" />}
      {level === "passing" && <path class="mark" d="M5 8.200l2.100 2.100L11 6" />}
      {level === "warning" && <path class="fill" d="M8 1.500 15 14H1z" />}
      {level === "warning" && <path class="mark" d="M8 6v4M8 11.900v.1" />}
      {level === "critical" && <path class="fill" d="M5.200 1.500h5.600l3.700 3.700v5.600l-3.700 3.700H5.200l-3.700-3.700V5.200z" />}
      {level === "critical" && <path class="mark" d="M5.600 5.600l4.800 4.800M10.400 5.600l-4.800 4.800" />}
      {level === "none" && <circle class="ring" cx="8" cy="8" r="5.500" />}
    </svg>
  );
}
