"""Header cards of a simulated raw file: the instrument's header map, read backwards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from astropy.io import fits

from cpp_framework.camera.hdu import HduHeader
from cpp_framework.camera.header import HeaderMap, translate
from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.rules import Case, Rule, Scalar, Test, holds, same
from cpp_framework.errors import InstrumentError
from cpp_framework.model.timespan import to_iso
from cpp_framework.sim.request import ExposureRequest

CHECKED = ("kind", "exposure_time", "begin")
"""Fields that must come back as they were asked for when the cards are translated again."""


def exposure_cards(instrument: Instrument, detector: int, request: ExposureRequest) -> fits.Header:
    """Return the cards from which the instrument's header map reads the request again.

    Raises
    ------
    InstrumentError
        The header map is such that no cards could be found (a regular expression, say, or a constant that differs).
    """
    header_map = HeaderMap.model_validate(instrument.header)
    cards = fits.Header()
    for field, value in _values(instrument, detector, request, header_map).items():
        rule: Rule | None = getattr(header_map, field)
        if rule is not None:
            for keyword, raw in _cards(rule, value).items():
                cards[keyword if len(keyword) <= 8 else f"HIERARCH {keyword}"] = raw
    _check(cards, header_map, instrument, request)
    return cards


def _values(
    instrument: Instrument, detector: int, request: ExposureRequest, header_map: HeaderMap
) -> dict[str, Scalar]:
    """Field → value to be found in the file, in the order of writing: the kind first, because its rules may name the
    exposure time's card with an example only."""
    expected = header_map.instrument.expect if header_map.instrument else ()
    binning = f"{instrument.binning[0]} {instrument.binning[1]}"
    values: dict[str, Scalar] = {
        "kind": request.kind,
        "instrument": expected[0] if expected else instrument.name,
        "detector": detector,
        "id": f"SIM_{request.day_obs}_{request.number:06d}",
        "number": request.number,
        "exposure_time": request.exposure_time,
        "dark_time": request.exposure_time,
        "day_obs": request.day_obs,
        "object": request.kind,
        "binning": binning,
        "temperature": request.temperature,
    }
    for field, instant in (("begin", request.begin_ns), ("end", request.end_ns)):
        rule = getattr(header_map, field)
        if rule is not None:
            values[field] = to_iso(instant, rule.time_scale or "utc")
    if request.filter:
        values["filter"] = request.filter
    return values


def _cards(rule: Rule, value: Scalar) -> dict[str, Scalar]:
    """Keyword → raw value from which a rule finds ``value``; empty where the rule needs or can use no card."""
    for case in rule.rules:
        if same(case.value, value) and (cards := _examples(case)) is not None:
            return cards
    if rule.const is not None or not rule.keyword:
        return {}
    if rule.map:
        raws = [raw for raw, mapped in rule.map.items() if same(mapped, value)]
        return {rule.keyword[0]: raws[0]} if raws else {}
    if rule.join is not None:
        parts = str(value).split(rule.join)
        return dict(zip(rule.keyword, parts, strict=False))
    if rule.scale != 1.0 or rule.offset:
        return {rule.keyword[0]: (float(value) - rule.offset) / rule.scale}
    return {rule.keyword[0]: value}


def _examples(case: Case) -> dict[str, Scalar] | None:
    """Cards that fulfil all tests of a case; None if no example of one was found."""
    cards: dict[str, Scalar] = {}
    for keyword, test in case.when.items():
        if test is None:
            continue
        example = next((one for one in _candidates(test) if holds(test, one)), None)
        if example is None:
            return None
        cards[keyword] = example
    return cards


def _candidates(test: Test) -> list[Scalar]:
    """Values among which one may pass a test."""
    if isinstance(test, tuple):
        return [one for inner in test for one in _candidates(inner)]
    if not isinstance(test, str):
        return [] if test is None else [test]
    found: list[Scalar] = [re.sub(r"\W+", " ", test).strip()]
    if bound := re.fullmatch(r"[<>=!]+\s*([-+.\deE]+)", test):
        number = float(bound[1])
        found = [number, number - 1, number + 1]
    return [test, *found] if test[0] not in "~<>!" else found


def _check(cards: fits.Header, header_map: HeaderMap, instrument: Instrument, request: ExposureRequest) -> None:
    path = Path(f"simulated {request.kind} of {instrument.name}")
    fields = translate([HduHeader(path, 0, cards)], header_map, path)
    asked: dict[str, Any] = {
        "kind": request.kind,
        "exposure_time": request.exposure_time,
        "begin": request.begin_ns if header_map.begin else None,
    }
    for field in CHECKED:
        if fields[field] != asked[field]:
            raise InstrumentError(
                f"instrument {instrument.name}: header.{field} cannot be written for a simulated {request.kind}: "
                f"asked for {asked[field]!r}, read back {fields[field]!r}",
                hint=f"give header.{field} a keyword, and a map with every kind that is to be simulated",
            )
