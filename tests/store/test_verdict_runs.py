"""Verdicts made together are a run, ``ci_cpv_…``: listed, kept, carried and removed like what they are about."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from cpp_framework.doctor.rebuild import rebuild_repository
from cpp_framework.errors import ConflictError
from cpp_framework.plugins import installed
from cpp_framework.store import REGISTRY, Collection, CollectionKind, Store, verdicts
from cpp_framework.store.bundle_export import export_bundle
from cpp_framework.store.bundle_import import import_bundle


def of_verdicts(store: Store) -> dict[str, Collection]:
    return {one.name: one for one in store.collections() if one.name.startswith("ci_cpv_")}


@pytest.fixture
def judged(site: Store, put_real, put_verdict) -> Store:
    """The repository `site` and in it two biases of label ``first``, verified together and one of them once more."""
    run = site.new_run("bias", "first")
    records = [put_real(site, run, 7.0 + i, label="first", detector=i, key={"detector": i}) for i in range(2)]
    together = site.new_verdict_run("bias", "first")
    for record in records:
        put_verdict(site, record, run=together)
    put_verdict(site, records[0], run=site.new_verdict_run("bias", "first"))
    return site


def test_runs_and_chains_of_verdicts_are_listed_with_what_they_judge(judged: Store) -> None:
    found = of_verdicts(judged)
    *runs, chain = found
    assert chain == "ci_cpv_biasFirst"
    assert [found[run].kind for run in runs] == [CollectionKind.RUN] * 2
    assert [found[run].n_products for run in runs] == [2, 1]
    assert found[chain].kind is CollectionKind.CHAINED
    assert found[chain].members == (runs[1], runs[0]), "newest first"
    assert judged.products(run=chain) == judged.products(run=runs[0]) == judged.products(label="first")
    assert judged.products(run=runs[1]) == judged.products(label="first", detector=0)
    assert judged.audit() == []


def test_they_are_there_again_in_an_index_made_anew(judged: Store) -> None:
    before, names = of_verdicts(judged), {one.name for one in judged.collections()}
    (judged.root / REGISTRY).unlink()
    rebuild_repository(judged.root, installed())
    after = Store.open(judged.root)
    assert of_verdicts(after) == before
    assert {one.name for one in after.collections()} == names


def test_a_bundle_carries_them(judged: Store, tmp_path: Path) -> None:
    export_bundle(judged, "ci_cpp_biasFirst", tmp_path / "bundle")
    other = Store.create(tmp_path / "other")
    for _ in range(2):
        import_bundle(other, tmp_path / "bundle", False, plugins=installed())
        assert of_verdicts(other) == of_verdicts(judged)


def test_they_go_with_their_products(judged: Store) -> None:
    for record in judged.products(label="first"):
        judged.remove(record.id, "not needed")
    assert of_verdicts(judged) == {}
    assert judged.audit() == []


def test_a_run_of_verdicts_has_a_name_of_its_own_kind(judged: Store, put_verdict) -> None:
    record = judged.products(label="first")[0]
    for name in ("ci_cpp_bias/20261123T000000Z", "cam/calib", "ci_cpv_bias", "ci_cpv_bias/../../x", "ci_cpv_/latest"):
        with pytest.raises(ValidationError):
            put_verdict(judged, record, run=name)
    with pytest.raises(ConflictError, match="begins like the runs cpp makes itself"):
        judged.tag("ci_cpv_mine", [record.id])


def test_a_verdict_of_an_older_version_is_in_no_run(judged: Store) -> None:
    verdict = judged.verdicts(judged.products(label="first")[0].id)[0]
    text = verdicts.verdict_text(verdict)
    older = text.replace(f',\n "run": "{verdict.run}"', "")
    assert older != text
    assert verdicts.read_verdict(older) == verdict.model_copy(update={"run": ""})
