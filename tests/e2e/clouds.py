"""Fakes of the clouds' interfaces that retry_join asks for addresses: EC2 and its instance metadata service, Kubernetes, DigitalOcean,
Google's and Azure's. All in one HTTP server; what was asked is kept, signatures of EC2 requests are checked."""

import base64
import hashlib
import hmac
import http.server
import json
import urllib.parse

from e2e.http_listener import HttpListener


def aws_signature(secret, method, path, headers, body, authorization):
    """Amazon's signature, from its documentation."""
    fields = dict(p.strip().split("=", 1) for p in authorization.split(" ", 1)[1].split(","))
    key_id, date, region, service, _ = fields["Credential"].split("/")
    signed = fields["SignedHeaders"].split(";")
    canonical = "\n".join([method, path, "", "".join("%s:%s\n" % (n, " ".join(headers[n].split())) for n in signed), ";".join(signed), hashlib.sha256(body).hexdigest()])
    scope = "/".join([date, region, service, "aws4_request"])
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key_id, key.hex(), fields["Signature"]


class Clouds:
    """`instances`: of EC2, each {"private", "public", "v6": [...], "tags": {...}, "state"}. `version`: 1 or 2 of the metadata service."""

    def __init__(self, host="127.0.0.1", port=0, tls=None):
        self.requests = []
        self.instances, self.version, self.page = [], 2, 1000
        self.region, self.role, self.key, self.secret, self.session = "eu-test-1", "consul-role", "AKIDFAKE", "verysecret", "session/token=="
        self.needs_session = False
        self.droplets, self.pods, self.google, self.azure = [], [], [], []
        clouds = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                clouds.requests.append((self.command, self.path, headers, body))
                status, answer = clouds.answer(self.command, self.path, headers, body)
                answer = answer if isinstance(answer, bytes) else answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                if self.path == "/latest/api/token":
                    self.send_header("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = handle_any

        self.server = HttpListener((host, port), Handler, tls)
        self.port, self.url, self.close = self.server.server_port, self.server.url, self.server.close

    def answer(self, method, path, headers, body):
        url = urllib.parse.urlsplit(path)
        query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query, keep_blank_values=True).items()}
        for prefix, handler in (("/latest/", self.metadata), ("/v2/droplets", self.digitalocean), ("/api/v1/namespaces/", self.kubernetes), ("/computeMetadata/", self.google_metadata),
                                ("/token", self.google_token), ("/compute/v1/", self.google_compute), ("/subscriptions/", self.azure_network)):
            if url.path.startswith(prefix):
                return handler(method, url.path, query, headers, body)
        if url.path.endswith("/oauth2/token"):
            return self.azure_token(method, url.path, query, headers, body)
        return self.ec2(method, url.path, headers, body)

    # Amazon

    def metadata(self, method, path, query, headers, body):
        if path == "/latest/api/token":
            if self.version == 1:
                return 404, "no such thing"
            return (200, "imds-token") if method == "PUT" and headers.get("x-aws-ec2-metadata-token-ttl-seconds") else (400, "")
        if self.version == 2 and headers.get("x-aws-ec2-metadata-token") != "imds-token":
            return 401, "Unauthorized"
        roles = "/latest/meta-data/iam/security-credentials/"
        if path == "/latest/dynamic/instance-identity/document":
            return 200, {"region": self.region, "instanceId": "i-0", "availabilityZone": self.region + "a"}
        if path == roles:
            return 200, self.role
        if path == roles + self.role:
            return 200, {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": self.key, "SecretAccessKey": self.secret, "Token": self.session,
                         "LastUpdated": "2030-01-01T00:00:00Z", "Expiration": "2040-01-01T00:00:00Z"}
        return 404, ""

    def ec2(self, method, path, headers, body):
        def fault(code, text, status):
            return status, "<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>req-1</RequestID></Response>" % (code, text)
        if not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
            return fault("MissingAuthenticationToken", "no signature", 403)
        key, right, given = aws_signature(self.secret, method, path, headers, body, headers["authorization"])
        if key != self.key or right != given or (self.needs_session and headers.get("x-amz-security-token") != self.session):
            return fault("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        q = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode(), keep_blank_values=True).items()}
        if q.get("Action") != "DescribeInstances":
            return fault("InvalidAction", "what?", 400)
        filters = {q["Filter.%d.Name" % n]: q["Filter.%d.Value.1" % n] for n in range(1, 9) if "Filter.%d.Name" % n in q}
        found = [i for i in self.instances if all(i["tags"].get(k[4:]) == v if k.startswith("tag:") else i.get("state", "running") == v for k, v in filters.items())]
        start = int(q.get("NextToken", "0"))
        more = start + self.page < len(found)
        items = "".join(
            "<item><reservationId>r-1</reservationId><instancesSet><item><instanceId>i-%d</instanceId>%s%s<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId>"
            "<ipv6AddressesSet>%s</ipv6AddressesSet></item></networkInterfaceSet></item></instancesSet></item>" % (
                n, "<privateIpAddress>%s</privateIpAddress>" % i["private"] if i.get("private") else "", "<ipAddress>%s</ipAddress>" % i["public"] if i.get("public") else "",
                "".join("<item><ipv6Address>%s</ipv6Address></item>" % a for a in i.get("v6", [])))
            for n, i in enumerate(found[start:start + self.page], start))
        return 200, ('<?xml version="1.0" encoding="UTF-8"?>\n<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>req-1</requestId>'
                     "<reservationSet>%s</reservationSet>%s</DescribeInstancesResponse>" % (items, "<nextToken>%d</nextToken>" % (start + self.page) if more else ""))

    # DigitalOcean: {"region", "tags", "private", "public"}

    def digitalocean(self, method, path, query, headers, body):
        if headers.get("authorization") != "Bearer do-token":
            return 401, {"id": "unauthorized", "message": "Unable to authenticate you"}
        found = [d for d in self.droplets if query.get("tag_name") in d["tags"]]
        number = int(query.get("page", 1))
        start = (number - 1) * self.page
        out = [{"id": n, "region": {"slug": d["region"]}, "networks": {"v4": [{"ip_address": d["public"], "type": "public"}, {"ip_address": d["private"], "type": "private"}]}}
               for n, d in enumerate(found[start:start + self.page])]
        links = {"pages": {"next": self.url + "/v2/droplets?page=%d" % (number + 1)}} if start + self.page < len(found) else {}
        return 200, {"droplets": out, "links": links, "meta": {"total": len(found)}}

    # Kubernetes: pods as the interface has them; selectors are only recorded

    def kubernetes(self, method, path, query, headers, body):
        if headers.get("authorization") not in ("Bearer k8s-token", "Basic " + base64.b64encode(b"user:pass").decode()):
            return 401, {"kind": "Status", "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401}
        found = [p for p in self.pods if p["metadata"].get("namespace", "default") == path.split("/")[4]]
        start = int(query.get("continue") or 0)
        meta = {"continue": str(start + self.page)} if start + self.page < len(found) else {}
        return 200, {"kind": "PodList", "metadata": meta, "items": found[start:start + self.page]}

    # Google: {"zone", "ip", "tags"}

    def google_metadata(self, method, path, query, headers, body):
        if headers.get("metadata-flavor") != "Google":
            return 403, ""
        if path.endswith("/project/project-id"):
            return 200, "my-project"
        if path.endswith("/service-accounts/default/token"):
            return 200, {"access_token": "google-token", "expires_in": 3600, "token_type": "Bearer"}
        return 404, ""

    def google_token(self, method, path, query, headers, body):
        self.token_request = urllib.parse.parse_qs(body.decode())
        return 200, {"access_token": "google-token", "expires_in": 3600, "token_type": "Bearer"}

    def google_compute(self, method, path, query, headers, body):
        if headers.get("authorization") != "Bearer google-token":
            return 401, {"error": {"code": 401, "message": "Invalid Credentials"}}
        parts = path.split("/")
        if parts[-1] == "zones":
            return 200, {"items": [{"name": z} for z in sorted({i["zone"] for i in self.google})]}
        return 200, {"items": [{"status": "RUNNING", "tags": {"items": i["tags"]}, "networkInterfaces": [{"networkIP": i["ip"]}]} for i in self.google if i["zone"] == parts[-2]]}

    # Azure: {"ip", "tags", "set"}

    def azure_token(self, method, path, query, headers, body):
        form = urllib.parse.parse_qs(body.decode())
        if form.get("client_secret") != ["azure-secret"]:
            return 401, {"error": "invalid_client", "error_description": "bad secret"}
        return 200, {"access_token": "azure-token", "expires_in": "3600", "token_type": "Bearer"}

    def azure_network(self, method, path, query, headers, body):
        if headers.get("authorization") != "Bearer azure-token":
            return 401, {"error": {"code": "InvalidAuthenticationToken", "message": "bad"}}
        found = self.azure
        if "/virtualMachineScaleSets/" in path:
            found = [i for i in found if i.get("set") == path.split("/")[-2]]
        return 200, {"value": [{"tags": i.get("tags"), "properties": {"ipConfigurations": [{"properties": {"privateIPAddress": i["ip"]}}]}} for i in found]}
