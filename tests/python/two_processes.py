"""Two server processes on one store, writing one namespace at once.

- Threads at both servers write ids of their own: all of them are there, seen from either server.
- Threads at both servers patch attributes of their own in one shared document, in turn at one server
  and the other. A patch is decided on the whole document, so a lost update would show at once.
- A write that one server acknowledged is seen by the next strong read at the other.
- All overwrite one document: at the end both servers say the same, and it is somebody's last word.
- In the middle one server is killed and comes back. The other goes on.
- A store that is a process of its own is killed as well, a little later, and comes back.

    python two_processes.py --store s3
"""

import argparse
import random
import tempfile
import threading
import time

from place import KINDS, Place

NAMESPACE = "shared"
DOCUMENT = 1
LAST_WORD = 2
THREADS = 4
SECONDS = 12


class Client:
    """One thread. It speaks to both servers in turn, or to its own."""

    def __init__(self, number, servers, until):
        self.random = random.Random(number)
        self.number, self.servers, self.until = number, servers, until
        self.connections = [None, None]
        self.written = 0  # ids of its own that were acknowledged: base + 1 ... base + written
        self.sent = 0
        self.patched = 0
        self.patch_sent = 0
        self.word = 0
        self.unknown = 0
        self.failure = None

    @property
    def base(self):
        return self.number * 1_000_000

    @property
    def attribute(self):
        return f"count{self.number}"

    def run(self):
        try:
            while not self.until.is_set():
                self.write_own()
                self.patch_shared()
                self.overwrite()
        except BaseException as failure:
            self.failure = failure
            raise

    def ask(self, at, body, key):
        """Writes at one server until somebody says yes. The key makes that safe."""
        for turn in range(200):
            try:
                self.connections[at] = self.connections[at] or self.servers[at].connect()
                status, answer = self.connections[at].write(NAMESPACE, body, key)
                if status == 200:
                    return answer
                assert status in (429, 503), f"{status}: {answer}"
                self.unknown += 1
            except ConnectionError:
                at = 1 - at  # That one was killed. The other answers.
            time.sleep(0.01 * self.random.random() * min(turn + 1, 10))
        raise AssertionError("no server takes the write")

    def write_own(self):
        self.sent += 1
        row = {"id": self.base + self.sent, "by": self.number, "n": self.sent}
        self.ask(self.number % 2, {"upsert_rows": [row]}, f"own-{self.number}-{self.sent}")
        self.written = self.sent

    def patch_shared(self):
        self.patch_sent += 1
        body = {"patch_rows": [{"id": DOCUMENT, self.attribute: self.patch_sent}]}
        answer = self.ask(self.patch_sent % 2, body, f"patch-{self.number}-{self.patch_sent}")
        assert answer["rows_patched"] == 1, answer
        self.patched = self.patch_sent
        # A strong read at the other server sees it, and nobody else changes this attribute.
        found = self.read((self.patch_sent + 1) % 2)
        assert found == self.patched, f"{self.attribute} is {found}, not {self.patched}"

    def read(self, at):
        body = {"rank_by": ["id", "asc"], "filters": ["id", "Eq", DOCUMENT], "limit": 1,
                "include_attributes": [self.attribute]}
        while True:
            try:
                self.connections[at] = self.connections[at] or self.servers[at].connect()
                status, answer = self.connections[at].query(NAMESPACE, body)
            except ConnectionError:
                at = 1 - at
                continue
            if status == 200:
                return answer["rows"][0].get(self.attribute)
            assert status == 503, f"{status}: {answer}"

    def overwrite(self):
        self.word += 1
        row = {"id": LAST_WORD, "by": self.number, "word": self.word}
        self.ask(self.word % 2, {"upsert_rows": [row]}, f"word-{self.number}-{self.word}")


def all_of(server, base, count):
    """The ids above `base`, in pages."""
    connection, found, last = server.connect(), [], base
    while True:
        body = {"rank_by": ["id", "asc"], "limit": 1000, "include_attributes": ["by", "n"],
                "filters": ["And", [["id", "Gt", last], ["id", "Lte", base + count]]]}
        status, answer = connection.query(NAMESPACE, body)
        assert status == 200, f"{status}: {answer}"
        if not answer["rows"]:
            return found
        found += answer["rows"]
        last = found[-1]["id"]


def check(servers, clients):
    words = []
    for server in servers:
        shared = server.connect().documents(NAMESPACE, limit=2)
        for client in clients:
            found = shared[DOCUMENT].get(client.attribute)
            assert found == client.patched, (
                f"a lost update: {client.attribute} is {found}, not {client.patched}")
            rows = all_of(server, client.base, client.sent)
            numbers = [row["n"] for row in rows]
            assert numbers == list(range(1, client.written + 1)), (
                f"client {client.number} wrote {client.written}, and {len(numbers)} are there")
            assert all(row["by"] == client.number for row in rows)
        words.append((shared[LAST_WORD]["by"], shared[LAST_WORD]["word"]))
    assert words[0] == words[1], f"the servers do not agree: {words}"
    last = {(client.number, client.word) for client in clients}
    assert words[0] in last, f"{words[0]} is nobody's last word"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--store", choices=KINDS, default="folder")
    options = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="sana-two-") as folder, \
            Place(folder, options.store) as place:
        servers = [place.server() for _ in range(2)]
        until = threading.Event()
        for server in servers:
            server.start()
        rows = [{"id": DOCUMENT, "by": 0, "n": 0, "word": 0}, {"id": LAST_WORD, "by": 0, "word": 0}]
        status, answer = servers[0].connect().write(NAMESPACE, {"upsert_rows": rows})
        assert status == 200, f"{status}: {answer}"
        clients = [Client(number, servers, until) for number in range(1, THREADS + 1)]
        threads = [threading.Thread(target=client.run) for client in clients]
        try:
            for thread in threads:
                thread.start()
            time.sleep(SECONDS / 2)
            servers[0].kill()
            time.sleep(0.5)
            servers[0].start()
            time.sleep(SECONDS / 4)
            place.pull_the_plug()
            time.sleep(SECONDS / 4)
            until.set()
            for thread in threads:
                thread.join()
            for client in clients:
                assert client.failure is None, client.failure
            check(servers, clients)
            assert all(server.stop() == 0 for server in servers), "SIGTERM did not end one cleanly"
        except BaseException:
            until.set()
            for server in servers:
                print(server.tail())
            raise
        finally:
            for server in servers:
                if server.is_alive():
                    server.kill()
    writes = sum(client.written + client.patched + client.word for client in clients)
    turned_away = sum(client.unknown for client in clients)
    print(f"two processes, {THREADS} threads: {writes} writes, no update lost; "
          f"{turned_away} answers asked for a repeat")


if __name__ == "__main__":
    main()
