// Debian's Chromium for the tests in Python (its shell without windows, which has half the processes): reads one JSON object a
// line, {"id", "code", "args"}, runs the code (the body of an async function of page, context, args and the helpers below) and
// answers {"id", "value"} or {"id", "error"}. What the page says on its console, errors that nothing caught and requests that
// failed to be made are kept for the test to judge. What it says in passing (a toast, which goes after some seconds) is kept too:
// said(text) waits until it has been said since the last time. Waits are long: nothing but a slow machine makes use of them.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const PATIENCE = 90_000;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium-headless-shell", args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"], timeout: PATIENCE });
let context, page, seen;

async function fresh(options = {}) {
  await context?.close();
  seen = { errors: [], console: [], foreign: [], dialogs: [] };
  context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  await context.addInitScript(hear);
  page = await context.newPage();
  watch(page);
}

// In the page: keeps what toasts say.
function hear() {
  window.said = [];
  let box = null;
  const observer = new MutationObserver((changes) => {
    for (const c of changes) for (const n of c.addedNodes) if (n.classList?.contains("toast")) window.said.push(n.lastElementChild.textContent);
    if (box || !(box = document.querySelector(".toasts"))) return;
    observer.disconnect();
    observer.observe(box, { childList: true });
  });
  observer.observe(document, { childList: true, subtree: true });
}

async function said(text) {
  await page.waitForFunction((t) => {
    const at = window.said.indexOf(t);
    if (at >= 0) window.said.splice(0, at + 1);
    return at >= 0;
  }, text);
}

function watch(p) {
  const host = () => (p.url().startsWith("http") ? new URL(p.url()).host : "");
  p.setDefaultTimeout(PATIENCE);
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
    const value = await new AsyncFunction("page", "context", "args", "seen", "fresh", "watch", "said", code)(page, context, args, seen, fresh, watch, said);
    answer = { id, value: value === undefined ? null : value };
  } catch (error) {
    answer = { id, error: String(error.stack ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
