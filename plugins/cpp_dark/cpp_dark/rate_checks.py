"""Checks of the product itself: noise it adds (D4), current (D7), glow (D8) and hot pixels (D9)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cpp_dark.blocks import block_medians
from cpp_dark.config import DarkConfig
from cpp_dark.estimator import rate_coefficients
from cpp_dark.limits import limits_of, nearest_allowed, scale_of
from cpp_dark.product import Dark
from cpp_dark.rates import Skewness, high_rate
from cpp_dark.residual import live_amplifiers, poisson_gain
from cpp_framework.model import Amplifier, Check, Level, VerifyContext
from cpp_framework.model.mask import UNUSABLE

PENALTY, CURRENT, GLOW, GRADIENT = "D4_noise_penalty", "D7_current", "D8_glow", "D8_gradient"
HOT, GROWTH = "D9_hot_pixels", "D9_growth"

NO_GAIN = "no gain of this amplifier is known, and no limit is set in adu"


def rate_checks(product: Dark, config: DarkConfig, ctx: VerifyContext) -> Iterator[Check]:
    """D4, D7, D8 and D9 of each live amplifier."""
    for amp in live_amplifiers(product, ctx.detector):
        for name, numbers in (
            (PENALTY, _penalty(product, amp, ctx)),
            (CURRENT, _current(product, amp, ctx)),
            *_glow(product, amp, config.block, ctx),
            (HOT, _hot(product, amp, config, ctx)),
            (GROWTH, _growth(product, amp, config, ctx)),
        ):
            yield Check(
                name=name,
                level=Level.AMPLIFIER,
                detector=ctx.detector.id,
                amplifier=amp.name,
                **limits_of(ctx, name),
                **numbers,
            )


def _penalty(product: Dark, amp: Amplifier, ctx: VerifyContext) -> dict[str, object]:
    """D4: the noise of rate × dark time is added to every image; read noise and dark shot noise are there anyway."""
    values = product.amplifiers[amp.name].values
    times = product.scales[product.scales > 0]
    errors = product.error[amp.box.slices]
    if not times.size or not np.any(np.isfinite(errors)):
        return {"skipped": "most pixels have no data"}
    time = float(np.median(times))
    own = values["read_noise"].value ** 2
    if (gain := poisson_gain(product, ctx, amp.name)) is not None:
        own += max(values["median"].value, 0.0) * time / gain
    added = float(np.nanmedian(errors)) * time
    return {
        "value": math.sqrt(1 + added**2 / own) - 1,
        "unit": "1",
        "reason": f"in an image of {time:g} s; {int(np.median(product.used[amp.box.slices]))} exposures",
    }


def _current(product: Dark, amp: Amplifier, ctx: VerifyContext) -> dict[str, object]:
    """D7, from the planes of the product rather than from what it says of them."""
    values = product.amplifiers[amp.name].values
    scale = scale_of(ctx, CURRENT, product, amp.name)
    if product.relative:
        return {"skipped": "rates count from the amplifier's median: the current itself is not known"}
    if "p95" not in values:
        return {"skipped": "too few usable pixels"}
    if scale is None:
        return {"skipped": NO_GAIN}
    factor, unit = scale
    read = values["read_noise"]
    relative = (read.error or 0.0) / read.value if read.value else 0.0
    # The error that all pixels share is known to `solve` alone, as part of the median's.
    common = values["median"].error or 0.0
    rates = _usable(product, amp)
    factors = rate_coefficients(product.scales, product.weights, joint=product.zero.size > 0)
    gain = poisson_gain(product, ctx, amp.name)
    skewness = Skewness.of(factors, product.scales, float(np.nanmedian(rates)), gain)
    high, error = high_rate(rates, product.error[amp.box.slices], relative, common, skewness)
    return {
        "value": high * factor,
        "error": error * factor,
        "unit": f"{unit}/s",
        "expected": nearest_allowed(ctx, CURRENT, high * factor),
    }


def _usable(product: Dark, amp: Amplifier) -> NDArray[np.float32]:
    """Rates of an amplifier, NaN where masked."""
    masked = (product.mask[amp.box.slices] & np.uint32(UNUSABLE)) != 0
    return np.where(masked, np.float32(np.nan), product.image[amp.box.slices])


def _glow(product: Dark, amp: Amplifier, block: int, ctx: VerifyContext) -> Iterator[tuple[str, dict[str, object]]]:
    """D8: the brightest block above the median block, and the range of a plane through the blocks."""
    scale = scale_of(ctx, GLOW, product, amp.name)
    rates = _usable(product, amp)
    side = max(min(block, min(rates.shape) // 2), 1)
    levels, counts = block_medians(rates, side)
    good = counts > side**2 / 2
    if scale is None or good.sum() < 4 or min(good.shape) < 2:
        reason = NO_GAIN if scale is None else "fewer than four blocks with data"
        yield GLOW, {"skipped": reason}
        yield GRADIENT, {"skipped": reason}
        return
    factor, unit = scale
    slopes, covariance, scatter = _plane(levels, good)
    # Lines that a whole row shares make block levels scatter more than their pixels' noise: the scatter seen counts.
    of_pixel = float(np.nanmedian(product.error[amp.box.slices]))
    of_median = math.sqrt(math.pi / 2 / float(np.median(counts[good]))) * of_pixel
    error = float(np.clip(scatter, of_median, 3 * of_median)) * factor
    row, column = divmod(int(np.argmax(np.where(good, levels, -np.inf))), levels.shape[1])
    yield (
        GLOW,
        {
            "value": (float(levels[row, column]) - float(np.median(levels[good]))) * factor,
            "error": error,
            "unit": f"{unit}/s",
            "expected": math.sqrt(2 * math.log(int(good.sum()))) * error,
            "reason": f"block of {side} pixels at x = {amp.box.x0 + column * side}, y = {amp.box.y0 + row * side}",
        },
    )
    yield (
        GRADIENT,
        {
            "value": float(np.sum(np.abs(slopes))) * factor,
            "error": math.sqrt(float(np.trace(covariance))) * error,
            "unit": f"{unit}/s",
            "expected": 0.0,
            "reason": "corner to corner",
        },
    )


def _plane(
    levels: NDArray[np.float64], good: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Rise (y, x) of a plane through the blocks, its covariance for blocks of error 1, and their scatter about it."""
    y, x = np.nonzero(good)
    sizes = [max(size - 1, 1) for size in levels.shape]
    design = np.stack([np.ones(y.size), y / sizes[0] - 0.5, x / sizes[1] - 0.5], axis=1)
    fitted = np.linalg.lstsq(design, levels[good], rcond=None)[0]
    left = np.abs(levels[good] - design @ fitted)
    return fitted[1:], np.linalg.pinv(design.T @ design)[1:, 1:], 1.4826 * float(np.median(left))


def _hot(product: Dark, amp: Amplifier, config: DarkConfig, ctx: VerifyContext) -> dict[str, object]:
    """D9: fraction of the usable pixels that are hot; the error is that of counting."""
    scale = scale_of(ctx, HOT, product, amp.name)
    if scale is None:
        return {"skipped": NO_GAIN}
    factor, unit = scale
    rates = _usable(product, amp)
    pixels, hot = int(np.isfinite(rates).sum()), int(np.sum(rates * np.float32(factor) > config.hot))
    if pixels == 0:
        return {"skipped": "no usable pixel"}
    return {
        "value": hot / pixels,
        "error": math.sqrt(max(hot, 1)) / pixels,
        "unit": "1",
        "expected": nearest_allowed(ctx, HOT, hot / pixels),
        "reason": f"{hot} pixels above {config.hot:g} {unit}/s",
    }


def _growth(product: Dark, amp: Amplifier, config: DarkConfig, ctx: VerifyContext) -> dict[str, object]:
    """D9: hot pixels over those of the previous dark, one added to both so that none is a number too."""
    previous = ctx.previous
    if not isinstance(previous, Dark) or previous.unit != product.unit:
        return {"skipped": f"no previous dark in {product.unit}"}
    scale = scale_of(ctx, HOT, product, amp.name)
    factor = 1.0 if scale is None else scale[0]
    now, before = (1 + int(np.sum(_usable(one, amp) * np.float32(factor) > config.hot)) for one in (product, previous))
    return {
        "value": now / before,
        "error": math.sqrt(4 / (now + before)),  # of the ratio of two counts of one expectation
        "unit": "1",
        "expected": 1.0,
        "reason": f"{now - 1} hot pixels, {before - 1} before",
    }
