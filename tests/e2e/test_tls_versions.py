"""What of versions and suites is agreed on over HTTPS (tls.md 9), tried one by one with OpenSSL's command line, beside the
peer."""

import re
import subprocess

import pytest

from e2e.certificates import Authority
from e2e.harness import PORTS

HTTPS = 8501

SUITES = ("ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 "
          "ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-AES128-SHA ECDHE-ECDSA-AES128-SHA "
          "ECDHE-RSA-AES256-SHA ECDHE-ECDSA-AES256-SHA AES128-GCM-SHA256 AES256-GCM-SHA384 AES128-SHA AES256-SHA AES128-SHA256 "
          "AES256-SHA256 ECDHE-RSA-AES128-SHA256 ECDHE-ECDSA-AES128-SHA256 ECDHE-RSA-AES256-SHA384 DHE-RSA-AES128-GCM-SHA256 "
          "ECDHE-ECDSA-AES128-CCM CAMELLIA128-SHA NULL-SHA256").split()
SUITES_13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256"]
TWO_12 = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
ATTEMPTS = [("-tls1", "ALL:COMPLEMENTOFALL"), ("-tls1_1", "ALL:COMPLEMENTOFALL"), ("-tls1_2", "ALL:COMPLEMENTOFALL"),
            ("-tls1_3", None), ("-tls1_2", TWO_12)] + [("-tls1_2", suite) for suite in SUITES] + [
                ("-tls1_3", suite) for suite in SUITES_13]


def connect(ip, port, version, suites):
    """By OpenSSL's command line: what was agreed on, or "refused"."""
    argv = ["openssl", "s_client", "-connect", "%s:%d" % (ip, port), version]
    if suites and version == "-tls1_3":
        argv += ["-ciphersuites", suites]
    else:
        argv += ["-cipher", (suites or "ALL") + "@SECLEVEL=0"]
    got = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    new = re.search(r"^New, (\S+), Cipher is (\S+)", got.stdout, re.M)
    return "refused" if new is None or new.group(2) == "(NONE)" else new.groups()


def listing(agent):
    return {"%s %s" % attempt: connect(agent.ip, HTTPS, *attempt) for attempt in ATTEMPTS}


@pytest.mark.parametrize("settings", [
    {}, {"tls_min_version": "tls10"}, {"tls_min_version": "tls13"}, {"tls_prefer_server_cipher_suites": True},
    {"tls_cipher_suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,"
                          "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"}],
    ids=["default", "tls10", "tls13", "prefer", "suites"])
def test_versions_and_suites(agents, praetor, peer, tmp_path, settings):
    """The listing of what is agreed on, with each kind of certificate, as the peer's."""
    authority = Authority(tmp_path, "CA")
    for kind in ("P-256", "RSA"):
        lists, one = [], authority.make("server-" + kind, kind=kind)
        for name, binary in (("ours", praetor), ("theirs", peer)):
            agent = agents(binary, name=name + kind, dev=True, config=dict(
                settings, ports=dict(PORTS, https=HTTPS, grpc=-1), cert_file=one.cert, key_file=one.key))
            agent.start()
            lists.append(listing(agent))
            agent.stop(60)
        ours, theirs = lists
        wrong = ["%s: the peer %r, ours %r" % (k, theirs[k], ours[k]) for k in theirs if ours[k] != theirs[k]]
        assert not wrong, "\n".join(wrong)
        assert len({str(got) for got in theirs.values()}) > 2
