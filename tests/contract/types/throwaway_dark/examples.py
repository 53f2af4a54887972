"""A low and a high dark rate."""

from __future__ import annotations

import numpy as np

from cpp_framework.model import CheckExample, VerifyContext
from cpp_framework.testing import small_detector
from throwaway_dark.functions import Dark, DarkConfig


def _example(rate: float) -> tuple[Dark, VerifyContext]:
    detector = small_detector()
    plane = np.full(detector.shape, rate, np.float32)
    product = Dark(
        unit="adu/s", image=plane, error=plane, mask=np.zeros(detector.shape, np.uint32), used=plane.astype(np.uint16)
    )
    return product, VerifyContext(detector=detector, config=DarkConfig(), residuals=lambda: iter(()))


EXAMPLES = {"rate": CheckExample(lambda: _example(0.1), lambda: _example(3.0))}
