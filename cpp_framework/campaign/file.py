"""Campaign files: YAML that names the passes in their order.

``format: 1`` and ``passes:``, a list. Only ``type`` is needed of a pass::

    passes:
      - {type: bias, label: bootstrap, without: [gain], verify: no}
      - type: dark
        select: [exposure_time>=100]
        exclude: [KAST_r3073]
        settings: {clip: 4.0}
        without: [gain]
        use: {linearity: 3f2a91c0}       # TYPE: ID of a product there is
        needs: {bias: bootstrap}         # TYPE: LABEL of an earlier pass; the latest of that type by default
        verify: required                 # no, yes (the default), required: a FAIL blocks what needs it
        certify: {begin: 2026-11-22, end: open, note: first light, supersede: false, waive: {CHECK: reason}}
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_validator, model_validator

from cpp_framework.campaign.passes import Campaign, Certification, Pass, Verifying
from cpp_framework.config.yaml_file import Wanted, YamlFile, problems, read_yaml
from cpp_framework.errors import ConfigError
from cpp_framework.model.timespan import parse_instant
from cpp_framework.plan import Request

_FILE = Wanted(ConfigError, unreadable="cpp run FILE wants a campaign file", example="examples/campaigns/ci_cpp.yaml")

_COLLECTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+./-]{0,99}")
"""Names of collections, as the store takes them."""


def _as_text(value: Any) -> Any:
    """Numbers and dates as the text they were: exposure ids and instants may look like either."""
    if isinstance(value, datetime.date):  # a datetime is one too
        return value.isoformat()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_list(value: Any) -> Any:
    """A single text or number stands for a list of one."""
    return [value] if isinstance(value, str | int) else value


_Text = Annotated[str, BeforeValidator(_as_text)]
_Texts = Annotated[tuple[_Text, ...], BeforeValidator(_as_list)]


def _as_instant(value: Any) -> Any:
    try:
        return parse_instant(str(_as_text(value)))
    except ConfigError as error:
        raise ValueError(f"{error}; {error.hint}") from error


_Instant = Annotated[int | None, BeforeValidator(_as_instant)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CertifyEntry(_Strict):
    """``certify:`` of a pass; the fields of `Certification`."""

    begin: _Instant
    end: _Instant = None
    note: str = ""
    supersede: bool = False
    waive: dict[str, str] = {}
    collection: str = ""

    @field_validator("waive")
    @classmethod
    def _has_reasons(cls, waive: dict[str, str]) -> dict[str, str]:
        if empty := [name for name, because in waive.items() if not because.strip()]:
            raise ValueError(f"{', '.join(empty)}: say why the check may fail")
        return waive

    @field_validator("collection")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if name and (not _COLLECTION.fullmatch(name) or ".." in name or name.endswith("/")):
            raise ValueError("is no name for a collection: letters, digits and '_ + - . /', at most 100")
        if name.startswith(("ci_cpp_", "ci_cpv_")):
            raise ValueError("begins like the runs cpp makes itself")
        return name

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.begin is not None and self.end is not None and self.begin >= self.end:
            raise ValueError("the range is empty: begin must be before end")
        return self


class PassEntry(_Strict):
    """One entry of ``passes:``."""

    type: str
    label: str = ""
    select: _Texts = ()
    exclude: _Texts = ()
    settings: dict[str, Any] = {}
    without: _Texts = ()
    use: dict[str, _Text] = {}
    needs: dict[str, str] = {}
    verify: Literal["no", "yes", "required"] = "yes"
    certify: CertifyEntry | None = None

    @model_validator(mode="after")
    def _certified_ones_are_verified(self) -> Self:
        if self.certify is not None and self.verify == "no":
            raise ValueError("certify: only what is verified can be certified; take out `verify: no`")
        return self

    def to_pass(self, shared: Request) -> Pass:
        """The pass, with what all passes ``shared``."""
        request = replace(
            shared,
            type=self.type,
            label=self.label,
            filters=shared.filters + self.select,
            exclude=shared.exclude + self.exclude,
            settings=tuple(_assignments(self.settings)),
            use={**shared.use, **self.use},
            without=self.without,
        )
        certify = Certification(**self.certify.model_dump()) if self.certify is not None else None
        return Pass(request, dict(self.needs), Verifying(self.verify), certify)


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):  # True equals 1
        raise ValueError("expected the number 1")
    return value


class CampaignFile(_Strict):
    """A whole campaign file."""

    format: Annotated[Literal[1], BeforeValidator(_no_truth)]
    passes: tuple[PassEntry, ...]

    def contradictions(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Where in the file passes do not go together, and why not."""
        if not self.passes:
            yield ("passes",), "there must be at least one"
        seen: dict[tuple[object, ...], int] = {}
        for number, entry in enumerate(self.passes):
            same = (entry.type, entry.label, frozenset(entry.select), frozenset(entry.exclude))
            first = seen.setdefault(same, number)
            if first != number:
                why = f"is of the same type, label and selection as passes[{first}]; give it a label of its own"
                yield ("passes", number), why
            for wanted, label in entry.needs.items():
                labels = [one.label for one in self.passes[:number] if one.type == wanted]
                if label not in labels:
                    known = ", ".join(repr(one) for one in labels) or "none"
                    why = f"no earlier pass is of type {wanted!r} with label {label!r} (earlier labels: {known})"
                    yield ("passes", number, "needs", wanted), why


def read_campaign(path: Path, shared: Request | None = None) -> Campaign:
    """Read a campaign file.

    Parameters
    ----------
    path : Path
    shared : Request, optional
        What holds for every pass: instrument, filters, exclusions, where needs are looked up. Its type is not used.

    Raises
    ------
    ConfigError
        The file cannot be read, or something in it is wrong: every problem as ``file:line``, unknown keys with the
        nearest known one.
    """
    file = read_yaml(path, _FILE)
    try:
        content = CampaignFile.model_validate(file.data)
    except ValidationError as error:
        raise _wrong(file, problems(file, error, CampaignFile)) from error
    if wrong := [(file.line(where), f"{_dotted(where)}: {why}") for where, why in content.contradictions()]:
        raise _wrong(file, wrong)
    return Campaign(tuple(entry.to_pass(shared or Request("")) for entry in content.passes))


def _wrong(file: YamlFile, found: list[tuple[int, str]]) -> ConfigError:
    lines = [f"{file.name}:{line}: {text}" for line, text in sorted(found)]
    return ConfigError("\n".join(lines), hint="examples/campaigns/ci_cpp.yaml is a whole campaign")


def _dotted(location: tuple[str | int, ...]) -> str:
    """A place in the file as people write it: ``passes[1].needs.bias``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _assignments(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Nested settings as ``key.sub=value``, as `--set` takes them."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _assignments(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={json.dumps(value, default=str)}"
