"""The header map of an instrument: which rule gives which field of an exposure, and the translation itself.

Fields of the ``header:`` section (rules are described in `cpp_framework.camera.rules`):

==================  ======================================================================================
``kind``            bias, dark, flat, science or other (needed)
``exposure_time``   seconds (needed)
``instrument``      with ``expect``: files of another camera are refused
``detector``        id of the one detector in a file; without it the file holds all detectors
``id``              exposure name; the file name without suffixes if absent
``number``          integer identity; the digits of the id if absent
``dark_time``       seconds; the exposure time if absent or smaller than it
``begin`` ``end``   date as ISO text or MJD. No ``end``: begin + exposure time. No ``begin``: no date at all
``day_obs``         YYYYMMDD; from ``begin`` if absent
``filter`` ``band`` ``group`` ``object`` ``mode``   text, empty if absent
``binning``         two numbers in any text form (``1 1``, ``2x2``); the instrument's own if absent
``window``          section of the assembled image that was read
``temperature``     of the detector, degC
``records``         side records: name → rule with ``unit`` and ``error`` (keyword of its error)
==================  ======================================================================================
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cpp_framework.camera.hdu import HduHeader
from cpp_framework.camera.rules import Rule, Scalar, look_up, number, same
from cpp_framework.errors import CppError, RawFileError
from cpp_framework.model.exposure import KINDS
from cpp_framework.model.geometry import Section
from cpp_framework.model.quantity import Measured
from cpp_framework.model.timespan import NANOSECONDS, day_obs, to_tai_ns

TIME_SCALES = ("utc", "tai", "tt", "tdb", "tcb", "tcg")
"""Those that can be converted without a table from the network; UT1 cannot, and differs from UTC by up to 0.9 s."""
_INT64 = 2**63
"""What the registry can hold of a whole number, an instant in nanoseconds included."""
_SUFFIX = re.compile(r"\.(fits|fit|fts)(\.(gz|fz))?$", re.IGNORECASE)


class RecordRule(Rule):
    """Rule of a side record: a number with its unit and the keyword of its error."""

    unit: str = ""
    error: str = ""


class HeaderMap(BaseModel):
    """The ``header:`` section of an instrument file; see the module's text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Rule
    exposure_time: Rule
    instrument: Rule | None = None
    detector: Rule | None = None
    id: Rule | None = None
    number: Rule | None = None
    dark_time: Rule | None = None
    begin: Rule | None = None
    end: Rule | None = None
    day_obs: Rule | None = None
    filter: Rule | None = None
    band: Rule | None = None
    group: Rule | None = None
    object: Rule | None = None
    mode: Rule | None = None
    binning: Rule | None = None
    window: Rule | None = None
    temperature: Rule | None = None
    records: Mapping[str, RecordRule] = Field(default_factory=dict)


def translate(headers: Sequence[HduHeader], header_map: HeaderMap, path: Path) -> dict[str, Any]:
    """Translate headers (in order of precedence) to the fields of an `Exposure`, all but ``instrument`` and ``path``.

    ``detector`` and ``binning`` are there only if the map has a rule for them.

    Raises
    ------
    RawFileError
        A needed value is missing, impossible (negative or NaN time, unknown kind) or unreadable, or the file is
        from another camera. The message names the file, the field, the keywords looked at and what was found.
    """
    return _Translation(headers, header_map, path).fields()


class _Translation:
    """One file's headers seen through one header map."""

    def __init__(self, headers: Sequence[HduHeader], header_map: HeaderMap, path: Path) -> None:
        self.headers = headers
        self.map = header_map
        self.path = path

    def fields(self) -> dict[str, Any]:
        self._check_instrument()
        exposure_time = self._time("exposure_time")
        name = self._text("id") or _SUFFIX.sub("", self.path.name)
        found: dict[str, Any] = {
            "id": name,
            "number": self._whole("number", _number_from(name)),
            "kind": self._kind(),
            "exposure_time": exposure_time,
            # A shutter cannot be open longer than charge is collected; a smaller dark time is a header's slip.
            "dark_time": max(exposure_time, self._dark_time()),
            "temperature": self._number("temperature"),
            "window": self._window(),
            "records": self._records(),
            **self._dates(exposure_time),
        }
        found |= {field: self._text(field) for field in ("filter", "band", "group", "object", "mode")}
        if (detector := self._value("detector")) is not None:
            found["detector"] = detector
        if (binning := self._value("binning")) is not None:
            found["binning"] = self._binning(binning)
        return found

    def _value(self, field: str) -> Scalar | None:
        rule: Rule | None = getattr(self.map, field)
        return None if rule is None else self._find(rule, field)

    def _find(self, rule: Rule, field: str) -> Scalar | None:
        try:
            return rule.find(self.headers)
        except LookupError as error:
            raise self._error(
                field,
                f"{error.args[0]!r} is not in the map ({', '.join(rule.map)})",
                f"add it to header.{field}.map of the instrument file, or give a default",
            ) from error
        except ValueError as error:
            raise self._error(field, str(error), f"mend header.{field} of the instrument file") from error

    def _check_instrument(self) -> None:
        rule = self.map.instrument
        value = self._value("instrument")
        if rule is None or not rule.expect or any(value is not None and same(one, value) for one in rule.expect):
            return
        wanted = " or ".join(repr(one) for one in rule.expect)
        raise self._error(
            "instrument", f"expected {wanted}, found {value!r}", "use the instrument file of the camera that took it"
        )

    def _kind(self) -> str:
        kind = self._value("kind")
        if kind is None:
            raise self._error("kind", "the card is not there", "give header.kind a default (other)")
        if str(kind).lower() not in KINDS:
            hint = f"map it in header.kind.map to one of {', '.join(KINDS)}"
            raise self._error("kind", f"{kind!r} is not a kind of exposure", hint)
        return str(kind).lower()

    def _text(self, field: str) -> str:
        value = self._value(field)
        text = "" if value is None else str(value).strip()
        if not text.isprintable():
            raise self._error(field, f"{text!r} holds control codes", f"mend header.{field} of the instrument file")
        return text

    def _number(self, field: str) -> float | None:
        value = self._value(field)
        if value is None:
            return None
        found = number(value)
        if found is None or not math.isfinite(found):
            raise self._error(field, f"{value!r} is not a number", f"mend header.{field} of the instrument file")
        return found

    def _whole(self, field: str, default: int) -> int:
        found = self._number(field)
        if found is None:
            return default
        if found != int(found):
            raise self._error(field, f"{found} is not a whole number", f"mend header.{field} of the instrument file")
        if abs(found) >= _INT64:
            raise self._error(field, f"{found:g} is too large", f"mend header.{field} of the instrument file")
        return int(found)

    def _time(self, field: str) -> float:
        found = self._number(field)
        if found is None:
            raise self._error(field, "the card is not there", f"name another keyword, or give header.{field} a default")
        if found < 0:
            raise self._error(field, f"{found} s is negative", "mend the header of this file, or leave the file out")
        return self._not_too_long(field, found)

    def _dark_time(self) -> float:
        found = self._number("dark_time") or 0.0
        if found < 0:
            raise self._error("dark_time", f"{found} s is negative", "mend the header of this file, or leave it out")
        return self._not_too_long("dark_time", found)

    def _not_too_long(self, field: str, seconds: float) -> float:
        if seconds * NANOSECONDS >= _INT64:
            raise self._error(field, f"{seconds:g} s is too long", "mend the header of this file, or leave it out")
        return seconds

    def _dates(self, exposure_time: float) -> dict[str, int | None]:
        begin, end = self._instant("begin"), self._instant("end")
        if begin is not None and end is None:
            end = begin + round(exposure_time * NANOSECONDS)
            if end >= _INT64:
                raise self._error("exposure_time", f"{exposure_time:g} s is too long", "mend the header of this file")
        day: int | None = None
        if (text := self._text("day_obs").replace("-", "")).isdecimal() and len(text) == 8:
            day = int(text)
        elif begin is not None:
            day = day_obs(begin)
        return {"begin": begin, "end": end, "day_obs": day}

    def _instant(self, field: str) -> int | None:
        value = self._value(field)
        if value is None:
            return None
        rule: Rule = getattr(self.map, field)
        scale = rule.time_scale or str(look_up("TIMESYS", self.headers) or "utc").lower()
        if scale not in TIME_SCALES:
            hint = f"set header.{field}.time_scale in the instrument file to one of {', '.join(TIME_SCALES)}"
            raise self._error(field, f"TIMESYS {scale!r} is not a time scale", hint)
        try:
            found = to_tai_ns(value if isinstance(value, str) else float(value), scale)
        except CppError as error:
            reason = str(error).splitlines()[0].partition(": ")[0]  # what follows lists every format astropy tried
            raise self._error(field, reason, error.hint) from error
        except (ValueError, OverflowError) as error:
            raise self._error(field, f"{value!r} is not a date", "write it as 2026-11-22T10:15:00") from error
        if abs(found) >= _INT64:
            raise self._error(field, f"{value!r} is not in the years 1678 to 2262", "mend the header of this file")
        return found

    def _binning(self, value: Scalar) -> tuple[int, int]:
        numbers = [abs(round(float(text))) for text in re.findall(r"[-+]?\d+(?:\.\d*)?", str(value))]
        if len(numbers) != 2 or 0 in numbers:
            hint = "join two keywords: {keyword: [XBINNING, YBINNING], join: ' '}"
            raise self._error("binning", f"{value!r} is not two numbers", hint)
        return numbers[0], numbers[1]

    def _window(self) -> str:
        text = self._text("window")
        try:
            return Section.parse(text).box.to_section() if text else ""
        except CppError as error:
            raise self._error("window", str(error), error.hint) from error

    def _records(self) -> dict[str, Measured]:
        found: dict[str, Measured] = {}
        for name, rule in self.map.records.items():
            value = self._find(rule, f"records.{name}")
            error = look_up(rule.error, self.headers) if rule.error else None
            if value is None:
                continue
            numbers = [number(value), None if error is None else number(error)]
            if numbers[0] is None or (error is not None and numbers[1] is None):
                raise self._error(f"records.{name}", f"{value!r} ± {error!r} are not numbers", "mend the rule")
            scaled_error = None if numbers[1] is None else numbers[1] * abs(rule.scale)
            found[name] = Measured(value=numbers[0], error=scaled_error, unit=rule.unit)
        return found

    def _error(self, field: str, found: str, hint: str) -> RawFileError:
        rule = getattr(self.map, field, None)
        keywords = f" (from {', '.join(rule.keyword)})" if isinstance(rule, Rule) and rule.keyword else ""
        return RawFileError(f"{self.path}: {field.replace('_', ' ')}{keywords}: {found}", hint=hint)


def _number_from(name: str) -> int:
    """Digits of a name as an integer of at most 63 bits; of a name without (or with too many) a hash of it."""
    digits = re.sub(r"\D", "", name)
    if digits and int(digits) < 2**63:
        return int(digits)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
