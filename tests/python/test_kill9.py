"""Mixed load on a store that forgets: what a lost write looks like must be seen."""

import shutil
import threading
import time

import pytest

from mixed import Mixed
from place import Place


def load_for(seconds, load, server):
    until = threading.Event()
    threads = load.threads([server], until)
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    until.set()
    for thread in threads:
        thread.join()


def test_a_store_that_is_set_back_to_an_earlier_state_is_seen(tmp_path):
    load, server, kept = Mixed(seed=1, threads=3), Place(tmp_path).server(), tmp_path / "kept"
    server.start()
    try:
        load.prepare([server])
        load_for(0.3, load, server)
        load.check([server], 1)
        server.kill()
        shutil.copytree(server.store, kept)
        server.start()
        load_for(0.3, load, server)
        load.check([server], 2)
        server.kill()
        shutil.rmtree(server.store)
        shutil.copytree(kept, server.store)
        server.start()
        with pytest.raises(AssertionError, match="a read saw|increments are lost"):
            load.check([server], 3)
    finally:
        server.kill()
