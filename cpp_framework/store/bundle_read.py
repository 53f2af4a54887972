"""Reading a bundle: everything is checked before anything of it is used, for it may come from anywhere."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from pathlib import Path, PurePosixPath
from uuid import UUID

from pydantic import ValidationError
from pydantic_core import from_json

from cpp_framework._version import __version__
from cpp_framework.errors import BundleError, CppError, FormatVersionError, NotFoundError
from cpp_framework.model.check import Outcome, Verdict
from cpp_framework.model.header import Header
from cpp_framework.plugins import Plugins
from cpp_framework.store import ledger
from cpp_framework.store.bundle import (
    FORMAT,
    MANIFEST,
    BundledFile,
    BundledProduct,
    BundledRange,
    BundledVerdict,
    Manifest,
)
from cpp_framework.store.bundle import certifications as certifications_of
from cpp_framework.store.collections import chain_name
from cpp_framework.store.content import Proof, check_product
from cpp_framework.store.keys import key_text
from cpp_framework.store.products import make_record, product_path
from cpp_framework.store.records import CollectionKind, LedgerEntry, ProductRecord
from cpp_framework.store.schema import BEGINNING, END_OF_TIME
from cpp_framework.store.verdicts import read_verdict, same_verdict, verdict_path

MOST_TEXT = 1 << 28
"""Bytes of the largest manifest, verdict or instrument file that is read: 256 MiB."""

_INSTANT = re.compile(r"[0-9]{8}T[0-9]{6}Z(_[0-9]{1,9})?")
_AGAIN = "export it again; nothing was imported"


@dataclass(frozen=True)
class ArrivingVerdict:
    """A verdict of a bundle: its file there with its text, the path it will have below the repository, and itself."""

    file: Path
    text: str
    path: str
    verdict: Verdict


@dataclass(frozen=True)
class Arrival:
    """A product of a bundle: its file there, its record and header in the repository it comes to, and its verdicts."""

    file: Path
    record: ProductRecord
    header: Header
    proof: Proof
    verdicts: tuple[ArrivingVerdict, ...]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file was found to be what the manifest says.

    ``instruments`` are texts by name; ``certified`` are pieces of validity with the line of the ledger each rests on.
    """

    folder: Path
    manifest: Manifest
    arrivals: tuple[Arrival, ...]
    instruments: Mapping[str, str]
    certified: tuple[tuple[BundledRange, LedgerEntry], ...]


def read_bundle(folder: Path, plugins: Plugins) -> Bundle:
    """Read a bundle and check everything in it.

    Raises
    ------
    NotFoundError
        There is no such folder.
    BundleError
        It is no bundle, a file is missing, damaged or another than the manifest says, or something contradicts itself.
    FormatVersionError
        A newer version wrote it.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder", hint="cpp export COLLECTION FOLDER makes a bundle")
    manifest = _manifest(folder)
    _check_names(folder, manifest)
    for file in manifest.files():
        _check_bytes(folder, file)
    arrivals = tuple(_arrival(folder, one, plugins) for one in manifest.products)
    with _distrusting(folder / MANIFEST):
        instruments = {one.name: _text(folder, one.file) for one in manifest.instruments}
        _check_whole(folder, manifest, arrivals)
        certified = tuple(_certified(folder, manifest, arrivals))
    return Bundle(folder, manifest, arrivals, instruments, certified)


def _manifest(folder: Path) -> Manifest:
    if not (folder / MANIFEST).is_file():
        raise BundleError(f"{folder} is no bundle: it has no {MANIFEST}", hint="name the folder `cpp export` made")
    with _distrusting(folder / MANIFEST):
        document = from_json(_text(folder, MANIFEST))
        version = document.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise FormatVersionError(
                f"{folder / MANIFEST} has bundle format {version}; this is cpp-framework {__version__}, "
                f"which knows formats up to {FORMAT}",
                hint="upgrade cpp-framework",
            )
        return Manifest.model_validate(document)


def _check_names(folder: Path, manifest: Manifest) -> None:
    """Refuse what is in the manifest twice, and ids that are none."""
    ids = [manifest.id, *(one.id for one in manifest.products)]
    ids += [verdict.id for one in manifest.products for verdict in one.verdicts]
    for text in ids:
        _check_id(folder, text)
    names = [f"instrument {one.name}" for one in manifest.instruments]
    for name, n in Counter([*ids, *names, *(one.file for one in manifest.files())]).items():
        if n > 1:
            raise BundleError(f"{folder / MANIFEST} names {name} {n} times", hint=_AGAIN)


def _check_id(folder: Path, text: str) -> None:
    try:
        same = str(UUID(text)) == text
    except ValueError:
        same = False
    if not same:
        raise BundleError(f"{folder / MANIFEST}: {text[:80]!r} is no identifier", hint=_AGAIN)


def _check_bytes(folder: Path, file: BundledFile) -> None:
    with _opened(folder, file.file) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != file.size:
            raise BundleError(
                f"{folder / file.file} has {size} bytes, the manifest says {file.size}", hint="copy the bundle again"
            )
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256:
        raise BundleError(
            f"{folder / file.file} is damaged: its SHA-256 is {digest[:12]}…, the manifest says {file.sha256[:12]}…",
            hint="copy the bundle again",
        )


def _arrival(folder: Path, one: BundledProduct, plugins: Plugins) -> Arrival:
    path = folder / one.file
    with _distrusting(path):
        header, proof = check_product(path, plugins)
        said = {name: getattr(one, name) for name in ("id", "digest", "run", "type", "instrument", "detector")}
        for name, value in said.items():
            if getattr(header, name) != value:
                raise BundleError(
                    f"{path}: its header says {name} {getattr(header, name)!r}, the manifest {value!r}", hint=_AGAIN
                )
        _check_header(path, header)
        record = make_record(header, product_path(header), one.size, one.sha256)
    return Arrival(path, record, header, proof, tuple(_verdict(folder, record, each) for each in one.verdicts))


def _check_header(path: Path, header: Header) -> None:
    """Refuse what no index can hold, and a run that no `Store.new_run` could have named."""
    chain, _, instant = header.run.rpartition("/")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", header.type) or chain != chain_name(header.type, header.label):
        raise BundleError(f"{path}: {header.run!r} is no run of {header.type!r} {header.label!r}", hint=_AGAIN)
    if not _INSTANT.fullmatch(instant):
        raise BundleError(f"{path}: {header.run!r} is no run", hint=_AGAIN)
    numbers = [header.detector, header.revision, header.begin, header.end]
    numbers += [number for one in header.inputs for number in (one.number, one.begin)]
    _check_numbers(path, numbers)
    if len({need.type for need in header.needs}) != len(header.needs):
        raise BundleError(f"{path}: made with two products of one type", hint=_AGAIN)
    header.model_dump_json()  # raises ValueError for what is no text


def _check_numbers(path: Path, numbers: list[int | None]) -> None:
    for number in numbers:
        if number is not None and not BEGINNING <= number <= END_OF_TIME:
            raise BundleError(f"{path}: a number of more than 64 bits", hint=_AGAIN)


def _verdict(folder: Path, record: ProductRecord, one: BundledVerdict) -> ArrivingVerdict:
    path = folder / one.file
    with _distrusting(path):
        text = _text(folder, one.file)
        verdict = read_verdict(text)
        if not same_verdict(verdict, text):
            raise BundleError(f"{path}: the outcome it tells does not follow from its checks", hint=_AGAIN)
        said = (verdict.id, verdict.product, verdict.digest, verdict.type)
        if said != (one.id, record.id, record.digest, record.type):
            raise BundleError(f"{path}: it is not verdict {one.id} on {record.type} {record.id}", hint=_AGAIN)
        _check_numbers(path, [check.detector for check in verdict.checks])
        return ArrivingVerdict(path, text, verdict_path(record, verdict), verdict)


def _check_whole(folder: Path, manifest: Manifest, arrivals: tuple[Arrival, ...]) -> None:
    """Refuse products without their instrument, and such as are not of the collection."""
    absent = {one.record.instrument for one in arrivals} - {one.name for one in manifest.instruments}
    if absent:
        raise BundleError(f"{folder / MANIFEST} names no file of instrument {min(absent)!r}", hint=_AGAIN)
    members = {CollectionKind.RUN: {manifest.collection}, CollectionKind.CHAINED: set(manifest.members)}
    if manifest.kind in members:
        strange = {one.record.run for one in arrivals} - members[manifest.kind]
        if strange:
            raise BundleError(f"{folder / MANIFEST}: run {min(strange)} is not of {manifest.collection}", hint=_AGAIN)


def _certified(
    folder: Path, manifest: Manifest, arrivals: tuple[Arrival, ...]
) -> Iterator[tuple[BundledRange, LedgerEntry]]:
    """Pieces of validity with the certification each rests on: a good verdict of the bundle, waivers counted."""
    if manifest.validities and manifest.kind is not CollectionKind.CALIBRATION:
        raise BundleError(f"{folder / MANIFEST}: a {manifest.kind} collection has no validity", hint=_AGAIN)
    by_id = {one.record.id: one for one in arrivals}
    for one in manifest.validities:
        if one.product not in by_id:
            raise BundleError(f"{folder / MANIFEST}: product {one.product} is valid but not there", hint=_AGAIN)
        for piece, entry in certifications_of(one, manifest.ledger):
            _check_numbers(folder / MANIFEST, [entry.made])
            its = {each.verdict.id: each.verdict for each in by_id[one.product].verdicts}
            verdict = its.get(entry.verdict)
            if verdict is None or verdict.waiving(entry.waived).outcome not in (Outcome.PASS, Outcome.WARN):
                raise BundleError(
                    f"{folder / MANIFEST}: product {one.product} is certified without a good verdict", hint=_AGAIN
                )
            yield piece, entry
    _check_overlap(folder, manifest, by_id)


def _check_overlap(folder: Path, manifest: Manifest, by_id: Mapping[str, Arrival]) -> None:
    lines: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    for one in manifest.validities:
        record = by_id[one.product].record
        line = (record.type, record.instrument, record.detector, key_text(record.key))
        lines.setdefault(line, []).append(ledger.closed(one.begin, one.end))
    for ranges in lines.values():
        for (_, end), (begin, _) in pairwise(sorted(ranges)):
            if begin < end:
                raise BundleError(f"{folder / MANIFEST}: ranges of validity overlap", hint=_AGAIN)


def _text(folder: Path, file: str) -> str:
    with _opened(folder, file) as stream, _distrusting(folder / file):
        if os.fstat(stream.fileno()).st_size > MOST_TEXT:
            raise BundleError(f"{folder / file} is larger than {MOST_TEXT} bytes", hint=_AGAIN)
        return stream.read().decode("utf-8")


@contextmanager
def _opened(folder: Path, file: str) -> Iterator[BufferedReader]:
    """Open a file of the bundle, which must be a plain file below it, reached without links."""
    parts = PurePosixPath(file).parts
    plain = bool(parts) and not file.startswith("/") and ".." not in parts and file == "/".join(parts)
    if not plain or not file.isprintable():
        raise BundleError(f"{folder / MANIFEST}: {file[:80]!r} is no path inside the bundle", hint=_AGAIN)
    path = folder / file
    try:
        for parent in (folder.joinpath(*parts[:i]) for i in range(1, len(parts))):
            if parent.is_symlink():
                raise BundleError(f"{parent} is a link; a bundle has none", hint=_AGAIN)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BundleError(f"{path} is not a plain file", hint=_AGAIN)
            yield stream
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}", hint="copy the bundle again") from error


@contextmanager
def _distrusting(path: Path) -> Iterator[None]:
    """Turn whatever a file from a stranger brings about into a `BundleError` that names the file."""
    try:
        yield
    except (BundleError, FormatVersionError):
        raise
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise BundleError(f"{path}: {where}: {first['msg']}", hint=_AGAIN) from error
    except (CppError, ValueError, TypeError, LookupError, OverflowError, RecursionError, AttributeError) as error:
        raise BundleError(f"{path}: {str(error)[:300]}", hint=_AGAIN) from error
