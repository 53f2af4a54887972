"""Small stacks of exposures with known truth: what the conformance suites feed to a calibration type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cpp_framework.model import Amplifier, AmplifierRecord, Box, Detector, Exposure, Image, Mask, Measurement, Product
from cpp_framework.stats.arrays import ArrayFrames

GAIN = 1.5
READ_NOISE = 4.0
"""Read noise of the small detector [adu]."""
ADC_MAXIMUM = 65535.0
_OVERSCAN = 32


@dataclass(frozen=True)
class Stack:
    """Images by selection name, and the truth they were made from.

    ``truth`` [y, x] is what the product should say; for `make_stack` the noiseless signal in adu. ``needs`` are
    products `solve` is given beside the images; a type that is made from products alone has no images.
    """

    images: Mapping[str, Sequence[Image]]
    truth: NDArray[np.float64]
    detector: Detector
    needs: Mapping[str, Product] = field(default_factory=dict)

    def frames(
        self, selection: str, measurements: Sequence[Measurement] = (), shared: Measurement | None = None
    ) -> ArrayFrames:
        """Return one selection in the form `solve` gets it."""
        images = self.images[selection]
        return ArrayFrames(
            np.stack([image.data for image in images]),
            self.detector,
            [image.exposure for image in images if image.exposure is not None],
            masks=np.stack([image.mask for image in images]),
            unit=images[0].unit,
            records=[image.records for image in images],
            measurements=measurements,
            shared=shared,
        )


def small_detector(height: int = 64, width: int = 96) -> Detector:
    """Return a detector of two amplifiers, left and right, read out towards the sides, with overscan and gain."""
    half = width // 2
    left = Amplifier(
        "A",
        Box(0, 0, half, height),
        gain=GAIN,
        read_noise=READ_NOISE * GAIN,
        adc_maximum=ADC_MAXIMUM,
        full_well=60000.0,
        serial_overscan=_OVERSCAN,
    )
    right = replace(left, name="B", box=Box(half, 0, width, height), flip_x=True)
    return Detector("testcam", 0, "S00", width, height, (left, right), serial="TEST-0")


def make_exposure(detector: Detector, kind: str, number: int, exposure_time: float = 0.0) -> Exposure:
    """Return the exposure ``number`` of a sequence with one exposure per minute."""
    begin = 1_800_000_000_000_000_000 + number * 60_000_000_000
    return Exposure(
        instrument=detector.instrument,
        detector=detector.id,
        id=f"{kind}-{number:04d}",
        number=number,
        kind=kind,
        exposure_time=exposure_time,
        dark_time=exposure_time,
        begin=begin,
        end=begin + int(exposure_time * 1e9),
    )


def make_stack(
    n: int,
    seed: int,
    *,
    kind: str = "bias",
    selection: str = "",
    light: float = 0.0,
    dead_amplifier: bool = False,
    nan_pixels: bool = False,
    saturated_frame: bool = False,
) -> Stack:
    """Simulate a selection: a fixed pattern, light if wanted, and white noise.

    Parameters
    ----------
    n : int
        Number of exposures.
    seed : int
    kind, selection : str
        Exposure kind, and name of the selection (the kind if empty).
    light : float
        Mean light [adu] added to the pattern, with Poisson noise for a gain of `GAIN`.
    dead_amplifier : bool
        Amplifier B gives the same number in every pixel.
    nan_pixels : bool
        Pixel (5, 7) is NaN in every exposure, pixel (6, 8) in the first.
    saturated_frame : bool
        The first exposure is saturated throughout and masked SAT.
    """
    rng = np.random.default_rng(seed)
    detector = small_detector()
    truth = light + _pattern(detector)
    images = []
    for number in range(n):
        image = _image(rng, detector, truth, light, make_exposure(detector, kind, number, 1.0 if light else 0.0))
        if dead_amplifier:
            image.amp("B").data[:] = 0.0
        if nan_pixels:
            image.data[5, 7] = np.nan
            image.mask[5, 7] |= Mask.NOT_FINITE
            if number == 0:
                image.data[6, 8] = np.nan
                image.mask[6, 8] |= Mask.NOT_FINITE
        if saturated_frame and number == 0:
            image.data[:] = ADC_MAXIMUM
            image.mask |= np.uint32(Mask.SAT)
        images.append(image)
    return Stack({selection or kind: images}, truth, detector)


def _pattern(detector: Detector) -> NDArray[np.float64]:
    """Column and ramp structure of a few adu, different in each amplifier."""
    y, x = np.mgrid[: detector.height, : detector.width]
    pattern: NDArray[np.float64] = (
        np.where(x % 16 == 3, 6.0, 0.0) + 2.0 * y / detector.height + np.where(x < detector.width // 2, 1.0, 5.0)
    )
    return pattern


def _image(
    rng: np.random.Generator, detector: Detector, truth: NDArray[np.float64], light: float, exposure: Exposure
) -> Image:
    signal = truth - light + rng.poisson(light * GAIN, truth.shape) / GAIN if light else truth
    data = (signal + rng.normal(0.0, READ_NOISE, truth.shape)).astype(np.float32)
    overscans, records = {}, {}
    for amp in detector.amplifiers:
        overscan = rng.normal(0.0, READ_NOISE, (amp.box.height, _OVERSCAN)).astype(np.float32)
        overscans[amp.name] = {"serial_overscan": overscan}
        noise = float(np.std(overscan, ddof=1))
        records[amp.name] = AmplifierRecord(
            bias_level=0.0, read_noise=noise, read_noise_error=noise / np.sqrt(2 * (overscan.size - 1))
        )
    return Image(
        data,
        np.zeros(data.shape, np.uint32),
        detector,
        variance=np.full(data.shape, READ_NOISE**2 + light / GAIN, np.float32),
        exposure=exposure,
        overscans=overscans,
        records=records,
    )
