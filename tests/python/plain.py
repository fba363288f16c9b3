"""Plain load: documents written in pairs, and counts under idempotency keys. What must hold:

- every document is in the state of its last acknowledged write, or of a later one that was sent;
- both documents of a pair, always written together, are of one version: a write is whole or not at all;
- a request that is repeated under its idempotency key is not applied a second time: it gets the first
  outcome, and what was written after it stays;
- documents that nobody wrote are not there.
"""

import random
import threading
import time

NAMESPACE = "plug"
PAIRS = 12
KEYS_REPEATED = 4
# Only what is not filterable may be long.
SCHEMA = {"text": {"type": "string", "filterable": False}}


class Pair:
    """Two documents that are always written together: what was asked of them, and what was said."""

    def __init__(self, first):
        self.ids = (first, first + 1)
        self.version = 0
        # What may be there: the last acknowledged state, and those that were sent after it.
        self.possible = [None]

    def matches(self, documents):
        found = [documents.get(each) for each in self.ids]
        states = [None if each is None else each["version"] for each in found]
        assert states[0] == states[1], f"half a write: {self.ids} are at {states}"
        assert states[0] in self.possible, f"{self.ids} is at {states[0]}, not in {self.possible}"
        for each in filter(None, found):
            assert each["text"][:8] == f"{each['version']:08}", f"{self.ids}: text of another version"
        self.possible = [states[0]]


class Counter:
    """A document that counts the writes of one thread, each under an idempotency key."""

    def __init__(self, number):
        self.id = number
        self.sent = 0
        self.acknowledged = 0
        self.outcomes = {}

    def body(self, count):
        return {"upsert_rows": [{"id": self.id, "count": count}]}

    def key(self, count):
        return f"counter-{self.id}-{count}"

    def write(self, connection, count):
        """Writes or repeats one count. Returns whether it was acknowledged."""
        self.sent = max(self.sent, count)
        status, answer = connection.write(NAMESPACE, self.body(count), self.key(count))
        if status != 200:
            assert status in (429, 503), f"{status}: {answer}"
            return False
        outcome = {name: value for name, value in answer.items() if name.startswith("rows_")}
        assert self.outcomes.setdefault(count, outcome) == outcome, f"another outcome: {outcome}"
        self.acknowledged = max(self.acknowledged, count)
        return True

    def matches(self, documents):
        found = documents.get(self.id, {"count": 0})["count"]
        assert self.acknowledged <= found <= self.sent, (
            f"counter {self.id} is at {found}, not in {self.acknowledged}..{self.sent}")


class Writer:
    """One thread of load, and what it knows."""

    def __init__(self, number, seed):
        self.random = random.Random(f"{seed}-{number}")
        self.pairs = [Pair(number * 1000 + 2 * at) for at in range(PAIRS)]
        self.counter = Counter(number * 1000 + 999)
        self.acknowledged = 0
        self.failure = None

    def run(self, server, until):
        try:
            connection = server.connect(timeout=10.0)
            while not until.is_set():
                self.write_pair(connection)
                if self.random.random() < 0.3:
                    self.counter.write(connection, self.counter.sent + 1)
        except ConnectionError:
            pass  # The plug was pulled.
        except BaseException as failure:
            self.failure = failure
            raise

    def text_bytes(self):
        """Mostly small; now and then large enough to be spilled or staged."""
        return self.random.choices([100, 3_000, 90_000, 700_000], [70, 24, 5, 1])[0]

    def write_pair(self, connection):
        pair = self.random.choice(self.pairs)
        pair.version += 1
        if self.random.random() < 0.15:
            state, body = None, {"deletes": list(pair.ids)}
        else:
            state = pair.version
            text = f"{state:08}".ljust(self.text_bytes(), "x")
            rows = [{"id": each, "version": state, "text": text} for each in pair.ids]
            body = {"upsert_rows": rows, "schema": SCHEMA}
        pair.possible.append(state)
        status, answer = connection.write(NAMESPACE, body)
        if status == 200:
            pair.possible = [state]
            self.acknowledged += 1
        else:
            assert status in (429, 503), f"{status}: {answer}"
            # Behind, or outcome unknown: both are allowed, both may or may not be there.


class Plain:
    """Writers of plain load at one server, and what is demanded of it."""

    def __init__(self, seed, threads):
        self.writers = [Writer(number, seed) for number in range(1, threads + 1)]

    def prepare(self, servers):
        # Else a delete that is the very first write is told, rightly, that there is no namespace.
        made = {"create_namespace": True, "schema": {"id": "uint"}}
        status, answer = servers[0].connect().write(NAMESPACE, made)
        assert status == 200, f"{status}: {answer}"

    def threads(self, servers, until):
        return [threading.Thread(target=writer.run, args=(servers[0], until)) for writer in self.writers]

    def check(self, servers, turn):
        for writer in self.writers:
            assert writer.failure is None, writer.failure
        check(servers[0], self.writers)
        if turn % 4 == 0:
            repeat(servers[0], self.writers)

    def figures(self):
        return {"upserts and deletes in pairs": sum(writer.acknowledged for writer in self.writers),
                "counts under keys": sum(len(writer.counter.outcomes) for writer in self.writers)}

    def unanswered(self):
        return {}


def check(server, writers):
    """Compares what is there with what was acknowledged."""
    connection = server.connect()
    documents = connection.documents(NAMESPACE)
    known = {each for writer in writers for pair in writer.pairs for each in pair.ids}
    known |= {writer.counter.id for writer in writers}
    assert set(documents) <= known, f"nobody wrote {set(documents) - known}"
    for writer in writers:
        for pair in writer.pairs:
            pair.matches(documents)
        writer.counter.matches(documents)


def repeat(server, writers):
    """Repeats requests under their keys, the newest last acknowledged one first."""
    connection = server.connect()
    for writer in writers:
        counter = writer.counter
        # What was in doubt is settled by repeating it; what follows must survive further repeats.
        for count in range(counter.acknowledged + 1, counter.sent + 1):
            assert until_acknowledged(counter, connection, count)
        last = counter.sent + 1
        assert until_acknowledged(counter, connection, last)
        # A count that was in doubt and overtaken since may rightly be applied now. All others were.
        settled = sorted(counter.outcomes)[:-1]
        again = settled[-KEYS_REPEATED:] + writer.random.sample(settled, min(2, len(settled)))
        for count in again:
            assert until_acknowledged(counter, connection, count)
        status, answer = connection.write(NAMESPACE, counter.body(0), counter.key(last))
        assert status == 422, f"a key was taken for another request: {status} {answer}"
    documents = connection.documents(NAMESPACE, ["count"])
    for writer in writers:
        found = documents[writer.counter.id]["count"]
        assert found == writer.counter.sent, (
            f"a repeat was applied: counter {writer.counter.id} is at {found}, not at {writer.counter.sent}")


def until_acknowledged(counter, connection, count):
    for _ in range(50):
        if counter.write(connection, count):
            return True
        time.sleep(0.1)
    return False
