"""The certificate authority on Amazon's private CA (connect.md 3.12), against a stand-in (pca.py): an agent of ours and one of the peer's,
each with a service of its own, must ask the same in the same order and say the same of what is wrong; where ours is meant to be better, the
test says so."""

import json
import re

import pytest

from e2e.certificates import Authority
from e2e.harness import until
from e2e.mesh_authority import CONFIGURATION, PEM, active, configure, leaf, mesh, roots_of, verifies
from e2e.pca import Pca, Refused

FORCED = {"ForceWithoutCrossSigning": True}
DROPPED = ["UpdateCertificateAuthority", "DeleteCertificateAuthority"]


@pytest.fixture
def amazon(tmp_path, monkeypatch):
    """Makes stand-ins; agents that are started next use the one that was made last."""
    made, authority = [], Authority(tmp_path, "amazon")
    cert = authority.make("pca", names=["acm-pca.eu-test-1.amazonaws.com"])

    def make():
        pca = Pca(cert=cert.cert, key=cert.key)
        made.append(pca)
        use(pca)
        return pca

    def use(pca):
        for name, value in {"HTTPS_PROXY": pca.address, "AWS_CA_BUNDLE": authority.file, "AWS_REGION": "eu-test-1", "AWS_ACCESS_KEY_ID": pca.key_id,
                            "AWS_SECRET_ACCESS_KEY": pca.secret, "AWS_EC2_METADATA_DISABLED": "true"}.items():
            monkeypatch.setenv(name, value)
    make.use = use
    yield make
    for pca in made:
        pca.close()


def plain(text):
    """Without what is random, and the id of a request, which ours does not tell."""
    for found, put in ((r"certificate-authority/[0-9a-f-]{36}", "authority"), (r"certificate/[0-9a-f]{32}", "certificate"), (r"request id: \S*", "request id: "),
                       (r"(pri|sec)-[a-z0-9]{1,8}\.aws\.ca\.[0-9a-f]{8}\.consul", r"\1"), (r"after [0-9.]+s", "after"),
                       (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "uuid")):
        text = re.sub(found, put, text)
    return text


class Side:
    def __init__(self, agents, amazon, binary, name, **more):
        self.pca, self.at = amazon(), 0
        self.agent = agents(binary, name=name, config=mesh(**more)).start()
        roots_of(self.agent)

    def asked(self, leaves=True):
        out = []
        for action, body in self.pca.asked(self.at, leaves):
            one = dict(body)
            for key in ("Csr", "Certificate", "CertificateChain"):
                if key in one:
                    one[key] = "PEM"
            if "IdempotencyToken" in one:
                # The peer's may begin with the sign of a number.
                assert one["IdempotencyToken"].strip("-") in one["CertificateAuthorityConfiguration"]["Subject"]["CommonName"]
                one["IdempotencyToken"] = ""
            out.append((action, plain(json.dumps(one, sort_keys=True))))
        self.at = len(self.pca.seen)
        return out

    def put(self, provider, config, **more):
        got = configure(self.agent, provider, config, **more)
        return got.status, plain(got.text), self.asked(leaves=False)

    def shown(self):
        config = self.agent.get(CONFIGURATION).json
        return config["Provider"], config["Config"], plain(json.dumps(config["State"])), sorted((r["Name"], r["Active"]) for r in roots_of(self.agent)["Roots"])

    def leaf(self, service):
        got = self.agent.get("/v1/agent/connect/ca/leaf/" + service, timeout=60)
        return got.status, plain(got.text) if got.status != 200 else len(PEM.findall(got.json["CertPEM"]))

    def failing(self, action, kind, message="m", status=400):
        def refuse(_):
            raise Refused(kind, message, status)
        self.pca.wrong[action] = refuse


def both(agents, amazon, ours, peer, **more):
    return Side(agents, amazon, ours, "ours", **more), Side(agents, amazon, peer, "peer", **more)


def test_the_same_is_asked(agents, amazon, praetor_asan, peer, tmp_path):
    sides = both(agents, amazon, praetor_asan, peer, ca_provider="aws-pca", ca_config={"delete_on_exit": False})

    def same(do):
        told = [do(side) for side in sides]
        assert told[0] == told[1]
        return told[0]
    assert [action for action, _ in same(Side.asked)] == [
        "CreateCertificateAuthority", "DescribeCertificateAuthority", "DescribeCertificateAuthority", "GetCertificateAuthorityCsr", "IssueCertificate",
        "GetCertificate", "GetCertificate", "ImportCertificateAuthorityCertificate"]
    assert same(Side.shown)[2] == '{"CA_ARN": "arn:aws:acm-pca:eu-test-1:012345678901:authority"}'
    for side in sides:  # a restart goes on with what there is
        side.agent.stop()
        amazon.use(side.pca)
        side.agent.start()
        leaf(side.agent, "web")
    assert [action for action, _ in same(Side.asked)] == ["DescribeCertificateAuthority", "GetCertificateAuthorityCertificate", "IssueCertificate",
                                                         "GetCertificate", "GetCertificate"]
    ours = sides[0].agent
    assert active(ours)["PrivateKeyType"] == "ec" and verifies(tmp_path, leaf(ours, "web")["CertPEM"], [active(ours)["RootCert"]])
    for config in ({"LeafCertTTL": "49h"}, {"LeafCertTTL": "48h", "DeleteOnExit": True}):
        same(lambda side: side.put("aws-pca", config))
        same(Side.shown)
    assert same(lambda side: side.leaf("second")) == (200, 1)
    assert '"Value": 2' in same(Side.asked)[0][1]
    # It cannot sign another's root: that must be wanted. Then it goes, if that is wanted too.
    assert same(lambda side: side.put("consul", {}))[0] == 500
    assert [action for action, _ in same(lambda side: side.put("consul", {}, **FORCED))[2]] == DROPPED
    same(Side.shown)
    same(lambda side: side.put("aws-pca", {}))
    assert same(lambda side: side.leaf("third")) == (200, 2)  # with the new root as the old one signed it
    assert same(lambda side: {action for action, _ in side.asked()}) == {"IssueCertificate", "GetCertificate"}
    arns = [side.agent.get(CONFIGURATION).json["State"]["CA_ARN"] for side in sides]
    assert same(lambda side: side.put("consul", {}, **FORCED))[2] == []
    told = [side.put("aws-pca", {"ExistingARN": arn}) for side, arn in zip(sides, arns)]
    assert told[0] == told[1] and told[0][0] == 200
    same(lambda side: side.put("aws-pca", {"PrivateKeyType": "rsa", "PrivateKeyBits": 2048}, **FORCED))  # the same authority
    same(Side.shown)
    assert [side.leaf("fourth")[0] for side in sides] == [200, 200]
    mine, other = (next(body for action, body in side.asked() if action == "IssueCertificate") for side in sides)
    # The peer asks for what its configuration says of new keys, which Amazon refuses. Ours for what the authority can do.
    assert "SHA256WITHECDSA" in mine and "SHA256WITHRSA" in other


def test_rsa(agents, amazon, praetor_asan, peer):
    sides = both(agents, amazon, praetor_asan, peer, ca_provider="aws-pca", ca_config={"private_key_type": "rsa", "private_key_bits": 2048})
    assert [side.leaf("web") for side in sides] == [(200, 1)] * 2
    assert sides[0].asked() == sides[1].asked()
    assert active(sides[0].agent)["PrivateKeyType"] == "rsa"


def test_what_is_wrong_is_told_the_same(agents, amazon, praetor_asan, peer):
    sides = both(agents, amazon, praetor_asan, peer)

    def same(do):
        told = [do(side) for side in sides]
        assert told[0] == told[1]
        return told[0]
    for action in ("CreateCertificateAuthority", "DescribeCertificateAuthority", "GetCertificateAuthorityCsr", "IssueCertificate", "GetCertificate",
                   "ImportCertificateAuthorityCertificate"):
        for side in sides:
            side.failing(action, "InvalidArgsException")
        mine, other = (side.put("aws-pca", {}, **FORCED) for side in sides)
        assert mine[:2] == other[:2] and mine[0] == 500
        # What was made for nothing is deleted by ours; the peer leaves it (and makes another the next time).
        assert [a for a, _ in mine[2]] == [a for a, _ in other[2]] + (DROPPED if action != "CreateCertificateAuthority" else [])
        for side in sides:
            side.pca.wrong.clear()
    for config in ({"LeafCertTTL": "23h"}, {"PrivateKeyBits": 384}, {"PrivateKeyBits": 384, "LeafCertTTL": "5h"}, {"PrivateKeyType": "x"},
                   {"LeafCertTTL": "30m"}, {"ExistingARN": ["x"]}, {"DeleteOnExit": "x"}, {"ExistingARN": "arn:nosuch"}, {"ExistingARN": "x"}):
        assert same(lambda side: side.put("aws-pca", config, **FORCED))[0] == 500, config
    for side in sides:
        side.pca.key_id = "OTHER"
    assert "UnrecognizedClientException" in same(lambda side: side.put("aws-pca", {"ExistingARN": "arn:nosuch"}, **FORCED))[1]
    for side in sides:
        side.pca.key_id, side.pca.secret = "AKIDFAKE", "other"
    assert "InvalidSignatureException" in same(lambda side: side.put("aws-pca", {"ExistingARN": "arn:nosuch"}, **FORCED))[1]
    for side in sides:
        side.pca.secret = "verysecret"
    assert same(lambda side: side.put("aws-pca", {}, **FORCED))[0] == 200
    for kind, message, status in (("LimitExceededException", "too many", 400), ("ThrottlingException", "Rate exceeded", 400), ("InternalError", "oops", 500),
                                  ("MalformedCSRException", "bad", 400)):
        for side in sides:
            side.failing("IssueCertificate", kind, message, status)
        told = same(lambda side: side.leaf("of-" + kind.lower()))
        assert told[0] == (429 if kind.startswith("Limit") else 500), told
        asked = same(lambda side: [action for action, _ in side.asked()])
        assert len(asked) == (4 if kind[0] in "TI" else 1)  # again, when it may pass
        for side in sides:
            side.pca.wrong.clear()
    for side in sides:
        side.failing("GetCertificate", "RequestFailedException", "it failed")
    assert same(lambda side: side.leaf("failed"))[0] == 500
    sides[0].pca.wrong["GetCertificate"] = lambda _: {"Certificate": "garbage"}  # the peer's server crashes on it
    assert sides[0].leaf("garbage") == (500, "no PEM-encoded data found")
    for side in sides:
        side.pca.wrong.clear()
        for authority in side.pca.authorities.values():
            authority.status = "DISABLED"
        side.at = len(side.pca.seen)
    arn = [side.agent.get(CONFIGURATION).json["State"]["CA_ARN"] for side in sides]
    told = [side.put("aws-pca", {"ExistingARN": one}, **FORCED)[:2] for side, one in zip(sides, arn)]
    assert told[0] == told[1] == (500, "error generating CA root certificate: the configured PCA is not active: status is DISABLED")
    with open(sides[0].agent.log, "rb") as handle:
        assert b"verysecret" not in handle.read()


def test_no_region_no_credentials(agents, amazon, praetor_asan, peer, monkeypatch):
    for missing, text in (("AWS_REGION", "MissingRegion: could not find region configuration"), ("AWS_ACCESS_KEY_ID", "NoCredentialProviders: no valid providers"),
                          ("AWS_CA_BUNDLE", "x509: certificate signed by unknown authority")):
        told = []
        for name, binary in (("ours", praetor_asan), ("peer", peer)):
            amazon()
            monkeypatch.setenv("HOME", "/nonexistent")
            monkeypatch.delenv(missing)
            agent = agents(binary, name=name + missing.lower().replace("_", "-"), config=mesh()).start()
            roots_of(agent)
            leaf(agent, "early")  # its own authority is there
            got = configure(agent, "aws-pca", {}, **FORCED)
            told.append((got.status, got.text))
            agent.kill()
        assert told[0] == told[1] and told[0][0] == 500 and text in told[0][1], told


def test_one_that_waits_for_its_certificate(agents, amazon, praetor_asan):
    """A start that came no further than a new authority goes on with it (the peer cannot); nothing is made twice."""
    pca = amazon()
    pca.wrong["GetCertificateAuthorityCsr"] = lambda _: {}
    agent = agents(praetor_asan, config=mesh(ca_provider="aws-pca")).start()
    until("some tries", lambda: [a for a, _ in pca.asked()].count("GetCertificateAuthorityCsr") >= 2)
    agent.kill()
    pca.wrong.clear()
    agent.start()
    until("a leaf", lambda: agent.get("/v1/agent/connect/ca/leaf/web").status == 200)
    assert [a for a, _ in pca.asked()].count("CreateCertificateAuthority") == len(pca.authorities) == 1


def secondary(agents, binary, name, primary, **more):
    agent = agents(binary, name=name, config=dict({"datacenter": "dc2", "primary_datacenter": "dc1", "retry_join_wan": [primary.ip]}, **mesh(**more)))
    agent.launch()
    until("the secondary's roots", lambda: has_roots(agent))
    return agent


def has_roots(agent):
    try:
        return roots_of(agent)
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["ours", "peer"])
def test_a_secondary_of_it(agents, amazon, praetor_asan, peer, tmp_path, kind):
    """The primary's authority signs an intermediate for another datacenter, of either kind."""
    pca = amazon()
    primary = agents(praetor_asan, name="p1", config=dict({"primary_datacenter": "dc1"}, **mesh(ca_provider="aws-pca"))).start()
    root = active(primary)["RootCert"]
    other = secondary(agents, peer if kind == "peer" else praetor_asan, "q1", primary)
    assert verifies(tmp_path, leaf(other, "web")["CertPEM"], [root])
    issued = [body for action, body in pca.asked() if action == "IssueCertificate"]
    assert issued[1]["TemplateArn"].endswith("/SubordinateCACertificate_PathLen0/V1") and issued[1]["Validity"] == {"Type": "DAYS", "Value": 365}


@pytest.mark.parametrize("kind", ["ours", "peer"])
def test_it_in_a_secondary(agents, amazon, praetor_asan, peer, tmp_path, kind):
    """The peer's never begins, and makes an authority every five seconds; ours makes one, and has it signed by a primary of either kind."""
    pca = amazon()
    primary = agents(peer if kind == "peer" else praetor_asan, name="p1", config=dict({"primary_datacenter": "dc1"}, **mesh())).start()
    root = active(primary)["RootCert"]
    other = secondary(agents, praetor_asan, "q1", primary, ca_provider="aws-pca", ca_config={"delete_on_exit": True})
    assert verifies(tmp_path, leaf(other, "web")["CertPEM"], [root])
    assert [a for a, _ in pca.asked()][:5] == ["CreateCertificateAuthority", "DescribeCertificateAuthority", "DescribeCertificateAuthority",
                                               "GetCertificateAuthorityCsr", "ImportCertificateAuthorityCertificate"]
    other.kill()
    other.launch()
    until("roots again", lambda: has_roots(other))
    until("a leaf", lambda: other.get("/v1/agent/connect/ca/leaf/db").status == 200)
    assert len(pca.authorities) == 1 and [a.kind for a in pca.authorities.values()] == ["SUBORDINATE"]
    got = configure(other, "consul", {})
    assert got.status == 200, got.text
    until("its end", lambda: [a for a, _ in pca.asked()][-2:] == DROPPED)
    assert verifies(tmp_path, leaf(other, "last")["CertPEM"], [root])
