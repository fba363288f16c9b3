"""A proxy before an S3 server that delays requests, counts them and sees which wait for others.

The Host header stays as it is, so signatures stay valid.
"""

import http.client
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

READS = ("GET", "HEAD")
HOP_BY_HOP = ("connection", "content-length", "keep-alive", "transfer-encoding")


class Proxy:
    """Runs in threads of this process. Reads are GET, HEAD and listings; all else is a write."""

    def __init__(self, target):
        self.target = target
        self.delays = {"read": 0.0, "write": 0.0}
        self.lock = threading.Lock()
        self.seen = []  # kind, moment it came, moment it was answered, bytes of the answer
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def delay(self, read_ms, write_ms):
        self.delays = {"read": read_ms / 1000, "write": write_ms / 1000}

    def take(self):
        """What was seen since the last time."""
        with self.lock:
            seen, self.seen = self.seen, []
        return Seen(seen)


class Seen:
    """Requests that a proxy saw."""

    def __init__(self, requests):
        self.requests = requests
        self.kinds = dict(Counter(kind for kind, *_ in requests))
        self.bytes = sum(size for *_, size in requests)

    @property
    def rounds(self):
        """How many requests followed one another: the most of which each began when the one before
        had been answered."""
        count, ended = 0, 0.0
        for _, began, until, _ in sorted(self.requests, key=lambda request: request[2]):
            if began >= ended:
                count, ended = count + 1, until
        return count

    def __repr__(self):
        return f"{self.kinds} in {self.rounds} rounds, {self.bytes} bytes"


def kind_of(method, path, headers):
    if method == "GET" and "list-type=" in path:
        return "LIST"
    conditional = "If-Match" in headers or "If-None-Match" in headers
    part = " of a part" if "Range" in headers else ""
    return method + (" on a condition" if conditional else "") + part


def handler(proxy):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def setup(self):
            super().setup()
            self.upstream = http.client.HTTPConnection("127.0.0.1", proxy.target, timeout=60)

        def finish(self):
            self.upstream.close()
            super().finish()

        def serve(self):
            began = time.monotonic()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            time.sleep(proxy.delays["read" if self.command in READS else "write"])
            self.upstream.putrequest(self.command, self.path, skip_host=True,
                                     skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.upstream.putheader(name, value)
            if body or self.command == "PUT":
                self.upstream.putheader("Content-Length", str(len(body)))
            self.upstream.endheaders(body or None)
            answer = self.upstream.getresponse()
            content = answer.read()
            kind = kind_of(self.command, self.path, self.headers)
            with proxy.lock:
                proxy.seen.append((kind, began, time.monotonic(), len(content)))
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            if self.command == "HEAD":
                self.send_header("Content-Length", answer.getheader("Content-Length", "0"))
            elif answer.status not in (204, 304):
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        do_GET = do_HEAD = do_PUT = do_DELETE = serve

        def log_message(self, *_):
            pass

    return Handler
