"""How the page is served: headers, compression, what is cached and what is asked again; other content paths; behind nginx on a
sub-path; -ui-dir; and its size."""

import gzip
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from e2e.harness import _address, until
from e2e.page.conftest import put

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture(scope="module")
def solo(shared_agents, praetor):
    agent = shared_agents(praetor, config={"ui": True}, name="solo", dev=True).start()
    put(agent, "kv/a/b", b"here")
    return agent


def assets(agent, base="/ui/"):
    return re.findall(r'(?:src|href)="\./(assets/[^"]+)"', agent.get(base).text)


def test_index(solo):
    page = solo.get("/ui/")
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-cache"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy and "http" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff" and page.headers["Referrer-Policy"] == "no-referrer"
    assert '<base href="./"' in page.text and 'content="../v1/"' in page.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", page.text), "nothing inline"
    again = solo.get("/ui/", headers={"If-None-Match": page.headers["ETag"]})
    assert again.status == 304 and again.body == b"" and again.headers["ETag"] == page.headers["ETag"]
    assert solo.get("/ui/", headers={"If-None-Match": '"other"'}).status == 200


def test_deep_links_find_their_base(solo):
    for path, base in {"dc1/": "../", "dc1/services": "../", "dc1/services/web": "../../", "dc1/kv/a/b/c": "../../../../", "dc1/kv/a/?q=x/y/z": "../../../",
                       "dc1/kv/a~2Fb": "../../"}.items():
        page = solo.get("/ui/" + path)
        assert page.status == 200 and '<base href="%s"' % base in page.text, path
    # A link that was cached for another depth is not taken for this one.
    assert solo.get("/ui/dc1/services").headers["ETag"] != solo.get("/ui/dc1/services/web").headers["ETag"]


def test_assets(solo):
    names = assets(solo)
    assert len(names) >= 2
    for name in names:
        plain, packed = solo.get("/ui/" + name), solo.get("/ui/" + name, headers=GZIP)
        assert plain.status == packed.status == 200
        assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert plain.headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Encoding" not in plain.headers
        if packed.headers.get("Content-Encoding"):
            assert packed.headers["Content-Encoding"] == "gzip" and packed.headers["Vary"] == "Accept-Encoding"
            assert gzip.decompress(packed.body) == plain.body and len(packed.body) < len(plain.body)
        else:
            assert len(plain.body) < 400
        head = solo.request("HEAD", "/ui/" + name, headers=GZIP)
        assert head.status == 200 and head.body == b""
    missing = solo.get("/ui/assets/of-another-build.js")
    assert missing.status == 404 and "html" not in missing.headers["Content-Type"]
    # Below 150 KiB, all that the first view needs.
    total = len(solo.get("/ui/").body) + sum(len(solo.get("/ui/" + n, headers=GZIP).body) for n in names)
    assert total < 150 * 1024, total


def test_first_load_in_the_browser(browser, solo):
    """What goes over the wire until services are shown, as the browser counts it, answers of the API included."""
    browser.run("""
        globalThis.loaded = 0;
        const devtools = await context.newCDPSession(page);
        await devtools.send("Network.enable");
        devtools.on("Network.loadingFinished", (e) => { loaded += e.encodedDataLength; });""")
    browser.open("http://%s:8500/ui/" % solo.ip)
    browser.run('await page.getByRole("link", {name: "consul"}).waitFor()')
    size = until("the page has come", lambda: (got := browser.run("return loaded")) > 20_000 and got)
    assert 20_000 < size < 150 * 1024, size


@pytest.mark.parametrize("content_path", ["/consul/", "/deep/er/page/", "/x/"])
def test_content_path(browser, agents, praetor, content_path):
    agent = agents(praetor, config={"ui": True, "ui_content_path": content_path}, name="other", dev=True).start()
    put(agent, "kv/a/b", b"here")
    assert agent.get("/").status == 301 and agent.get("/").headers["Location"] == content_path
    browser.open("http://%s:8500%sdc1/kv/a/b" % (agent.ip, content_path))
    browser.run('await page.waitForFunction(() => document.querySelector("main textarea")?.value === "here")')
    browser.open("http://%s:8500%s" % (agent.ip, content_path))
    browser.run('await page.getByRole("link", {name: "consul"}).click(); await page.getByRole("heading", {name: "consul"}).waitFor()')
    assert browser.run("return page.url()") == "http://%s:8500%sdc1/services/consul" % (agent.ip, content_path)


def test_off(agents, praetor):
    agent = agents(praetor, name="off").start()
    assert agent.get("/ui/").status == 404 and agent.get("/").text == "Consul Agent"


def test_own_folder(browser, agents, praetor, solo, tmp_path):
    """ui_dir: the page from a folder, with its base filled in as well."""
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(re.sub(r'(<base href=")[^"]*', r"\1./", solo.get("/ui/").text))
    for name in assets(solo):
        (folder / name).write_bytes(solo.get("/ui/" + name).body)
    agent = agents(praetor, config={"ui_dir": str(folder)}, name="folder").start()
    browser.open("http://%s:8500/ui/dc1/nodes/folder" % agent.ip)
    browser.run('await page.getByText("Agent alive and reachable").waitFor()')


NGINX = """
daemon off; pid %(dir)s/pid; error_log %(dir)s/error.log; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %(dir)s/b; proxy_temp_path %(dir)s/p; fastcgi_temp_path %(dir)s/f; uwsgi_temp_path %(dir)s/u; scgi_temp_path %(dir)s/s;
  server {
    listen %(ip)s:8080;
    proxy_read_timeout 700s;
    proxy_buffering off;
    # the agent below a folder: /tools/consul/ui/, /tools/consul/v1/
    location /tools/consul/ { proxy_pass http://%(agent)s:8500/; }
  }
}
"""


@pytest.fixture(scope="module")
def nginx(solo, tmp_path_factory):
    folder, ip = tmp_path_factory.mktemp("nginx"), _address()
    assert shutil.which("nginx") or os.path.exists("/usr/sbin/nginx"), "nginx is a test package of ./dev"
    (folder / "conf").write_text(NGINX % {"dir": folder, "ip": ip, "agent": solo.ip})
    proc = subprocess.Popen([shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "conf")])

    def listens():
        assert proc.poll() is None, (folder / "error.log").read_text()
        try:
            socket.create_connection((ip, 8080), 1).close()
            return True
        except OSError:
            return False
    until("nginx", listens)
    yield "http://%s:8080/tools/consul/" % ip
    proc.send_signal(signal.SIGTERM)
    proc.wait(60)


def test_behind_a_proxy(browser, nginx, solo):
    browser.open(nginx + "ui/")
    browser.run('await page.getByRole("link", {name: "consul"}).click(); await page.getByRole("heading", {name: "consul"}).waitFor(); await page.reload(); await page.getByRole("heading", {name: "consul"}).waitFor();')
    assert browser.run("return page.url()") == nginx + "ui/dc1/services/consul"
    browser.run("""
        await page.getByRole("link", {name: "Keys and values"}).click();
        await page.getByRole("link", {name: "a/"}).click();
        await page.getByRole("link", {name: "b", exact: true}).click();
        const field = page.getByLabel("Value of a/b");
        await field.fill("through the proxy");
        await page.getByRole("button", {name: "Save"}).click();
        await said("Saved");
        await page.reload();
        await page.waitForFunction(() => document.querySelector("main textarea")?.value === "through the proxy");""")
    assert solo.get("/v1/kv/a/b?raw").body == b"through the proxy"
    put(solo, "kv/a/b", b"from elsewhere")
    browser.run('await page.waitForFunction(() => document.querySelector("main textarea")?.value === "from elsewhere")')


@pytest.mark.parametrize("key", ["a//b", "x/./y", "x/../y", "100%", "%2F", "a+b", "sp ace", "ümlaut", "t~il/d~e", "end/"])
def test_odd_keys_behind_a_proxy(browser, nginx, solo, key):
    """Names that proxies like to tidy: a link leads to the same name with and without one."""
    encode = browser.run("""
        await page.goto(args.url);
        await page.getByRole("heading", {name: "Keys and values"}).waitFor();
        return 1;""", url=nginx + "ui/dc1/kv")
    assert encode == 1
    # As a view's filter finds it: the key's own link is made by the page (the palette), so it is the page's encoding that is tested.
    assert put(solo, "txn", [{"KV": {"Verb": "set", "Key": key, "Value": "b2Rk"}}])["Errors"] is None
    browser.run("""
        const parts = args.key.split("/");
        for (let i = 0; i < parts.length - 1; i++) {
          const name = parts[i] + "/";
          if (i === parts.length - 2 && parts[i + 1] === "") break;
          const before = page.url();
          await page.locator("[data-row] a", {hasText: new RegExp("^" + name.replace(/[.*+?^${}()|[\\]\\\\]/g, "\\\\$&") + "$")}).click();
          await page.waitForFunction((b) => location.href !== b, before);
          await page.waitForTimeout(150);
        }
        await page.locator("[data-row] a").first().waitFor();""", key=key)
    url = browser.run("return page.url()")
    browser.run("await page.reload(); await page.locator('[data-row] a').first().waitFor()")
    assert browser.run("return page.url()") == url
