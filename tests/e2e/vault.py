"""A stand-in for Vault: what the certificate authority asks of it (tokens, mounts, the PKI secrets engine), with real keys and
certificates, over HTTP or HTTPS. It records every request, and can be told to answer wrongly. Its words are those of the real
one, as far as its documentation shows them; its certificates have the short key ids (SHA-1) that Vault gives."""

import datetime
import http.server
import json
import ssl
import threading
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID as Use
from cryptography.x509.oid import NameOID

from e2e.http_listener import HttpListener

CURVES = {224: ec.SECP224R1, 256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1}
YEAR = datetime.timedelta(hours=8760)


def _key(kind, bits):
    return rsa.generate_private_key(65537, bits) if kind == "rsa" else ec.generate_private_key(CURVES[bits]())


def pem(thing):
    return thing.public_bytes(Encoding.PEM).decode().strip()


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def seconds(text):
    """A duration as the other language writes it: "8760h0m0s", "5s"."""
    total, number = 0.0, ""
    for c in text:
        if c in "hms":
            total += float(number) * {"h": 3600, "m": 60, "s": 1}[c]
            number = ""
        else:
            number += c
    return datetime.timedelta(seconds=total)


class Refused(Exception):
    def __init__(self, status, *errors):
        Exception.__init__(self, *errors)
        self.status, self.errors = status, errors


def authority_id(above, key):
    """The key id of who signs, as its certificate has it."""
    if above is None:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    own = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def uses_of_key(authority):
    """Certificates and revocation lists are signed; or digital signature, key encipherment and agreement."""
    return x509.KeyUsage(not authority, False, not authority, False, not authority, authority, authority, False, False)


def build(subject, public, issuer, signer, life, names=None, authority=False, depth=None, uses=(),
          begun=datetime.timedelta(seconds=30)):
    """signer: (certificate or None for itself, key)."""
    now = datetime.datetime.utcnow()
    above, key = signer
    b = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
         .serial_number(x509.random_serial_number()).not_valid_before(now - begun)
         .not_valid_after(now + life)
         .add_extension(uses_of_key(authority), True)
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
         .add_extension(authority_id(above, key), False))
    if authority:
        b = b.add_extension(x509.BasicConstraints(True, depth), True)
    if uses:
        b = b.add_extension(x509.ExtendedKeyUsage(uses), False)
    if names:
        b = b.add_extension(x509.SubjectAlternativeName(names), False)
    return b.sign(key, hashes.SHA256())


class Mount:
    """One PKI secrets engine."""

    def __init__(self):
        self.certificate = self.chain = self.key = self.waiting = None
        self.roles = {}

    def _signer(self):
        if self.certificate is None:
            raise Refused(500, "could not fetch the CA certificate (was one set?): unable to fetch local CA certificate/key: "
                               "backend must be configured with a CA certificate/key")
        return self.certificate, self.key

    def ca_pem(self):
        return self.chain or ""

    def generate_root(self, r):
        self.key = _key(r["key_type"], r["key_bits"])
        subject = name(r["common_name"])
        self.certificate = build(subject, self.key.public_key(), subject, (None, self.key), YEAR,
                                 [x509.UniformResourceIdentifier(r["uri_sans"])], authority=True)
        self.chain = pem(self.certificate)
        return {"certificate": self.chain, "issuing_ca": self.chain}

    def generate_intermediate(self, r):
        self.waiting = _key(r["key_type"], r["key_bits"])
        csr = (x509.CertificateSigningRequestBuilder().subject_name(name(r["common_name"]))
               .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(r["uri_sans"])]), False)
               .sign(self.waiting, hashes.SHA256()))
        return {"csr": pem(csr)}

    def _request(self, text):
        try:
            return x509.load_pem_x509_csr(text.encode())
        except ValueError:
            raise Refused(400, "certificate request could not be parsed")

    def _names(self, csr):
        try:
            return list(csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        except x509.ExtensionNotFound:
            return None

    def sign_intermediate(self, r, old):
        above, key = self._signer()
        csr = self._request(r["csr"])
        times = {"life": YEAR / 10, "begun": YEAR / 2} if old else {"life": seconds(r["ttl"])}
        made = build(csr.subject, csr.public_key(), above.subject, (above, key), names=self._names(csr), authority=True,
                     depth=r.get("max_path_length"), **times)
        return {"certificate": pem(made), "issuing_ca": pem(above)}

    def set_signed(self, r):
        made = x509.load_pem_x509_certificate(r["certificate"].encode())
        mine = self.waiting.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != mine:
            raise Refused(500, "stored CA information not able to be parsed")
        self.certificate, self.key, self.waiting = made, self.waiting, None
        self.chain = pem(made)
        return None

    def sign_leaf(self, role, r):
        if role not in self.roles:
            raise Refused(400, "unknown role: " + role)
        above, key = self._signer()
        csr = self._request(r["csr"])
        life = seconds(r["ttl"])
        if life > seconds(self.roles[role]["max_ttl"]):
            life = seconds(self.roles[role]["max_ttl"])
        made = build(csr.subject, csr.public_key(), above.subject, (above, key), life, self._names(csr),
                     uses=[Use.SERVER_AUTH, Use.CLIENT_AUTH])
        return {"certificate": pem(made), "issuing_ca": pem(above)}

    def sign_self_issued(self, r):
        above, key = self._signer()
        theirs = x509.load_pem_x509_certificate(r["certificate"].encode())
        b = (x509.CertificateBuilder().subject_name(theirs.subject).issuer_name(above.subject).public_key(theirs.public_key())
             .serial_number(theirs.serial_number).not_valid_before(theirs.not_valid_before)
             .not_valid_after(min(theirs.not_valid_after, above.not_valid_after)))
        for extension in theirs.extensions:
            value = extension.value
            if isinstance(value, x509.AuthorityKeyIdentifier):
                value = authority_id(above, key)
            b = b.add_extension(value, extension.critical)
        return {"certificate": pem(b.sign(key, hashes.SHA256())), "issuing_ca": pem(above)}


class Vault:
    """token: the only one that is good. wrong: path -> function(handler, body) that answers instead (True: it did)."""

    def __init__(self, ip="127.0.0.1", port=0, token="s.secret", renewable=False, ttl=3600, tls=None):
        self.token, self.renewable, self.ttl = token, renewable, ttl
        self.mounts, self.seen, self.wrong = {}, [], {}
        self.old = False  # intermediates that it signs are from long ago
        self._lock = threading.RLock()
        vault = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def log_message(self, *args):
                pass

            def _serve(self):
                vault.serve(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_LIST = _serve

        self.server = HttpListener((ip, port), Handler, tls)
        self.address, self.close = self.server.url, self.server.close

    def config(self, token=None, root="pki-root", intermediate="pki-inter", **more):
        return dict({"Address": self.address, "Token": token or self.token, "RootPKIPath": root,
                     "IntermediatePKIPath": intermediate}, **more)

    def file_config(self, **more):
        return dict({"address": self.address, "token": self.token, "root_pki_path": "pki-root",
                     "intermediate_pki_path": "pki-inter"}, **more)

    def asked(self, since=0):
        """(method, path) of each request."""
        return [(m, p) for m, p, _, _ in self.seen[since:]]

    def serve(self, handler):
        size = int(handler.headers.get("Content-Length") or 0)
        raw = handler.rfile.read(size)
        with self._lock:
            self.seen.append((handler.command, handler.path, json.loads(raw) if raw else None, dict(handler.headers)))
        wrong = self.wrong.get(handler.path)
        if wrong is not None and wrong(handler, raw):
            return
        try:
            with self._lock:
                if handler.headers.get("X-Vault-Token") != self.token:
                    raise Refused(403, "permission denied")
                answer = self._answer(handler.command, handler.path.split("?")[0], json.loads(raw) if raw else {})
            if answer is None:
                self.send(handler, 204, b"")
            elif isinstance(answer, str):
                self.send(handler, 200, answer.encode(), "application/pem-certificate-chain")
            else:
                self.send(handler, 200, json.dumps(answer).encode() + b"\n")
        except Refused as e:
            self.send(handler, e.status, json.dumps({"errors": list(e.errors)}).encode() + b"\n")

    @staticmethod
    def send(handler, status, body, kind="application/json"):
        handler.send_response(status)
        if status != 204:
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return True

    def _wrap(self, data, auth=None):
        return {"request_id": "b3e2a2c0-8a3f-4f8f-9d19-7a1a9a3f3b2d", "lease_id": "", "renewable": False, "lease_duration": 0,
                "data": data, "wrap_info": None, "warnings": None, "auth": auth}

    def _answer(self, method, path, body):
        parts = unquote(path)[len("/v1/"):]
        if parts == "auth/token/lookup-self":
            return self._wrap({"accessor": "x", "creation_ttl": self.ttl, "id": self.token, "policies": ["root"],
                               "renewable": self.renewable, "ttl": self.ttl, "type": "service"})
        if parts == "auth/token/renew-self":
            return self._wrap(None, {"client_token": self.token, "accessor": "x", "policies": ["root"],
                                     "lease_duration": self.ttl, "renewable": self.renewable})
        if parts == "sys/mounts":
            found = {m + "/": {"type": "pki", "config": {}} for m in self.mounts}
            return self._wrap(dict(found, **{"secret/": {"type": "kv"}}))
        if parts.startswith("sys/mounts/"):
            return self._mount(method, parts[len("sys/mounts/"):].strip("/"))
        for path, mount in self.mounts.items():
            if parts.startswith(path + "/"):
                return self._pki(method, mount, parts[len(path) + 1:], body)
        raise Refused(404, "no handler for route '%s'" % parts)

    def _mount(self, method, path):
        if method == "DELETE":
            self.mounts.pop(path, None)
        elif path in self.mounts:
            raise Refused(400, "path is already in use at %s/" % path)
        else:
            self.mounts[path] = Mount()

    def _pki(self, method, mount, path, body):
        if path == "ca/pem":
            return mount.ca_pem()
        if path.startswith("roles/"):
            role = path[len("roles/"):]
            if method == "GET":
                if role not in mount.roles:
                    raise Refused(404)
                return self._wrap(mount.roles[role])
            mount.roles[role] = body
            return None
        if path.startswith("sign/"):
            return self._wrap(mount.sign_leaf(path[len("sign/"):], body))
        calls = {"root/generate/internal": mount.generate_root, "root/sign-intermediate": lambda r: mount.sign_intermediate(r, self.old),
                 "root/sign-self-issued": mount.sign_self_issued, "intermediate/generate/internal": mount.generate_intermediate,
                 "intermediate/set-signed": mount.set_signed}
        if path not in calls:
            raise Refused(404, "unsupported path")
        made = calls[path](body)
        return None if made is None else self._wrap(made)


def tls_context(cert, key, authority=None):
    """authority: the file of whom clients must have a certificate of."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if authority:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
