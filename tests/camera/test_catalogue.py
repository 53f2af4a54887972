from __future__ import annotations

import os

import numpy as np
import pytest

from cpp_framework.camera.catalogue import (
    instrument_sources,
    instrument_text,
    load_instrument,
    parse_instrument,
    read_instrument,
    shipped_names,
)
from cpp_framework.errors import InstrumentError, NotFoundError

SMALL = """\
format: 1
name: small
detectors:
  - id: 0
    name: S
    size: [10, 5]
    amplifiers:
      - name: A
        data: '[1:10,1:5]'
        detector: '[1:10,1:5]'
        serial_overscan: '[11:14,1:5]'
header:
  kind: {keyword: IMAGETYP, map: {BIAS: bias}}
  exposure_time: EXPTIME
"""


def test_shipped_instruments_load_by_name_in_any_case():
    assert shipped_names() == ("latiss", "simcam")
    assert load_instrument("LATISS").name == "LATISS"
    assert load_instrument("simcam").name == "simcam"
    assert instrument_sources()["latiss"] == "shipped"


def test_latiss_layout():
    detector = load_instrument("latiss").detector(0)
    upper = [f"C1{i}" for i in range(8)]
    assert [amp.name for amp in detector.amplifiers] == upper + [f"C0{i}" for i in range(7, -1, -1)]
    assert (detector.width, detector.height) == (4072, 4000)
    c10, c07 = detector.amplifier("C10"), detector.amplifier("C07")
    assert (c10.box.x0, c10.box.y0, c10.flip_x, c10.flip_y) == (0, 2000, True, True)
    assert (c07.box.x0, c07.box.y0, c07.flip_x, c07.flip_y) == (3563, 0, True, False)
    assert (c10.gain, c07.read_noise) == (1.0811, 8.5)
    assert {(amp.adc_maximum, amp.full_well) for amp in detector.amplifiers} == {(262143, 120000)}


@pytest.mark.parametrize("name", ["latiss", "simcam"])
def test_shipped_amplifiers_fill_the_detector_and_regions_share_their_lines(name):
    instrument = load_instrument(name)
    layout = instrument.layout(0)
    covered = np.zeros((layout.size[1], layout.size[0]), int)
    for amp in layout.amplifiers:
        covered[amp.target.box.slices] += 1
        data, serial = amp.section("data").box, amp.section("serial_overscan").box
        parallel = amp.section("parallel_overscan").box
        # The serial overscan goes on beside the parallel one, whose rows need their own levels.
        assert (serial.y0, serial.y1) == (min(data.y0, parallel.y0), max(data.y1, parallel.y1))
        assert (parallel.x0, parallel.x1) == (data.x0, data.x1)
    assert covered.min() == covered.max() == 1


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(NotFoundError, match=r"no instrument 'simcan'.*did you mean 'simcam'\?"):
        load_instrument("simcan")


def test_file_is_read_by_path(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    assert load_instrument(path).name == "small"
    assert instrument_text(path) == SMALL


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InstrumentError, match=r"cannot read .*none\.yaml"):
        read_instrument(tmp_path / "none.yaml")


AMP = r"detectors\[0\]\.amplifiers\[0\]"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "serial_overscan:",
            "serial_overscn:",
            rf"cam:11: {AMP}\.serial_overscn: unknown key; did you mean 'serial_overscan'",
        ),
        ("exposure_time: EXPTIME", "exptime: EXPTIME", r"cam:14: header\.exptime: unknown key"),
        ("exposure_time: EXPTIME", "", r"header\.exposure_time: is needed and not there"),
        ("IMAGETYP, map", "IMAGETYP, mapp", r"cam:13: header\.kind\.mapp: unknown key; did you mean 'map'"),
        ("size: [10, 5]", "size: [9, 5]", r"cam:4: detectors\[0\]: amplifier A: \[1:10,1:5\] leaves the detector"),
        ("data: '[1:10,1:5]'", "data: [1:10,1:5]", r"cam:9: .*data: expected text; a section needs quotes"),
        ("data: '[1:10,1:5]'", "data: '[1:10;1:5]'", r"cam:8: .*data '\[1:10;1:5\]' is not a FITS section"),
        ("data: '[1:10,1:5]'", "data: '[0:9,1:5]'", r"cam:8: .*has a bound of 0"),
        ("'[11:14,1:5]'", "'[10:14,1:5]'", r"cam:8: .*serial_overscan \[10:14,1:5\] overlaps data"),
        ("name: small", "name: small\nname: smaller", r"cam:3: 'name' is there twice"),
        ("name: small", "name: [small", r"cam:\d+: not valid YAML"),
        ("format: 1", "format: 2", r"cam:1: format: "),
        ("exposure_time: EXPTIME", "exposure_time: {scale: 2}", r"cam:14: header\.exposure_time: says nothing"),
    ],
)
def test_every_mistake_has_a_line(old, new, message):
    assert old in SMALL
    with pytest.raises(InstrumentError, match=message):
        parse_instrument(SMALL.replace(old, new), "cam")


def test_all_mistakes_are_listed_together():
    wrong = SMALL.replace("serial_overscan:", "serial_overscn:").replace("exposure_time:", "exptime:")
    with pytest.raises(InstrumentError) as error:
        parse_instrument(wrong, "cam")
    assert [line.split(":")[1] for line in str(error.value).splitlines()] == ["11", "12", "14"]


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just text"])
def test_text_that_is_no_mapping_is_refused(text):
    with pytest.raises(InstrumentError, match="not a YAML mapping"):
        parse_instrument(text)


def test_off_and_sections_are_text_not_false_and_numbers():
    text = SMALL + "  mode: {rules: [{when: {LAMP: off}, value: on}], default: no}\n"
    rule = parse_instrument(text).header["mode"]
    assert rule == {"rules": [{"when": {"LAMP": "off"}, "value": "on"}], "default": "no"}


def test_yaml_that_contains_itself_is_refused_not_followed():
    with pytest.raises(InstrumentError):
        parse_instrument(SMALL + "limits: &loop {bias: *loop}\n")


@pytest.mark.parametrize(
    "text",
    ["name: \x07", "name: 2026-99-99", f"name: {'9' * 5000}", "a: " + "[" * 3000 + "]" * 3000, "- a", ""],
    ids=["control", "date", "digits", "deep", "list", "empty"],
)
def test_text_that_is_no_mapping_is_named_with_a_hint(text):
    with pytest.raises(InstrumentError, match=r"text:(1:)? n") as caught:
        parse_instrument(text, "text")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("size: [10, 5]", "size: [10, 0]"),
        ("name: small", "name: small\nbinning: [0, 0]"),
        ("      - name: A", "      - name: A\n        hdu: -1"),
        ("name: small", "name: small\nlimits: {bias: {B1_level: {fail: [2, 1]}}}"),
    ],
)
def test_impossible_numbers_are_refused(line, instead):
    with pytest.raises(InstrumentError, match=r"greater than or equal|is above"):
        parse_instrument(SMALL.replace(line, instead))


def test_unit_of_a_limit_is_one_there_is():
    limits = "limits: {bias: {B1_level: {fail: [-2, 2], unit: UNIT}}}\n"
    for unit in ("adu", "electron", "''"):
        parse_instrument(SMALL + limits.replace("UNIT", unit))
    with pytest.raises(InstrumentError, match=r"text:\d+: limits.bias.B1_level.unit: .*'adu' or 'electron'.*'ADU'"):
        parse_instrument(SMALL + limits.replace("UNIT", "ADU"), "text")


def test_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(InstrumentError, match="not a file"):
        read_instrument(tmp_path / "a.yaml")
