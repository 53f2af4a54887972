"""All effects together: what the truth says is what is in the frames, and effects do not disturb each other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cpp_framework.sim import ExposureRequest, SimSettings, night_exposures, read_truth, simulate, simulate_exposures
from cpp_framework.sim.settings import effect_names

EVERYTHING = {
    "stars": {"number": 5},
    "shutter": {"middle": 0.05, "corner": 0.01},
    "dust": {"number": 3},
    "cold_pixels": {"fraction": 0.001},
    "vampires": {"number": 3},
    "unstable_pixels": {"fraction": 0.002},
    "glow": {"rate": 1.0},
    "bright_columns": {"number": 1},
    "cosmic_rays": {"rate": 5.0},
    "dead_columns": {"number": 1},
    "blocked_columns": {"number": 2},
}
"""Every effect that is not in the default camera, and the cosmic rays of a long night."""
NOT_CHARGE = {"read_noise", "gain", "bias_structure", "row_pattern", "bias_level", "bias_drift", "adc"}
SILENCERS = {"dead_columns", "blocked_columns"}
RANDOM = {"photon_noise", *NOT_CHARGE}
SCIENCE = ExposureRequest(kind="science", number=4, exposure_time=20.0, light=50.0, filter="r")
FLAT = ExposureRequest(kind="flat", number=3, exposure_time=10.0, light=100.0, filter="r")
DARK = ExposureRequest(kind="dark", number=2, exposure_time=30.0)
REQUESTS = {"bias": ExposureRequest(), "dark": DARK, "flat": FLAT, "science": SCIENCE}


def settings(off=(), **more):
    return SimSettings.model_validate({**EVERYTHING, **more, "off": frozenset(off)})


@pytest.mark.parametrize("kind", ["dark", "flat"])
def test_the_truth_adds_up_to_the_frame(simcam, assembled, kind):
    raw = simulate(simcam, 0, REQUESTS[kind], settings(off=RANDOM | {"full_well"}), seed=12)
    truth, number = raw.truth, REQUESTS[kind].number
    expected = truth.mean_dark(number) + truth.mean_light(number)
    hits = truth.cosmic_rays
    np.add.at(expected, (hits["y"], hits["x"]), hits["electrons"])
    expected[truth.defect_mask("bright_column")] += 5000
    np.testing.assert_allclose(assembled(raw), expected, rtol=2e-6, atol=1e-3)
    assert {"hot", "unstable", "dead_column", "blocked_column", "bright_column"} <= set(truth.defects["kind"])
    assert hits.size


def test_noise_of_the_whole_camera_is_that_of_its_charge(simcam, assembled, in_blocks, standard):
    pulls = []
    for number in range(1, 9):
        request = SCIENCE.model_copy(update={"number": number})
        noisy, clean = (
            assembled(simulate(simcam, 0, request, settings(off=NOT_CHARGE | {"full_well", *off}), seed=13))
            for off in ((), ("photon_noise",))
        )
        # Cosmic rays are in both and have no noise here; they are taken out of the variance.
        hits = simulate(simcam, 0, request, settings(), seed=13).truth
        mean = clean.copy()
        np.subtract.at(mean, (hits.cosmic_rays["y"], hits.cosmic_rays["x"]), hits.cosmic_rays["electrons"])
        mean, residual = in_blocks(np.maximum(mean, 0)), in_blocks(noisy - clean)
        pulls.append(residual.sum(axis=1) / np.sqrt(mean.sum(axis=1)))
    standard(np.concatenate(pulls))


def fingerprint(truth):
    """Everything an effect leaves in the truth, by effect; what several effects make together is left out."""
    one = truth.exposure
    return {
        "lamp_drift": one.lamp_factor,
        "bias_drift": tuple(one.drift.values()),
        "stars": truth.stars.tobytes(),
        "cosmic_rays": truth.cosmic_rays.tobytes(),
        "unstable_pixels": truth.unstable.tobytes(),
        "shutter": truth.shutter.tobytes(),
        "glow": truth.glow.tobytes(),
        "bias_structure": truth.bias_structure.tobytes(),
        "bias_level": tuple(amp.bias_level for amp in truth.amplifiers.values()),
        **{
            effect: truth.defects_of(kind).tobytes()
            for effect, kind in {
                "hot_pixels": "hot",
                "cold_pixels": "cold",
                "vampires": "vampire",
                "bright_columns": "bright_column",
            }.items()
        },
    }


@pytest.mark.parametrize("effect", sorted(set(effect_names()) - SILENCERS - {"photon_noise", "light"}))
@pytest.mark.parametrize("kind", ["flat", "science"])
def test_switching_one_effect_off_leaves_what_the_others_drew(simcam, effect, kind):
    # Dead columns take other effects from the truth, which is not a matter of random numbers.
    whole = fingerprint(simulate(simcam, 0, REQUESTS[kind], settings(off=SILENCERS)).truth)
    without = fingerprint(simulate(simcam, 0, REQUESTS[kind], settings(off={effect} | SILENCERS)).truth)
    changed = {name for name in whole if whole[name] != without[name]}
    assert changed <= {effect}


@pytest.mark.parametrize("effect", ["vignetting", "prnu", "dust", "shutter", "lamp_drift"])
def test_what_multiplies_light_is_the_same_with_and_without_the_others(simcam, only, assembled, effect):
    """Responses multiply: the frame with all over the frame without one is the frame of that one alone."""
    light = {"light": {}, "vignetting": {}, "prnu": {}, "lamp_drift": {}}
    light |= {name: EVERYTHING[name] for name in ("dust", "shutter")}
    whole = assembled(simulate(simcam, 0, FLAT, only(**light)))
    without = assembled(simulate(simcam, 0, FLAT, only(**{k: v for k, v in light.items() if k != effect})))
    alone = assembled(simulate(simcam, 0, FLAT, only("light", **{effect: light[effect]})))
    np.testing.assert_allclose(whole / without, alone / 1000, rtol=2e-6)


def test_bias_frames_are_as_if_only_bright_columns_were_new(simcam):
    old = {"photon_noise", "light", "full_well", *NOT_CHARGE, "bright_columns"}
    one = simulate(simcam, 0, None, settings(), seed=2).amplifiers
    other = simulate(simcam, 0, None, settings(off=set(effect_names()) - old), seed=2).amplifiers
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_the_default_camera_has_no_defects_but_hot_pixels(simcam):
    raw = simulate(simcam, 0, FLAT)
    assert set(raw.truth.defects["kind"]) == {"hot"}
    assert raw.truth.maps.keys() == {"bias_structure", "dark_rate", "response_r"}
    assert np.abs(raw.truth.response("r") - 1).max() < 0.1
    assert raw.truth.dark_rate.min() == np.float32(0.02)


def test_the_truth_of_a_night_is_that_of_its_exposures(simcam, tmp_path):
    requests = night_exposures(1, 1, 1, science=1, filters=("r", "g/b"), dark_times=(30.0,))
    simulate_exposures(tmp_path, simcam, requests, settings=settings(), seed=5, jobs=2)
    (truth,) = read_truth(tmp_path).values()
    every = [simulate(simcam, 0, request, settings(), seed=5).truth for request in requests]
    assert truth.maps.keys() == {"bias_structure", "dark_rate", "glow", "shutter", "response_r", "response_g/b"}
    assert not np.array_equal(truth.response("r"), truth.response("g/b"))
    for one in every:
        for name, plane in one.maps.items():
            np.testing.assert_array_equal(truth.maps[name], plane)
        number = one.exposure.number
        assert truth.exposure_of(number) == one.exposure
        for table in ("cosmic_rays", "stars", "unstable"):
            rows = getattr(truth, table)
            np.testing.assert_array_equal(rows[rows["number"] == number], getattr(one, table))
        np.testing.assert_array_equal(truth.mean_dark(number), one.mean_dark(number))
        assert set(one.defects.tolist()) <= set(truth.defects.tolist())
    assert np.unique(truth.defects).size == truth.defects.size
    assert set(truth.defects["kind"]) == {
        "hot", "cold", "vampire", "unstable", "bright_column", "dead_column", "blocked_column"
    }  # fmt: skip


def test_the_manual_has_every_effect_in_order_with_its_parameters():
    manual = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in manual.partition("## The truth")[0].splitlines() if line.startswith("| ")]
    told = {cells[0].removeprefix("| "): cells[1] for cells in rows[1:]}
    assert tuple(told) == effect_names()
    for name, text in told.items():
        for parameter, info in type(getattr(SimSettings(), name)).model_fields.items():
            assert parameter in text, f"{name}.{parameter}"
            if isinstance(info.default, float | int) and name != "read_noise":
                numbers = [
                    float(number) for number in re.findall(r"(?<![\w.])[−-]?[\d.]+(?:e-?\d+)?", text.replace("−", "-"))
                ]
                assert info.default in numbers, f"{name}.{parameter}"
