"""The variance plane from a noise model: read noise and overscan levels, plus signal over gain where known [adu²].

The signal of a pixel is only known with its noise. Taken as it is, with negative values cut off, it made the variance
of a dark sky 8 % too large (read noise 3 adu), gave pulls of 1.02 at 10 to 30 electron, and lowered weighted means,
since a pixel that fluctuates down seems the better one. So the Poisson noise follows the signal around: the median of
five rows, then of five columns, which no cosmic ray, hot pixel or single bad line moves, and which may be
negative, as the mean of nothing is. A pixel that stands out of it by more than `CLIP` sigma (star, cosmic ray) is its
own witness. Measured on blank sky of 0 … 1000 electron with a read noise of 5: pulls of rms 1.000 to 1.002, mean
variance within 0.15 % of the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cpp_framework.errors import InputsMissingError
from cpp_framework.isr._variance_kernels import REACH, add_signal_noise
from cpp_framework.isr.gain import Gains
from cpp_framework.model.detector import Amplifier
from cpp_framework.model.image import Image

CLIP = 4.0
"""Sigma by which a pixel stands out of the signal around it."""
FLOOR = 0.5
"""Fraction of the read noise's variance that is always left, where the signal around is below zero by its noise."""


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
        levels = record.level_variance + record.column_variance + record.amplifier_variance
        image.variance[amp.box.slices] = noise**2 + levels


def add_poisson(image: Image, gains: Gains, *, zero_removed: bool, threads: int = 1) -> None:
    """Add signal/gain to the variance of an image that is still in ADU.

    Parameters
    ----------
    image : Image
        In ADU, with a variance plane.
    gains : Gains
    zero_removed : bool
        Whether a product took out the zero level. Where neither it nor an overscan did, the signal is not known and
        the variance stays that of the read noise; likewise without a gain.
    threads : int
        How many amplifiers to work on at once; the outcome does not depend on it.
    """
    assert image.variance is not None
    known: list[tuple[Amplifier, float]] = []
    left_out = []
    for amp in image.detector.amplifiers:
        gain = gains.values.get(amp.name)
        if gain is None or not (zero_removed or image.records[amp.name].bias_level is not None):
            left_out.append(amp.name)
        else:
            known.append((amp, gain))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda one: _add_to_amplifier(image, *one), known))
    without = f"; amplifier {', '.join(left_out)} without Poisson noise: gain or zero level unknown" if left_out else ""
    image.applied.append(f"variance: read noise and Poisson{without}")


def _add_to_amplifier(image: Image, amp: Amplifier, gain: float) -> None:
    assert image.variance is not None
    box = amp.box
    if min(box.shape) < REACH:  # nothing around to go by
        image.variance[box.slices] += np.maximum(image.data[box.slices], 0) / np.float32(gain)
    else:
        add_signal_noise(image.data, image.variance, (box.x0, box.y0, box.x1, box.y1), gain, CLIP, FLOOR)
