"""Instants as integer TAI nanoseconds since 1970-01-01T00:00:00 TAI, and their text on screen (UTC)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from cpp_framework.errors import ConfigError

NANOSECONDS = 1_000_000_000
_DAY = 86_400 * NANOSECONDS
_EPOCH = date(1970, 1, 1).toordinal()
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?Z?")


@contextmanager
def _any_year() -> Iterator[None]:
    """Without the warning that leap seconds of years to come are unknown: simulated nights lie there.

    What else the library only warns of (10:00:60 on a day without a leap second) is raised.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="ERFA function")
        warnings.filterwarnings("ignore", message=".*dubious year.*")
        yield


def to_tai_ns(text: str | float, scale: str = "utc") -> int:
    """Convert an ISO date (text) or an MJD (number) in the given time scale to TAI nanoseconds.

    Raises
    ------
    ConfigError
        The value is not a date astropy understands.
    """
    from astropy.time import Time

    try:
        form = {} if isinstance(text, str) else {"format": "mjd"}
        with _any_year():
            time = Time(text.strip() if isinstance(text, str) else text, scale=scale, **form).tai
    except (ValueError, UserWarning) as error:
        raise ConfigError(f"{text!r} is not a date", hint="write it as 2026-11-22T10:15:00") from error
    # jd1 is whole or half days and jd2 the rest, so both products stay exact to the nanosecond.
    whole = round((float(time.jd1) - 2440587.5) * 2) * (_DAY // 2)
    return whole + round(float(time.jd2) * _DAY)


def parse_instant(text: str) -> int | None:
    """An instant as people type it: an ISO date, with or without time and a final ``Z`` (UTC), or ``open`` (None).

    Raises
    ------
    ConfigError
        The text is not a date, or one whose nanoseconds do not fit into 64 bits.
    """
    if text.strip().lower() == "open":
        return None
    if not _DATE.fullmatch(text.strip()):
        raise ConfigError(f"{text!r} is not a date", hint="UTC, as 2026-11-22 or 2026-11-22T10:15:00; no time zone")
    instant = to_tai_ns(text.strip().removesuffix("Z"))
    if abs(instant) >= 2**63:
        raise ConfigError(f"{text!r} is not in the years 1678 to 2262", hint="`open` is for ever")
    return instant


def to_iso(tai_ns: int, scale: str = "utc") -> str:
    """Write TAI nanoseconds as an ISO date in the given scale, to the millisecond, or finer where that would round."""
    from astropy.time import Time

    days, rest = divmod(tai_ns, _DAY)
    time = Time(days + 2440587.5, rest / _DAY, format="jd", scale="tai", precision=9)
    with _any_year():
        text = str(getattr(time, scale).isot)
    return text.removesuffix("000").removesuffix("000")


def day_obs(tai_ns: int) -> int:
    """Observing day as YYYYMMDD, changing at 12:00 TAI (the day before for times before noon)."""
    days = (tai_ns - _DAY // 2) // _DAY
    return int(date.fromordinal(_EPOCH + days).strftime("%Y%m%d"))
