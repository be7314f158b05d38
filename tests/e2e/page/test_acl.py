"""Access control by hand: logging in, what is said without rights, and tokens, policies and roles from beginning to end."""

import json

import pytest

from e2e.harness import until
from e2e.page.conftest import put
from e2e.page.test_views import AUDIT, fits, shoot, show

ROOT = {"X-Consul-Token": "root"}


def read(cluster, path):
    return cluster.servers[0].get("/v1/" + path, headers=ROOT).json


def log_in(browser, secret, remember=False):
    browser.run("""
        await page.getByRole("button", {name: /^(Log in|Your token)$/}).first().click();
        const box = page.getByRole("dialog");
        await box.getByLabel(/secret/).fill(args.secret);
        if (args.remember) await box.getByLabel(/Remember/).check();
        await box.getByRole("button", {name: "Log in"}).click();""", secret=secret, remember=remember)


def open_as(browser, cluster, path, secret="root"):
    browser.fresh()
    browser.run("await context.addInitScript((t) => sessionStorage.setItem('praetor-token', t), args.secret)", secret=secret)
    browser.open(cluster.url + "dc1/" + path)


def test_without_a_token(browser, secured, shots):
    show(browser, secured, "services", ["none that you may see"])
    show(browser, secured, "tokens", ["This needs a token.", "Permission denied"])
    assert browser.run(AUDIT) == []
    shoot(browser, shots, "needs-a-token")
    for path in ("cluster", "logs", "metrics", "sessions", "nodes", "kv", "map"):
        browser.open(secured.url + "dc1/" + path)
        browser.run('await page.waitForFunction(() => /needs a token|your token may see|you may see|No sessions|No coordinates/.test(document.querySelector("main").textContent))')


def test_log_in_and_out(browser, secured, shots):
    browser.open(secured.url + "dc1/services")
    log_in(browser, "00000000-1111-2222-3333-444444444444")
    browser.run('await page.getByText("This token is not known.").waitFor()')
    assert browser.run('return await page.getByLabel(/secret/).inputValue()').startswith("00000000-1111")
    shoot(browser, shots, "log-in")
    browser.run('await page.keyboard.press("Escape")')
    log_in(browser, "root")
    browser.run('await page.getByRole("link", {name: "postgres"}).waitFor()')
    places = browser.run("return [page.url(), await page.evaluate(() => [sessionStorage.getItem('praetor-token'), localStorage.getItem('praetor-token'), document.documentElement.outerHTML])]")
    assert "root" not in places[0].split("/ui/")[1]
    assert places[1][:2] == ["root", None]
    browser.run("""
        await page.getByRole("button", {name: "Your token"}).click();
        await page.getByRole("button", {name: "Log out"}).click();
        await page.getByRole("link", {name: "postgres"}).waitFor({state: "detached"});""")
    log_in(browser, "root", remember=True)
    browser.run("""
        const other = await context.newPage();
        await other.goto(page.url());
        await other.getByRole("link", {name: "postgres"}).waitFor();
        await other.close();""")


def test_token_is_in_no_address_and_no_log(browser, secured):
    """The secret goes in a header only."""
    urls = []
    open_as(browser, secured, "services", secured.limited["SecretID"])
    urls = browser.run("""
        const urls = [];
        page.on("request", (r) => urls.push(r.url()));
        for (const name of ["Nodes", "Keys and values", "Cluster", "Agent log", "Access control"]) {
          const before = urls.length;
          await page.getByRole("link", {name, exact: true}).click();
          for (let i = 0; i < 600 && urls.length === before; i++) await page.waitForTimeout(100);
        }
        for (let i = 0; i < 600 && urls.length <= 5; i++) await page.waitForTimeout(100);
        return urls;""")
    assert len(urls) > 5
    assert not [u for u in urls if secured.limited["SecretID"] in u or "token=" in u]
    assert secured.limited["SecretID"] not in secured.servers[0].tail(10 ** 7)


def test_limited_token(browser, secured):
    """What the token may not is refused in words, and what was typed stays."""
    open_as(browser, secured, "kv/config/checkout/settings.json", secured.limited["SecretID"])
    browser.run("""
        const field = page.getByLabel("Value of config/checkout/settings.json");
        await field.fill('{"by": "checkout"}');
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");""")
    open_as(browser, secured, "kv/config/?new=1", secured.limited["SecretID"])
    browser.run("""
        await page.getByLabel("Name, below config/").fill("motd2");
        await page.getByLabel("Value", {exact: true}).fill("not allowed");
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByText("Your token does not allow this.").waitFor();
        if (await page.getByLabel("Value", {exact: true}).inputValue() !== "not allowed") throw new Error("lost");""")
    assert secured.servers[0].get("/v1/kv/config/motd2", headers=ROOT).status == 404


@pytest.mark.parametrize("view", ["tokens", "token", "policies", "policy", "roles", "role"])
def test_views(browser, secured, shots, view):
    where = {"tokens": ("tokens", ["Ada's laptop", "role developers", "checkout-write"]),
             "token": ("tokens/" + secured.ada["AccessorID"], ["Accessor ID", "developers", "In all datacenters"]),
             "policies": ("policies", ["global-management", "What the checkout team may do"]),
             "policy": ("policies/" + secured.policy["ID"], ["# own service", "Rules"]),
             "roles": ("roles", ["developers", "People who build services"]),
             "role": ("roles/" + secured.role["ID"], ["checkout-write"])}[view]
    open_as(browser, secured, where[0])
    show(browser, secured, *where)
    assert browser.run(AUDIT) == []
    assert secured.ada["SecretID"] not in browser.run("return await page.evaluate(() => document.body.innerText)")
    shoot(browser, shots, "acl-" + view)
    browser.run("await page.setViewportSize({width: 360, height: 740}); await page.waitForTimeout(200)")
    fits(browser)


def test_policy_from_beginning_to_end(browser, secured):
    open_as(browser, secured, "policies/new")
    browser.run("""
        await page.getByLabel("Name").fill("by-hand");
        await page.getByLabel("Rules").fill('key_prefix "x" { policy = "wrong" }');
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByText("The agent could not do this.").waitFor();
        if (!(await page.getByLabel("Rules").inputValue()).includes("wrong")) throw new Error("lost");
        await page.getByLabel("Rules").fill('key_prefix "x" { policy = "read" }');
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByRole("heading", {name: "by-hand"}).waitFor();
        await page.getByLabel("Description").fill("made by hand");
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");
        await page.getByRole("button", {name: "Clone"}).click();
        await page.getByRole("heading", {name: /by-hand-copy/}).waitFor();
        await page.getByRole("button", {name: "Delete"}).click();
        await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
        await said("Deleted");
        await page.getByRole("link", {name: "by-hand", exact: true}).waitFor();
        await page.getByRole("link", {name: /by-hand-copy/}).waitFor({state: "detached"});""")
    made = [p for p in read(secured, "acl/policies") if p["Name"].startswith("by-hand")]
    assert [p["Name"] for p in made] == ["by-hand"]
    full = read(secured, "acl/policy/" + made[0]["ID"])
    assert full["Description"] == "made by hand" and full["Rules"] == 'key_prefix "x" { policy = "read" }'


def test_token_from_beginning_to_end(browser, secured):
    open_as(browser, secured, "tokens/new")
    browser.run("""
        await page.getByLabel("Description").fill("made by hand");
        await page.getByLabel("Add to policies").selectOption({label: "checkout-write"});
        await page.getByLabel("Add to roles").selectOption({label: "developers"});
        await page.getByLabel("Service name").fill("billing");
        await page.getByLabel("Service name").press("Enter");
        await page.getByLabel("Expires after").fill("2h");
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByRole("heading", {name: "made by hand"}).waitFor();""")
    made = [t for t in read(secured, "acl/tokens") if t["Description"] == "made by hand"][0]
    assert [p["Name"] for p in made["Policies"]] == ["checkout-write"] and [r["Name"] for r in made["Roles"]] == ["developers"]
    assert made["ServiceIdentities"][0]["ServiceName"] == "billing" and made["ExpirationTime"]
    full = read(secured, "acl/token/" + made["AccessorID"])
    browser.run("""
        await page.getByRole("button", {name: "Show the secret"}).click();
        await page.getByText(args.secret).waitFor();
        await page.getByRole("button", {name: "Remove developers"}).click();
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");
        await page.getByRole("button", {name: "Clone"}).click();
        await page.getByRole("heading", {name: "Copy of made by hand"}).waitFor();
        await page.getByRole("button", {name: "Delete"}).click();
        await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
        await said("Deleted");""", secret=full["SecretID"])
    after = [t for t in read(secured, "acl/tokens") if "made by hand" in t["Description"]]
    assert len(after) == 1 and not after[0].get("Roles") and after[0]["Policies"]


def test_role_from_beginning_to_end(browser, secured):
    open_as(browser, secured, "roles/new")
    browser.run("""
        await page.getByLabel("Name").first().fill("operators");
        await page.getByLabel("Add to policies").selectOption({label: "global-management"});
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByRole("heading", {name: "operators"}).waitFor();
        await page.getByLabel("Description").fill("who runs it");
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");
        await page.getByRole("button", {name: "Clone"}).click();
        await page.getByRole("heading", {name: /operators-copy/}).waitFor();""")
    roles = {r["Name"]: r for r in read(secured, "acl/roles")}
    assert roles["operators"]["Description"] == "who runs it" and roles["operators"]["Policies"][0]["Name"] == "global-management"
    browser.run("""
        await page.getByRole("button", {name: "Delete"}).click();
        await page.getByRole("dialog").getByRole("button", {name: "Delete"}).click();
        await said("Deleted");""")
    assert [r for r in read(secured, "acl/roles") if r["Name"].startswith("operators-copy")] == []


def test_a_cloned_role_may_the_same(browser, secured):
    identities = {"NodeIdentities": [{"NodeName": "web-1", "Datacenter": "dc1"}], "ServiceIdentities": [{"ServiceName": "billing"}]}
    role = put(secured.servers[0], "acl/role", json.dumps(dict(identities, Name="of-nodes")), "root")
    open_as(browser, secured, "roles/" + role["ID"])
    browser.run("""
        await page.getByRole("button", {name: "Clone"}).click();
        await page.getByRole("heading", {name: /of-nodes-copy/}).waitFor();""")
    copy = [r for r in read(secured, "acl/roles") if r["Name"].startswith("of-nodes-copy")][0]
    assert {k: copy[k] for k in identities} == {k: role[k] for k in identities}


def test_routing_where_the_mesh_is_off(browser, secured):
    open_as(browser, secured, "services/redis?tab=routing")
    browser.run("""await page.getByText("The service mesh is off in this datacenter.").waitFor()""")


def test_changes_by_others_appear(browser, secured):
    open_as(browser, secured, "policies")
    browser.run('await page.getByRole("link", {name: "checkout-write"}).waitFor()')
    put(secured.servers[0], "acl/policy", {"Name": "by-somebody-else"}, "root")
    browser.run('await page.getByRole("link", {name: "by-somebody-else"}).waitFor()')


def test_deleted_elsewhere_is_said(browser, secured):
    """The agent says “ACL not found” of a token that is gone: that is not the token that one is logged in with."""
    first = secured.servers[0]
    one = put(first, "acl/token", {"Description": "for a while"}, "root")["AccessorID"]
    open_as(browser, secured, "tokens/" + one)
    browser.run('await page.getByLabel("Description").fill("typed")')
    assert first.delete("/v1/acl/token/" + one, headers={"X-Consul-Token": "root"}).status == 200
    browser.run("""
        await page.getByText("Somebody else has deleted this.").waitFor();
        if (await page.getByLabel("Description").inputValue() !== "typed") throw new Error("lost");
        await page.reload();
        await page.getByText("There is no such token.").waitFor();""")


def test_tokens_that_no_header_can_carry(browser, secured):
    browser.open(secured.url + "dc1/services")
    log_in(browser, "tök€n")
    browser.run('await page.getByText("This token is not known.").waitFor()')


def test_a_denied_import_is_said_in_words(browser, secured):
    open_as(browser, secured, "kv/forbidden/", secured.limited["SecretID"])
    browser.run("""
        await page.getByRole("button", {name: "Import"}).click();
        await page.getByLabel("or its text").fill('[{"key": "x", "value": "dw=="}]');
        await page.getByRole("button", {name: "Import"}).last().click();
        await page.getByText("Your token does not allow this.").waitFor();
        if (await page.getByText("OpIndex").count()) throw new Error("raw answer");""")


def test_a_token_of_the_old_system_is_only_read(browser, secured):
    first = secured.servers[0]
    put(first, "acl/create", json.dumps({"Name": "from long ago", "Type": "client", "Rules": 'key "x" { policy = "read" }'}).encode(), "root")
    until("its accessor", lambda: [t for t in read(secured, "acl/tokens") if t["Description"] == "from long ago" and t["AccessorID"]])
    open_as(browser, secured, "tokens?q=long+ago")
    browser.run("""
        await page.getByRole("link", {name: "from long ago"}).click();
        await page.getByText("A token of the old system").waitFor();
        if (!(await page.getByLabel("Rules").inputValue()).includes("policy")) throw new Error("its rules are not shown");
        if (await page.getByLabel("Description").isEditable()) throw new Error("the agent would refuse this");
        if (await page.getByRole("button", {name: "Clone"}).count()) throw new Error("the agent would refuse a clone");""")
