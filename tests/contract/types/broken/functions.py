"""Variations of `plain_mean`, each of which breaks one rule."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from plain_mean import functions as plain
from plain_mean.functions import Plain
from pydantic import Field

from cpp_framework.declare import Config, setting
from cpp_framework.model import AmplifierResult, AmplifierStatus, Check, Image, Level, Limit, Mask, Measured, Product


class Undescribed(Config):
    scale: float = setting(1.0, "", unit="1")


class Unitless(Config):
    scale: float = setting(1.0, "the image is multiplied by this")


class NotASetting(Config):
    scale: float = Field(default=1.0, description="declared without setting()")


class NotAConfig:
    scale = 1.0


class NotAProduct:
    pass


@dataclass(frozen=True, eq=False, kw_only=True)
class Restless(Plain):
    """Changes whenever it is built, so also when it is read back."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", self.image + np.float32(1))
        super().__post_init__()


def _changing(change: Callable[[Plain, Any], Product]) -> Callable[..., Product]:
    """Return a `solve` whose product is changed; ``change`` is given the product and the inputs."""

    def solve(inputs: Any, needs: Any, config: Any, ctx: Any) -> Product:
        return change(plain.solve(inputs, needs, config, ctx), inputs["bias"])

    return solve


def _all(product: Plain, **changes: Any) -> dict[str, AmplifierResult]:
    return {name: amp.model_copy(update=changes) for name, amp in product.amplifiers.items()}


_UNSEEDED = np.random.default_rng()

returns_a_table = _changing(lambda product, _: product.tables)  # type: ignore[arg-type, return-value]
is_random = _changing(lambda p, _: replace(p, image=p.image + _UNSEEDED.random(p.image.shape, np.float32)))
is_restless = _changing(lambda p, _: Restless(**{one.name: getattr(p, one.name) for one in fields(p)}))
forgets_an_amplifier = _changing(lambda p, _: replace(p, amplifiers={"A": p.amplifiers["A"]}))
has_no_unit = _changing(lambda p, _: replace(p, metrics={"level": Measured(value=1.0)}))
is_biased = _changing(lambda p, _: replace(p, image=p.image + np.float32(0.2)))
is_overconfident = _changing(lambda p, _: replace(p, error=p.error / np.float32(1.2)))
is_timid = _changing(lambda p, _: replace(p, error=p.error * np.float32(1.2)))
has_no_errors = _changing(lambda p, _: replace(p, error=np.zeros_like(p.error)))
calls_dead_ok = _changing(lambda p, _: replace(p, amplifiers=_all(p, status=AmplifierStatus.OK)))
gives_no_reason = _changing(lambda p, _: replace(p, amplifiers=_all(p, reason="")))
leaves_dead_unmasked = _changing(lambda p, _: replace(p, mask=p.mask & np.uint32(~Mask.DEAD_AMPLIFIER & 0xFFFFFFFF)))
leaves_nan_unmasked = _changing(lambda p, _: replace(p, mask=np.zeros_like(p.mask)))


@_changing
def lets_death_spread(product: Plain, frames: Any) -> Product:
    if all(amp.status == AmplifierStatus.OK for amp in product.amplifiers.values()):
        return product
    return replace(product, amplifiers=_all(product, status=AmplifierStatus.DEAD, reason="a neighbour is dead"))


@_changing
def chokes_on_saturation(product: Plain, frames: Any) -> Product:
    if not frames.masks(0, 1).any():
        return product
    return replace(product, amplifiers=_all(product, status=AmplifierStatus.FAILED, reason="saturated"))


@_changing
def wants_two(product: Plain, frames: Any) -> Product:
    if len(frames.exposures) < 2:
        raise ValueError("I want two")
    return product


@_changing
def reads_a_file(product: Plain, frames: Any) -> Product:
    with tempfile.TemporaryFile() as file:
        file.write(b"notes")
    return product


@_changing
def keeps_a_database(product: Plain, frames: Any) -> Product:
    sqlite3.connect(":memory:").close()
    return product


def measure_that_writes(image: Image, config: Any, ctx: Any) -> Any:
    image.data -= 1.0
    return plain.measure(image, config, ctx)


def verify_nothing(product: Plain, ctx: Any) -> Iterator[Check]:
    return iter(())


def verify_more(product: Plain, ctx: Any) -> Iterator[Check]:
    yield from plain.verify(product, ctx)
    yield Check(name="surprise", level=Level.DETECTOR, value=1.0, unit="1")


def verify_without_unit(product: Plain, ctx: Any) -> Iterator[Check]:
    for check in plain.verify(product, ctx):
        yield check.model_copy(update={"unit": ""})


def verify_elsewhere(product: Plain, ctx: Any) -> Iterator[Check]:
    for check in plain.verify(product, ctx):
        yield check.model_copy(update={"amplifier": "Z9"})


def verify_never_fails(product: Plain, ctx: Any) -> Iterator[Check]:
    for check in plain.verify(product, ctx):
        yield check.model_copy(update={"fail": Limit(low=-1e9, high=1e9)})


def verify_never_passes(product: Plain, ctx: Any) -> Iterator[Check]:
    for check in plain.verify(product, ctx):
        yield check.model_copy(update={"fail": Limit(high=-1e9)})


def verify_that_writes(product: Plain, ctx: Any) -> Iterator[Check]:
    yield from plain.verify(product, ctx)
    object.__setattr__(product, "unit", "electron")


def returns_an_image(image: Image, product: Plain, config: Any) -> Image:
    plain.subtract(image, product, config)
    return image


def doubles_the_precision(image: Image, product: Plain, config: Any) -> None:
    image.data = image.data.astype(np.float64) - product.image  # type: ignore[assignment]


def writes_the_product(image: Image, product: Plain, config: Any) -> None:
    object.__setattr__(product, "unit", image.unit + "!")


def looks_at_all_rows(image: Image, product: Plain, config: Any) -> None:
    image.data -= product.image
    image.data -= image.data.mean(axis=0)
