"""Real S3 servers are held to the model of a store: a good one, the same while it is killed, a bad one.

SANA_QUALIFY names the binary `sana-qualify` of the tests.
"""

import os
import random
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from s3_server import BUCKET, KEYS, S3Server
from server import free_port

QUALIFY = os.environ.get("SANA_QUALIFY", "target/debug/sana-qualify")
BAD_SERVER = os.environ.get("SANA_BAD_S3_SERVER", ".ci/venv/bin/localbucket")
SECONDS = os.environ.get("QUALIFY_SECONDS", "10")
KILLS = 8
FITS, DOES_NOT = 0, 1


def main():
    with tempfile.TemporaryDirectory(prefix="sana-s3-") as folder:
        server = S3Server(Path(folder) / "good")
        server.start()
        try:
            ended = qualify(server.environment(), "--seconds", SECONDS)
            assert ended.returncode == FITS, "a good server does not fit"
            killed(server)
        except BaseException:
            print(server.tail())
            raise
        finally:
            server.kill()
        bad(Path(folder) / "bad")


def command(*arguments):
    return [QUALIFY, "--store", f"s3://{BUCKET}/qualify", *arguments]


def qualify(environment, *arguments):
    ended = subprocess.run(command(*arguments), env={**os.environ, **environment}, capture_output=True,
                           text=True, timeout=300)
    print(ended.stdout, flush=True)
    return ended


def killed(server):
    """What the server answered stays true when it is killed, and what it did not answer happens once."""
    arguments = ("--only", "histories", "--seconds", str(KILLS * 1.5), "--length", "800")
    asking = subprocess.Popen(command(*arguments), env={**os.environ, **server.environment()},
                              stdout=subprocess.PIPE, text=True)
    kills = 0
    try:
        while kills < KILLS and asking.poll() is None:
            time.sleep(0.5 + random.random())
            server.kill()
            time.sleep(random.random() * 0.1)
            server.start()
            kills += 1
        said, _ = asking.communicate(timeout=120)
    finally:
        asking.kill()
    print(f"killed {kills} times:\n{said}", flush=True)
    assert asking.returncode == FITS, "a server that is killed does not fit"
    assert kills >= KILLS // 2 and "lost" in said, "the kills did not come in between"


def bad(folder):
    """A server that forgets conditions must be found out in every way, by histories as well."""
    folder.mkdir()
    port = free_port()
    server = subprocess.Popen([BAD_SERVER, "--port", str(port), str(folder)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 30
        while not made(f"http://127.0.0.1:{port}/{BUCKET}"):
            assert time.monotonic() < until and server.poll() is None, "the bad server does not start"
            time.sleep(0.05)
        environment = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "us-east-1", **KEYS}
        for look in ("probe", "suite", "histories"):
            ended = qualify(environment, "--only", look, "--requests", "4000")
            assert ended.returncode == DOES_NOT, f"a bad server was not found out by its {look}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def made(address):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="PUT"), timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


if __name__ == "__main__":
    main()
