"""Names that Butler repositories keep for ever.

A repository records, for every dataset in it, the name of its storage class and the path of the formatter that
reads it. Whoever renames or moves one of these makes every repository exported before unreadable. Lines may be
added, never changed.
"""

from __future__ import annotations

EXPOSURE_FITS = "cpp_butler.formatters.ExposureFits"
RAW_FITS = "cpp_butler.formatters.RawFits"
CALIB_FITS = "cpp_butler.formatters.CalibFits"
"""Reader of tables. No type of product is exported with it yet, so the class is still to be written."""

FORMATTERS = {"ExposureF": EXPOSURE_FITS, "raw": RAW_FITS}
"""Storage class or dataset type → formatter, as written into ``butler.yaml`` of a new repository."""

RESERVED = {
    "BrighterFatterKernel": CALIB_FITS,
    "Defects": CALIB_FITS,
    "PhotonTransferCurveDataset": CALIB_FITS,
}
"""Storage class → formatter of types to come: settled, in no repository yet."""

STORAGE_CLASSES = {"ImageProduct": "ExposureF"}
"""Shape of a product → Rubin's storage class of its dataset type."""

RAW_TYPE = "raw"
RAW_STORAGE_CLASS = "Exposure"
RAW_DIMENSIONS = ("instrument", "detector", "exposure")

CAMERA_CLASS = "cpp_framework.camera.instrument.Instrument"
"""``class_name`` of the instrument records: the class that describes the camera."""

UNKNOWN = "unknown"
"""Physical filter and band where the header names none, as Rubin's own ingest says it."""


def raw_run(instrument: str) -> str:
    """The run of the raw files of a camera."""
    return f"{instrument}/raw/all"
