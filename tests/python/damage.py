"""Damages a store, one file at a time, and asks everything again.

A store is filled and indexed in rounds: a head in slots, segments, a small batch in the log. A second
one gets a large head as well, and log objects. In each copy bits of one file are flipped, or the file
is cut, emptied or removed. A fresh server must then give the right answer to each question, or an error
that names the damaged object. It must never give a wrong answer, never be silent and never end.

    python damage.py --trials 600 --seed 7
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from server import Server

NAMESPACE = "brittle"
ROUNDS = 3
DOCUMENTS = 400
# A damaged store answers at once: nothing is repeated until a deadline comes.
SECONDS_MAX = 5.0
# Only what is not filterable may be long.
SCHEMA = {"text": {"type": "string", "filterable": False}}

QUERIES = [
    {"rank_by": ["id", "asc"], "limit": 2000, "include_attributes": True},
    {"rank_by": ["id", "asc"], "limit": 5, "filters": ["id", "Eq", 7], "include_attributes": True},
    {"rank_by": ["id", "asc"], "limit": 2000, "filters": ["group", "In", [1, 3]],
     "include_attributes": ["name"]},
    {"rank_by": ["name", "desc"], "limit": 50, "filters": ["name", "Gte", "n-1"]},
    {"rank_by": ["vector", "ANN", [0.5, 0.1, -0.3, 0.7]], "limit": 20,
     "include_attributes": ["vector"]},
    {"rank_by": ["vector", "ANN", [-0.5, 0.9, 0.3, 0.1]], "limit": 20,
     "filters": ["group", "Eq", 2]},
    {"aggregate_by": {"n": ["Count"]}, "filters": ["group", "NotEq", 4]},
]


def fill(server, choices):
    """Writes in rounds, so that there are segments, kills and a log. Returns requests to repeat."""
    connection = server.connect()
    repeats = []
    for turn in range(ROUNDS):
        rows = [row(choices, each, turn, choices.randrange(600))
                for each in choices.sample(range(DOCUMENTS), DOCUMENTS // 2)]
        body = {"upsert_rows": rows, "distance_metric": "euclidean_squared", "schema": SCHEMA}
        write(connection, body, f"fill-{turn}")
        repeats.append((body, f"fill-{turn}"))
        write(connection, {"deletes": choices.sample(range(DOCUMENTS), 20)})
        wait_until_indexed(connection)
    return repeats


def row(choices, number, turn, text_bytes):
    vector = [round(choices.uniform(-1, 1), 3) for _ in range(4)]
    return {"id": number, "name": f"n-{choices.randrange(40)}", "group": number % 5,
            "vector": vector, "turn": turn, "text": "x" * text_bytes}


def write_tail(server, choices, first, sizes):
    """Writes what stays in the log: batches of about these sizes, from this document on."""
    connection = server.connect()
    for turn, size in enumerate(sizes, first):
        body = {"upsert_rows": [row(choices, turn, turn, size)], "schema": SCHEMA}
        write(connection, body, f"tail-{turn}")


def write(connection, body, key=None):
    status, answer = connection.write(NAMESPACE, body, key)
    assert status == 200, f"{status}: {answer}"


def wait_until_indexed(connection, seconds=30):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        status, answer = connection.ask("GET", f"/v2/namespaces/{NAMESPACE}/metadata")
        assert status == 200, f"{status}: {answer}"
        if answer["index"]["status"] == "up-to-date":
            return
        time.sleep(0.05)
    raise AssertionError(f"not indexed after {seconds} s: {answer}")


def answers(server, repeats):
    """Status and answer of every question, without what differs from run to run."""
    connection = server.connect(timeout=SECONDS_MAX)
    found = []
    for query in QUERIES:
        status, answer = connection.query(NAMESPACE, query)
        if status == 200:
            answer = {name: answer.get(name) for name in ("rows", "aggregations")}
        found.append((query, status, answer))
    for body, key in repeats:
        status, answer = connection.write(NAMESPACE, body, key)
        if status == 200:
            answer = {name: value for name, value in answer.items() if name.startswith("rows_")}
        found.append((key, status, answer))
    # Had a repeat been applied, these would differ.
    for query in QUERIES[:2]:
        status, answer = connection.query(NAMESPACE, query)
        if status == 200:
            answer = answer["rows"]
        found.append((query, status, answer))
    return found


def damage(path, choices):
    """Damages a file and says how."""
    size = path.stat().st_size
    way = choices.choices(["flip", "cut", "empty", "remove"], [75, 17, 4, 4])[0]
    if way == "remove" and "heads" not in path.parts:
        path.unlink()
        return "removed"
    if way in ("cut", "empty"):
        keep = place(size, choices) if way == "cut" else 0
        with open(path, "r+b") as file:
            file.truncate(keep)
        return f"cut to {keep} of {size}"
    flips = choices.choice([1, 1, 1, 2, 8])
    where = sorted({place(size, choices) for _ in range(flips)})
    with open(path, "r+b") as file:
        for at in where:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << choices.randrange(8)]))
    return f"bytes {where} of {size} flipped"


def place(size, choices):
    """A byte of a file: where headers, slots and directories are more often than elsewhere."""
    block = choices.randrange((size + 4095) // 4096) * 4096
    near = choices.choice([choices.randrange(64), block + choices.randrange(64),
                           size - 1 - choices.randrange(min(size, 1024)), choices.randrange(size)])
    return min(near, size - 1)


def kind(path):
    """What an object is for, by its file."""
    return "head" if "heads" in path.parts else "log" if "log" in path.parts else "segment"


def names_an_object(answer):
    text = json.dumps(answer)
    return f"heads/{NAMESPACE}" in text or f"data/{NAMESPACE}/" in text


def judge(found, right, server, what):
    """Whether anything of the damage was noticed."""
    noticed = False
    for (question, status, answer), (_, _, expected) in zip(found, right, strict=True):
        if status == 200:
            assert answer == expected, f"{what}: a wrong answer to {question}:\n{answer}"
            continue
        noticed = True
        assert status >= 500, f"{what}: {status} is no error of a store: {answer}"
        assert names_an_object(answer), f"{what}: the error names no object: {status} {answer}"
    assert server.is_alive() and server.is_ready(), f"{what}: the server is gone\n{server.tail()}"
    return noticed


def prepare(folder, choices):
    """Two stores, with the right answers and the requests to repeat, and a server's port."""
    small = Path(folder, "small")
    server = Server(small)
    server.start()
    repeats = fill(server, choices)
    server.kill()
    server.start("--no-indexing")
    write_tail(server, choices, DOCUMENTS, [10])
    server.kill()
    large = Path(folder, "large")
    shutil.copytree(small, large)
    other = Server(large, server.port)
    other.start("--no-indexing")
    # Staged; inline, and copied to an object that the next head names; inline.
    write_tail(other, choices, DOCUMENTS + 1, [10, 1_500_000, 300_000, 250_000])
    other.kill()
    stores = []
    for store in (small, large):
        server = Server(store, server.port)
        server.start("--no-indexing")
        right = answers(server, repeats)
        assert all(status == 200 for _, status, _ in right), right
        server.kill()
        server.start("--no-indexing")
        assert answers(server, repeats) == right, "a restart changed an answer"
        server.kill()
        for path in sorted(store.rglob("*")):
            if path.is_file() and path.stat().st_size:
                stores.append((store, path.relative_to(store), right))
    return stores, repeats, server.port


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=600)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options = options.parse_args()
    choices = random.Random(options.seed)
    print(f"damage, {options.trials} trials, seed {options.seed}", flush=True)
    tried, noticed = Counter(), Counter()
    with tempfile.TemporaryDirectory(prefix="sana-damage-") as folder:
        victims, repeats, port = prepare(folder, choices)
        by_kind = {}
        for victim in victims:
            by_kind.setdefault(f"{victim[0].name} {kind(victim[1])}", []).append(victim)
        # All of it is indexed, so these wait for the collector and nobody reads them.
        by_kind.pop("small log", None)
        print("  " + ", ".join(f"{name}: {len(each)} files" for name, each in by_kind.items()),
              flush=True)
        assert set(by_kind) >= {"small head", "small segment", "large head", "large log"}, by_kind
        for trial in range(options.trials):
            name = list(by_kind)[trial % len(by_kind)]
            store, path, right = choices.choice(by_kind[name])
            broken = Path(folder, "broken")
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(store, broken)
            what = f"trial {trial}, {name} {path}: {damage(broken / path, choices)}"
            server = Server(broken, port)
            try:
                server.start("--no-indexing")
                tried[name] += 1
                noticed[name] += judge(answers(server, repeats), right, server, what)
            except BaseException:
                print(f"{what}\n{server.tail()}")
                raise
            finally:
                if server.is_alive():
                    server.kill()
    for name, trials in tried.items():
        print(f"  {name}: {trials} damages, {noticed[name]} noticed")
        assert noticed[name] > trials // 10, f"hardly any damage to a {name} was noticed"
    print(f"{options.trials} damages, {noticed.total()} noticed, no wrong answer")


if __name__ == "__main__":
    main()
