"""Gain, read noise and ADC range from headers, with the doubts they deserve."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cpp_framework.camera.guess import AmplifierGuess
from cpp_framework.camera.hdu import HduHeader
from cpp_framework.camera.rules import look_up

GAIN_KEYS = ("EGAIN", "GAIN", "CCDGAIN", "GTGAIN")
NOISE_KEYS = ("RDNOISE", "READNOIS", "READNOISE", "RON", "ENOISE", "CCDNOISE", "GTRON")
SATURATION_KEYS = ("SATURATE", "SATURAT", "SATLEVEL")
DEPTH_KEYS = ("BITDEPTH", "ADCBITS", "ADC_BITS", "BITSPP")
_ELECTRONS_PER_COUNT = re.compile(r"\be\w*-?\s*(/|per\s+)\s*(adu|dn|count)", re.IGNORECASE)
_COUNTS_PER_ELECTRON = re.compile(r"(adu|dn|counts?)\s*(/|per\s+)\s*e", re.IGNORECASE)


def add_electronics(amp: AmplifierGuess, headers: Sequence[HduHeader]) -> None:
    """Fill in gain [electron/adu], read noise [electron] and ADC maximum [raw counts] of an amplifier."""
    amp.gain = _eso(amp, headers, "CONAD") or _gain(amp, headers)
    noise = _eso(amp, headers, "RON") or _positive(amp, headers, NOISE_KEYS, "read noise")
    amp.read_noise = noise
    amp.adc_maximum = _adc_maximum(amp, headers)


def is_setting(value: float) -> bool:
    """Whether a gain looks like an index or a camera setting: a whole number (0, 1, 100 …)."""
    return value == int(value)


def _gain(amp: AmplifierGuess, headers: Sequence[HduHeader]) -> float | None:
    for keyword, header in _cards(amp, headers, GAIN_KEYS):
        value = header.get(keyword)
        if isinstance(value, bool | str) or value is None:
            continue
        comment = str(header.cards.comments[keyword])
        if value <= 0 or value == 1 or (is_setting(value) and not _ELECTRONS_PER_COUNT.search(comment)):
            amp.notes.append(f"{keyword} = {value:g} looks like an index, setting or placeholder: not used as gain")
            continue
        if _COUNTS_PER_ELECTRON.search(comment):
            amp.notes.append(f"{keyword} = {value:g} is in adu/electron by its comment: inverted")
            return round(1 / value, 6)
        return float(value)
    return None


def _positive(amp: AmplifierGuess, headers: Sequence[HduHeader], keywords: Sequence[str], what: str) -> float | None:
    for keyword, header in _cards(amp, headers, keywords):
        value = header.get(keyword)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if value > 0:
                return float(value)
            amp.notes.append(f"{keyword} = {value:g} is a placeholder: not used as {what}")
    return None


def _cards(amp: AmplifierGuess, headers: Sequence[HduHeader], keywords: Sequence[str]) -> list[tuple[str, HduHeader]]:
    """Cards of these keywords, those with the amplifier's suffix first."""
    wanted = dict.fromkeys([f"{keyword}{amp.suffix}" for keyword in keywords] + list(keywords))
    different = {header.index: header for header in headers}.values()
    return [(keyword, header) for keyword in wanted for header in different if keyword in header.cards]


def _eso(amp: AmplifierGuess, headers: Sequence[HduHeader], key: str) -> float | None:
    value = look_up(f"ESO DET OUT{amp.suffix} {key}", headers)
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _adc_maximum(amp: AmplifierGuess, headers: Sequence[HduHeader]) -> float | None:
    saturation = _positive(amp, headers, SATURATION_KEYS, "saturation")
    for keyword in DEPTH_KEYS:
        depth = look_up(keyword, headers)
        if isinstance(depth, int) and 8 <= depth <= 32:
            return float(2**depth - 1)
    cards = amp.header.cards
    bits = cards.get("ZBITPIX", cards.get("BITPIX"))
    if saturation is not None:
        amp.notes.append("adc_maximum is the header's saturation level")
        return saturation
    if bits == 16:
        unsigned = cards.get("BZERO", 0) == 32768
        amp.notes.append("adc_maximum is what the file can hold: a 12- or 14-bit ADC may end lower")
        return 65535.0 if unsigned else 32767.0
    amp.notes.append("adc_maximum is not known: raw counts at which the ADC saturates")
    return None
