"""The present, as the registry writes it."""

from __future__ import annotations

from datetime import UTC, datetime

from cpp_framework.model.timespan import to_tai_ns


def now_tai_ns() -> int:
    """Present instant in TAI nanoseconds."""
    return to_tai_ns(datetime.now(UTC).replace(tzinfo=None).isoformat())


def now_compact() -> str:
    """Present instant as the UTC text of run names: ``20261122T101500Z``."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
