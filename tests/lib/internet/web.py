# SPDX-License-Identifier: GPL-2.0-or-later
"""web.py: the web servers of the tests' internet: pages, git, package mirrors, and a site's HTTP proxy.

One handler behind several names. What a mirror serves are files of www/NAME (made by stock.sh); every request is a line
of web.log: scheme, address of the server, Host, method, path.
"""
import http.server
import os
import select
import socket
import ssl
import subprocess
import threading

import zone


class Page(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, format, *args):
        pass

    def host(self):
        return self.headers.get("Host", "").split(":")[0].lower()

    def note(self):
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        self.server.log.write(f"{scheme} {self.connection.getsockname()[0]} {self.host()} {self.command} {self.path}\n")

    def say(self, body, status=200, kind="text/plain"):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def flow(self, size):
        """size bytes, in pieces, for transfers that are to be interrupted."""
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        block = bytes(65536)
        while size > 0:
            self.wfile.write(block[:min(size, len(block))])
            size -= len(block)

    def git(self):
        """git http-backend by the rules of CGI."""
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, check=True, env={
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.stock), "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command, "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": "192.175.48.2",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", "")})
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.say(body, int(fields.get("Status", "200").split()[0]), fields["Content-Type"])

    def do_GET(self):
        self.note()
        if self.path.startswith("/git/"):
            self.git()
        elif self.path.startswith("/flow/"):
            self.flow(int(self.path.rsplit("/", 1)[1]))
        elif (self.server.stock / "www" / self.host()).is_dir():
            self.directory = str(self.server.stock / "www" / self.host())
            super().do_GET()
        else:
            self.say(f"hello from {self.host()} at {self.connection.getsockname()[0]}\n")

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        self.note()
        if self.path.startswith("/git/"):
            self.git()
        else:
            self.say(self.rfile.read(int(self.headers.get("Content-Length", 0))))


class Tunnel(http.server.BaseHTTPRequestHandler):
    """CONNECT only, resolving names itself, as the proxy of a site does. Port 3129 wants user:secret."""
    timeout = 60

    def log_message(self, format, *args):
        pass

    def do_CONNECT(self):
        self.server.log.write(f"CONNECT {self.path} {self.headers.get('Proxy-Authorization', '-')}\n")
        name, _, port = self.path.rpartition(":")
        if self.server.server_port == 3129 and self.headers.get("Proxy-Authorization") != "Basic dXNlcjpzZWNyZXQ=":
            self.send_error(407)
            return
        address = (zone.ZONE.get(name) or [name])[0]
        try:
            upstream = socket.create_connection((address, int(port)), timeout=5)
        except OSError:
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        self.splice(upstream)

    def splice(self, upstream):
        ways = {self.connection: upstream, upstream: self.connection}
        open_ways = set(ways)
        while open_ways:
            for source in select.select(list(open_ways), [], [], 60)[0] or list(open_ways):
                data = source.recv(65536)
                if data:
                    ways[source].sendall(data)
                else:
                    open_ways.discard(source)
                    ways[source].shutdown(socket.SHUT_WR)
        upstream.close()
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        pass  # clients of these tests break off all the time

    def server_bind(self):  # HTTPServer's own would look its name up
        socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = self.server_address[:2]


class Server6(Server):
    address_family = socket.AF_INET6


def start(address, port, stock, log, handler=Page, tls=None):
    server = (Server6 if ":" in address else Server)((address, port), handler, bind_and_activate=False)
    server.allow_reuse_address = True
    server.server_bind()
    server.server_activate()
    server.stock = stock
    server.log = open(log, "a", buffering=1)
    if tls:
        # The handshake happens in the connection's thread, when it first reads.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
