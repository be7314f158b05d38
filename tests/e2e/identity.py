"""What logins need: keys and signed tokens (by the openssl command), and one fake of all that auth methods ask: key sets, OIDC
discovery and Kubernetes, over HTTP and HTTPS."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import ssl
import subprocess
import threading

from e2e.http_listener import HttpListener

HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}
SIZES = {"prime256v1": 32, "secp384r1": 48, "secp521r1": 66}
CURVES = {"prime256v1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*argv, data=None):
    return subprocess.run(["openssl", *argv], input=data, check=True, capture_output=True).stdout


class Key:
    """kind: "rsa", a curve's name, or "ed25519"."""

    def __init__(self, folder, kind, name=None):
        self.kind, self.path = kind, os.path.join(str(folder), (name or kind) + ".pem")
        options = {"rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ed25519": ["ED25519"]}.get(
            kind, ["EC", "-pkeyopt", "ec_paramgen_curve:" + kind])
        _openssl("genpkey", "-algorithm", *options, "-out", self.path)
        self.pem = _openssl("pkey", "-in", self.path, "-pubout").decode()
        self.der = _openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")

    def certificate(self):
        return _openssl("req", "-x509", "-new", "-key", self.path, "-days", "2", "-subj", "/CN=signer").decode()

    def jwk(self, **more):
        if self.kind == "rsa":
            modulus = _openssl("rsa", "-pubin", "-noout", "-modulus", data=self.pem.encode()).decode().strip().split("=")[1]
            found = {"kty": "RSA", "n": b64(bytes.fromhex(modulus)), "e": "AQAB"}
        elif self.kind == "ed25519":
            found = {"kty": "OKP", "crv": "Ed25519", "x": b64(self.der[-32:])}
        else:
            size = SIZES[self.kind]
            found = {"kty": "EC", "crv": CURVES[self.kind], "x": b64(self.der[-2 * size:-size]), "y": b64(self.der[-size:])}
        return dict(found, **more)

    def sign(self, alg, data):
        if alg == "none":
            return b""
        if alg == "EdDSA":
            with open(self.path + ".data", "wb") as handle:
                handle.write(data)
            return _openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", self.path + ".data")
        digest = HASHES[alg[2:]]
        if alg[:2] == "HS":  # with the public key's text as the secret: the confusion that must be refused
            return hmac.new(self.pem.encode(), data, getattr(hashlib, digest)).digest()
        more = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"] if alg[:2] == "PS" else []
        signature = _openssl("dgst", "-" + digest, "-sign", self.path, *more, data=data)
        return self._fixed(signature) if alg[:2] == "ES" else signature

    def _fixed(self, der):
        """The two numbers of an ECDSA signature, side by side."""
        at, out = (3 if der[1] & 0x80 else 2), b""
        for _ in range(2):
            length = der[at + 1]
            number = der[at + 2:at + 2 + length].lstrip(b"\0")
            out += number.rjust(SIZES[self.kind], b"\0")
            at += 2 + length
        return out

    def token(self, claims, alg=None, header=None, raw_claims=None):
        """A compact JWS. alg None: what fits the key."""
        fits = {"rsa": "RS256", "ed25519": "EdDSA", "prime256v1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
        alg = alg or fits[self.kind]
        head = {"alg": alg, "typ": "JWT"}
        head.update(header or {})
        head = {k: v for k, v in head.items() if v is not None}
        body = raw_claims if raw_claims is not None else json.dumps(claims).encode()
        signed = b64(json.dumps(head).encode()) + "." + b64(body)
        return signed + "." + b64(self.sign(alg, signed.encode()))


class Fake:
    """Answers each path as `answers` says: (status, headers, body), or a function of the request that gives one. Requests
    are kept in `seen`: (method, path, headers, body)."""

    def __init__(self, address, tls=None):
        self.answers, self.seen, self.lock = {}, [], threading.Lock()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = (self.command, self.path, dict(self.headers), body)
                with fake.lock:
                    fake.seen.append(request)
                    answer = fake.answers.get(self.path, (404, {}, b"404 page not found\n"))
                status, headers, text = answer(request) if callable(answer) else answer
                text = text.encode() if isinstance(text, str) else text
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), "Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do

            def log_message(self, *_):
                pass

        self.server = HttpListener((address, 0), Handler, tls)
        self.port, self.url = self.server.server_port, self.server.url

    def answer(self, path, body, status=200, **headers):
        text = body if isinstance(body, (str, bytes)) or callable(body) else json.dumps(body)
        with self.lock:
            self.answers[path] = text if callable(text) else (status, {k.replace("_", "-"): v for k, v in headers.items()}, text)

    def count(self, path):
        with self.lock:
            return sum(1 for request in self.seen if request[1] == path)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def own_tls(folder, address):
    """A certificate for the address that signs itself: (server's context, its PEM)."""
    cert, key = os.path.join(str(folder), "tls-cert.pem"), os.path.join(str(folder), "tls-key.pem")
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
             "/CN=fake", "-addext", "subjectAltName=IP:" + address, "-keyout", key, "-out", cert)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with open(cert) as handle:
        return context, handle.read()
