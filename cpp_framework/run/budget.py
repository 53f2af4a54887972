"""How much memory a run may use, and what follows for workers and for where corrected frames are kept."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cpp_framework.errors import ConfigError
from cpp_framework.model.detector import Detector

PROCESS = 120_000_000
"""Private bytes of one process with numpy, astropy and numba loaded (measured, rounded up)."""

FRAME_COPIES = 16
"""Bytes per pixel a worker holds while correcting: raw (4), image (4), mask (4), overscans and slack (4)."""

RAM_DISK = Path("/dev/shm")
"""Where corrected frames are kept if they fit."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True)
class Budget:
    """Bytes for the coordinator and all workers together, and the number of tasks at a time."""

    memory: int
    jobs: int

    def workers(self, detector: Detector) -> int:
        """Workers that fit into the budget for frames of this detector; at least one."""
        one = PROCESS + FRAME_COPIES * detector.width * detector.height
        return max(1, min(self.jobs, (self.memory - PROCESS) // one))

    def scratch(self, detector: Detector, n_frames: int, repository: Path) -> Path:
        """Folder for corrected frames: memory if they fit beside the workers, else the repository's scratch folder."""
        size = 4 * detector.width * detector.height * n_frames
        workers = self.workers(detector) * (PROCESS + FRAME_COPIES * detector.width * detector.height)
        fits = size + workers + PROCESS <= self.memory
        if fits and RAM_DISK.is_dir() and shutil.disk_usage(RAM_DISK).free > 2 * size:
            return RAM_DISK
        return repository / "scratch"

    def tile_bytes(self, detector: Detector) -> int:
        """Bytes the solve step may use for tiles of the stack, all threads together."""
        outputs = 14 * detector.width * detector.height
        return max(16_000_000, (self.memory - 2 * PROCESS - 2 * outputs) // 4)


def parse_memory(text: str) -> int:
    """Read ``1.5GB``, ``800M`` or bytes; empty means half of the machine's memory.

    Raises
    ------
    ConfigError
        The text is not an amount, or it is below what two processes need.
    """
    if not text:
        return _machine_memory() // 2
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?\s*", text.upper())
    if match is None:
        raise ConfigError(f"--memory {text!r} is not an amount of memory", hint="write it as 1.5GB or 800MB")
    amount = int(float(match[1]) * _UNITS[match[2]])
    if amount < 3 * PROCESS:
        least = 3 * PROCESS // 10**6
        raise ConfigError(f"--memory {text} is less than a run needs", hint=f"give at least --memory {least}MB")
    return amount


def _machine_memory() -> int:
    import os

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
