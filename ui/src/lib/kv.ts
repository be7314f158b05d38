// Keys: written with a check, imported and exported in the form of `consul kv export`, downloaded.
import { getJson, keyArg, request } from "./api";
import type { KvEntry } from "./types";

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
