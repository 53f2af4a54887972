"""Boxes and FITS sections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_framework.errors import InstrumentError
from cpp_framework.model import Box, Section


def test_section_is_one_based_and_inclusive() -> None:
    section = Section.parse("[4:512,1:2000]")
    assert section.box == Box(3, 0, 512, 2000)
    assert (section.box.width, section.box.height) == (509, 2000)
    assert not section.reversed_x
    assert not section.reversed_y


def test_reversed_section_remembers_its_direction() -> None:
    section = Section.parse("[509:1,4000:2001]")
    assert section.box == Box(0, 2000, 509, 4000)
    assert (section.reversed_x, section.reversed_y) == (True, True)
    assert section.to_text() == "[509:1,4000:2001]"


@given(*[st.integers(1, 5000)] * 4)
def test_section_text_round_trip(xa: int, xb: int, ya: int, yb: int) -> None:
    text = f"[{xa}:{xb},{ya}:{yb}]"
    # One line or column has no direction, so [5:5] is all that can come back.
    assert Section.parse(text).to_text() == text


@pytest.mark.parametrize("text", ["", "[1:2]", "[a:b,1:2]", "[0:5,1:5]", "[1:5,-1:5]"])
def test_bad_sections_are_named(text: str) -> None:
    with pytest.raises(InstrumentError, match="BIASSEC") as caught:
        Section.parse(text, what="BIASSEC")
    assert caught.value.hint


@given(st.tuples(*[st.integers(0, 20)] * 8))
def test_overlap_is_what_sets_of_pixels_say(c: tuple[int, ...]) -> None:
    one, two = Box(c[0], c[1], c[0] + c[2], c[1] + c[3]), Box(c[4], c[5], c[4] + c[6], c[5] + c[7])

    def pixels(box: Box) -> set[tuple[int, int]]:
        return {(x, y) for x in range(box.x0, box.x1) for y in range(box.y0, box.y1)}

    assert one.overlaps(two) == bool(pixels(one) & pixels(two))
    assert one.contains(two) or not pixels(two) or not pixels(two) <= pixels(one)
