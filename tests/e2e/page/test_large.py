"""Many: 10,000 services and a folder of 100,000 keys scroll as a short list does: nothing is missing, few rows are in the document, and a
frame costs no more. Frame times are measured and said (-rP shows them; docs/performance.md has those of a quiet machine)."""

import concurrent.futures
import json

import pytest

from e2e.page.conftest import put


@pytest.fixture(scope="module")
def crowd(shared_agents, praetor):
    agent = shared_agents(praetor, config={"ui": True}, name="crowd", dev=True).start()

    def keys(start):
        put(agent, "txn", [{"KV": {"Verb": "set", "Key": "many/key-%06d" % i, "Value": "eA=="}} for i in range(start, min(start + 64, 100_000))])

    def services(start):
        put(agent, "catalog/register", {"Node": "n%03d" % (start // 64 % 100), "Address": "10.0.0.1"})
        put(agent, "txn", [{"Service": {"Verb": "set", "Node": "n%03d" % (start // 64 % 100), "Service": {
            "ID": "s%05d" % i, "Service": "service-%05d" % i, "Tags": ["v%d" % (i % 7), "team-%d" % (i % 40)], "Port": 80}}} for i in range(start, min(start + 64, 10_000))])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(keys, range(0, 100_000, 64)))
        list(pool.map(services, range(0, 10_000, 64)))
    return agent


# Scrolls as a wheel does, two screens a second and then in leaps, and notes how long each frame took.
SCROLL = """
    return await page.evaluate(async () => {
      const box = document.querySelector(".scroller");
      const frames = [];
      let last = performance.now(), at = 0, most = 0;
      for (let i = 0; i < 240; i++) {
        box.scrollTop += i < 180 ? 60 : box.scrollHeight / 80;
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        frames.push(now - last);
        last = now;
        most = Math.max(most, document.querySelectorAll("[data-row]").length);
        // No hole: a row covers the middle of the box.
        const r = box.getBoundingClientRect();
        if (!document.elementFromPoint(r.left + 40, r.top + r.height / 2)?.closest("[data-row]")) at++;
      }
      frames.sort((a, b) => a - b);
      return {median: frames[120], p95: frames[228], worst: frames[239], holes: at, rows: most};
    });"""


def measured_scroll(browser):
    """One round: wall times of frames, and the processor's time that the page took for one, which others cannot lengthen much."""
    return browser.run("""
        globalThis.devtools ??= await context.browser().newBrowserCDPSession();
        const cpu = async () => (await devtools.send("SystemInfo.getProcessInfo")).processInfo.filter((p) => p.type === "renderer").reduce((sum, p) => sum + p.cpuTime, 0);
        await page.evaluate(() => { document.querySelector(".scroller").scrollTop = 0; });
        await page.waitForTimeout(300);
        const before = await cpu();
        const got = await (async () => {%s})();
        return {...got, cpu: (await cpu() - before) * 1000 / 240};""" % SCROLL)


def filtered(browser, text):
    browser.run("""
        const rows = (await page.locator(".scroller > .runway").boundingBox()).height;
        await page.getByRole("searchbox").fill(args.text);
        await page.waitForFunction((h) => document.querySelector(".scroller > .runway").getBoundingClientRect().height !== h, rows);
        await page.waitForTimeout(300);""", text=text)


def smooth(browser, record_property, what, few):
    """A frame of the long list takes about the processor's time of one of a list that is a tenth as long or less (the best of two
    rounds each, of more where others get in the way: a ratio, whatever else the machine does)."""
    long, short = [], []

    def more(rounds):
        long.extend(measured_scroll(browser) for _ in range(rounds))
        filtered(browser, few)
        short.extend(measured_scroll(browser) for _ in range(rounds))
        filtered(browser, "")
        return min(r["cpu"] for r in long) < 2.5 * min(r["cpu"] for r in short)
    even = more(2) or more(1) or more(1) or more(1)
    best = min(long, key=lambda r: r["p95"])
    record(record_property, what, best)
    assert all(r["holes"] == 0 for r in long), "rows were missing while scrolling"
    assert all(r["rows"] < 120 for r in long), "only what is in sight may be in the document"
    assert even, (long, short)


def record(record_property, what, got):
    record_property(what, json.dumps(got))
    print("%s: %s" % (what, json.dumps(got)))


def test_ten_thousand_services(browser, crowd, record_property):
    browser.open("http://%s:8500/ui/dc1/services" % crowd.ip)
    browser.run('await page.getByText("10,001 services").waitFor({timeout: 180000}); await page.waitForTimeout(1000)')
    smooth(browser, record_property, "services", "v3")
    browser.run("""
        await page.getByRole("searchbox").fill("09876");
        await page.waitForFunction(() => document.querySelectorAll("[data-row]").length === 1);""")


def test_hundred_thousand_keys(browser, crowd, record_property):
    browser.open("http://%s:8500/ui/dc1/kv/many/" % crowd.ip)
    browser.run('await page.getByText("100,000 names").waitFor({timeout: 180000}); await page.waitForTimeout(1000)')
    smooth(browser, record_property, "keys", "key-000")
    # By keyboard to the very end, and into the last key.
    browser.run("""
        await page.locator(".scroller").focus();
        await page.keyboard.press("End");
        await page.waitForFunction(() => document.activeElement.textContent === "key-099999");
        await page.keyboard.press("Enter");
        await page.getByRole("article", {name: "Key many/key-099999"}).waitFor();""")
