"""Counts what operations cost on S3, through a proxy, and times them with the latencies of S3.

- An upsert of one row is one put and nothing else.
- A strong query of a namespace that did not change, all it needs in memory, is one get.
- An eventual one is no request.
- A lookup on a node that knows nothing is at most four rounds.

    python rounds.py --read-ms 63 --write-ms 100
"""

import argparse
import random
import statistics
import tempfile
import time

from place import Place
from s3_proxy import Proxy

NAMESPACE = "counted"
DOCUMENTS = 20_000
COLD_ROUNDS_MAX = 4
LOOKUP = {"rank_by": ["id", "asc"], "filters": ["id", "Eq", 777], "limit": 1,
          "include_attributes": ["name"]}
FILTER = {"rank_by": ["id", "asc"], "filters": ["group", "Eq", 7], "limit": 10,
          "include_attributes": ["name"]}
NEAREST = {"rank_by": ["vector", "ANN", [0.5, 0.1, -0.3, 0.7]], "limit": 10,
           "include_attributes": ["name"]}


def fill(server):
    """Writes documents and waits until they are indexed."""
    connection, choices = server.connect(), random.Random(7)
    for first in range(0, DOCUMENTS, 5_000):
        rows = [{"id": each, "name": f"name {each}", "group": each % 100,
                 "vector": [choices.uniform(-1, 1) for _ in range(4)]}
                for each in range(first, first + 5_000)]
        write(connection, {"upsert_rows": rows, "distance_metric": "cosine_distance"})
    until = time.monotonic() + 60
    while True:
        status, answer = connection.ask("GET", f"/v2/namespaces/{NAMESPACE}/metadata")
        assert status == 200, f"{status}: {answer}"
        if answer["index"]["status"] == "up-to-date":
            return
        assert time.monotonic() < until, f"not indexed: {answer}"
        time.sleep(0.1)


def write(connection, body):
    status, answer = connection.write(NAMESPACE, body)
    assert status == 200, f"{status}: {answer}"


def query(connection, body, rows=None, **more):
    status, answer = connection.query(NAMESPACE, {**body, **more})
    assert status == 200, f"{status}: {answer}"
    assert rows is None or len(answer["rows"]) == rows, answer


def upsert(connection, number):
    write(connection, {"upsert_rows": [{"id": number, "name": "one", "group": 0,
                                        "vector": [1, 0, 0, 0]}]})


def count(server, proxy):
    """Asserts what requests cost. Nothing is indexed meanwhile, so all that is seen is theirs."""
    connection = server.connect()
    proxy.take()
    query(connection, LOOKUP, 1)
    cold = proxy.take()
    assert 1 <= cold.rounds <= COLD_ROUNDS_MAX, f"a cold lookup: {cold}"
    print(f"  cold lookup: {cold}")
    for number in range(3):
        upsert(connection, 900_000 + number)
        seen = proxy.take()
        assert seen.kinds == {"PUT on a condition": 1}, f"an upsert of one row: {seen}"
    print(f"  upsert of one row: {seen}")
    for body, rows in ((LOOKUP, 1), (FILTER, 10), (NEAREST, 10)):
        query(connection, body, rows)
        proxy.take()
        query(connection, body, rows)
        seen = proxy.take()
        assert seen.kinds == {"GET on a condition": 1}, f"a strong query: {seen}"
        assert seen.bytes == 0, f"nothing changed: {seen}"
        query(connection, body, rows, consistency={"level": "eventual"})
        seen = proxy.take()
        assert seen.kinds == {}, f"an eventual query: {seen}"
    print("  strong query, unchanged: one get; eventual: none")


def cold(place, proxy, name, body, times=5):
    """Times the first query of a server that has just started."""
    taken, rounds = [], 0
    for _ in range(times):
        server = place.server(through=proxy.port)
        server.start("--no-indexing", timeout=60)
        try:
            connection = server.connect()
            connection.http.connect()
            proxy.take()
            taken.append(timed(lambda: query(connection, body)))
            rounds = max(rounds, proxy.take().rounds)
        finally:
            server.kill()
    assert rounds <= COLD_ROUNDS_MAX or name == "vector", f"cold {name}: {rounds} rounds"
    print(f"  cold {name}: {rounds} rounds, {spread(taken)}")


def timed(do):
    began = time.monotonic()
    do()
    return (time.monotonic() - began) * 1000


def spread(taken):
    taken = sorted(taken)
    return f"p50 {statistics.median(taken):.0f} ms, worst {taken[-1]:.0f} ms"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--read-ms", type=float, default=63)
    options.add_argument("--write-ms", type=float, default=100)
    options.add_argument("--times", type=int, default=20)
    options = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="sana-rounds-") as folder, \
            Place(folder, "s3") as place, Proxy(place.s3.port) as proxy:
        filler = place.server()
        filler.start()
        fill(filler)
        assert filler.stop() == 0
        server = place.server(through=proxy.port)
        server.start("--no-indexing")
        try:
            count(server, proxy)
            proxy.delay(options.read_ms, options.write_ms)
            print(f"reads take {options.read_ms:.0f} ms, writes {options.write_ms:.0f} ms:")
            connection, times = server.connect(), range(options.times)
            taken = [timed(lambda: upsert(connection, 910_000 + each)) for each in times]
            print(f"  upsert of one row: {spread(taken)}")
            for name, body in (("lookup", LOOKUP), ("filter", FILTER), ("vector", NEAREST)):
                query(connection, body)
                print(f"  warm strong {name}: "
                      f"{spread([timed(lambda: query(connection, body)) for _ in times])}")
        finally:
            server.kill()
        for name, body in (("lookup", LOOKUP), ("filter", FILTER), ("vector", NEAREST)):
            cold(place, proxy, name, body)


if __name__ == "__main__":
    main()
