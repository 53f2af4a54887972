"""Science frames corrected with real products of a simulated night: fluxes, background, variance against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from cpp_framework.api import Repository
from cpp_framework.apply.calibrated import CalibratedImage, read_calibrated
from cpp_framework.apply.request import ApplyRequest
from cpp_framework.plan import Request
from cpp_framework.sim import ExposureRequest, SimSettings, read_truth, simulate_exposures
from cpp_framework.sim.settings import effect_names
from cpp_framework.sim.stars import Stars

pytest.importorskip("cpp_dark")
pytest.importorskip("cpp_flat")

CAMERA = {
    "light", "stars", "vignetting", "prnu", "dark_current", "photon_noise", "read_noise", "gain", "bias_structure",
    "bias_level", "bias_drift", "adc",
}  # fmt: skip
FLUX = 3e5
"""Electron of each star."""
APERTURE = 8.0
"""Pixels; 6 sigma of the stars' profile."""
STAR_SKY = 600.0
SKIES = (0.0, 1.0, 10.0, 100.0, 1000.0)
"""Electron per pixel."""


@dataclass(frozen=True)
class Corrected:
    """Corrected frames, and the light that 1 in them stands for: flats are normalised to their mean."""

    stars: list[CalibratedImage]
    skies: list[CalibratedImage]
    norm: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def inside(self, star: int) -> NDArray[np.bool_]:
        rows, columns = np.mgrid[: self.stars[0].data.shape[0], : self.stars[0].data.shape[1]]
        return np.hypot(columns - self.x[star], rows - self.y[star]) < APERTURE

    def sky(self, image: CalibratedImage) -> NDArray[np.bool_]:
        free = image.usable
        for star in range(self.x.size):
            free = free & ~self.inside(star)
        return free


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Corrected:
    """20 bias, 8 dark, 25 flat exposures make the products; two frames of 154 stars and blank ones are corrected."""
    folder = tmp_path_factory.mktemp("science")
    rng = np.random.default_rng(3)
    y, x = (grid.ravel() + rng.uniform(-0.5, 0.5, grid.size) for grid in np.mgrid[10:192:18, 10:248:18].astype(float))
    listed = tuple((float(at_x), float(at_y), FLUX) for at_x, at_y in zip(x, y, strict=True))
    settings = SimSettings(off=frozenset(effect_names()) - CAMERA, stars=Stars(listed=listed))
    plan = [("bias", 0.0, 0.0)] * 20 + [("dark", 60.0, 0.0)] * 8 + [("flat", 10.0, 2500.0)] * 25
    calibrations = len(plan)
    plan += [("science", 60.0, STAR_SKY / 60)] * 2
    plan += [("flat", 60.0, sky / 60) for sky in SKIES]  # flats have no stars
    requests = [
        ExposureRequest(kind=kind, number=number, exposure_time=seconds, light=light)
        for number, (kind, seconds, light) in enumerate(plan, 1)
    ]
    raws = simulate_exposures(folder / "raw", "simcam", requests, seed=4, settings=settings)
    repository = Repository.create(folder / "repo")
    repository.add_instrument("simcam")
    repository.ingest(raws[:calibrations])
    use: dict[str, str] = {}
    for name in ("bias", "dark", "flat"):
        (made,) = repository.produce(Request(name, use=dict(use)), jobs=1)
        assert made.state == "made", made.reason
        use[name] = made.product
    done = repository.apply(raws[calibrations:], folder / "out", ApplyRequest(use=use), jobs=1)
    assert [one.state for one in done] == ["written"] * 7, [one.error for one in done]
    images = [read_calibrated(one.target.output) for one in done]
    norm = float(read_truth(folder / "raw")[0].response().mean(dtype=np.float64))
    return Corrected(images[:2], images[2:], norm, x, y)


def test_everything_was_applied(corrected: Corrected) -> None:
    applied = {one.type for one in corrected.stars[0].calibrations if one.id}
    assert applied == {"bias", "dark", "flat"}
    order = [step.partition(":")[0] for step in corrected.stars[0].steps]
    assert order[-6:] == ["bias", "variance", "gain", "variance", "dark", "flat"]
    assert "counted once" in corrected.stars[0].steps[-3]


def test_fluxes_of_stars_are_the_detected_electrons_within_a_thousandth(corrected: Corrected) -> None:
    """2 × 154 stars of 3e5 electron: the weighted mean is known to 0.014 %."""
    flux, variance = [], []
    for image in corrected.stars:
        free = corrected.sky(image)
        sky = np.average(image.data[free], weights=1 / image.variance[free])
        for star in range(corrected.x.size):
            inside = corrected.inside(star)
            flux.append(float(np.sum(image.data[inside] - sky)))
            variance.append(float(np.sum(image.variance[inside])))
    assert len(flux) == 308
    mean = np.average(flux, weights=1 / np.array(variance))
    assert mean == pytest.approx(FLUX * corrected.norm, rel=1e-3)
    pulls = (np.array(flux) - FLUX * corrected.norm) / np.sqrt(variance)
    # 308 stars: the rms is known to 4 %. Errors of sky and levels that the pixels share are not in the sums.
    assert 0.85 < np.sqrt(np.mean(pulls**2)) < 1.25


@pytest.mark.parametrize("index", range(len(SKIES)))
def test_the_variance_of_blank_sky_is_right_at_every_level(corrected: Corrected, index: int) -> None:
    """51200 pixels: the rms is known to 0.3 %."""
    image, sky = corrected.skies[index], SKIES[index] * corrected.norm
    good = image.usable
    assert good.mean() > 0.99
    pulls = (image.data[good] - sky) / np.sqrt(image.variance[good])
    assert 0.98 < np.sqrt(np.mean(pulls**2)) < 1.02


def test_the_background_is_flat_within_its_errors(corrected: Corrected) -> None:
    """80 blocks of 20 × 32 pixels; light falls by more than 100 times the error of a block without the flat."""
    image = corrected.skies[-1]
    mean = np.average(image.data, weights=1 / image.variance)
    blocks = image.data.reshape(10, 20, 8, 32).mean(axis=(1, 3), dtype=np.float64) - mean
    variance = image.variance.reshape(10, 20, 8, 32).mean(axis=(1, 3), dtype=np.float64) / (20 * 32)
    # What rows and columns share, the noise of overscan levels: 25·π/2 over 21 columns and over 8 rows.
    shared = 25 * np.pi / 2 * (1 / 21 / 20 + 1 / 8 / 32)
    pulls = blocks / np.sqrt(variance + shared)
    assert 0.75 < np.sqrt(np.mean(pulls**2)) < 1.27, "80 blocks: the rms is known to 8 %"
    assert np.abs(pulls).max() < 4.5
