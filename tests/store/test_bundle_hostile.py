"""Bundles that lie: each is refused by name before anything is registered, and nothing outside is touched."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from cpp_framework.errors import BundleError, FormatVersionError, UserError
from cpp_framework.model.identity import new_id
from cpp_framework.plugins import installed
from cpp_framework.store import Store
from cpp_framework.store.bundle_export import export_bundle
from cpp_framework.store.bundle_import import import_bundle

Document = dict[str, Any]
FAR = 2**63


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository that all bundles are offered to, and a file that is none of their business."""
    folder = tmp_path_factory.mktemp("world")
    Store.create(folder / "summit")
    (folder / "victim").write_text("untouched")
    return folder


@pytest.fixture
def bundle(world: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A sound bundle of a calibration collection: three products, four verdicts, one of them waived."""
    if not (world / "sound").exists():
        export_bundle(request.getfixturevalue("site"), "cam/calib", world / "sound")
    shutil.copytree(world / "sound", world / "bundle")
    yield world / "bundle"
    shutil.rmtree(world / "bundle")


@pytest.fixture
def summit(bundle: Path, world: Path) -> Iterator[Store]:
    """The repository the bundle is offered to, which must stay as it is; so must everything beside it."""
    store = Store.open(world / "summit")
    before = {path for path in world.rglob("*") if bundle not in path.parents}
    yield store
    after = {path for path in world.rglob("*") if bundle not in path.parents and "leases" not in path.parts}
    assert after <= before
    assert (world / "victim").read_text() == "untouched"
    assert (store.products(), store.validities(), store.ledger(), store.instruments()) == ([], [], [], [])


def refuse(store: Store, bundle: Path, error: type[UserError] = BundleError) -> str:
    with pytest.raises(error) as caught:
        import_bundle(store, bundle, plugins=installed())
    assert caught.value.hint
    return str(caught.value)


def rewrite(bundle: Path, change: Callable[[Document], object]) -> None:
    """Change the manifest."""
    path = bundle / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def tell(bundle: Path, entry: Document) -> None:
    """Let the manifest tell the truth about a file that was changed."""
    content = (bundle / entry["file"]).read_bytes()
    entry |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def all_files(document: Document) -> list[Document]:
    verdicts = [verdict for product in document["products"] for verdict in product["verdicts"]]
    return [*document["products"], *verdicts, *document["instruments"]]


def set_in(*path: Any) -> Callable[[Document], None]:
    """A change that gives the place ``path[:-1]`` of the manifest the value ``path[-1]``."""

    def change(document: Document) -> None:
        place: Any = document
        for part in path[:-2]:
            place = place[part]
        place[path[-2]] = path[-1]

    return change


MANIFESTS: dict[str, Callable[[Document], object]] = {
    "unknown key": set_in("surprise", 1),
    "no products": lambda document: document.pop("products"),
    "products no list": set_in("products", "all of them"),
    "kind": set_in("kind", "MADE_UP"),
    "another kind": set_in("kind", "TAGGED"),
    "a run": set_in("kind", "RUN"),
    "collection no text": set_in("collection", ["a"]),
    "id no uuid": set_in("id", "../../etc"),
    "product id no uuid": set_in("products", 0, "id", "x" * 36),
    "product id in capitals": lambda document: set_in("products", 0, "id", document["products"][0]["id"].upper())(
        document
    ),
    "other product id": lambda document: set_in("products", 0, "id", new_id())(document),
    "verdict id": set_in("products", 0, "verdicts", 0, "id", "me"),
    "other verdict id": lambda document: set_in("products", 0, "verdicts", 0, "id", new_id())(document),
    "product twice": lambda document: document["products"].append(document["products"][0]),
    "verdict of another": lambda document: document["products"][0]["verdicts"].extend(
        document["products"][1]["verdicts"]
    ),
    "verdict moved": lambda document: document["products"][0]["verdicts"].append(
        document["products"][1]["verdicts"].pop()
    ),
    "instrument twice": lambda document: document["instruments"].append(document["instruments"][0]),
    "no instrument": set_in("instruments", []),
    "other instrument": set_in("instruments", 0, "name", "dim"),
    "digest": set_in("products", 0, "digest", "0" * 64),
    "run": set_in("products", 0, "run", "ci_cpp_bias/20200101T000000Z"),
    "type": set_in("products", 0, "type", "flat"),
    "detector": set_in("products", 0, "detector", 5),
    "size": set_in("products", 0, "size", 1),
    "negative size": set_in("products", 0, "size", -1),
    "sha256": set_in("products", 0, "sha256", "0" * 64),
    "sha256 no digest": set_in("products", 0, "sha256", "xyz"),
    "sha256 of a verdict": set_in("products", 0, "verdicts", 0, "sha256", "0" * 64),
    "sha256 of an instrument": set_in("instruments", 0, "sha256", "0" * 64),
    "valid product that is not there": lambda document: set_in("validities", 0, "product", new_id())(document),
    "no ledger": set_in("ledger", []),
    "range nobody certified": lambda document: document["validities"].append(
        document["validities"][0] | {"begin": -10, "end": -5}
    ),
    "ranges that overlap": lambda document: document["validities"].append(document["validities"][0]),
    "range beyond 64 bits": set_in("validities", 0, "begin", -FAR * 2),
    "instant of ledger beyond 64 bits": set_in("ledger", 0, "made", FAR * 4),
    "action": set_in("ledger", 0, "action", "abolish"),
    "waiver dropped": lambda document: [line.update(waived={}) for line in document["ledger"]],
    "verdict of the ledger": lambda document: [line.update(verdict=new_id()) for line in document["ledger"]],
    "surrogate": set_in("collection", "cam\ud800"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_lies(bundle: Path, summit: Store, name: str) -> None:
    rewrite(bundle, MANIFESTS[name])
    assert str(bundle) in refuse(summit, bundle)


@pytest.mark.parametrize(
    "name", ["../../../victim", "a/../../victim", "cam calib ", "ci_cpp_mine", "", "x" * 200, "a\nb"]
)
def test_a_collection_of_an_impossible_name(bundle: Path, summit: Store, name: str) -> None:
    def rename(document: Document) -> None:
        document["collection"] = name
        for line in document["ledger"]:
            line["collection"] = name

    rewrite(bundle, rename)
    assert repr(name)[1:5] in refuse(summit, bundle, UserError)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"7", b'"text"', b"\xff\xfe{}", b"[" * 100_000, b'{"a":' * 100_000, b"{}",
        b'{"format": 1, "products": ' + b"9" * 10_000 + b"}", b'{"format": "1"}', b'{"format": {}}', b"\0" * 1000,
    ],
    ids=[
        "empty", "cut", "null", "list", "number", "text", "not utf-8", "deep list", "deep object", "nothing",
        "long number", "format text", "format object", "zeros",
    ],
)  # fmt: skip
def test_a_manifest_that_is_none(bundle: Path, summit: Store, content: bytes) -> None:
    (bundle / "manifest.json").write_bytes(content)
    assert str(bundle / "manifest.json") in refuse(summit, bundle)


def test_a_newer_format_is_refused_by_name(bundle: Path, summit: Store) -> None:
    rewrite(bundle, lambda document: document.update(format=2, more="of it"))
    assert "bundle format 2" in refuse(summit, bundle, FormatVersionError)


@pytest.mark.parametrize(
    "file",
    [
        "/etc/hostname", "../victim", "products/../../victim", "", ".", "..", "products/", "products//x",
        "./manifest.json", "products", "manifest.json/x", "products/x\0y", "products/\u202ex", "~/victim", "x" * 5000,
        "nothing.fits",
    ],
)  # fmt: skip
@pytest.mark.parametrize("of", ["product", "verdict", "instrument"])
def test_a_path_that_leads_elsewhere(bundle: Path, summit: Store, file: str, of: str) -> None:
    def change(document: Document) -> None:
        first = document["products"][0]
        {"product": first, "verdict": first["verdicts"][0], "instrument": document["instruments"][0]}[of]["file"] = file

    rewrite(bundle, change)
    refuse(summit, bundle)


@pytest.mark.parametrize("kind", ["link", "link to itself", "linked folder", "pipe", "folder", "device"])
@pytest.mark.parametrize("of", [0, 3, -1], ids=["product", "verdict", "instrument"])
def test_what_is_no_plain_file(bundle: Path, summit: Store, kind: str, of: int) -> None:
    file = bundle / all_files(json.loads((bundle / "manifest.json").read_text()))[of]["file"]
    aside = bundle / "aside"
    if kind == "linked folder":
        file.parent.rename(aside)
        file.parent.symlink_to(aside)
    else:
        file.rename(aside)
        if kind == "link":
            file.symlink_to(aside)
        elif kind == "link to itself":
            file.symlink_to(file.name)
        elif kind == "pipe":
            os.mkfifo(file)
        elif kind == "folder":
            file.mkdir()
        else:
            file.symlink_to("/dev/zero")
    assert file.name in refuse(summit, bundle) or kind == "linked folder"


@pytest.mark.parametrize("of", range(8))
@pytest.mark.parametrize("how", ["cut", "longer", "flipped", "empty", "gone"])
def test_a_file_that_was_damaged_on_the_way(bundle: Path, summit: Store, of: int, how: str) -> None:
    file = bundle / all_files(json.loads((bundle / "manifest.json").read_text()))[of]["file"]
    content = file.read_bytes()
    middle = len(content) // 2
    changed = {
        "cut": content[:-1], "longer": content + b"\0", "empty": b"",
        "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    }  # fmt: skip
    file.unlink()
    if how in changed:
        file.write_bytes(changed[how])
    assert str(file) in refuse(summit, bundle)


def with_product(bundle: Path, change: Callable[[Path], None]) -> str:
    """Change the first product's file, and let the manifest tell its new bytes."""

    def again(document: Document) -> None:
        change(bundle / document["products"][0]["file"])
        tell(bundle, document["products"][0])

    rewrite(bundle, again)
    file: str = json.loads((bundle / "manifest.json").read_text())["products"][0]["file"]
    return file


def with_header(change: Callable[[Document], object]) -> Callable[[Path], None]:
    """Change the header in a product file; its FITS checksums are right again."""

    def rewritten(path: Path) -> None:
        with fits.open(path) as hdus:
            document = json.loads("".join(hdus["METADATA"].data["JSON"]))
            change(document)
            text = json.dumps(document)
            chunks = [text[i : i + 1000] for i in range(0, len(text), 1000)]
            column = fits.Column("JSON", "1024A", array=[chunk.ljust(1000, " ") for chunk in chunks])
            others = [hdu.copy() for hdu in hdus if hdu.name != "METADATA"]
        table = fits.BinTableHDU.from_columns([column], name="METADATA")
        fits.HDUList([*others, table]).writeto(path, overwrite=True, checksum=True)

    return rewritten


HEADERS: dict[str, Callable[[Document], object]] = {
    "run leads out": set_in("header", "run", "../../victim"),
    "run of another type": set_in("header", "run", "ci_cpp_flat/20261123T000000Z"),
    "run without an instant": set_in("header", "run", "ci_cpp_bias/latest"),
    "type leads out": set_in("header", "type", "../victim"),
    "label": set_in("header", "label", "/../x"),
    "id": lambda document: set_in("header", "id", new_id())(document),
    "id no uuid": set_in("header", "id", "../../victim"),
    "detector beyond 64 bits": set_in("header", "detector", FAR * 2),
    "revision beyond 64 bits": set_in("header", "revision", FAR * 2),
    "begin beyond 64 bits": set_in("header", "begin", -FAR * 2),
    "number beyond 64 bits": set_in("header", "inputs", 0, "number", FAR * 2),
    "begin of an input": set_in("header", "inputs", 0, "begin", FAR * 2),
    "two needs of one type": set_in(
        "header", "needs", [{"type": "gain", "id": str(i), "digest": "", "recipe": ""} for i in range(2)]
    ),
    "inputs no list": set_in("header", "inputs", 5),
    "unknown key": set_in("header", "surprise", 5),
    "no header": lambda document: document.pop("header"),
    "header a list": set_in("header", []),
    "surrogate": set_in("header", "user", "\ud800"),
    "surrogate in the config": set_in("header", "config", {"a": "\ud800"}),
    "digest": set_in("header", "digest", "0" * 64),
    "another content": set_in("unit", "electron"),
    "another format": set_in("format", "name", "matrix"),
    "no format": lambda document: document.pop("format"),
    "amplifiers": set_in("amplifiers", 7),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_product_whose_header_lies(bundle: Path, summit: Store, name: str) -> None:
    file = with_product(bundle, with_header(HEADERS[name]))
    assert file.rpartition("/")[2] in refuse(summit, bundle)


@pytest.mark.parametrize("deep", ["[" * 50_000, '{"a":' * 50_000])
def test_a_product_whose_metadata_is_deep(bundle: Path, summit: Store, deep: str) -> None:
    def change(path: Path) -> None:
        column = fits.Column("JSON", "1024A", array=[deep[i : i + 1024] for i in range(0, len(deep), 1024)])
        with fits.open(path) as hdus:
            others = [hdu.copy() for hdu in hdus if hdu.name != "METADATA"]
        table = fits.BinTableHDU.from_columns([column], name="METADATA")
        fits.HDUList([*others, table]).writeto(path, overwrite=True, checksum=True)

    file = with_product(bundle, change)
    assert file.rpartition("/")[2] in refuse(summit, bundle)


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "text": lambda content: b"hello",
    "compressed": gzip.compress,
    "cut in a header": lambda content: content[:1000],
    "cut in data": lambda content: content[:-2880],
    "without metadata": lambda content: content[: content.rindex(b"XTENSION")],
    "pixel flipped": lambda content: content.replace(b"\x3f\x80\x00\x00", b"\x3f\x81\x00\x00", 1),
    "huge axis": lambda content: content.replace(
        b"NAXIS1  =                    8", b"NAXIS1  =          80000000000", 1
    ),
    "pickled": lambda content: b"\x80\x04cos\nsystem\n(S'false'\ntR.",
    "a program": lambda content: b"#!/bin/sh\nexit 1\n",
    "zeros": lambda content: b"\0" * 28_800,
    "only blanks": lambda content: b" " * 28_800,
    "simple only": lambda content: b"SIMPLE  =                    T".ljust(2880),
}


@pytest.mark.parametrize("name", BYTES)
def test_a_product_that_is_none(bundle: Path, summit: Store, name: str) -> None:
    def change(path: Path) -> None:
        content = path.read_bytes()
        changed = BYTES[name](content)
        assert changed != content
        path.write_bytes(changed)

    file = with_product(bundle, change)
    assert file.rpartition("/")[2] in refuse(summit, bundle)


VERDICTS: dict[str, Callable[[Document], object]] = {
    "outcome": set_in("outcome", "FAIL"),
    "status": set_in("checks", 0, "status", "FAIL"),
    "product": lambda document: set_in("product", new_id())(document),
    "digest": set_in("digest", "0" * 64),
    "type": set_in("type", "flat"),
    "id": lambda document: set_in("id", new_id())(document),
    "detector beyond 64 bits": set_in("checks", 0, "detector", FAR * 2),
    "value text": set_in("checks", 0, "value", "much"),
    "checks no list": set_in("checks", 3),
    "unknown key": set_in("surprise", 3),
    "bad": set_in("checks", 0, "value", math.nan),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_a_verdict_that_lies(bundle: Path, summit: Store, name: str) -> None:
    def change(document: Document) -> None:
        entry = document["products"][0]["verdicts"][0]
        verdict = json.loads((bundle / entry["file"]).read_text())
        VERDICTS[name](verdict)
        (bundle / entry["file"]).write_text(json.dumps(verdict))
        tell(bundle, entry)

    rewrite(bundle, change)
    refuse(summit, bundle)


@pytest.mark.parametrize("content", [b"", b"null", b"[1]", b"[" * 50_000, b"\xff", b'{"id": "\\ud800"}', b"NaN"])
def test_a_verdict_that_is_none(bundle: Path, summit: Store, content: bytes) -> None:
    def change(document: Document) -> None:
        entry = document["products"][0]["verdicts"][0]
        (bundle / entry["file"]).write_bytes(content)
        tell(bundle, entry)

    rewrite(bundle, change)
    assert ".verdict_" in refuse(summit, bundle)


def test_a_certified_product_whose_verdict_fails_is_refused(bundle: Path, summit: Store) -> None:
    def change(document: Document) -> None:
        for line in document["ledger"]:
            line["waived"] = {"B1_level": "yes"} if line["waived"] else {}

    rewrite(bundle, change)
    assert "certified without a good verdict" in refuse(summit, bundle)


def test_a_folder_that_is_no_bundle(bundle: Path, summit: Store) -> None:
    (bundle / "manifest.json").unlink()
    assert "is no bundle" in refuse(summit, bundle)
    (bundle / "manifest.json").mkdir()
    assert "is no bundle" in refuse(summit, bundle)
