"""Errors of the bias and the dark in a flat: all exposures share them, so stacking does not make them smaller."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError
from cpp_framework.model import ImageProduct, Section
from cpp_framework.model.context import Frames, Needs


def correction_variance(
    frames: Frames,
    needs: Needs,
    levels: NDArray[np.float64],
    weights: NDArray[np.float64],
    used: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Variance of the response P = Σ w s x / Σ w s² because bias and dark, which each x lacks, have errors.

    The bias adds (Σ w s / Σ w s²)²·σ_B², the dark (Σ w s t / Σ w s²)²·σ_D² with the dark times t. The ratios are
    those of the amplifier: a rejected sample hardly changes them, and not at all where the levels are equal. That a
    dark may share the error of this bias is not counted: it makes the variance smaller.

    Parameters
    ----------
    frames : Frames
        In adu or electron.
    needs : mapping of str to Product
        ``bias`` [adu] and ``dark`` [unit of the frames per second] count where they are there.
    levels, weights : float64 ``[exposure]``
        s, in the unit of the frames, and w.
    used : bool ``[exposure, amplifier]``

    Returns
    -------
    float32 ``[y, x]``, dimensionless; 0 where nothing is known to be shared.

    Raises
    ------
    ContractError
        Bias or dark are not of the pixels of the frames.
    """
    variance = np.zeros(frames.detector.shape, np.float32)
    for name in ("bias", "dark"):
        product = needs.get(name)
        if not isinstance(product, ImageProduct):
            continue
        error = _error_of(name, product, frames)
        times = np.array([one.dark_time if name == "dark" else 1.0 for one in frames.exposures], np.float64)
        for index, amp in enumerate(frames.detector.amplifiers):
            which = used[:, index]
            if not which.any():
                continue
            s, w, t = levels[which], weights[which], times[which]
            factor = float(np.sum(w * s * t) / np.sum(w * s**2))
            if name == "bias" and frames.unit == "electron":
                record = frames.records(amp.name)[int(np.argmax(which))]
                factor *= record.gain if record.gain is not None else 1.0
            variance[amp.box.slices] += np.square(np.float32(factor) * error[amp.box.slices])
    return variance


def _error_of(name: str, product: ImageProduct, frames: Frames) -> NDArray[np.float32]:
    """Error of the pixels that the frames have: of the whole detector's, those of their window."""
    shape, window = frames.detector.shape, frames.exposures[0].window
    error = product.error
    if error.shape != shape and window:
        error = error[Section.parse(window, what=f"window of exposure {frames.exposures[0].id}").box.slices]
    if error.shape != shape:
        raise ContractError(f"the {name} has pixels {product.error.shape}, the flats have {shape}")
    return error
