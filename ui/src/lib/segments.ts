// Names as parts of an address. Names may hold anything ("..", "//", "%2f"), and proxies like to tidy paths. So a part is written
// with "~" and two hex digits for what a proxy could change; nothing of that is ever percent-encoded.

const plain = /[A-Za-z0-9._@:+=,!$'()*-]/;

export function encodeSegment(name: string): string {
  if (name === "") return "~";
  if (name === "." || name === "..") return name.replace(/\./g, "~2E");
  let out = "";
  for (const char of name) {
    if (plain.test(char)) out += char;
    else for (const byte of new TextEncoder().encode(char)) out += "~" + byte.toString(16).toUpperCase().padStart(2, "0");
  }
  return out;
}

export function decodeSegment(segment: string): string {
  if (segment === "~") return "";
  const bytes: number[] = [];
  const raw = new TextEncoder().encode(decode(segment));
  for (let i = 0; i < raw.length; i++) {
    const hex = String.fromCharCode(raw[i + 1] ?? 0, raw[i + 2] ?? 0);
    if (raw[i] === 0x7e && /^[0-9A-Fa-f]{2}$/.test(hex)) {
      bytes.push(parseInt(hex, 16));
      i += 2;
    } else {
      bytes.push(raw[i]!);
    }
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a stray "%"
  }
}
