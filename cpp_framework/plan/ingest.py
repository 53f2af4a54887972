"""Ingest: find raw files, read headers, register exposures; what does not go in is named with the reason."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.reader import read_exposures
from cpp_framework.errors import CppError, NotFoundError, RawFileError
from cpp_framework.store import REGISTRY, Ingested, IngestOutcome, RawFile, Store
from cpp_framework.store.ingests import IngestNote
from cpp_framework.store.store import FOLDERS

_FITS = re.compile(r"\.(fits|fit|fts)(\.(gz|fz))?$", re.IGNORECASE)
_BATCH = 5000
"""Files registered in one transaction: what a kill can lose is the reading of their headers, nothing registered."""


@dataclass(frozen=True)
class RefusedFile:
    """A file (or folder) of which something did not go in, and why."""

    path: Path
    reason: str
    hint: str = ""


@dataclass(frozen=True)
class IngestReport:
    """What became of every exposure offered, and every file refused."""

    ingested: tuple[Ingested, ...]
    refused: tuple[RefusedFile, ...]

    @property
    def counts(self) -> dict[tuple[str, str], Counter[IngestOutcome]]:
        """How many exposures (per detector) of each instrument and kind had each outcome."""
        counts: dict[tuple[str, str], Counter[IngestOutcome]] = {}
        for one in self.ingested:
            counts.setdefault((one.exposure.instrument, one.exposure.kind), Counter())[one.outcome] += 1
        return dict(sorted(counts.items()))

    @property
    def exit_code(self) -> int:
        """0 if everything went in (or was there), 6 if something was refused, 3 if nothing went in."""
        if not any(one.outcome is not IngestOutcome.CONFLICT for one in self.ingested):
            return 3
        return 6 if self.refused else 0


def ingest(
    store: Store,
    instruments: Callable[[str], Instrument],
    paths: Iterable[Path],
    instrument: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> IngestReport:
    """Register the exposures of raw files by their headers. Doing it again changes nothing.

    Parameters
    ----------
    store : Store
        Where to register them.
    instruments : callable
        Name of a registered instrument → the instrument.
    paths : iterable of Path
        Files, taken whatever their names, and folders, searched through for FITS files.
    instrument : str
        Registered instrument that took them; empty to use the only one there is, or the one that fits the headers.
    progress : callable, optional
        Told ``(files done, files in all)``.

    Raises
    ------
    NotFoundError
        The repository has no such instrument, or none at all.
    """
    cameras = [instruments(name) for name in _names(store, instrument)]
    files, refused = find_files(paths)
    ingested: list[Ingested] = []
    for start in range(0, len(files), _BATCH):
        batch: list[RawFile] = []
        for i, path in enumerate(files[start : start + _BATCH], start):
            _read_into(batch, path, cameras, refused)
            if progress is not None:
                progress(i + 1, len(files))
        ingested += store.ingest(batch)
    refused += [_conflict(one) for one in ingested if one.outcome is IngestOutcome.CONFLICT]
    return IngestReport(tuple(ingested), tuple(refused))


def ingest_again(store: Store, instruments: Callable[[str], Instrument], note: IngestNote) -> IngestReport:
    """Repeat an earlier ingest, for an index made anew: read the headers of its files where they are now.

    Raises
    ------
    NotFoundError, InstrumentError
        An instrument it speaks of is gone, or its file is wrong.
    """
    refused: list[RefusedFile] = []
    batch: list[RawFile] = []
    for name, paths in note.paths.items():
        camera = instruments(name)
        for path in paths:
            _read_into(batch, Path(path), [camera], refused)
    ingested = store.ingest(batch, again=note.id)
    refused += [_conflict(one) for one in ingested if one.outcome is IngestOutcome.CONFLICT]
    return IngestReport(tuple(ingested), tuple(refused))


def find_files(paths: Iterable[Path]) -> tuple[list[Path], list[RefusedFile]]:
    """Real paths of all raw files, each once, in the order given (folders sorted), and what is no file."""
    found: dict[Path, None] = {}
    refused: list[RefusedFile] = []
    for path in paths:
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            reason = f"{path}: {'no such file or folder' if missing else error.strerror}"
            refused.append(RefusedFile(path, reason, "check the path"))
            continue
        if is_folder:
            found |= dict.fromkeys(_inside(path, refused))
        else:
            found[path.resolve()] = None
    return list(found), refused


def _inside(folder: Path, refused: list[RefusedFile]) -> list[Path]:
    """Raw files in a folder; what cannot be read, and a folder without any, is added to ``refused``."""
    unreadable: list[OSError] = []
    inside = list(_walk(folder, unreadable))
    for error in unreadable:
        reason = f"{error.filename}: folder cannot be read: {error.strerror}"
        refused.append(RefusedFile(Path(error.filename), reason, "check its permissions"))
    if not inside and not unreadable:
        reason = f"{folder}: no *.fits, *.fit or *.fts file is in this folder"
        refused.append(RefusedFile(folder, reason, "name the files themselves if they end otherwise"))
    return inside


def _walk(folder: Path, unreadable: list[OSError]) -> Iterator[Path]:
    for name, folders, files in os.walk(folder, onerror=unreadable.append):
        own = {one.split("/")[0] for one in FOLDERS} if REGISTRY in files else set()
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one not in own)
        for file in sorted(files):
            if _FITS.search(file) and not file.startswith("."):
                yield Path(os.path.realpath(Path(name) / file))  # `Path.resolve` fails on links in a circle


def _names(store: Store, instrument: str) -> Sequence[str]:
    names = [instrument] if instrument else store.instruments()
    if not names:
        raise NotFoundError(
            f"the repository {store.root} has no instrument yet", hint="cpp ingest PATH --instrument NAME|FILE"
        )
    return names


def read_file(path: Path, cameras: Sequence[Instrument]) -> RawFile:
    """Translate the headers of one file with the one of the cameras that claims it.

    Raises
    ------
    RawFileError
        The file cannot be read, or fits none of the cameras, or several.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise RawFileError(f"{path}: {error.strerror}", hint="is it a link to a file that is gone?") from error
    if not str(path).isprintable():
        raise RawFileError(f"{str(path)!a}: the name holds characters that are no text", hint="rename the file")
    fitting, problems = [], []
    for camera in cameras:
        try:
            fitting.append(read_exposures(path, camera))
        except RawFileError as error:
            problems.append(error)
    if len(fitting) == 1:
        return RawFile(path, state.st_size, state.st_mtime_ns, tuple(fitting[0]))
    if len(cameras) == 1:
        raise problems[0]
    if not fitting:
        reasons = "; ".join(f"{camera.name}: {error}" for camera, error in zip(cameras, problems, strict=True))
        raise RawFileError(f"{path} fits none of the instruments ({reasons})", hint="cpp ingest --instrument FILE")
    names = " and ".join(exposures[0].instrument for exposures in fitting)
    raise RawFileError(
        f"{path} fits the instruments {names}",
        hint="say --instrument NAME, or give header.instrument an `expect` in their files",
    )


def _read_into(batch: list[RawFile], path: Path, cameras: Sequence[Instrument], refused: list[RefusedFile]) -> None:
    """Read the headers of one file; what is wrong with it is added to ``refused``."""
    try:
        batch.append(read_file(path, cameras))
    except CppError as error:
        refused.append(RefusedFile(path, str(error), error.hint))
    except Exception as error:  # one file, however broken, must not keep the others out
        reason = f"{path}: {type(error).__name__} while reading headers: {error}"
        refused.append(RefusedFile(path, reason, "leave it out, and report it with `cpp instrument check`"))


def _conflict(one: Ingested) -> RefusedFile:
    return RefusedFile(
        Path(one.exposure.path),
        f"{one.exposure.path}: {one.reason}",
        "two exposures of one instrument must not share an id: see header.id in the instrument file",
    )
