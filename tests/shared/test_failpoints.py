"""Named points at which a test lets a process die or stand still."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import failpoints
from shared.failpoints import POINTS, Point, failpoint

POINT: Point = "edge.reserved"
REACHES = """
import sys
from shared import failpoints
failpoints.enable(sys.argv[1])
failpoints.failpoint("edge.started")
failpoints.failpoint("edge.reserved")
print("alive")
"""


@pytest.fixture
def enabled(tmp_path: Path) -> Iterator[Path]:
    """A directory in which the points of this process can be armed."""
    failpoints.enable(str(tmp_path))
    yield tmp_path
    failpoints.enable("")


def reach(directory: Path) -> subprocess.Popen[str]:
    """Start a process that reaches two points."""
    return subprocess.Popen(
        [sys.executable, "-c", REACHES, str(directory)], stdout=subprocess.PIPE, text=True
    )


def test_a_point_that_is_not_armed_does_nothing(enabled: Path) -> None:
    """Enabled or not."""
    failpoint(POINT)
    failpoints.enable("")
    failpoint(POINT)

    assert list(enabled.iterdir()) == []


def test_crash_kills_the_first_process_that_arrives_and_no_other(tmp_path: Path) -> None:
    """Its successor finds the file taken."""
    (tmp_path / POINT).write_text("crash")

    with reach(tmp_path) as first, reach(tmp_path) as second:
        said = sorted([first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]])

    assert said == ["", "alive\n"]
    assert sorted([first.returncode, second.returncode]) == [-signal.SIGKILL, 0]
    assert [path.name for path in tmp_path.iterdir()] == [f"{POINT}.taken"]


def test_stop_lets_a_process_stand_still_until_it_is_continued(tmp_path: Path) -> None:
    """It then goes on as if nothing had been."""
    (tmp_path / POINT).write_text("stop\n")

    with reach(tmp_path) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=60)

    assert said == "alive\n"
    assert process.returncode == 0


def test_each_point_is_reached_somewhere_in_the_product() -> None:
    """A point that no code reaches would make a test of nothing."""
    root = Path(failpoints.__file__).parent.parent
    code = "".join(
        path.read_text() for folder in ("services", "shared") for path in (root / folder).rglob("*.py")
    )

    assert [point for point in POINTS if code.count(f'failpoint("{point}")') != 1] == []
