"""What became of every file when an index was made anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

NOT_IN_FILES = (
    "products whose removal was interrupted are back, and so are those a killed run had published but not registered",
    "a product's date of storing is that of its file",
    "runs without products are gone, and digests of raw files are computed again when they are needed",
)
"""What an index knows and no file tells."""


@dataclass(frozen=True)
class LeftOut:
    """A file (below the repository, or a raw file) that did not go into the new index as it says, and why."""

    file: str
    reason: str


@dataclass
class RebuildReport:
    """What a new index holds, what did not go in, and where the old one is now (None if there was none).

    ``by_sums`` counts the products whose content could be checked by FITS checksums only.
    """

    root: Path
    counts: Counter[str] = field(default_factory=Counter)
    left_out: list[LeftOut] = field(default_factory=list)
    by_sums: int = 0
    moved: Path | None = None

    def leave_out(self, file: Path | str, reason: str) -> None:
        """Note that a file did not go in."""
        path = Path(file)
        inside = path.is_relative_to(self.root)
        self.left_out.append(LeftOut(str(path.relative_to(self.root) if inside else path), reason))
