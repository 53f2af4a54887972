from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from cpp_framework.camera.catalogue import read_instrument
from cpp_framework.cli.instrument import register
from cpp_framework.errors import ConflictError, InstrumentError, NotFoundError


@pytest.fixture
def run():
    app = typer.Typer()
    register(app)
    app.callback()(lambda: None)
    return lambda *arguments: CliRunner().invoke(app, ["instrument", *map(str, arguments)])


@pytest.fixture
def raw(write_fits, noise):
    cards = {"INSTRUME": "Lab", "IMAGETYP": "BIAS", "EXPTIME": 0.0, "DATE-OBS": "2024-01-02T03:04:05", "GAIN": 1}
    cards |= {"DATASEC": "[1:50,1:40]", "BIASSEC": "[51:70,1:40]"}
    return write_fits("lab.fits", [(cards, noise((40, 70)))])


def test_list_names_the_shipped_instruments(run):
    result = run("list", "--json")
    assert result.exit_code == 0
    instruments = json.loads(result.stdout)["instruments"]
    assert (instruments["latiss"], instruments["simcam"]) == ("shipped", "shipped")
    assert "simcam" in run("list").stdout


def test_show_prints_the_file_and_its_content(run, tmp_path):
    path = tmp_path / "copy.yaml"
    path.write_text(run("show", "latiss").stdout)
    assert read_instrument(path).name == "LATISS"
    shown = json.loads(run("show", "simcam", "--json").stdout)["instrument"]
    assert shown["detectors"][0]["size"] == [256, 200]
    assert isinstance(run("show", "nonesuch").exception, NotFoundError)


def test_init_then_check(run, raw, tmp_path):
    file = tmp_path / "lab.yaml"
    result = run("init", raw, "-o", file)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "cpp instrument check" in result.stderr
    assert read_instrument(file).name == "Lab"
    result = run("check", file, raw)
    assert result.exit_code == 0
    for wanted in ("[51:70,1:40]", "| A1  |", "bias", "2024-01-02T03:04:05.000"):
        assert wanted in result.stdout
    assert "warning" not in result.stdout


def test_init_prints_without_output_and_never_overwrites_unasked(run, raw, tmp_path):
    assert "GAIN = 1 looks like an index" in run("init", raw).stdout
    file = tmp_path / "lab.yaml"
    file.write_text("mine")
    assert isinstance(run("init", raw, "-o", file).exception, ConflictError)
    assert file.read_text() == "mine"
    assert run("init", raw, "-o", file, "--force").exit_code == 0


def test_check_keeps_sections_whole_in_80_columns_and_tells_units(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("check", "latiss").stdout
    assert max(map(len, shown.splitlines())) <= 80
    for wanted in ("[1018:510,4000:2001]", "[513:576,1:2048]", "[4:512,2001:2048]"):
        assert wanted in shown
    for head in ("gain (electron/adu)", "noise (electron)", "adc max (adu)"):
        assert head in shown


def test_check_warns_of_limits_of_unknown_types(run, tmp_path):
    file = tmp_path / "sim.yaml"
    file.write_text(run("show", "simcam").stdout + "limits: {nonesuch: {C1: {fail: [0, 1]}}}\n")
    assert "warning: limits.nonesuch: no such calibration type" in run("check", file).stdout
    assert len(json.loads(run("check", file, "--json").stdout)["warnings"]) == 1


def test_check_without_frames_draws_the_geometry(run):
    result = run("check", "latiss")
    assert result.exit_code == 0
    assert "C10" in result.stdout


def test_check_of_a_frame_that_does_not_fit_prints_all_and_fails(run, raw):
    result = run("check", "simcam", raw)
    assert isinstance(result.exception, InstrumentError)
    assert result.exception.exit_code == 2
    assert "expected 'simcam', found 'Lab'" in str(result.exception)
    assert "problem: " in result.stdout
    record = json.loads(run("check", "simcam", raw, "--json").stdout)["frames"][0]
    assert record["exposures"] == []
    assert "expected 'simcam'" in record["problem"]
