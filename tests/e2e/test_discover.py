"""Cloud discovery in retry_join: agents find each other through fakes of Amazon's two services, Kubernetes, DigitalOcean, Google and Azure,
and by multicast DNS. Amazon's and Google's answers are also asked for by the real peer where it can reach a fake."""

import base64
import json
import os
import socket
import ssl
import struct
import subprocess
import threading

import pytest

from e2e.clouds import Clouds
from e2e.harness import until


@pytest.fixture
def clouds():
    made = Clouds()
    yield made
    made.close()


@pytest.fixture
def clean(monkeypatch, tmp_path):
    """No credentials or endpoints of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "ARM_", "AZURE_", "GCE_", "GOOGLE_", "CLOUDSDK_", "DIGITALOCEAN_", "KUBE")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def joined(server, client, seconds=90):
    def both():
        for agent in (server, client):
            try:
                answer = agent.get("/v1/agent/members")
            except OSError:
                return False  # it is only starting
            if {m["Name"] for m in answer.json if m["Status"] == 1} != {server.name, client.name}:
                return False
        return True

    until("both are members", both, seconds)


def says(agent, *texts):
    for text in texts:
        until("it says %r" % text, lambda: text in log_of(agent))


def log_of(agent):
    with open(agent.log, encoding="utf-8") as handle:
        return handle.read()


def client_of(agents, binary, entry, name="c1", **more):
    agent = agents(binary, name=name, config=dict({"server": False, "retry_join": entry if isinstance(entry, list) else [entry], "retry_interval": "1s"}, **more))
    conf = dict(agent.conf)
    conf.pop("bootstrap_expect")
    agent.configure(conf)
    agent.launch()
    return agent


def serf_port(server):
    return server.conf["ports"]["serf_lan"] if server.conf["ports"].get("serf_lan") else 8301


@pytest.mark.parametrize("version", [1, 2])
def test_amazon_by_instance_role(agents, praetor_asan, clouds, clean, version):
    server = agents(praetor_asan).start()
    clouds.version, clouds.needs_session, clouds.page = version, True, 1
    clouds.instances = [{"private": "127.255.0.1", "tags": {"consul": "client"}}, {"private": "127.255.0.2", "state": "stopped", "tags": {"consul": "server + é"}},
                        {"private": "127.255.0.3", "tags": {"consul": "server + é"}}, {"private": server.ip, "tags": {"consul": "server + é"}}]
    clean.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", clouds.url)
    clean.setenv("AWS_ENDPOINT_URL_EC2", clouds.url + "/")
    client = client_of(agents, praetor_asan, 'provider=aws tag_key=consul tag_value="server + é"')
    joined(server, client)
    says(client, 'Discovered servers: cluster=LAN cluster=LAN servers="127.255.0.3 %s"' % server.ip, "discover-aws: Region is eu-test-1")


def test_amazon_credentials(agents, praetor_asan, clouds, clean, tmp_path):
    server = agents(praetor_asan).start()
    clouds.instances = [{"public": server.ip, "tags": {"a": "b"}}]
    clean.setenv("AWS_EC2_METADATA_DISABLED", "true")
    clean.setenv("AWS_ENDPOINT_URL", clouds.url)
    base = "provider=aws region=eu-test-1 tag_key=a tag_value=b addr_type=public_v4"
    # None; wrong ones; those of the entry, which come first.
    client = client_of(agents, praetor_asan, [base, base + " access_key_id=AKIDFAKE secret_access_key=wrong"], retry_max=3)
    says(client, "status code: 401, request id: req-1", "discover-aws: DescribeInstancesInput failed: NoCredentialProviders: no valid providers in chain",
         "discover-aws: DescribeInstancesInput failed: AuthFailure: AWS was not able to validate the provided access credentials",
         'error="No servers to join"')
    client.kill()
    os.makedirs(str(tmp_path / ".aws"))
    (tmp_path / ".aws" / "credentials").write_text("[default]\naws_access_key_id=AKIDFAKE\naws_secret_access_key=verysecret\n")
    joined(server, client_of(agents, praetor_asan, base, name="c2"))


def test_digitalocean(agents, praetor_asan, clouds, clean):
    server = agents(praetor_asan).start()
    clouds.page = 1
    clouds.droplets = [{"region": "ams1", "tags": ["x"], "private": "127.255.0.1", "public": "127.255.1.1"}, {"region": "nyc3", "tags": ["consul"], "private": "127.255.0.2", "public": "127.255.1.2"},
                       {"region": "ams1", "tags": ["consul"], "private": server.ip, "public": "127.255.1.3"}]
    clean.setenv("DIGITALOCEAN_API_URL", clouds.url)
    client = client_of(agents, praetor_asan, ["provider=digitalocean region=ams1 tag_name=consul api_token=wrong", "provider=digitalocean region=ams1 tag_name=consul api_token=do-token"])
    joined(server, client)
    says(client, "discover-digitalocean: unexpected status 401 Unauthorized", "servers=%s\n" % server.ip)


def pod(ip, ready="True", phase="Running", port=None):
    return {"metadata": {"annotations": {"hashicorp/consul-auto-join-port": port} if port else {}}, "spec": {"containers": [{"ports": [{"name": "serflan", "containerPort": 8301}]}]},
            "status": {"phase": phase, "podIP": ip, "hostIP": "127.255.9.9", "conditions": [{"type": "Ready", "status": ready}]}}


def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder + "/key.pem", "-out", folder + "/cert.pem", "-days", "9",
                    "-subj", "/CN=fake", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
    return context


def test_kubernetes(agents, praetor_asan, clean, tmp_path):
    server = agents(praetor_asan).start()
    clouds = Clouds(tls=certificate(str(tmp_path)))
    clouds.page = 1
    clouds.pods = [pod("127.255.0.1", ready="False"), pod("127.255.0.2", phase="Pending"), pod(server.ip, port=str(serf_port(server)))]
    with open(str(tmp_path / "cert.pem"), "rb") as handle:
        trusted = base64.b64encode(handle.read()).decode()
    (tmp_path / "kubeconfig").write_text("""apiVersion: v1
kind: Config
clusters:
- name: fake
  cluster:
    certificate-authority-data: %s
    server: %s/
contexts:
- name: here
  context: {cluster: fake, user: me}
current-context: here
users:
- name: me
  user:
    token: k8s-token # not secret
""" % (trusted, clouds.url))
    client = client_of(agents, praetor_asan, ['provider=k8s kubeconfig=%s/kubeconfig label_selector="app=consul,component=server"' % tmp_path, "provider=k8s kubeconfig=%s/none" % tmp_path,
                                              "provider=k8s host_network=zz"])
    joined(server, client)
    says(client, "servers=%s:%d\n" % (server.ip, serf_port(server)),
         "discover-k8s: error loading kubeconfig: open %s/none: no such file or directory" % tmp_path,
         'discover-k8s: host_network must be boolean value: strconv.ParseBool: parsing "zz": invalid syntax')
    asked = [r[1] for r in clouds.requests]
    assert asked[0] == "/api/v1/namespaces/default/pods?continue=&fieldSelector=&labelSelector=app%3Dconsul%2Ccomponent%3Dserver&limit=500"
    clouds.close()


def test_google_and_azure(agents, praetor_asan, clouds, clean, tmp_path):
    server = agents(praetor_asan).start()
    clouds.google = [{"zone": "europe-west1-b", "ip": server.ip, "tags": ["consul"]}, {"zone": "us-east1-a", "ip": "127.255.0.1", "tags": ["consul"]},
                     {"zone": "europe-west1-b", "ip": "127.255.0.2", "tags": ["other"]}]
    clouds.azure = [{"ip": server.ip, "tags": {"role.x": "consul"}}, {"ip": "127.255.0.3", "tags": None}, {"ip": "127.255.0.4", "set": "set1"}]
    clean.setenv("GCE_METADATA_HOST", clouds.url.split("//")[1])
    clean.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", clouds.url + "/compute/v1/")
    (tmp_path / "azure.json").write_text(json.dumps({"name": "fake", "activeDirectoryEndpoint": clouds.url + "/", "resourceManagerEndpoint": clouds.url + "/"}))
    clean.setenv("AZURE_ENVIRONMENT_FILEPATH", str(tmp_path / "azure.json"))
    clean.setenv("ARM_SUBSCRIPTION_ID", "sub-1")
    clean.setenv("ARM_TENANT_ID", "tenant-1")
    clean.setenv("ARM_CLIENT_ID", "client-1")
    clean.setenv("ARM_CLIENT_SECRET", "azure-secret")
    key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True, capture_output=True, text=True).stdout
    (tmp_path / "google.json").write_text(json.dumps({"type": "service_account", "client_email": "a@b", "private_key": key, "private_key_id": "1", "token_uri": clouds.url + "/token"}))
    client = client_of(agents, praetor_asan, ["provider=gce tag_value=consul zone_pattern=europe-.*", "provider=gce project_name=p tag_value=consul credentials_file=%s/google.json" % tmp_path,
                                              "provider=azure tag_name=role.x tag_value=consul", "provider=azure resource_group=rg vm_scale_set=set1", "provider=azure"])
    joined(server, client)
    unclear = "discover-azure: unclear configuration. use (tag name and value) or (resouce_group and vm_scale_set)"
    says(client, unclear, 'servers="%s 127.255.0.1"' % server.ip, "servers=127.255.0.4\n")
    text = log_of(client)
    assert text.count("servers=%s\n" % server.ip) == 2 * text.count(unclear)  # which is the last of each round
    # What was signed with the service account's key.
    head, claims, signature = clouds.token_request["assertion"][0].split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert decoded["iss"] == "a@b" and decoded["aud"] == clouds.url + "/token" and decoded["exp"] == decoded["iat"] + 3600
    (tmp_path / "text").write_text(head + "." + claims)
    (tmp_path / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=="))
    (tmp_path / "rsa.pem").write_text(key)
    public = subprocess.run(["openssl", "pkey", "-pubout", "-in", str(tmp_path / "rsa.pem")], check=True, capture_output=True).stdout
    (tmp_path / "public.pem").write_bytes(public)
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", str(tmp_path / "public.pem"), "-signature", str(tmp_path / "signature"), str(tmp_path / "text")], check=True, capture_output=True)


class Responder:
    """Multicast DNS (RFC 6762) for one instance, on all interfaces. Others may answer on the same port: the service's name must be its own."""

    def __init__(self, service, ip, port):
        self.service, self.ip, self.port = service, ip, port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.socket.bind(("", 5353))
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + socket.inet_aton("0.0.0.0"))
        threading.Thread(target=self.run, daemon=True).start()

    @staticmethod
    def name(text):
        return b"".join(bytes([len(p)]) + p.encode() for p in text.split(".")) + b"\0"

    def record(self, name, kind, data):
        return self.name(name) + struct.pack(">HHIH", kind, 1, 120, len(data)) + data

    def run(self):
        while True:
            try:
                question, sender = self.socket.recvfrom(9000)
            except OSError:
                return
            if question[12:] != self.name(self.service) + b"\0\x0c\0\x01":
                continue
            node = "node1." + self.service
            self.socket.sendto(question[:2] + struct.pack(">HHHHH", 0x8400, 0, 4, 0, 0) + self.record(self.service, 12, self.name(node)) +
                               self.record(node, 33, struct.pack(">HHH", 1, 1, self.port) + self.name("host1.local")) + self.record("host1.local", 1, socket.inet_aton(self.ip)) +
                               self.record(node, 16, b"\1x"), sender)

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("kind", ["praetor_asan", "peer"])
def test_multicast_dns(agents, praetor_asan, clean, kind, request):
    server = agents(praetor_asan).start()
    try:
        responder = Responder("_praetor%d-%s._tcp.test" % (os.getpid(), kind[:4]), server.ip, serf_port(server))
    except OSError:
        pytest.skip("no multicast here")
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        probe.sendto(b"", ("224.0.0.251", 5353))
    except OSError:
        pytest.skip("no multicast here")
    client = client_of(agents, request.getfixturevalue(kind), "provider=mdns service=%s domain=test timeout=1s v6=false" % responder.service[:-len(".test")])
    joined(server, client)
    says(client, "servers=%s:%d" % (server.ip, serf_port(server)))
    responder.close()


def test_entries_that_are_refused(agents, praetor_asan, peer, clean):
    """The peer's texts, word for word."""
    entries = ["provider=nope", "provider=", "provider=aws a", "x=1 provider=", "provider=mdns", "provider=mdns service=a timeout=zz", "provider=mdns service=a v4=zz", "provider=mdns service=a v6=zz",
               "provider=aws a=b a=c", 'provider=aws a="b', "provider=aws a=b=c"]
    lines = []
    for binary, name in ((praetor_asan, "c1"), (peer, "c2")):
        client = client_of(agents, binary, entries, name=name)
        says(client, "No servers to join")
        first_round = log_of(client).split("No servers to join")[0]  # the next one begins a second later
        lines.append([line.split("error=", 1)[1] for line in first_round.splitlines() if "Cannot discover address" in line])
    assert lines[0] == lines[1] and len(lines[0]) == len(entries)
