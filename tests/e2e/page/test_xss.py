"""Names, tags, keys, values and outputs that try to be markup or script: all are shown as the text that they are, and nothing runs."""

from urllib.parse import quote

from e2e.page.conftest import intend, put

EVIL = ["<script>window.pwned=1</script>", "<img src=x onerror=window.pwned=1>", "\"><svg onload=window.pwned=1>", "javascript:window.pwned=1",
        "'-window.pwned=1-'", "{{constructor.constructor('window.pwned=1')()}}", "</textarea><script>window.pwned=1</script>", "%3Cscript%3Ewindow.pwned=1%3C/script%3E"]

CHECK = """
    const bad = await page.evaluate(() => [window.pwned ?? null, document.querySelectorAll("script:not([src])").length, document.querySelectorAll("main img, iframe, object, embed").length,
      [...document.querySelectorAll("a")].filter((a) => !/^https?:$/.test(a.protocol)).length, [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((t) => t.name.startsWith("on"))).length]);
    return bad;"""


def look(browser, url, text):
    browser.open(url)
    browser.run("""await page.waitForFunction((t) => [...document.querySelectorAll("main *")].some((e) => (e.value ?? e.textContent).includes(t)), args.text)""", text=text)
    browser.run("await page.waitForTimeout(200)")
    assert browser.run(CHECK) == [None, 0, 0, 0, 0], url


def test_nothing_runs(browser, settled):
    cluster = settled
    server = cluster.servers[0]
    for i, evil in enumerate(EVIL):
        put(server, "catalog/register", {
            "Node": "n%d %s" % (i, evil), "Address": evil, "NodeMeta": {"evil": evil},
            "Service": {"ID": "id%d %s" % (i, evil), "Service": "s%d %s" % (i, evil), "Tags": [evil, "b" + evil], "Meta": {"m": evil}, "Address": evil, "Port": 1},
            "Checks": [{"Node": "n%d %s" % (i, evil), "CheckID": "c" + evil, "Name": "N" + evil, "Status": "critical", "Output": "O" + evil, "Notes": evil,
                        "ServiceID": "id%d %s" % (i, evil)}]})
        put(server, "kv/evil/" + quote(evil, safe=""), evil.encode())
        put(server, "session/create", {"Name": "E" + evil, "Node": server.name})
        intention = intend(server, "i%d %s" % (i, evil), "j%d %s" % (i, evil), "deny", "D" + evil)
    from e2e.page.test_xss import EVIL as all_evil
    for view in ("services", "nodes", "kv/evil/", "sessions", "intentions", "intentions/" + intention, "map", "cluster?tab=members"):
        look(browser, cluster.url + "dc1/" + view, "pwned" if view not in ("map", "cluster?tab=members") else "roma-1")
    for i, evil in enumerate(all_evil):
        for view, text in (("services", "s%d %s" % (i, evil)), ("nodes", "n%d %s" % (i, evil))):
            browser.open(cluster.url + "dc1/%s?q=%s" % (view, quote(text)))
            browser.run("""
                await page.locator("[data-row] a").first().click();
                await page.waitForFunction((t) => document.querySelector("main h1").textContent.includes(t), args.text);
                await page.waitForFunction((t) => document.querySelector("main").textContent.includes(t), "O" + args.evil);""", text=text, evil=evil)
            assert browser.run(CHECK) == [None, 0, 0, 0, 0], text
        # The key: the field holds the text, coloured or not.
        browser.open(cluster.url + "dc1/kv/evil/")
        browser.run("""
            await page.getByRole("searchbox").fill(args.evil.split("/")[0]);
            await page.locator("[data-row] a").first().waitFor();""", evil=evil)
        assert browser.run(CHECK) == [None, 0, 0, 0, 0], evil
    # And what the search box finds, and the filter of an address says.
    browser.open(cluster.url + "dc1/services?q=" + quote(EVIL[1]) + "&health=" + quote(EVIL[0]) + "&tag=" + quote(EVIL[2]))
    browser.run('await page.keyboard.press("Control+k"); await page.getByRole("combobox", {name: "Search everything"}).fill("pwned"); await page.locator("[role=option]", {hasText: "pwned"}).first().waitFor()')
    assert browser.run(CHECK) == [None, 0, 0, 0, 0]
    browser.open(cluster.url + quote(EVIL[0], safe="") + "/" + quote(EVIL[1], safe=""))
    browser.run("await page.waitForTimeout(500)")
    assert browser.run(CHECK) == [None, 0, 0, 0, 0]


def test_a_script_that_got_in_would_not_run(browser, cluster):
    """The second wall: the content policy refuses scripts and styles that are not files of the page."""
    browser.open(cluster.url + "dc1/services")
    ran = browser.run("""
        return await page.evaluate(async () => {
          const s = document.createElement("script"); s.textContent = "window.pwned = 1"; document.body.append(s);
          const i = document.createElement("div"); i.innerHTML = "<img src=x onerror='window.pwned=1'>"; document.body.append(i);
          let evaluated = 0; // later, since the debugger's own call may evaluate
          await new Promise((r) => setTimeout(() => { try { (0, eval)("window.pwned = 1"); evaluated = 1; } catch {} r(); }));
          let elsewhere = 0; try { await fetch("http://127.51.250.250:9/"); elsewhere = 1; } catch {}
          await new Promise((r) => setTimeout(r, 300));
          return [window.pwned ?? null, evaluated, elsewhere];
        });""")
    assert ran == [None, 0, 0]
    browser.fresh()  # what this test provoked is no fault of the page
