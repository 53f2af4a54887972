"""Scratch folders of killed runs are cleared by the next; those of living runs stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cpp_framework.run.scratch import Scratch, clear_abandoned

HOLD = """
import sys, time
from pathlib import Path
from cpp_framework.run.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.folder / "frame").write_bytes(b"x")
print(scratch.folder, flush=True)
time.sleep(60)
"""


def test_only_abandoned_folders_are_cleared(tmp_path: Path) -> None:
    mine = Scratch(tmp_path)
    (tmp_path / "cpp-frames").mkdir()
    (tmp_path / "cpp-frames-of-mine").mkdir()
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    left = Path(other.stdout.readline().strip())
    clear_abandoned(tmp_path)
    assert (left / "frame").exists()
    assert mine.folder.exists()
    other.kill()
    other.wait()
    other.stdout.close()
    clear_abandoned(tmp_path)
    assert not left.exists()
    assert mine.folder.exists()
    mine.remove()
    mine.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cpp-frames", "cpp-frames-of-mine"]
