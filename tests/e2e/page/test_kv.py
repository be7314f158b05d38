"""Keys and values by hand: create, edit, saves that notice other people's, delete, folders, import and export, locks, bytes."""

import base64
import json

import pytest

from e2e.harness import until
from e2e.page.conftest import put


def value(cluster, key):
    answer = cluster.servers[0].get(cluster.servers[0].key(key) + "?raw")
    return answer.body if answer.status == 200 else None


def open_key(browser, cluster, key):
    browser.open(cluster.url + "dc1/kv/" + key)
    browser.run('await page.getByLabel("Value of " + args.key).waitFor()', key=key)


def test_create_edit_delete(browser, cluster):
    browser.open(cluster.url + "dc1/kv/made/")
    browser.run("""
        await page.getByRole("button", {name: "New key"}).click();
        await page.getByLabel("Name, below made/").fill("by/hand.json");
        await page.getByLabel("Value", {exact: true}).fill('{"a": 1');
        await page.getByText("This is not valid JSON").waitFor();
        await page.getByLabel("Value", {exact: true}).fill('{"a": 1}');
        await page.getByRole("button", {name: "Create"}).click();
        await said("Key created");
        await page.getByRole("article", {name: "Key made/by/hand.json"}).waitFor();
        if (!page.url().endsWith("/dc1/kv/made/by/hand.json")) throw new Error(page.url());""")
    assert value(cluster, "made/by/hand.json") == b'{"a": 1}'
    browser.run("""
        const field = page.getByLabel("Value of made/by/hand.json");
        await field.fill('{"a": 2}\\n');
        await field.press("Control+s");
        await said("Saved");
        await page.locator(".hl-number", {hasText: "2"}).waitFor();""")
    assert value(cluster, "made/by/hand.json") == b'{"a": 2}\n'
    # A second one of that name is refused, and what was typed stays.
    browser.run("""
        await page.goto(args.url);
        await page.getByLabel("Name, below made/by/").fill("hand.json");
        await page.getByLabel("Value", {exact: true}).fill("mine");
        await page.getByRole("button", {name: "Create"}).click();
        await page.getByText("This key exists already.").waitFor();
        if (await page.getByLabel("Value", {exact: true}).inputValue() !== "mine") throw new Error("lost");""", url=cluster.url + "dc1/kv/made/by/?new=1")
    assert value(cluster, "made/by/hand.json") == b'{"a": 2}\n'
    open_key(browser, cluster, "made/by/hand.json")
    browser.run("""
        await page.getByRole("button", {name: "Delete", exact: true}).click();
        await page.getByRole("button", {name: "Delete key"}).click();
        await said("Key deleted");""")
    assert value(cluster, "made/by/hand.json") is None


def test_others_change_it_meanwhile(browser, cluster, shots):
    server = cluster.servers[0]
    put(server, "kv/shared", b"one")
    open_key(browser, cluster, "shared")
    put(server, "kv/shared", b"two")  # nothing typed: it simply follows
    browser.run('await page.waitForFunction(() => document.querySelector("textarea").value === "two")')
    browser.run('await page.getByLabel("Value of shared").fill("mine")')
    put(server, "kv/shared", b"theirs")
    browser.run("""
        await page.locator("[data-conflict]").waitFor();
        await page.getByText("What it is now").click();
        await page.locator(".theirs", {hasText: "theirs"}).waitFor();
        if (await page.getByLabel("Value of shared").inputValue() !== "mine") throw new Error("typed text lost");
        await page.screenshot({path: args.path});""", path=shots + "/key-conflict.png")
    assert value(cluster, "shared") == b"theirs", "nothing may be written by itself"
    browser.run("""
        await page.getByRole("button", {name: "Overwrite with mine"}).click();
        await said("Saved");
        await page.locator("[data-conflict]").waitFor({state: "detached"});""")
    assert value(cluster, "shared") == b"mine"
    # The other choice.
    browser.run('await page.getByLabel("Value of shared").fill("mine again")')
    put(server, "kv/shared", b"theirs again")
    browser.run("""
        await page.getByRole("button", {name: "Take theirs"}).click();
        await page.waitForFunction(() => document.querySelector("textarea").value === "theirs again");""")
    assert value(cluster, "shared") == b"theirs again"


def test_a_save_is_checked_by_the_server(browser, cluster):
    """Also when the page has not heard of the change: its requests wait while the key changes."""
    server = cluster.servers[0]
    put(server, "kv/raced", b"one")
    open_key(browser, cluster, "raced")
    browser.run("""
        await page.getByLabel("Value of raced").fill("mine");
        await page.route(/kv\\/raced\\?.*index=/, () => undefined); // answers of waiting queries are held back
        await page.evaluate(() => undefined);""")
    # The query that waits now still answers; it is the news of a change that we let come, and the save comes before it.
    index = server.get("/v1/kv/raced").json[0]["ModifyIndex"]
    sent = browser.run("""
        const sent = page.waitForRequest((r) => r.method() === "PUT" && r.url().includes("kv/raced"));
        await page.getByRole("button", {name: "Save"}).click();
        return (await sent).url();""")
    assert "cas=%d" % index in sent
    until("saved", lambda: value(cluster, "raced") == b"mine")


def test_folder_deleted_with_its_count(browser, cluster):
    server = cluster.servers[0]
    for i in range(70):
        put(server, "kv/doomed/%d/x" % i, b"1")
    browser.open(cluster.url + "dc1/kv/doomed/")
    browser.run("""
        await page.getByRole("button", {name: "Delete folder"}).click();
        await page.getByRole("button", {name: "Delete 70 keys"}).waitFor();
        await page.getByRole("button", {name: "Cancel"}).click();
        await page.getByRole("dialog").waitFor({state: "detached"});
        // The question is about the folder that is shown: it goes when that does.
        await page.getByRole("link", {name: "3/", exact: true}).click();
        await page.getByRole("link", {name: "x", exact: true}).waitFor();
        await page.getByRole("button", {name: "Delete folder"}).click();
        await page.getByRole("button", {name: "Delete 1 key"}).waitFor();
        await page.goBack();
        await page.getByRole("dialog").waitFor({state: "detached"});""")
    assert value(cluster, "doomed/3/x") == b"1"
    browser.run("""
        await page.getByRole("button", {name: "Delete folder"}).click();
        await page.getByRole("button", {name: "Delete 70 keys"}).click();
        await said("70 keys deleted");""")
    assert value(cluster, "doomed/3/x") is None
    assert value(cluster, "config/motd") is not None


def test_export_and_import(browser, cluster, tmp_path):
    server = cluster.servers[0]
    blob = bytes(range(256))
    put(server, "kv/out/blob", blob)
    put(server, "kv/out/deep/text?flags=42", "grüße".encode())
    browser.open(cluster.url + "dc1/kv/out/")
    path = str(tmp_path / "export.json")
    browser.run("""
        const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", {name: "Export"}).click()]);
        await file.saveAs(args.path);""", path=path)
    ours = json.load(open(path))
    theirs = json.loads(server.cli("kv", "export", "out/").stdout)
    assert ours == theirs
    assert ours[0] == {"key": "out/blob", "flags": 0, "value": base64.b64encode(blob).decode()}
    many = [{"key": "in/%03d" % i, "flags": i, "value": base64.b64encode(b"v%d" % i).decode()} for i in range(150)]
    browser.run("""
        await page.goto(args.url);
        await page.getByRole("button", {name: "Import"}).click();
        await page.getByLabel("or its text").fill('[{"key": "x", "value": "?"}]');
        await page.getByRole("button", {name: "Import"}).last().click();
        await page.getByText("The value of “x” is not base64.").waitFor();
        await page.getByLabel("or its text").fill(args.text);
        await page.getByRole("button", {name: "Import"}).last().click();
        await said("150 keys imported");""", url=cluster.url + "dc1/kv", text=json.dumps(many))
    assert value(cluster, "in/149") == b"v149"
    assert server.get("/v1/kv/in/149").json[0]["Flags"] == 149


BYTES = {"zeros": b"\0\0\0", "latin1": b"caf\xe9", "mixed-ends": b"a\r\nb\nc", "crlf": b"a\r\nb\r\n", "bom": b"\xef\xbb\xbfx", "empty": b"", "tab": b"a\tb",
         "escape": b"\x1b[31mred"}


@pytest.mark.parametrize("name", BYTES)
def test_values_are_given_back_unchanged(browser, cluster, name):
    """Bytes that no field could hold are shown as bytes; others survive a save with their line ends."""
    key, data = "bytes/" + name, BYTES[name]
    put(cluster.servers[0], "kv/" + key, data)
    browser.open(cluster.url + "dc1/kv/" + key)
    browser.run('await page.getByRole("article").waitFor()')
    if name in ("zeros", "latin1", "mixed-ends", "escape"):
        browser.run('await page.getByText("Not text").waitFor()')
        assert browser.run('return await page.locator("main textarea").count()') == 0
        return
    browser.run("""
        const field = page.getByRole("textbox", {name: /^Value of/});
        await field.press("Control+End");
        await page.keyboard.type("!");
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");""")
    assert value(cluster, key) == data + b"!"


ODD = ["a b", "ü/ñ", "50%", "100%25", "a+b&c=d", "q?x", "h#x", "~tilde", "x;y", "quote\"'", "deep/.hidden/x", "emoji/🏛"]


@pytest.mark.parametrize("key", ODD)
def test_odd_names(browser, cluster, key):
    """Any name has a link that leads back to it."""
    from urllib.parse import quote
    put(cluster.servers[0], "kv/odd/" + quote(key, safe="/"), b"here")
    browser.open(cluster.url + "dc1/kv/odd/")
    for part in key.split("/")[:-1]:
        browser.run('await page.getByRole("link", {name: args.part + "/", exact: true}).click()', part=part)
    browser.run("""
        await page.getByRole("link", {name: args.last, exact: true}).click();
        await page.waitForFunction(() => document.querySelector("main textarea")?.value === "here");
        await page.reload();
        await page.waitForFunction(() => document.querySelector("main textarea")?.value === "here");""", last=key.split("/")[-1])


def test_unsaved_text_is_asked_about(browser, cluster):
    open_key(browser, cluster, "config/motd")
    browser.run("""
        await page.getByLabel("Value of config/motd").fill("half a thought");
        await page.getByRole("link", {name: "Services"}).click();
        await page.getByRole("heading", {name: "Services"}).waitFor();""")
    assert browser.seen()["dialogs"] == ["confirm: What you have typed is not saved. Leave it?"]


def test_back_asks_too(browser, cluster):
    put(cluster.servers[0], "kv/back/here", b"stored")
    browser.open(cluster.url + "dc1/kv/back/")
    browser.run("""
        seen.refuse = true;
        await page.getByRole("link", {name: "here", exact: true}).click();
        const field = page.getByLabel("Value of back/here");
        await field.fill("half a thought");
        await page.getByText("Not saved yet").waitFor();
        await page.goBack();
        await page.waitForFunction(() => location.pathname.endsWith("/back/here"));
        if (await field.inputValue() !== "half a thought") throw new Error("lost");
        seen.refuse = false;
        await page.goBack();
        await field.waitFor({state: "detached"});
        await page.goForward();
        await page.waitForFunction(() => document.querySelector("main textarea")?.value === "stored");""")
    assert browser.seen()["dialogs"] == ["confirm: What you have typed is not saved. Leave it?"] * 2


def test_typing_goes_on_after_a_save(browser, cluster):
    server = cluster.servers[0]
    put(server, "kv/on", b"")
    open_key(browser, cluster, "on")
    browser.run("""
        const field = page.getByLabel("Value of on");
        await field.press("Control+s"); // nothing to save: it must not wait for a change that never comes
        await page.waitForTimeout(200);
        await field.fill("one");
        await page.getByText("Not saved yet").waitFor();
        await field.press("Control+s");
        await page.keyboard.type("two"); // before the news of the save is here
        await said("Saved");
        await page.waitForFunction(() => /Not saved yet/.test(document.querySelector("main .facts").textContent));
        if (await field.inputValue() !== "onetwo") throw new Error(await field.inputValue());
        await page.getByRole("button", {name: "Save"}).click();
        await page.waitForFunction(() => !/Not saved yet/.test(document.querySelector("main .facts").textContent));
        if (await page.locator("[data-conflict]").count()) throw new Error("one's own save is no conflict");""")
    assert value(cluster, "on") == b"onetwo"


def test_flags_have_64_bits(browser, cluster, tmp_path):
    server = cluster.servers[0]
    most = 2 ** 64 - 1
    put(server, "kv/wide/flag?flags=%d" % most, b"v")
    open_key(browser, cluster, "wide/flag")
    browser.run("""
        await page.getByLabel("Value of wide/flag").fill("w");
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");""")
    assert (server.get("/v1/kv/wide/flag").json[0]["Flags"], value(cluster, "wide/flag")) == (most, b"w")
    path = str(tmp_path / "export.json")
    browser.run("""
        const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", {name: "Export"}).click()]);
        await file.saveAs(args.path);""", path=path)
    assert json.load(open(path)) == [{"key": "wide/flag", "flags": most, "value": base64.b64encode(b"w").decode()}]
    imported = [{"key": "again", "flags": most, "value": "dw=="}, {"key": "large", "flags": 7, "value": base64.b64encode(b"z" * 500000).decode()}]
    browser.run("""
        await page.getByRole("button", {name: "Import"}).click();
        const field = page.getByLabel("or its text");
        const send = page.getByRole("button", {name: "Import"}).last();
        await field.fill('[{"key": "x", "value": "dw==", "flags": "many"}]');
        await send.click();
        await page.getByText("The flags of “x” are no number.").waitFor();
        // A selection that ends beside the box does not close it.
        const box = await field.boundingBox();
        await page.mouse.move(box.x + 40, box.y + 10);
        await page.mouse.down();
        await page.mouse.move(4, box.y + 10, {steps: 3});
        await page.mouse.up();
        await field.fill(args.text);
        await send.click();
        await said("2 keys imported");""", text=json.dumps(imported))
    assert server.get("/v1/kv/wide/again").json[0]["Flags"] == most
    assert (server.get("/v1/kv/wide/large").json[0]["Flags"], value(cluster, "wide/large")) == (7, b"z" * 500000)


def test_names_that_the_api_redirects(browser, cluster):
    """The agent's API sends "/lead" to "lead": another key, which must be neither shown nor written."""
    server = cluster.servers[0]
    put(server, "kv/lead", b"another")
    put(server, "txn", [{"KV": {"Verb": "set", "Key": "/lead", "Value": "b2Rk"}}])
    browser.open(cluster.url + "dc1/kv/~/lead")
    browser.run('await page.getByText("The agent redirects this name").first().waitFor()')
    assert browser.run('return await page.locator("main textarea").count()') == 0
    for name in ["/made", "a//b", "a/../b", ".."]:
        browser.open(cluster.url + "dc1/kv?new=1")
        browser.run("""
            await page.getByLabel("Name, below /").fill(args.name);
            await page.getByRole("button", {name: "Create"}).click();
            await page.getByText("The agent redirects this name").waitFor();""", name=name)
    assert [value(cluster, k) for k in ("made", "a/b", "b", "lead")] == [None, None, None, b"another"]


def test_session_ends_by_hand(browser, cluster):
    server = cluster.servers[0]
    session = put(server, "session/create", {"Name": "to be ended", "Node": server.name})["ID"]
    browser.open(cluster.url + "dc1/sessions?q=ended")
    browser.run("""
        await page.getByRole("row", {name: /to be ended/}).getByRole("button", {name: "End"}).click();
        await page.getByRole("button", {name: "End session"}).click();
        await said("Session ended");
        await page.getByRole("row", {name: /to be ended/}).waitFor({state: "detached"});""")
    assert server.get("/v1/session/info/" + session).json == []
