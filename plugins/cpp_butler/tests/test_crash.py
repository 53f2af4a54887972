"""An export that is killed leaves nothing half, and the same command finishes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).with_name("crash_driver.py")


@pytest.mark.slow
def test_killed_anywhere_it_is_readable_and_the_repeat_completes_it(night: Any, tmp_path: Path) -> None:
    command = [sys.executable, str(DRIVER), str(night.root), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == []
    assert found["kills"] == found["chosen"] >= 12
    assert len(found["whole"]["datasets"]) == 8
    assert len(found["whole"]["valid"]) == 2
    assert set(found["partial"]) == {0, 6, 7, 8}
