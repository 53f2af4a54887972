"""Combination of stacks, robust moments and their errors: public for plugins, kernels private inside.

Importing this package compiles nothing and does not import numba; the first call of a function does.
"""

from cpp_framework.stats.arrays import ArrayFrames
from cpp_framework.stats.cache import prepare_numba_cache
from cpp_framework.stats.combine import Combined, combine
from cpp_framework.stats.deviant import (
    Deviant,
    StackStatistics,
    find_deviant_exposures,
    stack_statistics,
    used_exposures,
)
from cpp_framework.stats.fit_stack import FittedStack, fit_stack
from cpp_framework.stats.frame_noise import FrameNoise
from cpp_framework.stats.noise import StackNoise, measure_stack_noise, noise_penalty, read_noise_from_differences
from cpp_framework.stats.robust import (
    AmplifierStatistics,
    Moments,
    Profiles,
    block_means,
    clipped_moments,
    frame_statistics,
    profiles,
    row_pair_noise,
)
from cpp_framework.stats.structure import GROWTH, TWO_VALUES, Structure

__all__ = [
    "GROWTH",
    "TWO_VALUES",
    "AmplifierStatistics",
    "ArrayFrames",
    "Combined",
    "Deviant",
    "FittedStack",
    "FrameNoise",
    "Moments",
    "Profiles",
    "StackNoise",
    "StackStatistics",
    "Structure",
    "block_means",
    "clipped_moments",
    "combine",
    "find_deviant_exposures",
    "fit_stack",
    "frame_statistics",
    "measure_stack_noise",
    "noise_penalty",
    "prepare_numba_cache",
    "profiles",
    "read_noise_from_differences",
    "row_pair_noise",
    "stack_statistics",
    "used_exposures",
]
