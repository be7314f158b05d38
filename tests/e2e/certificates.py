"""Certificates for the tests of TLS, with whatever is to be wrong with them: by python3-cryptography, by OpenSSL's command
line and by the peer's `consul tls`. Each is a Made: files of a chain and a key."""

import datetime
import ipaddress
import os
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Use
from cryptography.x509.oid import NameOID

SERVER, CLIENT = Use.SERVER_AUTH, Use.CLIENT_AUTH
NAMES = ["server.dc1.consul", "localhost"]
DAY = datetime.timedelta(days=1)


class Made:
    def __init__(self, folder, name, chain, key):
        self.name = name
        self.cert, self.key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + "-key.pem")
        with open(self.cert, "wb") as handle:
            handle.write(b"".join(chain))
        with open(self.key, "wb") as handle:
            handle.write(key)


def new_key(kind="P-256"):
    if kind == "RSA":
        return rsa.generate_private_key(65537, 2048)
    return {"P-256": lambda: ec.generate_private_key(ec.SECP256R1()), "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
            "Ed25519": ed25519.Ed25519PrivateKey.generate}[kind]()


def key_text(key):
    """PKCS #8; elliptic keys as the peer writes them."""
    old = isinstance(key, ec.EllipticCurvePrivateKey)
    form = serialization.PrivateFormat.TraditionalOpenSSL if old else serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    def __init__(self, folder, name, above=None, kind="P-256"):
        self.folder, self.name, self.above, self.key = str(folder), name, above, new_key(kind)
        self.x509 = self._sign(name, self.key, authority=True, signer=above or self)
        self.file = os.path.join(self.folder, name + ".pem")
        with open(self.file, "wb") as handle:
            handle.write(pem(self.x509))

    def _sign(self, name, key, authority=False, names=(), addresses=(), uses=None, begin=-DAY, end=30 * DAY, signer=None):
        now = datetime.datetime.utcnow()
        signer = signer or self
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if signer is self and authority else signer.x509.subject
        made = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now + begin).not_valid_after(now + end)
                .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False))
        if uses is not None:
            made = made.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        alternatives = [x509.DNSName(n) for n in names] + [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
        if alternatives:
            made = made.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        digest = None if isinstance(signer.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return made.sign(signer.key, digest)

    def make(self, name, kind="P-256", common="server.dc1.consul", names=NAMES, addresses=("127.0.0.1",),
             uses=(SERVER, CLIENT), chain=(), **more):
        """chain: authorities whose certificates go behind the leaf's."""
        key = new_key(kind)
        leaf = self._sign(common, key, names=names, addresses=addresses, uses=uses, **more)
        return Made(self.folder, name, [pem(leaf)] + [pem(a.x509) for a in chain], key_text(key))


def by_openssl(folder, authority, name, subject="/CN=server.dc1.consul", extensions=(), kind=("rsa:2048", None), days=30):
    """By OpenSSL's command line, with the extensions as its configuration has them."""
    def run(*argv):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)
    with open(os.path.join(folder, name + ".cnf"), "w") as handle:
        handle.write("[ext]\n" + "\n".join(extensions) + "\n")
    with open(os.path.join(folder, name + "-ca-key.pem"), "wb") as handle:
        handle.write(key_text(authority.key))
    options = ["-pkeyopt", kind[1]] if kind[1] else []
    run("req", "-new", "-newkey", kind[0], *options, "-nodes", "-subj", subject, "-keyout", name + "-key.pem", "-out", name + ".csr")
    run("x509", "-req", "-in", name + ".csr", "-CA", authority.file, "-CAkey", name + "-ca-key.pem", "-set_serial", "77",
        "-days", str(days), "-extfile", name + ".cnf", "-extensions", "ext", "-out", name + ".pem")
    made = Made.__new__(Made)
    made.name, made.cert, made.key = name, os.path.join(folder, name + ".pem"), os.path.join(folder, name + "-key.pem")
    return made


class ByCommand:
    """An authority by `consul tls`, of either binary."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self._run("ca", "create")
        self.file = os.path.join(self.folder, "consul-agent-ca.pem")

    def _run(self, *argv):
        return subprocess.run([self.binary, "tls", *argv], cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def make(self, name, kind, *more):
        """kind: server, client, cli."""
        saved = [line[len("==> Saved "):] for line in self._run("cert", "create", "-" + kind, *more).splitlines()
                 if line.startswith("==> Saved ")]
        made = Made.__new__(Made)
        made.name = name
        made.cert, made.key = (os.path.join(self.folder, f) for f in saved)
        return made


class Everything:
    """The certificates that the matrices go through: good and bad ones of one authority, and others'. `bundle` is the file
    of the authorities that are trusted."""

    def __init__(self, folder, praetor, peer):
        folder = str(folder)
        os.makedirs(folder, exist_ok=True)
        self.ca, self.other = Authority(folder, "CA"), Authority(folder, "Other")
        middle = Authority(folder, "Middle", self.ca)
        low = Authority(folder, "Low", middle)
        # The same name as the trusted authority's, another key.
        os.makedirs(os.path.join(folder, "false"), exist_ok=True)
        false = Authority(os.path.join(folder, "false"), "CA")
        theirs, ours = ByCommand(peer, folder + "/peer"), ByCommand(praetor, folder + "/praetor")
        self.bundle = os.path.join(folder, "bundle.pem")
        with open(self.bundle, "wb") as out:
            for file in (self.ca.file, theirs.file, ours.file):
                with open(file, "rb") as handle:
                    out.write(handle.read())
        ca = self.ca
        made = [
            ca.make("good"), ca.make("no-eku", uses=None), ca.make("server-only", uses=[SERVER]),
            ca.make("client-only", uses=[CLIENT]), ca.make("any-eku", uses=[Use.ANY_EXTENDED_KEY_USAGE]),
            ca.make("wrong-eku", uses=[Use.CODE_SIGNING]),
            ca.make("expired", begin=-9 * DAY, end=-DAY), ca.make("future", begin=DAY, end=9 * DAY),
            ca.make("wrong-name", names=["foo.dc1.consul", "bar"]), ca.make("wildcard", names=["*.dc1.consul"]),
            ca.make("half-wildcard", names=["s*.dc1.consul"]), ca.make("all-wildcard", names=["*"]),
            ca.make("upper-case", names=["SERVER.DC1.Consul"]), ca.make("cn-only", names=[], addresses=[]),
            ca.make("other-cn-only", common="foo", names=[], addresses=[]), ca.make("address-only", names=[]),
            ca.make("rsa", kind="RSA"), ca.make("p384", kind="P-384"), ca.make("ed25519", kind="Ed25519"),
            self.other.make("other-ca"), false.make("false-ca"),
            low.make("chain", chain=[low, middle]), low.make("chain-with-root", chain=[low, middle, ca]),
            low.make("chain-unordered", chain=[ca, middle, low]), low.make("middle-missing", chain=[low]),
            low.make("no-middle"),
            self.other.make("expired-other", begin=-9 * DAY, end=-DAY),
            self.other.make("wrong-name-other", names=["foo.dc1.consul"]),
            ca.make("expired-wrong-name", names=["foo.dc1.consul"], begin=-9 * DAY, end=-DAY),
            by_openssl(folder, ca, "openssl-rsa", extensions=["subjectAltName=DNS:server.dc1.consul,IP:127.0.0.1"]),
            by_openssl(folder, ca, "openssl-ca-false", kind=("ec", "ec_paramgen_curve:P-256"), extensions=[
                "basicConstraints=CA:FALSE", "keyUsage=critical,digitalSignature", "extendedKeyUsage=serverAuth,clientAuth",
                "subjectAltName=DNS:server.dc1.consul"]),
            by_openssl(folder, ca, "openssl-v1", extensions=[]),
            by_openssl(folder, ca, "openssl-critical", extensions=["1.2.3.4=critical,DER:0500",
                                                                   "subjectAltName=DNS:server.dc1.consul"]),
        ]
        for prefix, by in (("peer", theirs), ("praetor", ours)):
            made += [by.make("%s-%s" % (prefix, kind), kind) for kind in ("server", "client", "cli")]
            made.append(by.make(prefix + "-node", "server", "-node=n7", "-additional-dnsname=x.example"))
        self.all = {m.name: m for m in made}

    def matrix(self, outcome):
        """{name: outcome(certificate)}"""
        return {name: outcome(made) for name, made in self.all.items()}
