"""The official Python client's own tests, `tests/custom` of its source distribution, against a release server.

    python client_tests.py --work FOLDER

The distribution is downloaded, as client_tests.txt pins it, into the folder. What is expected not to
pass stands in left_out.txt.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from place import KINDS, Place

HERE = Path(__file__).parent
# Settings of the client's authors that are about their machines: how many tests run at once, and the
# mark that goes with that.
OPTIONS = ["-o", "addopts=", "-o", "markers=xdist_group(name): not run apart",
           "-p", "no:cacheprovider", "-p", "left_out", "-q", "--tb=short", "-rx", "--show-capture=no"]


def sources(work):
    """The unpacked distribution."""
    pins = HERE / "client_tests.txt"
    version = next(line for line in pins.read_text().splitlines() if line.startswith("turbopuffer"))
    name = version.split()[0].replace("==", "-")
    if (work / name).is_dir():
        return work / name
    work.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--no-binary", "turbopuffer", "--require-hashes", "--requirement", pins,
         "--dest", work], check=True)
    with tarfile.open(work / f"{name}.tar.gz") as archive:
        archive.extractall(work, filter="data")
    return work / name


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--store", choices=KINDS, default=os.environ.get("SANA_TEST_STORE", "folder"))
    arguments = parser.parse_args()
    folder = sources(arguments.work)
    with tempfile.TemporaryDirectory() as scratch, Place(scratch, arguments.store) as place:
        server = place.server()
        server.start()
        try:
            environment = {**os.environ, "TURBOPUFFER_BASE_URL": server.url,
                           "TURBOPUFFER_API_KEY": "any", "PYTHONPATH": str(HERE.resolve())}
            tests = [sys.executable, "-m", "pytest", *OPTIONS, "tests/custom"]
            ended = subprocess.run(tests, cwd=folder, env=environment, timeout=600)
        finally:
            server.kill()
    sys.exit(ended.returncode)


if __name__ == "__main__":
    main()
