"""Instruments by name or path: those shipped, those offered by plugins, and files a person wrote."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from cpp_framework.camera.header import HeaderMap
from cpp_framework.camera.instrument import Instrument
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.config.text_file import read_text
from cpp_framework.config.yaml_file import Wanted, YamlFile, parse_yaml, problems, read_yaml
from cpp_framework.errors import InstrumentError, NotFoundError
from cpp_framework.plugins import installed

_SUFFIXES = (".yaml", ".yml")
_FILE = Wanted(
    InstrumentError,
    unreadable="`cpp instrument list` lists the cameras",
    example="`cpp instrument show simcam` shows one",
)


def shipped_names() -> tuple[str, ...]:
    """Names of the instruments that come with the framework."""
    return tuple(sorted(_shipped()))


def instrument_sources() -> dict[str, str]:
    """Every instrument that can be asked for by name, and where it comes from."""
    return dict.fromkeys(shipped_names(), "shipped") | installed().offers("cpp_instruments")


def load_instrument(name_or_path: str | Path) -> Instrument:
    """Return an instrument by name (shipped, or offered by a plugin; case does not matter) or by path.

    Raises
    ------
    NotFoundError
        There is no such instrument; the message lists those there are.
    InstrumentError
        Its file is wrong.
    """
    path = Path(name_or_path)
    if path.suffix.lower() in _SUFFIXES or path.is_file():
        return read_instrument(path)
    return read_instrument(_named(str(name_or_path)))


def instrument_text(name_or_path: str | Path) -> str:
    """Return the YAML text of an instrument, found as by `load_instrument`."""
    path = Path(name_or_path)
    if not (path.suffix.lower() in _SUFFIXES or path.is_file()):
        path = _named(str(name_or_path))
    load_instrument(path)
    return read_text(path)


def read_instrument(path: str | Path) -> Instrument:
    """Read and validate an instrument file.

    Raises
    ------
    InstrumentError
        The file is unreadable, not YAML, or says something impossible. Every problem is listed as ``file:line``,
        unknown keys with the nearest known one.
    """
    return _validated(read_yaml(Path(path), _FILE))


def parse_instrument(text: str, name: str = "instrument") -> Instrument:
    """Validate the text of an instrument file. Raises as `read_instrument`."""
    return _validated(parse_yaml(text, name, _FILE))


def _shipped() -> dict[str, Path]:
    folder = Path(str(files("cpp_framework.camera") / "data"))
    return {path.stem: path for path in folder.glob("*.yaml")}


def _named(name: str) -> Path:
    shipped = _shipped()
    if name.lower() in shipped:
        return shipped[name.lower()]
    offered = installed().offers("cpp_instruments")
    for offer, where in offered.items():
        if offer.lower() == name.lower():
            return _inside_package(offer, where)
    known = [*shipped, *offered]
    raise NotFoundError(
        f"no instrument {name!r} and no file of that name; {did_you_mean(name, known)}",
        hint="`cpp instrument list` lists them, `cpp instrument init RAW.fits` proposes a file for a new camera",
    )


def _inside_package(name: str, where: str) -> Path:
    """Path of ``package:path/inside/it.yaml`` without importing the package."""
    package, _, inside = where.partition(":")
    spec = find_spec(package)
    roots = list(spec.submodule_search_locations or []) if spec is not None else []
    for root in roots:
        if (path := Path(root) / inside).is_file():
            return path
    raise InstrumentError(
        f"a plugin offers instrument {name!r} as {where!r}, but that file is not there",
        hint="reinstall the distribution that offers it; `cpp plugins` lists them",
    )


def _validated(file: YamlFile) -> Instrument:
    wrong: list[tuple[int, str]] = []
    instrument = None
    try:
        instrument = Instrument.model_validate(file.data)
    except ValidationError as error:
        wrong += problems(file, error, Instrument)
    try:
        HeaderMap.model_validate(file.data.get("header") or {})
    except ValidationError as error:
        wrong += problems(file, error, HeaderMap, ("header",))
    if wrong or instrument is None:
        lines = [f"{file.name}:{line}: {text}" for line, text in sorted(wrong)]
        raise InstrumentError("\n".join(lines), hint="`cpp instrument show simcam` shows a complete file")
    return instrument
