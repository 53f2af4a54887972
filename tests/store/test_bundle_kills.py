"""Bundles and others: kills at every durable step, several imports at once, removal meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cpp_framework.errors import ConflictError
from cpp_framework.plugins import installed
from cpp_framework.store import Store
from cpp_framework.store.bundle import BundleReport
from cpp_framework.store.bundle_export import export_bundle
from cpp_framework.store.bundle_import import import_bundle


def bring(store: Store, source: Path) -> BundleReport:
    return import_bundle(store, source, plugins=installed())


def outcomes(report: BundleReport) -> set[str]:
    return {outcome for _, outcome in report.products}


def test_two_imports_at_once_bring_everything_once(site: Store, tmp_path: Path) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    with ThreadPoolExecutor(4) as pool:
        stores = [Store.open(other.root) for _ in range(4)]
        reports = list(pool.map(lambda store: bring(store, tmp_path / "bundle"), stores))
    assert sum(outcomes(report) == {"added"} for report in reports) == 1
    assert sum(report.verdicts for report in reports) == 4
    assert other.validities() == site.validities("cam/calib")
    assert len(other.ledger()) == len(other.validities())
    assert other.audit() == []
    assert list((other.root / "staging").iterdir()) == []


def test_a_product_that_is_removed_during_the_import_is_not_registered_without_its_file(
    site: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = site.products(type="bias", instrument="cam")[0].run
    export_bundle(site, run, tmp_path / "bundle")
    other = Store.create(tmp_path / "summit")
    bring(other, tmp_path / "bundle")
    stage = Store._stage

    def remove_then_stage(store: Store, files: Mapping[Path, Any]) -> dict[Path, Path]:
        other.remove("last", because="wrong lamp")
        return stage(store, files)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_stage", remove_then_stage)
        with pytest.raises(ConflictError, match="was removed while the bundle was read"):
            bring(other, tmp_path / "bundle")
    assert other.products() == []
    assert outcomes(bring(other, tmp_path / "bundle")) == {"added"}
    assert other.audit() == []


def test_a_killed_export_shows_nothing_and_can_be_repeated(site: Store, tmp_path: Path, dying) -> None:
    target = tmp_path / "to" / "bundle"
    step = 0
    while not dying.run("export", step, site.root, target):
        if target.exists():  # killed after the folder had its name
            bring(Store.create(tmp_path / f"check{step}"), target)
            shutil.rmtree(target)
        step += 1
    assert step > 10, "killed at too few points to tell"
    assert list(target.parent.glob("*.part")) == []
    assert len(json.loads((target / "manifest.json").read_text())["products"]) == 3
    assert site.audit() == []


@pytest.mark.slow
def test_a_killed_import_shows_all_or_nothing_and_is_finished_by_repeating_it(
    site: Store, tmp_path: Path, dying
) -> None:
    export_bundle(site, "cam/calib", tmp_path / "bundle")
    whole = Store.create(tmp_path / "whole")
    bring(whole, tmp_path / "bundle")
    step, visible = 0, set()
    while not dying.run("import", step, other := Store.create(tmp_path / f"summit{step}").root, tmp_path / "bundle"):
        store = Store.open(other)
        visible.add((len(store.products()), len(store.validities()), len(store.ledger()), len(store.instruments())))
        bring(store, tmp_path / "bundle")
        assert store.validities() == whole.validities()
        assert {one.id for one in store.products()} == {one.id for one in whole.products()}
        assert len(store.ledger()) == len(whole.ledger())
        assert store.audit() == []
        left = store.collect_garbage(older=0)
        assert {one.path.split("/")[0] for one in left.garbage} <= {"staging", "ledger"}
        shutil.rmtree(other)
        step += 2
    assert step > 20, "killed at too few points to tell"
    n = len(whole.validities())
    assert visible <= {(0, 0, 0, 0), (3, n, n, 1)}
