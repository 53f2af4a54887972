"""Nights on disk, and the verb that makes them."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from cpp_framework.camera.raw import read_raw
from cpp_framework.camera.reader import read_exposures
from cpp_framework.cli import sim
from cpp_framework.errors import ConfigError, ConflictError, FormatVersionError, UserError
from cpp_framework.sim import ANOMALIES, Outliers, Shift, night_exposures, read_truth, simulate, simulate_night
from cpp_framework.sim.settings import effect_names


@pytest.fixture
def cli():
    app = typer.Typer()
    sim.register(app)

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)

    return run


def test_files_are_named_by_kind_and_number_and_read_back(simcam, tmp_path):
    paths = simulate_night(tmp_path / "raw", biases=2, darks=1, flats=1, exposure_time=20.0, light=100.0)
    assert [path.name for path in paths] == [
        "sim_bias_0001.fits",
        "sim_bias_0002.fits",
        "sim_dark_0003.fits",
        "sim_flat_0004.fits",
    ]
    exposures = [read_exposures(path, simcam)[0] for path in paths]
    assert [exposure.exposure_time for exposure in exposures] == [0, 0, 20, 20]
    assert all(a.end < b.begin for a, b in pairwise(exposures))


def test_filters_dark_times_and_science_exposures(simcam, tmp_path):
    simulate_night(
        tmp_path, biases=1, darks=3, flats=2, science=1, filters=("r", "g"), dark_times=(5.0, 60.0), exposure_time=20.0
    )
    exposures = [read_exposures(path, simcam)[0] for path in sorted(tmp_path.glob("*.fits"), key=lambda p: p.stem[-4:])]
    assert [(one.kind, one.exposure_time, one.filter or "") for one in exposures] == [
        ("bias", 0, ""),
        ("dark", 5, ""),
        ("dark", 60, ""),
        ("dark", 5, ""),
        ("flat", 20, "r"),
        ("flat", 20, "r"),
        ("flat", 20, "g"),
        ("flat", 20, "g"),
        ("science", 20, "r"),
        ("science", 20, "g"),
    ]
    (truth,) = read_truth(tmp_path).values()
    assert [one.electrons for one in truth.exposures] == [0] * 4 + [40_000] * 4 + [400] * 2
    assert set(truth.stars["number"]) == {9, 10}


def test_the_verb_makes_nights_of_several_filters(cli, tmp_path):
    night = ["--bias", 1, "--dark", 2, "--dark-time", 3, "--dark-time", 30, "--flat", 1, "--science", 1]
    done = cli(tmp_path / "raw", *night, "--filter", "r", "--filter", "g", "--sky", 7, "--spoil", "7:shift", "--json")
    assert done.exit_code == 0, done.exception
    (truth,) = json.loads(done.stdout)["truth"]
    told = [(one["kind"], one["exposure_time"], one["electrons"], one["filter"]) for one in truth["exposures"]]
    assert told == [
        ("bias", 0, 0, ""),
        ("dark", 3, 0, ""),
        ("dark", 30, 0, ""),
        ("flat", 10, 20_000, "r"),
        ("flat", 10, 20_000, "g"),
        ("science", 10, 70, "r"),
        ("science", 10, 70, "g"),
    ]
    assert truth["exposures"][-1]["anomalies"][0]["name"] == "shift"
    assert isinstance(cli(tmp_path / "other", *night, "--spoil", "6:shift").exception, ConfigError), "one filter: five"


def test_pixels_in_the_file_are_those_simulated(simcam, tmp_path):
    (path,) = simulate_night(tmp_path, biases=0, flats=1, seed=9)
    (request,) = night_exposures(0, flats=1)
    simulated = simulate(simcam, 0, request, seed=9)
    frame = read_raw(path, simcam, read_exposures(path, simcam)[0])
    for amp in simulated.readout.amplifiers:
        array = simulated.amplifiers[amp.name]
        rows, columns = amp.data
        raw = frame.amplifiers[amp.name]
        np.testing.assert_array_equal(raw.data, array[rows, columns])
        np.testing.assert_array_equal(raw.serial_prescan, array[rows, : columns.start])
        np.testing.assert_array_equal(raw.serial_overscan, array[:, columns.stop :])
        np.testing.assert_array_equal(raw.parallel_overscan, array[rows.stop :, columns])


@pytest.mark.parametrize("jobs", [1, 2])
def test_same_seed_same_bytes(tmp_path, jobs):
    one = simulate_night(tmp_path / "one", biases=3, darks=1, flats=2, science=1, seed=3)
    two = simulate_night(tmp_path / "two", biases=3, darks=1, flats=2, science=1, seed=3, jobs=jobs)
    other = simulate_night(tmp_path / "other", biases=3, darks=1, flats=2, science=1, seed=4)
    for a, b, c in zip(one, two, other, strict=True):
        assert a.read_bytes() == b.read_bytes()
        assert a.read_bytes() != c.read_bytes()
    for name in ("truth.json", "truth.npz"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_truth_beside_the_raws_is_that_of_the_simulation(simcam, tmp_path):
    anomalies = {2: [Outliers(fraction=0.01)], 3: [Shift(sigma=5), Outliers(fraction=0.002)]}
    simulate_night(tmp_path, biases=3, seed=8, anomalies=anomalies)
    (truth,) = read_truth(tmp_path).values()
    expected = [simulate(simcam, 0, request, seed=8).truth for request in night_exposures(3, anomalies=anomalies)]
    np.testing.assert_array_equal(truth.bias_structure, expected[0].bias_structure)
    assert truth.amplifiers == expected[0].amplifiers
    assert truth.exposures == [one.exposure for one in expected]
    for number, one in enumerate(expected, 1):
        np.testing.assert_array_equal(truth.outlier_mask(number), one.outlier_mask(number))
    assert not truth.outlier_mask(1).any()
    document = json.loads((tmp_path / "truth.json").read_text())
    assert document["units"]["read_noise"] == "electron"
    assert document["settings"]["read_noise"]["shared"] == 0.5


@pytest.mark.parametrize("by_keyword", [True, False], ids=["a file per detector", "all detectors in a file"])
def test_several_detectors(simcam, tmp_path, by_keyword):
    layout = simcam.detectors[0]
    shifted = [amp.model_copy(update={"hdu": amp.hdu + 4}) for amp in layout.amplifiers]
    second = layout.model_copy(update={"id": 1, "name": "S01", "amplifiers": tuple(shifted)})
    header = {**simcam.header, "detector": "DETECTOR"} if by_keyword else simcam.header
    camera = simcam.model_copy(update={"detectors": (layout, second), "header": header})
    paths = simulate_night(tmp_path, camera, biases=2)
    exposures = [one for path in paths for one in read_exposures(path, camera)]
    assert len(paths) == (4 if by_keyword else 2)
    assert [one.detector for one in exposures] == [0, 1, 0, 1]
    truths = read_truth(tmp_path)
    assert not np.array_equal(truths[0].bias_structure, truths[1].bias_structure)
    assert [exposure.number for exposure in truths[1].exposures] == [1, 2]
    frames = [read_raw(one.path, camera, one).amplifiers["C00"].data for one in exposures]
    assert not np.array_equal(frames[0], frames[1])


def test_a_truth_of_another_format_is_refused(tmp_path):
    simulate_night(tmp_path, biases=1)
    text = (tmp_path / "truth.json").read_text()
    (tmp_path / "truth.json").write_text(text.replace('"format": 2', '"format": 1'))
    with pytest.raises(FormatVersionError, match="has format 1; this version reads format 2"):
        read_truth(tmp_path)


def test_a_folder_that_is_not_empty_is_left_alone_unless_forced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConflictError, match="is not empty") as error:
        simulate_night(tmp_path, biases=1)
    assert str(tmp_path) in error.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    simulate_night(tmp_path, biases=3, force=True)
    simulate_night(tmp_path, biases=1, force=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["notes.txt", "sim_bias_0001.fits", "truth.json", "truth.npz"]


def test_the_verb_writes_a_night_and_prints_what_it_made(cli, tmp_path):
    done = cli(
        tmp_path / "raw", "--bias", 2, "--seed", 5, "--set", "read_noise.sigma=3", "--off", "bias_drift", "--json"
    )
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert len(document["files"]) == 2
    (truth,) = document["truth"]
    assert {amp["read_noise"] for amp in truth["amplifiers"].values()} == {3.0}
    assert truth["exposures"][0]["drift"] == {}
    table = cli(tmp_path / "more", "--bias", 1)
    assert "C11" in table.stdout
    assert "sim_bias_0001.fits" in table.stderr


def test_the_help_names_every_effect_and_anomaly(cli):
    text = " ".join(cli("--help").stdout.replace("│", " ").split())
    assert ", ".join(effect_names()) in text
    assert ", ".join(ANOMALIES) in text


def test_the_verb_lets_exposures_go_wrong(cli, tmp_path):
    spoil = ["--spoil", "2:shift:sigma=30", "--spoil", "2:outliers", "--spoil", "3:extra_noise:factor=50:amplifier=C01"]
    done = cli(tmp_path / "raw", "--bias", 3, *spoil, "--json")
    assert done.exit_code == 0, done.exception
    wrong = [exposure["anomalies"] for exposure in json.loads(done.stdout)["truth"][0]["exposures"]]
    assert [[one["name"] for one in of_one] for of_one in wrong] == [[], ["shift", "outliers"], ["extra_noise"]]
    assert wrong[1][0]["sigma"] == 30
    assert (wrong[2][0]["factor"], wrong[2][0]["amplifier"]) == (50, "C01")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--spoil", "x"], ConfigError, "'x' is not NUMBER:ANOMALY"),
        (["--spoil", "1:"], ConfigError, "'1:' is not NUMBER:ANOMALY"),
        (["--spoil", "9:shift"], ConfigError, "not one of the exposures 1 … 1"),
        (["--spoil", "²:shift"], ConfigError, "not one of the exposures 1 … 1"),
        (["--set", "read_noise.sigma=-3"], ConfigError, "read_noise.sigma: must not be negative, got -3"),
        (["--set", "read_noise.sigma={C00: 3, C01: -3}"], ConfigError, "read_noise.sigma: must not be negative"),
        (
            ["--set", "row_pattern.sigma=-1"],
            ConfigError,
            "row_pattern.sigma: Input should be greater than or equal to 0",
        ),
        (["--set", "bias_drift.sigma=-1"], ConfigError, "bias_drift.sigma: Input should be greater than or equal to 0"),
        (["--set", "gain.value=0"], ConfigError, "gain.value: must be positive, got 0"),
        (["--set", "full_well.electrons=-1"], ConfigError, "full_well.electrons: must not be negative"),
        (["--spoil", "1:shitf"], ConfigError, "no anomaly 'shitf'"),
        (["--spoil", "1:shift:sgima=2"], ConfigError, "no parameter of shift 'sgima'"),
        (["--spoil", "1:outliers:fraction=2"], ConfigError, "fraction"),
        (["--off", "noise"], ConfigError, "no effect 'noise'"),
        (["--bias", "0"], UserError, "nothing to simulate"),
        (["--flat", "1", "--filter", "é"], ConfigError, r"filter '\xe9': FITS headers hold printable ASCII"),
        (["--set", "stars.listed=[[1, 2]]"], ConfigError, "stars.listed.0.2: Field required"),
        (["--set", "cosmic_rays.rate=-1"], ConfigError, "cosmic_rays.rate: Input should be greater than or equal to 0"),
        (["--force", "elsewhere"], UserError, "--force names elsewhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_options_are_explained_and_nothing_is_written(cli, tmp_path, arguments, kind, message):
    done = cli(tmp_path / "raw", "--bias", 1, *arguments)
    assert isinstance(done.exception, kind)
    assert message in str(done.exception)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--spoil", "1:shitf"], "did you mean 'shift'?"),
        (["--spoil", "1:shift:sgima=2"], "did you mean 'sigma'?"),
        (["--spoil", "shift"], "for instance 3:shift:sigma=5"),
        (["--off", "read_nose"], "did you mean 'read_noise'?"),
        (["--set", "Gain.value=2"], "did you mean 'gain'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_slips_are_answered_with_what_was_meant(cli, tmp_path, arguments, hint):
    assert cli(tmp_path / "raw", "--bias", 1, *arguments).exception.hint == hint


def test_the_verb_replaces_a_folder_only_when_it_is_named_again(cli, tmp_path):
    assert cli(tmp_path / "raw", "--bias", 2).exit_code == 0
    assert isinstance(cli(tmp_path / "raw", "--bias", 1).exception, ConflictError)
    assert cli(tmp_path / "raw", "--bias", 1, "--force", tmp_path / "raw").exit_code == 0
    assert [path.name for path in (tmp_path / "raw").glob("*.fits")] == ["sim_bias_0001.fits"]
