"""The type keeps the contract."""

import numpy as np

from cpp_framework.testing import CalibrationTypeSuite
from cpp_framework.testing.stacks import READ_NOISE


class TestNoiseSpectrum(CalibrationTypeSuite):
    calibration_type = "noise_spectrum"
    pull_stacks = 20

    def estimates(self, product, stack):
        power = np.asarray(product.tables["SPECTRA"]["POWER"])
        return power, np.full(power.size, READ_NOISE**2), np.asarray(product.tables["SPECTRA"]["ERROR"])
