"""Every view of the page against a real cluster without access control: what it shows, its link, how it looks in light, dark and
at a phone's width, whether all of it is named and legible, and that nothing is wider than the screen."""

import os

import pytest

from e2e.harness import until

# view -> (address below dc1/, what must be in sight)
VIEWS = {
    "services": ("services", ["checkout-sidecar-proxy", "postgres", "pg15"]),
    "service": ("services/postgres?open=db-1%2Fpostgres", ["connection refused", "Runbook: postgres-down", "replica", "10.2.0.6:5432", "2.4.1"]),
    "nodes": ("nodes", ["web-1", "10.2.0.4", "leader", "rack=r1"]),
    "node": ("nodes/roma-1", ["Serf Health Status", "Agent alive and reachable"]),
    "node-services": ("nodes/web-2?tab=services", ["catalog-api", "10.2.0.5:9090"]),
    "node-round-trips": ("nodes/roma-1?tab=rtt", ["roma-2", "roma-3", "median"]),
    "node-sessions": ("nodes/roma-1?tab=sessions", ["leader election", "not renewed for 3600s"]),
    "node-metadata": ("nodes/web-1?tab=meta", ["rack", "debian-12"]),
    "keys": ("kv", ["config", "service", "secrets"]),
    "key": ("kv/config/checkout/settings.json", ["settings.json", "\"currency\"", "JSON"]),
    "key-yaml": ("kv/config/checkout/flags.yaml", ["new-basket", "rollout"]),
    "key-binary": ("kv/secrets/logo.png", ["Not text", "89 50 4e 47"]),
    "key-locked": ("kv/service/checkout/leader", ["Locked", "leader election"]),
    "new-key": ("kv/config/?new=1", ["New key", "Create"]),
    "sessions": ("sessions", ["leader election", "released"]),
    "cluster": ("cluster", ["1 of 3 may fail", "roma-1", "roma-2", "roma-3", "Last index", "up to date"]),
    "members": ("cluster?tab=members", ["alive", "server", "roma-3"]),
    "agent": ("cluster?tab=agent", ["raft", "applied_index", "roma-1"]),
    "map": ("map?node=roma-1", ["roma-2", "roma-3", "Round trip"]),
    "log": ("logs?level=debug", ["agent.", "debug"]),
    "metrics": ("metrics", ["Commit latency", "Memory", "consul.runtime.alloc_bytes"]),
    "intentions": ("intentions?source=mailer&destination=postgres", ["checkout → postgres", "* → postgres", "must go through the API"]),
    "new-intention": ("intentions/new?destination=postgres", ["New intention", "postgres", "Create"]),
    "service-intentions": ("services/postgres?tab=intentions", ["mailer → postgres", "checkout → *", "New intention"]),
    "service-routing": ("services/checkout?tab=routing", ["path begins with /admin, and method is GET or PUT", "header x-debug is there", "90 %", "10 %", "catalog-api", "in dc2", "v2", "at most 5 s"]),
    "service-routing-plain": ("services/redis?tab=routing", ["Every request goes to", "redis", "Protocol tcp", "connects within 5 s"]),
    "access-control-off": ("tokens", ["Access control is off in this cluster."]),
}

# What a reader of the screen hears or sees: controls without a name, pictures without a text, letters too pale.
AUDIT = r"""
return await page.evaluate(() => {
  const wrong = [];
  const seen = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== "hidden";
  const nameOf = (e) => e.getAttribute("aria-label") || e.labels?.[0]?.textContent || e.title || e.textContent || e.getAttribute("alt") || "";
  for (const e of document.querySelectorAll("a, button, input, select, textarea, [role=button], [role=tab]"))
    if (seen(e) && !nameOf(e).trim()) wrong.push("no name: " + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll("svg"))
    if (!e.closest("[aria-hidden=true]") && !e.hasAttribute("aria-label")) wrong.push("picture without a text: " + e.outerHTML.slice(0, 120));
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  if (!document.documentElement.lang) wrong.push("no language");
  const rgb = (c) => { const n = c.match(/[\d.]+/g).map(Number); const k = c.startsWith("color(") ? 255 : 1; return [n[0] * k, n[1] * k, n[2] * k, n[3] ?? 1]; };
  const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] > 0.99) return c; } return [255, 255, 255, 1]; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const told = new Set();
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !seen(e) || e.closest("svg, button:disabled, textarea, noscript, option, .hidden-word, .skip")) continue;
    const a = lum(rgb(getComputedStyle(e).color)), b = lum(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const what = e.tagName + "." + e.className;
    if (ratio < 4.5 && !told.has(what)) { told.add(what); wrong.push(`contrast ${ratio.toFixed(2)}: ${what} "${walk.currentNode.data.trim().slice(0, 40)}"`); }
  }
  return wrong;
});
"""
WIDTH = "return await page.evaluate(() => [document.documentElement.scrollWidth, document.querySelector('main').scrollWidth, document.querySelector('main').clientWidth])"


def fits(browser, width=360):
    """Nothing is wider than the screen, once it is laid out."""
    def laid_out():
        page, inner, room = browser.run(WIDTH)
        return page <= width and inner <= room
    until("nothing is wider than the screen", laid_out, 30)


def show(browser, cluster, path, texts):
    browser.open(cluster.url + "dc1/" + path)
    for text in texts:
        browser.run("""
            await page.waitForFunction((t) => {
              const fields = [...document.querySelectorAll("main textarea, main select, main input")].map((f) => f.value).join("\\n");
              return (document.querySelector("main")?.innerText + fields).includes(t);
            }, args.text)""", text=text)


def shoot(browser, shots, name):
    browser.run("await page.waitForTimeout(300); await page.screenshot({path: args.path})", path=os.path.join(shots, name + ".png"))


@pytest.mark.parametrize("view", VIEWS)
def test_view(browser, settled, shots, view):
    path, texts = VIEWS[view]
    show(browser, settled, path, texts)
    assert browser.run(AUDIT) == []
    if view in ("services", "metrics") and "PRAETOR_SCREENSHOTS" in os.environ:  # pictures over time need some
        browser.run("await page.waitForTimeout(12000)")
    shoot(browser, shots, view)


@pytest.mark.parametrize("view", ["services", "service", "key", "cluster", "metrics", "map", "access-control-off"])
def test_dark(browser, settled, shots, view):
    browser.fresh(colorScheme="dark")
    show(browser, settled, *VIEWS[view])
    assert browser.run(AUDIT) == []
    shoot(browser, shots, view + "-dark")


@pytest.mark.parametrize("view", VIEWS)
def test_phone(browser, settled, shots, view):
    browser.fresh(viewport={"width": 360, "height": 740}, hasTouch=True)
    path, texts = VIEWS[view]
    show(browser, settled, path, texts[:1])
    fits(browser)
    if view in ("services", "service", "key", "cluster"):
        shoot(browser, shots, view + "-phone")


def test_menu_on_a_phone(browser, settled):
    browser.fresh(viewport={"width": 360, "height": 740}, hasTouch=True)
    show(browser, settled, *VIEWS["services"])
    browser.run("""
        await page.getByRole("button", {name: "Menu"}).click();
        await page.getByRole("link", {name: "Cluster"}).click();
        await page.getByText("1 of 3 may fail").waitFor();
        if (await page.getByRole("link", {name: "Network map"}).isVisible()) throw new Error("the menu stayed");""")


def test_filters_are_in_the_address(browser, settled):
    show(browser, settled, *VIEWS["services"])
    browser.run("""
        await page.getByRole("searchbox").fill("pg15");
        await page.getByRole("button", {name: /Critical/}).click();
        await page.getByLabel("Tag", {exact: true}).selectOption("primary");
        await page.waitForFunction(() => document.querySelectorAll("[data-row]").length === 1);
        await page.reload();
        await page.getByText("1 of ").waitFor();
        const url = new URL(page.url());
        if (url.search !== "?q=pg15&health=critical&tag=primary") throw new Error(url.search);
        if (await page.locator("[data-row]").count() !== 1) throw new Error("not the same after a reload");
        await page.getByRole("link", {name: "postgres"}).click();
        await page.getByText("postgres-down").or(page.getByText("10.2.0.6:5432")).first().waitFor();
        await page.goBack();
        await page.getByText("1 of ").waitFor();""")


def test_kind_filter_and_worst_first(browser, settled):
    show(browser, settled, *VIEWS["services"])
    browser.run("""
        await page.getByLabel("Kind", {exact: true}).selectOption("connect-proxy");
        await page.waitForFunction(() => document.querySelectorAll("[data-row]").length === 1);
        await page.getByLabel("Kind", {exact: true}).selectOption("");
        await page.getByLabel("Sort", {exact: true}).selectOption("health");
        await page.waitForFunction(() => document.querySelector('[data-row="0"]').textContent.includes("postgres"));""")


def test_search_box_and_keys(browser, settled, shots):
    show(browser, settled, *VIEWS["services"])
    browser.run("""
        await page.keyboard.press("Control+k");
        await page.getByRole("combobox", {name: "Search everything"}).fill("config/ch");
        await page.getByRole("option", {name: /config\\/checkout\\//}).waitFor();
        for (const [typed, name] of [["leader el", /leader election.*Sessions/], ["mailer →", /mailer → postgres.*Intentions/], ["dc1", /dc1.*Datacenters/]]) {
          await page.getByRole("combobox", {name: "Search everything"}).fill(typed);
          await page.getByRole("option", {name}).waitFor();
        }
        await page.getByRole("combobox", {name: "Search everything"}).fill("web");
        await page.getByRole("option", {name: /web-2/}).waitFor();""")
    shoot(browser, shots, "search")
    browser.run("""
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("Enter");
        await page.getByRole("heading", {name: /web-2/}).waitFor();
        // The second key counts for a moment behind the first: again, if the machine was too slow.
        const heading = page.getByRole("heading", {name: "Keys and values"});
        for (let i = 0; i < 20 && !(await heading.isVisible()); i++) {
          await page.keyboard.press("g");
          await page.keyboard.press("k");
          await heading.waitFor({timeout: 3000}).catch(() => undefined);
        }
        await heading.waitFor();
        await page.keyboard.press("/");
        await page.keyboard.type("secr");
        await page.waitForFunction(() => document.querySelectorAll("[data-row]").length === 1);
        await page.keyboard.press("Tab");
        await page.keyboard.press("ArrowDown");
        await page.keyboard.press("Enter");
        await page.getByText("logo.png").waitFor();
        await page.keyboard.press("Escape");
        await page.keyboard.press("?");
        await page.getByRole("dialog", {name: "Keyboard"}).waitFor();
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({state: "detached"});""")


def test_focus_goes_along(browser, settled):
    """What is typed right after Ctrl-K is typed there; where a view that had the focus is gone, the next one's heading has it."""
    show(browser, settled, *VIEWS["services"])
    browser.run("""
        await page.evaluate(() => {
          const press = (key, more) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, ...more}));
          press("k", {ctrlKey: true});
          return Promise.resolve().then(() => { if (document.activeElement.getAttribute("role") !== "combobox") throw new Error("the box opens too late"); });
        });
        await page.keyboard.type("web-2");
        await page.getByRole("option", {name: /web-2/}).waitFor();
        await page.keyboard.press("Enter");
        await page.waitForFunction(() => document.activeElement.matches("h1") && document.activeElement.textContent.includes("web-2"));
        await page.goBack();
        await page.locator("[data-row] a", {hasText: "postgres"}).focus();
        await page.keyboard.press("Enter");
        await page.waitForFunction(() => document.activeElement.matches("h1") && document.activeElement.textContent.includes("postgres"));""")


def test_letters_twice_as_large(browser, settled):
    """As the browser's own setting has them: nothing is cut off or lies over another."""
    show(browser, settled, *VIEWS["services"])
    browser.run("""
        const cdp = await context.newCDPSession(page);
        await cdp.send("Page.setFontSizes", {fontSizes: {standard: 32, fixed: 26}});""")
    for path in ("services", "kv/config/checkout/settings.json", "cluster"):
        browser.open(settled.url + "dc1/" + path)
        wrong = browser.run("""
            await page.locator("main h1").waitFor();
            await page.waitForTimeout(400);
            const wrong = () => page.evaluate(() => {
              const out = [];
              const h1 = document.querySelector("main h1").getBoundingClientRect();
              if (h1.height > 150) out.push("heading " + h1.height);
              for (const row of document.querySelectorAll("[data-row]")) {
                const cells = [...row.children].map((c) => [c.getBoundingClientRect(), c.textContent]).filter(([r, text]) => text && r.height);
                for (const [a, text] of cells) {
                  if (a.bottom > row.getBoundingClientRect().bottom + 1) out.push(text);
                  for (const [b, other] of cells) if (b.left > a.left - 1 && b.left < a.right - 2 && b.top > a.top && b.top < a.bottom - 3) out.push(text + " lies over " + other);
                }
              }
              return out;
            });
            let found = await wrong(); // it may not be laid out yet
            for (let i = 0; i < 100 && found.length; i++) {
              await page.waitForTimeout(100);
              found = await wrong();
            }
            return found;""")
        assert wrong == [], path


def test_commands_to_copy(browser, settled, shots):
    """What is shown, as curl: the command, run, gives it."""
    import subprocess
    show(browser, settled, *VIEWS["key"])
    commands = browser.run("""
        await page.keyboard.press("Escape");
        await page.locator("main h1").focus();
        await page.keyboard.press("c");
        await page.getByRole("dialog").waitFor();
        return await page.locator(".commandline code").allInnerTexts();""")
    shoot(browser, shots, "commands")
    curl = [c for c in commands if c.startswith("curl") and "raw" in c][0]
    assert b'"currency": "EUR"' in subprocess.run(["sh", "-c", curl.replace("curl", "curl -s", 1)], capture_output=True, timeout=60).stdout
    cli = [c for c in commands if c == "consul kv get config/checkout/settings.json"]
    assert cli, commands
    assert b'"currency": "EUR"' in settled.servers[0].cli(*cli[0].split()[1:]).stdout


def test_all_by_keyboard(browser, settled):
    """Tab reaches everything that can be pressed, in the order of the page, and what has the focus shows it."""
    show(browser, settled, *VIEWS["cluster"])
    order = browser.run("""
        const out = [];
        for (let i = 0; i < 60; i++) {
          await page.keyboard.press("Tab");
          const at = await page.evaluate(() => { const e = document.activeElement; if (!e || e === document.body) return null;
            const s = getComputedStyle(e); return [e.textContent.trim() || e.ariaLabel, s.outlineStyle !== "none" || s.boxShadow !== "none"]; });
          if (!at) break;
          out.push(at);
        }
        return out;""")
    names = [name for name, _ in order]
    for name in ("Skip to the content", "Services", "Nodes", "Servers", "roma-1", "roma-3"):
        assert name in names, names
    assert names.index("Services") < names.index("Servers") < names.index("roma-1")
    assert all(visible for _, visible in order), order
