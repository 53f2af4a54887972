"""The master bias as a product."""

from __future__ import annotations

from dataclasses import dataclass

from cpp_framework.model import ImageProduct


@dataclass(frozen=True, eq=False, kw_only=True)
class Bias(ImageProduct):
    """Structure that is left in every exposure after overscan correction [adu].

    Per amplifier it holds ``read_noise`` of one exposure [adu], ``level`` (mean of the product) [adu], and
    ``exposures``, how many are in the stack there. A dead amplifier is NaN with the masks DEAD_AMPLIFIER and NO_DATA.
    """
