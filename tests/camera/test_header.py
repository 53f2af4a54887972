from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits
from pydantic import ValidationError

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.camera.hdu import HduHeader
from cpp_framework.camera.header import HeaderMap, translate
from cpp_framework.camera.rules import Rule, holds
from cpp_framework.errors import RawFileError
from cpp_framework.model.timespan import to_tai_ns

PATH = Path("night") / "bias_0042.fits.gz"
NEEDED = {"kind": {"const": "bias"}, "exposure_time": {"const": 0.0}}


def _headers(**cards):
    header = fits.Header()
    for keyword, value in cards.items():
        header[keyword.replace("_", "-")] = value
    return [HduHeader(PATH, 0, header)]


def _translated(rules, **cards):
    return translate(_headers(**cards), HeaderMap.model_validate(NEEDED | rules), PATH)


@pytest.mark.parametrize(
    ("test", "value", "wanted"),
    [
        ("DARK", "dark ", True),
        ("DARK", "DARKS", False),
        (0, 0.0, True),
        ("0", 0, True),
        ("<=0.1", 0.1, True),
        ("<0.1", 0.1, False),
        (">=5", 4.9, False),
        (">5", 5.1, True),
        ("!=BIAS", "DARK", True),
        ("!=BIAS", "bias", False),
        ("<=0", "abc", False),
        ("~^flat", "Flat_V", True),
        ("~^flat", "skyflat", False),
        (("BIAS", "ZERO"), "zero", True),
        (("BIAS", "ZERO"), "FLAT", False),
        (None, None, True),
        (None, "x", False),
        ("x", None, False),
        (True, True, True),
        (1, True, False),
    ],
)
def test_holds(test, value, wanted):
    assert holds(test, value) is wanted


def test_first_keyword_present_wins_and_blank_does_not_count():
    rule = Rule.model_validate(["A", "B", "C"])
    assert rule.find(_headers(A="", B="second", C="third")) == "second"
    assert rule.find(_headers(X=1)) is None


def test_amplifier_header_comes_before_primary():
    own, primary = _headers(FILTER="r"), _headers(FILTER="g", OBJECT="sky")
    assert Rule.model_validate("FILTER").find(own + primary) == "r"
    assert Rule.model_validate("OBJECT").find(own + primary) == "sky"


def test_join_scale_offset_map_const_default():
    headers = _headers(FILTER="RG610", GRATING="empty", TEMP=173.15, MS=1500, TYPE="zero")
    assert Rule.model_validate({"keyword": ["FILTER", "GRATING"], "join": "~"}).find(headers) == "RG610~empty"
    assert Rule.model_validate({"keyword": "TEMP", "offset": -273.15}).find(headers) == pytest.approx(-100.0)
    assert Rule.model_validate({"keyword": "MS", "scale": 0.001}).find(headers) == 1.5
    assert Rule.model_validate({"keyword": "TYPE", "map": {"ZERO": "bias"}}).find(headers) == "bias"
    assert Rule.model_validate({"const": 3}).find(headers) == 3
    assert Rule.model_validate({"keyword": "NOPE", "default": "x"}).find(headers) == "x"


def test_kind_by_condition_before_keyword():
    kind = {
        "rules": [{"when": {"OBSTYPE": "DARK", "EXPTIME": "<=0"}, "value": "bias"}],
        "keyword": "OBSTYPE",
        "map": {"DARK": "dark"},
        "default": "other",
    }
    rules = {"kind": kind, "exposure_time": "EXPTIME"}
    assert _translated(rules, OBSTYPE="DARK", EXPTIME=0)["kind"] == "bias"
    assert _translated(rules, OBSTYPE="DARK", EXPTIME=30)["kind"] == "dark"
    assert _translated(rules, OBSTYPE="FOCUS", EXPTIME=0)["kind"] == "other"


def test_value_outside_the_map_is_an_error_with_a_hint():
    with pytest.raises(RawFileError, match=r"bias_0042\.fits\.gz: kind \(from TYPE\): 'ARC' is not in") as error:
        _translated({"kind": {"keyword": "TYPE", "map": {"BIAS": "bias"}}}, TYPE="ARC")
    assert "header.kind.map" in error.value.hint


@pytest.mark.parametrize("value", [-1.0, "nan", "inf", "soon"])
def test_impossible_exposure_time_is_refused(value):
    with pytest.raises(RawFileError, match=r"exposure time \(from EXPTIME\)"):
        _translated({"exposure_time": "EXPTIME"}, EXPTIME=value)


def test_missing_exposure_time_is_refused():
    with pytest.raises(RawFileError, match=r"exposure time \(from EXPTIME\): the card is not there"):
        _translated({"exposure_time": "EXPTIME"})


def test_dark_time_falls_back_to_exposure_time_also_when_smaller():
    rules = {"exposure_time": "EXPTIME", "dark_time": "DARKTIME"}
    assert _translated(rules, EXPTIME=10.0)["dark_time"] == 10.0
    assert _translated(rules, EXPTIME=10.0, DARKTIME=11.5)["dark_time"] == 11.5
    assert _translated(rules, EXPTIME=10.0, DARKTIME=0.0)["dark_time"] == 10.0
    with pytest.raises(RawFileError, match=r"-5\.0 s is negative"):
        _translated(rules, EXPTIME=10.0, DARKTIME=-5.0)


def test_no_date_at_all_leaves_begin_and_end_open():
    found = _translated({"begin": "DATE-OBS"})
    assert (found["begin"], found["end"], found["day_obs"]) == (None, None, None)


def test_dates_in_their_scale():
    text = "2021-05-25T04:00:00.5"
    for scale in ("utc", "tai"):
        expected = to_tai_ns(text, scale)
        assert _translated({"begin": {"keyword": "DATE-BEG", "time_scale": scale}}, DATE_BEG=text)["begin"] == expected
    assert _translated({"begin": "DATE-OBS"}, DATE_OBS=text, TIMESYS="TAI")["begin"] == to_tai_ns(text, "tai")
    assert _translated({"begin": "MJD-OBS"}, MJD_OBS=59359.0)["begin"] == to_tai_ns("2021-05-25T00:00:00")


def test_end_is_begin_plus_exposure_and_day_changes_at_noon():
    found = _translated({"begin": "DATE-OBS", "exposure_time": "EXPTIME"}, DATE_OBS="2021-05-25T04:00:00", EXPTIME=2.5)
    assert found["end"] - found["begin"] == 2_500_000_000
    assert found["day_obs"] == 20210524


def test_date_and_clock_joined():
    rules = {"begin": {"keyword": ["DATE-OBS", "UT"], "join": "T"}}
    found = _translated(rules, DATE_OBS="2003-01-02", UT="03:04:05.6")
    assert found["begin"] == to_tai_ns("2003-01-02T03:04:05.6")


@pytest.mark.parametrize(("date", "scale"), [("23/09/99", "UTC"), ("2021-05-25T04:00:00", "LOCAL")])
def test_unreadable_date_is_named(date, scale):
    with pytest.raises(RawFileError, match=r"begin \(from DATE-OBS\)"):
        _translated({"begin": "DATE-OBS"}, DATE_OBS=date, TIMESYS=scale)


@pytest.mark.parametrize("text", ["2 2", "2x2", "-2 -2", "2.0, 2.0"])
def test_binning_forms(text):
    assert _translated({"binning": "CCDSUM"}, CCDSUM=text)["binning"] == (2, 2)


def test_binning_that_is_not_two_numbers():
    with pytest.raises(RawFileError, match="is not two numbers"):
        _translated({"binning": "XBINNING"}, XBINNING=2)


def test_id_and_number_fall_back_to_file_name_and_digits():
    found = _translated({})
    assert (found["id"], found["number"]) == ("bias_0042", 42)
    found = _translated({"id": "OBSID"}, OBSID="AT_O_20210525_000015")
    assert found["number"] == 20210525000015
    without_digits = _translated({"id": "OBSID"}, OBSID="sky")["number"]
    too_many_digits = _translated({"id": "OBSID"}, OBSID="2018072410284530101167")["number"]
    assert 0 < without_digits < 2**63
    assert 0 < too_many_digits < 2**63
    assert without_digits != too_many_digits


def test_number_must_be_whole():
    with pytest.raises(RawFileError, match="is not a whole number"):
        _translated({"number": "SEQ"}, SEQ=1.5)


def test_records_carry_unit_and_error():
    rules = {"records": {"charge": {"keyword": "MONDIODE", "error": "MONERR", "unit": "nC", "scale": 1e9}}}
    found = _translated(rules, MONDIODE=2e-9, MONERR=1e-12)["records"]["charge"]
    assert found.value == pytest.approx(2.0)
    assert found.error == pytest.approx(1e-3)
    assert found.unit == "nC"
    assert _translated(rules)["records"] == {}


def test_other_camera_is_refused():
    rules = {"instrument": {"keyword": "INSTRUME", "expect": "LATISS"}}
    assert _translated(rules, INSTRUME="latiss")["kind"] == "bias"
    for cards in ({"INSTRUME": "DECam"}, {}):
        with pytest.raises(RawFileError, match=r"expected 'LATISS', found"):
            _translated(rules, **cards)


def test_window_is_a_section():
    assert _translated({"window": "WIN"}, WIN="[11:20,1:5]")["window"] == "[11:20,1:5]"


def test_rule_that_says_nothing_and_bad_expression_are_refused():
    with pytest.raises(ValidationError, match="says nothing"):
        Rule.model_validate({"scale": 2.0})
    with pytest.raises(ValidationError, match="not a regular expression"):
        Rule.model_validate({"rules": [{"when": {"A": "~("}, "value": 1}]})


def test_latiss_headers():
    cards = {"INSTRUME": "LATISS", "OBSID": "AT_O_20210525_000015", "OBSTYPE": "SKYEXP", "IMGTYPE": "BIAS"}
    cards |= {"EXPTIME": 30.0, "DARKTIME": 30.24, "DATE_BEG": "2021-05-26T01:00:00", "DATE_END": "2021-05-26T01:00:30"}
    cards |= {"DAYOBS": "20210525", "FILTER": "RG610", "GRATING": "empty_1", "TIMESYS": "UTC", "CCDTEMP": -94.5}
    header_map = HeaderMap.model_validate(load_instrument("latiss").header)
    found = translate(_headers(**cards), header_map, PATH)
    assert (found["kind"], found["number"], found["day_obs"]) == ("science", 20210525000015, 20210525)
    assert (found["filter"], found["dark_time"], found["temperature"]) == ("RG610~empty_1", 30.24, -94.5)
    assert found["begin"] == to_tai_ns("2021-05-26T01:00:00", "tai")
