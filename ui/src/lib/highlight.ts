// Colours for JSON, YAML and HCL: a text is cut into pieces, each with a class. Not a parser: it never fails, and what it does not
// know is plain. All pieces together are the text.

export type Language = "json" | "yaml" | "hcl" | "text";
export interface Piece {
  text: string;
  kind: "" | "key" | "string" | "number" | "word" | "comment" | "mark";
}

export const LIMIT = 100_000; // longer texts stay plain: colouring each keystroke would be slow

// In order; the first that matches at a place wins.
const rules: Record<Exclude<Language, "text">, [RegExp, Piece["kind"]][]> = {
  json: [
    [/"(?:[^"\\\n]|\\.)*"(?=\s*:)/y, "key"],
    [/"(?:[^"\\\n]|\\.)*"?/y, "string"],
    [/-?\d[\d.eE+-]*/y, "number"],
    [/\b(?:true|false|null)\b/y, "word"],
    [/[{}[\],:]/y, "mark"],
  ],
  yaml: [
    [/#[^\n]*/y, "comment"],
    [/(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z_][\w .\/-]*?)(?=:(?:\s|$))/my, "key"],
    [/"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?/y, "string"],
    [/\b-?\d[\d._eE+-]*\b/y, "number"],
    [/\b(?:true|false|null|yes|no|on|off)\b|~/iy, "word"],
    [/^---|^\.\.\.|[-?:|>&*!{}[\],](?=\s|$)/my, "mark"],
  ],
  hcl: [
    [/#[^\n]*|\/\/[^\n]*|\/\*[^]*?(?:\*\/|$)/y, "comment"],
    [/<<-?(\w+)\n[^]*?(?:\n\s*\1(?=\n|$)|$)/y, "string"],
    [/[A-Za-z_][\w-]*(?=\s*(?:=|\{|"))/y, "key"],
    [/"(?:[^"\\\n]|\\.)*"(?=\s*=)/y, "key"],
    [/"(?:[^"\\\n]|\\.)*"?/y, "string"],
    [/-?\d[\w.]*/y, "number"],
    [/\b(?:true|false)\b/y, "word"],
    [/[{}[\],=]/y, "mark"],
  ],
};

// A word is skipped whole, so that a number inside of one is no number.
const skip = /[A-Za-z_][\w.-]*|\s+|[^]/y;

export function pieces(text: string, language: Language): Piece[] {
  if (language === "text" || text.length > LIMIT) return [{ text, kind: "" }];
  const out: Piece[] = [];
  let plain = "";
  let at = 0;
  while (at < text.length) {
    let found: Piece | null = null;
    for (const [rule, kind] of rules[language]) {
      rule.lastIndex = at;
      const match = rule.exec(text);
      if (match && match[0].length > 0) {
        found = { text: match[0], kind };
        break;
      }
    }
    if (!found) {
      skip.lastIndex = at;
      const word = skip.exec(text)![0];
      plain += word;
      at += word.length;
      continue;
    }
    if (plain) out.push({ text: plain, kind: "" });
    plain = "";
    out.push(found);
    at += found.text.length;
  }
  if (plain) out.push({ text: plain, kind: "" });
  return out;
}

// What a value most likely is: by its name, else by its look.
export function guess(name: string, text: string): Language {
  const end = /\.(json|ya?ml|hcl|tf|nomad)$/i.exec(name)?.[1]?.toLowerCase();
  if (end === "json") return "json";
  if (end === "yml" || end === "yaml") return "yaml";
  if (end) return "hcl";
  const head = text.slice(0, 4000).trim();
  if (/^[[{]/.test(head)) {
    try {
      JSON.parse(text);
      return "json";
    } catch {
      return /^\{\s*"/.test(head) ? "json" : "text";
    }
  }
  if (/^---\s/.test(head) || /^[A-Za-z_][\w-]*:(\s|$)/m.test(head)) return "yaml";
  if (/^[A-Za-z_][\w-]*(\s+"[^"]*")*\s*(=|\{)/m.test(head)) return "hcl";
  return "text";
}

export function fault(text: string, language: Language): string {
  if (language !== "json" || text.trim() === "") return "";
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return (error as Error).message;
  }
}
