"""A release server, and the official client of it.

SANA_TEST_STORE says what it keeps everything in: `folder`, or `s3` for a bucket of a real S3 server.
"""

import itertools
import os

import pytest
import turbopuffer

from place import Place

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    kind = os.environ.get("SANA_TEST_STORE", "folder")
    with Place(tmp_path_factory.mktemp("sana"), kind) as place:
        server = place.server()
        server.start()
        yield server
        server.kill()


@pytest.fixture
def client(server):
    return turbopuffer.Turbopuffer(base_url=server.url, api_key="any", max_retries=0)


@pytest.fixture
def namespace(client):
    """A namespace that no other test uses."""
    return client.namespace(f"test-{next(NUMBERS)}")
