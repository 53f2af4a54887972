"""Bias frames simulated by others (GalSim, arCTIc), from a proposed camera file to a verdict, against their truth."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cpp_framework.api import Repository
from cpp_framework.camera.infer import propose
from cpp_framework.model import Outcome, Status
from cpp_framework.plan import Request

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "gain_key"), [("galsim-ptc", "gain_e_per_adu"), ("cti-arctic", "gain")])
def test_read_noise_is_the_truth_and_nothing_fails(shared, tmp_path: Path, name: str, gain_key: str) -> None:
    folder = shared(f"data/{name}")
    raws = sorted(folder.glob("*_bias.fits.fz"))
    (tmp_path / "camera.yaml").write_text(propose(raws))
    repository = Repository.create(tmp_path / "repo")
    repository.add_instrument(str(tmp_path / "camera.yaml"))
    repository.ingest(raws)
    (result,) = repository.produce(Request("bias"), jobs=1)
    assert result.state == "made", result.reason
    found = repository.product("last").provided("read_noise")
    for amp in json.loads((folder / "truth.json").read_text())["amps"]:
        measured = found[amp["name"]]
        assert measured.error is not None
        # Rounding to whole ADU is part of the noise of a sample.
        truth = math.hypot(amp["read_noise_e"] / amp[gain_key], 12**-0.5)
        assert abs(measured.value - truth) < 3.5 * measured.error
        assert measured.error < 0.005 * truth
    verdict = repository.verify("last")
    assert verdict.outcome == Outcome.WARN  # so few exposures: the noise penalty B4, and only that
    assert {check.name for check in verdict.checks if check.status == Status.WARN} == {"B4_noise_penalty"}
