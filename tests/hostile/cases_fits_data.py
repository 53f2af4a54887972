"""Raw files that are cut, flipped, packed wrongly, blown up, or no FITS files at all."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zipfile
from collections.abc import Callable, Iterator

import numpy as np
from astropy.io import fits
from case import REFUSED, Case, Command
from fits_bytes import BLOCK, CARD, card, headers_of, with_value
from world import World

Edit = Callable[[bytes], bytes]


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from _cut()
    yield from _flipped()
    yield from _packed()
    yield from _tiles()
    yield from _bombs()
    yield from _no_fits()
    yield from _pixels()


def _looked_at(file: str) -> tuple[Command, ...]:
    return (("ingest", file), ("instrument", "check", "simcam", file), ("instrument", "init", file))


def _case(name: str, edit: Edit, file: str = "bad.fits", *, refused: bool = False) -> Case:
    def prepare(world: World) -> None:
        world.write(file, edit(world.raw))

    if refused:
        return Case(name, _looked_at(file), prepare, first=REFUSED)
    return Case(name, _looked_at(file), prepare)


def _cut() -> Iterator[Case]:
    """Cut at the ends of cards, headers and blocks, and in between."""
    size = 152_640
    places = [0, 1, 6, 79, 80, 81, 960, 2879, 2880, 2881, 2960, 5759, 5760, 5761, 40_000, size // 2, size - BLOCK]
    chance = random.Random(1)
    places += [chance.randrange(size - BLOCK) for _ in range(15)]
    for place in sorted(set(places)):
        yield _case(f"cut at byte {place}", lambda raw, n=place: raw[:n], refused=True)
    for place in (0, 2880, 5760, 60_000):
        yield _case(f"block lost at {place}", lambda raw, n=place: raw[:n] + raw[n + BLOCK :], refused=place < 5760)
    yield _case("one byte lost", lambda raw: raw[:50] + raw[51:], refused=True)
    yield _case("one byte more in front", lambda raw: b"\n" + raw, refused=True)
    yield _case("byte order mark in front", lambda raw: b"\xef\xbb\xbf" + raw, refused=True)
    yield _case("line ends turned", lambda raw: raw.replace(b"\n", b"\r\n").replace(b"\x00", b"\r\n"))
    for tail in (b"x", bytes(5), bytes(BLOCK), b"\xff" * 5000, b"XTENSION" * 400, b"SIMPLE  =" * 400):
        yield _case(f"{len(tail)} bytes {tail[:8]!a} behind the end", lambda raw, t=tail: raw + t)


def _flipped() -> Iterator[Case]:
    """Single bits and bytes turned, half of them in the headers."""
    for seed in range(30):

        def edit(raw: bytes, seed: int = seed) -> bytes:
            chance, content = random.Random(seed), bytearray(raw)
            for _ in range(chance.choice((1, 3, 30))):
                start, end = chance.choice(headers_of(raw)) if seed % 2 else (0, len(raw))
                content[chance.randrange(start, end)] ^= 1 << chance.randrange(8)
            return bytes(content)

        yield _case(f"bits turned {seed}", edit)


def _packed() -> Iterator[Case]:
    """Compressed as a whole: cut, damaged, twice, under a wrong name."""
    packers: dict[str, Edit] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    for suffix, pack in packers.items():
        for share in (0.02, 0.5, 0.99):
            edit: Edit = lambda raw, p=pack, s=share: p(raw)[: int(len(p(raw)) * s)]  # noqa: E731
            yield _case(f"{suffix} cut to {share}", edit, f"bad.fits.{suffix}", refused=True)
        yield _case(f"{suffix} under the name of a plain file", lambda raw, p=pack: p(raw))
        yield _case(f"plain under the name of {suffix}", lambda raw: raw, f"bad.fits.{suffix}")
        yield _case(f"{suffix} twice", lambda raw, p=pack: p(p(raw)), f"bad.fits.{suffix}", refused=True)
    for place in (0, 2, 3, 10, 500, -8, -4, -1):

        def edit_gzip(raw: bytes, place: int = place) -> bytes:
            content = bytearray(gzip.compress(raw, mtime=0))
            content[place] ^= 0xFF
            return bytes(content)

        yield _case(f"gz with byte {place} turned", edit_gzip, "bad.fits.gz")
    yield _case("gz with rubbish behind", lambda raw: gzip.compress(raw) + b"rubbish" * 99, "bad.fits.gz")
    yield _case("gz of nothing", lambda _: gzip.compress(b""), "bad.fits.gz", refused=True)
    yield _case("only the magic of gz", lambda _: b"\x1f\x8b", "bad.fits.gz", refused=True)
    yield _case("zip", _zipped, "bad.fits", refused=True)
    for keyword, value in (("NAXIS1", 2**40), ("NAXIS1", 10**30), ("PCOUNT", 2**62), ("NAXIS2", 20_000)):
        edit_size: Edit = lambda raw, k=keyword, v=value: gzip.compress(with_value(raw, 1, k, v))  # noqa: E731
        yield _case(f"gz that claims {keyword} = {value}", edit_size, "bad.fits.gz", refused=True)


def _zipped(raw: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../outside/victim.fits", raw)
    return stream.getvalue()


def _tiles() -> Iterator[Case]:
    """Tile-compressed images whose tables contradict themselves."""
    for method in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"):
        yield _case(
            f"tiles of {method}, heap of noise", lambda raw, m=method: _noisy_heap(_tiled(raw, m)), "bad.fits.fz"
        )
        yield _case(f"tiles of {method}, cut", lambda raw, m=method: _tiled(raw, m)[:9000], "bad.fits.fz", refused=True)
    values = {
        "ZNAXIS": (0, 3, -1, "2"),
        "ZNAXIS1": (0, -5, 10**6, 10**15, "156"),
        "ZNAXIS2": (0, 1, 111, 10**12),
        "ZTILE1": (0, -1, 1, 10**9),
        "ZTILE2": (0, 7, 10**9),
        "ZBITPIX": (0, 7, -64, 64, "x"),
        "ZCMPTYPE": ("NONE", "RICE_2", "", "__import__('os')", 5),
        "ZVAL1": (0, -1, 10**6),
        "ZQUANTIZ": ("NONSENSE",),
        "TFIELDS": (0, 2, -1, 999, 10**6),
        "TFORM1": ("1PB(0)", "1QB", "J", "", "1PZ", "999999999PB"),
        "TTYPE1": ("", "OTHER"),
        "NAXIS2": (0, 1, 109),
        "PCOUNT": (0, 5),
        "THEAP": (-1, 0, 10**12),
    }
    for keyword, listed in values.items():
        for value in listed:
            yield _case(
                f"tiles, {keyword} = {value!a}", lambda raw, k=keyword, v=value: _tiled_with(raw, k, v), "bad.fits.fz"
            )


def _tiled(raw: bytes, method: str = "RICE_1") -> bytes:
    with fits.open(io.BytesIO(raw)) as hdus:
        packed = [fits.CompImageHDU(hdu.data.astype(np.int32), hdu.header, compression_type=method) for hdu in hdus[1:]]
        stream = io.BytesIO()
        fits.HDUList([hdus[0], *packed]).writeto(stream, output_verify="silentfix")
    return stream.getvalue()


def _tiled_with(raw: bytes, keyword: str, value: object) -> bytes:
    return with_value(_tiled(raw), 1, keyword, value)


def _noisy_heap(content: bytes) -> bytes:
    noise = random.Random(2).randbytes(3000)
    return content[:15_000] + noise + content[15_000 + len(noise) :]


def _bombs() -> Iterator[Case]:
    """Small files that unpack to much; sparse files that claim much."""
    zeros = gzip.compress(bytes(100_000_000))
    yield _case("gz of 100 MB of zeros", lambda _: zeros, "bad.fits.gz", refused=True)
    yield _case("gz with 100 MB of zeros behind", lambda raw: gzip.compress(raw) + zeros, "bad.fits.gz")
    yield _case(
        "gz with a header that never ends",
        lambda raw: gzip.compress(raw[:80] + b" " * 100_000_000),
        "bad.fits.gz",
        refused=True,
    )
    empty_hdu = b"".join(
        (
            card("XTENSION", "IMAGE"),
            card("BITPIX", 8),
            card("NAXIS", 0),
            card("PCOUNT", 0),
            card("GCOUNT", 1),
            b"END".ljust(CARD),
        )
    ).ljust(BLOCK)
    yield _case(
        "gz with 30000 HDUs", lambda raw: gzip.compress(raw + empty_hdu * 30_000, 1), "bad.fits.gz", refused=True
    )

    def sparse(world: World) -> None:
        raw = with_value(with_value(world.raw, 1, "NAXIS1", 60_000), 1, "NAXIS2", 60_000)
        path = world.write("bad.fits", raw)
        with path.open("r+b") as file:
            file.truncate(7_200_000_000 + 10 * BLOCK)

    yield Case("sparse file of 7 GB", _looked_at("bad.fits"), sparse, first=REFUSED)


def _no_fits() -> Iterator[Case]:
    """Other things called .fits."""
    contents = {
        "empty": b"",
        "one byte": b"S",
        "zeros": bytes(10_000),
        "text": b"hello, I am a FITS file\n",
        "SIMPLE only": b"SIMPLE",
        "SIMPLE and blanks": b"SIMPLE".ljust(BLOCK),
        "SIMPLE and zeros": b"SIMPLE" + bytes(100_000),
        "html": b"<!DOCTYPE html><title>404</title>" * 100,
        "pickle": b"\x80\x04\x95cposix\nsystem\n(S'touch CODE_WAS_RUN'\ntR.",
        "python": b"import os; os.system('touch CODE_WAS_RUN')\n",
        "npy with objects": _npy(),
        "noise": random.Random(3).randbytes(20_000),
        "asdf": b"#ASDF 1.0.0\n--- !!python/object/apply:os.system ['touch CODE_WAS_RUN']\n",
        "sqlite": b"SQLite format 3\x00" + bytes(4096),
        "elf": b"\x7fELF" + bytes(5000),
    }
    for name, content in contents.items():
        yield _case(name, lambda _, c=content: c, refused=True)


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return stream.getvalue()


def _pixels() -> Iterator[Case]:
    """Sound files with pixels no camera makes: produced from, too."""
    fills = {
        "all zero": lambda plane: plane * 0,
        "all at the end of the range": lambda plane: plane * 0 + 65535,
        "NaN": lambda plane: np.full(plane.shape, np.nan, np.float32),
        "infinite": lambda plane: np.full(plane.shape, -np.inf, np.float32),
        "half NaN": lambda plane: np.where(np.arange(plane.size).reshape(plane.shape) % 2, plane, np.nan),
        "huge floats": lambda plane: np.full(plane.shape, 1e38, np.float32),
        "doubles beyond floats": lambda plane: plane.astype(float) * 1e300,
        "negative": lambda plane: -plane.astype(np.float32),
        "64 bit": lambda plane: plane.astype(np.int64) << 40,
        "one axis": lambda plane: plane.ravel(),
        "three axes": lambda plane: plane[None],
        "transposed": lambda plane: plane.T,
        "complex": lambda plane: plane.astype(np.uint8),
    }
    for name, fill in fills.items():

        def edit(raw: bytes, fill: Callable[[np.ndarray], np.ndarray] = fill) -> bytes:
            with fits.open(io.BytesIO(raw)) as hdus:
                hdus[0].header["OBSID"] = "HOSTILE"
                made = [fits.ImageHDU(fill(hdu.data), name=hdu.name) for hdu in hdus[1:]]
                stream = io.BytesIO()
                fits.HDUList([hdus[0], *made]).writeto(stream)
            return stream.getvalue()

        case = _case(f"pixels {name}", edit)
        more = (("produce", "--type", "bias", "--executor", "serial", "--jobs", "1"), ("verify", "last"))
        yield Case(case.name, (*case.commands, *more), case.prepare)
