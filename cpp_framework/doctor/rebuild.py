"""`cpp doctor --rebuild`: an index made anew, with the instruments and exposures that only headers tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from cpp_framework.camera.catalogue import read_instrument
from cpp_framework.camera.instrument import Instrument
from cpp_framework.errors import CppError
from cpp_framework.plan.ingest import ingest_again
from cpp_framework.plugins import Plugins
from cpp_framework.store import Store
from cpp_framework.store.ingests import IngestNote, read_note
from cpp_framework.store.rebuild import rebuild
from cpp_framework.store.rebuild_reading import read_small
from cpp_framework.store.rebuild_report import RebuildReport


def rebuild_repository(root: Path, plugins: Plugins, progress: Callable[[str], None] = lambda _: None) -> RebuildReport:
    """Make the index of the repository in ``root`` anew from its files and the raw files it was told of.

    Raises as `cpp_framework.store.rebuild.rebuild`; ``progress`` is told what is being read.
    """

    def restore(store: Store, report: RebuildReport) -> None:
        _add_instruments(store, report)
        _ingest_again(store, report, progress)

    return rebuild(root, plugins, restore, progress)


def _add_instruments(store: Store, report: RebuildReport) -> None:
    for path in sorted((store.root / "instruments").iterdir()):
        try:
            store.add_instrument(read_small(path), read_instrument(path).name)
        except (CppError, OSError, ValueError) as error:
            report.leave_out(path, str(error))
        else:
            report.counts["instruments"] += 1


def _ingest_again(store: Store, report: RebuildReport, progress: Callable[[str], None]) -> None:
    """Read the headers of the raw files of every ingest again, in order of time."""

    @cache
    def instrument(name: str) -> Instrument:
        return read_instrument(store.instrument_path(name))

    for note in _notes(store.root, report):
        progress(f"ingests/{note.id}")
        try:
            done = ingest_again(store, instrument, note)
        except CppError as error:
            report.leave_out(f"ingests/{note.id}.json", str(error))
            continue
        for one in done.refused:
            report.leave_out(one.path, one.reason.removeprefix(f"{one.path}: "))
    report.counts["exposures"] = len(store.exposures())


def _notes(root: Path, report: RebuildReport) -> list[IngestNote]:
    notes = []
    for path in sorted((root / "ingests").iterdir()):
        try:
            notes.append(read_note(read_small(path)))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            report.leave_out(path, f"is no note of an ingest: {str(error)[:100]}")
    # An exposure is that of the last ingest of its file.
    notes.sort(key=lambda note: note.id)
    last = {path: note.id for note in notes for paths in note.paths.values() for path in paths}
    return [
        replace(
            note,
            paths={name: tuple(path for path in paths if last[path] == note.id) for name, paths in note.paths.items()},
        )
        for note in notes
    ]
