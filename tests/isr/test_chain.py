"""The chain of correctors: against plain numpy, its order, masks, dead amplifiers and what it records."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import RawFrame
from cpp_framework.declare import Corrector, Reach, Stage
from cpp_framework.errors import ContractError, IncompatibleError, PluginError
from cpp_framework.isr.chain import Chain, Step
from cpp_framework.model import Image, ImageProduct, Mask

HEIGHT, WIDTH, SERIAL, PARALLEL = 120, 60, 24, 20


def _amplifier(name: str, hdu: int, columns: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "hdu": hdu,
        "data": f"[1:{WIDTH},1:{HEIGHT}]",
        "detector": f"[{columns},1:{HEIGHT}]",
        "serial_overscan": f"[{WIDTH + 1}:{WIDTH + SERIAL},1:{HEIGHT + PARALLEL}]",
        "parallel_overscan": f"[1:{WIDTH},{HEIGHT + 1}:{HEIGHT + PARALLEL}]",
        "adc_maximum": 65535,
        "full_well": 40000,
        **fields,
    }


@pytest.fixture
def instrument(camera: Callable[..., Instrument]) -> Instrument:
    """Two amplifiers in two HDUs, the second mirrored, overscans in both directions."""
    amplifiers = [_amplifier("A", 1, f"1:{WIDTH}"), _amplifier("B", 2, f"{2 * WIDTH}:{WIDTH + 1}")]
    rules = {
        "serial": {"method": "median_per_line", "skip_leading": 2},
        "parallel": {"method": "median_per_line", "skip_leading": 1, "skip_trailing": 1},
    }
    return camera((2 * WIDTH, HEIGHT), amplifiers, overscan=rules)


def _planes(seed: int = 1) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: HEIGHT + PARALLEL, : WIDTH + SERIAL]
    planes = {}
    for hdu, level in ((1, 1000), (2, 2000)):
        plane = level + 0.1 * y + 5 * np.sin(x / 7) * (x < WIDTH) + rng.normal(0, 6, y.shape)
        plane[:HEIGHT, :WIDTH] += 300
        planes[hdu] = np.round(plane).astype(np.uint16)
    return planes


def _reference(plane: np.ndarray) -> np.ndarray:
    """Both overscans subtracted, in plain numpy."""
    lines = _middle(plane[:, WIDTH + 2 :].astype(np.float64))
    # float32 as in the code: a sample at the edge of the unit around the median must fall on the same side.
    flat = (plane - lines[:, None]).astype(np.float32).astype(np.float64)
    return flat[:HEIGHT, :WIDTH] - _middle(flat[HEIGHT + 1 : -1, :WIDTH].T)


def _middle(lines: np.ndarray) -> np.ndarray:
    """Median of every line, interpolated over one unit around it."""
    middle = np.median(lines, axis=1)[:, None]
    below = np.sum(lines < middle - 0.5, axis=1)
    inside = np.sum((lines >= middle - 0.5) & (lines < middle + 0.5), axis=1)
    found = middle[:, 0] - 0.5 + (lines.shape[1] / 2 - below) / np.maximum(inside, 1)
    return np.where(2 * (below + inside) == lines.shape[1], middle[:, 0], found)


def test_both_overscans_equal_plain_numpy(instrument: Instrument, raw_of: Callable[..., RawFrame]) -> None:
    planes = _planes()
    image = Chain(instrument, 0, Stage.FULL_WELL).correct(raw_of(instrument, planes))
    np.testing.assert_allclose(image.amp("A").data, _reference(planes[1]), atol=2e-3)
    np.testing.assert_allclose(image.amp("B").data, _reference(planes[2]), atol=2e-3)
    np.testing.assert_allclose(image.data[:, WIDTH:], _reference(planes[2])[:, ::-1], atol=2e-3)
    assert image.unit == "adu"
    assert image.data.dtype == np.float32
    assert not image.mask.any()
    record = image.records["A"]
    assert record.bias_level == pytest.approx(np.mean(planes[1][:HEIGHT, :WIDTH] - image.amp("A").data), abs=1e-3)
    assert record.read_noise == pytest.approx(6, abs=5 * (record.read_noise_error or 0))
    assert record.column_variance > record.level_variance > 0
    assert image.applied == [
        "ADC saturation: raw >= 65535",
        "serial overscan: median per row, 2 leading and 0 trailing skipped",
        "parallel overscan: median per column, 1 leading and 1 trailing skipped",
        "full well: flagged above the subtracted level",
    ]


def test_threads_change_nothing(instrument: Instrument, raw_of: Callable[..., RawFrame]) -> None:
    raw = raw_of(instrument, _planes())
    one = Chain(instrument, 0, Stage.FULL_WELL).correct(raw)
    two = Chain(instrument, 0, Stage.FULL_WELL, threads=2).correct(raw)
    np.testing.assert_array_equal(one.data, two.data)
    assert one.records == two.records
    assert list(one.overscans) == list(two.overscans) == ["A", "B"]


def test_stages_stop_where_they_are_told(instrument: Instrument, raw_of: Callable[..., RawFrame]) -> None:
    planes = _planes()
    raw = raw_of(instrument, planes)
    bare = Chain(instrument, 0, Stage.ADC_SATURATION).correct(raw)
    np.testing.assert_array_equal(bare.amp("A").data, planes[1][:HEIGHT, :WIDTH])
    assert bare.records["A"].bias_level is None
    serial = Chain(instrument, 0, Stage.SERIAL_OVERSCAN).correct(raw)
    lines = _middle(planes[1][:, WIDTH + 2 :].astype(np.float64))[:HEIGHT, None]
    np.testing.assert_allclose(serial.amp("A").data, planes[1][:HEIGHT, :WIDTH] - lines, atol=2e-3)
    assert len(serial.applied) == 2


def test_overscans_stay_beside_the_image(instrument: Instrument, raw_of: Callable[..., RawFrame]) -> None:
    planes = _planes()
    planes[1][3, WIDTH + 1] = 65535
    image = Chain(instrument, 0, Stage.FULL_WELL).correct(raw_of(instrument, planes))
    sides = image.overscans["A"]
    assert sides["serial_overscan"].shape == (HEIGHT + PARALLEL, SERIAL)
    assert sides["parallel_overscan"].shape == (PARALLEL, WIDTH)
    assert np.isnan(sides["serial_overscan"][3, 1])
    assert abs(np.nanmean(sides["serial_overscan"])) < 0.2
    assert abs(np.median(sides["parallel_overscan"])) < 0.5


def test_saturation_and_full_well_are_flagged(instrument: Instrument, raw_of: Callable[..., RawFrame]) -> None:
    planes = _planes()
    planes[1][7, 5] = 65535
    planes[1][8, 5] = 65534
    planes[1][9, 5] = 1000 + 40000 - 500
    planes[2][10, 4] = 2000 + 40000 + 500
    image = Chain(instrument, 0, Stage.FULL_WELL).correct(raw_of(instrument, planes))
    bits = image.amp("A").mask
    assert bits[7, 5] == Mask.SAT | Mask.FULL_WELL
    assert bits[8, 5] == Mask.FULL_WELL
    assert bits[9, 5] == 0
    assert image.amp("B").mask[10, 4] == Mask.FULL_WELL
    assert np.count_nonzero(image.mask) == 3
    early = Chain(instrument, 0, Stage.SERIAL_OVERSCAN).correct(raw_of(instrument, planes))
    assert np.unique(early.mask).tolist() == [0, Mask.SAT]


def test_bleeding_flags_rows(instrument: Instrument, raw_of: Callable[..., RawFrame]) -> None:
    planes = _planes()
    planes[1][50, WIDTH:] = 65535
    planes[1][60, WIDTH:] += 500
    image = Chain(instrument, 0, Stage.FULL_WELL).correct(raw_of(instrument, planes))
    bits = image.amp("A").mask
    assert (bits[50] == Mask.BAD_OVERSCAN).all()
    assert (bits[60] == Mask.SUSPECT).all()
    assert np.count_nonzero(image.mask) == 2 * WIDTH
    clean = Chain(instrument, 0, Stage.FULL_WELL).correct(raw_of(instrument, _planes()))
    assert np.abs(image.data - clean.data)[:, :WIDTH].max() < 6


def test_not_finite_pixels_are_flagged(instrument: Instrument, raw_of: Callable[..., RawFrame]) -> None:
    planes = {hdu: plane.astype(np.float32) for hdu, plane in _planes().items()}
    planes[1][4, 4], planes[1][5, 4], planes[1][70, WIDTH + 5] = np.nan, np.inf, np.nan
    image = Chain(instrument, 0, Stage.FULL_WELL).correct(raw_of(instrument, planes))
    bits = image.amp("A").mask
    assert bits[4, 4] == Mask.NOT_FINITE
    assert bits[5, 4] & Mask.NOT_FINITE
    assert np.count_nonzero(image.mask) == 2


@pytest.mark.parametrize("value", [0, 1234])
def test_an_amplifier_without_pixels_is_dead(
    instrument: Instrument, raw_of: Callable[..., RawFrame], value: int
) -> None:
    planes = _planes()
    planes[2][:] = value
    image = Chain(instrument, 0, Stage.FULL_WELL).correct(raw_of(instrument, planes))
    assert (image.amp("B").mask == Mask.DEAD_AMPLIFIER).all()
    assert not image.amp("A").mask.any()
    assert image.records["B"].read_noise is None
    assert image.records["B"].bias_level is None


def test_a_saturated_amplifier_is_not_dead(instrument: Instrument, raw_of: Callable[..., RawFrame]) -> None:
    planes = _planes()
    planes[2][:HEIGHT, :WIDTH] = 65535
    image = Chain(instrument, 0, Stage.FULL_WELL).correct(raw_of(instrument, planes))
    assert (image.amp("B").mask & Mask.SAT).all()
    assert not (image.amp("B").mask & Mask.DEAD_AMPLIFIER).any()
    assert image.records["B"].read_noise == pytest.approx(6, rel=0.1)


def test_pixels_of_no_amplifier_have_no_data(
    camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]
) -> None:
    instrument = camera((6, 2), [{"name": "A", "data": "[1:4,1:2]", "detector": "[1:4,1:2]"}])
    image = Chain(instrument, 0, Stage.FULL_WELL).correct(
        raw_of(instrument, {0: np.arange(8, dtype=np.uint16).reshape(2, 4)})
    )
    assert (image.mask[:, 4:] == Mask.NO_DATA).all()
    assert np.isnan(image.data[:, 4:]).all()
    assert not image.mask[:, :4].any()


def test_a_camera_without_overscan_keeps_its_level(
    camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]
) -> None:
    instrument = camera((4, 2), [{"name": "A", "data": "[1:4,1:2]", "detector": "[1:4,1:2]"}])
    pixels = np.arange(8, dtype=np.uint16).reshape(2, 4)
    image = Chain(instrument, 0, Stage.GAIN).correct(raw_of(instrument, {0: pixels}))
    np.testing.assert_array_equal(image.data, pixels)
    assert image.records["A"].read_noise is None
    assert image.applied[1:3] == ["serial overscan: none", "parallel overscan: none"]
    assert image.applied[-1] == ("gain: stays adu, no product provides gains, and amplifier A has no nominal gain")


def test_a_step_between_the_overscans_changes_nothing_else(
    instrument: Instrument, raw_of: Callable[..., RawFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a corrector in the crosstalk stage the stages run one after the other, with the same outcome."""
    module = ModuleType("test_crosstalk")
    module.nothing = lambda image, product, config: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_crosstalk", module)
    planes = _planes()
    planes[1][7, 5] = 65535
    planes[1][50, WIDTH:] += 500
    planes[1][:, 30] = np.where(np.arange(HEIGHT + PARALLEL) < HEIGHT, planes[1][:, 30], 30000)
    raw = raw_of(instrument, planes)
    product = _product(instrument)
    step = Step("nothing", Corrector("test_crosstalk:nothing", Stage.CROSSTALK, Reach.DETECTOR), product)
    apart = Chain(instrument, 0, Stage.FULL_WELL, [step]).correct(raw)
    fused = Chain(instrument, 0, Stage.FULL_WELL).correct(raw)
    np.testing.assert_allclose(apart.data, fused.data, atol=1e-3)
    np.testing.assert_array_equal(apart.mask, fused.mask)
    assert (fused.amp("A").mask[:, 30] & Mask.SUSPECT).all()
    assert apart.records == fused.records
    assert apart.applied[2].startswith("crosstalk: nothing")
    assert Chain(instrument, 0, Stage.FULL_WELL, [step]).reach == Reach.DETECTOR


def _product(instrument: Instrument, value: float = 0.0) -> ImageProduct:
    shape = instrument.detector(0).shape
    return ImageProduct(
        image=np.full(shape, value, np.float32),
        error=np.zeros(shape, np.float32),
        mask=np.zeros(shape, np.uint32),
        used=np.ones(shape, np.uint16),
        unit="adu",
    )


def test_correctors_act_in_the_order_of_the_stages(
    instrument: Instrument, raw_of: Callable[..., RawFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    module = ModuleType("test_order")
    for name in ("bias", "linearity", "flat"):
        setattr(module, name, lambda image, product, config, name=name: order.append(f"{name} {image.unit}"))
    monkeypatch.setitem(sys.modules, "test_order", module)
    stages = {"flat": Stage.FLAT, "linearity": Stage.LINEARITY, "bias": Stage.BIAS}
    product = ImageProduct(**{**_fields(_product(instrument)), "unit": ""})
    steps = [Step(name, Corrector(f"test_order:{name}", at, Reach.PIXEL), product) for name, at in stages.items()]
    Chain(instrument, 0, Stage.FLAT, steps).correct(raw_of(instrument, _planes()))
    assert order == ["bias adu", "linearity adu", "flat adu"]
    order.clear()
    Chain(instrument, 0, Stage.BIAS, steps).correct(raw_of(instrument, _planes()))
    assert order == ["bias adu"]


def _fields(product: ImageProduct) -> dict[str, Any]:
    return {name: getattr(product, name) for name in ("image", "error", "mask", "used", "unit")}


def test_a_product_is_applied_and_named(
    instrument: Instrument,
    raw_of: Callable[..., RawFrame],
    subtraction: Callable[..., Step],
    image_product: Callable[..., ImageProduct],
) -> None:
    raw = raw_of(instrument, _planes())
    bias = image_product(np.random.default_rng(2).normal(0, 3, (HEIGHT, 2 * WIDTH)))
    before = Chain(instrument, 0, Stage.FULL_WELL).correct(raw)
    after = Chain(instrument, 0, Stage.BIAS, [subtraction(bias)]).correct(raw)
    np.testing.assert_allclose(after.data, before.data - bias.image, atol=1e-3)
    assert after.applied[-1] == "bias: bias 0199"


def test_reach_is_the_largest(
    camera: Callable[..., Instrument], subtraction: Callable[..., Step], instrument: Instrument
) -> None:
    simple = camera((4, 2), [{"name": "A", "data": "[1:4,1:2]", "detector": "[1:4,1:2]"}])
    assert Chain(simple, 0, Stage.BIAS).reach == Reach.ROW
    assert Chain(instrument, 0, Stage.BIAS).reach == Reach.AMPLIFIER
    assert Chain(instrument, 0, Stage.SERIAL_OVERSCAN).reach == Reach.ROW
    step = subtraction(_product(simple), reach=Reach.DETECTOR)
    assert Chain(simple, 0, Stage.BIAS, [step]).reach == Reach.DETECTOR
    assert Chain(simple, 0, Stage.FULL_WELL, [step]).reach == Reach.ROW


def test_steps_in_stages_of_the_core_are_refused(instrument: Instrument, subtraction: Callable[..., Step]) -> None:
    with pytest.raises(ContractError, match="acts in stage GAIN, which belongs to the core"):
        Chain(instrument, 0, Stage.FLAT, [subtraction(_product(instrument), Stage.GAIN)])


def test_a_corrector_that_breaks_the_image_is_named(
    instrument: Instrument, raw_of: Callable[..., RawFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    def widen(image: Image, product: ImageProduct, config: None) -> None:
        image.data = image.data.astype(np.float64)  # type: ignore[assignment]

    module = ModuleType("test_breaking")
    module.widen = widen  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "test_breaking", module)
    raw = raw_of(instrument, _planes())
    step = Step("x", Corrector("test_breaking:widen", Stage.BIAS, Reach.PIXEL), _product(instrument))
    with pytest.raises(ContractError, match="test_breaking:widen left data of float64"):
        Chain(instrument, 0, Stage.BIAS, [step]).correct(raw)
    step = Step("x", Corrector("test_breaking:absent", Stage.BIAS, Reach.PIXEL), _product(instrument))
    with pytest.raises(PluginError, match="wanted by type x"):
        Chain(instrument, 0, Stage.BIAS, [step]).correct(raw)


def test_a_frame_of_another_camera_is_refused(
    instrument: Instrument, camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]
) -> None:
    other = camera((4, 2), [{"name": "A", "data": "[1:4,1:2]", "detector": "[1:4,1:2]"}], description="other")
    other = other.model_copy(update={"name": "other"})
    raw = raw_of(other, {0: np.ones((2, 4), np.uint16)})
    with pytest.raises(IncompatibleError, match="is of other detector 0, the chain of testcam detector 0"):
        Chain(instrument, 0, Stage.FULL_WELL).correct(raw)
