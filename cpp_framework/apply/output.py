"""Calibrated images as FITS: any tool opens them, and each names every calibration that was applied.

======================  ===========================================================================
HDU                     content
======================  ===========================================================================
primary, DATA           the image [electron or adu], the raw file's cards that still hold, and who calibrated it
VARIANCE                its variance [electron² or adu²]
DQ                      mask, uint32: bits as in product files (cards DQBITnn)
CALIBRATIONS            one row per calibration type: product applied, or why there is none
STEPS                   what was done to the image, in order, the core's own stages included
AMPLIFIERS              one row per amplifier: gain, where it comes from, read noise, level subtracted
======================  ===========================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from astropy.io import fits
from astropy.table import Table

from cpp_framework._version import __version__
from cpp_framework.apply.cards import CarriedCards
from cpp_framework.camera.header import TIME_SCALES
from cpp_framework.declare import Stage
from cpp_framework.model.fits import mask_cards, put_card, text_column
from cpp_framework.model.image import Image
from cpp_framework.model.software import software
from cpp_framework.model.timespan import to_iso

MOST_CARDS = 99
"""Calibrations with cards of their own in the header; the table CALIBRATIONS has them all."""


@dataclass(frozen=True)
class CalibrationRecord:
    """One calibration type in a calibrated image: the product that was applied, or (``id`` empty) why there is none.

    ``stages`` are those it acted in, ``created`` the UTC date it was made, ``digest`` that of its content.
    """

    type: str
    id: str = ""
    digest: str = ""
    created: str = ""
    stages: tuple[Stage, ...] = ()
    why: str = ""


def to_hdus(
    image: Image, calibrations: Sequence[CalibrationRecord], carried: CarriedCards, raw_digest: str, command: str
) -> fits.HDUList:
    """HDUs of a corrected image that has a variance and says of which exposure it is."""
    assert image.exposure is not None
    assert image.variance is not None
    cards = _cards(image, calibrations, carried, raw_digest, command)
    data = fits.PrimaryHDU(image.data, header=cards)
    variance = fits.ImageHDU(image.variance, name="VARIANCE")
    variance.header["BUNIT"] = f"{image.unit}2"
    mask = fits.ImageHDU(image.mask, name="DQ")
    mask.header.update(mask_cards())
    for hdu in (variance, mask):
        hdu.header.update(carried.coordinates)
    tables = [_calibration_table(calibrations), _step_table(image.applied), _amplifier_table(image)]
    return fits.HDUList([data, variance, mask, *tables])


def _cards(
    image: Image, calibrations: Sequence[CalibrationRecord], carried: CarriedCards, raw_digest: str, command: str
) -> fits.Header:
    exposure = image.exposure
    assert exposure is not None
    cards = carried.cards.copy()
    cards.update(carried.coordinates)
    put_card(cards, "EXTNAME", "DATA")
    put_card(cards, "BUNIT", image.unit)
    if "INSTRUME" not in cards:
        put_card(cards, "INSTRUME", exposure.instrument)
    put_card(cards, "CPPINSTR", exposure.instrument, "name of the instrument file")
    put_card(cards, "DETECTOR", exposure.detector, "detector number")
    put_card(cards, "DETNAME", image.detector.name)
    put_card(cards, "EXPTIME", exposure.exposure_time, "[s]")
    put_card(cards, "DARKTIME", exposure.dark_time, "[s]")
    for keyword, text in (("OBJECT", exposure.object), ("FILTER", exposure.filter)):
        if text:
            put_card(cards, keyword, text)
    if exposure.begin is not None:
        scale = str(cards.get("TIMESYS", "UTC")).strip().lower()
        begin = to_iso(exposure.begin, scale if scale in TIME_SCALES else "utc")
        for keyword in ("DATE-BEG", *(["DATE-OBS"] if "DATE-OBS" not in cards else [])):
            put_card(cards, keyword, begin, "begin of the exposure")
    put_card(cards, "DATE", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "when this file was made (UTC)")
    put_card(cards, "CPPVERS", __version__, "version of cpp-framework")
    put_card(cards, "CPPEXP", exposure.id, "exposure")
    put_card(cards, "CPPRAW", raw_digest, "SHA-256 of the raw file")
    if exposure.window:
        put_card(cards, "CPPWIN", exposure.window, "part of the detector in this image")
    _put_calibrations(cards, calibrations)
    sources = list(dict.fromkeys(record.gain_source for record in image.records.values()))
    put_card(cards, "GAINSRC", "; ".join(sources), "where the gains come from")
    for line in [*image.applied, *carried.notes]:
        cards.add_history(_ascii(line))
    for name, version in software().items():
        cards.add_history(_ascii(f"software: {name} {version}"))
    if command:
        cards.add_history(_ascii(f"command: {command}"))
    return cards


def _put_calibrations(cards: fits.Header, calibrations: Sequence[CalibrationRecord]) -> None:
    applied = [one for one in calibrations if one.id]
    put_card(cards, "NCAL", len(applied), "calibration products applied")
    for i, one in enumerate(applied[:MOST_CARDS], start=1):
        put_card(cards, f"CALTYP{i:02d}", one.type, "calibration type")
        put_card(cards, f"CALID{i:02d}", one.id)
        put_card(cards, f"CALDIG{i:02d}", one.digest)
        put_card(cards, f"CALDAT{i:02d}", one.created, "when it was made (UTC)")
        put_card(cards, f"CALSTG{i:02d}", stage_names(one.stages), "stages it acted in")
    for one in calibrations:
        if not one.id:
            cards.add_history(_ascii(f"not applied: {one.type}: {one.why}"))


def stage_names(stages: Sequence[Stage]) -> str:
    """Stages as people read them: ``defects, interpolation``."""
    return ", ".join(stage.name.lower().replace("_", " ") for stage in stages)


def _calibration_table(calibrations: Sequence[CalibrationRecord]) -> fits.BinTableHDU:
    table = Table()
    for column in ("type", "id", "digest", "created", "why"):
        table[column.upper()] = text_column([getattr(one, column) for one in calibrations])
    table["STAGES"] = text_column([",".join(stage.name for stage in one.stages) for one in calibrations])
    table["APPLIED"] = np.array([bool(one.id) for one in calibrations], bool)
    return fits.BinTableHDU(table, name="CALIBRATIONS")


def _step_table(steps: Sequence[str]) -> fits.BinTableHDU:
    return fits.BinTableHDU(Table({"STEP": text_column(list(steps))}), name="STEPS")


def _amplifier_table(image: Image) -> fits.BinTableHDU:
    records = [image.records[amp.name] for amp in image.detector.amplifiers]
    table = Table()
    table["NAME"] = text_column([amp.name for amp in image.detector.amplifiers])
    for column in ("gain", "read_noise", "bias_level"):
        values = [getattr(record, column) for record in records]
        table[column.upper()] = np.array([np.nan if value is None else value for value in values], float)
    table["GAIN_SOURCE"] = text_column([record.gain_source for record in records])
    hdu = fits.BinTableHDU(table, name="AMPLIFIERS")
    # FITS has no unit `electron`, so readers would warn of one in TUNITn.
    for i, meaning in ((2, "electron/adu"), (3, "of the overscan, adu"), (4, "overscan level subtracted, adu")):
        hdu.header[f"TCOMM{i}"] = meaning
    return hdu


def _ascii(text: str) -> str:
    """The text as a FITS header can hold it."""
    return text.encode("ascii", "replace").decode()
