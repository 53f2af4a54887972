"""Butler's time spans are ours, to the nanosecond."""

from __future__ import annotations

import pytest
from astropy.time import Time
from cpp_butler.instants import timespan
from lsst.daf.butler import Timespan

from cpp_framework.errors import IncompatibleError

DAY = 86_400_000_000_000
YEAR_2100 = 4_102_444_800_000_000_000


def through_astropy(tai_ns: int) -> Time:
    days, rest = divmod(tai_ns, DAY)
    return Time(days + 2440587.5, rest / DAY, format="jd", scale="tai")


@pytest.mark.parametrize("begin", [1, DAY, 1_795_377_600_123_456_789, YEAR_2100 - 10])
@pytest.mark.parametrize("length", [1, 5])
def test_a_time_span_is_the_one_astropy_would_make(begin: int, length: int) -> None:
    ours = timespan(begin, begin + length, "")
    theirs = Timespan(through_astropy(begin), through_astropy(begin + length))
    assert (ours, hash(ours), ours.begin, ours.end) == (theirs, hash(theirs), theirs.begin, theirs.end)


def test_an_instant_lasts_a_nanosecond_and_open_ends_stay_open() -> None:
    assert timespan(10, 10, "").nsec == (10, 11)
    assert timespan(None, None, "") == Timespan(None, None)
    assert timespan(10, None, "").end is None
    assert timespan(None, 10, "").begin is None
    assert timespan(-5, YEAR_2100 + 5, "") == Timespan(None, None)


@pytest.mark.parametrize(("begin", "end"), [(YEAR_2100, None), (YEAR_2100, YEAR_2100), (None, 0), (-10, -5), (-10, 0)])
def test_what_lies_outside_butlers_years_is_refused(begin: int | None, end: int | None) -> None:
    with pytest.raises(IncompatibleError, match=r"flat of tomorrow: .* outside the years"):
        timespan(begin, end, "flat of tomorrow")
