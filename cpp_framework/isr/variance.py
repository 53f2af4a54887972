"""The variance plane from a noise model: read noise and overscan levels, plus signal over gain where known [adu²]."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cpp_framework.errors import InputsMissingError
from cpp_framework.isr.gain import Gains
from cpp_framework.model.image import Image


def start_variance(image: Image, read_noise: Mapping[str, float]) -> None:
    """Give an image [adu] the variance of its read noise, and of the row and column levels subtracted from it.

    Parameters
    ----------
    image : Image
        Its records hold the noise of the overscan, which goes first.
    read_noise : mapping of str to float
        Noise by amplifier [adu], as measured in difference frames; used where there is no overscan.

    Raises
    ------
    InputsMissingError
        An amplifier of a camera without overscan has neither, nor a nominal read noise and gain.
    """
    image.variance = np.full(image.data.shape, np.nan, np.float32)
    for amp in image.detector.amplifiers:
        record = image.records[amp.name]
        noise = record.read_noise
        if noise is None:
            noise = read_noise.get(amp.name)
        if noise is None and amp.read_noise is not None and amp.gain is not None:
            noise = amp.read_noise / amp.gain
        if noise is None and (amp.serial_overscan or amp.parallel_overscan):
            continue  # dead, or saturated into the overscan: masked pixels without a known variance
        if noise is None:
            raise InputsMissingError(
                f"amplifier {amp.name}: no read noise for the variance: no overscan, no difference frames, no nominal",
                hint="set read_noise and gain of the amplifier in the instrument file",
            )
        image.variance[amp.box.slices] = noise**2 + record.level_variance + record.column_variance


def add_poisson(image: Image, gains: Gains, *, zero_removed: bool) -> None:
    """Add signal/gain to the variance of an image that is still in ADU.

    ``zero_removed`` says that a product took out the zero level. Where neither it nor an overscan did, the signal
    is not known and the variance stays that of the read noise; likewise without a gain.
    """
    assert image.variance is not None
    left_out = []
    for amp in image.detector.amplifiers:
        gain = gains.values.get(amp.name)
        if gain is None or not (zero_removed or image.records[amp.name].bias_level is not None):
            left_out.append(amp.name)
            continue
        signal = np.maximum(image.data[amp.box.slices], 0)
        image.variance[amp.box.slices] += signal / np.float32(gain)
    without = f"; amplifier {', '.join(left_out)} without Poisson noise: gain or zero level unknown" if left_out else ""
    image.applied.append(f"variance: read noise and Poisson{without}")
