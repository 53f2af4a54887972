"""The simulator: raw exposures of any camera that has an instrument file, with the truth beside them.

Every effect can be switched off and is seeded on its own: see `cpp_framework.sim.settings`.
"""

from cpp_framework.sim.anomalies import (
    ANOMALIES,
    Anomaly,
    DeadAmplifier,
    ExtraNoise,
    NotFinite,
    Outliers,
    SaturatedFrame,
    Shift,
)
from cpp_framework.sim.night import night_exposures, simulate_exposures, simulate_night
from cpp_framework.sim.raw import SimulatedRaw, simulate, write_raw
from cpp_framework.sim.request import ExposureRequest
from cpp_framework.sim.settings import SimSettings
from cpp_framework.sim.truth import AmplifierTruth, ExposureTruth, Truth
from cpp_framework.sim.truth_file import read_truth

__all__ = [
    "ANOMALIES",
    "AmplifierTruth",
    "Anomaly",
    "DeadAmplifier",
    "ExposureRequest",
    "ExposureTruth",
    "ExtraNoise",
    "NotFinite",
    "Outliers",
    "SaturatedFrame",
    "Shift",
    "SimSettings",
    "SimulatedRaw",
    "Truth",
    "night_exposures",
    "read_truth",
    "simulate",
    "simulate_exposures",
    "simulate_night",
    "write_raw",
]
