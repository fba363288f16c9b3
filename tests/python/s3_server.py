"""A real S3 server as a process: ministack, which keeps what it answered also when it is killed.

It takes one pair of keys, and checks signatures of the kind that Sana makes. SANA_S3_SERVER names its
executable.
"""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from server import free_port

BINARY = os.environ.get("SANA_S3_SERVER", ".ci/venv/bin/ministack")
BUCKET = "sana"
KEYS = {"AWS_ACCESS_KEY_ID": "sana", "AWS_SECRET_ACCESS_KEY": "a secret of some length"}


class S3Server:
    """One server on one folder, with one bucket. It keeps its port across restarts."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.port = free_port()
        self.process = None

    def start(self, timeout=30.0):
        """Starts it and waits until the bucket is there."""
        environment = {
            **os.environ, **KEYS, "GATEWAY_PORT": str(self.port), "S3_PERSIST": "1", "PERSIST_STATE": "1",
            "S3_DATA_DIR": str(self.folder / "data"), "STATE_DIR": str(self.folder / "state"),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mend()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [BINARY], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        until = time.monotonic() + timeout
        while not self.has_bucket():
            assert self.process.poll() is None, f"the S3 server ended:\n{self.tail()}"
            assert time.monotonic() < until, f"no S3 server after {timeout} s:\n{self.tail()}"
            time.sleep(0.02)

    def mend(self):
        """Finishes the puts in whose middle it was killed. It writes a body, and then a note with tag
        and length; a bucket never shows the one without the other. Without a note's word for them it
        goes by the body."""
        for note in (self.folder / "data").rglob("*.meta.json"):
            body, said = note.with_name(note.name.removesuffix(".meta.json")), json.loads(note.read_text())
            tag = f'"{hashlib.md5(body.read_bytes()).hexdigest()}"' if body.exists() else None
            if tag and said.get("etag") != tag:
                note.write_text(json.dumps({**said, "etag": None, "size": None}))

    def has_bucket(self):
        """Asks for the bucket, and makes it if there is none."""
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("HEAD", f"/{BUCKET}")
            found = connection.getresponse()
            found.read()
            if found.status == 200:
                return True
            connection.request("PUT", f"/{BUCKET}")
            made = connection.getresponse()
            made.read()
            return made.status == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill(self):
        """Ends it at once, with whatever it started."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def tail(self, lines=30):
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-lines:])

    def environment(self, port=None):
        """What a client of the server, or of a proxy before it, has to know."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_REGION": "us-east-1", **KEYS,
        }
