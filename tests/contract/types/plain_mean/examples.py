"""A low and a high level."""

from __future__ import annotations

import numpy as np

from cpp_framework.model import AmplifierResult, CheckExample, VerifyContext
from cpp_framework.testing import small_detector
from plain_mean.functions import Plain, PlainConfig


def example(level: float) -> tuple[Plain, VerifyContext]:
    detector = small_detector()
    plane = np.full(detector.shape, level, np.float32)
    product = Plain(
        unit="adu",
        image=plane,
        error=np.ones_like(plane),
        mask=np.zeros(detector.shape, np.uint32),
        used=np.ones(detector.shape, np.uint16),
        amplifiers={amp.name: AmplifierResult() for amp in detector.amplifiers},
    )
    return product, VerifyContext(detector=detector, config=PlainConfig(), residuals=lambda: iter(()))


EXAMPLES = {"level": CheckExample(lambda: example(1.0), lambda: example(50.0))}
