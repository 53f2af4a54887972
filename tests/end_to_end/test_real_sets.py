"""The README's commands on real frames, typed as they stand, against a plain-numpy computation of our own.

Needs the folder of reference data beside the repository; skipped with a reason where it is absent.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from astropy.io import fits

pytestmark = pytest.mark.slow

README = Path(__file__).resolve().parents[2] / "README.md"
TOLERANCE = 0.51
"""Largest difference of a level in ADU: medians of whole numbers are interpolated by the product, plain here."""


def _load_independent() -> ModuleType:
    spec = importlib.util.spec_from_file_location("independent", Path(__file__).with_name("independent.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["independent"] = module
    spec.loader.exec_module(module)
    return module


plain = _load_independent()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shared) -> Path:
    """A folder in which every command of the README's section on real cameras has been typed."""
    raw = shared("data/real")
    work = tmp_path_factory.mktemp("real")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    section = README.read_text().split("### Three real cameras")[1].split("\n## ")[0]
    commands = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    assert len(commands) >= 40
    for command in commands:
        wanted = int(match[1]) if (match := re.search(r"# exit code (\d)", command)) else 0
        done = subprocess.run(
            ["sh", "-c", command], cwd=work, env={**os.environ, "PATH": path, "RAW": str(raw)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == wanted, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    return work


def _product(repository: Path) -> fits.HDUList:
    return _newest(repository, "bias")


def _newest(repository: Path, name: str) -> fits.HDUList:
    (path,) = (repository / "products" / f"ci_cpp_{name}").rglob("*.fits")
    return fits.open(path)


def _compare(made: fits.HDUList, stack: np.ndarray, box: tuple[slice, slice], sigma: float) -> None:
    """Image, error and used count of one amplifier against the plain clipped mean."""
    image, count = plain.clipped_mean(stack, sigma)
    found, used = made["DATA"].data[box], made["NUSED"].data[box].astype(int)
    same = (used == count) & (made["DQ"].data[box] & 1 << 8 == 0)
    # Levels may differ by half an ADU, so a sample right at the limit may be judged otherwise.
    assert same.mean() > 0.995
    difference = (found - image)[same]
    assert np.abs(difference).max() < TOLERANCE
    assert abs(difference.mean()) < 0.1
    assert np.median(made["ERR"].data[box][same] * np.sqrt(count[same])) == pytest.approx(sigma, rel=0.02)


@pytest.mark.parametrize(
    ("amplifier", "data", "overscan", "skip_at_end"),
    [("A", (0, 62), (350, 450), False), ("B", (62, 350), (450, 550), True)],
)
def test_kast(folder: Path, shared, amplifier: str, data, overscan, skip_at_end: bool) -> None:
    raws = [plain.read(path, 0) for path in sorted(shared("data/real/kast-red-2amp").glob("bias*"))]
    section = plain.Section(data, overscan, skip_at_end=skip_at_end)
    noise = plain.read_noise(raws, section)
    with _product(folder / "kast") as made:
        row = made["AMPLIFIERS"].data[amplifier == made["AMPLIFIERS"].data["NAME"]][0]
        assert row["READ_NOISE"] == pytest.approx(noise, rel=0.01)
        assert 2.1 <= round(row["READ_NOISE"], 1) <= 2.3  # the set's own rough figure
        stack = np.stack([plain.overscan_corrected(raw, section) for raw in raws])
        level_noise = noise * np.sqrt(np.pi / 2 / 97)
        _compare(made, stack, np.s_[:, data[0] : data[1]], np.hypot(noise, level_noise))


def test_nickel(folder: Path, shared) -> None:
    raws = [plain.read(path, 0) for path in sorted(shared("data/real/nickel-ccd2").glob("bias*"))]
    section = plain.Section((0, 1024), (1024, 1056))
    noise = plain.read_noise(raws, section)
    with _product(folder / "nickel") as made:
        assert made["AMPLIFIERS"].data["READ_NOISE"][0] == pytest.approx(noise, rel=0.02)
        assert 5.0 < made["AMPLIFIERS"].data["READ_NOISE"][0] < 6.5  # 6.0 in the images, by the set's own figure
        # Column 257 (counted from 1) is saturated over most of its length in every frame, bias or not.
        saturated = np.all([raw[:, 256] == 65535 for raw in raws], axis=0)
        assert saturated.sum() > 400
        assert np.all(made["DQ"].data[saturated, 256] & 2)
        assert np.all(made["NUSED"].data[saturated, 256] == 0)
        assert np.all(np.isnan(made["DATA"].data[saturated, 256]))
        stack = np.stack([plain.overscan_corrected(raw, section) for raw in raws])
        level_noise = noise * np.sqrt(np.pi / 2 / 29)
        _compare(made, stack[:, :, :250], np.s_[:, 0:250], np.hypot(noise, level_noise))


def test_emva(folder: Path, shared) -> None:
    frames = [plain.read(path, 1) for path in sorted(shared("data/real/emva1288-ccd-12bit").glob("middark*"))]
    noise = plain.difference_noise(frames)
    with _product(folder / "emva") as made:
        assert made["AMPLIFIERS"].data["READ_NOISE"][0] == pytest.approx(noise, rel=0.01)
        assert made["AMPLIFIERS"].data["READ_NOISE"][0] == pytest.approx(3.07, abs=0.05)  # the set's own figure
        assert made["AMPLIFIERS"].data["LEVEL"][0] == pytest.approx(15, abs=1)
        _compare(made, np.stack(frames), np.s_[:, :], noise)


def test_nickel_defects_are_those_its_page_names(folder: Path) -> None:
    """Columns 256, 257 and 1003 are bad and the last six glow (counted from 1); the middle of the chip is clean."""
    with _newest(folder / "nickel", "defects") as made:
        mask = made["DQ"].data
        for column in (256, 257, 1003, *range(1019, 1025)):
            assert np.mean(mask[:, column - 1] != 0) > 0.95, column
        assert np.mean(mask[200:800, 300:650] != 0) < 0.001
        table = made["REGIONS"].data
        drawn = np.zeros(mask.shape, int)
        for box in table:
            drawn[box["y0"] : box["y0"] + box["height"], box["x0"] : box["x0"] + box["width"]] += 1
        np.testing.assert_array_equal(drawn, mask != 0)


def test_nickel_is_calibrated_with_all_four_products(folder: Path) -> None:
    (path,) = (folder / "calibrated").glob("*.fits")
    with fits.open(path, checksum=True) as made:
        made.verify("exception")
        applied = {row["TYPE"] for row in made["CALIBRATIONS"].data if row["ID"].strip()}
        assert applied >= {"bias", "dark", "defects", "flat"}
        image = made["DATA"].data if "DATA" in made else made[0].data
        assert made[0].header["BUNIT"] == "electron"
        middle = image[300:700, 300:700]
        # 2 s of the lamp at 1870 ADU/s and 1.77 electron/ADU, by the set's own figures
        assert np.nanmedian(middle) == pytest.approx(2 * 1870 * 1.77, rel=0.05)
        flat = np.nanstd(middle - np.nanmedian(middle, axis=1, keepdims=True)) / np.nanmedian(middle)
        assert flat < 1.6 / np.sqrt(2 * 1870 * 1.77)
