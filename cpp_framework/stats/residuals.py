"""Held-out residuals: an exposure minus what the stack would say without it, from the stored product alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cpp_framework.errors import ContractError, IncompatibleError
from cpp_framework.model.context import ResidualFrame
from cpp_framework.model.detector import Amplifier, Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.image import AmplifierRecord
from cpp_framework.model.mask import UNUSABLE
from cpp_framework.model.product import ImageProduct, run_pixels

Float = NDArray[np.float32]

ONLY = 1e-5
"""A sample that leaves the others less than this share of the sums is the only one: nothing is held out from it."""


ROUNDING = 0.05
"""Share of its error by which a stored value may miss the fit of its exposures."""
FLOAT_STEPS = 1e-5
"""The same as a share of the value: sums of float32 samples."""


class HeldOut:
    """Residuals of single exposures against one stored stack.

    With e_k = x_k − s_k·P (− Z) − o_k, the residual against a stack made without x_k is e_k/(1 − h_k): an identity for
    linear fits with a fixed rejection (Belsley, Kuh & Welsch 1980, section 2.1). h_k = w_k s_k²/Σ w s² is the leverage
    of the sample, 1/n for a plain mean of n. The variance is σ_k²/(1 − h_k). A sample that was left out, or of an
    exposure outside the stack, has the residual e_k with variance σ_k²·(1 + h_k).

    The sums run over the samples used in the pixel. The product says which were rejected; of masked ones it tells only
    how many, and they are taken to have had the average weight. An exposure the product refused in an amplifier is
    outside the stack there, and one outside the stack altogether has the median weight of the others.

    Parameters
    ----------
    product : ImageProduct
        The stored candidate.
    detector : Detector, optional
        Of the frames; needed where exposures have offsets or were refused in single amplifiers.

    Raises
    ------
    ContractError
        The product has offsets and no detector is given.
    """

    def __init__(self, product: ImageProduct, detector: Detector | None = None) -> None:
        if product.offsets.size and detector is None:
            raise ContractError("residuals of exposures with offsets need the detector")
        self._product = product
        self._amplifiers: tuple[Amplifier, ...] = detector.amplifiers if detector else ()
        self._unusable = (product.mask & np.uint32(UNUSABLE)) != 0
        self._zero = product.intercept()
        self._weights = product.weights if product.weights.size else np.ones(max(len(product.stacked), 1))
        self._scales = product.scales if product.scales.size else np.ones(len(product.stacked))
        plain = not product.scales.size and not product.weights.size and self._zero is None
        self._sums = [] if plain else self._pixel_sums()
        self._imbalance = np.zeros((len(self._powers), *product.image.shape), np.float32)
        self._seen: set[str] = set()

    @property
    def _powers(self) -> tuple[int, ...]:
        """Powers of the scale in the normal equations of the fit."""
        return (1,) if self._zero is None else (0, 1)

    def not_solved(self) -> NDArray[np.bool_] | None:
        """Pixels ``[y, x]`` whose stored value is not the fit of its exposures; None before all have been seen.

        A least-squares fit leaves Σ w s e = 0 over the samples it used (with an intercept also Σ w e = 0), whatever
        the noise. A pixel is wrong where that sum moves it by more than `ROUNDING` of its error, or of its value.
        """
        product = self._product
        if self._seen != set(product.stacked):
            return None
        weights = float(np.sum(self._weights * self._scales**2))
        allowed = np.maximum(ROUNDING * product.error, FLOAT_STEPS * np.abs(product.image)) * np.float32(weights)
        wrong = np.abs(self._imbalance[-1]) > allowed
        if self._zero is not None:
            largest = np.float32(np.max(self._scales, initial=0.0))
            wrong |= np.abs(self._imbalance[0]) * largest > allowed
        found: NDArray[np.bool_] = wrong & ~self._unusable & (product.used > 0)
        return found

    def _count(self, exposure: Exposure, residual: Float, left_out: NDArray[np.bool_], scale: float) -> None:
        """Add the samples of one exposure that were used to the normal equations."""
        weight = self._weights[self._product.stacked.index(exposure.id)]
        smooth = self._product.factor(exposure)
        plain = residual if smooth is None else residual / smooth
        counted = np.where(left_out | np.isnan(plain), np.float32(0), plain)
        for number, power in enumerate(self._powers):
            self._imbalance[number] += np.float32(weight * scale**power) * counted
        self._seen.add(exposure.id)

    def frame(self, exposure: Exposure, samples: Float, records: Mapping[str, AmplifierRecord]) -> ResidualFrame:
        """Return the residual of one exposure.

        Parameters
        ----------
        exposure : Exposure
        samples : float32 ``[y, x]``
            The corrected exposure in the unit of the stack's samples, NaN where masked.
        records : mapping of str to AmplifierRecord
            What the overscan stage found in this exposure, handed on.

        Raises
        ------
        IncompatibleError
            Shapes differ.
        """
        product = self._product
        if samples.shape != product.image.shape:
            raise IncompatibleError(
                f"exposure {exposure.id} has {samples.shape} pixels (y, x), the product {product.image.shape}",
                hint="was the geometry in the instrument file changed since the product was made?",
            )
        scale = product.scale_of(exposure)
        model = self._model(exposure, scale)
        residual = samples - model
        inside, outside = self._factors(exposure, scale)
        if exposure.id in product.stacked:
            factor, left_out = inside, self._left_out(exposure)
            if exposure.id not in self._seen:
                self._count(exposure, residual, left_out, scale)
            plain = residual[left_out]
            residual *= factor
            residual[left_out], factor[left_out] = plain, outside[left_out]
        else:
            factor = outside
        unusable = self._unusable | np.isnan(factor)
        residual[unusable] = np.nan
        factor[unusable] = np.nan
        return ResidualFrame(exposure, residual, factor, records, model, scale)

    def _model(self, exposure: Exposure, scale: float) -> Float:
        """What the exposure should be, in the unit of its samples."""
        product = self._product
        if scale == 1.0 and self._zero is None and not product.offsets.size:
            return product.image
        model = product.image * np.float32(scale)
        if (smooth := product.factor(exposure)) is not None:
            model *= smooth
        if self._zero is not None:
            model += self._zero
        if product.offsets.size and exposure.id in product.stacked:
            offsets = dict(zip(product.amplifiers, product.offsets[product.stacked.index(exposure.id)], strict=True))
            for amp in self._amplifiers:
                model[amp.box.slices] += np.float32(offsets[amp.name])
        return model

    def _left_out(self, exposure: Exposure) -> NDArray[np.bool_]:
        """Samples of a stacked exposure that are not in the stack."""
        product = self._product
        left_out = product.rejected_mask(exposure.id)
        for amp in self._amplifiers:
            if exposure.id in product.refused or f"{exposure.id}/{amp.name}" in product.refused:
                left_out[amp.box.slices] = True
        return left_out

    def _factors(self, exposure: Exposure, scale: float) -> tuple[Float, Float]:
        """Variance factors of the exposure's samples: if they were used, and if not."""
        product = self._product
        with np.errstate(divide="ignore", invalid="ignore"):
            if not self._sums:
                # Few counts occur: the factors are looked up by count, not computed for each pixel.
                counts = np.arange(int(product.used.max(initial=0)) + 1, dtype=np.float32)
                inside = np.where(counts > 1, counts / (counts - 1), np.float32(np.nan))
                outside = np.where(counts > 0, 1 + 1 / counts, np.float32(np.nan))
                return inside[product.used], outside[product.used]
            leverage = self._leverage(exposure, scale)
            held = 1 - leverage
            return np.where(held > ONLY, 1 / held, np.float32(np.nan)), 1 + leverage

    def _leverage(self, exposure: Exposure, scale: float) -> Float:
        stacked = self._product.stacked
        known = exposure.id in stacked
        weight = np.float32(self._weights[stacked.index(exposure.id)] if known else np.median(self._weights))
        s = np.float32(scale)
        if self._zero is None:
            (squares,) = self._sums
            of_scale: Float = weight * s * s / squares
            return of_scale
        ones, firsts, squares = self._sums
        leverage: Float = weight * (squares - 2 * s * firsts + s * s * ones) / (ones * squares - firsts * firsts)
        return leverage

    def _pixel_sums(self) -> list[Float]:
        """Σ w s² over the samples used in each pixel; with an intercept Σ w, Σ w s and Σ w s²."""
        product = self._product
        powers = (2,) if self._zero is None else (0, 1, 2)
        runs = product.rejected
        where = run_pixels(runs)
        which = np.repeat(runs[:, 0], runs[:, 3])
        counted = np.full(product.image.shape, len(product.stacked), np.float32)
        np.subtract.at(counted, where, np.float32(1))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = product.used / counted
        sums = []
        for power in powers:
            terms = (self._weights * self._scales**power).astype(np.float32)
            total = np.full(product.image.shape, terms.sum(dtype=np.float64), np.float32)
            np.subtract.at(total, where, terms[which])
            total *= share
            total[product.used == 0] = np.nan
            sums.append(total)
        return sums


def held_out_residual(
    product: ImageProduct, exposure: Exposure, samples: Float, records: Mapping[str, AmplifierRecord]
) -> ResidualFrame:
    """Return the residual of one exposure of a stack without offsets; see `HeldOut`."""
    return HeldOut(product).frame(exposure, samples, records)
