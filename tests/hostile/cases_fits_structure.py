"""Raw files whose structural cards lie: sizes, types, axes, scales, END, and cards no parser expects."""

from __future__ import annotations

import random
from collections.abc import Iterator

from case import Case, Command, Prepare
from fits_bytes import BLOCK, CARD, card, headers_of, with_more, with_value, without_card
from world import World

FILE = "bad.fits"
LOOKED_AT: tuple[Command, ...] = (
    ("ingest", FILE),
    ("instrument", "check", "simcam", FILE),
    ("instrument", "init", FILE),
)
"""What reads a raw file before anything is made of it: its headers, its pixels, and the guess of its geometry."""

HUGE = 10**18
INTEGERS = (-1, 0, 3, 1000, 2**31, 2**63, HUGE, 10**30, 1.5, "2", b"T", b"", b"nan", b"1e400", b"0x10", b"- 5")
PRIMARY = {
    "SIMPLE": (False, "T", b"", 1, b"(1, 2)"),
    "BITPIX": (0, 7, -16, 128, 2**64, "8", b"", b"8.0", b"T"),
    "NAXIS": (-1, 1, 2, 999, 1000, 10**9, "0", b"", 0.5),
    "EXTEND": (False, "no", -1),
}
IMAGE = {
    "XTENSION": ("BINTABLE", "TABLE", "IMAGES", "", "image", 7, b"", "A3DTABLE", "FOREIGN"),
    "BITPIX": (0, -16, 8, 32, 64, -32, -64, 24, 1, 10**9, "16", b"", True, b"16.5", b"x"),
    "NAXIS": (-2, 0, 1, 3, 4, 999, 10**6, "2", b"", 2.5),
    "NAXIS1": INTEGERS,
    "NAXIS2": INTEGERS,
    "PCOUNT": (-1, 1, 2880, HUGE, 2**63, "0", b"", 0.5, b"T"),
    "GCOUNT": (-1, 0, 2, HUGE, 10**30, "1", b"", b"T"),
    "BSCALE": (0, -1, 1e300, "1", b"nan", b"inf", b"1e999", b"", b"T", b"1D5", b"(1.0, 2.0)"),
    "BZERO": (-32768, 1e38, 2**63, "32768", b"nan", b"-inf", b"1e999", b"", b"T"),
    "BLANK": (0, 32767, 2**40, "x", b"nan", 1.5, b""),
    "EXTNAME": ("C01", "", 5, "../../C00", "C00\x1b[2J", b"'C00", b"'\xff\xfe'", b"T"),
    "ZIMAGE": (True,),
    "ZSIMPLE": (True,),
    "GROUPS": (True,),
    "INHERIT": (True, 5),
    "THEAP": (-1, HUGE),
    "DATASEC": ("[0:0,0:0]", "[1:99999999999,1:2]", "[5:1,100:1]", "[:,:]", "[-5:3,1:2]", "[1:2]", 7, "[١:٢,١:٢]"),
    "DETSEC": ("[1:999999999,1:999999999]", "[2:1,2:1]", "C00", b"T"),
}
ADDED = ("BLANK", "ZIMAGE", "ZSIMPLE", "GROUPS", "INHERIT", "THEAP")
"""Keywords the sound file does not have."""
ODD_CARDS = {
    "no equals sign": b"EXPTIME   5.0",
    "control characters": b"EXPTIME = \x00\x01\x07\x1b[31m",
    "Latin-1": b"OBSERVER= 'M\xfcller  '",
    "UTF-8": "OBSERVER= 'Мария'".encode(),
    "UTF-8 keyword": "ÄÖÜ     = 5".encode(),
    "unclosed quote": b"OBSID   = 'never closed",
    "empty keyword": b"        = 5",
    "only NUL": bytes(80),
    "only 0xff": b"\xff" * 80,
    "HIERARCH without value": b"HIERARCH ESO DET",
    "HIERARCH": b"HIERARCH ESO DET OUT1 NX = 99999999999",
    "CONTINUE without string": b"CONTINUE  5",
    "complex": b"EXPTIME = (1.0, nan)",
    "END with value": b"END     = 5",
    "second SIMPLE": b"SIMPLE  =                    T",
    "xtension in primary": b"XTENSION= 'IMAGE   '",
    "tab": b"EXPTIME =\t5",
    "lower case": b"exptime = -5",
    "record-valued": b"DP1     = 'AXIS.1: nan'",
}


def cases() -> Iterator[Case]:
    """All cases of this group."""
    for hdu, table in ((0, PRIMARY), (1, IMAGE)):
        for keyword, values in table.items():
            for value in values:
                yield _case(
                    f"HDU {hdu} {keyword} = {str(value)[:40]!a} {type(value).__name__}", _valued(hdu, keyword, value)
                )
            yield _case(f"HDU {hdu} without {keyword}", _edited(lambda raw, h=hdu, k=keyword: without_card(raw, h, k)))
            yield _case(f"HDU {hdu} {keyword} twice", _edited(lambda raw, h=hdu, k=keyword: _doubled(raw, h, k)))
    for name, image in ODD_CARDS.items():
        for hdu in (0, 1):
            yield _case(f"HDU {hdu} {name}", _edited(lambda raw, h=hdu, i=image: with_more(raw, h, i.ljust(CARD))))
    yield from _long_headers()
    yield from _ends()
    yield from _random_edits()


def _case(name: str, prepare: Prepare) -> Case:
    return Case(name, LOOKED_AT, prepare)


def _valued(hdu: int, keyword: str, value: object) -> Prepare:
    return _edited(lambda raw: with_value(raw, hdu, keyword, value))


def _edited(edit: object) -> Prepare:
    def prepare(world: World) -> None:
        world.write(FILE, edit(world.raw))  # type: ignore[operator]

    return prepare


def _doubled(raw: bytes, hdu: int, keyword: str) -> bytes:
    return with_more(raw, hdu, card(keyword, 12345))


def _long_headers() -> Iterator[Case]:
    chain = card("LONGKEY", b"'part&'") + b"CONTINUE  'part&'".ljust(CARD) * 5000
    endless = card("OBSID", b"'a&'") + b"CONTINUE  'b&'".ljust(CARD) * 3000 + b"CONTINUE  'c'".ljust(CARD)
    many = b"".join(card(f"K{i:07d}", i) for i in range(20_000))
    same = card("EXPTIME", -1) * 5000
    comments = b"COMMENT \x1b]0;title\x07".ljust(CARD) * 100
    for name, images in {
        "CONTINUE chain of 5000": chain,
        "id of 3000 CONTINUE cards": endless,
        "20000 cards": many,
        "EXPTIME 5000 times": same,
        "terminal codes in COMMENT": comments,
    }.items():
        yield _case(name, _edited(lambda raw, i=images: with_more(raw, 0, i)))


def _ends() -> Iterator[Case]:
    def end_of(raw: bytes, instead: bytes) -> bytes:
        _, end = headers_of(raw)[0]
        return raw[:end] + instead.ljust(CARD)[:CARD] + raw[end + CARD :]

    for instead in (b"", b"END.", b"end", b"ENDED", b"\x00ND", b"END\x00", b"END     = T", b"E"):
        yield _case(f"END is {instead!a}", _edited(lambda raw, i=instead: end_of(raw, i)))
    yield _case("END in the first card", _edited(lambda raw: b"END".ljust(CARD) + raw[CARD:]))
    yield _case("END in the second card", _edited(lambda raw: raw[:CARD] + b"END".ljust(CARD) + raw[2 * CARD :]))
    yield _case(
        "header padded with NUL", _edited(lambda raw: raw[:BLOCK].replace(b" " * 200, bytes(200)) + raw[BLOCK:])
    )


def _random_edits() -> Iterator[Case]:
    """Cards with random printable bytes in place of part of their image."""
    for seed in range(40):

        def edit(raw: bytes, seed: int = seed) -> bytes:
            chance = random.Random(seed)
            hdu = chance.randrange(3)
            start, end = headers_of(raw)[hdu]
            at = start + CARD * chance.randrange((end - start) // CARD)
            image = bytearray(raw[at : at + CARD])
            for _ in range(chance.randrange(1, 12)):
                image[chance.randrange(40)] = chance.randrange(32, 127)
            return raw[:at] + bytes(image) + raw[at + CARD :]

        yield _case(f"random edit {seed}", _edited(edit))
