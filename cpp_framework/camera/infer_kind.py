"""Which frames are bias, dark, flat or science: headers rarely say it in one keyword, so all examples are used."""

from __future__ import annotations

import re
from typing import Any

from cpp_framework.camera.examples import Examples
from cpp_framework.camera.hdu import Value

KIND_KEYS = ("IMAGETYP", "IMGTYPE", "OBSTYPE", "ESO DPR TYPE", "FRAMETYP", "FRAME", "EXPTYPE", "IMTYPE", "PICTTYPE")
_WORDS = (
    ("flat", re.compile(r"flat|twilight|^lamp,?flat", re.IGNORECASE)),
    ("bias", re.compile(r"bias|^zero|offset", re.IGNORECASE)),
    ("dark", re.compile(r"dark", re.IGNORECASE)),
    ("science", re.compile(r"^object|science|^light|^sky|^target|^std|^standard", re.IGNORECASE)),
)
_VOCABULARY = {"BIAS": "bias", "ZERO": "bias", "DARK": "dark", "FLAT": "flat", "OBJECT": "science"}


def kind_of(text: Value | None) -> str:
    """Kind of exposure a word means; empty if it means none."""
    for kind, pattern in _WORDS:
        if isinstance(text, str) and pattern.search(text.strip()):
            return kind
    return ""


def kind_rule(examples: Examples, time_key: str) -> tuple[dict[str, Any], list[str]]:
    """Rule for ``kind``, and remarks.

    Three sources are combined: the keyword of the image type; its contradiction by the exposure time (a dark of
    0 s is a bias); its contradiction by OBJECT (an OBJECT called ``flat_v``).
    """
    notes: list[str] = []
    key = _kind_key(examples)
    if not key:
        notes.append("no keyword tells the kind of frame; OBJECT and the exposure time are used")
        return {"rules": _object_rules(examples, "", {}) + _zero_time_rule("", "", time_key), "default": "other"}, notes
    seen = [value for value in dict.fromkeys(examples.values(key)) if value is not None]
    table = {str(value): kind_of(value) or "other" for value in seen}
    notes += [f"{key} = {value!r} means nothing known: taken as other" for value in table if table[value] == "other"]
    notes += _repeated(examples, key)
    rules = _object_rules(examples, key, table)
    dark = next((value for value, kind in table.items() if kind == "dark"), "")
    if dark and "bias" not in table.values():
        rules += _zero_time_rule(key, dark, time_key)
        notes.append(f"{key} never says bias here: a {dark} of 0 s is taken as one")
    covered = set(table.values()) | {rule["value"] for rule in rules}
    if missing := [kind for kind in ("bias", "dark", "flat") if kind not in covered]:
        notes.append(f"no {', '.join(missing)} among the example frames: check how they are marked")
    rule: dict[str, Any] = {"rules": rules} if rules else {}
    known = {word.casefold() for word in table}
    extra = {word: kind for word, kind in _VOCABULARY.items() if word.casefold() not in known}
    return rule | {"keyword": key, "map": table | extra, "default": "other"}, notes


def _kind_key(examples: Examples) -> str:
    """First keyword with text in it, one that tells the example frames apart before one that does not."""
    text = [
        key
        for key in examples.present(KIND_KEYS)
        if any(isinstance(value, str) and kind_of(value) for value in examples.values(key))
    ]
    return max(text, key=lambda key: len({kind_of(value) for value in examples.values(key)}), default="")


def _object_rules(examples: Examples, key: str, table: dict[str, str]) -> list[dict[str, Any]]:
    """Rules for frames whose OBJECT says bias, dark or flat while the keyword says science, or there is none."""
    found: dict[tuple[str, str], None] = {}
    types = examples.values(key) if key else ["" for _ in examples.names]
    for word, title in zip(types, examples.values("OBJECT"), strict=True):
        kind = kind_of(title)
        said = table.get(str(word), "")
        if kind in ("bias", "dark", "flat") and said in ("", "science", "other"):
            found[(str(word), kind)] = None
    return [
        {"when": ({key: word} if key else {}) | {"OBJECT": f"~{kind}"}, "value": kind} for word, kind in sorted(found)
    ]


def _zero_time_rule(key: str, dark: str, time_key: str) -> list[dict[str, Any]]:
    if not time_key:
        return []
    return [{"when": ({key: dark} if key else {}) | {time_key: "<=0"}, "value": "bias"}]


def _repeated(examples: Examples, key: str) -> list[str]:
    for header in (header for headers in examples.frames for header in headers):
        times = header.cards.count(key) if key in header.cards else 0
        if times > 1:
            values = ", ".join(repr(header.cards[(key, i)]) for i in range(times))
            return [f"{key} is in the header {times} times ({values}): the first is used"]
    return []
