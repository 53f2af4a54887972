"""One random generator per effect and place, so that switching one effect off leaves the numbers of the others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seeds:
    """The seed of a simulation and the detector it is used for."""

    seed: int
    detector: int

    def generator(self, *keys: str | int) -> np.random.Generator:
        """Return the generator that belongs to these keys (effect, exposure number, amplifier).

        Generators of different keys are independent: the keys become the spawn key of a `numpy.random.SeedSequence`.
        """
        text = "/".join(str(key) for key in (self.detector, *keys))
        words = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype="<u4")
        sequence = np.random.SeedSequence(self.seed, spawn_key=tuple(int(word) for word in words))
        return np.random.Generator(np.random.SFC64(sequence))
