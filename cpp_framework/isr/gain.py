"""The gain stage, which belongs to the core: ADU to electrons by the best gains there are, never by a header card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cpp_framework.model.detector import Detector
from cpp_framework.model.image import Image
from cpp_framework.model.mask import Mask
from cpp_framework.model.product import Product

NO_GAIN_STAGE = "the gain stage was left out on request"


@dataclass(frozen=True)
class Gains:
    """Gains [electron/adu] by amplifier, and where they come from; without values, why there are none.

    ``missing`` names amplifiers the source has no gain for.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    missing: tuple[str, ...] = ()


def resolve_gains(detector: Detector, providers: Mapping[str, Product]) -> Gains:
    """Choose gains: the product that knows most amplifiers (the first of equals), else the camera's nominal ones.

    Parameters
    ----------
    detector : Detector
    providers : mapping of str to Product
        Products by type name, best first; those that do not provide a ``gain`` are passed over.
    """
    best: dict[str, float] = {}
    source = ""
    for type_name, product in providers.items():
        known = _known(detector, product)
        if len(known) > len(best):
            best = known
            source = f"{type_name} {product.header.id}" if product.header else type_name
    names = [amp.name for amp in detector.amplifiers]
    if best:
        return Gains(best, source, tuple(name for name in names if name not in best))
    nominal = {amp.name: amp.gain for amp in detector.amplifiers if amp.gain is not None}
    without = [name for name in names if name not in nominal]
    if without:
        return Gains(source=f"no product provides gains, and amplifier {', '.join(without)} has no nominal gain")
    return Gains(nominal, "nominal")


def _known(detector: Detector, product: Product) -> dict[str, float]:
    provided = product.provided("gain")
    return {
        amp.name: provided[amp.name].value
        for amp in detector.amplifiers
        if amp.name in provided and math.isfinite(provided[amp.name].value) and provided[amp.name].value > 0
    }


def apply_gains(image: Image, gains: Gains) -> None:
    """Turn an image, its variance and its overscans into electrons; without gains it stays in ADU and says why.

    An amplifier the source has no gain for is flagged DEAD_AMPLIFIER: its pixels have no unit.
    """
    if not gains.values:
        image.applied.append(f"gain: stays adu, {gains.source}")
        for record in image.records.values():
            record.gain_source = gains.source
        return
    for amp in image.detector.amplifiers:
        record, box = image.records[amp.name], amp.box.slices
        gain = gains.values.get(amp.name)
        if gain is None:
            image.mask[box] |= np.uint32(Mask.DEAD_AMPLIFIER)
            record.gain_source = f"missing in {gains.source}"
            continue
        image.data[box] *= np.float32(gain)
        if image.variance is not None:
            image.variance[box] *= np.float32(gain**2)
        for side in image.overscans.get(amp.name, {}).values():
            side *= np.float32(gain)
        record.gain, record.gain_source = gain, gains.source
    image.unit = "electron"
    missing = f"; amplifier {', '.join(gains.missing)} masked, it has none" if gains.missing else ""
    image.applied.append(f"gain: {gains.source}{missing}")
