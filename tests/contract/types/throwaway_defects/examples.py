"""Few and many defects."""

from __future__ import annotations

import numpy as np

from cpp_framework.model import CheckExample, Mask, VerifyContext
from cpp_framework.testing import small_detector
from throwaway_defects.functions import DefectConfig, Defects


def _example(every: int) -> tuple[Defects, VerifyContext]:
    detector = small_detector()
    mask = np.zeros(detector.shape, np.uint32)
    mask.ravel()[::every] = Mask.BAD
    return Defects(mask=mask), VerifyContext(detector=detector, config=DefectConfig(), residuals=lambda: iter(()))


EXAMPLES = {"budget": CheckExample(lambda: _example(1000), lambda: _example(10))}
