"""The store of a bucket against a real S3 server: the suite for stores, and a server that is killed.

SANA_S3_SUITE names the binary `s3_suite` of the tests.
"""

import os
import random
import subprocess
import tempfile
import threading
import time

from s3_server import BUCKET, S3Server

SUITE = os.environ.get("SANA_S3_SUITE", "target/debug/s3_suite")
KILLS = 6
TASKS, INCREMENTS = 8, 40


def main():
    with tempfile.TemporaryDirectory(prefix="sana-s3-") as folder:
        server = S3Server(folder)
        server.start()
        environment = {**os.environ, **server.environment()}
        try:
            began = time.monotonic()
            subprocess.run([SUITE, "conform", f"s3://{BUCKET}/conform"], env=environment,
                           check=True, timeout=120)
            print(f"the suite for stores: passed in {time.monotonic() - began:.1f} s", flush=True)
            refused(environment)
            endure(server, environment)
        except BaseException:
            print(server.tail())
            raise
        finally:
            server.kill()


def refused(environment):
    """A wrong secret is said to be one: so signatures are checked, and ours are right."""
    wrong = {**environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    command = [SUITE, "conform", f"s3://{BUCKET}/refused"]
    tried = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=60)
    assert tried.returncode != 0, "the server takes any signature"
    assert "set AWS_SECRET_ACCESS_KEY" in tried.stderr, tried.stderr


def endure(server, environment):
    """Tasks count in one register. The server is killed and started again while they do."""
    command = [SUITE, "endure", f"s3://{BUCKET}/endure", str(TASKS), str(INCREMENTS)]
    counting = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    settled = []

    def listen():
        settled.extend(counting.stdout)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        kills = 0
        for kill in range(KILLS):
            wait_for(lambda: len(settled) > TASKS * INCREMENTS * kill // (KILLS + 1), counting)
            time.sleep(random.random() * 0.05)
            if counting.poll() is None:
                server.kill()
                time.sleep(random.random() * 0.1)
                server.start()
                kills += 1
        assert counting.wait(timeout=90) == 0, "an increment was lost, or counted twice"
        listener.join()
    finally:
        counting.kill()
    assert len(settled) == TASKS * INCREMENTS, settled
    assert kills >= KILLS // 2, f"only {kills} kills came in between"
    print(f"the server was killed {kills} times; {len(settled)} increments, each counted once")


def wait_for(condition, process, seconds=60):
    until = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < until, "nothing goes on"
        time.sleep(0.005)


if __name__ == "__main__":
    main()
