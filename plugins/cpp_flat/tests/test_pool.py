"""One level per exposure over the focal plane, relative throughput kept, and what is refused, with its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cpp_framework.model import AmplifierStatus, Mask

LEVELS = (20_000.0, 20_400.0, 19_500.0, 5_000.0, 50_000.0)


def throughputs(plane: Any, flats: Any) -> list[tuple[float, float]]:
    """(found, true) of every live amplifier."""
    return [
        (flat.amplifiers[amp.name].values["throughput"].value, float(plane.response[number][amp.box.slices].mean()))
        for number, flat in flats.items()
        for amp in plane.detectors[number].amplifiers
        if flat.amplifiers[amp.name].status == AmplifierStatus.OK
    ]


@pytest.mark.parametrize("amplifiers", [(2, 2), (1, 4, 2), (2, 2, 2, 2)])
def test_levels_and_throughputs_are_recovered(simulate_plane: Any, amplifiers: tuple[int, ...]) -> None:
    """To 1e-4 (60 000 pixels per detector at 20 000 electrons), with different numbers of amplifiers per detector."""
    plane = simulate_plane(LEVELS, 1, amplifiers=amplifiers, shape=(240, 250))
    flats = plane.flats()
    for found, true in throughputs(plane, flats):
        assert abs(found / true - 1) < 1e-4
    for flat in flats.values():
        np.testing.assert_allclose(flat.scales, plane.levels, rtol=1e-4)
    means = [(flat.image.mean(dtype=np.float64), plane.response[i].mean()) for i, flat in flats.items()]
    np.testing.assert_allclose([found for found, _ in means], [true for _, true in means], rtol=1e-4)


def test_detectors_may_lack_exposures(simulate_plane: Any) -> None:
    """Exposures are matched by their id, not by their place in the list."""
    plane = simulate_plane(LEVELS, 2, amplifiers=(2, 3), shape=(240, 250))
    del plane.images[1][1]
    flats = plane.flats()
    assert flats[1].stacked == ("flat-0", "flat-2", "flat-3", "flat-4")
    np.testing.assert_allclose(flats[1].scales, plane.levels[[0, 2, 3, 4]], rtol=2e-4)
    np.testing.assert_allclose(flats[0].scales, plane.levels, rtol=2e-4)
    assert not flats[1].refused


@pytest.mark.parametrize("how", ["constant", "nan", "masked"])
def test_a_dead_amplifier_has_no_weight(simulate_plane: Any, how: str) -> None:
    plane = simulate_plane(LEVELS, 3, amplifiers=(2, 2), shape=(240, 250))
    for image in plane.images[1]:
        view = image.amp("C1")
        if how == "constant":
            view.data[:] = 7.0
        elif how == "nan":
            view.data[:] = np.nan
        else:
            view.mask[:] |= np.uint32(Mask.DEAD_AMPLIFIER)
    flats = plane.flats()
    dead = flats[1].amplifiers["C1"]
    assert dead.status == AmplifierStatus.DEAD
    assert dead.reason
    box = plane.detectors[1].amplifier("C1").box.slices
    assert np.all(flats[1].mask[box] & Mask.DEAD_AMPLIFIER)
    assert np.isnan(flats[1].image[box]).all()
    found, true = np.array(throughputs(plane, flats)).T
    # The gauge is the mean of the good amplifiers: three of four.
    np.testing.assert_allclose(found, true / true.mean(), rtol=1e-4)
    assert not flats[0].refused
    assert not flats[1].refused


def test_a_saturated_exposure_is_refused_where_it_is_saturated(simulate_plane: Any) -> None:
    plane = simulate_plane(LEVELS, 4, amplifiers=(2, 2))
    view = plane.images[0][4].amp("C1")
    view.mask[::2] |= np.uint32(Mask.SAT)
    flats = plane.flats()
    assert flats[0].refused == {"flat-4/C1": "50 % of the pixels are saturated, limit 1 %"}
    assert not flats[1].refused
    assert flats[0].used[0, 0] == 5
    assert np.median(flats[0].used[plane.detectors[0].amplifier("C1").box.slices]) == 4
    np.testing.assert_allclose(flats[0].scales, plane.levels, rtol=1e-3)


def test_a_faint_exposure_is_refused_everywhere(simulate_plane: Any) -> None:
    plane = simulate_plane((*LEVELS, 60.0), 5, amplifiers=(2, 2))
    for flat in plane.flats().values():
        (reason,) = flat.refused.values()
        assert list(flat.refused) == ["flat-5"]
        assert "too faint" in reason
        assert "below 100 electron" in reason
        assert "flat-5" not in flat.stacked


def test_an_amplifier_that_deviates_is_refused_and_named(simulate_plane: Any) -> None:
    plane = simulate_plane(LEVELS, 6, amplifiers=(2, 2))
    plane.images[1][2].amp("C0").data[:] *= np.float32(1.2)
    flats = plane.flats()
    assert not flats[0].refused
    assert list(flats[1].refused) == ["flat-2/C0"]
    assert "deviates by" in flats[1].refused["flat-2/C0"]
    np.testing.assert_allclose(flats[0].scales, plane.levels, rtol=1e-3)


def test_of_two_amplifiers_nobody_can_say_which_deviates(simulate_plane: Any) -> None:
    plane = simulate_plane(LEVELS, 7)
    plane.images[0][2].amp("C0").data[:] *= np.float32(1.3)
    (flat,) = plane.flats().values()
    assert list(flat.refused) == ["flat-2"]


def test_other_illumination_is_refused_with_one_amplifier(simulate_plane: Any) -> None:
    """A door left open: the level of a single amplifier cannot tell, its blocks do."""
    plane = simulate_plane(LEVELS, 8, amplifiers=(1,))
    plane.images[0][1].data *= np.linspace(0.8, 1.2, 96, dtype=np.float32)
    (flat,) = plane.flats().values()
    assert list(flat.refused) == ["flat-1"]
    assert "the illumination of detector 0 deviates" in flat.refused["flat-1"]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 15])
def test_no_healthy_exposure_is_refused(simulate_plane: Any, n: int) -> None:
    """The lamp jitters by 2 % and its level goes from 2000 to 60 000 electrons."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        levels = np.geomspace(2e3, 6e4, n) * rng.normal(1, 0.02, n)
        for flat in simulate_plane(levels, seed, amplifiers=(2, 1)).flats().values():
            assert not flat.refused


def test_nothing_usable_is_still_a_product(simulate_plane: Any) -> None:
    plane = simulate_plane(LEVELS[:2], 9)
    for image in plane.images[0]:
        image.mask |= np.uint32(Mask.SAT)
    (flat,) = plane.flats().values()
    assert {amp.status for amp in flat.amplifiers.values()} == {AmplifierStatus.DEAD}
    assert flat.stacked == ()
    assert np.isnan(flat.image).all()
