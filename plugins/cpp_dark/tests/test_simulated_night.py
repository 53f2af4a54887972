"""The whole way, from simulated raw files with every effect on to a verified dark, against the simulator's truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_dark.product import Dark

from cpp_framework.model import fits as product_fits
from cpp_framework.sim import ExposureRequest, read_truth, simulate_exposures

pytestmark = pytest.mark.slow

TIMES = (60.0,) * 4 + (180.0,) * 4


def test_dark_of_a_simulated_night(tmp_path: Path, cpp: Any) -> None:
    requests = [ExposureRequest(kind="bias", number=1 + k) for k in range(6)]
    requests += [ExposureRequest(kind="dark", number=21 + k, exposure_time=time) for k, time in enumerate(TIMES)]
    simulate_exposures(tmp_path / "raw", "simcam", requests, seed=4)
    (truth,) = read_truth(tmp_path / "raw").values()
    repository = tmp_path / "night"
    cpp("init", repository, "--instrument", "simcam")
    cpp("ingest", tmp_path / "raw", "--repo", repository)
    cpp("produce", "--type", "bias", "--type", "dark", "--repo", repository)
    (path,) = (one for one in (repository / "products").rglob("*.fits") if "dark" in str(one.relative_to(repository)))
    dark = product_fits.read(path, Dark)
    assert isinstance(dark, Dark)
    assert dark.unit == "electron/s"
    steady = (dark.mask == 0) & ~np.isin(np.arange(dark.image.size).reshape(dark.image.shape), _unstable(truth, dark))
    rate = truth.dark_rate * truth.exposures[-1].dark_factor + truth.glow
    pull = ((dark.image - rate) / dark.error)[steady]
    # Rows share the noise of their overscan level, and outliers of defects are many: the core of the pulls is judged.
    core = 1.4826 * float(np.median(np.abs(pull - np.median(pull))))
    assert abs(float(np.median(pull))) < 0.1
    assert core == pytest.approx(1, abs=0.06)
    hot = steady & (rate > 5)
    assert hot.sum() > 10
    assert np.median(np.abs((dark.image - rate) / dark.error)[hot]) < 1.5


def _unstable(truth: Any, dark: Dark) -> np.ndarray:
    """Flat indices of pixels that blink."""
    return truth.unstable["y"].astype(int) * dark.image.shape[1] + truth.unstable["x"]
