"""Read-noise power spectrum: the declaration. Nothing heavy is imported here, so `cpp plugins` stays fast."""

from __future__ import annotations

from cpp_framework.declare import CalibrationType, CheckSpec, Inputs, Stage
from cpp_framework.hookspecs import hookimpl

NOISE_SPECTRUM = CalibrationType(
    name="noise_spectrum",
    title="Power spectrum of the read noise along rows",
    revision=1,
    inputs=(Inputs("bias", key=("detector", "binning", "mode"), frames=False),),
    inputs_up_to=Stage.SERIAL_OVERSCAN,
    config="cpp_noise_spectrum.spectrum:SpectrumConfig",
    product="cpp_noise_spectrum.spectrum:NoiseSpectrum",
    measure="cpp_noise_spectrum.spectrum:measure",
    solve="cpp_noise_spectrum.spectrum:solve",
    verify="cpp_noise_spectrum.spectrum:verify",
    checks=(CheckSpec("strongest_line", "strongest line over the white-noise level"),),
    examples="cpp_noise_spectrum.examples:EXAMPLES",
)


@hookimpl
def cpp_calibration_types() -> list[CalibrationType]:
    """Offer the type."""
    return [NOISE_SPECTRUM]
