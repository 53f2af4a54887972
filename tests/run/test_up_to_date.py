"""Finding everything up to date costs little: nothing is compiled, no process is started."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from cpp_framework.cli.main import main
code = main(sys.argv[1:])
heavy = {"numba", "scipy", "multiprocessing.popen_forkserver", "cpp_framework.run.engine"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


@pytest.mark.slow
def test_up_to_date_takes_less_than_two_seconds(tmp_path: Path, cpp) -> None:
    cpp("sim", tmp_path / "raw", "--bias", 5)
    cpp("init", tmp_path / "repo", "--instrument", "simcam")
    cpp("ingest", tmp_path / "raw", "--repo", tmp_path / "repo")
    produce = ("produce", "--type", "bias", "--json")
    made = json.loads(cpp(*produce, cwd=tmp_path / "repo").stdout)["units"][0]
    assert made["state"] == "made"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", CODE, *produce],
        cwd=tmp_path / "repo",
        env={name: value for name, value in os.environ.items() if not name.startswith("CPP_")},
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["units"][0]["state"] == "up to date"
    # Of the processor, not of the clock: other tests run beside this one.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
