"""Checks of the flat itself: detectors (F5), pixel-to-pixel response (F6), support and normalisation (F8)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from cpp_flat.blocks import block_medians, blocks_of
from cpp_flat.limits import limits_of
from cpp_flat.product import Flat
from cpp_flat.residual import live_amplifiers
from cpp_framework.model import UNUSABLE, Amplifier, Check, Detector, Level, Measured, VerifyContext
from cpp_framework.stats import clipped_moments

SMOOTH = 7
"""Side in pixels of the box whose mean is the smooth response."""

OUTSIDE = (0.8, 1.2)
"""Responses relative to the surroundings beyond which a pixel is no ordinary one."""


def response_checks(product: Flat, ctx: VerifyContext) -> Iterator[Check]:
    """F5, F6 and F8."""
    yield _detectors(product, ctx)
    yield _gauge(product, ctx)
    outliers = _outlying(product, ctx.detector)
    previous = ctx.previous if isinstance(ctx.previous, Flat) else None
    for amp in live_amplifiers(product, ctx.detector):
        yield from _prnu_checks(product, previous, amp, ctx)
        yield _support(product, amp, ctx)
        yield _outliers(outliers, amp, ctx)
        yield _normalisation(product, amp, ctx)


def _detectors(product: Flat, ctx: VerifyContext) -> Check:
    """F5: scatter of the detectors' mean throughputs, as fraction of their mean."""
    table = product.tables["FOCAL_PLANE"]
    throughput, pixels, detector = (np.asarray(table[name]) for name in ("THROUGHPUT", "PIXELS", "DETECTOR"))
    means = []
    for one in np.unique(detector):
        inside = (detector == one) & np.isfinite(throughput)
        if inside.any():
            means.append(np.average(throughput[inside], weights=pixels[inside]))
    where = {"level": Level.RUN, "detector": ctx.detector.id}
    if product.frame_unit != "electron":
        # The gains of the other detectors are not known here, and they differ by more than the responses do.
        return Check(name="F5_detectors", skipped="the flat was made in adu: throughputs hold the gains", **where)
    if len(means) < 2:
        return Check(name="F5_detectors", skipped=f"{len(means)} detector: nothing to compare with", **where)
    value = float(np.std(means, ddof=1) / np.mean(means))
    reason = f"{len(means)} detectors"
    return Check(name="F5_detectors", value=value, unit="1", reason=reason, **limits_of(ctx, "F5_detectors"), **where)


def pixel_response(product: Flat, amp: Amplifier) -> Measured | None:
    """Scatter of the response from pixel to pixel in one amplifier, without that of photon noise; None without data.

    The response is taken relative to the mean of a box around each pixel. That mean holds the pixel itself, which
    lowers both variances by one over the pixels of the box.
    """
    good = (product.mask[amp.box.slices] & np.uint32(UNUSABLE)) == 0
    image = np.where(good, product.image[amp.box.slices], 0.0).astype(np.float64)
    covered = uniform_filter(good.astype(np.float64), SMOOTH, mode="constant")
    with np.errstate(divide="ignore", invalid="ignore"):
        smooth = uniform_filter(image, SMOOTH, mode="constant") / covered
        whole = good & (covered > 0.5)
        relative = np.where(whole, image / smooth - 1, np.nan)
        noise = np.where(whole, product.error[amp.box.slices] / smooth, np.nan)
        kept = 1 - 1 / (covered * SMOOTH**2)
    moments = clipped_moments(relative)
    if moments.n < 2:
        return None
    share = float(np.mean(kept[whole]))
    variance = moments.std**2 / share - float(np.nanmean(noise**2))
    error = 2 * moments.std * moments.std_error / share
    value = math.sqrt(max(variance, 0.0))
    # Where noise explains it all, the error is that of a scatter at the limit of what could be seen.
    visible = max(value, math.sqrt(error))
    return Measured(value=value, error=error / (2 * visible) if visible > 0 else 0.0, unit="1")


def _prnu_checks(product: Flat, previous: Flat | None, amp: Amplifier, ctx: VerifyContext) -> Iterator[Check]:
    where = _where(amp, ctx)
    now = pixel_response(product, amp)
    if now is None:
        for name in ("F6_prnu", "F6_change"):
            yield Check(name=name, skipped="no good pixel", **where)
        return
    yield Check(name="F6_prnu", value=now.value, error=now.error, unit="1", **limits_of(ctx, "F6_prnu"), **where)
    comparable = previous is not None and previous.image.shape == product.image.shape
    before = pixel_response(previous, amp) if previous is not None and comparable else None
    if before is None:
        yield Check(name="F6_change", skipped="there is no previous flat of the same pixels", **where)
    else:
        yield Check(
            name="F6_change",
            value=now.value - before.value,
            error=math.hypot(now.error or 0.0, before.error or 0.0),
            expected=0.0,
            unit="1",
            reason=f"{before.value:.4g} in the previous flat",
            **limits_of(ctx, "F6_change"),
            **where,
        )


def _support(product: Flat, amp: Amplifier, ctx: VerifyContext) -> Check:
    image = product.image[amp.box.slices]
    unmasked = (product.mask[amp.box.slices] & np.uint32(UNUSABLE)) == 0
    wrong = int(np.count_nonzero(unmasked & ~(image > 0)))
    return Check(name="F8_support", value=wrong, unit="pixel", **limits_of(ctx, "F8_support"), **_where(amp, ctx))


def _outlying(product: Flat, detector: Detector) -> NDArray[np.bool_]:
    """Pixels whose response is far from the median of their block ``[y, x]``."""
    blocks = blocks_of(detector)
    good = (product.mask & np.uint32(UNUSABLE)) == 0
    medians, _ = block_medians(np.where(good, product.image, np.float32(np.nan)), blocks)
    found = np.zeros(product.image.shape, bool)
    low, high = OUTSIDE
    for block, median in zip(blocks, medians, strict=True):
        image = product.image[block.box.slices]
        found[block.box.slices] = good[block.box.slices] & ((image < low * median) | (image > high * median))
    return found


def _outliers(outlying: NDArray[np.bool_], amp: Amplifier, ctx: VerifyContext) -> Check:
    found = int(np.count_nonzero(outlying[amp.box.slices]))
    value = found / outlying[amp.box.slices].size
    reason = f"{found} pixels not masked"
    return Check(
        name="F8_outliers", value=value, unit="1", reason=reason, **limits_of(ctx, "F8_outliers"), **_where(amp, ctx)
    )


def _normalisation(product: Flat, amp: Amplifier, ctx: VerifyContext) -> Check:
    """F8: the mean response of an amplifier is its throughput in the focal plane."""
    good = (product.mask[amp.box.slices] & np.uint32(UNUSABLE)) == 0
    moments = clipped_moments(np.where(good, product.image[amp.box.slices], np.float32(np.nan)))
    throughput = product.amplifiers[amp.name].values["throughput"]
    ratio = moments.mean / throughput.value
    return Check(
        name="F8_normalisation",
        value=ratio - 1,
        error=ratio * math.hypot(moments.error / moments.mean, (throughput.error or 0.0) / throughput.value),
        expected=0.0,
        unit="1",
        **limits_of(ctx, "F8_normalisation"),
        **_where(amp, ctx),
    )


def _gauge(product: Flat, ctx: VerifyContext) -> Check:
    """F8: the pixel-weighted mean throughput of the focal plane is 1, as the product states."""
    table = product.tables["FOCAL_PLANE"]
    throughput, pixels = np.asarray(table["THROUGHPUT"]), np.asarray(table["PIXELS"])
    good = np.isfinite(throughput)
    where = {"level": Level.RUN, "detector": ctx.detector.id}
    if not good.any():
        return Check(name="F8_normalisation", skipped="no good amplifier in the focal plane", **where)
    value = float(np.average(throughput[good], weights=pixels[good])) - 1
    return Check(
        name="F8_normalisation",
        value=value,
        unit="1",
        reason=f"mean throughput of {good.sum()} amplifiers minus 1",
        **limits_of(ctx, "F8_normalisation"),
        **where,
    )


def _where(amp: Amplifier, ctx: VerifyContext) -> dict[str, object]:
    return {"level": Level.AMPLIFIER, "detector": ctx.detector.id, "amplifier": amp.name}
