"""Instants: integer TAI nanoseconds, UTC on screen."""

from __future__ import annotations

import pytest

from cpp_framework.errors import ConfigError
from cpp_framework.model.timespan import NANOSECONDS, day_obs, parse_instant, to_iso, to_tai_ns


def test_epoch_and_leap_seconds() -> None:
    assert to_tai_ns("1970-01-01T00:00:00", "tai") == 0
    # TAI - UTC was 36 s until the leap second at the end of 2016 and is 37 s since.
    before, after = to_tai_ns("2016-12-31T00:00:00"), to_tai_ns("2017-01-02T00:00:00")
    assert after - before == (2 * 86_400 + 1) * NANOSECONDS
    assert to_tai_ns("2026-11-22T00:00:00") - to_tai_ns("2026-11-22T00:00:00", "tai") == 37 * NANOSECONDS


@pytest.mark.parametrize("text", ["2019-09-23T22:00:01.090", "2026-11-22T10:15:00.000", "1999-12-31T23:59:59.999"])
def test_text_round_trip(text: str) -> None:
    assert to_iso(to_tai_ns(text)) == text


def test_nanoseconds_are_kept() -> None:
    assert to_tai_ns("2026-11-22T10:15:00.123456789", "tai") % NANOSECONDS == 123_456_789


def test_instants_inside_a_leap_second() -> None:
    before = to_tai_ns("2016-12-31T23:59:59.999999999")
    for text, later in (
        ("2016-12-31T23:59:60.000", 1),
        ("2016-12-31T23:59:60.999999999", NANOSECONDS),
        ("2017-01-01T00:00:00.000", NANOSECONDS + 1),
        ("2017-01-01T00:00:00.000000001", NANOSECONDS + 2),
    ):
        assert to_tai_ns(text) == before + later
        assert to_iso(before + later) == text, "never rounded to another instant"


@pytest.mark.parametrize("text", ["J2000", "B1950.0", "2026-11-22ZZ", "2026-11-22T10:00:00+02:00", "2026-13-01", "now"])
def test_what_is_no_date_is_named_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a date$") as caught:
        parse_instant(text)
    assert "2026-11-22T10:15:00" in caught.value.hint


def test_observing_day_changes_at_noon() -> None:
    assert day_obs(to_tai_ns("2026-11-22T11:59:59", "tai")) == 20261121
    assert day_obs(to_tai_ns("2026-11-22T12:00:01", "tai")) == 20261122


def test_nonsense_is_named() -> None:
    with pytest.raises(ConfigError, match="yesterday"):
        to_tai_ns("yesterday")


def test_instants_as_people_type_them() -> None:
    assert parse_instant(" Open ") is None
    assert parse_instant("2026-11-22T10:15:00Z") == parse_instant("2026-11-22 10:15") == to_tai_ns("2026-11-22T10:15")
    for text in ("3000-01-01", "1600-01-01T00:00:00Z"):
        with pytest.raises(ConfigError, match=f"'{text}' is not in the years 1678 to 2262"):
            parse_instant(text)
