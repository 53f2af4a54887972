"""Command lines with nasty words: every command there is, whatever it is called, gets them all.

The commands are read from the program, so that a new verb is tried at once; `BASE` may give it what it needs to come
as far as looking at the words.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer
from case import REFUSED, Case, Command
from world import CANARY_COMMAND

from cpp_framework.cli.main import make_app

NASTY = {
    "empty": "",
    "blank": " ",
    "dash": "-",
    "dashes": "--",
    "triple dash": "---",
    "unknown option": "--no-such-option",
    "unknown letters": "-xyz",
    "negative": "-1",
    "huge number": "9" * 400,
    "not finite": "nan",
    "control": "\x1b[2J\x07",
    "newline": "a\nerror: all is well",
    "surrogate": "\udcff\udcfe",
    "right to left": "\u202eabc",
    "long": "x" * 100_000,
    "file in the way": "../outside/victim.txt",
    "system file": "/proc/version",
    "below a file": "../outside/victim.txt/x",
    "folder": "../outside/folder",
    "device": "/dev/zero",
    "shell": f"$({CANARY_COMMAND});`{CANARY_COMMAND}`|{CANARY_COMMAND}",
    "SQL": "' OR 1=1; DROP TABLE product; --",
    "wildcards": "%_*?[",
    "format": "{0.__class__.__mro__}%s%n",
    "markup": "[bold][/nothing][link=x]",
    "python": f"__import__('os').system('{CANARY_COMMAND}')",
    "tag": f"!!python/object/apply:os.system ['{CANARY_COMMAND}']",
    "response file": "@/proc/version",
    "equals": "=",
    "assignment": "a.b=c",
    "digits of another script": "٣",
    "last": "last",
}
"""Words put in the place of arguments and of values of options."""

BASE: dict[str, Command] = {
    "ingest": ("../night",),
    "flag": ("3", "--good"),
    "plan": ("--type", "bias"),
    "produce": ("--type", "bias", "--executor", "serial", "--jobs", "1"),
    "verify": ("last",),
    "certify": ("last",),
    "decertify": ("last",),
    "export": ("simcam/calib", "bundle"),
    "import": ("bundle",),
    "sim": ("new", "--bias", "1"),
    "instrument init": ("../outside/victim.fits",),
    "instrument check": ("simcam",),
    "instrument show": ("simcam",),
}
"""Words before an option, so that its value is looked at."""

WRITES = ("work", "outside/folder")
"""Where words of `NASTY` ask for something to be made."""
WORDS_PER_OPTION = 3


def cases() -> Iterator[Case]:
    """All cases of this group."""
    words = list(NASTY.values())
    for i, (name, options) in enumerate(_commands().items()):
        verb = tuple(name.split())
        few = ("--bias", "1") if name == "sim" else ()
        tried = words[i % 2 :: 2]  # every word meets every second command
        for j in range(0, len(tried), 4):
            lines = tuple((*verb, word, *few) for word in tried[j : j + 4])
            yield Case(f"{name}: words {j} to {j + 3} of {len(tried)}", lines, writes=WRITES)
        switches: tuple[Command, ...] = (
            (*verb, "--help", "x"),
            (*verb, "--json=x"),
            (*verb, "--repo"),
            (*verb, "x", "--", "x"),
        )
        yield Case(f"{name}: switches", switches, writes=WRITES)
        for k, option in enumerate(options):
            before = (*verb, *BASE.get(name, ()), option)
            picked = [words[(i + 7 * k + 5 * n) % len(words)] for n in range(WORDS_PER_OPTION)]
            yield Case(f"{name}: values of {option}", (before, *((*before, word) for word in picked)), writes=WRITES)
    yield from _program()
    yield from _filters()
    yield from _identifiers()
    yield from _installed()


@cache
def _commands() -> dict[str, list[str]]:
    """Every command with its options that take a value."""
    found: dict[str, list[str]] = {}

    def walk(command: Any, name: str) -> None:
        inside = getattr(command, "commands", {})
        for verb, one in inside.items():
            walk(one, f"{name} {verb}".strip())
        if not inside:
            found[name] = [one.opts[0] for one in command.params if one.param_type_name == "option" and not one.is_flag]

    walk(typer.main.get_command(make_app()), "")
    return found


def _program() -> Iterator[Case]:
    lines: dict[str, Command] = {
        "nothing": (),
        "empty verb": ("",),
        "unknown verb": ("destroy",),
        "verb in capitals": ("PRODUCE",),
        "half a verb": ("prod",),
        "verb with a path": ("../init",),
        "private module": ("main",),
        "module of a verb": ("output",),
        "control codes": ("\x1b[31m",),
        "surrogate": ("\udcff",),
        "long": ("x" * 100_000,),
        "many words": ("find", *["kind=bias"] * 5000),
        "option before": ("--json", "find"),
        "version and more": ("--version", "find"),
        "only dashes": ("--",),
        "help of nothing": ("--help", "nothing"),
    }
    for name, line in lines.items():
        yield Case(
            f"program: {name}",
            (line,),
            codes=Case.codes
            if name in ("help of nothing", "version and more", "many words", "nothing", "only dashes")
            else REFUSED,
        )


def _filters() -> Iterator[Case]:
    """Conditions of `find` and `--select`."""
    wrong = (
        "", " ", "=", "kind", "kind=", "=bias", "kind==bias", "kind===", "nothing=1", "__class__=1", "path=x",
        "records=x", "number=x", "number=" + "9" * 5000, "number=1e5", "number=0x5", "number~(", "number=٣",
        "exposure_time>=x", "exposure_time=nan", "exposure_time<inf", "begin<yesterday", "begin<99999-01-01",
        "begin>1e400", "begin=2026-11-22T10:00:60", "binning=2", "binning=2x", "binning=2x2x2",
        "binning=" + "9" * 5000 + "x1", "object~[", "object~(a+)+$", "object~" + "(" * 2000, "object~" + "a*" * 300,
        "object~a{9999999999}", "object~(?P<x", "kind=\x1b[31m", "kind=\udcff", "kind=" + "x" * 100_000,
        "kind=' OR 1=1", "id~^(([a-z])+.)+[A-Z]([a-z])+$", "day_obs=2026-99-99", "day_obs=20269999", "temperature>=",
        "temperature~-", "window=[1:2", "detector=1.5", "detector=-1", "mode!=", "kind<bias", "begin~2026",
    )  # fmt: skip
    for i, text in enumerate(wrong):
        line = ("find", text) if i % 4 else ("plan", "--type", "bias", "--select", text)
        yield Case(f"filter {text[:50]!a} ({len(text)})", (line,))
    for text in (
        "", "0", "12", "h", "-5d", "1e5d", "99999999999999w", "5y", "٣d", "nan d", "5d;", "1.5.5h", " 5 d ", "inf w",
    ):  # fmt: skip
        yield Case(f"--last {text!a}", (("find", "--last", text),))
    for text in (
        "", "2026-13-01", "2026-1-1", "20261322", "yesterday", "٢٠٢٦-١١-٢٢", "2026-11-22T00", "00000000", "-1",
        "2" * 1000,
    ):  # fmt: skip
        yield Case(f"--night {text[:30]!a}", (("find", "--night", text), ("plan", "--type", "bias", "--night", text)))


def _identifiers() -> Iterator[Case]:
    """What stands for a product or an exposure."""
    for text in (
        "0", "00", "g000", "----", "ffffffff", "0" * 64, "f" * 65, "LAST", " last", "last ", "last~1", "%%%%",
        "____", "1", "6", "SIM", "SIM_", "SIM_2026%", "sim_bias_0001.fits", "../night/sim_bias_0001.fits",
        "./x.fits", "/", ".fits", "x" * 5000 + ".fits", "\udcff\udcff\udcff\udcff", "\x1b[2J", "٣٤٥٦", "1e3",
        "9" * 30, "-" * 36, "'--", "a" * 100_000,
    ):  # fmt: skip
        word = ("--", text)
        lines = (("show", *word), ("explain", *word), ("verify", *word), ("flag", "--bad", "--because", "x", *word))
        yield Case(f"identifier {text[:40]!a} ({len(text)})", lines)
    for text in ("../x", "a/b", "", ".", "x" * 5000, "é", "\x1b", "a b", "9a", "_", "a.b", "../../outside"):
        line = ("produce", "--type", "bias", "--executor", "serial", "--jobs", "1", "--label", text)
        yield Case(f"label {text[:20]!a} ({len(text)})", (line,))
    for text in (
        "", "x", "-1", "0", "1TB ", "9" * 300, "nan", "1e400GB", "5 bananas", "٣GB", "1kB", "inf", "-5GB",
        "1e-300GB",
    ):  # fmt: skip
        line = ("produce", "--type", "bias", "--executor", "serial", "--jobs", "1", "--memory", text)
        yield Case(f"memory {text[:20]!a}", (line,))
    for text in ("", "x", "dask", "os:system", "../x", "serial ", "PROCESSES", "\udcff"):
        yield Case(
            f"executor {text!a}",
            (("produce", "--type", "bias", "--label", "again", "--executor", text, "--jobs", "1"),),
        )
    for text in ("", "=", "bias", "bias=", "=last", "bias=last", "x=last", "bias=zzzz", "bias=\udcff", "../x=last"):
        yield Case(f"use {text!a}", (("plan", "--type", "bias", "--use", text),))


def _installed() -> Iterator[Case]:
    """A sample through the installed program, for what a fork of a process in memory cannot show."""
    for i, (name, word) in enumerate(NASTY.items()):
        if "\0" not in word:
            verb = tuple(list(_commands())[i % len(_commands())].split())
            yield Case(f"installed program: {' '.join(verb)}, {name}", ((*verb, word),), writes=WRITES, real=True)
