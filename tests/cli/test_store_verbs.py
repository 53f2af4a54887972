"""`cpp store …`, as typed."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cpp_framework.cli.main import main
from cpp_framework.model import Check, Header, Level, NeedRecord, Verdict
from cpp_framework.model.identity import digest_of, new_id
from cpp_framework.store import REGISTRY, ProductRecord, Store

FORMAT_1 = Path(__file__).parents[1] / "store" / "examples" / "format1.tar.gz"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in a folder with a repository ``repo``; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CPP_REPO", str(tmp_path / "repo"))

    def call(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(shlex.split(line.removeprefix("cpp ")))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "repo")


@pytest.fixture
def put(store: Store) -> Callable[..., ProductRecord]:
    """Put a product with a verdict PASS."""

    def make(*needs: ProductRecord) -> ProductRecord:
        identifier = new_id()
        header = Header(
            id=identifier, type="bias", revision=1, instrument="cam", detector=0, run=store.new_run("bias"),
            recipe="r" * 64, key={"detector": 0}, digest=digest_of(identifier),
            needs=tuple(NeedRecord(type="gain", id=one.id, digest="", recipe="", why="") for one in needs),
        )  # fmt: skip
        staged = store.staging_file(header.recipe)
        staged.write_bytes(b"content of a product")
        record = store.put(staged, header)
        check = Check(name="level", level=Level.DETECTOR, value=1.0)
        store.put_verdict(Verdict(id=new_id(), product=record.id, digest=record.digest, type="bias", checks=(check,)))
        return record

    return make


def test_verify_names_every_damage_and_exits_with_4(run: Run, store: Store, put) -> None:
    flipped, cut, missing, whole = (put() for _ in range(4))
    code, out, err = run("cpp store verify")
    assert (code, out, err) == (0, "", "every file is as it was stored\n")
    store.path(flipped).write_bytes(b"content 0f a product")
    store.path(cut).write_bytes(b"content of a produc")
    store.path(missing).unlink()
    code, out, err = run("cpp store verify --threads 2")
    assert code == 4
    assert "3 problems" in err
    lines = {one.short: line for one in (flipped, cut, missing) for line in out.splitlines() if one.short in line}
    assert f"SHA-256 {flipped.sha256[:16]}…" in lines[flipped.short]
    assert "20 bytes" in lines[cut.short]
    assert "19 bytes" in lines[cut.short]
    assert "nothing" in lines[missing.short]
    assert whole.short not in out
    code, out, _ = run("cpp store verify --json")
    assert code == 4
    problems = {one["file"]: one for one in json.loads(out)["problems"]}
    assert set(problems) == {flipped.path, cut.path, missing.path}
    assert problems[missing.path] == {
        "what": f"bias {missing.short}", "file": missing.path, "expected": "a file", "found": "nothing"
    }  # fmt: skip


def test_gc_tells_first_then_removes(run: Run, store: Store, put) -> None:
    folder = store.path(put()).parent
    orphan, strange = folder / "bias_cam_det000_0123abcd.fits", folder / "my_flat.fits"
    for path in (orphan, strange):
        path.write_bytes(b"12345")
    assert run("cpp store gc")[2].splitlines()[-1] == "0 removed, 0 bytes"  # too young
    code, out, err = run("cpp store gc --older 0h -n")
    assert code == 0
    assert f"{orphan.relative_to(store.root)}" in out
    assert f"not ours, left alone: {strange.relative_to(store.root)}" in err
    assert "1 would be removed, 5 bytes" in err
    assert orphan.exists()
    code, out, _ = run("cpp store gc --older 0h --json")
    document = json.loads(out)
    assert [one["path"] for one in document["garbage"]] == [str(orphan.relative_to(store.root))]
    assert (document["bytes"], document["dry_run"]) == (5, False)
    assert not orphan.exists()
    assert strange.exists()
    assert run("cpp store gc --older 0h")[2].splitlines()[-1] == "0 removed, 0 bytes"


def test_gc_says_when_the_index_is_older_than_the_files(run: Run, store: Store, put) -> None:
    before = (store.root / REGISTRY).read_bytes()
    record = put()
    (store.root / REGISTRY).write_bytes(before)
    code, _, err = run("cpp store gc --older 0h")
    assert code == 0
    assert f"not in the index, but verified once: {record.path}" in err
    assert "cpp doctor --rebuild" in err
    assert store.path(record).exists()


@pytest.mark.parametrize("older", ["soon", "1", "-1d", "99999999999999w"])
def test_gc_wants_an_age(run: Run, store: Store, older: str) -> None:
    code, _, err = run(f"cpp store gc --older={older}")
    assert code == 2
    assert "hint: write it as 12h, 30d or 2w" in err


def test_remove_wants_a_reason_and_a_confirmation(run: Run, store: Store, put) -> None:
    first, second = put(), put()
    assert run(f"cpp store remove {first.short}")[0] == 2
    code, _, err = run(f"cpp store remove {first.short} --because 'too warm'")
    assert code == 2
    assert "hint: add --yes" in err
    code, _, err = run(f"cpp store remove {first.short} --because ' ' --yes")
    assert code == 2
    assert "needs a reason" in err
    assert len(store.products()) == 2
    code, out, _ = run(f"cpp store remove {first.short} {first.id} --because 'too warm' --yes")
    assert (code, out) == (0, f"removed bias {first.short} ({first.path})\n")
    assert store.products() == [second]
    assert list((store.root / "products" / first.run).iterdir()) == []
    assert run(f"cpp store remove {first.short} --because 'too warm' --yes")[0] == 2
    code, out, _ = run("cpp store remove last --because 'too warm' -y --json")
    assert json.loads(out)["removed"] == [second.id]


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("", 1)])
def test_remove_asks_a_person(store: Store, put, answer: str, left: int) -> None:
    put()
    person, terminal = pty.openpty()
    command = [sys.executable, "-m", "cpp_framework.cli.main", "store", "remove", "last", "--because", "too warm"]
    with subprocess.Popen(
        [*command, "--repo", str(store.root)], stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, text=True
    ) as process:
        os.write(person, f"{answer}\n".encode())
        out, _ = process.communicate(timeout=60)
    os.close(terminal)
    asked = os.read(person, 10_000).decode()
    os.close(person)
    assert process.returncode == 0
    assert "Remove for ever? [y/N]" in asked
    assert ("nothing was removed" in asked) == bool(left)
    assert len(store.products()) == left
    assert bool(out) != bool(left)


def test_remove_refuses_what_is_wanted_and_its_hints_work_as_typed(run: Run, store: Store, put) -> None:
    record = put()
    user = put(record)
    store.certify([record.id], 0, None)
    store.tag("best", [record.id])
    because = "--because 'too warm'"

    def refused() -> tuple[str, str]:
        code, _, err = run(f"cpp store remove {record.short} {because} --yes")
        assert code == 5
        message, hint = err.splitlines()
        return message, hint.removeprefix("hint: ")

    message, hint = refused()
    assert "is certified in cam/calib" in message
    assert run(hint)[0] == 0
    message, hint = refused()
    assert "is in the tagged collection best" in message
    assert run(hint)[0] == 0
    message, hint = refused()
    assert f"was used to make bias {user.short}" in message
    assert hint.endswith(f"cpp store remove {record.short} {user.short} --because REASON")
    assert len(store.products()) == 2
    assert run(hint.rpartition(": ")[2] + " --yes")[0] == 0
    assert store.products() == []
    assert [one.action for one in store.ledger()] == ["certify", "tag", "decertify", "untag", "remove", "remove"]


def test_tags_and_collections(run: Run, store: Store, put) -> None:
    first, second = put(), put()
    code, out, _ = run(f"cpp store tag best/2026 {first.short} {second.short} --note 'for the paper'")
    assert code == 0
    told = [line.split() for line in out.splitlines()]
    assert [words[:3] for words in told if words[:1] == ["tag"]] == [
        ["tag", one.short, "best/2026"] for one in (first, second)
    ]
    assert out.count("for the paper") == 2
    assert "it was so already" in run(f"cpp store tag best/2026 {first.short}")[2]
    code, out, _ = run("cpp store collections --json")
    found = {one["name"]: one for one in json.loads(out)["collections"]}
    assert found["best/2026"] == {"name": "best/2026", "kind": "TAGGED", "members": [], "n_products": 2}
    assert found["ci_cpp_bias"]["members"] == [second.run, first.run]
    code, out, _ = run(f"cpp store untag best/2026 {first.short} --json")
    assert [one["action"] for one in json.loads(out)["ledger"]] == ["untag"]
    lines = [line.split() for line in run("cpp store collections")[1].splitlines()]
    assert ["best/2026", "TAGGED", "1"] in lines
    code, _, err = run(f"cpp store untag best/2026 {first.short}")
    assert code == 2
    assert "is not in best/2026" in err
    assert run(f"cpp store untag nothing {first.short}")[0] == 2
    assert run(f"cpp store tag ci_cpp_mine {first.short}")[0] == 5


def test_upgrade_of_an_older_index(run: Run, tmp_path: Path) -> None:
    with tarfile.open(FORMAT_1) as archive:
        archive.extractall(tmp_path, filter="data")
    for line in (
        "find", "find --products", "show", "verify last", "flag 1 --good", "ingest .", "produce --type bias",
        "explain last", "certify last --begin open", "store verify", "store gc", "store gc -n", "store collections",
        "store tag best last", "store remove last --because x --yes",
    ):  # fmt: skip
        code, _, err = run(line)
        assert code == 5, line
        assert "index format 1" in err
        assert "hint: cpp store upgrade" in err
    code, out, err = run("cpp store upgrade")
    assert (code, out) == (0, "upgraded the index from format 1 to 3\n")
    assert f"{tmp_path / 'repo' / REGISTRY}.format1-" in err
    assert run("cpp store verify")[0] == 0
    code, out, _ = run("cpp store upgrade")
    assert (code, out) == (0, "the index has format 3 already, the one this version works with\n")
    code, out, _ = run("cpp store upgrade --json")
    assert json.loads(out) == {"format": 1, "before": 3, "after": 3, "copy": None}


def test_upgrade_outside_a_repository_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CPP_REPO")
    code, _, err = run("cpp store upgrade")
    assert code == 2
    assert "no repository" in err


def test_help_names_the_verbs(run: Run) -> None:
    code, out, _ = run("cpp store --help")
    assert code == 0
    for verb in ("verify", "gc", "upgrade", "remove", "tag", "untag", "collections"):
        assert f" {verb} " in out
        assert run(f"cpp store {verb} --help")[0] == 0
