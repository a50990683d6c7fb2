# SPDX-License-Identifier: GPL-2.0-or-later
"""registry.py: registries for tests/images/registry*.bats.

    registry.py layout DIR             an OCI layout, tagged t: a small layer, two of 600 KiB, one more small one
    registry.py serve DIR LAYOUT LOG   a registry of that one image that misbehaves; prints its port
    registry.py tokens KEY CERT LOG    a token server (RS256) for the real registry: user azm, password "pass word"; prints its port

How a repository misbehaves is the first component of its name: `good/x`, `endless/x`: see the functions below. LOG gets a
line a request: METHOD PATH RANGE AUTHORIZATION. DIR holds what tests say to the server (files that appear) and what it
counts. AZM_TLS=CERT,KEY speaks TLS.
"""
import base64
import gzip
import hashlib
import http.server
import io
import json
import os
import random
import re
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# ---- the image ------------------------------------------------------------------------------------------------------

def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def layout_of(path, layers, pack):
    """The layers are tars; @pack makes blobs of them."""
    blobs = [pack(i, data) for i, data in enumerate(layers)]
    os.makedirs(path + "/blobs/sha256")

    def put(data, media, **more):
        with open(path + "/blobs/" + digest(data).replace(":", "/"), "wb") as file:
            file.write(data)
        return {"mediaType": media, "digest": digest(data), "size": len(data), **more}

    config = put(json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
                             "rootfs": {"type": "layers", "diff_ids": [digest(x) for x in layers]}}).encode(), CONFIG)
    listed = [put(data, LAYER + ("+gzip" if data is not layers[i] else "")) for i, data in enumerate(blobs)]
    manifest = put(json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config,
                               "layers": listed}).encode(), MANIFEST,
                   annotations={"org.opencontainers.image.ref.name": "t"})
    with open(path + "/index.json", "w") as file:
        json.dump({"schemaVersion": 2, "manifests": [manifest]}, file)
    with open(path + "/oci-layout", "w") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)


def make_layout(path):
    rng = random.Random(1)
    layers = [tar([("etc/first", b"1\n"), ("bin/sh", b"#!\n")]),
              tar([("data/a", rng.randbytes(600 << 10))]),
              tar([("data/b", rng.randbytes(600 << 10))]),
              tar([("etc/last", b"4\n")])]
    layout_of(path, layers, lambda i, data: gzip.compress(data, 1, mtime=0) if i > 1 else data)


# ---- a registry that misbehaves -------------------------------------------------------------------------------------

class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    # What every answer goes through.
    def answer(self, status, body=b"", length=None, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if length != "none":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        else:
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def times(self, key):
        """How often this was asked for, this time included."""
        with self.server.lock:
            self.server.counts[key] = self.server.counts.get(key, 0) + 1
            return self.server.counts[key]

    def blob(self, name):
        with open(self.server.layout + "/blobs/" + name.replace(":", "/"), "rb") as file:
            return file.read()

    def manifest(self):
        name = json.load(open(self.server.layout + "/index.json"))["manifests"][0]["digest"]
        return self.blob(name)

    def layers(self):
        return [layer["digest"] for layer in json.loads(self.manifest())["layers"]]

    def good_manifest(self, name, body=None, media=MANIFEST):
        body = body or self.manifest()
        self.answer(200, body, Content_Type=media, Docker_Content_Digest=digest(body))

    def good_blob(self, name):
        body = self.blob(name)
        match = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        if not match:
            return self.answer(200, body)
        first = int(match.group(1))
        if first >= len(body):
            return self.answer(416)
        self.answer(206, body[first:], Content_Range="bytes %d-%d/%d" % (first, len(body) - 1, len(body)))

    def wait_for(self, name, seconds=20):
        until = time.monotonic() + seconds
        while not os.path.exists(os.path.join(self.server.dir, name)) and time.monotonic() < until:
            time.sleep(0.02)

    def slowly(self, data):
        try:
            for byte in data:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.1)
                if self.server.stopping:
                    return
        except OSError:
            pass

    # How it misbehaves: what is not defined is good.
    def blob_no_range(self, name):
        body = self.blob(name)
        if self.times(self.path) == 1:
            self.answer(200, body[:len(body) // 2], length=len(body))
            self.close_connection = True
        else:
            self.answer(200, body)

    def manifest_lies(self, name):
        body = self.manifest()
        self.answer(200, body, Content_Type=MANIFEST, Docker_Content_Digest="sha256:" + "0" * 64)

    def manifest_other(self, name):
        self.good_manifest(name, self.manifest() + b" ")

    def manifest_endless_manifest(self, name):
        self.answer(200, length="none", Content_Type=MANIFEST)
        self.forever(b" " * 65536)

    def forever(self, data):
        try:
            while not self.server.stopping:
                self.wfile.write(data)
        except OSError:
            pass

    def blob_endless(self, name):
        if name not in self.layers():
            return self.good_blob(name)
        self.answer(200, self.blob(name), length="none")
        self.forever(b"x" * 65536)

    def blob_wrong(self, name):
        body = self.blob(name)
        self.answer(200, body if name not in self.layers() else bytes([body[0] ^ 1]) + body[1:])

    def blob_longer(self, name):
        body = self.blob(name)
        self.answer(200, body + b"x" if name in self.layers() else body)

    def blob_truncated(self, name):
        """Breaks off in the middle, always at the same place."""
        body = self.blob(name)
        if name not in self.layers():
            return self.good_blob(name)
        self.answer(200, body[:len(body) // 2], length=len(body))
        self.close_connection = True

    def blob_breaks(self, name):
        """Breaks off in the middle twice, and goes on where it is told."""
        body = self.blob(name)
        match = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        first = int(match.group(1)) if match else 0
        if self.times(self.path) > 2:
            return self.good_blob(name)
        rest = body[first:]
        fields = {"Content_Range": "bytes %d-%d/%d" % (first, len(body) - 1, len(body))} if match else {}
        self.answer(206 if match else 200, rest[:len(rest) // 2], length=len(rest), **fields)
        self.close_connection = True

    def blob_elsewhere(self, name):
        """Another part than was asked for."""
        body = self.blob(name)
        if self.times(self.path) == 1 and name in self.layers():
            self.answer(200, body[:len(body) // 2], length=len(body))
            self.close_connection = True
        elif self.headers.get("Range"):
            self.answer(206, body[1:], Content_Range="bytes 1-%d/%d" % (len(body) - 1, len(body)))
        else:
            self.answer(200, body)

    def manifest_loop(self, name):
        self.answer(302, Location=self.path)

    def manifest_file(self, name):
        self.answer(302, Location="file:///etc/passwd")

    def manifest_downgrade(self, name):
        self.answer(302, Location="http://127.0.0.1:%d/v2/good/x/manifests/t" % self.server.server_port)

    def manifest_busy(self, name):
        if self.times("busy") > 1:
            return self.good_manifest(name)
        self.answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', Retry_After="1")

    def manifest_closed(self, name):
        self.answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', Retry_After="4000")

    def manifest_flaky(self, name):
        return self.answer(503) if self.times("flaky") <= 2 else self.good_manifest(name)

    blob_flaky = lambda self, name: self.answer(502) if self.times(self.path) <= 1 else self.good_blob(name)

    def manifest_down(self, name):
        self.answer(500, b'{"errors":[{"code":"UNKNOWN","message":"on fire \\u001b[31m"}]}')

    def blob_slow(self, name):
        """A byte now and then, the first time."""
        if name != self.layers()[1] or self.times("slow") > 1:
            return self.good_blob(name)
        body = self.blob(name)
        self.answer(200, body[:1000], length=len(body))
        self.slowly(body[1000:2000])
        self.close_connection = True

    def manifest_drips(self, name):
        """A head that never ends, the first time."""
        if self.times("drips") > 1:
            return self.good_manifest(name)
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self.slowly(b"X-Field: " + b"x" * 1000)
        self.close_connection = True

    def manifest_fields(self, name):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self.close_connection = True
        self.forever(b"X-Field: " + b"x" * 1000 + b"\r\n")

    def manifest_schema1(self, name):
        body = json.dumps({"schemaVersion": 1, "fsLayers": [], "history": []}).encode()
        self.answer(200, body, Content_Type="application/vnd.docker.distribution.manifest.v1+prettyjws")

    def manifest_portal(self, name):
        self.answer(200, b"<html>please log in", Content_Type="text/html; charset=utf-8")

    def manifest_confused(self, name):
        """An index by its type, a manifest by its content."""
        self.good_manifest(name, media=INDEX)

    def changed(self, **changes):
        return json.dumps({**json.loads(self.manifest()), **changes}).encode()

    def manifest_foreign(self, name):
        layers = json.loads(self.manifest())["layers"]
        layers[0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        self.good_manifest(name, self.changed(layers=layers))

    def manifest_urls(self, name):
        layers = json.loads(self.manifest())["layers"]
        layers[0]["urls"] = ["http://127.0.0.1:1/x"]
        self.good_manifest(name, self.changed(layers=layers))

    def manifest_huge(self, name):
        layers = json.loads(self.manifest())["layers"]
        layers[0]["size"] = 1 << 60
        self.good_manifest(name, self.changed(layers=layers))

    def manifest_arms(self, name):
        """One image a machine."""
        one = {"mediaType": MANIFEST, "digest": digest(self.manifest()), "size": len(self.manifest())}
        if name == one["digest"]:
            return self.good_manifest(name)
        items = [{**one, "platform": {"os": "linux", "architecture": a}} for a in ("amd64", "arm64")]
        items[1]["digest"] = "sha256:" + "1" * 64
        self.good_manifest(name, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": items}).encode(), INDEX)

    def blob_together(self, name):
        """Layers come only when two are asked for at once."""
        if name in self.layers()[1:3]:
            with self.server.lock:
                self.server.waiting += 1
            until = time.monotonic() + 10
            while self.server.waiting < 2 and time.monotonic() < until:
                time.sleep(0.02)
            if self.server.waiting < 2:
                return self.answer(404)
        self.good_blob(name)

    def blob_held(self, name):
        """The last layer comes when DIR/go is there, and half of the second."""
        body = self.blob(name)
        if name == self.layers()[3]:
            self.wait_for("go")
        if name != self.layers()[1] or os.path.exists(os.path.join(self.server.dir, "go")):
            return self.good_blob(name)
        self.answer(200, body[:len(body) // 2], length=len(body))
        self.wait_for("go")
        self.close_connection = True

    def blob_moved(self, name):
        """On another host, which must not see who we are."""
        if self.headers.get("Host", "").startswith("localhost"):
            return self.good_blob(name)
        self.answer(307, Location="http://localhost:%d%s" % (self.server.server_port, self.path))

    def locked(self, challenge, right):
        if self.headers.get("Authorization") == right:
            return False
        self.answer(401, WWW_Authenticate=challenge)
        return True

    def token(self, query):
        kind = query.get("service", [""])[0]
        token = {"evil": "a\r\nX-Evil: 1", "empty": ""}.get(kind, "tok-" + kind)
        self.answer(200, json.dumps({"token": token, "expires_in": 300}).encode(), Content_Type="application/json")

    # ---- which one?

    def do_GET(self):
        with self.server.lock, open(self.server.log, "a") as log:
            print(self.command, self.path, self.headers.get("Range", "-"), self.headers.get("Authorization", "-"),
                  sep="\t", file=log)
        url = urllib.parse.urlparse(self.path)
        if url.path == "/token":
            return self.token(urllib.parse.parse_qs(url.query))
        match = re.match(r"/v2/([a-z0-9-]+)/.*?(manifests|blobs)/([^/]+)$", url.path)
        if not match:
            return self.answer(404)
        how, kind, name = match.group(1).replace("-", "_"), match.group(2)[:-1], match.group(3)
        here = "http%s://%s" % ("s" if os.environ.get("AZM_TLS") else "", self.headers["Host"])
        realm = os.environ.get("AZM_REALM") or here + "/token"
        moved = how == "moved" and self.headers.get("Host", "").startswith("localhost")
        if how in ("moved", "evil", "empty") and not moved and self.locked(
                'Bearer realm="%s",service="%s",scope="repository:x:pull"' % (realm, how), "Bearer tok-" + how):
            return None
        if how == "basic" and self.locked('Basic realm="here"', "Basic " + base64.b64encode(b"azm:pass word").decode()):
            return None
        if how == "odd" and self.locked("Negotiate abc, Digest realm=x", ""):
            return None
        try:
            return getattr(self, kind + "_" + how, getattr(self, "good_" + kind))(name)
        except FileNotFoundError:
            return self.answer(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}')

    do_HEAD = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients go away


def speak_tls(server):
    if os.environ.get("AZM_TLS"):
        certificate, key = os.environ["AZM_TLS"].split(",")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)


def run(server):
    speak_tls(server)
    print(server.server_port, flush=True)
    server.serve_forever()


def serve(path, layout, log):
    server = Server(("127.0.0.1", 0), Registry)
    server.dir, server.layout, server.log = path, layout, log
    server.lock, server.counts, server.waiting, server.stopping = threading.Lock(), {}, 0, False
    run(server)


# ---- tokens ---------------------------------------------------------------------------------------------------------

def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Tokens(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def sign(self, claims):
        der = subprocess.check_output(["openssl", "x509", "-in", self.server.cert, "-outform", "DER"])
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        text = encode(json.dumps(head).encode()) + "." + encode(json.dumps(claims).encode())
        made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.server.key], input=text.encode(),
                              stdout=subprocess.PIPE, check=True)
        return text + "." + encode(made.stdout)

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())
        with open(self.server.log, "a") as log:
            print(self.command, self.path, self.headers.get("Authorization", "-"), sep="\t", file=log)
        right = "Basic " + base64.b64encode(b"azm:pass word").decode()
        known = self.headers.get("Authorization") == right or form.get("refresh_token") == ["refresh me"]
        access = []
        for scope in (query.get("scope") or form.get("scope", [""])[0].split(" ")):
            kind, name, actions = scope.split(":")
            allowed = actions.split(",") if known else ["pull"] if name.startswith("public/") else []
            access.append({"type": kind, "name": name, "actions": allowed})
        now = int(time.time())
        token = self.sign({"iss": "azm", "sub": "azm", "aud": "azm-registry", "exp": now + 300, "nbf": now - 10,
                           "iat": now, "jti": str(now), "access": access})
        body = json.dumps({"token": token, "expires_in": 300}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


def tokens(key, cert, log):
    server = Server(("127.0.0.1", 0), Tokens)
    server.key, server.cert, server.log = key, cert, log
    run(server)


if __name__ == "__main__":
    {"layout": make_layout, "serve": serve, "tokens": tokens}[sys.argv[1]](*sys.argv[2:])
