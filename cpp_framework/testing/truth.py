"""The rule about truth: estimates agree with it within the errors they carry, and the errors are neither too large."""

from __future__ import annotations

import numpy as np

from cpp_framework.testing.base import SuiteBase, require

SIGMA = 2.81
"""Two statistics, two-sided, at a false-alarm rate of 1 % together."""
LEAST = 100
"""Fewest estimates from which a scatter can be judged."""


class TruthRules(SuiteBase):
    """Pulls, (estimate − truth)/error, have mean 0 and rms 1."""

    systematic: float = 0.02
    """Relative error of the errors that is allowed beyond statistics: they rest on a noise that was itself measured."""

    def test_recovers_the_truth_with_honest_errors(self) -> None:
        """Mean and rms of the pulls over `pull_stacks` independent stacks are those of honest errors."""
        pulls = []
        for seed in range(self.pull_stacks):
            stack = self.stack(self.exposures, 100 + seed)
            estimate, truth, error = (np.asarray(one, np.float64) for one in self.estimates(self.product(stack), stack))
            require(
                bool(np.all(np.isfinite(error) & (error > 0))),
                f"the product of {self.declaration.name!r} has estimates without an error (NaN or not above 0)",
            )
            pulls.append(((estimate - truth) / error).ravel())
        pull = np.concatenate(pulls)
        require(
            pull.size >= LEAST,
            f"{pull.size} estimates are too few to judge errors by: set pull_stacks so that there are {LEAST}",
        )
        mean, rms = float(np.mean(pull)), float(np.sqrt(np.mean(pull**2)))
        mean_limit = SIGMA / np.sqrt(pull.size)
        rms_limit = SIGMA / np.sqrt(2 * pull.size) + self.systematic
        require(
            abs(mean) <= mean_limit,
            f"the estimates of {self.declaration.name!r} are biased: (estimate - truth)/error has mean {mean:+.4f} "
            f"over {pull.size} estimates; honest is 0 ± {mean_limit:.4f}",
        )
        size = "small" if rms > 1 else "large"
        require(
            abs(rms - 1) <= rms_limit,
            f"the errors of {self.declaration.name!r} are too {size}: (estimate - truth)/error has rms {rms:.4f} over "
            f"{pull.size} estimates; honest is 1 ± {rms_limit:.4f}",
        )
