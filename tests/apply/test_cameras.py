"""Which product serves which exposure, for cameras with modes, windows, several detectors and dead amplifiers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.api import Repository
from cpp_framework.apply.calibrated import read_calibrated
from cpp_framework.apply.request import ApplyRequest
from cpp_framework.camera.catalogue import instrument_text
from cpp_framework.errors import IncompatibleError
from cpp_framework.model import Mask
from cpp_framework.sim import ExposureRequest, SimSettings, simulate_exposures
from cpp_framework.sim.electronics import ReadNoise

DETECTOR = """
  - id: {id}
    name: D{id}
    size: [64, 40]
    amplifiers:
      - {{name: A, hdu: {hdu}, data: '[1:64,1:40]', detector: '[1:64,1:40]', serial_overscan: '[65:88,1:40]',
          gain: {gain}, read_noise: 5.0, adc_maximum: 65535, full_well: 55000}}
"""
TWIN = """format: 1
name: twincam
detectors:{detectors}
header:
  instrument: {{keyword: INSTRUME, expect: twincam}}
  id: OBSID
  number: SEQNUM
  kind: {{keyword: IMAGETYP, map: {{BIAS: bias, FLAT: flat}}, default: other}}
  exposure_time: EXPTIME
  begin: DATE-OBS
"""


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """simcam with modes and windows: one bias for mode fast, another for slow, valid one after the other for fast."""
    folder = tmp_path_factory.mktemp("modes")
    text = instrument_text("simcam").replace(
        "  filter: FILTER\n", "  filter: FILTER\n  mode: MODE\n  window: WINDOW\n  binning: BINNING\n"
    )
    (folder / "simcam.yaml").write_text(text)
    biases = [ExposureRequest(kind="bias", number=1 + i) for i in range(8)]
    lit = [ExposureRequest(kind="flat", number=51, exposure_time=10.0, light=50.0)]
    raws = simulate_exposures(folder / "raw", "simcam", [*biases, *lit], seed=9)
    for i, path in enumerate(raws):
        fits.setval(path, "MODE", value="slow" if i in (4, 5) else "fast")
    repository = Repository.create(folder / "repo")
    repository.add_instrument(str(folder / "simcam.yaml"))
    repository.ingest(raws[:8])
    made = {unit.unit.key["mode"]: unit.product for unit in repository.produce("bias", jobs=1)}
    assert set(made) == {"fast", "slow"}
    for one in made.values():
        repository.verify(one)
    request = _without_last(repository, raws)
    (later,) = repository.produce(request, jobs=1)
    repository.verify(later.product)
    for product, begin, end in (
        (made["fast"], "2026-11-01", "2026-11-22"),
        (later.product, "2026-11-22", "open"),
        (made["slow"], "2026-11-01", "open"),
    ):
        repository.certify(product, begin, end, waive={check.name: "a test" for check in _failed(repository, product)})
    return {"repository": repository, "lit": raws[-1], "later": later.product, **made}


def _without_last(repository: Repository, raws: list[Path]) -> Any:
    from cpp_framework.plan import Request

    last = fits.getheader(raws[7])["OBSID"]
    return Request("bias", filters=("mode=fast",), exclude=(last,))


def _failed(repository: Repository, product: str) -> list[Any]:
    verdict = repository.verdicts(product)[0]
    return [check for check in verdict.checks if check.name in verdict.waivable]


def _bias_of(path: Path) -> str:
    return next(one.id for one in read_calibrated(path).calibrations if one.type == "bias")


def test_each_exposure_takes_what_is_valid_when_it_began(modes: dict[str, Any], tmp_path: Path) -> None:
    early = tmp_path / "early.fits"
    early.write_bytes(modes["lit"].read_bytes())
    fits.setval(early, "DATE-OBS", value="2026-11-10T01:00:00")
    fits.setval(early, "OBSID", value="early")
    done = modes["repository"].apply([early, modes["lit"]], tmp_path / "out", jobs=1)
    assert [one.state for one in done] == ["written", "written"]
    assert [_bias_of(one.target.output) for one in done] == [modes["fast"], modes["later"]]


def test_exposures_of_another_mode_take_the_product_of_theirs(modes: dict[str, Any], tmp_path: Path) -> None:
    for mode, expected in (("slow", modes["slow"]), ("other", None)):
        raw = tmp_path / f"{mode}.fits"
        raw.write_bytes(modes["lit"].read_bytes())
        fits.setval(raw, "MODE", value=mode)
        fits.setval(raw, "OBSID", value=mode)
        (target,) = modes["repository"].plan_apply([raw], tmp_path).targets
        choice = next(one for one in target.choices if one.type == "bias")
        assert (choice.need.record.id if choice.need else None) == expected
    assert choice.why.endswith("those stored are for mode fast / mode slow")
    plan = modes["repository"].plan_apply([raw], tmp_path, ApplyRequest(use={"bias": modes["slow"]}))
    assert isinstance(plan.targets[0].error, IncompatibleError)
    assert "is for mode slow, which exposure other is not" in str(plan.targets[0].error)


def test_a_binned_frame_is_refused(modes: dict[str, Any], tmp_path: Path) -> None:
    raw = tmp_path / "binned.fits"
    raw.write_bytes(modes["lit"].read_bytes())
    fits.setval(raw, "BINNING", value="2x2")
    plan = modes["repository"].plan_apply([raw], tmp_path)
    assert plan.targets == ()
    assert "binned 2x2, instrument simcam is written for 1x1" in str(plan.refused[0].error)


def test_a_windowed_frame_is_that_part_of_the_whole(modes: dict[str, Any], tmp_path: Path) -> None:
    """Columns 101 to 156 and rows 81 to 120 of the assembled image: what each amplifier has of them is cut out."""
    raw = tmp_path / "window.fits"
    with fits.open(modes["lit"]) as hdus:
        hdus[0].header["WINDOW"], hdus[0].header["OBSID"] = "[101:156,81:120]", "window"
        # First data column and row of each HDU, and the data columns and rows outside of the window.
        gone = {1: (slice(4, 104), slice(0, 80)), 2: (slice(4, 104), slice(0, 80)),
                3: (slice(4, 104), slice(30, 110)), 4: (slice(52, 152), slice(30, 110))}  # fmt: skip
        for index, (columns, rows) in gone.items():
            kept = np.delete(np.delete(hdus[index].data, rows, axis=0), columns, axis=1)
            hdus[index].data = kept
        hdus.writeto(raw)
    done = modes["repository"].apply([modes["lit"], raw], tmp_path / "out", jobs=1)
    assert [one.state for one in done] == ["written"] * 2, [one.error for one in done]
    whole, part = (read_calibrated(one.target.output) for one in done)
    assert part.data.shape == (40, 56)
    assert part.header["CPPWIN"] == "[101:156,81:120]"
    cut = whole.data[80:120, 100:156]
    # The parallel overscan of a window has its own, shorter lines: levels differ by their noise, structure does not.
    assert np.std(part.data - cut) < 3
    assert np.corrcoef(part.data.ravel(), cut.ravel())[0, 1] > 0.95


def test_every_detector_of_a_file_becomes_a_file_with_its_own_bias(tmp_path: Path) -> None:
    detectors = "".join(DETECTOR.format(id=i, hdu=1 + i, gain=1.0 + i) for i in range(2))
    (tmp_path / "twincam.yaml").write_text(TWIN.format(detectors=detectors))
    requests = [ExposureRequest(kind="bias", number=1 + i) for i in range(6)]
    requests.append(ExposureRequest(kind="flat", number=9, exposure_time=10.0, light=100.0))
    raws = simulate_exposures(tmp_path / "raw", tmp_path / "twincam.yaml", requests, seed=2)
    repository = Repository.create(tmp_path / "repo")
    repository.add_instrument(str(tmp_path / "twincam.yaml"))
    repository.ingest(raws)
    made = {one.unit.detector: one.product for one in repository.produce("bias", jobs=1)}
    request = ApplyRequest(use={"bias": made[0]})
    refused = repository.apply([raws[-1]], tmp_path / "no", request, jobs=1)
    assert [one.state for one in refused] == ["written", "refused"]
    assert "detector 0, exposure SIM_20261122_000009 of twincam detector 1" in str(refused[1].error)
    for product in made.values():
        repository.verify(product)
        repository.certify(product, "2026-11-01", waive={one.name: "tiny" for one in _failed(repository, product)})
    done = repository.apply([raws[-1]], tmp_path / "out", jobs=1)
    names = [f"SIM_20261122_000009_det00{detector}_calibrated.fits" for detector in range(2)]
    assert [one.target.output.name for one in done] == names
    for detector, one in enumerate(done):
        image = read_calibrated(one.target.output)
        assert (image.header["DETECTOR"], _bias_of(one.target.output)) == (detector, made[detector])
        assert image.gains == {"A": 1.0 + detector}


def test_without_overscan_the_noise_is_that_of_the_bias(tmp_path: Path) -> None:
    """Read noise 5 electron, gain 1, eight bias exposures: a dark sky has a variance of 25·(1 + 1/8)."""
    detector = DETECTOR.format(id=0, hdu=1, gain=1.0).replace(" serial_overscan: '[65:88,1:40]',", "")
    detector = detector.replace(" read_noise: 5.0,", "")
    (tmp_path / "twincam.yaml").write_text(TWIN.format(detectors=detector))
    requests = [ExposureRequest(kind="bias", number=1 + i) for i in range(9)]
    settings = SimSettings(read_noise=ReadNoise(sigma=5.0), off=frozenset({"bias_drift"}))
    raws = simulate_exposures(tmp_path / "raw", tmp_path / "twincam.yaml", requests, seed=2, settings=settings)
    repository = Repository.create(tmp_path / "repo")
    repository.add_instrument(str(tmp_path / "twincam.yaml"))
    repository.ingest(raws[:8])
    (made,) = repository.produce("bias", jobs=1)
    request = ApplyRequest(use={"bias": made.product})
    (one,) = repository.apply([raws[8]], tmp_path / "out", request, jobs=1)
    image = read_calibrated(one.target.output)
    assert np.mean(image.variance) == pytest.approx(25 * (1 + 1 / 8), rel=0.05)
    (none,) = repository.apply([raws[8]], tmp_path / "no", ApplyRequest(without=("bias",)), jobs=1)
    assert none.state == "failed"
    assert "no read noise for the variance" in str(none.error)


def test_a_dead_amplifier_is_masked_and_the_others_are_good(
    night: Any, make_science: Callable[..., list[Path]], tmp_path: Path
) -> None:
    (raw,) = make_science(tmp_path / "raw", 1, first=401)
    with fits.open(raw, mode="update") as hdus:
        hdus[2].data[:] = 0
    (one,) = night.repository.apply([raw], tmp_path / "out", jobs=1)
    assert one.state == "written", one.error
    image = read_calibrated(one.target.output)
    dead = (image.mask & int(Mask.DEAD_AMPLIFIER)) != 0
    assert dead[:100, 128:].all()
    assert np.count_nonzero(dead) == 100 * 128
    assert image.data[image.usable].mean() == pytest.approx(600, abs=2)
    assert np.all(image.to_ccddata().mask[:100, 128:])
