"""Fixtures of the simulator's tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.camera.instrument import Instrument
from cpp_framework.model.image import oriented
from cpp_framework.sim import SimSettings, SimulatedRaw
from cpp_framework.sim.settings import effect_names

Z_LIMIT = 3.72
"""50 statistics are looked at (mean and rms of 25 sets of pulls): by chance, 1 % of such tables have one beyond it."""


@pytest.fixture(scope="session")
def simcam() -> Instrument:
    return load_instrument("simcam")


@pytest.fixture(scope="session")
def only() -> Callable[..., SimSettings]:
    """Settings with all effects off but those named; keyword arguments are their parameters."""

    def settings(*names: str, **effects: object) -> SimSettings:
        on = {*names, *effects}
        return SimSettings.model_validate({**effects, "off": frozenset(effect_names()) - on})

    return settings


@pytest.fixture(scope="session")
def standard() -> Callable[[NDArray[np.float64]], None]:
    """Assert that pulls of independent fields have mean 0 and rms 1."""

    def check(pulls: NDArray[np.float64]) -> None:
        n = pulls.size
        assert n >= 256
        assert abs(pulls.mean()) * np.sqrt(n) < Z_LIMIT, f"mean of pulls {pulls.mean():.3f}"
        assert abs(np.sqrt(np.mean(pulls**2)) - 1) * np.sqrt(2 * n) < Z_LIMIT, f"rms {np.sqrt(np.mean(pulls**2)):.3f}"

    return check


@pytest.fixture(scope="session")
def assembled() -> Callable[[SimulatedRaw], NDArray[np.float64]]:
    """What an exposure holds in its data sections, ``[y, x]`` of the detector: electron if the gain is off."""

    def assemble(raw: SimulatedRaw) -> NDArray[np.float64]:
        whole = np.zeros(raw.readout.detector.shape)
        for amp in raw.readout.amplifiers:
            oriented(whole, amp.amplifier)[...] = raw.amplifiers[amp.name][amp.data]
        return whole

    return assemble


@pytest.fixture(scope="session")
def in_blocks() -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Cut a frame of simcam into 64 blocks of 800 pixels: ``[block, pixel]``."""

    def cut(frame: NDArray[np.float64]) -> NDArray[np.float64]:
        return frame.reshape(8, 25, 8, 32).swapaxes(1, 2).reshape(64, 800)

    return cut
