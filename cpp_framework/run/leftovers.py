"""What killed runs left behind, and the next one clears."""

from __future__ import annotations

from pathlib import Path

from cpp_framework.execute.processes import clear_abandoned_semaphores
from cpp_framework.run.budget import RAM_DISK
from cpp_framework.run.scratch import clear_abandoned
from cpp_framework.store.leases import clear_abandoned_leases
from cpp_framework.store.staging import clear_dead_staging


def clear_leftovers(repository: Path) -> None:
    """Delete corrected frames, locks and half-written files whose process is gone; what lives is not touched."""
    for parent in (RAM_DISK, repository / "scratch"):
        clear_abandoned(parent)
    clear_abandoned_semaphores()
    clear_abandoned_leases(repository / "leases")
    for folder in (repository / "staging", repository / "cache" / "measurements"):
        clear_dead_staging(folder)
