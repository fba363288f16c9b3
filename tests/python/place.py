"""Where a server keeps everything: a folder, or a bucket of an S3 server that is started for it."""

from pathlib import Path

from s3_server import BUCKET, S3Server
from server import Server

KINDS = ("folder", "s3")


class Place:
    """A place for the servers of one test. It ends with the `with` it is used in."""

    def __init__(self, folder, kind="folder"):
        assert kind in KINDS, f"a store of no known kind: {kind}; there are {KINDS}"
        self.folder = Path(folder)
        self.s3 = S3Server(self.folder / "s3") if kind == "s3" else None

    def __enter__(self):
        if self.s3:
            self.s3.start()
        return self

    def __exit__(self, *_):
        if self.s3:
            self.s3.kill()

    def server(self, name="store", port=None, through=None):
        """A server on the store of this name, which it reaches through a proxy at a port if given."""
        if self.s3 is None:
            return Server(self.folder / name, port)
        environment = self.s3.environment(through)
        return Server(f"s3://{BUCKET}/{name}", port, self.folder, environment)

    def pull_the_plug(self):
        """Kills the store itself and starts it again, if it is one that can be killed."""
        if self.s3:
            self.s3.kill()
            self.s3.start()
