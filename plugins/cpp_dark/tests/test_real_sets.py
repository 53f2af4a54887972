"""Darks of real cameras, made as a user makes them. Needs the reference data beside the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from cpp_dark.limits import WARN
from cpp_dark.product import Dark

from cpp_framework.model import Mask
from cpp_framework.model import fits as product_fits

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any, shared: Any, cpp: Any) -> Callable[..., Path]:
    """Return a function that makes products of a set from nothing, and returns the repository."""

    def make(name: str, first: str, *types: str) -> Path:
        raw = shared(f"data/real/{name}")
        work: Path = tmp_path_factory.mktemp(name)
        cpp("instrument", "init", *sorted(raw.glob(first)), "-o", work / "camera.yaml")
        cpp("init", work, "--instrument", work / "camera.yaml")
        cpp("ingest", raw, "--repo", work)
        cpp("produce", *(word for one in types for word in ("--type", one)), "--repo", work)
        return work

    return make


def dark_of(repository: Path) -> Dark:
    (path,) = (one for one in (repository / "products").rglob("*.fits") if fits.getheader(one)["OBSTYPE"] == "dark")
    product = product_fits.read(path, Dark)
    assert isinstance(product, Dark)
    return product


@pytest.fixture(scope="module")
def sbig(made: Any) -> Path:
    return Path(made("sbig-st7-darks", "dark120s_001*", "dark"))


def test_sbig_drift_is_found_and_the_rate_is_relative(sbig: Path) -> None:
    """The README of the set: the level drifts by some 20 ADU (51 electron) and does not grow with time."""
    product = dark_of(sbig)
    assert product.relative
    assert product.unit == "electron/s"
    assert product.zero.shape == product.image.shape
    assert abs(float(np.median(product.image))) < 1e-6
    assert 25 < np.ptp(product.offsets) < 80
    assert "rates count from" in product.amplifiers["A1"].reason


def test_sbig_hot_pixels_are_those_of_plain_medians(sbig: Path, shared: Any) -> None:
    """Against the difference of the medians of three exposures of 900 s and of 120 s, in electron (2.55 per ADU)."""
    product = dark_of(sbig)
    folder = shared("data/real/sbig-st7-darks")
    longs, shorts = (
        np.median([fits.getdata(path).astype(float) for path in sorted(folder.glob(f"dark{time}s*"))], axis=0)
        for time in (900, 120)
    )
    plain = 2.55 * (longs - shorts) / 780
    plain -= np.median(plain)
    usable = (product.mask == 0) & (longs < 60_000)
    hot = usable & (plain > 2.0)
    assert hot.sum() > 300
    ratio = product.image[hot] / plain[hot]
    assert abs(np.median(ratio) - 1) < 0.02
    assert np.mean(np.abs(ratio - 1) < 0.2) > 0.97
    quiet = usable & (np.abs(plain) < 0.3)
    assert np.std(product.image[quiet]) < np.std(plain[quiet])


def test_sbig_verdict_judges_what_it_can(sbig: Path, cpp: Any) -> None:
    """Without an overscan the noise is that of the exposures themselves, and not judged."""
    done = cpp("verify", "--repo", sbig)
    text = done.stdout + done.stderr
    assert "D1_level: the level of each exposure was fitted" in text
    failed = {line.split()[0] for line in text.splitlines() if " FAIL  " in line and line.strip().startswith("D")}
    assert failed == set()
    assert "D2_noise: noise of each held-out residual over its expectation: needs an overscan" in text


def test_kast_cosmic_rays_are_left_out(made: Any) -> None:
    """Two darks of 360 s with many hits beside four biases: of darks that disagree the lower one is in the product."""
    product = dark_of(made("kast-red-2amp", "*.fits.gz", "dark"))
    assert product.unit == "adu/s"
    assert product.zero.size > 0
    darks = [name for name in product.stacked if name.startswith("dark")]
    assert len(darks) == 2
    signal = product.image * 360
    # Above 30 ADU (13 σ) is what both exposures have: hot pixels, or hits in both.
    rejected = np.stack([product.rejected_mask(name) for name in darks])
    assert rejected.any(axis=0).mean() > 1e-3
    assert not np.any(rejected.all(axis=0) & (product.used == 0))
    assert np.mean(signal[(product.mask & np.uint32(Mask.UNSTABLE)) == 0] > 30) < 5e-4
    for amp in product.amplifiers.values():
        # 0.4 to 0.5 with the error of the prediction in σ: of two darks a hit counts from 8 σ of one on.
        assert 0.2 < amp.values["cosmic_rays"].value < WARN["D10_cosmic_rays"].high
