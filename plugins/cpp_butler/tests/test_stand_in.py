"""Our classes stand in for Rubin's only where those are not installed, and disturb nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cpp_butler.exposure import Exposure
from cpp_butler.stand_in import stand_in
from lsst.daf.butler import StorageClass, StorageClassFactory

from cpp_framework.errors import IncompatibleError

Run = Callable[..., Any]


def test_butler_still_keeps_the_type_where_we_put_it() -> None:
    """If this fails, lsst-daf-butler has renamed `StorageClass._pytype`: change `stand_in` for the new name."""
    assert vars(StorageClass("Nameless", pytype="nowhere.at.all"))["_pytype"] is None
    known = StorageClass("Named", pytype=Exposure)
    assert vars(known)["_pytype"] is Exposure


class _Renamed:
    """A storage class of a version that keeps its type elsewhere."""

    __slots__ = ()

    @property
    def pytype(self) -> type:
        raise ImportError("no such module")


def test_another_version_of_butler_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StorageClassFactory, "getStorageClass", lambda *_: _Renamed())
    with pytest.raises(IncompatibleError, match="ExposureF: this version of lsst-daf-butler"):
        stand_in({"ExposureF": Exposure})


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        stand_in({"NoSuchStorageClass": Exposure})


def test_nothing_is_imported_before_something_is_read(exported: Path, fresh: Run) -> None:
    code = """
butler = Butler(sys.argv[1])
ref = butler.query_datasets("bias", collections="ci_cpp_bias")[0]
before = [name for name in sys.modules if name.startswith("cpp_")]
butler.get(ref)
answer = [before, "cpp_butler.formatters" in sys.modules]
"""
    assert fresh(code, exported) == [[], True]


def test_other_repositories_still_open_and_references_pickle(exported: Path, fresh: Run, tmp_path: Path) -> None:
    code = """
import pickle
Butler.makeRepo(sys.argv[2])
other = Butler(sys.argv[2], writeable=True)
butler = Butler(sys.argv[1])
refs = butler.query_datasets("bias", collections="ci_cpp_bias")
butler.get(refs[0])
again = Butler(sys.argv[2], writeable=True)
again.collections.register("run")
copies = pickle.loads(pickle.dumps(refs))
Butler.makeRepo(sys.argv[3])
Butler(sys.argv[3])
answer = [list(other.collections.query("*")), copies == refs, butler.get(copies[0]).getBBox().width]
"""
    assert fresh(code, exported, tmp_path / "one", tmp_path / "two") == [["run"], True, 256]


_FAKE_AFW = '''
"""Reads an exposure by the rules of afw's own reader, and by nothing of ours."""
from astropy.io import fits


class Exposure:
    pass


class ExposureF(Exposure):
    @staticmethod
    def readFits(path):
        exposure = ExposureF()
        with fits.open(path, memmap=False) as hdus:
            for hdu, kind in zip(hdus[1:4], ("IMAGE", "MASK", "VARIANCE")):
                assert hdu.header["EXTTYPE"].rstrip() == kind
                assert hdu.header["NAXIS"] == 2
            assert hdus[1].header["INHERIT"], "else afw ignores the primary header"
            assert hdus[1].header["BITPIX"] == hdus[3].header["BITPIX"] == -32
            assert hdus[2].header["BITPIX"] == 32
            primary = hdus[0].header
            assert "AR_HDU" not in primary, "there is no archive"
            if "DATE-AVG" in primary:
                assert primary["TIMESYS"].rstrip() == "TAI"
            planes = {card.removeprefix("MP_"): hdus[2].header[card] for card in hdus[2].header if card[:3] == "MP_"}
            assert sorted(planes.values()) == sorted(set(planes.values()))
            exposure.planes = planes
            exposure.unit = primary["LSST ISR UNITS"]
            exposure.obstype = primary["OBSTYPE"]
            exposure.total = float(hdus[1].data.astype(float).sum())
        return exposure
'''


def test_rubins_own_class_is_used_where_it_is_installed(exported: Path, fresh: Run, tmp_path: Path) -> None:
    package = tmp_path / "lsst" / "afw" / "image"
    package.mkdir(parents=True)
    extend = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    (tmp_path / "lsst" / "__init__.py").write_text(extend)
    (tmp_path / "lsst" / "afw" / "__init__.py").write_text("")
    (package / "__init__.py").write_text(_FAKE_AFW)
    code = """
from lsst.afw.image import ExposureF
butler = Butler(sys.argv[1])
exposure = butler.get(butler.query_datasets("bias", collections="ci_cpp_bias")[0])
raw = butler.query_datasets("raw", collections="simcam/raw/all")[0]
try:
    butler.get(raw)
    refused = ""
except Exception as error:
    refused = str(error.__cause__ or error)
planes = [exposure.planes[name] for name in ("BAD", "NO_DATA")]
answer = [type(exposure) is ExposureF, *planes, exposure.unit, exposure.obstype, exposure.total, refused]
"""
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    *found, total, refused = fresh(code, exported, PYTHONPATH=path)
    assert found == [True, 0, 8, "adu", "bias"]
    ours = """
butler = Butler(sys.argv[1])
exposure = butler.get(butler.query_datasets("bias", collections="ci_cpp_bias")[0])
answer = [type(exposure).__module__, float(exposure.getImage().array.astype(float).sum())]
"""
    assert fresh(ours, exported) == ["cpp_butler.exposure", total]
    assert "Rubin's own class" in refused
