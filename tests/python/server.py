"""The release server as a process, and plain HTTP to it, for scripts that drive it from outside."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

BINARY = os.environ.get("SANA_BINARY", "target/release/sana")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`sana serve` on a store. It keeps its port across restarts.

    The log goes into `folder`, which has to be named if the store is none.
    """

    def __init__(self, store, port=None, folder=None, environment=None):
        self.store = store
        self.port = port or free_port()
        self.environment = {**os.environ, **(environment or {})}
        self.log = Path(folder or Path(store).parent) / f"sana.{self.port}.log"
        self.process = None

    def start(self, *arguments, timeout=20.0):
        """Starts it and returns how many seconds passed until it was ready."""
        command = [BINARY, "serve", "--store", str(self.store),
                   "--listen", f"127.0.0.1:{self.port}", *arguments]
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while not self.is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() - began > timeout:
                raise AssertionError(f"not ready after {timeout} s:\n{self.tail()}")
            time.sleep(0.005)
        return time.monotonic() - began

    def is_ready(self):
        try:
            status, _ = self.connect(timeout=1.0).ask("GET", "/readyz")
            return status == 200
        except OSError:
            return False

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Asks it to end and returns its exit code."""
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def connect(self, timeout=30.0):
        return Connection(self.port, timeout)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


class Connection:
    """One kept-alive connection. What is lost raises an OSError, and is never repeated here."""

    def __init__(self, port, timeout):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.headers = {}  # of the last answer

    def ask(self, method, path, body=None, headers=None):
        """Returns the status and the JSON of the answer, or its text if it is no JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        try:
            self.http.request(method, path, body=data, headers=headers)
            response = self.http.getresponse()
            self.headers = response.headers
            text = response.read()
        except (http.client.HTTPException, OSError) as error:
            self.http.close()
            raise ConnectionError(str(error)) from error
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text.decode(errors="replace")

    def write(self, namespace, body, key=None):
        headers = {"Idempotency-Key": key} if key else None
        return self.ask("POST", f"/v2/namespaces/{namespace}", body, headers)

    def query(self, namespace, body):
        return self.ask("POST", f"/v2/namespaces/{namespace}/query", body)

    def documents(self, namespace, attributes=True, limit=10_000):
        """All documents of a namespace by id, of at most `limit`."""
        body = {"rank_by": ["id", "asc"], "limit": limit, "include_attributes": attributes}
        status, answer = self.query(namespace, body)
        if status == 404:
            return {}
        assert status == 200, f"{status}: {answer}"
        found = {row["id"]: row for row in answer["rows"]}
        assert len(found) == len(answer["rows"]), f"an id is there twice: {answer['rows']}"
        return found
