"""Five hundred units in one run: memory, file handles, threads and what lies on disk do not grow with their number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

UNITS = 500
GROWTH = 4_000
"""Most a process may grow between unit 100 and unit 500 [kB]: less than 10 kB per unit, a unit's own record."""


def test_nothing_grows_with_the_number_of_units(tmp_path: Path, make_night, env) -> None:
    repo = make_night(tmp_path, UNITS, biases=1)
    script = Path(__file__).with_name("soak.py")
    done = subprocess.run(
        [sys.executable, str(script), str(repo)], env=os.environ | env, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    *looks, states = map(json.loads, done.stdout.splitlines())
    assert states == ["made"] * UNITS
    assert len(looks) == UNITS // 100
    first, last = looks[0], looks[-1]
    assert first["workers"] == last["workers"] == 2
    grown = [late - early for early, late in zip(first["memory"], last["memory"], strict=True)]
    assert max(grown) < GROWTH, f"coordinator and workers grew by {grown} kB"
    for what in ("handles", "frames", "leases", "staged"):
        many = [max(one[what]) if what == "handles" else one[what] for one in looks]
        assert max(many) - min(many) <= 4, f"{what}: {many}"
    for what in ("threads", "semaphores"):
        assert first[what] == last[what]
