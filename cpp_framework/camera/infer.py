"""Propose an instrument file from example frames: what the headers say, with doubts and gaps as YAML comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cpp_framework.camera.examples import Examples
from cpp_framework.camera.guess import AmplifierGuess, DetectorGuess
from cpp_framework.camera.hdu import HduHeader, find_hdu, read_headers
from cpp_framework.camera.infer_geometry import guess_detectors, image_headers
from cpp_framework.camera.infer_header import HeaderGuess, guess_header
from cpp_framework.camera.instrument import SIDE_REGIONS
from cpp_framework.camera.pixels import FramePixels
from cpp_framework.errors import InputsMissingError, printable
from cpp_framework.model.geometry import Section

_FIELDS = (
    "instrument",
    "id",
    "number",
    "kind",
    "exposure_time",
    "dark_time",
    "begin",
    "end",
    "filter",
    "object",
    "mode",
    "binning",
    "temperature",
    "records",
)


def propose(paths: Iterable[str | Path]) -> str:
    """Return the text of an instrument file for the camera that took these frames.

    Geometry comes from the first frame, the header map from all of them: give a bias, a dark and a flat.
    Every value that is assumed, and every one that the headers give but is not believed, is explained in a comment.

    Raises
    ------
    InputsMissingError
        No frame is given.
    RawFileError
        A frame cannot be read, or holds no image.
    """
    files = [Path(path) for path in paths]
    if not files:
        raise InputsMissingError("no example frame is given", hint="cpp instrument init BIAS.fits DARK.fits FLAT.fits")
    frames = {path: read_headers(path) for path in files}
    first = frames[files[0]]
    images = image_headers(first)
    header = guess_header(Examples({path: _precedence(headers) for path, headers in frames.items()}))
    pixels = FramePixels(_alike(frames, images), [image.index for image in images])
    return _document(files, header, guess_detectors(first, header.binning, pixels))


def _precedence(headers: Sequence[HduHeader]) -> list[HduHeader]:
    first = image_headers(headers)[0]
    return [headers[0]] if first is headers[0] else [first, headers[0]]


def _alike(frames: Mapping[Path, Sequence[HduHeader]], images: Sequence[HduHeader]) -> list[Path]:
    """Frames whose HDUs have the sizes of the first one's: only their pixels can be compared."""
    found = []
    for path, headers in frames.items():
        matching = [find_hdu(headers, image.index) for image in images]
        if all(one is not None and one.size == image.size for one, image in zip(matching, images, strict=True)):
            found.append(path)
    return found


def _document(files: Sequence[Path], header: HeaderGuess, detectors: Sequence[DetectorGuess]) -> str:
    name = _camera_name(header)
    lines = [
        f"# Proposed by `cpp instrument init` from {len(files)} frame(s), geometry from {_one_line(files[0].name)}.",
        "# Read the comments, correct what is wrong, then: cpp instrument check THIS_FILE RAW...",
        "format: 1",
        f"name: {_inline(name)}",
        f"binning: [{header.binning[0]}, {header.binning[1]}]",
        "overscan:",
        f"  serial: {{method: {_method(detectors, 'serial_overscan')}, skip_leading: 3, skip_trailing: 0}}",
        f"  parallel: {{method: {_method(detectors, 'parallel_overscan')}, skip_leading: 3, skip_trailing: 0}}",
    ]
    if name == "camera":
        lines.insert(2, "# No keyword names the camera: give it a name.")
    lines.append("detectors:")
    for number, detector in enumerate(detectors):
        lines += _detector(number, detector)
    lines.append("header:")
    lines += _header(header)
    lines += ["# tolerances: {temperature: 2.0}   # largest difference inside one stack", ""]
    return "\n".join(lines)


def _camera_name(header: HeaderGuess) -> str:
    rule = header.rules.get("instrument")
    expected = rule["expect"] if isinstance(rule, dict) else "camera"
    text = expected if isinstance(expected, str) else expected[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")[:32] or "camera"


def _method(detectors: Sequence[DetectorGuess], region: str) -> str:
    there = any(region in amp.sides for detector in detectors for amp in detector.amplifiers)
    return "median_per_line" if there else "none"


def _detector(number: int, detector: DetectorGuess) -> list[str]:
    amplifiers = detector.amplifiers
    shared = [note for note in amplifiers[0].notes if all(note in amp.notes for amp in amplifiers)]
    lines = [f"  - id: {number}"]
    lines += _comments(detector.notes, 4) + _comments(shared, 4)
    if all(amp.gain is None for amp in amplifiers):
        lines += _comments(["gain (electron/adu) is not known: without it products stay in ADU"], 4)
    if all(amp.read_noise is None for amp in amplifiers):
        lines += _comments(["read_noise (electron) is not known: it is measured"], 4)
    lines += _comments(
        ["full_well (ADU above bias) is not known: nothing is masked as saturated below the ADC's end"], 4
    )
    lines += [f"    name: {_inline(detector.name[:32] or str(number))}", f"    serial: {_inline(detector.serial)}"]
    lines.append(f"    size: [{detector.size[0]}, {detector.size[1]}]")
    if detector.frame is not None:
        lines.append(f"    frame: [{detector.frame[0]}, {detector.frame[1]}]")
    lines.append("    amplifiers:")
    for amp in amplifiers:
        lines += _amplifier(amp, [note for note in amp.notes if note not in shared])
    return lines


def _amplifier(amp: AmplifierGuess, notes: Sequence[str]) -> list[str]:
    assert amp.target is not None
    values: dict[str, Any] = {"hdu": amp.header.index, "data": Section(amp.data), "detector": amp.target}
    values |= {region: Section(amp.sides[region]) for region in SIDE_REGIONS if region in amp.sides}
    values["readout"] = amp.readout
    electronics = {"gain": amp.gain, "read_noise": amp.read_noise, "adc_maximum": amp.adc_maximum}
    values |= {key: value for key, value in electronics.items() if value is not None}
    lines = [f"      - name: {_inline(amp.name)}", *_comments(notes, 8)]
    for key, value in values.items():
        text = f"'{value.to_text()}'" if isinstance(value, Section) else _inline(value)
        lines.append(f"        {key}: {text}")
    return lines


def _header(header: HeaderGuess) -> list[str]:
    lines: list[str] = []
    for field in _FIELDS:
        notes = header.notes.get(field, [])
        lines += _comments(notes, 2)
        if field not in header.rules:
            lines += [f"  # {field}: KEYWORD"] if notes else []
            continue
        lines += _rule(field, header.rules[field])
    return lines


def _rule(field: str, rule: Any) -> list[str]:
    if not isinstance(rule, dict) or len(_inline(rule)) < 80:
        return [f"  {field}: {_inline(rule)}"]
    lines = [f"  {field}:"]
    for key, value in rule.items():
        if key == "rules":
            lines.append("    rules:")
            for case in value:
                lines += [f"      - when: {_inline(case['when'])}", f"        value: {_inline(case['value'])}"]
        else:
            lines.append(f"    {key}: {_inline(value)}")
    return lines


def _comments(notes: Sequence[str], indent: int) -> list[str]:
    return [f"{' ' * indent}# {_one_line(note)}" for note in notes]


def _one_line(text: str) -> str:
    """Text for a comment: a line end in a file's name must not begin a line of the document."""
    return printable(text).replace("\n", " ")


def _inline(value: Any) -> str:
    """YAML of a value on one line."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()
