// Debian's Chromium for the tests in Python (its shell without windows, which has half the processes): reads one JSON object a
// line, {"id", "code", "args"}, runs the code (the body of an async function of page, context, args and the helpers below) and
// answers {"id", "value"} or {"id", "error"}. What the page says on its console, errors that nothing caught and requests that
// failed to be made are kept for the test to judge.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium-headless-shell", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
let context, page, seen;

async function fresh(options = {}) {
  await context?.close();
  seen = { errors: [], console: [], foreign: [], dialogs: [] };
  context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  page = await context.newPage();
  watch(page);
}

function watch(p) {
  const host = () => (p.url().startsWith("http") ? new URL(p.url()).host : "");
  p.setDefaultTimeout(15000);
  p.on("pageerror", (error) => seen.errors.push(String(error.stack ?? error)));
  p.on("console", (m) => seen.console.push(`${m.type()}: ${m.text()}`));
  p.on("dialog", (d) => {
    seen.dialogs.push(`${d.type()}: ${d.message()}`);
    void (seen.refuse ? d.dismiss() : d.accept()).catch(() => undefined);
  });
  p.on("request", (r) => {
    const url = new URL(r.url());
    if (!["blob:", "data:"].includes(url.protocol) && host() && url.host !== host()) seen.foreign.push(r.url());
  });
}

await fresh();
const AsyncFunction = Object.getPrototypeOf(async () => undefined).constructor;
for await (const line of createInterface({ input: process.stdin })) {
  const { id, code, args } = JSON.parse(line);
  let answer;
  try {
    const value = await new AsyncFunction("page", "context", "args", "seen", "fresh", "watch", code)(page, context, args, seen, fresh, watch);
    answer = { id, value: value === undefined ? null : value };
  } catch (error) {
    answer = { id, error: String(error.stack ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
