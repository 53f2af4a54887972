"""Regions masked by hand: boxes, and DS9 text as DS9 counts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from cpp_defects.product import make_defects
from cpp_defects.region_files import read, write
from cpp_defects.user_regions import draw

from cpp_framework.errors import ConfigError, PluginError
from cpp_framework.model import Header, Mask

SHAPE = (40, 50)


def test_boxes_end_at_the_detector() -> None:
    drawn = draw(["10 5 3 2", "-5 -5 7 7", "48 39 10 10"], SHAPE)
    wanted = np.zeros(SHAPE, bool)
    wanted[5:7, 10:13] = wanted[:2, :2] = wanted[39:, 48:] = True
    assert np.array_equal(drawn, wanted)


@pytest.mark.parametrize("text", ["1 2 0 4", "1 2 3 -4"])
def test_boxes_have_a_size(text: str) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        draw([text], SHAPE)


def test_ds9_counts_from_one() -> None:
    pytest.importorskip("regions")
    wanted = np.zeros(SHAPE, bool)
    wanted[5:7, 10:13] = True
    assert np.array_equal(draw(["box(12,6.5,3,2,0)"], SHAPE), wanted)
    y, x = np.mgrid[:40, :50]
    assert np.array_equal(draw(["circle(21,16,4.2)"], SHAPE), np.hypot(x - 20, y - 15) < 4.2)


def test_ds9_regions_can_be_cut_out() -> None:
    pytest.importorskip("regions")
    drawn = draw(["box(12,6.5,3,2,0)", "-box(11,6,1,1,0)"], SHAPE)
    assert drawn.sum() == 5
    assert not drawn[5, 10]


@pytest.mark.parametrize("text", ["circle(1,2", "hello", 'fk5; circle(10,10,5")', ""])
def test_what_is_no_region_is_named(text: str) -> None:
    pytest.importorskip("regions")
    with pytest.raises(ConfigError, match="region"):
        draw([text], SHAPE)


def test_without_the_package_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "regions", None)
    with pytest.raises(PluginError, match="need the package regions") as caught:
        draw(["circle(1,2,3)"], SHAPE)
    assert "cpp-defects[regions]" in caught.value.hint
    assert draw(["1 2 3 4"], SHAPE).sum() == 12


def test_what_we_write_for_ds9_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("regions")
    mask = np.zeros(SHAPE, np.uint32)
    mask[3, 4], mask[:, 20:22] = Mask.BAD | Mask.HOT, Mask.BAD | Mask.BAD_COLUMN
    mask[30:33, 5:9] = Mask.BAD | Mask.USER
    header = Header(id="x", type="defects", revision=1, instrument="cam", detector=0, recipe="x")
    write(make_defects(mask, {}).with_header(header), tmp_path / "d.reg", "ds9")
    assert np.array_equal(read(tmp_path / "d.reg", SHAPE) != 0, mask != 0)
    text = (tmp_path / "d.reg").read_text()
    assert "box(5,4,1,1,0) # color=red tag={HOT}" in text
    assert "color=magenta tag={BAD_COLUMN}" in text
