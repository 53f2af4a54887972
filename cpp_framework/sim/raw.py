"""Simulate one exposure of one detector, and write raw files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from cpp_framework.camera.instrument import Instrument
from cpp_framework.errors import InstrumentError
from cpp_framework.sim.anomalies import check_anomalies
from cpp_framework.sim.header import exposure_cards
from cpp_framework.sim.readout import AmplifierReadout, DetectorReadout
from cpp_framework.sim.request import ExposureRequest
from cpp_framework.sim.seeds import Seeds
from cpp_framework.sim.settings import SimSettings
from cpp_framework.sim.signal import Float, Signal
from cpp_framework.sim.truth import AmplifierTruth, ExposureTruth, Truth

SECTION_KEYWORDS = {"data": "DATASEC", "serial_overscan": "BIASSEC", "detector": "DETSEC"}


@dataclass(frozen=True)
class SimulatedRaw:
    """One simulated exposure of one detector.

    ``amplifiers`` holds per amplifier the raw counts in readout orientation with all pre- and overscans, float32
    (whole numbers unless the ADC is off); `cpp_framework.sim.readout.AmplifierReadout.data` says where the data are.
    """

    readout: DetectorReadout
    request: ExposureRequest
    amplifiers: dict[str, Float]
    truth: Truth

    @property
    def hdus(self) -> fits.HDUList:
        """The raw file as HDUs."""
        return hdus_of([self])


def simulate(
    instrument: Instrument,
    detector: int = 0,
    request: ExposureRequest | None = None,
    settings: SimSettings | None = None,
    seed: int = 1,
) -> SimulatedRaw:
    """Simulate one exposure of one detector.

    Parameters
    ----------
    instrument : Instrument
        The camera: geometry, and nominal electronics where the settings do not say otherwise.
    detector : int
        Id of the detector.
    request : ExposureRequest
        What is exposed; a bias frame by default.
    settings : SimSettings
        Effects, their parameters, and which are off.
    seed : int
        Same seed, settings and request: same counts. What belongs to the camera (structure, levels) depends on the
        seed only; what is new in every exposure also on the request's number.

    Raises
    ------
    NotFoundError
        No such detector, or an anomaly names an amplifier that is not there.
    ConfigError
        Settings or anomalies contradict each other.
    """
    request, settings = request or ExposureRequest(), settings or SimSettings()
    readout = DetectorReadout.of(instrument, detector)
    names = [amp.name for amp in readout.amplifiers]
    check_anomalies(request.anomalies, names, digital=settings.is_on("adc"))
    signal = Signal(readout, request, Seeds(seed, detector), _blank_truth(readout, request, settings, seed))
    with np.errstate(over="ignore"):  # ends as infinite charge, which the photon noise refuses
        for before in settings.charge_effects:
            before.apply(signal)
    signal.read_out()
    for effect in settings.readout_effects:
        if effect is settings.adc:
            break
        effect.apply(signal)
    for anomaly in request.anomalies:
        anomaly.spoil(signal)
    if settings.is_on("adc"):
        settings.adc.apply(signal)
    return SimulatedRaw(readout, request, signal.amplifiers, signal.truth)


def _blank_truth(readout: DetectorReadout, request: ExposureRequest, settings: SimSettings, seed: int) -> Truth:
    amplifiers = {
        amp.name: AmplifierTruth(
            bank=amp.bank,
            gain=settings.gain.of(amp) if settings.is_on("gain") else 1.0,
            adc_maximum=settings.adc.of(amp) if settings.is_on("adc") else None,
        )
        for amp in readout.amplifiers
    }
    return Truth(
        instrument=readout.instrument.name,
        detector=readout.layout.id,
        seed=seed,
        settings=settings.model_dump(mode="json"),
        shape=readout.detector.shape,
        amplifiers=amplifiers,
        exposures=[
            ExposureTruth(
                number=request.number,
                kind=request.kind,
                exposure_time=request.exposure_time,
                filter=request.filter,
            )
        ],
    )


def write_raw(path: Path, raws: Sequence[SimulatedRaw]) -> None:
    """Write one exposure of one or more detectors of an instrument as a FITS file."""
    hdus_of(raws).writeto(path)


def hdus_of(raws: Sequence[SimulatedRaw]) -> fits.HDUList:
    """Put one exposure of one or more detectors into HDUs, as the instrument's layout says.

    Pixels of an HDU that no amplifier reads are 0. HDUs without any are written empty.
    """
    first = raws[0]
    cards = exposure_cards(first.readout.instrument, first.readout.layout.id, first.request)
    places: dict[int | str, list[tuple[AmplifierReadout, Float]]] = {}
    for raw in raws:
        for amp in raw.readout.amplifiers:
            places.setdefault(amp.layout.hdu, []).append((amp, raw.amplifiers[amp.name]))
    dtype = _dtype(raws)
    primary = places.pop(0, None)
    hdus = fits.HDUList([fits.PrimaryHDU(None if primary is None else _pixels(primary, dtype))])
    if primary is not None:
        hdus[0].header.update(_amplifier_cards(primary))
    hdus[0].header.update(cards)
    for key in _extension_keys(list(places)):
        amps = places.get(key)
        hdu = fits.ImageHDU(None if amps is None else _pixels(amps, dtype))
        if amps is not None:
            hdu.header.update(_amplifier_cards(amps))
        if isinstance(key, str):
            hdu.header["EXTNAME"] = key
        hdus.append(hdu)
    return hdus


def _extension_keys(keys: list[int | str]) -> list[int | str]:
    """HDUs after the primary in order: by index without gaps, or by name in order of appearance."""
    numbers = [key for key in keys if isinstance(key, int)]
    names = [key for key in keys if isinstance(key, str)]
    if numbers and names:
        raise InstrumentError(
            f"the layout names some HDUs ({', '.join(names)}) and counts others; the simulator cannot order them",
            hint="use indices, or names, for all amplifiers",
        )
    return [*names] if names else list(range(1, max(numbers, default=0) + 1))


def _pixels(amps: Sequence[tuple[AmplifierReadout, Float]], dtype: type[np.generic]) -> NDArray[Any]:
    extents = [amp.extent() for amp, _ in amps]
    pixels = np.zeros((max(rows for rows, _ in extents), max(columns for _, columns in extents)), dtype)
    for amp, array in amps:
        amp.place(array, pixels)
    return pixels


def _dtype(raws: Sequence[SimulatedRaw]) -> type[np.generic]:
    maxima = [amp.adc_maximum for raw in raws for amp in raw.truth.amplifiers.values()]
    if any(maximum is None for maximum in maxima):
        return np.float32
    return np.uint16 if max(maximum or 0 for maximum in maxima) <= 65535 else np.int32


def _amplifier_cards(amps: Sequence[tuple[AmplifierReadout, Float]]) -> fits.Header:
    """Unit, and where the pixels of an amplifier lie if it has the HDU to itself."""
    cards = fits.Header({"BUNIT": "adu"})
    if len(amps) == 1:
        layout = amps[0][0].layout
        cards["EXTNAME"] = layout.name
        for region, keyword in SECTION_KEYWORDS.items():
            if text := getattr(layout, region):
                cards[keyword] = text
    return cards
