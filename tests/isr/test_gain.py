"""The gain stage, products in electrons, compatibility, and the variance plane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import RawFrame
from cpp_framework.declare import Stage
from cpp_framework.errors import IncompatibleError, InputsMissingError
from cpp_framework.isr.chain import Chain, Step
from cpp_framework.isr.gain import Gains, resolve_gains
from cpp_framework.model import (
    AmplifierResult,
    AmplifierStatus,
    Header,
    ImageProduct,
    Mask,
    Measured,
    RegionProduct,
    TableProduct,
)

SIZE = 40


@pytest.fixture
def build(camera: Callable[..., Instrument]) -> Callable[..., Instrument]:
    """A camera of two square amplifiers side by side in one HDU, overscans beyond; gains as given."""

    def make(gains: tuple[float | None, float | None] = (1.5, 2.0), **fields: object) -> Instrument:
        amplifiers = [
            {
                "name": name,
                "data": f"[{1 + SIZE * i}:{SIZE * (i + 1)},1:{SIZE}]",
                "detector": f"[{1 + SIZE * i}:{SIZE * (i + 1)},1:{SIZE}]",
                "serial_overscan": f"[{81 + 20 * i}:{100 + 20 * i},1:{SIZE}]",
                "gain": gain,
                **fields,
            }
            for i, (name, gain) in enumerate(zip("AB", gains, strict=True))
        ]
        return camera((2 * SIZE, SIZE), amplifiers)

    return make


def _plane(signal: float = 400.0, seed: int = 1) -> np.ndarray:
    plane = np.random.default_rng(seed).normal(500, 4, (SIZE, 120))
    plane[:, : 2 * SIZE] += signal
    return np.round(plane).astype(np.uint16)


def _table(header: Header | None = None, **gains: float) -> TableProduct:
    amplifiers = {name: AmplifierResult(values={"gain": Measured(value=value)}) for name, value in gains.items()}
    product = TableProduct(amplifiers=amplifiers)
    return product if header is None else product.with_header(header)


def test_gains_come_from_the_best_provider(build: Callable[..., Instrument], header_of: Callable[..., Header]) -> None:
    detector = build().detector(0)
    none = TableProduct(amplifiers={"A": AmplifierResult(values={"full_well": Measured(value=9)})})
    half, full = _table(A=1.1), _table(header_of(type="ptc", id="0abc"), A=1.2, B=1.3)
    assert resolve_gains(detector, {"x": none, "half": half, "ptc": full}) == Gains({"A": 1.2, "B": 1.3}, "ptc 0abc")
    assert resolve_gains(detector, {"half": half}) == Gains({"A": 1.1}, "half", ("B",))
    assert resolve_gains(detector, {"x": none}) == Gains({"A": 1.5, "B": 2.0}, "nominal")
    assert resolve_gains(detector, {"bad": _table(A=np.nan, B=-1.0)}).source == "nominal"
    unknown = resolve_gains(build((1.5, None)).detector(0), {})
    assert not unknown.values
    assert "amplifier B has no nominal gain" in unknown.source
    failed = AmplifierResult(status=AmplifierStatus.FAILED, values={"gain": Measured(value=9.0)})
    broken = TableProduct(amplifiers={**full.amplifiers, "B": failed})
    assert resolve_gains(detector, {"ptc": broken}).missing == ("B",)


def test_the_gain_stage_makes_electrons(build: Callable[..., Instrument], raw_of: Callable[..., RawFrame]) -> None:
    instrument = build()
    raw = raw_of(instrument, {0: _plane()})
    adu = Chain(instrument, 0, Stage.LINEARITY).correct(raw)
    image = Chain(instrument, 0, Stage.GAIN).correct(raw)
    assert (adu.unit, image.unit) == ("adu", "electron")
    np.testing.assert_allclose(image.amp("A").data, 1.5 * adu.amp("A").data, rtol=1e-6)
    np.testing.assert_allclose(image.amp("B").data, 2.0 * adu.amp("B").data, rtol=1e-6)
    for name, gain in (("A", 1.5), ("B", 2.0)):
        side = "serial_overscan"
        np.testing.assert_allclose(image.overscans[name][side], gain * adu.overscans[name][side], rtol=1e-6)
        assert image.records[name].gain == gain
        assert image.records[name].gain_source == "nominal"
        assert image.records[name].read_noise == adu.records[name].read_noise
    assert image.applied[-1] == "gain: nominal"


def test_an_amplifier_without_gain_is_masked(build: Callable[..., Instrument], raw_of: Callable[..., RawFrame]) -> None:
    instrument = build()
    chain = Chain(instrument, 0, Stage.GAIN, providers={"ptc": _table(A=1.2)})
    image = chain.correct(raw_of(instrument, {0: _plane()}))
    assert (image.amp("B").mask == Mask.DEAD_AMPLIFIER).all()
    assert not image.amp("A").mask.any()
    assert image.records["B"].gain is None
    assert image.records["B"].gain_source == "missing in ptc"
    assert image.applied[-1] == "gain: ptc; amplifier B masked, it has none"


def test_electron_products_are_rescaled_to_the_gains_of_the_image(
    build: Callable[..., Instrument],
    raw_of: Callable[..., RawFrame],
    subtraction: Callable[..., Step],
    image_product: Callable[..., ImageProduct],
) -> None:
    instrument = build()
    raw = raw_of(instrument, {0: _plane()})
    dark = image_product(np.full((SIZE, 2 * SIZE), 12.0), "electron", type="dark", gains={"A": 3.0, "B": 2.0})
    before = Chain(instrument, 0, Stage.GAIN).correct(raw)
    after = Chain(instrument, 0, Stage.DARK, [subtraction(dark, Stage.DARK)]).correct(raw)
    np.testing.assert_allclose(after.amp("A").data, before.amp("A").data - 6, atol=1e-4)
    np.testing.assert_allclose(after.amp("B").data, before.amp("B").data - 12, atol=1e-4)
    assert "dark 0199: rescaled to the gains of this image" in after.applied
    same = image_product(np.full((SIZE, 2 * SIZE), 12.0), "electron", type="dark", gains={"A": 1.5, "B": 2.0})
    image = Chain(instrument, 0, Stage.DARK, [subtraction(same, Stage.DARK)]).correct(raw)
    np.testing.assert_allclose(image.data, before.data - 12, atol=1e-4)
    assert not any("rescaled" in line for line in image.applied)


@pytest.mark.parametrize(
    ("unit", "stage", "header", "message"),
    [
        ("electron", Stage.BIAS, {"gains": {"A": 1.5, "B": 2.0}}, "is in electron, the image is in adu at this stage"),
        ("adu", Stage.DARK, {}, "is in adu, the image is in electron at this stage"),
        ("electron", Stage.DARK, {"gains": {"A": 1.5}}, "does not say with which gain of amplifier B"),
        ("adu", Stage.BIAS, {"detector": 3}, "is of testcam detector 3, the image of testcam detector 0"),
        ("adu", Stage.BIAS, {"instrument": "other"}, "is of other detector 0"),
        ("adu", Stage.BIAS, {"key": {"binning": [2, 2]}}, r"is for binning \[2, 2\], exposure e1 has \(1, 1\)"),
        ("adu", Stage.BIAS, {"key": {"mode": "fast"}}, "is for mode 'fast', exposure e1 has ''"),
    ],
)
def test_products_that_do_not_fit_are_refused(
    build: Callable[..., Instrument],
    raw_of: Callable[..., RawFrame],
    subtraction: Callable[..., Step],
    image_product: Callable[..., ImageProduct],
    unit: str,
    stage: Stage,
    header: dict[str, object],
    message: str,
) -> None:
    instrument = build()
    product = image_product(np.zeros((SIZE, 2 * SIZE)), unit, **header)
    chain = Chain(instrument, 0, stage, [subtraction(product, stage)])
    with pytest.raises(IncompatibleError, match=message):
        chain.correct(raw_of(instrument, {0: _plane()}))


def test_products_of_the_same_mode_and_size_are_accepted_and_others_not(
    build: Callable[..., Instrument],
    raw_of: Callable[..., RawFrame],
    subtraction: Callable[..., Step],
    image_product: Callable[..., ImageProduct],
    header_of: Callable[..., Header],
) -> None:
    instrument = build()
    raw = raw_of(instrument, {0: _plane()})
    fits_well = image_product(np.zeros((SIZE, 2 * SIZE)), key={"binning": [1, 1], "mode": "", "detector": 0})
    Chain(instrument, 0, Stage.BIAS, [subtraction(fits_well)]).correct(raw)
    small = image_product(np.zeros((SIZE, SIZE)))
    with pytest.raises(IncompatibleError, match="has 40x40 pixels, the image 80x40 pixels"):
        Chain(instrument, 0, Stage.BIAS, [subtraction(small)]).correct(raw)
    regions = RegionProduct(mask=np.zeros((SIZE, 2 * SIZE), np.uint32), unit="electron")
    regions = regions.with_header(header_of(gains={"A": 9.0, "B": 2.0}))
    with pytest.raises(IncompatibleError, match=r"made with gain 9 of amplifier A, the image with 1\.5"):
        Chain(instrument, 0, Stage.DARK, [subtraction(regions, Stage.DARK)]).correct(raw)


def test_products_are_cropped_to_the_window(
    build: Callable[..., Instrument],
    raw_of: Callable[..., RawFrame],
    subtraction: Callable[..., Step],
    image_product: Callable[..., ImageProduct],
) -> None:
    instrument = build()
    window = "[31:50,11:30]"
    plane = _plane()[10:30][:, [*range(30, 50), *range(80, 120)]]
    raw = raw_of(instrument, {0: plane}, window=window)
    structure = np.arange(SIZE * 2 * SIZE, dtype=float).reshape(SIZE, 2 * SIZE)
    before = Chain(instrument, 0, Stage.FULL_WELL).correct(raw)
    after = Chain(instrument, 0, Stage.BIAS, [subtraction(image_product(structure))]).correct(raw)
    np.testing.assert_allclose(after.data, before.data - structure[10:30, 30:50], atol=1e-3)
    of_window = image_product(np.zeros((20, 20)), key={"window": window})
    Chain(instrument, 0, Stage.BIAS, [subtraction(of_window)]).correct(raw)
    elsewhere = image_product(np.zeros((20, 20)), key={"window": "[32:51,11:30]"})
    with pytest.raises(IncompatibleError, match=r"is of window \[32:51,11:30\], not \[31:50,11:30\]"):
        Chain(instrument, 0, Stage.BIAS, [subtraction(elsewhere)]).correct(raw)


def test_variance_is_read_noise_plus_poisson(
    build: Callable[..., Instrument],
    raw_of: Callable[..., RawFrame],
    subtraction: Callable[..., Step],
    image_product: Callable[..., ImageProduct],
) -> None:
    instrument = build()
    raw = raw_of(instrument, {0: _plane()})
    bias = image_product(np.full((SIZE, 2 * SIZE), 10.0))
    steps = [subtraction(bias)]
    for stage in (Stage.BIAS, Stage.GAIN):
        image = Chain(instrument, 0, stage, steps).correct(raw, variance=True)
        assert image.variance is not None
        for name, gain in (("A", 1.5), ("B", 2.0)):
            view, record = image.amp(name), image.records[name]
            factor = gain if stage == Stage.GAIN else 1.0
            signal = np.median(view.data / factor)  # uniform light; `test_variance` is about the rest
            levels = record.level_variance + record.column_variance + record.amplifier_variance
            assert levels > 0
            expected = ((record.read_noise or 0) ** 2 + levels + 0.5**2 + signal / gain) * factor**2
            np.testing.assert_allclose(view.variance, np.full(view.data.shape, expected), rtol=0.02)
        assert "variance: read noise and Poisson" in image.applied
    assert Chain(instrument, 0, Stage.GAIN, steps).correct(raw).variance is None


def test_variance_matches_the_scatter_of_real_photons(
    build: Callable[..., Instrument], raw_of: Callable[..., RawFrame]
) -> None:
    rng = np.random.default_rng(6)
    plane = rng.normal(500, 4, (SIZE, 120))
    plane[:, :SIZE] += rng.poisson(3000, (SIZE, SIZE)) / 1.5
    plane[:, SIZE : 2 * SIZE] += rng.poisson(3000, (SIZE, SIZE)) / 2.0
    instrument = build()
    image = Chain(instrument, 0, Stage.GAIN).correct(
        raw_of(instrument, {0: np.round(plane).astype(np.uint16)}), variance=True
    )
    assert image.variance is not None
    pulls = (image.data - 3000) / np.sqrt(image.variance)
    # 3200 pixels: the rms is good to 1/sqrt(2·3200) = 1.3 %, row levels are common to a row's pixels.
    assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.05)


def test_variance_without_overscan_takes_given_or_nominal_noise(
    camera: Callable[..., Instrument], raw_of: Callable[..., RawFrame]
) -> None:
    amplifier = {"name": "A", "data": "[1:4,1:2]", "detector": "[1:4,1:2]"}
    pixels = {0: np.arange(8, dtype=np.uint16).reshape(2, 4)}
    bare = camera((4, 2), [amplifier])
    raw = raw_of(bare, pixels)
    with pytest.raises(InputsMissingError, match="amplifier A: no read noise for the variance"):
        Chain(bare, 0, Stage.FULL_WELL).correct(raw, variance=True)
    given = Chain(bare, 0, Stage.FULL_WELL, read_noise={"A": 3.0}).correct(raw, variance=True)
    np.testing.assert_array_equal(given.variance, np.full((2, 4), 9, np.float32))
    assert given.applied[-1] == (
        "variance: read noise and Poisson; amplifier A without Poisson noise: gain or zero level unknown"
    )
    nominal = camera((4, 2), [{**amplifier, "gain": 2.0, "read_noise": 8.0}])
    image = Chain(nominal, 0, Stage.FULL_WELL).correct(raw_of(nominal, pixels), variance=True)
    np.testing.assert_array_equal(image.variance, np.full((2, 4), 16, np.float32))


def test_a_dead_amplifier_has_no_variance(build: Callable[..., Instrument], raw_of: Callable[..., RawFrame]) -> None:
    plane = _plane()
    plane[:, :SIZE] = 0
    plane[:, 80:100] = 0
    instrument = build()
    image = Chain(instrument, 0, Stage.GAIN).correct(raw_of(instrument, {0: plane}), variance=True)
    assert np.isnan(image.amp("A").variance).all()
    assert np.isfinite(image.amp("B").variance).all()
