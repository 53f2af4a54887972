"""Measure one flat exposure of one detector: level and noise of its amplifiers, and a coarse map of the light."""

from __future__ import annotations

import math

import numpy as np

from cpp_flat.blocks import block_levels, blocks_of
from cpp_flat.config import FlatConfig
from cpp_framework.errors import ContractError
from cpp_framework.model import UNUSABLE, Image, Mask, Measurement
from cpp_framework.model.context import Context
from cpp_framework.stats import AmplifierStatistics, frame_statistics


def measure(image: Image, config: FlatConfig, ctx: Context) -> Measurement:  # noqa: ARG001  (the contract's signature)
    """Measure one corrected exposure.

    Returns
    -------
    Measurement
        Arrays by amplifier, in the detector's order: ``level`` (clipped mean) and ``noise`` of a pixel in the image's
        unit, ``pixels`` that were used, ``saturated`` (fraction), ``size`` (pixels in all).
        By block: ``block_level`` (mean without outliers, the image's unit), ``block_pixels``, ``block_amplifier``
        (index), ``block_x`` and ``block_y`` (centre, pixels). Values: ``exposure``, ``time`` [s], ``amplifiers``,
        ``unit``, ``shape`` (height, width).

    Raises
    ------
    ContractError
        The image does not say which exposure it is.
    """
    if image.exposure is None:
        raise ContractError("the image has no exposure: the flat must know which one it measures, and how long it was")
    amplifiers = image.detector.amplifiers
    found = frame_statistics(image.data, image.mask, amplifiers)
    statistics = [found[amp.name] for amp in amplifiers]
    saturated = (image.mask & np.uint32(Mask.SAT | Mask.FULL_WELL)) != 0
    good = np.where(image.mask & np.uint32(UNUSABLE), np.float32(np.nan), image.data)
    blocks = blocks_of(image.detector)
    block_level, block_pixels = block_levels(good, blocks)
    return Measurement(
        arrays={
            "level": np.array([one.level for one in statistics]),
            "noise": np.array([_noise(image, amp.name, found[amp.name]) for amp in amplifiers]),
            "pixels": np.array([one.n for one in statistics], np.int64),
            "saturated": np.array([saturated[amp.box.slices].mean() for amp in amplifiers]),
            "size": np.array([amp.box.height * amp.box.width for amp in amplifiers], np.int64),
            "block_level": block_level,
            "block_pixels": block_pixels,
            "block_amplifier": np.array([block.amplifier for block in blocks], np.int64),
            "block_x": np.array([block.centre[0] for block in blocks]),
            "block_y": np.array([block.centre[1] for block in blocks]),
        },
        values={
            "exposure": image.exposure.id,
            "time": image.exposure.exposure_time,
            "amplifiers": [amp.name for amp in amplifiers],
            "unit": image.unit,
            "shape": list(image.detector.shape),
        },
    )


def _noise(image: Image, amplifier: str, found: AmplifierStatistics) -> float:
    """Noise of a pixel: in electron read and photon noise, in ADU that of differences between rows.

    The latter holds the response from pixel to pixel as well, and is 0 in an amplifier that is dead.
    """
    if image.unit != "electron" or not found.noise > 0:
        return found.noise
    record = image.records[amplifier]
    read = (record.read_noise or 0.0) * (record.gain or 1.0)
    return math.sqrt(max(found.level, 0.0) + read**2)
