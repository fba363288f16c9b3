"""Damages a store, one file at a time, and asks everything again.

A store is filled, flushed in part, and copied. In each copy one byte of one file is flipped, or the file
is cut, or it is removed. A fresh server must then give the right answer to each query, or an error that
names the damaged object. It must never give a wrong answer and never end.

    python damage.py --trials 400 --seed 7
"""

import argparse
import json
import random
import shutil
import tempfile
import time
from pathlib import Path

from server import Server

NAMESPACE = "brittle"
ROUNDS = 3
DOCUMENTS = 400

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
    """Writes in rounds, so that there are segments, kills and a log."""
    connection = server.connect()
    for turn in range(ROUNDS):
        rows = []
        for each in choices.sample(range(DOCUMENTS), DOCUMENTS // 2):
            vector = [round(choices.uniform(-1, 1), 3) for _ in range(4)]
            rows.append({"id": each, "name": f"n-{choices.randrange(40)}", "group": each % 5,
                         "vector": vector, "turn": turn, "text": "x" * choices.randrange(600)})
        write(connection, {"upsert_rows": rows, "distance_metric": "euclidean_squared"}, f"fill-{turn}")
        write(connection, {"deletes": choices.sample(range(DOCUMENTS), 20)})
        wait_until_indexed(connection)
    # What stays in the log: a small batch inline, and a large one in an object.
    write(connection, {"upsert_rows": [{"id": DOCUMENTS + 1, "name": "n-1", "group": 1,
                                        "vector": [0.1, 0.2, 0.3, 0.4]}]})


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


def answers(server):
    """Status and answer of every query, without what differs from run to run."""
    connection = server.connect()
    found = []
    for query in QUERIES:
        status, answer = connection.query(NAMESPACE, query)
        if status == 200:
            answer = {name: answer.get(name) for name in ("rows", "aggregations")}
        found.append((status, answer))
    return found


def damage(path, choices):
    """Damages a file and says how."""
    size = path.stat().st_size
    kind = choices.choices(["flip", "cut", "empty", "remove"], [80, 14, 3, 3])[0]
    if kind == "remove" and "heads" not in path.parts:
        path.unlink()
        return "removed"
    if kind in ("cut", "empty") and size:
        keep = choices.randrange(size) if kind == "cut" else 0
        with open(path, "r+b") as file:
            file.truncate(keep)
        return f"cut to {keep} of {size}"
    at, bit = choices.randrange(size), choices.randrange(8)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))
    return f"bit {bit} of byte {at} of {size} flipped"


def names_an_object(answer):
    text = json.dumps(answer)
    return f"heads/{NAMESPACE}" in text or f"data/{NAMESPACE}/" in text


def judge(found, right, server, what):
    """Whether anything of the damage was noticed."""
    noticed = False
    for query, (status, answer), expected in zip(QUERIES, found, right):
        if status == 200:
            assert answer == expected[1], f"{what}: a wrong answer to {query}:\n{answer}"
            continue
        noticed = True
        assert status >= 500, f"{what}: {status} is no error of a store: {answer}"
        assert names_an_object(answer), f"{what}: the error names no object: {status} {answer}"
    assert server.is_alive() and server.is_ready(), f"{what}: the server is gone\n{server.tail()}"
    return noticed


def targets(store):
    return sorted(path for path in store.rglob("*") if path.is_file() and path.stat().st_size)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--trials", type=int, default=400)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options = options.parse_args()
    choices = random.Random(options.seed)
    print(f"damage, {options.trials} trials, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="sana-damage-") as folder:
        whole = Path(folder, "whole")
        server = Server(whole)
        server.start()
        fill(server, choices)
        right = answers(server)
        assert all(status == 200 for status, _ in right), right
        server.kill()
        server.start()
        assert answers(server) == right, "a restart changed an answer"
        server.kill()
        files = [path.relative_to(whole) for path in targets(whole)]
        assert any("data" in path.parts for path in files), f"no segments: {files}"
        noticed = 0
        for trial in range(options.trials):
            broken = Path(folder, "broken")
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(whole, broken)
            victim = files[trial % len(files)]
            what = f"trial {trial}, {victim}: {damage(broken / victim, choices)}"
            server = Server(broken, server.port)
            try:
                server.start()
                noticed += judge(answers(server), right, server, what)
            except BaseException:
                print(f"{what}\n{server.tail()}")
                raise
            finally:
                if server.is_alive():
                    server.kill()
    assert noticed > options.trials // 10, f"only {noticed} trials were noticed: nothing was damaged"
    print(f"{options.trials} damages to {len(files)} files: {noticed} noticed, no wrong answer")


if __name__ == "__main__":
    main()
