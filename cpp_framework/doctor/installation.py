"""Checks of what is installed: the command, versions, plugins."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

from cpp_framework._version import __version__
from cpp_framework.doctor.finding import Answer, fail, ok, warn
from cpp_framework.plugins import GROUP, discover

_DISTRIBUTION = "cpp-framework"
_ENTRY = b"cpp_framework.cli.main"
_LOOKED_AT = 4096
"""Bytes of a program in which its entry point is looked for: the scripts pip writes are shorter."""


def check_command(name: str) -> Answer:
    """Which program the shell finds under a name of ours: the C preprocessor is called ``cpp`` as well."""
    scripts = Path(sysconfig.get_path("scripts"))
    found = shutil.which(name)
    if found is None:
        return warn(f"no {name} on the PATH", f"export PATH={scripts}:$PATH")
    program = Path(found).resolve()
    with program.open("rb") as file:
        ours = _ENTRY in file.read(_LOOKED_AT)
    if not ours:
        return warn(
            f"{name} is {found}, another program (the C preprocessor?)",
            f"type cpp-cal instead, or: export PATH={scripts}:$PATH",
        )
    if program.parent != scripts.resolve():
        return warn(f"{name} is {found}, of another environment than {sys.prefix}", f"export PATH={scripts}:$PATH")
    return ok(f"{found}, ours")


def check_versions() -> Answer:
    """Versions of Python and of what the installed distributions of ours need."""
    try:
        distribution(_DISTRIBUTION)
    except PackageNotFoundError:
        return warn(f"{_DISTRIBUTION} {__version__} runs from a folder, it is not installed", "pip install it")
    versions, unmet = {"python": sys.version.split()[0], _DISTRIBUTION: __version__}, []
    for owner in (_DISTRIBUTION, *sorted(_of_plugins())):
        for needed in _needed(owner):
            try:
                version = distribution(needed.name).version
            except PackageNotFoundError:
                unmet.append(f"{owner} needs {needed}, which is not installed")
                continue
            versions[needed.name] = version
            if not needed.specifier.contains(version, prereleases=True):
                unmet.append(f"{owner} needs {needed}, {version} is installed")
    if unmet:
        return fail("; ".join(unmet), f"{sys.executable} -m pip check, and install what it names")
    return ok(", ".join(f"{name} {version}" for name, version in versions.items()))


def check_plugins() -> Answer:
    """Whether every installed plugin can be used, and is there once."""
    found = discover()
    if found.broken:
        listed = "; ".join(f"{one.name} of {one.distribution} {one.version}: {one.problem}" for one in found.broken)
        return fail(f"broken: {listed}", "reinstall or uninstall the distribution; cpp plugins lists all")
    twice = [
        f"{name}: {', '.join(f'{one.version} in {_folder(one)}' for one in some)} (the first is used)"
        for name, some in sorted(_of_plugins().items())
        if len(some) > 1
    ]
    if twice:
        return warn(f"installed twice: {'; '.join(twice)}", "uninstall all but one")
    if not found.types:
        return warn("no calibration type is installed", "each type is a distribution of its own: pip install one")
    types = [f"{name} ({found.owners[name]})" for name in sorted(found.types)]
    return ok(f"{len(found.loaded)} plugins; types: {', '.join(types)}")


def _needed(owner: str) -> Iterator[Requirement]:
    """What a distribution needs in this environment, without extras."""
    for text in distribution(owner).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _of_plugins() -> dict[str, list[Distribution]]:
    """Distributions with plugins, every copy that Python could find, by normalized name."""
    found: dict[str, list[Distribution]] = {}
    for one in distributions():
        if any(point.group == GROUP for point in one.entry_points):
            copies = found.setdefault(re.sub(r"[-_.]+", "-", one.name).lower(), [])
            if all(_folder(one) != _folder(other) for other in copies):
                copies.append(one)
    return found


def _folder(one: Distribution) -> Path:
    return Path(str(one.locate_file(""))).resolve()
