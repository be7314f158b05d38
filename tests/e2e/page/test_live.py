"""The page follows the cluster by itself: changes appear without a reload and without anything being drawn anew, a leader that dies
is got over, an agent that is gone is said and waited for, and what was typed stays."""

from e2e.harness import until
from e2e.page.conftest import make_cluster, populate, put, register

HOLD = 'await page.locator(`[data-row] a`, {hasText: "checkout"}).first().evaluate((e) => (window.kept = e))'


def test_changes_appear_without_flicker(browser, cluster):
    browser.open(cluster.url + "dc1/services")
    browser.run('await page.getByRole("link", {name: "mailer"}).waitFor();' + HOLD)
    browser.run("""
        await page.evaluate(() => {
          window.blank = 0;
          new MutationObserver(() => { if (document.querySelectorAll("[data-row]").length === 0) window.blank++; }).observe(document.body, {childList: true, subtree: true});
        })""")
    register(cluster.servers[0], "db-1", "10.2.0.6", "aurora", 80, ["new"], "", [("HTTP", "critical")])
    browser.run('await page.getByRole("link", {name: "aurora"}).waitFor()')
    register(cluster.servers[0], "db-1", "10.2.0.6", "aurora", 80, ["new"], "", [("HTTP", "passing")])
    browser.run("""await page.waitForFunction(() => [...document.querySelectorAll("[data-row]")].some((r) =>
        r.textContent.includes("aurora") && !r.querySelector(".sign.critical")))""")
    # The history shows that it was critical for a while.
    browser.run("""await page.waitForFunction(() => [...document.querySelectorAll("[data-row]")].some((r) =>
        r.textContent.includes("aurora") && r.querySelector(".spark rect.critical")))""")
    put(cluster.servers[0], "catalog/deregister", {"Node": "db-1", "ServiceID": "aurora"})
    browser.run('await page.getByRole("link", {name: "aurora"}).waitFor({state: "detached"})')
    same, blank = browser.run("return await page.evaluate(() => [window.kept.isConnected, window.blank])")
    assert same, "the row of a service that did not change was made anew"
    assert blank == 0, "the list was empty in between"


def test_waits_are_few(browser, cluster):
    """Whatever is shown, at most four connections wait, so that the page can always ask."""
    browser.run("""
        const waiting = new Set();
        globalThis.waits = {waiting, most: 0};
        page.on("request", (r) => { if (r.url().includes("wait=")) { waiting.add(r); waits.most = Math.max(waits.most, waiting.size); } });
        const done = (r) => waiting.delete(r);
        page.on("requestfinished", done); page.on("requestfailed", done);
        // With another document those of the one before are gone, whenever that is said.
        page.on("response", (r) => { if (r.request().isNavigationRequest()) waiting.clear(); });""")
    browser.open(cluster.url + "dc1/map")
    until("something waits", lambda: browser.run("return waits.waiting.size") > 0)
    for path in ("kv/config/motd", "nodes/roma-1?tab=rtt", "sessions", "nodes/roma-1?tab=sessions", "kv/service/checkout/leader"):
        browser.open(cluster.url + "dc1/" + path)
        browser.run("await page.waitForTimeout(600)")
    most = browser.run("return waits.most")
    assert 1 <= most <= 4, most


def test_windows_share_the_connections(browser, cluster):
    """Two windows side by side, all of whose queries wait: a save must not wait with them (a browser has six connections to a host)."""
    put(cluster.servers[0], "kv/both", b"one")
    open_both = """
        globalThis.second = await context.newPage();
        watch(second);
        const waiting = new Set();
        for (const p of [page, second]) {
          p.on("request", (r) => { if (r.url().includes("wait=")) waiting.add(r); });
          for (const end of ["requestfinished", "requestfailed"]) p.on(end, (r) => waiting.delete(r));
        }
        for (const p of [page, second]) await p.goto(args.url);
        for (const p of [page, second]) await p.getByLabel("Value of both").waitFor();
        await page.waitForTimeout(1500);
        // Four of the six connections at most, once both know of each other.
        for (let i = 0; i < 600 && waiting.size > 4; i++) await page.waitForTimeout(100);
        if (waiting.size > 4) throw new Error(waiting.size + " wait");"""
    browser.run(open_both, url=cluster.url + "dc1/kv/both")
    browser.run("""
        await page.getByLabel("Value of both").fill("mine");
        await second.getByLabel("Value of both").fill("other");
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");
        await second.getByText("Somebody else has changed this key meanwhile.").waitFor();
        if (await second.getByLabel("Value of both").inputValue() !== "other") throw new Error("lost");
        await second.close();""")
    assert cluster.servers[0].get("/v1/kv/both?raw").body == b"mine"


def test_leader_dies(browser, shared_agents, praetor, shots):
    cluster = make_cluster(shared_agents, praetor, "ostia-", multiplier=5)
    leader = cluster.leader()
    follower = cluster.followers()[0]
    populate(follower)
    url = "http://%s:8500/ui/dc1/" % follower.ip
    browser.open(url + "kv/config/motd")
    browser.run('await page.getByLabel("Value of config/motd").fill("typed before the leader died")')
    leader.kill()
    cluster.wait_leader([s for s in cluster.servers if s is not leader], but=leader.raft, seconds=120)
    # The same window, no reload: what was typed is there and can be saved now.
    def saved():
        # Nothing is left to press when the one before is still under way, or was done.
        browser.run('await page.getByRole("button", {name: "Save"}).click({timeout: 1000}).catch(() => undefined); await page.waitForTimeout(500)')
        return b"typed before" in follower.get("/v1/kv/config/motd?raw").body
    until("saved by the next leader", saved, 120)
    assert browser.seen()["dialogs"] == []
    browser.open(url + "cluster")
    browser.run('await page.getByText("No further server may fail").waitFor({timeout: 180000})')
    browser.run('await page.screenshot({path: args.path})', path=shots + "/cluster-one-failed.png")

    # Another one: no quorum, no leader.
    other = [s for s in cluster.alive() if s is not follower][0]
    other.kill()
    browser.open(url + "kv/config/motd")
    browser.run("""await page.waitForFunction(() => /no leader/.test(document.querySelector(".connection").textContent)
        && /The cluster has no leader/.test(document.querySelector(".stage").textContent), null, {timeout: 180000})""")
    browser.run('await page.screenshot({path: args.path})', path=shots + "/no-leader.png")
    other.launch()
    browser.run("""await page.waitForFunction(() => document.querySelector(".connection").textContent.includes("live")
        && !document.querySelector(".stage .notice"), null, {timeout: 180000})""")
    browser.run('await page.waitForFunction(() => document.querySelector("main textarea")?.value === "typed before the leader died")')


def test_agent_gone_and_back(browser, agents, praetor, shots):
    agent = agents(praetor, config={"ui": True}, name="solo").start()
    put(agent, "kv/note", b"first")
    browser.open("http://%s:8500/ui/dc1/kv/note" % agent.ip)
    browser.run('await page.getByLabel("Value of note").fill("typed, not saved")')
    agent.kill()
    browser.run('await page.getByText("The agent does not answer.").waitFor()')  # said once
    browser.run('await page.locator("main").getByRole("button", {name: "Save"}).click(); await page.getByText("This was not done. What you typed is kept").waitFor()')
    browser.run('await page.screenshot({path: args.path})', path=shots + "/agent-gone.png")
    assert browser.run('return await page.getByLabel("Value of note").inputValue()') == "typed, not saved"
    agent.start()
    browser.run("""await page.waitForFunction(() => document.querySelector(".connection").textContent.includes("live"))""")
    browser.run('await page.getByRole("button", {name: "Save"}).click(); await said("Saved")')
    assert agent.get("/v1/kv/note?raw").body == b"typed, not saved"
    # The log says nothing more of it when the agent is back, although at this level nothing is logged.
    browser.open("http://%s:8500/ui/dc1/logs?level=err" % agent.ip)
    browser.run('await page.getByText("Waiting for the agent to log something.").waitFor()')
    agent.kill()
    browser.run('await page.getByText("The agent does not answer.").first().waitFor()')
    agent.start()
    browser.run('await page.getByText("The agent does not answer.").first().waitFor({state: "detached"})')


def test_log_follows(browser, cluster):
    browser.open(cluster.url + "dc1/logs?level=debug")
    browser.run('await page.getByRole("searchbox").fill("needle-in-the-log")')

    def followed():
        """It shows what is logged from when it has begun to follow."""
        cluster.servers[0].get("/v1/kv/needle-in-the-log")
        return browser.run('await page.waitForTimeout(500); return await page.locator(".logtext", {hasText: "needle-in-the-log"}).count()')
    until("the needle", followed)
    browser.run('await page.getByRole("button", {name: "Pause"}).click()')
    # Who has gone back to read is left there.
    for i in range(40):
        cluster.servers[0].get("/v1/kv/filling-%d" % i)
    browser.run("""
        await page.getByRole("button", {name: "Go on"}).click();
        await page.getByRole("searchbox").fill("");
        await page.waitForFunction(() => { const s = document.querySelector(".scroller"); return s.scrollHeight > s.clientHeight + 300; });
        // The page knows of it with the next frame; a line that comes before that moves it on.
        const back = () => page.locator(".scroller").evaluate(async (s) => {
          s.scrollTop = 40;
          for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
          return [s.scrollTop, s.scrollHeight];
        });
        globalThis.place = await back();
        for (let i = 0; i < 100 && place[0] !== 40; i++) place = await back();""")
    cluster.servers[0].get("/v1/kv/another-in-the-log")
    browser.run("""
        await page.waitForFunction((h) => document.querySelector(".scroller").scrollHeight > h, place[1]);
        const top = await page.locator(".scroller").evaluate((s) => s.scrollTop);
        if (top !== 40) throw new Error("moved to " + top);
        await page.getByRole("searchbox").fill("needle-in-the-log");
        await page.waitForFunction(() => { const rows = [...document.querySelectorAll("[data-row]")]; return rows.length && rows.every((r) => r.textContent.includes("needle-in-the-log")); });
        await page.getByRole("button", {name: "Pause"}).click();""")
    before = browser.run('return await page.locator("[data-row]").count()')
    cluster.servers[0].get("/v1/kv/needle-in-the-log")
    browser.run("await page.waitForTimeout(700)")
    assert browser.run('return await page.locator("[data-row]").count()') == before
    browser.run("""
        await page.getByRole("button", {name: "Go on"}).click();
        await page.waitForFunction((n) => document.querySelectorAll("[data-row]").length > n, args.before);""", before=before)


def test_hidden_tab_asks_nothing(browser, cluster):
    """A tab that nobody looks at keeps no connection busy."""
    browser.run("""
        globalThis.asked = 0;
        page.on("request", (r) => { if (r.url().includes("wait=")) asked++; });""")
    browser.open(cluster.url + "dc1/services")
    browser.run('await page.getByRole("link", {name: "mailer"}).waitFor()')
    counts = browser.run("""
        const hide = (v) => page.evaluate((hidden) => {
          Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
          document.dispatchEvent(new Event("visibilitychange"));
        }, v);
        for (let i = 0; i < 600 && asked === 0; i++) await page.waitForTimeout(100);
        await hide(true);
        await page.waitForTimeout(200); // for news of what was asked before
        asked = 0;
        await page.waitForTimeout(1500);
        const hidden = asked;
        await hide(false);
        for (let i = 0; i < 600 && asked === hidden; i++) await page.waitForTimeout(100);
        return [hidden, asked - hidden];""")
    assert counts[0] == 0 and counts[1] >= 1, counts


def test_two_datacenters(browser, agents, praetor, shots):
    """The switch shows the other datacenter's services through this agent, and says so in the address."""
    first = agents(praetor, config={"ui": True, "datacenter": "roma"}, name="roma").start()
    second = agents(praetor, config={"datacenter": "ostia", "retry_join_wan": [first.ip]}, name="ostia").start()
    put(second, "agent/service/register", {"Name": "harbour", "Port": 21})
    put(second, "kv/over/there", b"far away")
    until("both datacenters", lambda: sorted(first.get("/v1/catalog/datacenters").json) == ["ostia", "roma"])
    browser.open("http://%s:8500/ui/" % first.ip)
    browser.run("""
        await page.getByRole("link", {name: "consul"}).waitFor();
        await page.waitForFunction(() => document.querySelectorAll(".dcselect option").length === 2);
        await page.getByLabel("Datacenter").selectOption("ostia");
        await page.getByRole("link", {name: "harbour"}).click();
        await page.getByRole("heading", {name: "harbour"}).waitFor();""")
    assert browser.run("return page.url()").endswith("/ui/ostia/services/harbour")
    browser.open("http://%s:8500/ui/ostia/kv/over/there" % first.ip)
    browser.run('await page.waitForFunction(() => document.querySelector("main textarea")?.value === "far away")')
    put(second, "kv/over/there", b"changed there")
    browser.run("""
        await page.waitForFunction(() => document.querySelector("main textarea")?.value === "changed there");
        await page.getByLabel("Value of over/there").fill("changed from here");
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");""")
    assert second.get("/v1/kv/over/there?raw").body == b"changed from here"
    assert first.get("/v1/kv/over/there").status == 404
    browser.open("http://%s:8500/ui/roma/cluster?tab=wan" % first.ip)
    browser.run('await page.getByRole("cell", {name: "ostia.ostia"}).waitFor()')
    # The command line's commands say which datacenter they are about, and do what is shown.
    browser.open("http://%s:8500/ui/ostia/kv/over/there" % first.ip)
    commands = browser.run("""
        await page.getByLabel("Value of over/there").fill("not yet left");
        await page.getByText("Not saved yet").waitFor();
        seen.refuse = true;
        await page.getByLabel("Datacenter").selectOption("roma");
        if (await page.getByLabel("Datacenter").inputValue() !== "ostia") throw new Error("it says what is not so");
        seen.refuse = false;
        await page.getByRole("button", {name: "Undo changes"}).click();
        await page.getByRole("button", {name: /curl/}).click();
        return await page.locator(".commandline code").allInnerTexts();""")
    words = "consul kv get -datacenter=ostia over/there"
    assert words in commands
    assert first.cli(*words.split()[1:]).stdout.strip() == b"changed from here"
    # Gossip is this agent's: in the other datacenter it is said whose members these are, and they lead to their own datacenter.
    browser.open("http://%s:8500/ui/ostia/cluster?tab=members" % first.ip)
    browser.run("""
        await page.getByText("These are the members of roma").waitFor();
        await page.getByRole("cell").getByRole("link", {name: "roma"}).click();
        await page.getByRole("heading", {level: 1, name: "roma"}).waitFor();""")
    assert browser.run("return page.url()").endswith("/ui/roma/nodes/roma")


def test_client_agent(browser, agents, praetor):
    """The page of an agent that is no server: what servers know comes through it, and it has no gossip over datacenters."""
    server = agents(praetor, name="caput").start()
    client = agents(praetor, config={"ui": True, "server": False, "retry_join": [server.ip], "bootstrap_expect": 0}, name="membrum").start()
    browser.open("http://%s:8500/ui/dc1/cluster" % client.ip)
    browser.run('await page.getByRole("article", {name: "Server caput"}).waitFor()')
    browser.open("http://%s:8500/ui/dc1/cluster?tab=wan" % client.ip)
    browser.run('await page.getByText("No members: this agent is no server.").waitFor()')


def test_links_of_the_other_page(browser, cluster):
    """Bookmarks of Consul's own page lead somewhere sensible."""
    for path, heading in {"services": "Services", "services/postgres": "postgres", "nodes/web-1": "web-1", "kv": "Keys and values", "kv/config/": "Keys and values",
                          "acls/tokens": "Access control"}.items():
        browser.open(cluster.url + "dc1/" + path)
        browser.run("await page.getByRole('heading', {level: 1, name: args.heading}).waitFor()", heading=heading)


def test_routing_follows_its_entries(browser, cluster):
    """Also one with markup in it, which stays text."""
    server, split = cluster.servers[0], {"Kind": "service-splitter", "Name": "catalog-api"}
    browser.open(cluster.url + "dc1/services/catalog-api?tab=routing")
    browser.run("""await page.getByText("Every request goes to").waitFor()""")
    put(server, "config", dict(split, Splits=[{"Weight": 62.5}, {"Weight": 37.5, "Service": "checkout"}]))
    browser.run("""await page.getByText("62.5 %").waitFor(); await page.getByText("33.75 %").waitFor()""")
    route = {"Match": {"HTTP": {"PathExact": "/<img src=x onerror=alert(1)>"}}, "Destination": {"Service": "checkout"}}
    put(server, "config", {"Kind": "service-router", "Name": "catalog-api", "Routes": [route]})
    browser.run("""await page.getByText("path is /<img src=x onerror=alert(1)>").waitFor()""")
    for kind in ("router", "splitter"):
        assert server.delete("/v1/config/service-%s/catalog-api" % kind).status == 200
    browser.run("""await page.getByText("Every request goes to").waitFor()""")
