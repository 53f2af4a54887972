"""Find the defects of a detector in its bias, dark and flat."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cpp_defects.columns import fill_columns, fill_gaps, widened
from cpp_defects.config import DefectsConfig
from cpp_defects.product import Defects, make_defects, own_pixels
from cpp_defects.rules import SATURATED, bright_side, defects_of, usable_values
from cpp_defects.user_regions import draw
from cpp_framework.errors import IncompatibleError
from cpp_framework.model import Amplifier, AmplifierResult, AmplifierStatus, Detector, ImageProduct, Mask, Measured
from cpp_framework.model.context import Context, Inputs, Needs

Bits = NDArray[np.uint32]

KINDS = ("bias", "dark", "flat")
_SHOWN_BY = {"bias": "pixels off in a bias", "dark": "hot pixels", "flat": "cold pixels"}

PIXELS = Mask.HOT | Mask.COLD | Mask.UNSTABLE | Mask.NO_DATA
"""What counts as a bad pixel for the rules of columns."""

COLUMNS = Mask.BAD_COLUMN | Mask.BLOCKED


def solve(inputs: Inputs, needs: Needs, config: DefectsConfig, ctx: Context) -> Defects:  # noqa: ARG001
    """Merge what each product shows, amplifier by amplifier, then borders and regions masked by hand.

    Parameters
    ----------
    inputs : mapping of str to Frames
        Not used: defects are made from products.
    needs : mapping of str to Product
        One or more of ``bias`` [adu], ``dark`` [electron/s or adu/s] and ``flat``, of the whole detector.
    config : DefectsConfig
    ctx : Context

    Raises
    ------
    IncompatibleError
        A product is not of the whole detector.
    """
    products = {name: need for name in KINDS if isinstance(need := needs.get(name), ImageProduct)}
    for name, product in products.items():
        if product.mask.shape != ctx.detector.shape:
            raise IncompatibleError(
                f"{name} has {product.mask.shape} pixels (y, x), detector {ctx.detector.name} {ctx.detector.shape}",
                hint="defects are of whole detectors: make the products from exposures that are not windowed",
            )
    mask = np.zeros(ctx.detector.shape, np.uint32)
    dead = {amp.name: why for amp in ctx.detector.amplifiers if (why := _dead(products, amp))}

    def search(amp: Amplifier) -> None:
        mask[amp.box.slices] = Mask.DEAD_AMPLIFIER if amp.name in dead else _search(products, amp, config)

    with ThreadPoolExecutor(max(ctx.threads, 1)) as threads:
        list(threads.map(search, ctx.detector.amplifiers))
    mask |= _borders(mask.shape, config)
    mask[draw(config.regions, mask.shape)] |= np.uint32(Mask.USER)
    mask[mask != 0] |= np.uint32(Mask.BAD)
    return from_mask(mask, ctx.detector, dead, missing(products))


def from_mask(
    mask: Bits, detector: Detector, dead: Mapping[str, str] = MappingProxyType({}), note: str = ""
) -> Defects:
    """Return the defects of a mask, with their numbers per amplifier.

    Parameters
    ----------
    mask : uint32 array ``[y, x]``
        Of the whole detector; every pixel that is not 0 has BAD.
    detector : Detector
    dead : mapping of str to str
        Why an amplifier is dead, by its name.
    note : str
        What to say of the amplifiers that are not dead.
    """
    amplifiers = {amp.name: _result(mask[amp.box.slices], dead.get(amp.name, ""), note) for amp in detector.amplifiers}
    return make_defects(mask, amplifiers, {"masked_fraction": masked_fraction(mask)})


def missing(products: Collection[str]) -> str:
    """What could not be looked for because its product was missing; empty if none was."""
    absent = [kind for kind in KINDS if kind not in products]
    if not absent:
        return ""
    return f"made without a {' and a '.join(absent)}: {', '.join(_SHOWN_BY[kind] for kind in absent)} cannot be found"


def _search(products: dict[str, ImageProduct], amp: Amplifier, config: DefectsConfig) -> Bits:
    """Bits of one amplifier, with what the rules of columns add."""
    bits = np.zeros(amp.box.shape, np.uint32)
    for name, product in products.items():
        bits |= defects_of(name, product, amp, config)
    saturated = (bits & np.uint32(SATURATED)) != 0
    bits &= ~np.uint32(SATURATED)
    bits[saturated] &= ~np.uint32(Mask.NO_DATA)
    if saturated.any():
        bits[widened(saturated, config.saturated_fill, config.saturated_dilation)] |= np.uint32(Mask.BLOCKED)
    bad = (bits & np.uint32(PIXELS)) != 0
    bits[fill_gaps(bad, config.column_pixels, config.column_gap)] |= np.uint32(Mask.BAD_COLUMN)
    bits[fill_columns(bad, config.column_fill)] |= np.uint32(Mask.BAD_COLUMN)
    return bits


def _dead(products: dict[str, ImageProduct], amp: Amplifier) -> str:
    """Why nothing in an amplifier can be used; empty if something can."""
    for name, product in products.items():
        result = product.amplifiers.get(amp.name)
        if result is not None and result.status in (AmplifierStatus.DEAD, AmplifierStatus.FAILED):
            return f"{result.status.value} in the {name}: {result.reason}"
        values = usable_values(product, amp)
        if np.isnan(values).all():
            return f"no usable pixel in the {name}"
        if name == "flat" and bright_side(values) <= 0:
            return "no response in the flat"
    return ""


def _borders(shape: tuple[int, int], config: DefectsConfig) -> Bits:
    """EDGE along the borders of the detector, uint32 ``[y, x]``."""
    edge = np.full(shape, Mask.EDGE, np.uint32)
    rows, columns = config.edge_rows, config.edge_columns
    edge[rows : shape[0] - rows, columns : shape[1] - columns] = 0
    return edge


def _result(mask: Bits, dead: str, note: str) -> AmplifierResult:
    if dead:
        return AmplifierResult(status=AmplifierStatus.DEAD, reason=dead)
    columns = np.any((mask & np.uint32(COLUMNS)) != 0, axis=0)
    return AmplifierResult(
        reason=note,
        values={
            "n_hot": Measured(value=_count(mask, Mask.HOT), unit="pixel"),
            "n_cold": Measured(value=_count(mask, Mask.COLD), unit="pixel"),
            "n_bad_columns": Measured(value=int(columns.sum()), unit="column"),
            "masked_fraction": masked_fraction(mask),
        },
    )


def masked_fraction(mask: Bits) -> Measured:
    """Share of the pixels that are masked because of what they are, not by a border or a user."""
    return Measured(value=np.count_nonzero(own_pixels(mask)) / mask.size, unit="1")


def _count(mask: Bits, reason: Mask) -> int:
    return int(np.count_nonzero(mask & np.uint32(reason)))
