"""A release server on a temporary folder, and the official client of it."""

import itertools

import pytest
import turbopuffer

from server import Server

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("sana") / "store")
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
