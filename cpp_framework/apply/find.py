"""Raw exposures by path, folder or id: from the repository, or translated now where a file was not ingested."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cpp_framework.apply.request import FoundRaw, RefusedRaw
from cpp_framework.camera.hdu import read_headers
from cpp_framework.camera.instrument import Instrument
from cpp_framework.errors import CppError, NotFoundError, RawFileError
from cpp_framework.model.exposure import Exposure
from cpp_framework.plan.ingest import find_files, read_file
from cpp_framework.store import Store, StoredExposure

FITS_NAME = re.compile(r"\.(fits|fit|fts)(\.(gz|fz))?$", re.IGNORECASE)
OWN_CARDS = ("CPPEXP", "CPPRAW", "NCAL")
"""Cards by which a calibrated image is known: no raw file has them all."""


def find_raws(
    raws: Iterable[str], store: Store, instruments: Callable[[str], Instrument], instrument: str = ""
) -> tuple[list[FoundRaw], list[RefusedRaw], list[str]]:
    """Find exposures, one entry per detector, in the order given.

    Parameters
    ----------
    raws : iterable of str
        Paths of files, of folders to search for FITS files, and exposure ids. What exists as a path is one. Calibrated
        images in a folder are left out.
    store : Store
    instruments : callable
        Name of a registered instrument → the instrument.
    instrument : str
        Registered instrument that took the files; empty for the one that fits their headers.

    Returns
    -------
    list of FoundRaw, list of RefusedRaw, list of str
        Each exposure once; what means no exposure; and notes on what was left out.

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
    notes: list[str] = []
    for text in dict.fromkeys(raws):
        try:
            if _is_there(Path(text)):
                inside, problems, left_out = _in_path(Path(text), store, cameras)
                found += inside
                refused += problems
                notes += [f"{text}: {left_out} calibrated images are left out"] if left_out else []
            else:
                found += _named(text, store, instrument)
        except CppError as error:
            refused.append(RefusedRaw(text, error))
    once = {(one.exposure.path, one.exposure.detector): one for one in found}
    return list(once.values()), refused, notes


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # no file can have this name
        return False


def _named(text: str, store: Store, instrument: str) -> list[FoundRaw]:
    """The exposure of an id, as it was ingested: its file must be the same."""
    if not text.isprintable():
        raise NotFoundError(f"{text!a}: no such file, and no exposure has such a name", hint="`cpp find` lists them")
    try:
        stored = store.exposure(text, instrument)
    except NotFoundError as error:
        if os.sep in text or FITS_NAME.search(text):
            raise NotFoundError(f"{text}: no such file", hint="check the path; `cpp find` lists exposures") from error
        raise
    for one in stored:
        path = Path(one.exposure.path)
        try:
            same = _is_same(one, path)
        except OSError as error:
            missing = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise RawFileError(f"{path}: {missing}", hint=f"exposure {one.exposure.id} was ingested from it") from error
        if not same:
            raise RawFileError(
                f"exposure {one.exposure.id}: {path} has changed since it was ingested", hint="cpp ingest it again"
            )
    return _known(stored)


def _in_path(path: Path, store: Store, cameras: Sequence[Instrument]) -> tuple[list[FoundRaw], list[RefusedRaw], int]:
    """What a file or folder holds, and how many calibrated images of a folder are left out."""
    files, problems = find_files([path])
    found: list[FoundRaw] = []
    refused = [RefusedRaw(str(one.path), RawFileError(one.reason, one.hint)) for one in problems]
    left_out = 0
    for file in files:
        try:
            found += _in_file(file, store, cameras)
        except _CalibratedError as error:
            if path.is_dir():
                left_out += 1
            else:
                refused.append(RefusedRaw(str(file), error))
        except CppError as error:
            refused.append(RefusedRaw(str(file), error))
        except Exception as error:  # one file, however broken, must not keep the others out
            reason = f"{file}: {type(error).__name__} while reading headers: {error}"
            refused.append(RefusedRaw(str(file), RawFileError(reason, "report it with `cpp instrument check`")))
    return found, refused, left_out


class _CalibratedError(RawFileError):
    """A file is a calibrated image, not a raw one."""


def _in_file(path: Path, store: Store, cameras: Sequence[Instrument]) -> list[FoundRaw]:
    """Exposures of one file: as it was ingested if it is still the same, else as its headers say now."""
    # The index holds text only: `read_file` refuses names that are none.
    stored = _ingested(path, store) if str(path).isprintable() else []
    if stored and all(_is_same(one, path) for one in stored):
        return _known(stored)
    exposures = _read(path, cameras)
    if stored:
        return [FoundRaw(one, "changed since it was ingested") for one in exposures]
    return [FoundRaw(one, _join("not ingested", _impostor(one, store))) for one in exposures]


def _ingested(path: Path, store: Store) -> list[StoredExposure]:
    try:
        return [one for one in store.exposure(str(path)) if one.exposure.path == str(path)]
    except NotFoundError:
        return []


def _is_same(stored: StoredExposure, path: Path) -> bool:
    """Whether the file is the one that was ingested, by size and time. Raises OSError where it cannot be looked at."""
    state = path.stat()
    return (stored.size, stored.mtime_ns) == (state.st_size, state.st_mtime_ns)


def _read(path: Path, cameras: Sequence[Instrument]) -> Sequence[Exposure]:
    """Exposures as the headers of a file say.

    Raises
    ------
    RawFileError
        They cannot be read, fit no camera, or are those of a calibrated image.
    """
    if str(path).isprintable() and all(card in read_headers(path)[0].cards for card in OWN_CARDS):
        raise _CalibratedError(f"{path}: is a calibrated image, not a raw file", hint="give the raw file")
    return read_file(path, cameras).exposures


def _impostor(one: Exposure, store: Store) -> str:
    """In words, that the id of a file that was not ingested is registered from another file with other bytes."""
    for stored in store.exposures(one.instrument, id=one.id, detector=one.detector):
        other = Path(stored.exposure.path)
        try:
            same = filecmp.cmp(other, one.path, shallow=False)
        except OSError:  # the registered file is gone: this may be it, moved
            same = True
        if not same:
            return f"{one.path} has the id {one.id}, under which {other} with other bytes is registered"
    return ""


def _join(*remarks: str) -> str:
    return "; ".join(remark for remark in remarks if remark)


def _known(stored: Sequence[StoredExposure]) -> list[FoundRaw]:
    return [FoundRaw(one.exposure, f"flagged bad: {one.because}" if one.bad else "") for one in stored]
