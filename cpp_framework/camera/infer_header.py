"""From the headers of a few example frames to a header map: rules, and remarks on what could not be known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cpp_framework.camera.examples import Examples
from cpp_framework.camera.hdu import Value
from cpp_framework.camera.infer_electronics import is_setting
from cpp_framework.camera.infer_kind import kind_rule
from cpp_framework.camera.rules import number
from cpp_framework.errors import ConfigError
from cpp_framework.model.timespan import to_tai_ns

INSTRUMENT_KEYS = ("INSTRUME", "CAMERA", "CAMNAME", "VERSION")
TIME_KEYS = ("EXPTIME", "EXPOSURE", "EXP_TIME", "ELAPTIME", "ITIME", "TEXPTIME", "ESO DET WIN1 DIT1")
BEGIN_KEYS = ("DATE-BEG", "DATE-OBS", "MJD-BEG", "MJD-OBS")
CLOCK_KEYS = ("TIME-OBS", "UTC-OBS", "UT", "UTSTART", "UTC")
FILTER_KEYS = ("FILTER", "FILTNAM", "FILTNAME", "FILTERID", "INSFILTE", "ESO INS FILT1 NAME")
TEMPERATURE_KEYS = ("CCD-TEMP", "CCDTEMP", "CCD_TEMP", "DET-TEMP", "DETTEMP", "DETTEM", "TEMPDET", "SENSTEMP")
ID_KEYS = ("OBSID", "EXPID", "ARCFILE")
NUMBER_KEYS = ("SEQNUM", "OBSNUM", "EXPNUM", "FRAMENO", "FRAMENUM", "RUN")
MODE_KEYS = ("READMODE", "READOUTM", "READ-SPD", "ESO DET READ CLOCK", "ESO DET READ MODE")
BINNING_KEYS = (
    ("CCDSUM",),
    ("XBINNING", "YBINNING"),
    ("BINX", "BINY"),
    ("CDELT1U", "CDELT2U"),
    ("CCDXBIN", "CCDYBIN"),
    ("ESO DET WIN1 BINX", "ESO DET WIN1 BINY"),
)
_FILTER_LIKE = re.compile(r"FILT(?!ER?RAW|RAW|ORD)|^WHEEL")


@dataclass
class HeaderGuess:
    """Rules by field, in the form they are written in, and remarks: by field, or on the whole map under ``""``."""

    rules: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    binning: tuple[int, int] = (1, 1)

    def note(self, field_name: str, text: str) -> None:
        """Add a remark."""
        self.notes.setdefault(field_name, []).append(text)


def guess_header(examples: Examples) -> HeaderGuess:
    """Propose a header map from example frames; the more kinds of frame are given, the better."""
    guess = HeaderGuess()
    _instrument(examples, guess)
    _identity(examples, guess)
    time_key = _exposure_time(examples, guess)
    guess.rules["kind"], remarks = kind_rule(examples, time_key)
    guess.notes["kind"] = remarks
    _dates(examples, guess)
    _filter(examples, guess)
    _conditions(examples, guess)
    _binning(examples, guess)
    return guess


def _instrument(examples: Examples, guess: HeaderGuess) -> None:
    # A VERSION can be that of a program; Lick writes the camera's name there.
    key = examples.everywhere(INSTRUMENT_KEYS, lambda value: isinstance(value, str) and value[:1].isalpha())
    if not key:
        guess.note("instrument", "no keyword names the camera: files of other cameras cannot be refused")
        return
    names = list(dict.fromkeys(str(value) for value in examples.values(key)))
    guess.rules["instrument"] = {"keyword": key, "expect": names[0] if len(names) == 1 else names}
    if len(names) > 1:
        guess.note("instrument", "the example frames name several cameras: keep one")


def _identity(examples: Examples, guess: HeaderGuess) -> None:
    key = examples.everywhere(ID_KEYS)
    if key and len(set(examples.values(key))) == len(examples.frames):
        guess.rules["id"] = key
    else:
        guess.note("id", "no keyword with an exposure name: the file name without suffix is the id")
    key = examples.everywhere(NUMBER_KEYS, _is_whole)
    if key and len(set(examples.values(key))) == len(examples.frames):
        guess.rules["number"] = key


def _is_whole(value: Value) -> bool:
    found = number(value)
    return found is not None and found >= 0 and found.is_integer()


def _exposure_time(examples: Examples, guess: HeaderGuess) -> str:
    key = examples.everywhere(TIME_KEYS, lambda value: (number(value) or 0.0) >= 0 and number(value) is not None)
    if key:
        guess.rules["exposure_time"] = key
    else:
        guess.rules["exposure_time"] = {"keyword": "EXPTIME", "default": 0.0}
        guess.note("exposure_time", "no exposure time found: name its keyword (scale: 0.001 if it is in milliseconds)")
    if examples.present(["DARKTIME"]):
        guess.rules["dark_time"] = "DARKTIME"
    return key


def _dates(examples: Examples, guess: HeaderGuess) -> None:
    whole = [key for key in examples.present(BEGIN_KEYS) if all(_is_instant(value) for value in examples.values(key))]
    clock = examples.everywhere(CLOCK_KEYS, lambda value: isinstance(value, str) and ":" in value)
    if whole:
        guess.rules["begin"] = whole if len(whole) > 1 else whole[0]
    elif clock and examples.everywhere(["DATE-OBS"], _is_day):
        guess.rules["begin"] = {"keyword": ["DATE-OBS", clock], "join": "T"}
    elif examples.everywhere(["DATE"], _is_instant):
        guess.rules["begin"] = "DATE"
        guess.note("begin", "DATE is when the file was written; it stands in for the begin of the exposure")
    else:
        guess.note("begin", "no date found: such exposures can be used, look-up by validity then needs --at")
        for key in examples.present([*BEGIN_KEYS, "DATE"]):
            guess.note("begin", f"{key} = {examples.values(key)[0]!r} is not a date that can be used")
    if examples.everywhere(["DATE-END"], _is_instant):
        guess.rules["end"] = "DATE-END"
    if guess.rules.get("begin") and not examples.present(["TIMESYS"]):
        guess.note("begin", "no TIMESYS: dates are taken as UTC (time_scale: tai if they are not)")


def _is_instant(value: Value | None) -> bool:
    """Whether a value is a date with a time of day, or an MJD."""
    if value is None or isinstance(value, bool) or (isinstance(value, str) and ":" not in value):
        return False
    try:
        to_tai_ns(value if isinstance(value, str) else float(value))
    except ConfigError:
        return False
    return True


def _is_day(value: Value) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None


def _filter(examples: Examples, guess: HeaderGuess) -> None:
    sure = examples.present(FILTER_KEYS)
    numbered = examples.present([f"FILTER{i}" for i in range(1, 5)])
    if sure:
        guess.rules["filter"] = sure[0]
    elif numbered:
        guess.rules["filter"] = {"keyword": numbered, "join": "+"} if len(numbered) > 1 else numbered[0]
    else:
        likely = [key for key in examples.keywords() if _FILTER_LIKE.search(key) and examples.present([key])]
        text = [key for key in likely if isinstance(examples.values(key)[0], str)] or likely
        if text:
            shown = ", ".join(f"{key} ({_shown(examples.values(key))})" for key in text[:8])
            guess.note("filter", f"which of these is the filter? {shown}")


def _shown(values: Sequence[Value | None]) -> str:
    return " ".join(str(value) for value in dict.fromkeys(values) if value is not None)


def _conditions(examples: Examples, guess: HeaderGuess) -> None:
    if examples.present(["OBJECT"]):
        guess.rules["object"] = "OBJECT"
    modes = examples.present(MODE_KEYS)
    if examples.everywhere(["GAIN"], lambda value: (found := number(value)) is not None and is_setting(found)):
        # A gain index or setting is no gain, but frames with different ones do not belong together.
        modes += ["GAIN", *examples.present(["OFFSET"])]
    if modes:
        guess.rules["mode"] = {"keyword": modes, "join": "/"} if len(modes) > 1 else modes[0]
    if key := examples.everywhere(TEMPERATURE_KEYS, lambda value: number(value) is not None):
        kelvin = all((number(value) or 0.0) > 60 for value in examples.values(key) if value is not None)
        guess.rules["temperature"] = {"keyword": key, "offset": -273.15} if kelvin else key
        if kelvin:
            guess.note("temperature", f"{key} is taken as kelvin")
    if examples.present(["MONDIODE"]):
        rule: dict[str, Any] = {"keyword": "MONDIODE", "unit": ""}
        if examples.present(["MONERR"]):
            rule["error"] = "MONERR"
        guess.rules["records"] = {"monitor_charge": rule}
        guess.note("records", "the unit of MONDIODE is not known: give it")


def _binning(examples: Examples, guess: HeaderGuess) -> None:
    for keys in BINNING_KEYS:
        if not all(examples.everywhere([key]) for key in keys):
            continue
        text = " ".join(str(examples.values(key)[0]) for key in keys)
        found = [abs(round(float(one))) for one in re.findall(r"[-+]?\d+(?:\.\d*)?", text)]
        if len(found) == 2 and 0 not in found:
            guess.binning = (found[0], found[1])
            guess.rules["binning"] = keys[0] if len(keys) == 1 else {"keyword": list(keys), "join": " "}
            return
    guess.note("binning", "no keyword for the binning: all files are taken to be binned alike")
