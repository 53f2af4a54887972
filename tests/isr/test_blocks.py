"""Correctors on blocks of rows: as on the whole image, whatever they do to its planes."""

from __future__ import annotations

import numpy as np
import pytest

from cpp_framework.errors import ContractError
from cpp_framework.isr import blocks
from cpp_framework.isr.blocks import Action, apply_by_rows
from cpp_framework.model import Box, Image, ImageProduct, Product
from cpp_framework.testing import make_stack


def in_place(image: Image, product: Product, config: None) -> None:
    assert isinstance(product, ImageProduct)
    image.data -= product.image
    image.mask |= product.mask
    for amp in image.detector.amplifiers:
        variance = image.amp(amp.name).variance
        assert variance is not None
        variance *= 1 + len(amp.name)


def replacing(image: Image, product: Product, config: None) -> None:
    assert isinstance(product, ImageProduct)
    assert image.variance is not None
    image.data = image.data * product.image
    image.variance = image.variance + np.square(product.error)
    image.mask = image.mask | product.mask


def told(image: Image, product: Product, config: None) -> None:
    assert image.applied[-1] == "first", "what was done before is known inside of a block too"
    assert image.window is not None
    image.data += image.window.y0  # only to see where the block is


def widening(image: Image, product: Product, config: None) -> None:
    image.data = image.data.astype(np.float64)


def _image() -> Image:
    image = make_stack(1, 8).images["bias"][0]
    image.variance = np.full(image.data.shape, 4, np.float32)
    return image


def _product(image: Image) -> ImageProduct:
    rng = np.random.default_rng(1)
    shape = image.data.shape
    return ImageProduct(
        image=rng.normal(1, 0.1, shape).astype(np.float32),
        error=np.ones(shape, np.float32),
        mask=rng.integers(0, 2, shape).astype(np.uint32),
        used=np.ones(shape, np.uint16),
    )


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_blocks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch, rows: int, threads: int) -> None:
    whole, image = _image(), _image()
    product = _product(image)
    actions = [Action(function, product, None, function.__name__, "done") for function in (in_place, replacing)]
    for action in actions:
        action.apply(whole)
    planes = (image.data, image.mask, image.variance)
    monkeypatch.setattr(blocks, "BLOCK", rows * image.detector.width)
    apply_by_rows(actions, image, threads)
    for name, plane in zip(("data", "mask", "variance"), planes, strict=True):
        assert getattr(image, name) is plane, "planes stay where they are"
        np.testing.assert_array_equal(plane, getattr(whole, name))
    assert image.applied == whole.applied


def test_a_block_knows_its_place_and_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image()
    image.window = Box(5, 30, 5 + image.detector.width, 30 + image.detector.height)
    before = image.data.copy()
    monkeypatch.setattr(blocks, "BLOCK", 10 * image.detector.width)
    product = _product(image)
    first = Action(lambda *_: None, product, None, "first", "first")
    apply_by_rows([first, Action(told, product, None, "told", "second")], image, 1)
    assert image.applied[-2:] == ["first", "second"]
    expected = 30 + 10 * (np.arange(image.detector.height) // 10)
    np.testing.assert_allclose((image.data - before)[:, 3], expected, atol=1e-2)


def test_planes_of_another_type_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image()
    monkeypatch.setattr(blocks, "BLOCK", 10 * image.detector.width)
    with pytest.raises(ContractError, match="widening left data of float64"):
        apply_by_rows([Action(widening, _product(image), None, "widening", "")], image, 1)
