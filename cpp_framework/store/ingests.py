"""Notes of ingests: which files were registered, so that an index made anew can read their headers again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import Connection, select

from cpp_framework.model.identity import parse_json
from cpp_framework.store.files import publish_text
from cpp_framework.store.records import RawFile
from cpp_framework.store.schema import exposure


@dataclass(frozen=True)
class IngestNote:
    """One ingest: its id, and the paths it registered, by the instrument that took them."""

    id: str
    paths: Mapping[str, tuple[str, ...]]


def note_path(ingest: str) -> str:
    """Path of a note below the repository."""
    return f"ingests/{ingest}.json"


def note_of(ingest: str, files: Iterable[RawFile]) -> IngestNote:
    """The note of an ingest of these files."""
    return _gather(ingest, ((one.instrument, str(file.path)) for file in files for one in file.exposures))


def note_text(note: IngestNote) -> str:
    """A note as the text of its file."""
    return json.dumps({"format": 1, "id": note.id, "paths": note.paths}, indent=1) + "\n"


def publish_note(root: Path, note: IngestNote) -> None:
    """Write the file of a note."""
    publish_text(note_text(note), root / note_path(note.id), root / "staging")


def missing_notes(connection: Connection, root: Path) -> list[IngestNote]:
    """Notes of the exposures in the index that have no file: an older version did not write any."""
    wanted: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(select(exposure.c.ingest, exposure.c.instrument, exposure.c.path)):
        wanted.setdefault(row.ingest, []).append((row.instrument, row.path))
    absent = [ingest for ingest in sorted(wanted) if not (root / note_path(ingest)).is_file()]
    return [_gather(ingest, wanted[ingest]) for ingest in absent]


def read_note(text: str) -> IngestNote:
    """Rebuild a note from the text of its file.

    Raises
    ------
    ValueError
        The text is no note.
    """
    document = parse_json(text)
    if not isinstance(document, dict) or document.pop("format", None) != 1:
        raise ValueError("not a note of an ingest of format 1")
    return TypeAdapter(IngestNote).validate_python(document)


def _gather(ingest: str, files: Iterable[tuple[str, str]]) -> IngestNote:
    """The note of files given by instrument and path, each once."""
    paths: dict[str, dict[str, None]] = {}
    for instrument, path in files:
        paths.setdefault(instrument, {})[path] = None
    return IngestNote(ingest, {name: tuple(some) for name, some in paths.items()})
