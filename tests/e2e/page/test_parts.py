"""Parts of the page that need no browser, in Node with random input: names in addresses, values as text and bytes, colours."""

import json
import os
import subprocess

from e2e.page.conftest import ROOT

CODE = r"""
import { encodeSegment, decodeSegment } from "./lib/segments";
import { asText, fromBase64, toBase64, toBytes, hexDump } from "./lib/bytes";
import { pieces, guess, type Language } from "./lib/highlight";
import { classify } from "./lib/errors";

let seed = Number(process.argv[2]);
const random = (n: number): number => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return (seed >> 8) % n; };
const alphabet = ["a", "B", "7", ".", "..", "/", "//", "~", "~2", "%", "%2F", " ", "?", "#", "&", "=", "ü", "🏛", "\"", "'", "<", "\\", "\n", "\r\n", "\t", "{", "}", "[", ":", "- ", "#c\n", "//c\n",
  "/*", "*/", "<<EOT\n", "EOT\n", "key", " = ", "true", "1.5e3", "-", ",", "\0"];
const text = (): string => Array.from({ length: random(12) }, () => alphabet[random(alphabet.length)]).join("");
const wrong: unknown[] = [];
let changed = 0;
for (let i = 0; i < 20000; i++) {
  const t = text();
  const segment = encodeSegment(t);
  // What no proxy and no browser tidies, and comes back the same.
  const path = new URL(`http://h/a/${segment}/b`).pathname;
  if (!/^[A-Za-z0-9._@:+=,!$'()*~-]+$/.test(segment) || path !== `/a/${segment}/b` || decodeURIComponent(path) !== path || decodeSegment(segment) !== t) wrong.push(["segment", t, segment, decodeSegment(segment)]);
  const bytes = new TextEncoder().encode(t);
  const read = asText(bytes);
  if (read && Buffer.compare(Buffer.from(toBytes(read.text, read.crlf)), Buffer.from(bytes)) !== 0) wrong.push(["text", t]);
  if (read?.text.includes("\r")) wrong.push(["a field would change this", t]);
  if (Buffer.compare(Buffer.from(fromBase64(toBase64(bytes))), Buffer.from(bytes)) !== 0) wrong.push(["base64", t]);
  if (hexDump(bytes, 1e6).split("\n").filter(Boolean).length !== Math.ceil(bytes.length / 16)) wrong.push(["hex", t]);
  for (const language of ["json", "yaml", "hcl", "text", guess("x", t)] as Language[]) {
    const cut = pieces(t, language);
    if (cut.map((p) => p.text).join("") !== t) wrong.push([language, t]);
    changed += cut.filter((p) => p.kind).length;
  }
}
const kinds = (t: string, l: Language): string => pieces(t, l).filter((p) => p.kind).map((p) => `${p.kind}:${p.text}`).join(" ");
console.log(JSON.stringify({ wrong: wrong.slice(0, 5), count: wrong.length, changed,
  json: kinds('{"a": [1, true, "x\\"y"]}', "json"), yaml: kinds("# c\na b: 12\n- 'x'\n", "yaml"), hcl: kinds('key "a/" { policy = "read" } # c', "hcl"),
  errors: [[500, "rpc error making call: rpc error getting client: failed to get conn: dial tcp 127.0.0.1:0->127.0.0.2:8300: connect: connection refused"], [500, "No cluster leader"], [500, "rpc error making call: EOF"],
    [500, "rpc error making call: Permission denied"], [403, "ACL not found"], [500, "No path to datacenter"], [503, "<html>"], [500, "rpc error making call: Invalid Policy: no EOF here"]].map(([s, t]) => classify(s as number, t as string).kind),
  guesses: [guess("a.yml", ""), guess("x", '{"a":1}'), guess("x", 'a = "b"'), guess("x", "hello"), guess("x", "a: b"), guess("x.json", "no")] }));
"""


def test_parts(tmp_path):
    source = tmp_path / "parts.ts"
    source.write_text(CODE.replace('"./lib/', '"%s/ui/src/lib/' % ROOT))
    esbuild = os.path.join(ROOT, "ui", "node_modules", "esbuild", "bin", "esbuild")
    subprocess.run([esbuild, str(source), "--bundle", "--format=esm", "--platform=node", "--log-level=error", "--outfile=%s" % (tmp_path / "parts.mjs")], check=True)
    for seed in ("1", str(int.from_bytes(os.urandom(3), "big"))):
        said = subprocess.run(["node", str(tmp_path / "parts.mjs"), seed], capture_output=True, text=True, timeout=300)
        assert said.returncode == 0, said.stderr
        got = json.loads(said.stdout)
        assert got["count"] == 0, (seed, got["wrong"])
        assert got["changed"] > 1000
    assert got["json"] == 'mark:{ key:"a" mark:: mark:[ number:1 mark:, word:true mark:, string:"x\\"y" mark:] mark:}'
    assert got["yaml"] == "comment:# c key:a b mark:: number:12 mark:- string:'x'"
    assert got["hcl"] == 'key:key string:"a/" mark:{ key:policy mark:= string:"read" mark:} comment:# c'
    assert got["guesses"] == ["yaml", "json", "hcl", "text", "yaml", "json"]
    assert got["errors"] == ["no-leader", "no-leader", "no-leader", "denied", "unknown-token", "other", "gone", "other"]
