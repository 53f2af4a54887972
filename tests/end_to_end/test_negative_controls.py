"""Damaged products, signed anew as if they were sound, must fail the check the table names (verification 6.3).

The digests are right, so that only checks against the real exposures can see the damage. A global factor on a flat and
on a bias or dark an offset of ten times the error of their limit are the smallest damage that counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cpp_framework.api import Repository
from cpp_framework.model import Header, Product, Status
from cpp_framework.model import fits as product_fits
from cpp_framework.model.identity import new_id
from cpp_framework.plan import Request
from cpp_framework.sim import SimSettings, simulate_night
from cpp_framework.sim.electronics import BiasStructure

pytestmark = pytest.mark.slow

YEAR = 365 * 86_400 * 10**9
Damage = Callable[[Product], Mapping[str, Any]]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A sound night: all four types made, verified and certified, so that each has a previous product."""
    folder = tmp_path_factory.mktemp("controls")
    settings = SimSettings(bias_structure=BiasStructure(columns=2.0, pixels=2.0))
    simulate_night(
        folder / "raw", biases=10, darks=9, flats=10, exposure_time=60.0, light=500.0, seed=21, settings=settings
    )
    made = Repository.create(folder / "repo")
    made.add_instrument("simcam")
    made.ingest([folder / "raw"])
    for name in ("bias", "dark", "flat", "defects"):
        (result,) = made.produce(Request(name), jobs=1, executor="serial")
        assert result.state == "made", result.reason
        verdict = made.verify(result.product)
        assert not [one for one in verdict.problems() if one.status is not Status.WARN]
        made.certify(result.product, "2026-01-01")
    return made


def planes(change: Callable[[NDArray[Any]], NDArray[Any]], *names: str) -> Damage:
    return lambda product: {name: change(getattr(product, name).copy()) for name in names or ("image",)}


def one_pixel(plane: NDArray[Any]) -> NDArray[Any]:
    return np.roll(plane, 1, axis=1)


def swapped(plane: NDArray[Any]) -> NDArray[Any]:
    return np.roll(plane, plane.shape[1] // 2, axis=1)


def column_dropped(plane: NDArray[Any]) -> NDArray[Any]:
    """A column left out: all further ones of the amplifiers on the left move one to the left."""
    half = plane.shape[1] // 2
    plane[:, 20 : half - 1] = plane[:, 21:half]
    return plane


def one_row(plane: NDArray[Any]) -> NDArray[Any]:
    return np.roll(plane, 1, axis=0)


def column_of(value: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A column replaced by one value."""

    def replace(plane: NDArray[Any]) -> NDArray[Any]:
        plane[:, 40] = value
        return plane

    return replace


def of_another_time(plane: NDArray[Any]) -> NDArray[Any]:
    """Structure of a few errors in every pixel that the exposures do not have, as a product of other exposures has."""
    rng = np.random.default_rng(4)
    return plane + (np.std(plane) * rng.normal(0, 1, plane.shape)).astype(np.float32)


def of_header(**changes: Any) -> Damage:
    return lambda product: {"header": changes}


ALL_PLANES = ("image", "error", "mask", "used")
CONTROLS: dict[str, dict[str, tuple[Damage, str]]] = {
    "bias": {
        "10 sigma of the limit too high": (planes(lambda plane: plane + np.float32(5.0)), "B1_level"),
        "10 sigma of the limit too low": (planes(lambda plane: plane - np.float32(5.0)), "B1_level"),
        "shifted by a pixel": (planes(one_pixel), "B2_noise"),
        "amplifiers swapped": (planes(swapped), "B2_noise"),
        "a column dropped": (planes(column_dropped), "B2_noise"),
        "shifted by a row": (planes(one_row), "B2_noise"),
        "a column replaced": (planes(column_of(0.0)), "A6"),
        "of other exposures": (planes(of_another_time), "A6"),
        "stale date": (of_header(begin=-YEAR), "A1"),
    },
    "dark": {
        "10 sigma of the limit too high": (planes(lambda plane: plane + np.float32(0.12)), "D1_level"),
        "10 sigma of the limit too low": (planes(lambda plane: plane - np.float32(0.12)), "D1_level"),
        "shifted by a pixel": (planes(one_pixel), "D10_tail"),
        "amplifiers swapped": (planes(swapped), "D10_tail"),
        "a column dropped": (planes(column_dropped), "D10_tail"),
        "shifted by a row": (planes(one_row), "D10_tail"),
        "a column replaced": (planes(column_of(0.3)), "A6"),
        "of other exposures": (planes(of_another_time), "A6"),
        "stale date": (of_header(begin=-YEAR), "A1"),
    },
    "flat": {
        "2 % too high": (planes(lambda plane: plane * np.float32(1.02)), "F8_normalisation"),
        "2 % too low": (planes(lambda plane: plane * np.float32(0.98)), "F8_normalisation"),
        "shifted by a pixel": (planes(one_pixel), "F1_noise"),
        "amplifiers swapped": (planes(swapped), "F2_level"),
        "a column dropped": (planes(column_dropped), "F1_noise"),
        "shifted by a row": (planes(one_row), "F1_noise"),
        "a column replaced": (planes(column_of(0.97)), "A6"),
        "of another filter": (planes(of_another_time), "A6"),
        "wrong filter": (of_header(filter="z"), "A1"),
        "stale date": (of_header(begin=-YEAR), "A1"),
    },
    "defects": {
        "emptied": (planes(np.zeros_like, "mask"), "X1_completeness"),
        "shifted by a pixel": (planes(one_pixel, "mask"), "X1_completeness"),
        "shifted by a row": (planes(one_row, "mask"), "X1_completeness"),
        "amplifiers swapped": (planes(swapped, "mask"), "X1_completeness"),
        "a column dropped": (planes(column_dropped, "mask"), "X1_completeness"),
    },
}


def damaged(repository: Repository, name: str, damage: Damage) -> str:
    """Store the damaged product as a new one, its digest computed from what it now holds; return its id."""
    (sound,) = repository.products(type=name, label="")
    product = repository.product(sound.id)
    changes = dict(damage(product))
    run = repository.store.new_run(name, "damaged")
    header = changed_header(product.header, changes.pop("header", {}), run)
    again = dataclasses.replace(product, header=None, **changes).with_header(header)
    path = repository.store.staging_file(header.recipe)
    product_fits.write(again, path)
    assert again.header is not None
    return repository.store.put(path, again.header).id


def changed_header(header: Header, changes: Mapping[str, Any], run: str) -> Header:
    fresh: dict[str, Any] = {"id": new_id(), "recipe": new_id().replace("-", "") * 2, "label": "damaged", "run": run}
    if "begin" in changes:
        fresh["begin"] = header.begin + changes["begin"]
    if "filter" in changes:
        fresh["key"] = {**header.key, "filter": changes["filter"]}
    return header.model_copy(update=fresh)


@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name, controls in CONTROLS.items() for what in controls], ids=str
)
def test_damage_fails_the_check_that_should_see_it(repository: Repository, name: str, what: str) -> None:
    damage, check = CONTROLS[name][what]
    verdict = repository.verify(damaged(repository, name, damage))
    failed = {one.name for one in verdict.problems() if one.status is Status.FAIL}
    assert check in failed, failed
    assert "A2" not in failed  # it was signed anew


def test_a_sound_product_signed_anew_does_not_fail(repository: Repository) -> None:
    for name in CONTROLS:
        verdict = repository.verify(damaged(repository, name, lambda product: {}))
        assert [one for one in verdict.problems() if one.status is not Status.WARN] == []
