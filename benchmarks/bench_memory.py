"""Peak memory of `cpp produce --type bias` on 100 frames of 4072x4000 with --memory 1.5GB.

Memory is the sum over the command's processes of anonymous and shared pages, each shared page counted in proportion
(Pss_Anon + Pss_Shmem of /proc/PID/smaps_rollup), sampled every 50 ms; plus what lies in the RAM disk as spool files.
The page cache is not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

LIMIT = "1.5GB"


def main() -> None:
    """Make the frames, run the command, sample its memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--memory", default=LIMIT)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _cpp("sim", folder / "raw", "--instrument", "latiss", "--bias", options.frames, "--seed", 1, "--jobs", 2)
        _cpp("init", folder / "repo", "--instrument", "latiss")
        _cpp("ingest", folder / "raw", "--repo", folder / "repo")
        start = time.perf_counter()
        peak = _watch(["produce", "--type", "bias", "--memory", options.memory, "--repo", str(folder / "repo")])
        seconds = time.perf_counter() - start
    result = {"frames": options.frames, "memory": options.memory, "peak_bytes": peak, "seconds": round(seconds, 1)}
    print(json.dumps(result) if options.json else f"{options.frames} frames: peak {peak / 1e9:.2f} GB, {seconds:.0f} s")


def _cpp(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "cpp_framework.cli.main", *map(str, arguments)], check=True, stdout=sys.stderr
    )


def _watch(arguments: list[str]) -> int:
    process = subprocess.Popen([sys.executable, "-m", "cpp_framework.cli.main", *arguments], stdout=sys.stderr)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _family(process.pid) + _ram_disk())
        time.sleep(0.05)
    if process.returncode != 0:
        sys.exit(process.returncode)
    return peak


def _family(pid: int) -> int:
    """Sum of anonymous and shared memory of a process and its descendants, in bytes."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_anonymous(one.pid) for one in family)


def _anonymous(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (OSError, ProcessLookupError):
        return 0
    wanted = ("Pss_Anon:", "Pss_Shmem:")
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(wanted))


def _ram_disk() -> int:
    """Bytes of our files in the RAM disk: memory, although no process maps it."""
    total = 0
    for path in Path("/dev/shm").glob("cpp-*/**/*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


if __name__ == "__main__":
    main()
