"""Mixed load: writes of every kind that must know what is there, each checked by what it was told.

Several clients write to one namespace, through any server of it:

- *counts*: two shared documents hold a number. Nobody reads it; a client makes it one more on the
  condition that it is what the client last knew, by an upsert or by a patch.
- *a stretch of ids for each client*: upserts, patches, deletes, the same under conditions and by
  filters, all of them in one request, and drops of an attribute that comes back with another type.
- *idempotency keys* for a part of all that: repeated until answered, and again when long done.
- *strong reads* of a stretch or a number in between.

What nobody answered may have happened or not: `history` follows both.
"""

import random
import threading
import time
from collections import Counter

from history import REFUSED, History, Tally, Write

NAMESPACE = "mixed"
ATTRIBUTES = {"owner": "int", "n": "int", "text": "string"}
SCHEMA = {"id": "uint", "by": "int", "before": "int", "owner": "int", "n": "int",
          "text": {"type": "string", "filterable": False}}
COUNTED = {"upsert": 1, "patch": 2}
TURN = 3
IDS = 24
VALUES = 8
KEYED = 0.3
REMEMBERED = 20
# Longer than any server takes to say that it does not know: so a connection that breaks is a crash.
PATIENCE_SECONDS = 120.0


class Client:
    """One thread of load, and what it knows."""

    def __init__(self, number, seed, tallies):
        self.random = random.Random(f"mixed-{seed}-{number}")
        self.number, self.tallies = number, tallies
        self.ids = range(1_000 * number, 1_000 * number + IDS)
        self.mark = f"mark{number}"
        self.history = History({}, ATTRIBUTES)
        self.values = dict.fromkeys(COUNTED, 0)  # how far each count is known to have come
        self.writes = 0
        self.pending = None  # what has a key and is not answered
        self.done = []  # what had a key, with its outcome
        self.acknowledged, self.silent, self.refused = Counter(), Counter(), Counter()
        self.failure = None

    def run(self, servers, until):
        self.servers, self.connections = servers, [None] * len(servers)
        try:
            while not until.is_set():
                try:
                    self.step()
                except ConnectionError:
                    if len(servers) == 1:
                        return
                    time.sleep(0.005)  # The other server goes on.
        except BaseException as failure:
            self.failure = failure
            raise

    def connection(self):
        """A connection to any of the servers. It stands, so what is lost on it may have been heard."""
        at = self.random.randrange(len(self.servers))
        connection = self.connections[at] = self.connections[at] or self.servers[at].connect(PATIENCE_SECONDS)
        if connection.http.sock is None:
            connection.http.connect()
        return connection

    def step(self):
        if self.pending:
            return self.write(self.pending)
        choice = self.random.random()
        if choice < 0.12:
            return self.read(self.connection())
        if choice < 0.17 and self.done:
            return self.repeat()
        if choice < 0.45:
            return self.write(self.count(*self.random.choice(list(COUNTED.items()))))
        return self.write(self.change())

    def write(self, write):
        """Sends a write, and takes note of what is said."""
        history = self.tallies[write.kind] if write.kind in COUNTED else self.history
        connection = self.connection()
        history.sent(write)
        self.pending = write if write.key else None
        try:
            status, answer = connection.write(NAMESPACE, write.body, write.key)
        except ConnectionError:
            self.silent[named(write)] += 1
            raise
        if status in (429, 503):
            # Under a key it does not say whether an earlier try happened.
            unknown = write.key or connection.headers.get("x-should-retry") == "false"
            if unknown:
                self.silent[named(write)] += 1
            else:
                history.declined(write)
            return time.sleep(0.02)
        assert status == 200 or (status == 400 and write.kind not in COUNTED), f"{status}: {answer}"
        outcome = counts(answer) if status == 200 else REFUSED
        history.answered(write, outcome)
        self.pending = None
        if write.kind in COUNTED:
            self.values[write.kind] = write.value
        if outcome == REFUSED:
            self.refused[named(write)] += 1
            return None
        self.acknowledged[named(write)] += 1
        if write.key:
            self.done = [*self.done[1 - REMEMBERED:], (write, outcome)]
        return None

    def repeat(self):
        """Repeats what is long done: it is told its first outcome, and changes nothing."""
        write, outcome = self.random.choice(self.done)
        status, answer = self.connection().write(NAMESPACE, write.body, write.key)
        if status == 200:
            assert counts(answer) == outcome, f"{write}: {outcome}, and when repeated {answer}"
            self.acknowledged["repeats of what was done"] += 1
        else:
            assert status in (429, 503), f"{status}: {answer}"

    def read(self, connection):
        """Reads the stretch of this client and the counts. Returns whether the server could."""
        first, end = self.ids.start, self.ids.stop
        found = ask(connection, ["And", [["id", "Gte", first], ["id", "Lt", end]]])
        if found is None:
            return False
        self.history.read(found)
        for kind, at in COUNTED.items():
            least = self.tallies[kind].certain()
            found = ask(connection, ["id", "Eq", at])
            if found is None:
                return False
            self.tallies[kind].read(found[at]["n"], found[at]["by"], least)
        self.acknowledged["strong reads"] += 1
        return True

    def key(self):
        self.writes += 1
        return f"client-{self.number}-{self.writes}" if self.random.random() < KEYED else None

    def count(self, kind, at):
        value = self.values[kind] + 1
        row = {"id": at, "n": value, "before": value - 1, "by": self.number}
        body = {f"{kind}_rows": [row], f"{kind}_condition": ["n", "Eq", {"$ref_new": "before"}]}
        return Write(kind, body, self.key(), self.number, value)

    def change(self):
        """Any write to the stretch."""
        kinds = {
            "upserts": lambda: {"upsert_rows": self.rows()},
            "patches": lambda: {"patch_rows": self.rows()},
            "deletes": lambda: {"deletes": self.some()},
            "upserts on a condition": lambda: {
                "upsert_rows": self.rows(), "upsert_condition": ["n", "Lt", {"$ref_new": "n"}]},
            "patches on a condition": lambda: {
                "patch_rows": self.rows(), "patch_condition": ["n", "NotEq", {"$ref_new": "n"}]},
            "deletes on a condition": lambda: {
                "deletes": self.some(), "delete_condition": ["n", "Lt", self.value()]},
            "deletes by filter": lambda: {"delete_by_filter": self.own(["n", "Eq", self.value()])},
            "patches by filter": lambda: {"patch_by_filter": self.by_filter()},
            "all at once": self.all_at_once,
            "drops of an attribute": lambda: {"schema": {self.mark: {"drop": True}}},
        }
        kind = self.random.choice(list(kinds))
        # A drop is refused where there is nothing to drop, so under a key it would say no more.
        key = None if kind.startswith("drops") else self.key()
        return Write(kind, kinds[kind](), key, self.number)

    def all_at_once(self):
        ids = self.some() + [self.ids.start]
        half = len(ids) // 2
        return {
            "delete_by_filter": self.own(["n", "Eq", self.value()]),
            "patch_by_filter": self.by_filter(),
            "upsert_rows": [self.row(each) for each in ids[:half]],
            "patch_rows": [self.row(each) for each in sorted(set(ids[half:]) - set(ids[:half]))],
        }

    def some(self):
        return self.random.sample(self.ids[1:], self.random.choice([1, 1, 2, 8]))

    def rows(self):
        return [self.row(each) for each in self.some()]

    def row(self, at):
        row = {"id": at, "owner": self.number, "n": self.value()}
        if self.random.random() < 0.3:
            # Mostly of one type until that was dropped; of the other it is refused.
            row[self.mark] = self.random.choice([1, "one"]) if self.random.random() < 0.1 else self.marks()
        if self.random.random() < 0.3:
            row["text"] = "x" * self.random.choice([10, 10, 1_000, 30_000])
        return row

    def marks(self):
        is_text = self.history.worlds[0].types.get(self.mark, "string") == "string"
        return "two" if is_text else 2

    def value(self):
        return self.random.randrange(VALUES)

    def own(self, condition):
        return ["And", [["owner", "Eq", self.number], condition]]

    def by_filter(self):
        return {"filters": self.own(["n", "Lt", self.value()]), "patch": {"n": self.value()}}


class Mixed:
    """Clients of mixed load, and what is demanded of the servers together."""

    def __init__(self, seed, threads):
        self.tallies = {kind: Tally() for kind in COUNTED}
        self.clients = [Client(number, seed, self.tallies) for number in range(1, threads + 1)]

    def prepare(self, servers):
        rows = [{"id": at, "n": 0, "before": -1, "by": 0} for at in COUNTED.values()]
        status, answer = servers[0].connect().write(NAMESPACE, {"upsert_rows": rows, "schema": SCHEMA})
        assert status == 200, f"{status}: {answer}"

    def threads(self, servers, until):
        return [threading.Thread(target=client.run, args=(servers, until)) for client in self.clients]

    def check(self, servers, turn):
        for client in self.clients:
            assert client.failure is None, client.failure
        row = {"id": TURN, "n": turn}
        connection = servers[0].connect()
        written = until_true(lambda: connection.write(NAMESPACE, {"upsert_rows": [row]})[0] == 200)
        assert written, "a write is not answered"
        for client in self.clients:
            client.history.moved_on()
        for server in servers:
            connection = server.connect()
            for client in self.clients:
                assert until_true(lambda: client.read(connection)), "a read is not answered"
            count = sum(len(client.history.worlds[0].documents) for client in self.clients)
            found = connection.documents(NAMESPACE, ["id"])
            assert len(found) == count + len(COUNTED) + 1, f"{len(found)} documents, and {count} are known"

    def figures(self):
        return sum((client.acknowledged for client in self.clients), Counter())

    def unanswered(self):
        return sum((client.silent for client in self.clients), Counter())


def ask(connection, condition):
    """The documents that meet a filter, read strongly; `None` if the server cannot say."""
    body = {"rank_by": ["id", "asc"], "limit": 100, "include_attributes": True, "filters": condition}
    status, answer = connection.query(NAMESPACE, body)
    if status in (429, 503):
        return None
    assert status == 200, f"{status}: {answer}"
    return {row.pop("id"): row for row in answer["rows"]}


def counts(answer):
    return {name: value for name, value in answer.items()
            if name.startswith("rows_") and name not in ("rows_affected", "rows_remaining")}


def named(write):
    kind = f"counts by {write.kind}" if write.kind in COUNTED else write.kind
    return f"{kind}, keyed" if write.key else kind


def until_true(attempt):
    for _ in range(200):
        if attempt():
            return True
        time.sleep(0.05)
    return False
