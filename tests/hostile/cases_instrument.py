"""Instrument files with every field of a wrong type or value, and YAML that attacks its reader."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import yaml
from case import REFUSED, Case, Command
from world import CANARY_COMMAND, World

FILE = "camera.yaml"
LOOKED_AT: tuple[Command, ...] = (
    ("instrument", "check", FILE),
    ("init", "other", "--instrument", FILE),
    ("ingest", "../outside/victim.fits", "--instrument", FILE),
)

WRONG: tuple[Any, ...] = (
    None, True, -1, 10**30, 1.5, float("inf"), "", "x" * 5000, "../../x", [], {}, {"a": {}}, ["a", 1],
)  # fmt: skip
"""Values a field may not have. Some fit some fields: then the file is accepted."""
VALUES_PER_FIELD = 8

_AMPLIFIER = "detectors.0.amplifiers.0"
FIELDS = (
    "format", "name", "description", "detectors", "header", "overscan", "binning", "tolerances", "limits",
    "dead_amplifiers_allowed", "overscan.serial", "overscan.serial.method", "overscan.serial.skip_leading",
    "detectors.0", "detectors.0.id", "detectors.0.name", "detectors.0.serial", "detectors.0.size",
    "detectors.0.frame", "detectors.0.amplifiers", _AMPLIFIER, f"{_AMPLIFIER}.name", f"{_AMPLIFIER}.hdu",
    f"{_AMPLIFIER}.data", f"{_AMPLIFIER}.detector", f"{_AMPLIFIER}.serial_overscan", f"{_AMPLIFIER}.readout",
    f"{_AMPLIFIER}.gain", f"{_AMPLIFIER}.adc_maximum", "header.kind", "header.kind.map", "header.kind.rules",
    "header.exposure_time", "header.instrument.expect", "header.id", "header.begin", "header.begin.time_scale",
    "header.records", "header.records.monitor_charge.unit", "header.temperature.scale", "header.window",
    "header.binning", "header.detector", "header.filter.join",
)  # fmt: skip

SECTIONS = (
    "[1:0,1:0]", "[0:5,0:5]", "[1:99999999999999999999,1:2]", "1:128,1:100", "[1:128,1:100", "[a:b,c:d]", "[1:128]",
    "[-1:128,1:100]", "[1.5:3,1:2]", "[1:128,1:100]; rm -rf /", "[１:２,１:２]", "[1:128,1:100]\n", "[100:1,128:1]",
)  # fmt: skip


def cases() -> Iterator[Case]:
    """All cases of this group."""
    for start, field in enumerate(FIELDS):
        yield _field_case(field, start)
    for field in ("data", "detector", "serial_overscan"):
        for section in SECTIONS:
            yield _case(f"{field} {section!a}", _changed(f"detectors.0.amplifiers.0.{field}", section))
    for name, text in _attacks().items():
        yield _case(name, text, refused=True)
    for name, text in _tricks().items():
        yield _case(name, text)


def _case(name: str, content: str | bytes, *, refused: bool = False) -> Case:
    def prepare(world: World) -> None:
        world.write(FILE, content)

    first = REFUSED if refused else Case.first
    return Case(name, LOOKED_AT, prepare, first=first, writes=("work/other",))


def _field_case(field: str, start: int) -> Case:
    """A camera whose field has one wrong value after the other, beginning at another one for each field."""
    values = {f"camera{i}.yaml": WRONG[(start + i) % len(WRONG)] for i in range(VALUES_PER_FIELD)}

    def prepare(world: World) -> None:
        for file, value in values.items():
            world.write(file, _changed(field, value))

    lines = [("instrument", "check", file) for file in values]
    lines.append(("init", "other", "--instrument", f"camera{start % VALUES_PER_FIELD}.yaml"))
    return Case(f"{field} of {len(values)} wrong kinds", tuple(lines), prepare, writes=("work/other",))


def _good() -> dict[str, Any]:
    from cpp_framework.camera.catalogue import instrument_text

    found: dict[str, Any] = yaml.safe_load(instrument_text("simcam"))
    return found


def _changed(field: str, value: Any) -> str:
    document = deepcopy(_good())
    *parents, last = field.split(".")
    inside: Any = document
    for part in parents:
        inside = inside[int(part)] if isinstance(inside, list) else _mapping(inside, part)
    inside[int(last) if isinstance(inside, list) else last] = value
    return yaml.safe_dump(document)


def _mapping(inside: dict[str, Any], part: str) -> Any:
    if not isinstance(inside.get(part), dict | list):
        inside[part] = {"keyword": inside[part]} if part in inside else {}
    return inside[part]


def _attacks() -> dict[str, str | bytes]:
    """Files that must be refused whatever they say."""
    laughs = "a0: &a0 [lol]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    return {
        "empty": "",
        "comment only": "# nothing\n",
        "list": "- a\n- b\n",
        "number": "5",
        "billion laughs": laughs + _text(),
        "billion laughs in a field": laughs + _text().replace("description: small", "description: *a29 #"),
        "merge keys that multiply": "a: &a {x: 1}\n" + "b: &b\n" + "  <<: [*a, *a, *a]\n" * 1 + _text(),
        "contains itself": "a: &a\n  b: *a\n" + _text(),
        "deep flow": "a: " + "[" * 5000 + "]" * 5000 + "\n",
        "deep block": "".join(f"{' ' * i}a:\n" for i in range(2000)),
        "deep braces": "a: " + "{a: " * 5000 + "}" * 5000,
        "python object": f"name: !!python/object/apply:os.system ['{CANARY_COMMAND}']\n",
        "python module": "name: !!python/module:antigravity\n",
        "python name": "name: !!python/name:os.system\n",
        "python new": f"name: !!python/object/new:subprocess.Popen [[{CANARY_COMMAND.replace(' ', ', ')}]]\n",
        "unknown tag": _text().replace("name: simcam", "name: !evil simcam"),
        "set tag": _text().replace("name: simcam", "name: !!set {a, b}"),
        "timestamp": _text().replace("name: simcam", "name: 2026-99-99"),
        "duplicate key": _text() + "name: other\n",
        "duplicate amplifier key": _text().replace("        gain: 1.5\n", "        gain: 1.5\n        gain: 1.6\n"),
        "key that is a list": "? [a, b]\n: 5\n" + _text(),
        "key that is a mapping": "? {a: b}\n: 5\n" + _text(),
        "number as key": "5: 6\n" + _text(),
        "null as key": "~: 6\n" + _text(),
        "tab": "name:\tx\n\tdetectors: []\n",
        "NUL": _text().replace("simcam", "sim\0cam").encode(),
        "control": _text().replace("simcam", "sim\x07cam"),
        "not UTF-8": _text().encode() + b"description2: \xff\xfe\n",
        "UTF-16": _text().encode("utf-16"),
        "noise": bytes(range(256)) * 20,
        "two documents": _text() + "---\n" + _text(),
        "directive": "%YAML 9.9\n---\n" + _text(),
        "unknown anchor": _text().replace("simcam", "*nowhere"),
        "anchors by the thousand": "".join(f"k{i}: &n{i} {i}\n" for i in range(4000)),
        "long line": "name: " + "x" * 300_000,
        "many digits": _text().replace("format: 1", "format: " + "9" * 10_000),
        "many digits in hexadecimal": _text().replace("format: 1", "format: 0x" + "f" * 10_000),
        "float": _text().replace("format: 1", "format: 1e999999999"),
        "unclosed quote": _text().replace("S00", "'S00"),
        "unclosed bracket": _text().replace("[256, 200]", "[256, 200"),
        "name with a NUL in quotes": _text().replace("name: simcam", 'name: "a\\0b"'),
        "name with a path": _text().replace("name: simcam", "name: ../../outside/victim"),
        "name with control codes": _text().replace("name: simcam", 'name: "\\e[31mred"'),
        "name with a newline": _text().replace("name: simcam", 'name: "a\\nerror: all is well"'),
        "name of right to left": _text().replace("name: simcam", 'name: "a\\u202Eb"'),
        "surrogate": _text().replace("name: simcam", 'name: "\\ud800"'),
        "million pixels of amplifiers": _many_amplifiers(),
        "regular expression": _text().replace(
            "  exposure_time: EXPTIME",
            "  object: {rules: [{when: {OBSID: '~(['}, value: a}]}\n  exposure_time: EXPTIME",
        ),
        "huge size": _text()
        .replace("size: [256, 200]", "size: [10000000000, 10000000000]")
        .replace("[156, 110]", "[0, 0]"),
    }


def _tricks() -> dict[str, str | bytes]:
    """Files that may be accepted; what they say must harm nobody."""
    return {
        "binary tag": _text().replace("name: simcam", "name: !!binary aGVsbG8="),
        "byte order mark": b"\xef\xbb\xbf" + _text().encode(),
        "CRLF": _text().replace("\n", "\r\n"),
        "description with control codes": _text().replace("small camera", '"\\e[31mred\\a') + "",
        "description of 100 kB": _text().replace("small camera", "x" * 100_000),
        "serial of 100 kB": _text().replace("SIM-001", "x" * 100_000),
        "name .": _text().replace("name: simcam", "name: '.'"),
        "name ..": _text().replace("name: simcam", "name: '..'"),
        "name /": _text().replace("name: simcam", "name: /"),
        "name of blanks": _text().replace("name: simcam", "name: '   '"),
        "name in Greek": _text().replace("name: simcam", "name: κάμερα"),
        "name as option": _text().replace("name: simcam", "name: --repo"),
        "keyword of 5000": _text().replace("OBSID", "X" * 5000),
        "keyword with newline": _text().replace("id: OBSID", 'id: "A\\nB"'),
        "empty keyword": _text().replace("id: OBSID", "id: ''"),
        "id is constant path": _text().replace("id: OBSID", "id: {const: ../../../outside/victim}"),
        "id is constant control": _text().replace("id: OBSID", 'id: {const: "\\e[2J\\nx"}'),
        "id is constant list": _text().replace("id: OBSID", "id: {const: [1]}"),
        "kind maps to nothing known": _text().replace("BIAS: bias", "BIAS: ../bias"),
        "slow expression": _text().replace(
            "  exposure_time: EXPTIME",
            "  object: {rules: [{when: {OBSID: '~^([A-Z_0-9]+)+!$'}, value: a}]}\n  exposure_time: EXPTIME",
        ),
        "scale": _text().replace("exposure_time: EXPTIME", "exposure_time: {keyword: IMAGETYP, scale: 2.0}"),
        "offset overflow": _text().replace(
            "temperature: CCDTEMP", "temperature: {keyword: CCDTEMP, scale: 1.0e+308, offset: 1.0e+308}"
        ),
        "map of numbers": _text().replace("filter: FILTER", "filter: {keyword: EXPTIME, map: {'0.0': 5}}"),
        "join of 5000": _text().replace(
            "filter: FILTER", "filter: {keyword: [OBSID, INSTRUME], join: '" + "x" * 5000 + "'}"
        ),
        "limits of nobody": _text() + "limits: {x: {y: {fail: [null, 1]}}}\n",
        "limits upside down": _text() + "limits: {bias: {B2_noise: {fail: [2, 1]}}}\n",
        "tolerance of a text field": _text() + "",
        "unhashable limits": _text() + "limits: {[a]: 1}\n",
        "overscan beyond the frame": _text().replace("[133:156,1:110]", "[133:99999,1:110]"),
        "skip everything": _text().replace("skip_leading: 3", "skip_leading: 999999"),
        "tiny gain": _text().replace("gain: 1.5\n", "gain: 1.0e-320\n"),
        "hdu by name": _text().replace("hdu: 1", "hdu: '../../C00'"),
        "hdu of 10^12": _text().replace("hdu: 1\n", "hdu: 1000000000000\n"),
        "detector id of 10^18": _text().replace("- id: 0", "- id: 1000000000000000000"),
        "detector id of 10^30": _text().replace("- id: 0", "- id: 1000000000000000000000000000000"),
    }


def _text() -> str:
    from cpp_framework.camera.catalogue import instrument_text

    return instrument_text("simcam").partition("\n")[2]


def _many_amplifiers() -> str:
    amplifier = "      - {{name: A{0}, data: '[1:1,{0}:{0}]', detector: '[1:1,1:1]'}}\n"
    head = "name: many\nheader: {kind: K, exposure_time: E}\ndetectors:\n  - id: 0\n    name: d\n    size: [1, 1]\n"
    return head + "    amplifiers:\n" + "".join(amplifier.format(i) for i in range(1, 1500))
