// Values of keys: base64 as the API has them, bytes, and text where they are text.

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
