"""Header rules: how one value is found in the cards of a raw file.

A rule is a keyword, a list of keywords (the first that is there and not blank), or a mapping of:

==============  ====================================================================================
``keyword``     keyword or list of keywords; ``ESO DPR TYPE`` for a HIERARCH card
``join``        text put between the values of *all* the keywords, instead of taking the first
``const``       the value itself
``rules``       list of ``{when: {KEYWORD: test, …}, value: …}``, tried first and in order
``map``         table from header value to our value; a value that is not in it takes ``default``
``default``     value when nothing else gave one
``scale``       factor on a number (``0.001`` for milliseconds), then ``offset`` is added
``time_scale``  of a date: ``utc``, ``tai`` …; otherwise the file's TIMESYS, otherwise ``utc``
``expect``      the value the card must have: the file is refused if it has another
==============  ====================================================================================

A test is a value (case does not matter), a list of values, a comparison ``"<=0.1"`` ``"<0.1"`` ``">=1"`` ``">1"``
``"!=BIAS"``, a regular expression ``"~^bias"`` searched in the text, or null for a keyword that must be absent.
All tests of a ``when`` must hold. Example — a camera that writes bias frames as darks of 0 s::

    kind:
      rules:
        - when: {OBSTYPE: DARK, EXPTIME: '<=0'}
          value: bias
      keyword: OBSTYPE
      map: {DARK: dark, FLAT: flat}
      default: other

Keywords are looked up in the HDU of the detector's first amplifier, then in the primary HDU.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cpp_framework.camera.hdu import HduHeader, Value
from cpp_framework.config.expression import check_expression

Scalar = bool | int | float | str
Test = Scalar | None | tuple[Scalar, ...]

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*", re.ASCII | re.IGNORECASE)
"""Python alone would also read ``1_000``, ``nan`` and the digits of other scripts."""
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Case(_Strict):
    """A value that holds when all tests do."""

    when: Mapping[str, Test] = Field(min_length=1)
    value: Scalar

    @field_validator("when")
    @classmethod
    def _expressions_parse(cls, when: Mapping[str, Test]) -> Mapping[str, Test]:
        for test in when.values():
            if isinstance(test, str) and test.startswith("~"):
                try:
                    check_expression(test[1:])
                except ValueError as error:
                    raise ValueError(f"{test!r} is not a regular expression: {error}") from error
        return when


class Rule(_Strict):
    """How one value is found; see the module's text."""

    keyword: tuple[str, ...] = ()
    join: str | None = None
    const: Scalar | None = None
    rules: tuple[Case, ...] = ()
    map: Mapping[str, Scalar] = Field(default_factory=dict)
    default: Scalar | None = None
    scale: float = 1.0
    offset: float = 0.0
    time_scale: Literal["utc", "tai", "tt", "tdb", "tcb", "tcg"] | None = None
    expect: tuple[Scalar, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, rule: Any) -> Any:
        if isinstance(rule, str | list | tuple):
            return {"keyword": rule}
        return rule

    @field_validator("keyword", "expect", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.keyword and not self.rules and self.const is None and self.default is None:
            raise ValueError("says nothing: give keyword, const, rules or default")
        return self

    def find(self, headers: Sequence[HduHeader]) -> Scalar | None:
        """Value by this rule from headers in order of precedence; None if there is none.

        Raises
        ------
        RawFileError
            A card that is looked at cannot be read.
        LookupError
            The value is not in ``map`` and there is no ``default``; the error's argument is the value.
        """
        for case in self.rules:
            if all(holds(test, look_up(keyword, headers)) for keyword, test in case.when.items()):
                return case.value
        if self.const is not None:
            return self.const
        value = self._from_cards(headers)
        if value is None:
            return self.default
        if self.map:
            return self._mapped(value)
        if self.scale != 1.0 or self.offset:
            return float(value) * self.scale + self.offset
        return value

    def _from_cards(self, headers: Sequence[HduHeader]) -> Value | None:
        found = [value for keyword in self.keyword if (value := look_up(keyword, headers)) is not None]
        if self.join is None or not found:
            return found[0] if found else None
        return self.join.join(str(value) for value in found)

    def _mapped(self, value: Value) -> Scalar:
        for key, mapped in self.map.items():
            if same(key, value):
                return mapped
        if self.default is None:
            raise LookupError(value)
        return self.default


def look_up(keyword: str, headers: Sequence[HduHeader]) -> Value | None:
    """Value of a keyword in the first header that has it."""
    for header in headers:
        if (value := header.get(keyword)) is not None:
            return value
    return None


def holds(test: Test, value: Value | None) -> bool:
    """Whether a card's value (None if absent) passes a test."""
    if test is None or value is None:
        return test is None and value is None
    if isinstance(test, tuple):
        return any(holds(one, value) for one in test)
    if isinstance(test, str):
        if test.startswith("~"):
            return re.search(test[1:], str(value), re.IGNORECASE) is not None
        for sign, compare in _COMPARISONS.items():
            if test.startswith(sign):
                return _compare(compare, value, test.removeprefix(sign).strip())
    return same(test, value)


def same(wanted: Scalar, value: Value) -> bool:
    """Whether two values are equal as numbers, or as text without regard to case and outer blanks."""
    numbers = number(wanted), number(value)
    if None not in numbers:
        return numbers[0] == numbers[1]
    return str(wanted).strip().casefold() == str(value).strip().casefold()


def number(value: Scalar) -> float | None:
    """Return a value as a number, None if it is not one (truth values are not)."""
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return None


def _compare(compare: Callable[[Any, Any], bool], value: Value, wanted: str) -> bool:
    left, right = number(value), number(wanted)
    if left is not None and right is not None:
        return compare(left, right)
    # Texts have no order here; only being different makes sense.
    return compare is operator.ne and not same(wanted, value)
