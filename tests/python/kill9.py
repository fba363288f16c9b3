"""Pulls the plug under load, again and again.

Clients write; a server is killed with SIGKILL at a random moment and started anew. It must be ready
again in less than a second. What else must hold is what the load demands: `plain` or `mixed`.

With two servers on one store a random one is killed, and the other goes on. A store that is a process
of its own is killed as well now and then, and comes back.

    python kill9.py --load mixed --servers 2 --times 100 --seed 7 --store s3
"""

import argparse
import random
import statistics
import tempfile
import threading
import time

from mixed import Mixed
from place import KINDS, Place
from plain import Plain

LOADS = {"plain": Plain, "mixed": Mixed}
READY_SECONDS_MAX = 1.0
# How long a server lives at most. It begins to index after a second.
LIVES_SECONDS = [0.02, 0.1, 0.4, 2.5]
# Of so many turns, the store is killed in one.
STORE_TURNS = 8


def turn(servers, load, choices, kill_store):
    """Loads the servers, kills one in the middle, and returns how long it took to be ready again."""
    until = threading.Event()
    threads = load.threads(servers, until)
    for thread in threads:
        thread.start()
    try:
        time.sleep(choices.choice(LIVES_SECONDS) * choices.random())
        if kill_store:
            kill_store()
            time.sleep(0.2 * choices.random())
        victim = choices.choice(servers)
        victim.kill()
        if len(servers) > 1:
            time.sleep(0.2 * choices.random())
            seconds = victim.start()
            time.sleep(0.2 * choices.random())
    finally:
        until.set()
        for thread in threads:
            thread.join()
    return seconds if len(servers) > 1 else victim.start()


def pull(options, servers, load, place):
    """All turns. Returns how long servers took to be ready."""
    choices, ready = random.Random(options.seed), []
    load.prepare(servers)
    for number in range(1, options.times + 1):
        kill_store = place.pull_the_plug if place.s3 and number % STORE_TURNS == 0 else None
        ready.append(turn(servers, load, choices, kill_store))
        assert ready[-1] < READY_SECONDS_MAX, f"ready after {ready[-1]:.2f} s"
        load.check(servers, number)
        if number % 20 == 0:
            print(f"  {number}: {sum(load.figures().values())} requests answered, "
                  f"ready within {max(ready):.3f} s", flush=True)
    return ready


def report(options, load, ready):
    figures, silent = load.figures(), load.unanswered()
    for kind, count in sorted(figures.items()):
        print(f"  {count:7} {kind}" + (f"; {silent[kind]} unanswered" if silent.get(kind) else ""))
    answered = sum(figures.values())
    assert answered > options.times, f"only {answered} answers: the load was none"
    print(f"killed {options.times} times; {answered} requests acknowledged, none lost, none applied twice; "
          f"ready after {statistics.median(ready):.3f} s, within {max(ready):.3f} s")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=200)
    options.add_argument("--threads", type=int, default=4)
    options.add_argument("--servers", type=int, default=1)
    options.add_argument("--load", choices=LOADS, default="plain")
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--store", choices=KINDS, default="folder")
    options = options.parse_args()
    assert options.servers == 1 or options.load == "mixed", "plain load is for one server"
    print(f"kill -9, {options.times} times, {options.load} load, {options.servers} on one {options.store}, "
          f"seed {options.seed}", flush=True)
    load = LOADS[options.load](options.seed, options.threads)
    with tempfile.TemporaryDirectory(prefix="sana-kill9-") as folder, \
            Place(folder, options.store) as place:
        servers = [place.server() for _ in range(options.servers)]
        try:
            for server in servers:
                server.start()
            ready = pull(options, servers, load, place)
            for server in servers:
                assert server.stop() == 0, f"SIGTERM did not end it cleanly:\n{server.tail()}"
        except BaseException:
            for server in servers:
                print(server.tail())
            raise
        finally:
            for server in servers:
                if server.is_alive():
                    server.kill()
    report(options, load, ready)


if __name__ == "__main__":
    main()
