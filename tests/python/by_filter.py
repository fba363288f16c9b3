"""Removes millions of documents with one `delete_by_filter`, and tells the memory that it took.

A server is filled, waits until all is indexed, and starts again, so that its memory is what a request
takes. Then one request removes all but a few documents.

    python by_filter.py --documents 5000000
"""

import argparse
import tempfile
import time
from pathlib import Path

from server import Server

BATCH = 100_000
KEPT = 10


def filled(server, count):
    connection = server.connect(timeout=120.0)
    began = time.monotonic()
    for first in range(0, count, BATCH):
        ids = list(range(first, min(first + BATCH, count)))
        write(connection, {"upsert_columns": {"id": ids, "n": ids}})
        print(f"\r{first + len(ids):>10,} of {count:,} documents, "
              f"{(first + len(ids)) / (time.monotonic() - began):,.0f} a second", end="", flush=True)
    print()
    while metadata(connection)["index"]["status"] != "up-to-date":
        time.sleep(0.5)


def write(connection, body):
    while True:
        status, answer = connection.ask("POST", "/v2/namespaces/many", body)
        if status != 429:
            assert status == 200, f"{status}: {answer}"
            return answer
        time.sleep(0.2)


def metadata(connection):
    status, answer = connection.ask("GET", "/v1/namespaces/many/metadata")
    assert status == 200, f"{status}: {answer}"
    return answer


def megabytes(server, what):
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024


def forget_the_peak(server):
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--documents", type=int, default=5_000_000)
    count = parser.parse_args().documents
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "store", folder=folder)
        server.start()
        filled(server, count)
        server.stop()
        server.start()
        connection = server.connect(timeout=600.0)
        query = {"aggregate_by": {"n": ["Count"]}}
        status, answer = connection.ask("POST", "/v2/namespaces/many/query", query)
        assert (status, answer["aggregations"]["n"]) == (200, count), answer
        before = megabytes(server, "VmRSS")
        forget_the_peak(server)
        began = time.monotonic()
        answer = write(connection, {"delete_by_filter": ["n", "Gte", KEPT]})
        seconds = time.monotonic() - began
        assert answer["rows_deleted"] == count - KEPT, answer
        peak = megabytes(server, "VmHWM")
        status, answer = connection.ask("POST", "/v2/namespaces/many/query", query)
        assert (status, answer["aggregations"]["n"]) == (200, KEPT), answer
        print(f"{count - KEPT:,} documents removed in {seconds:.1f} s: {before:.0f} MiB before, "
              f"{peak:.0f} at most, {(peak - before) * 2**20 / count:.0f} bytes for each")
        forget_the_peak(server)
        while metadata(connection)["index"]["status"] != "up-to-date":
            time.sleep(0.5)
        print(f"indexed: {megabytes(server, 'VmHWM'):.0f} MiB at most, "
              f"{megabytes(server, 'VmRSS'):.0f} in the end")
        server.stop()


if __name__ == "__main__":
    main()
