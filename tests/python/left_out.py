"""A pytest plugin: the tests in left_out.txt are expected to be refused or skipped, and all others to pass.

Each line of the file names a test and the reason. A name that no test has fails the run, and so does a
test that passes though it is listed, one that fails for another reason than a refused request, and one
that is skipped and not listed.
"""

from pathlib import Path

import pytest
import turbopuffer

LIST = Path(__file__).with_name("left_out.txt")
FOLDER = "tests/custom/"


def reasons():
    """The reason of each listed test, by its name."""
    lines = LIST.read_text().splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


def name_of(item):
    """A test without its parameters: they are left out together."""
    return item.nodeid.removeprefix(FOLDER).split("[")[0]


def pytest_collection_modifyitems(items):
    listed = reasons()
    unknown = listed.keys() - {name_of(item) for item in items}
    if unknown:
        raise pytest.UsageError(f"{LIST.name} names tests that are not there: {sorted(unknown)}")
    for item in items:
        if reason := listed.get(name_of(item)):
            refused = turbopuffer.BadRequestError
            item.add_marker(pytest.mark.xfail(reason=reason, raises=refused, strict=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.skipped and name_of(item) not in reasons():
        report.outcome = "failed"
        report.longrepr = f"skipped, and not in {LIST.name}: {report.longrepr}"
    return report
