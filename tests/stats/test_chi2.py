"""χ² tails without scipy agree with scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from cpp_framework.stats.chi2 import chi2_quantile, chi2_survival, chi2_thresholds


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 9, 24, 99, 999])
@pytest.mark.parametrize("tail", [0.3, 1e-2, 1e-4, 6e-10, 1e-14])
def test_quantile_agrees_with_scipy(dof: int, tail: float) -> None:
    assert chi2_quantile(tail, dof) == pytest.approx(chi2.isf(tail, dof), rel=1e-9)


@pytest.mark.parametrize("dof", [1, 2, 5, 24, 101])
@pytest.mark.parametrize("ratio", [0.1, 0.9, 1.5, 6])
def test_survival_agrees_with_scipy(dof: int, ratio: float) -> None:
    assert chi2_survival(ratio * dof, dof) == pytest.approx(chi2.sf(ratio * dof, dof), rel=1e-10)


def test_nothing_exceeds_the_threshold_of_a_single_sample() -> None:
    thresholds = chi2_thresholds(1e-4, 3)
    assert thresholds[0] == np.inf
    np.testing.assert_allclose(thresholds[1:], chi2.isf(1e-4, [1, 2, 3]), rtol=1e-9)
