"""A second export follows what changed in the repository, and leaves alone what others put into the target."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cpp_butler.exposure import Exposure, MaskPlane, Plane
from cpp_butler.instants import timespan
from cpp_butler.report import ExportReport
from lsst.daf.butler import Butler, DatasetRef, Timespan

from cpp_framework.errors import ConflictError
from cpp_framework.store import Store

Export = Callable[..., ExportReport]

CALIB = "simcam/calib"


@pytest.fixture
def own(night: Any, tmp_path: Path) -> Path:
    """A copy of the night's repository that a test may change; the raw files are the same."""
    return Path(shutil.copytree(night.root, tmp_path / "repo"))


def ranges(butler: Butler) -> set[tuple[str, tuple[int, int]]]:
    found = butler.registry.queryDatasetAssociations("bias", collections=[CALIB])
    return {(str(one.ref.id), one.timespan.nsec) for one in found if one.timespan is not None}


def test_a_new_product_is_added_and_leads_its_chain(
    night: Any, own: Path, export: Export, cpp: Callable[..., Any], tmp_path: Path
) -> None:
    export(own, tmp_path / "butler")
    excluded = night.exposures[1].id
    done = cpp("produce", "--type", "bias", "--exclude", excluded, "--json", "--repo", own)
    newest = json.loads(done.stdout)["units"][0]["product"]
    report = export(own, tmp_path / "butler")
    assert (report.products, report.runs, report.raws, report.chains) == (1, 1, 0, 0)
    butler = Butler(str(tmp_path / "butler"))
    (ref,) = butler.query_datasets("bias", collections="ci_cpp_bias")
    assert str(ref.id) == newest
    assert len(butler.collections.get_info("ci_cpp_bias").children) == 3


def test_validity_taken_away_here_is_taken_away_there(night: Any, own: Path, export: Export, tmp_path: Path) -> None:
    export(own, tmp_path / "butler")
    store = Store.open(own)
    later = night.change + 10**9
    store.decertify([night.late], night.change, later)
    report = export(own, tmp_path / "butler")
    assert (report.validities, report.removed) == (1, 1)
    earliest, latest = (Timespan(None, None).nsec[i] for i in (0, 1))
    assert ranges(Butler(str(tmp_path / "butler"))) == {
        (night.early, (earliest, night.change)),
        (night.late, (later, latest)),
    }
    store.decertify([night.early, night.late])
    assert export(own, tmp_path / "butler").removed == 2
    assert ranges(Butler(str(tmp_path / "butler"))) == set()


def test_tags_follow(night: Any, own: Path, export: Export, tmp_path: Path) -> None:
    export(own, tmp_path / "butler")
    store = Store.open(own)
    store.untag("best/biases", [night.late])
    store.tag("best/biases", [night.early])
    report = export(own, tmp_path / "butler")
    assert (report.tagged, report.removed) == (1, 1)
    found = Butler(str(tmp_path / "butler")).query_datasets("bias", collections="best/biases")
    assert [str(ref.id) for ref in found] == [night.early]


def put_foreign(root: Path) -> DatasetRef:
    """Put a bias of somebody else into the repository, as a Rubin user would."""
    butler = Butler(str(root), writeable=True)
    box = np.ones((200, 256), np.float32)
    exposure = Exposure(Plane(box), MaskPlane(np.zeros((200, 256), np.int32), {"BAD": 0}), Plane(box))
    butler.collections.register("somebody/run")
    return butler.put(exposure, "bias", instrument="simcam", detector=0, run="somebody/run")


def test_what_others_put_there_stays(night: Any, own: Path, export: Export, tmp_path: Path) -> None:
    Store.open(own).decertify([night.late])
    export(own, tmp_path / "butler")
    foreign = put_foreign(tmp_path / "butler")
    butler = Butler(str(tmp_path / "butler"), writeable=True)
    butler.registry.certify(CALIB, [foreign], timespan(night.change, night.change + 10, ""))
    butler.collections.extend_chain("ci_cpp_bias", "somebody/run")
    Store.open(own).decertify([night.early])
    report = export(own, tmp_path / "butler")
    assert report.removed == 1
    assert ranges(butler) == {(str(foreign.id), (night.change, night.change + 10))}
    assert butler.collections.get_info("ci_cpp_bias").children[-1] == "somebody/run"


def test_a_range_that_others_hold_is_a_named_conflict(night: Any, own: Path, export: Export, tmp_path: Path) -> None:
    store = Store.open(own)
    store.decertify([night.late])
    export(own, tmp_path / "butler")
    butler = Butler(str(tmp_path / "butler"), writeable=True)
    foreign = put_foreign(tmp_path / "butler")
    butler.registry.certify(CALIB, [foreign], timespan(night.change, night.change + 10, ""))
    before = ranges(butler)
    store.certify([night.late], night.change, None)
    with pytest.raises(ConflictError, match="contradicts"):
        export(own, tmp_path / "butler")
    assert ranges(butler) == before


def test_an_image_put_by_butler_itself_comes_back_with_its_provenance(
    night: Any, own: Path, export: Export, tmp_path: Path
) -> None:
    export(own, tmp_path / "butler")
    foreign = put_foreign(tmp_path / "butler")
    exposure = Butler(str(tmp_path / "butler")).get(foreign)
    assert exposure.metadata["LSST BUTLER ID"] == str(foreign.id)
    assert exposure.metadata["LSST BUTLER RUN"] == "somebody/run"
    assert (exposure.image.array == 1).all()
    assert exposure.mask.getPlaneBitMask("BAD") == 1
