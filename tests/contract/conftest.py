"""Makes the throw-away types importable by their import strings."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "types"))
