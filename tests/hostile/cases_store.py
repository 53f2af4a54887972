"""Repositories somebody has damaged: index, rows, products, verdicts, instruments and what lies beside them."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

from astropy.io import fits
from case import Case, Command, Prepare
from world import CANARY_COMMAND, World, metadata_of

from cpp_framework.cli.main import VERBS

PRODUCE = ("produce", "--type", "bias", "--executor", "serial", "--jobs", "1")
LOOK: tuple[Command, ...] = (("find",), ("find", "--products", "--json"), ("show", "last"), ("verify", "last"))
WRITE: tuple[Command, ...] = (
    ("flag", "3", "--bad", "--because", "x"), ("ingest", "../outside/victim.fits"), (*PRODUCE, "--label", "again"),
)  # fmt: skip
UPKEEP: tuple[Command, ...] = tuple(
    line
    for line in (
        ("store", "verify"),
        ("store", "gc"),
        ("certify", "last", "--begin", "2026-01-01"),
        ("explain", "last"),
    )
    if line[0] in VERBS
)
"""Verbs that look after a repository, those there are."""
DOCTOR: tuple[Command, ...] = (("doctor",),) if "doctor" in VERBS else ()
"""It looks at everything, which takes a second."""
REGISTRY = "registry.sqlite3"


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from _index_bytes()
    yield from _rows()
    yield from _product_bytes()
    yield from _metadata()
    yield from _tables()
    yield from _instrument_file()
    yield from _beside()


def _index_bytes() -> Iterator[Case]:
    """The index as a file: cut, flipped, replaced."""

    def edited(edit: Callable[[bytes], bytes]) -> Prepare:
        def prepare(world: World) -> None:
            path = world.repo / REGISTRY
            path.write_bytes(edit(path.read_bytes()))

        return prepare

    for length in (0, 1, 16, 99, 100, 4096, 8192, 50_000):
        yield Case(f"index cut to {length} bytes", LOOK[:3] + WRITE[:1], edited(lambda content, n=length: content[:n]))
    for seed in range(20):

        def flip(content: bytes, seed: int = seed) -> bytes:
            chance, damaged = random.Random(seed), bytearray(content)
            for _ in range(chance.choice((1, 10, 1000))):
                damaged[chance.randrange(100 if seed % 3 == 0 else len(damaged))] = chance.randrange(256)
            return bytes(damaged)

        yield Case(f"index with bytes changed {seed}", LOOK + WRITE[:2] + UPKEEP[:1], edited(flip))
    for name, content in {
        "text": b"hello\n",
        "zeros": bytes(8192),
        "pickle": _pickle(),
        "noise": random.Random(1).randbytes(9000),
    }.items():
        yield Case(f"index replaced by {name}", LOOK[:2] + WRITE[:1], edited(lambda _, c=content: c))
    for name in (f"{REGISTRY}-journal", f"{REGISTRY}-wal", f"{REGISTRY}-shm"):

        def leave(world: World, name: str = name) -> None:
            (world.repo / name).write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(3000))

        yield Case(f"rubbish in {name}", LOOK[:2] + WRITE[:1], leave)
    makers: dict[str, Prepare] = {
        "a folder": lambda world: (world.repo / REGISTRY).mkdir(),
        "a FIFO": lambda world: os.mkfifo(world.repo / REGISTRY),
        "a link to itself": lambda world: (world.repo / REGISTRY).symlink_to(REGISTRY),
        "a link to a bystander": lambda world: (world.repo / REGISTRY).symlink_to("../outside/victim.txt"),
        "a dangling link": lambda world: (world.repo / REGISTRY).symlink_to("../outside/new"),
    }
    for name, make in makers.items():

        def replaced(world: World, make: Prepare = make) -> None:
            (world.repo / REGISTRY).unlink()
            make(world)

        yield Case(f"index is {name}", (*LOOK[:2], *WRITE[:1], ("init", "../repo")), replaced)


def _rows() -> Iterator[Case]:
    """Rows of the index that say what cannot be."""
    texts = ("", "{", "null", "[]", '"x"', '{"id": 5}', "[" * 5000, '{"a":' * 3000, "\x00", "1" * 5000)
    for i, (column, table) in enumerate(
        (("document", "exposure"), ("document", "verdict"), ("key", "product"), ("provenance", "product"))
    ):
        for text in texts[i % 2 :: 2]:
            yield _row(f"UPDATE {table} SET {column} = ?", text)
    for i, path in enumerate(
        ("../outside/victim.fits", "/proc/version", "", ".", "a\nb", "\x1b[31m", "x" * 5000, "/dev/zero")
    ):
        statements = (
            "UPDATE product SET path = ?",
            "UPDATE instrument SET file = ?",
            "UPDATE exposure SET document = json_set(document, '$.path', ?), path = 'x'",
        )
        yield _row(statements[i % 3], path)
        yield _row(statements[(i + 1) % 3], path)
    for field, value in (
        ("begin", 2**63 - 1), ("begin", -(2**63)), ("end", "soon"), ("exposure_time", -1), ("exposure_time", 1e400),
        ("detector", 99), ("kind", "nonsense"), ("id", "../../x"), ("number", "x"), ("instrument", "other"),
        ("binning", "[0,0]"), ("window", "[1:2,"), ("temperature", "cold"), ("records", "[]"), ("day_obs", -5),
        ("filter", "\x1b[31m"), ("extra", 1),
    ):  # fmt: skip
        yield _row(f"UPDATE exposure SET document = json_set(document, '$.{field}', ?)", value)
    for statement in (
        "UPDATE schema_version SET version = 999", "UPDATE schema_version SET version = 0",
        "UPDATE schema_version SET version = -1", "DELETE FROM schema_version",
        "INSERT INTO schema_version SELECT * FROM schema_version", "DROP TABLE schema_version",
        "DROP TABLE exposure", "DROP TABLE product", "DROP TABLE verdict", "DROP TABLE exposure_flag",
        "DROP TABLE instrument", "ALTER TABLE product RENAME COLUMN digest TO other",
        "ALTER TABLE exposure DROP COLUMN ingest", "CREATE TABLE extra (x)", "UPDATE product SET digest = 'x'",
        "UPDATE product SET type = 'nonsense'", "UPDATE product SET type = '../x'",
        "UPDATE product SET run = '../../x'", "UPDATE product SET instrument = '../x'",
        "UPDATE product SET detector = 99", "UPDATE product SET size = -1", "UPDATE product SET sha256 = ''",
        "UPDATE product SET id = 'last'", "UPDATE product SET recipe = ''",
        "UPDATE product_input SET exposure_time = 'soon'", "UPDATE product_input SET exposure = '../x'",
        "DELETE FROM product_input", "UPDATE collection SET kind = 'RUN'", "DELETE FROM collection",
        "UPDATE exposure SET begin = -5", "DELETE FROM instrument",
        "UPDATE exposure_flag SET because = char(27) || '[31m'", "UPDATE exposure SET detector = 99",
        "UPDATE verdict SET digest = ''",
    ):  # fmt: skip
        yield _row(statement)


def _row(statement: str, *values: Any) -> Case:
    def prepare(world: World) -> None:
        world.index(statement, *values)

    shown = "".join(f" {str(value)[:30]!a}" for value in values)
    if "exposure" in statement:
        lines = (*LOOK[:2], *WRITE[2:])
    else:
        lines = (*LOOK[1:], *(UPKEEP[:1] if "verdict" in statement else UPKEEP[-1:]))
    return Case(f"row: {statement}{shown}", lines, prepare)


def _product_bytes() -> Iterator[Case]:
    """The product's file: cut, flipped, replaced."""
    edits: dict[str, Callable[[bytes], bytes]] = {
        **{
            f"cut to {share}": lambda content, s=share: content[: int(s * len(content))]
            for share in (0, 0.1, 0.5, 0.999)
        },
        **{f"flipped {seed}": lambda content, s=seed: _flipped(content, s) for seed in range(10)},
        "text": lambda _: b"hello\n",
        "pickle": lambda _: _pickle(),
        "one byte more": lambda content: content + b"x",
    }
    for i, (name, edit) in enumerate(edits.items()):

        def prepare(world: World, edit: Callable[[bytes], bytes] = edit) -> None:
            world.product.write_bytes(edit(world.product.read_bytes()))

        lines = (*LOOK[2:], ("show", "--header"), UPKEEP[i % len(UPKEEP)] if i % 3 else PRODUCE)
        yield Case(f"product {name}", lines, prepare)
    makers: dict[str, Callable[[Any, World], None]] = {
        "gone": lambda path, world: None,
        "a folder": lambda path, world: path.mkdir(),
        "a FIFO": lambda path, world: os.mkfifo(path),
        "a link to itself": lambda path, world: path.symlink_to(path.name),
        "a link to a raw file": lambda path, world: path.symlink_to(world.outside / "victim.fits"),
        "a raw file": lambda path, world: path.write_bytes(world.raw),
    }
    for name, make in makers.items():

        def replaced(world: World, make: Callable[[Any, World], None] = make) -> None:
            path = world.product
            path.unlink()
            make(path, world)

        lines = (*LOOK[2:], ("show", "--header"), ("show", "--bits"), PRODUCE, *UPKEEP, *DOCTOR)
        yield Case(f"product is {name}", lines, replaced)


def _flipped(content: bytes, seed: int) -> bytes:
    chance, damaged = random.Random(seed), bytearray(content)
    for _ in range(chance.choice((1, 20))):
        damaged[chance.randrange(20_000 if seed % 2 else len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _metadata() -> Iterator[Case]:
    """The product's own description, with every part of a wrong type."""
    wrong: tuple[Any, ...] = (None, 5, "x", [], {"a": 1}, -1e308, "../../x")
    for field in (
        "format", "format.name", "format.minimum_reader", "header", "header.id", "header.type", "header.key",
        "header.inputs", "header.config", "header.gains", "header.created", "unit", "amplifiers", "metrics",
        "refused", "stacked",
    ):  # fmt: skip

        def change(document: dict[str, Any], value: Any, field: str = field) -> None:
            *parents, last = field.split(".")
            for part in parents:
                document = document[part]
            document[last] = value

        for i, value in enumerate(wrong[len(field) % 2 :: 2]):

            def prepare(
                world: World, value: Any = value, change: Callable[[dict[str, Any], Any], None] = change
            ) -> None:
                document = json.loads(metadata_of(world))
                change(document, value)
                _rewrite(world, json.dumps(document))

            yield Case(f"METADATA {field} = {value!a} {i}", LOOK[2:], prepare)
    document: Prepare = lambda world: _rewrite(world, metadata_of(world).replace('"clip"', '"nothing"'))  # noqa: E731
    yield Case("METADATA with an unknown setting", LOOK[2:], document)
    for name, text in {
        "empty": "",
        "cut": '{"format": {"na',
        "deep": "[" * 5000,
        "number": "5",
        "huge number": "9" * 5000,
        "text": '"x"',
    }.items():
        yield Case(f"METADATA is {name}", LOOK[2:], lambda world, t=text: _rewrite(world, t))


def _rewrite(world: World, text: str) -> None:
    """Replace the METADATA document of the product's file."""
    with fits.open(world.product, memmap=False) as hdus:
        size = 1024
        chunks = [text[i : i + size] for i in range(0, len(text), size)]
        column = fits.Column(name="JSON", format=f"{size}A", array=[chunk.encode() for chunk in chunks])
        hdus["METADATA"] = fits.BinTableHDU.from_columns([column], name="METADATA")
        stream = io.BytesIO()
        hdus.writeto(stream, checksum=True)
    world.product.write_bytes(stream.getvalue())


def _tables() -> Iterator[Case]:
    """HDUs of the product that are gone, doubled, of another shape or type."""

    def edited(edit: Callable[[fits.HDUList], None]) -> Prepare:
        def prepare(world: World) -> None:
            with fits.open(world.product, memmap=False) as hdus:
                for hdu in hdus:
                    hdu.data  # noqa: B018 -- read before the list is changed
                edit(hdus)
                stream = io.BytesIO()
                hdus.writeto(stream)
            world.product.write_bytes(stream.getvalue())

        return prepare

    edits: dict[str, Callable[[fits.HDUList], None]] = {}
    for name in ("DATA", "ERR", "DQ", "NUSED", "REJECTED", "AMPLIFIERS", "INPUTS", "METADATA"):
        edits[f"no {name}"] = lambda hdus, n=name: hdus.pop(hdus.index_of(n))
        edits[f"{name} twice"] = lambda hdus, n=name: hdus.append(hdus[n].copy())
        edits[f"{name} as image of one pixel"] = lambda hdus, n=name: hdus.__setitem__(
            n, fits.ImageHDU(_pixel(), name=n)
        )
    edits["nothing but the primary header"] = lambda hdus: hdus.__delitem__(slice(1, None))
    edits["a table more"] = lambda hdus: hdus.append(
        fits.BinTableHDU.from_columns([fits.Column("X", "J", array=[1])], name="EXTRA")
    )
    for name, edit in edits.items():
        yield Case(f"product with {name}", (*LOOK[2:], ("show", "--bits")), edited(edit))


def _pixel() -> Any:
    import numpy as np

    return np.zeros((1, 1), np.float32)


def _instrument_file() -> Iterator[Case]:
    """The camera's file in the repository, which people edit."""
    contents: dict[str, bytes | None] = {
        "empty": b"",
        "noise": bytes(range(256)),
        "python": f"!!python/object/apply:os.system ['{CANARY_COMMAND}']\n".encode(),
        "laughs": b"a: &a [1]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c]\n",
        "gone": None,
    }
    for name, content in contents.items():

        def prepare(world: World, content: bytes | None = content) -> None:
            path = world.repo / "instruments" / "simcam.yaml"
            path.unlink()
            if content is not None:
                path.write_bytes(content)

        yield Case(f"instrument file {name}", LOOK + WRITE, prepare)
    changes = {
        "another name": ("name: simcam", "name: other"),
        "another geometry": ("size: [256, 200]", "size: [256, 400]"),
        "another amplifier": ("name: C00", "name: X00"),
        "another detector": ("- id: 0", "- id: 1"),
        "no overscan": ("serial_overscan: '[133:156,1:110]'", "serial_overscan: ''"),
        "another HDU": ("hdu: 1", "hdu: 9"),
        "a tolerance of nothing": ("temperature: 2.0", "nothing: 2.0"),
        "limits of a wrong unit": (
            "format: 1",
            "format: 1\nlimits: {bias: {B2_noise: {fail: [0, 1], unit: electron}}}",
        ),
        "limits of no check": ("format: 1", "format: 1\nlimits: {bias: {nothing: {fail: [0, 1]}}}"),
    }
    for name, (old, new) in changes.items():

        def change(world: World, old: str = old, new: str = new) -> None:
            path = world.repo / "instruments" / "simcam.yaml"
            path.write_text(path.read_text().replace(old, new))

        yield Case(f"instrument file with {name}", LOOK + WRITE, change)


def _beside() -> Iterator[Case]:
    """Verdicts, flags, caches, leases and strangers in the repository's folders."""

    def put(name: str, content: bytes) -> Prepare:
        def prepare(world: World) -> None:
            path = world.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

        return prepare

    def link(name: str, target: str) -> Prepare:
        def prepare(world: World) -> None:
            path = world.repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(world.root / target)

        return prepare

    lines = LOOK[3:] + UPKEEP
    for name, content in {"json": b"{", "pickle": _pickle(), "deep": b"[" * 9000, "not UTF-8": b"\xff"}.items():
        strangers = {
            f"flag file of {name}": put(f"flags/simcam_{name}.json", content),
            f"ledger file of {name}": put(f"ledger/{name}.json", content),
            f"measurement of {name}": put("cache/measurements/" + "0" * 64 + ".npz", content),
            f"verdict file of {name}": lambda world, c=content: world.verdict.write_bytes(c),
        }
        for what, prepare in strangers.items():
            yield Case(what, lines + (DOCTOR if name == "json" else (PRODUCE,)), prepare)
            yield from _rebuilt(what, prepare)
    for folder in ("staging", "leases", "products", "flags", "ledger", "cache/measurements", "instruments"):
        yield Case(
            f"link to a bystander in {folder}/", lines + WRITE[2:], link(f"{folder}/evil.lease", "outside/victim.txt")
        )
        yield Case(f"link to a folder of a bystander in {folder}/", lines, link(f"{folder}/x.part", "outside/folder"))
        yield Case(f"odd name in {folder}/", lines, put(f"{folder}/\x1b[31m\n\udcff.part", b"x"))
        yield Case(f"FIFO in {folder}/", lines, lambda world, f=folder: _pipe(world, f))


def _rebuilt(what: str, prepare: Prepare) -> Iterator[Case]:
    """The index made anew from files of which one is damaged."""

    def without_index(world: World) -> None:
        prepare(world)
        (world.repo / REGISTRY).unlink()

    if DOCTOR:
        yield Case(f"rebuilt with {what}", ((*DOCTOR[0], "--rebuild"), *LOOK[1:3]), without_index)


def _pipe(world: World, folder: str) -> None:
    path = world.repo / folder / "x.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def _pickle() -> bytes:
    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (CANARY_COMMAND,)

    return pickle.dumps(Evil())
