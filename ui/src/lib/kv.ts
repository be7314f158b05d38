// Keys: written with a check, imported and exported in the form of `consul kv export`, downloaded.
import { getJson, keyArg, parseJson, request, writeJson } from "./api";
import { fromBase64 } from "./bytes";
import { ApiError, classify } from "./errors";
import type { KvEntry } from "./types";

// True: written. False: somebody else was first.
export async function put(key: string, value: string | Uint8Array, cas: number, flags: string): Promise<boolean> {
  const query = { cas: String(cas), flags: flags === "0" ? undefined : flags };
  return (await request(`kv/${keyArg(key)}`, { method: "PUT", body: value, query })).text.trim() === "true";
}

interface Exported {
  key: string;
  flags: number | string;
  value: string;
}

export async function exportFolder(prefix: string): Promise<string> {
  let entries: KvEntry[] = [];
  try {
    entries = await getJson<KvEntry[]>(`kv/${keyArg(prefix)}`, { query: { recurse: "" } });
  } catch (thrown) {
    if ((thrown as { kind?: string }).kind !== "missing") throw thrown;
  }
  return writeJson(entries.map((e): Exported => ({ key: e.Key, flags: e.Flags, value: e.Value ?? "" })), "\t");
}

export function readImport(text: string): Exported[] {
  let list: unknown;
  try {
    list = parseJson(text);
  } catch (error) {
    throw new Error(`This is not JSON: ${(error as Error).message}`);
  }
  if (!Array.isArray(list)) throw new Error("This is not what “consul kv export” writes: a list of keys.");
  return list.map((item: Partial<Exported> | null, i) => {
    if (!item || typeof item.key !== "string" || typeof (item.value ?? "") !== "string") throw new Error(`Entry ${i + 1} has no key or no value in base64.`);
    const value = item.value ?? "";
    const flags = item.flags ?? 0;
    if (!/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value)) throw new Error(`The value of “${item.key}” is not base64.`);
    if (!/^\d+$/.test(String(flags))) throw new Error(`The flags of “${item.key}” are no number.`);
    return { key: item.key, flags, value };
  });
}

// What a transaction says is in the JSON of its answer.
function refused(thrown: unknown): unknown {
  if (!(thrown instanceof ApiError) || !thrown.text.startsWith("{")) return thrown;
  const { Errors } = JSON.parse(thrown.text) as { Errors?: { What: string }[] | null };
  return Errors?.[0] ? classify(thrown.status, Errors[0].What) : thrown;
}

const LARGE = 400_000; // characters of base64

// In transactions of at most 64 keys and some 400 KiB, the server's limits; a value that is larger goes by itself. Says after each
// how far it is.
export async function importKeys(entries: Exported[], prefix: string, progress: (done: number) => void): Promise<void> {
  let batch: unknown[] = [];
  let size = 0;
  let done = 0;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    try {
      await request("txn", { method: "PUT", body: writeJson(batch) });
    } catch (thrown) {
      throw refused(thrown);
    }
    done += batch.length;
    progress(done);
    batch = [];
    size = 0;
  };
  for (const e of entries) {
    const key = prefix + e.key;
    if (batch.length === 64 || size + key.length + e.value.length > LARGE) await flush();
    if (e.value.length > LARGE) {
      await request(`kv/${keyArg(key)}`, { method: "PUT", body: fromBase64(e.value), query: { flags: String(e.flags) } });
      progress(++done);
      continue;
    }
    batch.push({ KV: { Verb: "set", Key: key, Value: e.value, Flags: e.flags } });
    size += key.length + e.value.length;
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
