"""White noise, which passes, and pick-up at one frequency, which does not."""

from __future__ import annotations

import numpy as np

from cpp_framework.model import Amplifier, Box, CheckExample, Context, Detector, Image, VerifyContext
from cpp_framework.stats import ArrayFrames
from cpp_noise_spectrum.spectrum import NoiseSpectrum, SpectrumConfig, measure, solve

DETECTOR = Detector("example", 0, "S00", 64, 128, (Amplifier("A", Box(0, 0, 64, 128)),))


def example(pick_up: float) -> tuple[NoiseSpectrum, VerifyContext]:
    """Return the spectrum of one exposure with noise 4 adu and a line of amplitude ``pick_up`` [adu]."""
    rng = np.random.default_rng(1)
    phase = rng.uniform(0, 2 * np.pi, (128, 1))
    data = rng.normal(0, 4, DETECTOR.shape) + pick_up * np.sin(2 * np.pi * np.arange(64) / 8 + phase)
    config, ctx = SpectrumConfig(), Context(DETECTOR)
    measured = measure(Image(data.astype(np.float32), np.zeros(DETECTOR.shape, np.uint32), DETECTOR), config, ctx)
    frames = ArrayFrames(np.zeros((0, *DETECTOR.shape), np.float32), DETECTOR, [], measurements=[measured])
    product = solve({"bias": frames}, {}, config, ctx)
    return product, VerifyContext(detector=DETECTOR, config=config, residuals=lambda: iter(()))


EXAMPLES = {"strongest_line": CheckExample(lambda: example(0.0), lambda: example(4.0))}
