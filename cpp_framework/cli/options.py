"""Options several verbs share, and how they become a request."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.errors import ConfigError

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.plan import Request

RepoOption = Annotated[
    Path | None,
    typer.Option(
        "--repo", help="Repository folder; else $CPP_REPO, else the nearest enclosing one.", envvar="CPP_REPO"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
TypeOption = Annotated[str, typer.Option("--type", "-t", help="Calibration type; `cpp plugins` lists them.")]
LabelOption = Annotated[str, typer.Option("--label", help="Label of this pass, for a type made more than once.")]
InstrumentOption = Annotated[str, typer.Option("--instrument", help="Only exposures of this instrument.")]
NightOption = Annotated[str, typer.Option("--night", help="Only this observing day (YYYY-MM-DD or YYYYMMDD).")]
FilterOption = Annotated[str, typer.Option("--filter", help="Only this filter.")]
SelectOption = Annotated[
    list[str] | None,
    typer.Option("--select", help="Only exposures with FIELD OP VALUE, for instance exposure_time>=5."),
]
ExcludeOption = Annotated[list[str] | None, typer.Option("--exclude", help="Leave this exposure out (repeatable).")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Setting of the type: KEY=VALUE (repeatable).")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="YAML file with settings.", exists=True, dir_okay=False)
]
UseOption = Annotated[list[str] | None, typer.Option("--use", help="Product for a need: TYPE=ID (repeatable).")]
WithoutOption = Annotated[
    list[str] | None,
    typer.Option("--without", help="Leave out this need (a type), or 'gain' for the gain stage (repeatable)."),
]
UncertifiedOption = Annotated[
    bool, typer.Option("--allow-uncertified", help="Serve needs with the newest verified product.")
]
CollectionOption = Annotated[
    str, typer.Option("--collection", help="Calibration collection; the instrument's (INSTRUMENT/calib) by default.")
]
AtOption = Annotated[
    str, typer.Option("--at", help="Look needs up for this instant (UTC), not for the exposures' own dates.")
]


def open_repository(repo: Path | None, *, write: bool = True) -> Repository:
    """Open the repository the user means."""
    from cpp_framework.api import Repository

    return Repository.open(repo, write=write)


def repo_words(repo: Path | None) -> str:
    """What must be added to a command so that it finds the same repository."""
    return "" if repo is None else f" --repo {shlex.quote(str(repo))}"


def make_request(
    calibration_type: str,
    label: str,
    instrument: str,
    night: str,
    band: str,
    selected: list[str] | None,
    exclude: list[str] | None,
    settings: list[str] | None,
    config: Path | None,
    use: list[str] | None,
    allow_uncertified: bool,
    collection: str = "",
    at: str = "",
    without: list[str] | None = None,
) -> Request:
    """Gather a request from the options of `plan` and `produce`."""
    from cpp_framework.model.timespan import parse_instant
    from cpp_framework.plan import Request

    filters = list(selected or [])
    filters += [f"day_obs={_night(night)}"] if night else []
    filters += [f"filter={band}"] if band else []
    return Request(
        type=calibration_type,
        label=label,
        instrument=instrument,
        filters=tuple(filters),
        exclude=tuple(exclude or ()),
        settings=tuple(settings or ()),
        config_file=config,
        use=parse_use(use),
        without=tuple(without or ()),
        allow_uncertified=allow_uncertified,
        collection=collection,
        at=parse_instant(at) if at else None,
    )


def _night(text: str) -> str:
    try:
        return datetime.strptime(text.replace("-", ""), "%Y%m%d").strftime("%Y%m%d")
    except ValueError as error:
        raise ConfigError(f"--night {text!r} is not a day", hint="write it as 2026-11-22") from error


def parse_use(use: list[str] | None) -> dict[str, str]:
    """Products by type from texts ``TYPE=ID``."""
    return dict(_pair(one) for one in use or ())


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ConfigError(f"--use {text!r} is not TYPE=ID", hint="cpp find --products lists the identifiers")
    return name, value
