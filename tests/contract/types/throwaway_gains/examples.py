"""Gains that agree with the nominal ones, and that do not."""

from __future__ import annotations

from cpp_framework.model import AmplifierResult, CheckExample, Measured, VerifyContext
from cpp_framework.testing import small_detector
from throwaway_gains.functions import GainConfig, GainTable


def _example(gain: float) -> tuple[GainTable, VerifyContext]:
    detector = small_detector()
    value = {"gain": Measured(value=gain, error=0.01, unit="electron/adu")}
    product = GainTable(amplifiers={amp.name: AmplifierResult(values=value) for amp in detector.amplifiers})
    gains = {amp.name: amp.gain for amp in detector.amplifiers if amp.gain is not None}
    return product, VerifyContext(detector=detector, config=GainConfig(), residuals=lambda: iter(()), gains=gains)


EXAMPLES = {"nominal": CheckExample(lambda: _example(1.52), lambda: _example(3.0))}
