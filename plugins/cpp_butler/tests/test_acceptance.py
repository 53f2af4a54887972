"""The notebook of Rubin's test case LVV-T115 on an exported repository.

Its cells are cut from the document when the test runs, and executed unchanged but for the path of the repository, in a
real notebook with a real kernel. Cells that need products cpp cannot make yet must fail, each by itself, until it can.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.notebooknode import NotebookNode

from cpp_framework.store import Store

pytestmark = pytest.mark.slow

PATH = "'~/u/repos/ci_cpp_gen3/DATA/'"
ALL_IMAGES = "calib_img_types = ['bias', 'dark', 'flat']"
OUR_IMAGES = "calib_img_types = ['bias']"
MISSING = dict.fromkeys(range(4, 8), "no brighter-fatter kernel yet")
MISSING |= dict.fromkeys(range(8, 11), "no defects yet")
MISSING |= dict.fromkeys(range(11, 14), "no photon transfer curve yet")
MISSING |= {14: "no dark and no flat yet"}
INFO = re.compile(
    r"CollectionInfo\(name='([^']+)', type=<CollectionType\.(\w+: \d)>, doc='', children=\((.*?)\), parents=None, "
    r"dataset_types=None\)"
)
_RUN = r"""
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, kernel_name="python3", timeout=300, allow_errors=True).execute()
nbformat.write(notebook, sys.argv[1])
"""


@dataclass(frozen=True)
class Cell:
    """A cell of the document: its code, and the text up to the next one (its output, then the authors' words)."""

    code: str
    after: str


def cells_of(text: str) -> dict[int, Cell]:
    """Cut the cells out of the document: after ``In [n]:``, paragraphs are code as long as they are valid Python."""
    _, *parts = re.split(r"^In \[(\d+)\]:\n", text, flags=re.MULTILINE)
    cells = {}
    for number, part in zip(parts[::2], parts[1::2], strict=True):
        paragraphs = part.split("\n\n")
        code = 0
        while code < len(paragraphs) and is_python("\n\n".join(paragraphs[: code + 1])):
            code += 1
        cells[int(number)] = Cell("\n\n".join(paragraphs[:code]).strip("\n"), "\n\n".join(paragraphs[code:]))
    return cells


def is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def as_form(text: str) -> list[str]:
    """The lines of a printed form, with the dates of runs, ids and numbers left out."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{8}T\d{6}Z", "DATE", text)
    text = re.sub(r"(value|stdev): +-?\d+(\.\d+)?(e-?\d+)?", r"\1: NUMBER", text)
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def document(shared: Callable[[str], Path]) -> dict[int, Cell]:
    return cells_of(shared("reference/LVV-T115.txt").read_text())


@pytest.fixture(scope="module")
def latiss(tmp_path_factory: pytest.TempPathFactory, cpp: Callable[..., Any], export: Callable[..., Any]) -> Path:
    """A Butler repository with a certified bias of full-size LATISS frames."""
    folder = tmp_path_factory.mktemp("latiss")
    repo = folder / "repo"
    cpp("sim", folder / "raw", "--instrument", "latiss", "--bias", 3, "--seed", 5, "--jobs", 2)
    cpp("init", repo, "--instrument", "latiss")
    cpp("ingest", folder / "raw", "--repo", repo)
    cpp("produce", "--type", "bias", "--jobs", 2, "--repo", repo)
    cpp("verify", "--repo", repo)
    store = Store.open(repo)
    store.certify([store.product("last").id], None, None)
    export(repo, folder / "butler")
    return folder / "butler"


@pytest.fixture(scope="module")
def notebook(
    document: dict[int, Cell], latiss: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, NotebookNode]:
    """The executed cells by number; 0 is cell 14 for the images there are."""
    assert PATH in document[2].code
    assert document[14].code.startswith(ALL_IMAGES)
    codes = {number: cell.code for number, cell in document.items()}
    codes[2] = codes[2].replace(PATH, repr(str(latiss)))
    codes[0] = codes.pop(14).replace(ALL_IMAGES, OUR_IMAGES)
    codes[14] = document[14].code
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in codes.values()])
    path = tmp_path_factory.mktemp("notebook") / "lvv_t115.ipynb"
    nbformat.write(written, path)
    done = subprocess.run([sys.executable, "-c", _RUN, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(codes, nbformat.read(path, as_version=4).cells, strict=True))


def errors(cell: NotebookNode) -> list[str]:
    return [f"{one.ename}: {one.evalue}" for one in cell.outputs if one.output_type == "error"]


def result(cell: NotebookNode) -> str:
    (found,) = [one for one in cell.outputs if one.output_type == "execute_result"]
    return str(found.data["text/plain"])


def printed(cell: NotebookNode) -> str:
    return "".join(one.text for one in cell.outputs if one.output_type == "stream" and one.name == "stdout")


def test_the_document_is_cut_into_its_cells(document: dict[int, Cell]) -> None:
    assert list(document) == list(range(1, 15))
    assert document[1].code.splitlines() == ["import numpy as np", "", "from lsst.daf.butler import Butler"]
    assert document[3].code == "butler.collections.query_info('*')"
    assert document[3].after.startswith("[CollectionInfo(name='LATISS/calib'")
    assert document[14].code.endswith('print("\\n")')
    assert document[14].after.startswith("bias@{instrument: 'LATISS', detector: 0}")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_cells_on_the_repository_itself_run(notebook: dict[int, NotebookNode], number: int) -> None:
    assert errors(notebook[number]) == []


def test_collections_are_listed_as_in_the_document(
    notebook: dict[int, NotebookNode], document: dict[int, Cell]
) -> None:
    theirs = {name: kind for name, kind, _ in INFO.findall(document[3].after)}
    ours = INFO.findall(result(notebook[3]))
    assert re.sub(INFO, "", result(notebook[3])) == "[" + ",\n " * (len(ours) - 1) + "]"
    assert [kind for _, kind, _ in ours] == ["CALIBRATION: 4", "RUN: 1", "RUN: 1", "CHAINED: 3"]
    names = [name for name, _, _ in ours]
    assert names[:2] == [name for name in theirs if name in ("LATISS/calib", "LATISS/raw/all")]
    assert {name: kind for name, kind, _ in ours if name in theirs} == {name: theirs[name] for name in names[:2]}
    assert re.fullmatch(r"ci_cpp_bias/\d{8}T\d{6}Z", names[2])
    assert (names[3], ours[3][2]) == ("ci_cpp_bias", f"'{names[2]}',")


def test_a_bias_is_printed_as_in_the_document(notebook: dict[int, NotebookNode], document: dict[int, Cell]) -> None:
    assert errors(notebook[0]) == []
    theirs = document[14].after.partition("dark@")[0]
    assert as_form(printed(notebook[0])) == as_form(theirs)
    assert "(minimum=(0, 0), maximum=(4071, 3999))" in printed(notebook[0])


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(n, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason))
        for n, reason in sorted(MISSING.items())
    ],
)
def test_cells_on_other_products_run(notebook: dict[int, NotebookNode], number: int) -> None:
    assert errors(notebook[number]) == []
