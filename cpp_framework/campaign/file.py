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
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from cpp_framework.campaign.passes import Campaign, Certification, Pass, Verifying
from cpp_framework.config.yaml_file import Wanted, problems, read_yaml
from cpp_framework.errors import ConfigError
from cpp_framework.model.timespan import parse_instant
from cpp_framework.plan import Request

_FILE = Wanted(ConfigError, unreadable="cpp run FILE wants a campaign file", example="examples/campaigns/ci_cpp.yaml")


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


class CampaignFile(_Strict):
    """A whole campaign file."""

    format: Literal[1]
    passes: tuple[PassEntry, ...]

    @model_validator(mode="after")
    def _needs_name_earlier_passes(self) -> Self:
        if not self.passes:
            raise ValueError("passes: there must be at least one")
        for number, entry in enumerate(self.passes):
            for wanted, label in entry.needs.items():
                labels = [one.label for one in self.passes[:number] if one.type == wanted]
                if label not in labels:
                    known = ", ".join(repr(one) for one in labels) or "none"
                    raise ValueError(
                        f"passes[{number}].needs: no earlier pass is of type {wanted!r} with label {label!r} "
                        f"(earlier labels of that type: {known})"
                    )
        return self


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
        lines = [f"{file.name}:{line}: {text}" for line, text in sorted(problems(file, error, CampaignFile))]
        raise ConfigError("\n".join(lines), hint="examples/campaigns/ci_cpp.yaml is a whole campaign") from error
    return Campaign(tuple(entry.to_pass(shared or Request("")) for entry in content.passes))


def _assignments(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Nested settings as ``key.sub=value``, as `--set` takes them."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _assignments(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={json.dumps(value, default=str)}"
