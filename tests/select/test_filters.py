"""Filters: what they mean, and how wrong ones are answered."""

from __future__ import annotations

from datetime import datetime

import pytest

from cpp_framework.errors import ConfigError
from cpp_framework.model.exposure import FIELDS
from cpp_framework.model.timespan import to_tai_ns
from cpp_framework.select import last_filter, matches, night_filter, parse_filter, parse_filters


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("exposure_time>=5", True),
        ("exposure_time > 5", False),
        ("exposure_time<=5.0", True),
        ("exposure_time<5", False),
        ("exposure_time!=5", False),
        ("number=17", True),
        ("number!=18", True),
        ("day_obs=2026-11-22", True),
        ("day_obs<20261123", True),
        ("filter=RG610~empty", True),
        ("filter~^RG", True),
        ("filter~empty$", True),
        ("filter~^empty", False),
        ("filter=RG610", False),
        ("filter=", False),
        ("object= sky field ", True),
        ("binning=2x1", True),
        ("binning!=1x1", True),
        ("binning=2,1", True),
        ("binning~2x.", True),
        ("temperature<-90", False),  # unknown: meets nothing …
        ("temperature>-90", False),
        ("temperature~.", False),
        ("temperature!=-90", True),  # … but "is not"
        ("begin>=2026-11-22T10:00", True),
        ("begin<2026-11-22T10:00", False),
    ],
)
def test_operators(make, text: str, met: bool) -> None:
    one = make(
        17, exposure_time=5.0, day_obs=20261122, filter="RG610~empty", binning=(2, 1), object="sky field",
        begin=to_tai_ns("2026-11-22T10:00:00"),
    )  # fmt: skip
    assert matches(parse_filter(text), one.exposure) is met


def test_every_declared_field_can_be_filtered(make) -> None:
    for field in FIELDS:
        value = {"binning": "1x1", "begin": "2026-01-01", "end": "2026-01-01"}.get(field, "1")
        assert isinstance(matches(parse_filter(f"{field}={value}"), make(1).exposure), bool)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exptime>=5", "no field 'exptime'"),
        ("exposure_time", "is not FIELD OP VALUE"),
        (">=5", "is not FIELD OP VALUE"),
        ("exposure_time>=five", "is a number, not 'five'"),
        ("number=1.5", "is a whole number"),
        ("binning=2", "two whole numbers"),
        ("begin<yesterday", "is not a date"),
        ("object~(", "not a regular expression"),
        ("path=/x", "no field 'path'"),
    ],
)
def test_wrong_filters_are_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_filters(["kind=bias", text])


def test_unknown_field_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_filter("exposuretime>=5")
    assert caught.value.hint == "did you mean 'exposure_time'?"


def test_night(make) -> None:
    for text in ("2026-11-22", "20261122"):
        assert matches(night_filter(text), make(1, day_obs=20261122).exposure)
        assert not matches(night_filter(text), make(1, day_obs=20261123).exposure)
    for text in ("2026-13-01", "last night", "20260230"):
        with pytest.raises(ConfigError, match="is not a night"):
            night_filter(text)


def test_last(make) -> None:
    now = datetime(2026, 11, 22, 12)
    for span, begin in (("12h", "2026-11-22T00:00:00"), ("2d", "2026-11-20T12:00:00"), ("1w", "2026-11-15T12:00:00")):
        edge = to_tai_ns(begin)
        assert matches(last_filter(span, now), make(1, begin=edge).exposure)
        assert not matches(last_filter(span, now), make(1, begin=edge - 1).exposure)
    assert not matches(last_filter("9999d", now), make(1, begin=None).exposure)
    with pytest.raises(ConfigError, match="before the year 1"):
        last_filter("99999999999w", now)
    for text in ("30", "d", "-3d", "3 months"):
        with pytest.raises(ConfigError, match="not a span"):
            last_filter(text, now)
