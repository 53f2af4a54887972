"""Settings of a type from files and `--set`, and of the simulator, with wrong names, types and values."""

from __future__ import annotations

from collections.abc import Iterator

from case import REFUSED, Case
from world import CANARY_COMMAND, World

FILE = "settings.yaml"
PLAN = ("plan", "--type", "bias")

VALUES = (
    "", "null", "true", "-1", "0", "1e999", ".nan", "-.inf", "9" * 5000, "0x" + "f" * 5000, "2026-99-99",
    "'4 sigma'", "[4]", "{a: 4}", "!!python/object/apply:os.system ['" + CANARY_COMMAND + "']",
    "!!python/name:os.system", "!!binary aGVsbG8=", "!x 4", "*a", "&a 4", "[" * 2000, "[" * 3000 + "]" * 3000,
    "{a: " * 3000, "'", '"\\ud800"', '"\\e[31m"', "a: b: c", "- 1", "?", "|", "%x", "@", "`", "\t4", "4 # and", "<<",
    "=", "\x07", "\udcff", "é", "x" * 100_000, "1_0", "1:20", "0o17", "~", "yes", "__import__('os')",
)  # fmt: skip
MOSTLY_GOOD = ("4 # and", "&a 4", "1_0", "1:20", "0o17")
"""Values YAML takes for a number that a setting may have."""


def cases() -> Iterator[Case]:
    """All cases of this group."""
    for value in VALUES:
        name = f"{value[:40]!a} ({len(value)})"
        first = Case.first if value in MOSTLY_GOOD else REFUSED
        yield Case(f"--set clip={name}", ((*PLAN, "--set", f"clip={value}"),), first=first)
        yield _file(
            f"clip: {name}",
            f"clip: {value}\n",
            refused=value not in (*MOSTLY_GOOD, "'", "%x", "|", "<<", "=") and first is REFUSED,
        )
    for value in VALUES[::4]:
        yield Case(
            f"sim --set {value[:40]!a}",
            (("sim", "new", "--bias", "1", "--set", f"read_noise.sigma={value}"),),
            writes=("work/new",),
        )
    yield from _names()
    yield from _files()


def _file(name: str, content: str | bytes, *, refused: bool = True) -> Case:
    def prepare(world: World) -> None:
        world.write(FILE, content)

    return Case(f"file {name}", ((*PLAN, "--config", FILE),), prepare, first=REFUSED if refused else Case.first)


def _names() -> Iterator[Case]:
    """Keys nobody declared."""
    for key in (
        "", ".", "..", "clip.", ".clip", "clip.sigma", "clip.__class__", "__class__", "__init__.__globals__",
        "model_config", "clip ", "CLIP", "*", "x" * 10_000, ".".join("a" * 2000), "\x1b[31m", "\udcff", "../clip",
        "0", "None", "[clip]", "corner\0",
    ):  # fmt: skip
        yield Case(
            f"--set key {key[:40]!a} ({len(key)})",
            ((*PLAN, "--set", f"{key}=4"),),
            first=REFUSED if key != "clip " else Case.first,
        )
    for text in ("", "=", "==", "clip", "clip:4", " = ", "clip=4=5", "--", "-"):
        yield Case(f"--set {text!a}", ((*PLAN, "--set", text),), first=REFUSED)
    for text in (
        "read_noise",
        "read_noise=3",
        ".sigma=3",
        "read_noise.=3",
        "nothing.sigma=3",
        "read_noise.nothing=3",
        "gain.values={C00: x}",
    ):
        yield Case(f"sim --set {text!a}", (("sim", "new", "--set", text),), first=REFUSED)
    for text in (
        "", ":", "0:shift", "99:shift", "x:shift", "1:", "1:nothing", "1:shift:", "1:shift:sigma", "-1:shift",
        "1e0:shift", "1:shift:sigma=2026-99-99", "1:shift:sigma=.nan", "1:shift:sigma=" + "[" * 3000,
        "1:outliers:count=-5",
    ):  # fmt: skip
        yield Case(
            f"sim --spoil {text[:40]!a}",
            (("sim", "new", "--bias", "2", "--spoil", text),),
            first=REFUSED,
            writes=("work/new",),
        )


def _files() -> Iterator[Case]:
    """Files of settings that attack their reader."""
    laughs = "a0: &a0 [lol]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    contents: dict[str, str | bytes] = {
        "billion laughs": laughs + "clip: *a29\n",
        "billion mappings": "a0: &a0 {x: 1}\n"
        + "".join(f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}, r: *a{i - 1}}}\n" for i in range(1, 30)),
        "merge keys that multiply": "a0: &a0 {x: 1}\n"
        + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10)),
        "contains itself": "clip: &a\n  b: *a\n",
        "list": "- clip\n",
        "text": "clip\n",
        "duplicate": "clip: 4\nclip: 5\n",
        "list as key": "? [clip]\n: 4\n",
        "mapping as key": "? {clip: 1}\n: 4\n",
        "many keys": "".join(f"k{i}: {i}\n" for i in range(5000)),
        "deep block": "".join(f"{' ' * i}a:\n" for i in range(1500)),
        "noise": bytes(range(256)) * 10,
        "not UTF-8": b"clip: \xff\n",
        "UTF-16": "clip: 5\n".encode("utf-16"),
        "NUL": b"clip: 5\0\n",
        "two documents": "clip: 4\n---\nclip: 5\n",
        "python": f"!!python/object/apply:subprocess.getoutput ['{CANARY_COMMAND}']\n",
        "python list": "clip: !!python/object/new:list\n"
        f"  listitems: !!python/object/apply:os.popen ['{CANARY_COMMAND}']\n",
        "tab": "clip:\n\t4\n",
        "long key": "x" * 200_000 + ": 4\n",
        "five megabytes": "# " + "x" * 5_000_000 + "\n",
    }
    for name, content in contents.items():
        yield _file(name, content)
    for name, good in {
        "byte order mark": b"\xef\xbb\xbfclip: 5\n",
        "CRLF": b"clip: 5\r\n",
        "empty": b"",
        "comment": b"# clip\n",
    }.items():
        yield _file(name, good, refused=False)
