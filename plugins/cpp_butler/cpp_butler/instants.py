"""Ranges of instants of cpp (TAI nanoseconds) as those of Butler, which counts the same way from the same epoch."""

from __future__ import annotations

from lsst.daf.butler import Timespan

from cpp_framework.errors import IncompatibleError
from cpp_framework.model.timespan import to_iso

_EARLIEST, _LATEST = Timespan(None, None).nsec
"""Butler writes an open end as the first or the last instant it knows."""


def timespan(begin: int | None, end: int | None, what: str) -> Timespan:
    """The time span ``begin`` ≤ t < ``end`` (None is open); of an instant, the nanosecond after it.

    Raises
    ------
    IncompatibleError
        It lies outside the years Butler knows (1970 to 2099); the message names ``what``.
    """
    first = _EARLIEST if begin is None else max(begin, _EARLIEST)
    last = _LATEST if end is None else min(max(end, first + 1), _LATEST)
    if first >= last or (end is not None and end <= _EARLIEST):
        when = to_iso(begin if begin is not None else end or 0)
        raise IncompatibleError(
            f"{what}: {when} is outside the years 1970 to 2099, which are all that Butler knows",
            hint="mend the dates of the raw files, `cpp ingest` them again, and repeat",
        )
    # Ten times faster than through astropy's Time, and without its rounding.
    return Timespan.model_construct(nsec=(first, last))
