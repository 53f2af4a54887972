"""A folder of raw frames with nothing configured: which camera took them, where to keep products, what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cpp_framework.camera.catalogue import instrument_sources, load_instrument, parse_instrument
from cpp_framework.camera.examples import Examples
from cpp_framework.camera.hdu import HduHeader, read_headers
from cpp_framework.camera.infer import propose
from cpp_framework.camera.infer_geometry import image_headers
from cpp_framework.camera.infer_header import TIME_KEYS
from cpp_framework.camera.infer_kind import KIND_KEYS, kind_of
from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.reader import read_exposures
from cpp_framework.errors import AmbiguousError, InputsMissingError, RawFileError
from cpp_framework.model.exposure import Exposure
from cpp_framework.plan.ingest import find_files

ALIKE = 3
"""Frames of one sort that a camera is inferred from: more of them tell nothing new."""

_CAMERA_KEYS = ("INSTRUME", "CAMERA", "CAMNAME")


@dataclass(frozen=True)
class Inferred:
    """The camera of a folder: name of a known instrument or ``text`` of a proposed file, and how it was found."""

    name: str
    text: str
    how: str


def infer_instrument(folders: Iterable[Path]) -> Inferred:
    """Find the camera that took the frames in some folders.

    A shipped or installed instrument is taken if it names itself in the headers; else a file is proposed from frames
    of every sort, as `cpp instrument init` does.

    Raises
    ------
    InputsMissingError
        There is no frame, or none that can be read.
    AmbiguousError
        The frames are of several cameras.
    """
    files, refused = find_files(folders)
    if not files:
        named = "; ".join(one.reason for one in refused) or "no folder is given"
        raise InputsMissingError(f"no raw frames: {named}", hint="cpp produce FOLDER --type bias")
    frames = _readable(files)
    known = _known(list(frames))
    if len(known) > 1:
        raise _several(known)
    if known:
        (name, count), *_ = known.items()
        how = f"instrument {name}, which comes with cpp, fits {count} of {len(files)} frames"
        return Inferred(name, "", how)
    cameras = _cameras(frames)
    if len(cameras) > 1:
        raise _several(cameras)
    chosen = _examples(frames)
    text = propose(chosen)
    name = parse_instrument(text).name
    return Inferred(name, text, f"camera {name!r} inferred from {len(chosen)} of {len(files)} frames")


def groups_of(exposures: Sequence[Exposure]) -> list[str]:
    """What a folder holds, in words: one line per kind, filter, binning and exposure time, with the number."""
    counts = Counter((one.kind, one.filter, "x".join(map(str, one.binning)), one.exposure_time) for one in exposures)
    lines = []
    for (kind, band, binning, time), count in sorted(counts.items()):
        words = [kind, *([f"filter {band}"] if band else []), *([f"binning {binning}"] if binning != "1x1" else [])]
        lines.append(f"{count:4d} {' '.join(words)}" + (f" of {time:g} s" if time else ""))
    return lines


def _readable(files: Sequence[Path]) -> dict[Path, list[HduHeader]]:
    """Headers of the frames that hold an image; what is wrong with others is told when they are ingested."""
    frames, problem = {}, ""
    for path in files:
        try:
            headers = read_headers(path)
            image_headers(headers)
            frames[path] = headers
        except RawFileError as error:
            problem = problem or str(error)
    if not frames:
        raise InputsMissingError(f"none of {len(files)} frames can be read; first: {problem}", hint="are they FITS?")
    return frames


def _known(files: Sequence[Path]) -> dict[str, int]:
    """Instruments there are that name themselves in headers, and how many of the frames are theirs."""
    found: dict[str, int] = {}
    for name in instrument_sources():
        instrument = load_instrument(name)
        rule = instrument.header.get("instrument")
        if isinstance(rule, Mapping) and "expect" in rule:
            found[instrument.name] = sum(_fits(path, instrument) for path in files)
    return {name: count for name, count in found.items() if count}


def _fits(path: Path, instrument: Instrument) -> bool:
    try:
        read_exposures(path, instrument)
    except RawFileError:
        return False
    return True


def _cameras(frames: Mapping[Path, list[HduHeader]]) -> Counter[str]:
    """Names of cameras in the headers, with the number of frames each; none if no keyword is in all of them."""
    examples = Examples(frames)
    key = examples.everywhere(_CAMERA_KEYS, lambda value: isinstance(value, str) and value[:1].isalpha())
    return Counter(str(value) for value in examples.values(key)) if key else Counter()


def _several(cameras: Mapping[str, int]) -> AmbiguousError:
    counts = ", ".join(f"{name} ({count} frames)" for name, count in sorted(cameras.items()))
    return AmbiguousError(
        f"the frames are of {len(cameras)} cameras: {counts}",
        hint="give a folder for each, or cpp init, and cpp ingest --instrument for each camera",
    )


def _examples(frames: Mapping[Path, list[HduHeader]]) -> list[Path]:
    """Some frames of each sort (kind, object, exposure time), those the geometry is to be read from first.

    These are biases of the commonest shape: a windowed frame must not be taken for the whole detector.
    """
    shapes = {path: tuple(one.size for one in image_headers(headers)) for path, headers in frames.items()}
    commonest = Counter(shapes.values()).most_common(1)[0][0]
    sorts: dict[str, list[Path]] = {}
    examples = Examples(frames)
    columns = [examples.values(key) for key in (*KIND_KEYS, "OBJECT", *TIME_KEYS)]
    for i, path in enumerate(frames):
        sort = repr([column[i] for column in columns])
        if len(sorts.setdefault(sort, [])) < ALIKE:
            sorts[sort].append(path)
    kinds = dict(zip(frames, zip(*columns, strict=True), strict=True))

    def rank(path: Path) -> tuple[bool, bool]:
        bias = any(kind_of(value) == "bias" or value == 0 for value in kinds[path])  # 0 s, whatever it is called
        return shapes[path] != commonest, not bias

    return sorted((path for some in sorts.values() for path in some), key=rank)
