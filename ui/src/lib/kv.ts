// Values of keys: base64 as the API has them, bytes, and text where they are text; import and export in the form of
// `consul kv export`.
import { getJson, keyArg, request } from "./api";
import type { KvEntry } from "./types";

export function fromBase64(text: string | null): Uint8Array {
  const raw = atob(text ?? "");
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

export function toBase64(bytes: Uint8Array): string {
  let raw = "";
  for (let i = 0; i < bytes.length; i += 32768) raw += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(raw);
}

export interface Text {
  text: string; // lines end with \n
  crlf: boolean; // in the value they end with \r\n
}

// null: these bytes are no text that a field could show and give back unchanged.
export function asText(bytes: Uint8Array): Text | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text)) return null;
    if (!text.includes("\r")) return { text, crlf: false };
    const lines = text.replace(/\r\n/g, "\n");
    // A field knows one kind of line end: a mixture would come back changed.
    return lines.includes("\r") || lines.replace(/\n/g, "\r\n") !== text ? null : { text: lines, crlf: true };
  } catch {
    return null;
  }
}

export const toBytes = (text: string, crlf: boolean): Uint8Array => new TextEncoder().encode(crlf ? text.replace(/\n/g, "\r\n") : text);

// Sixteen bytes a line: place, hex, and what is printable of them.
export function hexDump(bytes: Uint8Array, limit: number): string {
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, limit); at += 16) {
    const part = [...bytes.subarray(at, at + 16)];
    const hex = part.map((b) => b.toString(16).padStart(2, "0")).join(" ");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${part.map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : "·")).join("")}`);
  }
  return lines.join("\n");
}

// True: written. False: somebody else was first.
export async function put(key: string, value: string | Uint8Array, cas: number, flags: number): Promise<boolean> {
  const query = { cas: String(cas), flags: flags ? String(flags) : undefined };
  return (await request(`kv/${keyArg(key)}`, { method: "PUT", body: value, query })).text.trim() === "true";
}

interface Exported {
  key: string;
  flags: number;
  value: string;
}

export async function exportFolder(prefix: string): Promise<string> {
  let entries: KvEntry[] = [];
  try {
    entries = await getJson<KvEntry[]>(`kv/${keyArg(prefix)}`, { query: { recurse: "" } });
  } catch (thrown) {
    if ((thrown as { kind?: string }).kind !== "missing") throw thrown;
  }
  return JSON.stringify(entries.map((e): Exported => ({ key: e.Key, flags: e.Flags, value: e.Value ?? "" })), null, "\t");
}

export function readImport(text: string): Exported[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(list)) throw new Error("This is not what “consul kv export” writes: a list of keys.");
  return list.map((item: Partial<Exported> | null, i) => {
    if (!item || typeof item.key !== "string" || typeof (item.value ?? "") !== "string") throw new Error(`Entry ${i + 1} has no key or no value in base64.`);
    try {
      atob(item.value ?? "");
    } catch {
      throw new Error(`The value of “${item.key}” is not base64.`);
    }
    return { key: item.key, flags: Number(item.flags ?? 0), value: item.value ?? "" };
  });
}

// In transactions of at most 64 keys and some 400 KiB, the server's limits. Says after each how far it is.
export async function importKeys(entries: Exported[], prefix: string, progress: (done: number) => void): Promise<void> {
  let batch: unknown[] = [];
  let size = 0;
  let done = 0;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    await request("txn", { method: "PUT", body: batch });
    done += batch.length;
    progress(done);
    batch = [];
    size = 0;
  };
  for (const e of entries) {
    if (batch.length === 64 || size + e.value.length > 400_000) await flush();
    batch.push({ KV: { Verb: "set", Key: prefix + e.key, Value: e.value, Flags: e.flags } });
    size += e.value.length;
  }
  await flush();
}

export function download(name: string, content: string | Uint8Array, type: string): void {
  const url = URL.createObjectURL(new Blob([content as BlobPart], { type }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
