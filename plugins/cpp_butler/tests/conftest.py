"""A night of a small camera with two certified biases, and ways to export it and to read what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cpp_butler.export import export_repository
from cpp_butler.report import ExportReport

from cpp_framework.api import Repository
from cpp_framework.store import Store, StoredExposure

Export = Callable[..., ExportReport]
Run = Callable[..., Any]


@dataclass(frozen=True)
class Night:
    """A repository with two biases: ``early`` is valid until ``change`` (TAI nanoseconds), ``late`` from then on."""

    root: Path
    raws: Path
    exposures: list[StoredExposure]
    early: str
    late: str
    change: int


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory, cpp: Callable[..., Any]) -> Night:
    """Six biases; one product of all, one of all but the first; the validity changes as the fourth begins."""
    folder = tmp_path_factory.mktemp("night")
    root = folder / "repo"
    cpp("sim", folder / "raw", "--bias", 6, "--seed", 11)
    cpp("init", root, "--instrument", "simcam")
    cpp("ingest", folder / "raw", "--repo", root)
    store = Store.open(root)
    exposures = store.exposures()
    made = []
    for options in ([], ["--exclude", exposures[0].id]):
        units = json.loads(cpp("produce", "--type", "bias", *options, "--json", "--repo", root).stdout)["units"]
        made.append(units[0]["product"])
        cpp("verify", made[-1], "--repo", root)
    change = exposures[3].exposure.begin
    assert change is not None
    store.certify([made[0]], None, change)
    store.certify([made[1]], change, None)
    store.tag("best/biases", [made[1]])
    return Night(root, folder / "raw", exposures, *made, change)


@pytest.fixture(scope="session")
def export() -> Export:
    """Export a repository, opened for reading only."""

    def run(root: Path, target: Path, **options: Any) -> ExportReport:
        repository = Repository.open(root, write=False)
        return export_repository(repository.store, cache(repository.instrument), target, **options)

    return run


@pytest.fixture(scope="session")
def exported(night: Night, export: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The night as a Butler repository, which no test changes."""
    target = tmp_path_factory.mktemp("exported") / "butler"
    export(night.root, target)
    return target


@pytest.fixture(scope="session")
def fresh() -> Run:
    """Run code in a process that imports nothing of ours by itself, and return what it puts into ``answer``."""

    def run(code: str, *arguments: object, **environment: str) -> Any:
        script = f"import json, sys\nfrom lsst.daf.butler import Butler\n{code}\nprint(json.dumps(answer))"
        command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
