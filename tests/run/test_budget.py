"""The memory budget: how amounts are read, and what follows from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.errors import ConfigError
from cpp_framework.run.budget import Budget, parse_memory


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1.5GB", 1_500_000_000), ("800M", 800_000_000), ("2 GiB", 2_000_000_000), ("900000000", 900_000_000)],
)
def test_amounts(text: str, amount: int) -> None:
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["lots", "-1GB", "1KB", "0"])
def test_amounts_that_cannot_be_are_named(text: str) -> None:
    with pytest.raises(ConfigError, match="--memory"):
        parse_memory(text)


def test_a_small_budget_means_fewer_workers_and_frames_on_disk(tmp_path: Path) -> None:
    detector = load_instrument("latiss").detector(0)
    small, large = Budget(parse_memory("700MB"), 8), Budget(parse_memory("20GB"), 8)
    assert small.workers(detector) == 1
    assert large.workers(detector) == 8
    assert small.scratch(detector, 100, tmp_path) == tmp_path / "scratch"
    assert Budget(400_000_000, 1).workers(detector) == 1
