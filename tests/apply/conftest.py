"""A repository with a certified bias, and raws to apply it to: simulated, with files as an observatory has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from astropy.io import fits

from cpp_framework.api import Repository
from cpp_framework.cli.main import main
from cpp_framework.sim import ExposureRequest, SimSettings, simulate_exposures
from cpp_framework.sim.settings import effect_names


@dataclass(frozen=True)
class Night:
    """A repository and raw science frames that were not ingested."""

    root: Path
    bias: str
    raws: tuple[Path, ...]

    @property
    def repository(self) -> Repository:
        return Repository.open(self.root)

    @property
    def first(self) -> Path:
        return self.raws[0]


CARDS = {
    "IMAGETYP": "OBJECT",
    "OBJECT": "NGC 1275",
    "OBSERVER": "a person",
    "RA": "03:19:48",
    "EQUINOX": 2000.0,
    "GAIN": 1.0,
}
"""What an observatory writes beside; the last is a card nobody should believe."""


ELECTRONICS = {
    "light", "photon_noise", "full_well", "read_noise", "gain", "bias_structure", "row_pattern", "bias_level",
    "bias_drift", "adc",
}  # fmt: skip
"""Effects of a camera of equal pixels, without dark current."""
SETTINGS = SimSettings(off=frozenset(effect_names()) - ELECTRONICS)


def make_science(folder: Path, count: int, *, first: int = 101, light: float = 30.0, seed: int = 5) -> list[Path]:
    """Simulate uniformly lit 20 s exposures and give them the cards of science frames."""
    requests = [ExposureRequest(kind="flat", number=first + i, exposure_time=20.0, light=light) for i in range(count)]
    paths = simulate_exposures(folder, "simcam", requests, seed=seed, settings=SETTINGS)
    for path in paths:
        with fits.open(path, mode="update") as hdus:
            hdus[0].header.update(CARDS)
    return paths


@pytest.fixture(scope="session", name="make_science")
def _make_science() -> Callable[..., list[Path]]:
    """Simulate science frames into a folder."""
    return make_science


@dataclass(frozen=True)
class Said:
    """What a command wrote."""

    stdout: str
    stderr: str


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line in this process, which is faster than in its own."""

    def run(*arguments: object, code: int = 0) -> Said:
        returned = main([*map(str, arguments), "--jobs", "1"])
        said = Said(*capsys.readouterr())
        assert returned == code, f"{arguments}\n{said.stdout}\n{said.stderr}"
        return said

    return run


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """Bias from 12 exposures, certified from 2026-11-01 on; two science frames beside, not ingested."""
    folder = tmp_path_factory.mktemp("night")
    requests = [ExposureRequest(kind="bias", number=1 + i) for i in range(12)]
    simulate_exposures(folder / "bias", "simcam", requests, seed=5, settings=SETTINGS)
    repository = Repository.create(folder / "repo")
    repository.add_instrument("simcam")
    repository.ingest([folder / "bias"])
    (made,) = repository.produce("bias", jobs=1)
    repository.verify(made.product)
    repository.certify(made.product, "2026-11-01", waive={}, note="for the tests")
    raws = make_science(folder / "science", 2)
    return Night(folder / "repo", made.product, tuple(raws))
