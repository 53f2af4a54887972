"""FITS files edited below the level of any FITS library: cards and blocks as bytes."""

from __future__ import annotations

BLOCK = 2880
CARD = 80


def card(keyword: str, value: object, comment: str = "") -> bytes:
    """A card image with any value: text is quoted, numbers and truth values are not, bytes are taken as they are."""
    if isinstance(value, bytes):
        shown = value
    elif isinstance(value, bool):
        shown = f"{'T' if value else 'F':>20}".encode()
    elif isinstance(value, str):
        shown = f"'{value.replace(chr(39), chr(39) * 2):8}'".encode("utf-8", "surrogateescape")
    else:
        shown = f"{value!s:>20}".encode()
    image = keyword.encode("utf-8").ljust(8) + b"= " + shown + (f" / {comment}".encode() if comment else b"")
    return image[:CARD].ljust(CARD)


def headers_of(content: bytes) -> list[tuple[int, int]]:
    """Begin and end of the cards (END left out) of every HDU of a sound file."""
    found, start = [], 0
    while start < len(content):
        end = start
        while not content[end : end + CARD].startswith(b"END" + b" " * 77):
            end += CARD
        found.append((start, end))
        start = _blocks(end + CARD) + _blocks(_data_size(content[start:end]))
    return found


def with_card(content: bytes, hdu: int, keyword: str, image: bytes) -> bytes:
    """Put a card image in place of a keyword's card, or behind the last card if there is none."""
    start, end = headers_of(content)[hdu]
    cards = content[start:end]
    at = _find(cards, keyword)
    cards = cards + image if at is None else cards[:at] + image + cards[at + CARD :]
    return _with_cards(content, hdu, cards)


def with_value(content: bytes, hdu: int, keyword: str, value: object) -> bytes:
    """Give a keyword another value, or add it."""
    return with_card(content, hdu, keyword, card(keyword, value))


def without_card(content: bytes, hdu: int, keyword: str) -> bytes:
    """Take a keyword's card away."""
    return with_card(content, hdu, keyword, b"")


def with_more(content: bytes, hdu: int, images: bytes) -> bytes:
    """Add card images behind the last card."""
    start, end = headers_of(content)[hdu]
    return _with_cards(content, hdu, content[start:end] + images)


def _with_cards(content: bytes, hdu: int, cards: bytes) -> bytes:
    start, end = headers_of(content)[hdu]
    header = cards + b"END".ljust(CARD)
    return content[:start] + header.ljust(_blocks(len(header)), b" ") + content[_blocks(end + CARD) :]


def _find(cards: bytes, keyword: str) -> int | None:
    wanted = keyword.encode().ljust(8)
    return next((at for at in range(0, len(cards), CARD) if cards[at : at + 8] == wanted), None)


def _data_size(cards: bytes) -> int:
    places = {name: _find(cards, name) for name in _SIZES}
    values = {name: int(cards[at + 10 : at + 30].split(b"/")[0]) for name, at in places.items() if at is not None}
    pixels = 1
    for axis in range(1, values["NAXIS"] + 1):
        pixels *= values[f"NAXIS{axis}"]
    return pixels * abs(values["BITPIX"]) // 8 + values.get("PCOUNT", 0) if values["NAXIS"] else 0


_SIZES = ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT")


def _blocks(length: int) -> int:
    return -(-length // BLOCK) * BLOCK
