"""Filters on exposures: ``FIELD OP VALUE`` with seven operators over a declared list of fields."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import UnionType
from typing import Any, get_args, get_origin

from cpp_framework.config.expression import check_expression
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.errors import ConfigError
from cpp_framework.model.exposure import FIELDS, Exposure
from cpp_framework.model.timespan import to_iso, to_tai_ns

_FORM = re.compile(r"\s*(\w+)\s*(>=|<=|!=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DATES = ("begin", "end")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(h|d|w)")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Filter:
    """One condition on one exposure field. ``value`` has the field's type; for ``~`` it is a regular expression.

    ``said`` is how the user wrote it, for messages.
    """

    field: str
    operator: str
    value: Any
    said: str

    def __str__(self) -> str:
        return self.said


def parse_filters(texts: Sequence[str]) -> list[Filter]:
    """Parse several filters. Raises as `parse_filter`."""
    return [parse_filter(text) for text in texts]


def parse_filter(text: str) -> Filter:
    """Parse ``exposure_time>=5``, ``filter=r``, ``begin<2026-11-22T10:00``, ``binning=2x2`` or ``object~^M ?31``.

    Raises
    ------
    ConfigError
        The form, the field or the value is wrong; the message says which.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"{text!r} is not FIELD OP VALUE with one of = != < <= > >= ~", hint="for instance exposure_time>=5"
        )
    field, op, value = match.groups()
    if field not in FIELDS:
        raise ConfigError(f"exposures have no field {field!r}", hint=did_you_mean(field, FIELDS))
    return Filter(field, op, _pattern(value) if op == "~" else _value(field, value), text.strip())


def night_filter(text: str) -> Filter:
    """Filter on one observing day, written ``2026-11-22`` or ``20261122``.

    Raises
    ------
    ConfigError
        It is not a date.
    """
    for form in ("%Y-%m-%d", "%Y%m%d"):
        try:
            day = int(datetime.strptime(text.strip(), form).strftime("%Y%m%d"))
        except ValueError:
            continue
        return Filter("day_obs", "=", day, f"day_obs={day}")
    raise ConfigError(f"{text!r} is not a night", hint="write it as 2026-11-22")


def last_filter(text: str, now: datetime | None = None) -> Filter:
    """Filter on the last hours, days or weeks before ``now`` (UTC): ``12h``, ``30d``, ``2w``.

    Raises
    ------
    ConfigError
        It is not such a span.
    """
    try:
        begin = (now or datetime.now(UTC)).replace(tzinfo=None) - parse_span(text)
    except OverflowError as error:
        raise ConfigError(f"{text!r} reaches back before the year 1", hint="write it as 12h, 30d or 2w") from error
    since = to_tai_ns(begin.isoformat())
    return Filter("begin", ">=", since, f"begin>={to_iso(since)}")


def parse_span(text: str) -> timedelta:
    """Read a span of time: ``12h``, ``30d``, ``2w``.

    Raises
    ------
    ConfigError
        It is not such a span.
    OverflowError
        It is longer than a calendar can be.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a span of time", hint="write it as 12h, 30d or 2w")
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def matches(one: Filter, exposure: Exposure) -> bool:
    """Whether an exposure meets a filter. An unknown value (no date, no temperature) meets none but ``!=``."""
    value = exposure.value(one.field)
    if value is None:
        return one.operator == "!="
    if one.operator == "~":
        return re.search(one.value, _as_text(value)) is not None
    return _OPERATORS[one.operator](value, one.value)


def _pattern(text: str) -> str:
    try:
        check_expression(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is not a regular expression to use: {error}", hint="for instance object~^M31"
        ) from error
    return text


def _value(field: str, text: str) -> Any:
    if field in _DATES:
        return to_tai_ns(text)
    kind = _type_of(field)
    if kind is int and re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        text = text.replace("-", "")
    try:
        return _pair(text) if kind is tuple else kind(text)
    except ValueError as error:
        wanted = {int: "a whole number", float: "a number", tuple: "two whole numbers like 2x2"}[kind]
        raise ConfigError(
            f"{field} is {wanted}, not {text!r}", hint=f"for instance {field}={_EXAMPLES[kind]}"
        ) from error


_EXAMPLES = {int: "3", float: "5.0", tuple: "2x2"}


def _type_of(field: str) -> Any:
    """The plain type of an exposure field: int, float, str or tuple."""
    annotation = Exposure.model_fields[field].annotation
    if get_origin(annotation) is UnionType:
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    return get_origin(annotation) or annotation


def _pair(text: str) -> tuple[int, int]:
    x, y = re.split(r"[x, ]+", text)
    return int(x), int(y)


def _as_text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
