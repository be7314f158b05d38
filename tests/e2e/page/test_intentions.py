"""Intentions by hand: what holds between two services; made, changed, deleted; what others do meanwhile; and with access control,
what a token may not."""

from urllib.parse import quote

from e2e.page.conftest import intend
from e2e.page.test_acl import open_as
from e2e.page.test_views import AUDIT, shoot, show

PATH = "/v1/connect/intentions"


def stored(cluster, token=None):
    headers = {"X-Consul-Token": token} if token else {}
    return {(i["SourceName"], i["DestinationName"]): i for i in cluster.servers[0].get(PATH, headers=headers).json}


def answer(browser, source, destination, words):
    browser.run("""
        await page.locator(".question").getByLabel("Source").fill(args.source);
        await page.locator(".question").getByLabel("Destination").fill(args.destination);
        await page.waitForFunction((w) => document.querySelector(".question [role=status]").textContent.trim() === w, args.words);""",
                source=source, destination=destination, words=words)


def test_what_holds(browser, cluster):
    show(browser, cluster, "intentions", ["checkout → *"])
    answer(browser, "checkout", "postgres", "Yes, by checkout → postgres")
    answer(browser, "mailer", "postgres", "No, by mailer → postgres")
    answer(browser, "web", "postgres", "No, by * → postgres")
    answer(browser, "checkout", "redis", "Yes, by checkout → *")
    answer(browser, "web", "redis", "Yes, by default: no intention that you may see is about them")
    assert browser.run("return new URL(page.url()).search") == "?source=web&destination=redis"
    # A new one changes the answer that is on the screen.
    made = intend(cluster.servers[0], "web", "redis", "deny")
    browser.run('await page.waitForFunction(() => document.querySelector(".question [role=status]").textContent.trim() === "No, by web → redis")')
    assert cluster.servers[0].delete(PATH + "/" + made).status == 200
    browser.run('await page.waitForFunction(() => document.querySelector(".question [role=status]").textContent.trim().startsWith("Yes, by default"))')


def test_from_beginning_to_end(browser, cluster, shots):
    show(browser, cluster, "services/redis?tab=intentions", ["checkout → *"])
    browser.run("""
        await page.getByRole("link", {name: "New intention"}).click();
        if (await page.getByLabel("Destination", {exact: true}).inputValue() !== "redis") throw new Error("the destination is not filled in");
        await page.getByLabel("Source", {exact: true}).fill("part*");
        await page.getByLabel("Description").fill("made by hand");
        await page.getByLabel("Metadata").fill("owner=ops\\nticket = T=1\\nalone");
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByText("wildcard character '*' cannot be used with partial values").waitFor();
        if (await page.getByLabel("Description").inputValue() !== "made by hand") throw new Error("lost");
        await page.getByLabel("Source", {exact: true}).fill("mailer");
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByRole("heading", {name: "mailer → redis"}).waitFor();""")
    made = stored(cluster)[("mailer", "redis")]
    assert made["Action"] == "deny" and made["Description"] == "made by hand" and made["Meta"] == {"owner": "ops", "ticket": " T=1", "alone": ""}
    assert browser.run(AUDIT) == []
    shoot(browser, shots, "intention")
    browser.run("""
        await page.getByRole("radio", {name: "allow"}).check();
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");""")
    after = stored(cluster)[("mailer", "redis")]
    assert after["Action"] == "allow" and after["Meta"] == made["Meta"] and after["ID"] == made["ID"]
    browser.run("""
        await page.getByRole("button", {name: "Clone"}).click();
        await page.getByRole("heading", {name: "New intention"}).waitFor();
        if (!(await page.getByRole("radio", {name: "allow"}).isChecked())) throw new Error("another action");
        await page.getByLabel("Source", {exact: true}).fill("vault");
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByRole("heading", {name: "vault → redis"}).waitFor();
        await page.getByRole("link", {name: "‹ Intentions"}).click();
        await page.getByRole("link", {name: "mailer → redis"}).click();
        await page.getByRole("heading", {name: "mailer → redis"}).waitFor();
        await page.getByRole("button", {name: "Delete"}).click();
        await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
        await said("Deleted");
        await page.getByRole("link", {name: "checkout → *"}).waitFor();""")
    left = stored(cluster)
    assert ("mailer", "redis") not in left and left[("vault", "redis")]["Action"] == "allow"


def test_somebody_else_is_quicker(browser, cluster):
    """What others change or delete is said while something is typed, and what is typed stays."""
    server = cluster.servers[0]
    made = intend(server, "a-quick", "b-quick", "deny")
    show(browser, cluster, "intentions/" + made, ["Precedence 9 of 9"])
    browser.run('await page.getByLabel("Description").fill("typed")')
    body = {"SourceName": "a-quick", "DestinationName": "b-quick", "Action": "allow"}
    assert server.put(PATH + "/" + made, body).status == 200
    browser.run("""
        await page.getByText("Somebody else has changed this since you began.").waitFor();
        if (await page.getByLabel("Description").inputValue() !== "typed") throw new Error("lost");
        await page.getByRole("button", {name: "Undo changes"}).click();
        await page.waitForFunction(() => document.querySelector("input[type=radio]").checked);
        await page.getByText("Somebody else has changed this").waitFor({state: "detached"});
        await page.getByLabel("Description").fill("typed again");""")
    assert server.delete(PATH + "/" + made).status == 200
    browser.run("""
        await page.getByText("Somebody else has deleted this.").waitFor();
        if (await page.getByLabel("Description").inputValue() !== "typed again") throw new Error("lost");""")
    browser.open(cluster.url + "dc1/intentions/" + made)
    browser.run('await page.getByText("There is no such intention.").waitFor()')
    browser.open(cluster.url + "dc1/intentions/" + quote("<b>x/y", safe=""))
    browser.run('await page.getByText("There is no such intention.").waitFor()')


def test_with_access_control(browser, secured):
    """service:write brings reading of intentions, not writing; what the token may not see is not listed."""
    token = secured.limited["SecretID"]
    open_as(browser, secured, "intentions", token)
    browser.run("""
        await page.getByRole("link", {name: "checkout → *"}).waitFor();
        if (await page.getByRole("link", {name: "mailer → postgres"}).count()) throw new Error("seen without the right");
        await page.getByRole("button", {name: "New intention"}).click();
        await page.getByLabel("Source", {exact: true}).fill("web");
        await page.getByLabel("Destination", {exact: true}).fill("checkout");
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByText("Your token does not allow this.").waitFor();
        if (await page.getByLabel("Source", {exact: true}).inputValue() !== "web") throw new Error("lost");""")
    assert ("web", "checkout") not in stored(secured, "root")
    open_as(browser, secured, "intentions?source=web&destination=checkout", token)
    browser.run('await page.waitForFunction(() => document.querySelector(".question [role=status]").textContent.trim().startsWith("No, by default"))')
    open_as(browser, secured, "intentions?source=web&destination=vault", token)
    browser.run('await page.locator(".question").getByText("Your token does not allow this.").waitFor()')
