"""Raw exposures by path, folder or id: from the repository, or translated now where a file was not ingested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cpp_framework.apply.request import FoundRaw, RefusedRaw
from cpp_framework.camera.instrument import Instrument
from cpp_framework.errors import CppError, NotFoundError, RawFileError
from cpp_framework.plan.ingest import find_files, read_file
from cpp_framework.store import Store, StoredExposure


def find_raws(
    raws: Iterable[str], store: Store, instruments: Callable[[str], Instrument], instrument: str = ""
) -> tuple[list[FoundRaw], list[RefusedRaw]]:
    """Find exposures, one entry per detector, in the order given.

    Parameters
    ----------
    raws : iterable of str
        Paths of files, of folders to search for FITS files, and exposure ids. What exists as a path is one.
    store : Store
    instruments : callable
        Name of a registered instrument → the instrument.
    instrument : str
        Registered instrument that took the files; empty for the one that fits their headers.

    Returns
    -------
    list of FoundRaw, list of RefusedRaw
        Each exposure once; and what means no exposure.

    Raises
    ------
    NotFoundError
        The repository has no such instrument, or none at all.
    """
    names = [instrument] if instrument else store.instruments()
    if not names:
        raise NotFoundError(f"the repository {store.root} has no instrument yet", hint="cpp ingest PATH --instrument X")
    cameras = [instruments(name) for name in names]
    found: list[FoundRaw] = []
    refused: list[RefusedRaw] = []
    for text in raws:
        try:
            if _is_there(Path(text)):
                inside, problems = _in_path(Path(text), store, cameras)
                found += inside
                refused += problems
            else:
                found += _known(store.exposure(text, instrument))
        except CppError as error:
            refused.append(RefusedRaw(text, error))
    once = {(one.exposure.path, one.exposure.detector): one for one in found}
    return list(once.values()), refused


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # no file can have this name
        return False


def _in_path(path: Path, store: Store, cameras: Sequence[Instrument]) -> tuple[list[FoundRaw], list[RefusedRaw]]:
    files, problems = find_files([path])
    found: list[FoundRaw] = []
    refused = [RefusedRaw(str(one.path), RawFileError(one.reason, one.hint)) for one in problems]
    for file in files:
        try:
            found += _in_file(file, store, cameras)
        except CppError as error:
            refused.append(RefusedRaw(str(file), error))
        except Exception as error:  # one file, however broken, must not keep the others out
            reason = f"{file}: {type(error).__name__} while reading headers: {error}"
            refused.append(RefusedRaw(str(file), RawFileError(reason, "report it with `cpp instrument check`")))
    return found, refused


def _in_file(path: Path, store: Store, cameras: Sequence[Instrument]) -> list[FoundRaw]:
    """Exposures of one file: as it was ingested if it is still the same, else as its headers say now."""
    try:
        stored = [one for one in store.exposure(str(path)) if one.exposure.path == str(path)]
    except NotFoundError:
        stored = []
    if stored:
        state = path.stat()
        if all((one.size, one.mtime_ns) == (state.st_size, state.st_mtime_ns) for one in stored):
            return _known(stored)
    remark = "changed since it was ingested" if stored else "not ingested"
    return [FoundRaw(one, remark) for one in read_file(path, cameras).exposures]


def _known(stored: Sequence[StoredExposure]) -> list[FoundRaw]:
    return [FoundRaw(one.exposure, f"flagged bad: {one.because}" if one.bad else "") for one in stored]
