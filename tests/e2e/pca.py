"""A stand-in for Amazon's private certificate authority (ACM PCA, JSON 1.1): what the provider aws-pca asks of it, with real keys and
certificates. It is a proxy to Amazon's own host names (HTTPS_PROXY, with a certificate of an authority that AWS_CA_BUNDLE names), so that
agents of both kinds reach it, and answers plain HTTP too (AWS_ENDPOINT_URL). It records every request, checks its signature, and can be
told to be slow or to answer wrongly."""

import base64
import http.server
import json
import threading
import time
import uuid

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Use
from cryptography.x509.oid import NameOID

import datetime

from cryptography.hazmat.primitives import hashes

from e2e.clouds import aws_signature
from e2e.http_listener import HttpListener
from e2e.vault import _key, build, pem, tls_context

ARN = "arn:aws:acm-pca:eu-test-1:012345678901:certificate-authority/"
DAY = datetime.timedelta(days=1)
KEYS = {"RSA_2048": ("rsa", 2048), "RSA_4096": ("rsa", 4096), "EC_prime256v1": ("ec", 256), "EC_secp384r1": ("ec", 384)}


class Refused(Exception):
    def __init__(self, kind, message="", status=400):
        Exception.__init__(self, kind, message)
        self.kind, self.message, self.status = kind, message, status


def is_leaf(request):
    return "EndEntityCertificate" in request.get("TemplateArn", "")


class Authority:
    """One of its certificate authorities."""

    def __init__(self, arn, kind, config, tags):
        self.arn, self.kind, self.config, self.tags = arn, kind, config, tags
        self.status, self.looks = "CREATING", 0
        self.key = _key(*KEYS[config["KeyAlgorithm"]])
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, config["Subject"]["CommonName"])])
        self.certificate = self.chain = None
        self.issued = {}

    def csr(self):
        return pem(x509.CertificateSigningRequestBuilder().subject_name(self.subject).sign(self.key, hashes.SHA256()))

    def sign(self, r):
        csr = x509.load_pem_x509_csr(base64.b64decode(r["Csr"]))
        if r["Validity"]["Type"] != "DAYS":
            raise Refused("ValidationException", "DAYS are meant")
        life = r["Validity"]["Value"] * DAY
        template = r["TemplateArn"].rsplit("/", 2)[1]
        if not r["TemplateArn"].startswith("arn:aws:acm-pca:::template/"):
            raise Refused("InvalidArnException", r["TemplateArn"])
        try:
            names = list(csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        except x509.ExtensionNotFound:
            names = None
        if template == "RootCACertificate":
            return build(self.subject, csr.public_key(), self.subject, (None, self.key), life, names, authority=True)
        if self.certificate is None:
            raise Refused("InvalidStateException", "The certificate authority is not in the correct state")
        signer = (self.certificate, self.key)
        if template == "SubordinateCACertificate_PathLen0":
            return build(csr.subject, csr.public_key(), self.subject, signer, life, names, authority=True, depth=0)
        if template == "EndEntityCertificate":
            return build(csr.subject, csr.public_key(), self.subject, signer, life, names, uses=[Use.SERVER_AUTH, Use.CLIENT_AUTH])
        raise Refused("InvalidArgsException", template)


class Pca:
    """slow: how many times something is looked at before it is there. wrong: action -> function(request), which may raise Refused or give
    another answer (None: the usual one)."""

    def __init__(self, ip="127.0.0.1", port=0, cert=None, key=None):
        self.seen, self.authorities, self.wrong, self.slow = [], {}, {}, 1
        self.leaves = set()  # ARNs of certificates that are no authority's
        self.key_id, self.secret = "AKIDFAKE", "verysecret"
        self._lock = threading.RLock()
        pca = self
        context = tls_context(cert, key) if cert else None

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def log_message(self, *args):
                pass

            def do_CONNECT(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.flush()
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb", -1), self.connection.makefile("wb", 0)
                self.close_connection = False

            def do_POST(self):
                pca.serve(self)

            def do_GET(self):
                pca.send(self, 404, {})

        self.server = HttpListener((ip, port), Handler)
        self.address, self.close = self.server.url, self.server.close

    def asked(self, since=0, leaves=True):
        """leaves: also for certificates of services, which agents want anew in their own time when the root has changed."""
        return [(action, body) for action, body, _ in self.seen[since:]
                if leaves or not (is_leaf(body) or body.get("CertificateArn") in self.leaves)]

    @staticmethod
    def send(handler, status, answer):
        raw = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/x-amz-json-1.1")
        handler.send_header("Content-Length", str(len(raw)))
        handler.send_header("x-amzn-RequestId", "req-1")
        handler.end_headers()
        handler.wfile.write(raw)

    def serve(self, handler):
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {k.lower(): v for k, v in handler.headers.items()}
        action = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        try:
            body = json.loads(raw)
            with self._lock:
                self.seen.append((action, body, headers))
                key, right, given = aws_signature(self.secret, "POST", handler.path, headers, raw, headers.get("authorization", ""))
                if key != self.key_id:
                    raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
                if right != given:
                    raise Refused("InvalidSignatureException", "The request signature we calculated does not match the signature you provided.")
                wrong = self.wrong.get(action)
                answer = wrong(body) if wrong else None
                answer = getattr(self, "do_" + action)(body) if answer is None else answer
            self.send(handler, 200, answer)
        except Refused as e:
            self.send(handler, e.status, {"__type": e.kind, "message": e.message})

    def authority(self, r):
        found = self.authorities.get(r["CertificateAuthorityArn"])
        if found is None:
            raise Refused("ResourceNotFoundException", "Could not find Certificate Authority " + r["CertificateAuthorityArn"])
        return found

    def do_CreateCertificateAuthority(self, r):
        arn = ARN + str(uuid.uuid4())
        self.authorities[arn] = Authority(arn, r["CertificateAuthorityType"], r["CertificateAuthorityConfiguration"], r.get("Tags"))
        return {"CertificateAuthorityArn": arn}

    def do_DescribeCertificateAuthority(self, r):
        a = self.authority(r)
        a.looks += 1
        if a.status == "CREATING" and a.looks > self.slow:
            a.status = "PENDING_CERTIFICATE"
        return {"CertificateAuthority": {"Arn": a.arn, "CertificateAuthorityConfiguration": a.config, "CreatedAt": time.time() - 60,
                                         "Status": a.status, "Type": a.kind, "RevocationConfiguration": {}}}

    def do_GetCertificateAuthorityCsr(self, r):
        a = self.authority(r)
        if a.status == "CREATING":
            raise Refused("RequestInProgressException", "CA is still being created")
        return {"Csr": a.csr()}

    def do_IssueCertificate(self, r):
        a = self.authority(r)
        arn = a.arn + "/certificate/" + uuid.uuid4().hex
        a.issued[arn] = [self.slow, pem(a.sign(r))]
        if is_leaf(r):
            self.leaves.add(arn)
        return {"CertificateArn": arn}

    def do_GetCertificate(self, r):
        a = self.authority(r)
        one = a.issued.get(r["CertificateArn"])
        if one is None:
            raise Refused("ResourceNotFoundException", "Could not find Certificate " + r["CertificateArn"])
        one[0] -= 1
        if one[0] >= 0:
            raise Refused("RequestInProgressException", "The certificate is still being issued")
        return {"Certificate": one[1], "CertificateChain": pem(a.certificate) if a.certificate else ""}

    def do_ImportCertificateAuthorityCertificate(self, r):
        a = self.authority(r)
        a.certificate = x509.load_pem_x509_certificate(base64.b64decode(r["Certificate"]))
        a.chain = base64.b64decode(r.get("CertificateChain", "")).decode()
        a.status = "ACTIVE"
        return {}

    def do_GetCertificateAuthorityCertificate(self, r):
        a = self.authority(r)
        if a.certificate is None:
            raise Refused("InvalidStateException", "The certificate authority is not in the correct state")
        return {"Certificate": pem(a.certificate), "CertificateChain": a.chain or ""}

    def do_UpdateCertificateAuthority(self, r):
        self.authority(r).status = r["Status"]
        return {}

    def do_DeleteCertificateAuthority(self, r):
        self.authority(r).status = "DELETED"
        return {}
