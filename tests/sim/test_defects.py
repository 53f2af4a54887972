"""Defective pixels and columns, in frames and in the truth."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.sim import ExposureRequest, simulate

FLAT = ExposureRequest(kind="flat", exposure_time=10.0, light=100.0)
DARK = ExposureRequest(kind="dark", exposure_time=10.0)


def test_cold_pixels_respond_less(simcam, only, assembled):
    raw = simulate(simcam, 0, FLAT, only("light", cold_pixels={"fraction": 0.002, "lowest": 0.1, "highest": 0.4}))
    cold = raw.truth.defects_of("cold")
    assert abs(cold.size - 102) < 4 * np.sqrt(102)
    assert np.all((cold["value"] >= 0.1) & (cold["value"] <= 0.4))
    expected = np.full((200, 256), 1000.0)
    expected[cold["y"], cold["x"]] *= cold["value"]
    np.testing.assert_allclose(assembled(raw), expected, rtol=1e-6)
    np.testing.assert_allclose(raw.truth.response(), expected / 1000, rtol=1e-6)


def test_a_vampire_takes_what_its_neighbours_lose(simcam, only, assembled):
    settings = only("light", vampires={"number": 1, "share": 0.2, "radius": 2})
    raw = simulate(simcam, 0, FLAT, settings, seed=2)
    (row,) = raw.truth.defects_of("vampire")
    y, x = int(row["y"]), int(row["x"])
    assert 2 <= y < 198, "the test is of one away from the edges"
    assert 2 <= x < 254
    frame = assembled(raw)
    expected = np.full((5, 5), 800.0)
    expected[2, 2] = 1000 + 24 * 200
    np.testing.assert_allclose(frame[y - 2 : y + 3, x - 2 : x + 3], expected, rtol=1e-6)
    assert frame.sum() == pytest.approx(1000.0 * frame.size, rel=1e-9)
    np.testing.assert_allclose(raw.truth.response() * 1000, frame, rtol=1e-6)


def test_a_dead_column_is_dark_over_its_amplifier(simcam, only, assembled):
    settings = only("light", "dark_current", dead_columns={"number": 4}, cosmic_rays={"rate": 50.0})
    raw = simulate(simcam, 0, FLAT, settings)
    dead = raw.truth.defects_of("dead_column")
    assert dead.size == 4
    assert set(dead["y"]) <= {0, 100}
    assert set(dead["height"]) == {100}
    mask = raw.truth.defect_mask("dead_column")
    assert mask.sum() == 400
    np.testing.assert_array_equal(assembled(raw) == 0, mask)
    np.testing.assert_array_equal(raw.truth.response() == 0, mask)
    np.testing.assert_array_equal(raw.truth.dark_rate == 0, mask)
    assert raw.truth.cosmic_rays.size
    assert not (raw.truth.cosmic_ray_mask(1) & mask).any()


def test_what_a_dead_column_hides_is_not_in_the_truth(simcam, only):
    kinds = {"hot_pixels": {"fraction": 0.02}, "unstable_pixels": {"fraction": 0.02}, "cold_pixels": {"fraction": 0.02}}
    settings = only("light", dead_columns={"number": 20}, **kinds)
    raw = simulate(simcam, 0, FLAT, settings)
    dead = raw.truth.defect_mask("dead_column")
    assert dead.sum() == 2000
    assert not (raw.truth.defect_mask("hot", "unstable", "cold") & dead).any()
    assert not dead[raw.truth.unstable["y"], raw.truth.unstable["x"]].any()
    assert raw.truth.defects_of("hot").size > 800


def test_one_dead_column_off_leaves_where_the_others_are(simcam, only):
    both = simulate(simcam, 0, DARK, only("dark_current", dead_columns={"number": 5}, blocked_columns={"number": 5}))
    one = simulate(simcam, 0, DARK, only("dark_current", blocked_columns={"number": 5}))
    np.testing.assert_array_equal(both.truth.defects_of("blocked_column"), one.truth.defects_of("blocked_column"))


def test_a_blocked_column_is_dark_from_the_block_away_from_the_readout(simcam, only):
    raw = simulate(simcam, 0, DARK, only("dark_current", blocked_columns={"number": 40}))
    rows = raw.truth.defects_of("blocked_column")
    assert rows.size == 40
    assert len(set(rows["height"])) > 20
    dark = 0
    for amp in raw.readout.amplifiers:
        charge = raw.amplifiers[amp.name][amp.data] > 0
        assert np.all(charge[:-1] >= charge[1:]), "once dark, dark for all rows read later"
        dark += (~charge).sum()
    assert dark == rows["height"].sum() == raw.truth.defect_mask("blocked_column").sum()


@pytest.mark.parametrize("request_", [ExposureRequest(), DARK, FLAT], ids=["bias", "dark", "flat"])
def test_a_bright_column_is_bright_in_every_exposure(simcam, only, assembled, request_):
    raw = simulate(simcam, 0, request_, only("light", bright_columns={"number": 3, "electrons": 7000.0}))
    expected = np.full((200, 256), request_.electrons)
    expected[raw.truth.defect_mask("bright_column")] += 7000
    np.testing.assert_allclose(assembled(raw), expected, rtol=1e-6)
    assert raw.truth.defects_of("bright_column").size == 3


def test_more_columns_than_there_are_is_all_of_them(simcam, only, assembled):
    raw = simulate(simcam, 0, FLAT, only("light", dead_columns={"number": 100_000}))
    assert raw.truth.defects.size == 512
    assert not assembled(raw).any()
