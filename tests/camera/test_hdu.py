from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from cpp_framework.camera.hdu import find_hdu, read_headers
from cpp_framework.errors import RawFileError

PIXELS = np.arange(10_000, dtype=np.int16).reshape(100, 100)


def _card(text: bytes) -> bytes:
    return text.ljust(80)


def _raw_file(path: Path, *cards: bytes) -> Path:
    start = [b"SIMPLE  =                    T", b"BITPIX  =                    8", b"NAXIS   =                    0"]
    block = b"".join(_card(card) for card in [*start, *cards, b"END"])
    path.write_bytes(block.ljust(-(-len(block) // 2880) * 2880))
    return path


def test_sizes_are_those_astropy_sees_in_plain_gzip_and_compressed_files(tmp_path):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(PIXELS[:50], name="AMP")])
    compressed = tmp_path / "a.fits.fz"
    hdus.writeto(compressed)
    plain = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(PIXELS), fits.ImageHDU(PIXELS[:7], name="second")]).writeto(plain)
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert [header.size for header in read_headers(compressed)] == [None, (100, 50)]
    for path in (plain, packed):
        headers = read_headers(path)
        assert [header.size for header in headers] == [(100, 100), (100, 7)]
        assert find_hdu(headers, "SECOND") is headers[1]
        assert find_hdu(headers, 2) is None


def test_primary_image_moved_by_fpack_is_found_under_index_0(tmp_path):
    moved = fits.CompImageHDU(PIXELS)
    path = tmp_path / "a.fits.fz"
    fits.HDUList([fits.PrimaryHDU(), moved]).writeto(path)
    headers = read_headers(path)
    assert find_hdu(headers, 0).size is None
    headers[1].cards["ZSIMPLE"] = True
    assert find_hdu(headers, 0).size == (100, 100)


def test_empty_text_file_and_missing_file_are_named(tmp_path):
    for name, content in (("empty.fits", b""), ("note.fits", b"no FITS here")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RawFileError, match=rf"{name}: not a FITS file"):
            read_headers(tmp_path / name)
    with pytest.raises(RawFileError, match=r"none\.fits: cannot be read: No such file"):
        read_headers(tmp_path / "none.fits")


@pytest.mark.parametrize("lost", [1, 5000, 20_000])
def test_truncated_plain_file_is_refused(tmp_path, lost):
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(PIXELS)]).writeto(path)
    whole = path.read_bytes()
    data_end = 2 * 2880 + PIXELS.nbytes
    path.write_bytes(whole[: data_end - lost])
    with pytest.raises(RawFileError, match=r"a\.fits: truncated"):
        read_headers(path)


def test_missing_padding_after_the_last_hdu_is_no_loss(tmp_path):
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(PIXELS)]).writeto(path)
    path.write_bytes(path.read_bytes()[: 2880 + PIXELS.nbytes])
    assert read_headers(path)[0].size == (100, 100)


def test_header_cut_in_the_middle_is_refused(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(_raw_file(path, b"COMMENT x").read_bytes()[:1000])
    with pytest.raises(RawFileError, match="HDU 0 has no END"):
        read_headers(path)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_truncated_gzip_file_is_refused(tmp_path, keep):
    plain = tmp_path / "a.fits"
    noise = np.random.default_rng(5).integers(0, 2**15, (200, 200)).astype(np.int16)
    fits.HDUList([fits.PrimaryHDU(noise), fits.ImageHDU(noise)]).writeto(plain)
    packed = gzip.compress(plain.read_bytes())
    path = tmp_path / "a.fits.gz"
    path.write_bytes(packed[: int(len(packed) * keep)])
    with pytest.raises(RawFileError, match=r"a\.fits\.gz: truncated"):
        read_headers(path)


def test_gzip_file_of_two_members_is_read(tmp_path):
    plain = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(PIXELS)]).writeto(plain)
    content = plain.read_bytes()
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(content[:4000]) + gzip.compress(content[4000:]))
    assert [header.size for header in read_headers(path)] == [(100, 100)]


def test_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "a.fits.gz"
    path.write_bytes(b"\x1f\x8b" + b"\x00" * 100)
    with pytest.raises(RawFileError, match=r"a\.fits\.gz: (damaged gzip|truncated)"):
        read_headers(path)


def test_blocks_after_the_last_hdu_are_ignored(tmp_path):
    path = _raw_file(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes() + b"\0" * 2880)
    assert len(read_headers(path)) == 1


def test_repeated_keyword_gives_the_first_value(tmp_path):
    path = _raw_file(tmp_path / "a.fits", b"OBSTYPE = 'DARK    '", b"OBSTYPE =                    0")
    assert read_headers(path)[0].get("OBSTYPE") == "DARK"


def test_card_that_is_not_ascii_is_refused_only_when_asked_for(tmp_path):
    cards = ["OBSERVER= 'Müller  '".encode("latin-1"), b"EXPTIME =                  1.5"]
    header = read_headers(_raw_file(tmp_path / "a.fits", *cards))[0]
    assert header.get("EXPTIME") == 1.5
    with pytest.raises(RawFileError, match=r"card OBSERVER in HDU 0 has characters that are not ASCII"):
        header.get("OBSERVER")


def test_card_that_cannot_be_parsed_is_named(tmp_path):
    header = read_headers(_raw_file(tmp_path / "a.fits", b"EXPTIME = 1,5"))[0]
    with pytest.raises(RawFileError, match="card EXPTIME in HDU 0 is not a FITS card"):
        header.get("EXPTIME")


def test_blank_and_undefined_values_count_as_absent(tmp_path):
    header = read_headers(_raw_file(tmp_path / "a.fits", b"FILTER  = '        '", b"OBJECT  ="))[0]
    assert header.get("FILTER") is None
    assert header.get("OBJECT") is None
    assert header.get("NOTHERE") is None


def test_hierarch_keywords_are_found(tmp_path):
    header = read_headers(_raw_file(tmp_path / "a.fits", b"HIERARCH ESO DPR TYPE = 'BIAS' / type"))[0]
    assert header.get("ESO DPR TYPE") == "BIAS"


@pytest.mark.parametrize(
    ("card", "instead"),
    [
        ("BITPIX", "'abc'"),
        ("BITPIX", "7"),
        ("NAXIS1", "1.5"),
        ("NAXIS1", "'x'"),
        ("PCOUNT", "-99999999"),
        ("GCOUNT", "'a'"),
    ],
)
def test_size_that_makes_no_sense_is_named(tmp_path, card, instead):
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(PIXELS)]).writeto(path)
    content = path.read_bytes()
    place = content.index(card.encode(), 2880)
    path.write_bytes(content[:place] + _card(f"{card:8}= {instead}".encode()) + content[place + 80 :])
    with pytest.raises(RawFileError, match="the size of HDU 1 is not in its header"):
        read_headers(path)
