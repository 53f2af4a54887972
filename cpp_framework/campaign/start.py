"""Beginning with a folder: find or make the repository, tell it the camera, register the frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpp_framework.camera.catalogue import instrument_text, load_instrument, parse_instrument, read_instrument
from cpp_framework.campaign.folder import infer_instrument
from cpp_framework.errors import ConflictError, InputsMissingError, NotFoundError
from cpp_framework.model.exposure import Exposure
from cpp_framework.plan.ingest import IngestReport, find_files, ingest
from cpp_framework.store import IngestOutcome, Store
from cpp_framework.store.locate import VARIABLE, find_repository, is_repository

FOLDER = "cpp"
"""Where the repository is made, below the working directory, if there is none."""


@dataclass(frozen=True)
class Start:
    """A repository that holds the frames of some folders.

    ``store`` is the one that was found or made, to be closed by who gets it; ``exposures`` are those of the folders,
    whether registered now or before; ``report`` tells what was refused.
    """

    store: Store
    exposures: tuple[Exposure, ...]
    report: IngestReport

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the exposures, each once."""
        return tuple(dict.fromkeys(one.id for one in self.exposures))


def start(
    folders: Sequence[Path], repo: Path | None, instrument: str, tell: Callable[[str], None], *, dry_run: bool = False
) -> Start:
    """Register the frames of folders in a repository, which is made in ``./cpp`` if there is none.

    Parameters
    ----------
    folders : sequence of Path
        Folders (or files) of raw frames.
    repo : Path or None
        Repository; None for ``$CPP_REPO``, the nearest enclosing one, or ``./cpp``.
    instrument : str
        Name or file of the camera; empty for the repository's, or the one the frames tell.
    tell : callable
        Is told, in words, what was found and done.
    dry_run : bool
        Nothing is written: a repository that would be made is one in memory, and there must be one otherwise that has
        frames of the folders, as only those can be planned with.

    Raises
    ------
    InputsMissingError
        There is no frame to work with.
    AmbiguousError
        The frames are of several cameras.
    ConflictError
        ``./cpp`` holds something else.
    """
    root = _find(repo)
    store = Store.open(root, write=not dry_run) if is_repository(root) else None
    if dry_run and store is not None:
        return _registered(store, folders, tell)
    if instrument or store is None or not store.instruments():
        name, text = _camera(folders, instrument, tell)
        if store is None and dry_run:
            store = Store.in_memory()
            tell(f"repository: {root} would be made; planned in one in memory, nothing is written")
        elif store is None:
            store = Store.create(root)
            tell(f"repository: {root} (made)")
        _add(store, name, text, tell)
        report = _ingest(store, folders, name)
    else:
        tell(f"repository: {root}")
        report = _ingest(store, folders, "")
        if report.exit_code == 3:  # frames of a camera the repository does not know
            name, text = _camera(folders, "", tell)
            if name not in store.instruments():
                _add(store, name, text, tell)
                report = _ingest(store, folders, name)
    for one in report.refused:
        tell(f"refused: {one.reason}" + (f"; hint: {one.hint}" if one.hint else ""))
    good = [one for one in report.ingested if one.outcome is not IngestOutcome.CONFLICT]
    if not good:
        store.close()
        raise InputsMissingError(
            f"none of the frames in {', '.join(map(str, folders))} could be registered in {root}",
            hint="the lines above say why; cpp instrument init FRAMES proposes a file for a camera",
        )
    new = sum(one.outcome is IngestOutcome.ADDED for one in good)
    tell(f"frames: {len(good)}, {new} of them new")
    return Start(store, tuple(one.exposure for one in good), report)


def _registered(store: Store, folders: Sequence[Path], tell: Callable[[str], None]) -> Start:
    """The frames of folders that a repository has already; nothing is written."""
    files, refused = find_files(folders)
    paths = {str(path) for path in files}
    exposures = tuple(one.exposure for one in store.exposures() if one.exposure.path in paths)
    new = len(paths - {one.path for one in exposures})
    tell(f"repository: {store.root}")
    if not exposures:
        raise InputsMissingError(
            f"none of the {len(paths)} frames is registered in {store.root}, and a dry run registers none",
            hint="cpp ingest FOLDER first, or run without --dry-run",
        )
    if new:
        tell(f"note: {new} frames are not registered yet, so the plan is without them; cpp ingest registers them")
    return Start(store, exposures, IngestReport((), tuple(refused)))


def _find(repo: Path | None) -> Path:
    """The repository meant; ``./cpp`` where nobody names one and none encloses the working directory."""
    if repo is not None or os.environ.get(VARIABLE):
        return find_repository(repo)
    try:
        return find_repository()
    except NotFoundError:
        folder = Path.cwd() / FOLDER
        if folder.exists() and not is_repository(folder) and not _is_empty(folder):
            raise ConflictError(
                f"{folder} is there and no repository", hint="name another with --repo, after cpp init FOLDER"
            ) from None
        return folder


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _camera(folders: Sequence[Path], instrument: str, tell: Callable[[str], None]) -> tuple[str, str]:
    """Name and text of the camera's file, before anything is made."""
    if instrument:
        return load_instrument(instrument).name, instrument_text(instrument)
    found = infer_instrument(folders)
    tell(f"camera: {found.how}")
    return found.name, found.text or instrument_text(found.name)


def _add(store: Store, name: str, text: str, tell: Callable[[str], None]) -> None:
    if name in store.instruments():
        return
    store.add_instrument(text, name)
    if is_repository(store.root):  # that of a repository in memory is gone soon
        tell(f"camera file: {store.instrument_path(name)} (its comments tell what could not be known; edit it freely)")
    for layout in parse_instrument(text).detectors:
        if any(amplifier.gain is None for amplifier in layout.amplifiers):
            tell(f"no gain is known for detector {layout.id}: products stay in ADU")


def _ingest(store: Store, folders: Sequence[Path], name: str) -> IngestReport:
    return ingest(store, lambda one: read_instrument(store.instrument_path(one)), folders, name)
