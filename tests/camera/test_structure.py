"""Cards by which a FITS file is read: unsound ones are refused with their name, odd ones that harm nobody are not."""

from __future__ import annotations

import pytest
from astropy.io import fits

from cpp_framework.camera.structure import data_length

IMAGE = {
    "XTENSION": "'IMAGE'",
    "BITPIX": "16",
    "NAXIS": "2",
    "NAXIS1": "10",
    "NAXIS2": "4",
    "PCOUNT": "0",
    "GCOUNT": "1",
}


def header(cards: dict[str, str], *more: str) -> fits.Header:
    lines = [f"{keyword:8}= {value}" for keyword, value in cards.items()] + list(more)
    return fits.Header.fromstring("".join(line.ljust(80) for line in lines))


def test_length_is_what_astropy_says() -> None:
    table = IMAGE | {"XTENSION": "'BINTABLE'", "BITPIX": "8", "PCOUNT": "100", "TFIELDS": "1"}
    primary = {"SIMPLE": "T", "BITPIX": "-64", "NAXIS": "3", "NAXIS1": "2", "NAXIS2": "3", "NAXIS3": "4"}
    for index, cards in ((1, IMAGE), (1, table), (0, primary), (0, primary | {"NAXIS": "0"})):
        assert data_length(header(cards), index) == header(cards).data_size
    groups = {"SIMPLE": "T", "BITPIX": "8", "NAXIS": "2", "NAXIS1": "0", "NAXIS2": "5", "GROUPS": "T", "GCOUNT": "3"}
    assert data_length(header(groups), 0) == 15


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"BITPIX": "12"}, "BITPIX = 12"),
        ({"NAXIS": "-1"}, "NAXIS = -1"),
        ({"NAXIS": "3"}, "no NAXIS3"),
        ({"NAXIS1": "1.5"}, "NAXIS1 = 1.5"),
        ({"NAXIS2": "T"}, "NAXIS2 = True"),
        ({"PCOUNT": "-5"}, "PCOUNT = -5"),
        ({"GCOUNT": "0"}, "GCOUNT = 0"),
        ({"GCOUNT": ""}, "GCOUNT has no value"),
        ({"BSCALE": "0"}, "BSCALE = 0"),
        ({"BSCALE": "nan"}, "BSCALE cannot be read"),
        ({"BZERO": "1e999"}, "BZERO = inf"),
        ({"BLANK": "'x'"}, "BLANK = 'x'"),
        ({"XTENSION": "5"}, "XTENSION"),
        ({"TFIELDS": "1000000"}, "TFIELDS"),
        ({"ZIMAGE": "T", "ZBITPIX": "16", "ZNAXIS": "1", "ZNAXIS1": "5", "ZTILE1": "0"}, "ZTILE1 = 0"),
        ({"ZIMAGE": "T", "ZBITPIX": "7"}, "ZBITPIX = 7"),
    ],
)
def test_unsound_cards_are_named(changes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_length(header(IMAGE | changes), 1)


def test_cards_there_twice_must_agree() -> None:
    assert data_length(header(IMAGE, "NAXIS   = 2"), 1) == 80
    with pytest.raises(ValueError, match="NAXIS is there twice: 2, 3"):
        data_length(header(IMAGE, "NAXIS   = 3"), 1)


def test_first_header_says_that_it_is_fits() -> None:
    with pytest.raises(ValueError, match="SIMPLE is not T"):
        data_length(header({"SIMPLE": "F", "BITPIX": "8", "NAXIS": "0"}), 0)
