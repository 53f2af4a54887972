"""Discovery of plugins: one entry point at a time, so that a broken one harms nothing but itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from cpp_framework import hookspecs
from cpp_framework.declare import API, CalibrationType
from cpp_framework.errors import NotFoundError, PluginError

GROUP = "cpp_framework"


@dataclass(frozen=True)
class LoadedPlugin:
    """One entry point: where it comes from, what it declares, or why it could not be used."""

    name: str
    distribution: str
    version: str
    types: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    problem: str = ""


@dataclass
class Plugins:
    """Everything the installed plugins offer, and the failures, each with its reason."""

    manager: pluggy.PluginManager
    loaded: list[LoadedPlugin] = field(default_factory=list)
    types: dict[str, CalibrationType] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> list[LoadedPlugin]:
        """Plugins that could not be used."""
        return [plugin for plugin in self.loaded if plugin.problem]

    def type(self, name: str) -> CalibrationType:
        """Return a calibration type by name.

        Raises
        ------
        NotFoundError
            No installed plugin declares it; the message lists those that are there.
        """
        if name in self.types:
            return self.types[name]
        known = ", ".join(sorted(self.types)) or "none"
        broken = "; ".join(f"{plugin.name}: {plugin.problem}" for plugin in self.broken)
        raise NotFoundError(
            f"no calibration type {name!r}; installed: {known}" + (f" (broken: {broken})" if broken else ""),
            hint="each type is a distribution of its own: install the one that declares it; `cpp plugins` lists yours",
        )

    def verifiers(self, type_name: str) -> list[str]:
        """Import strings of extra verify functions that other plugins add to a type."""
        offers: list[Mapping[str, str]] = self.manager.hook.cpp_verifiers()
        return [offer[type_name] for offer in offers if type_name in offer]

    def offers(self, hook: str) -> dict[str, str]:
        """Merge the mappings returned by a register-style hook (instruments, stores, executors)."""
        merged: dict[str, str] = {}
        for offer in getattr(self.manager.hook, hook)():
            merged.update(offer)
        return merged

    def event(self, **event: Any) -> None:
        """Tell observers what happened."""
        self.manager.hook.cpp_event(event=event)


def discover(points: list[EntryPoint] | None = None) -> Plugins:
    """Load every entry point of the group, keeping failures instead of raising them.

    ``CPP_PLUGINS=a,b`` narrows the entry points loaded; ``CPP_STRICT_PLUGINS=1`` raises the first failure.
    """
    manager = pluggy.PluginManager("cpp_framework")
    manager.add_hookspecs(hookspecs)
    found = Plugins(manager)
    for point in _selected(points):
        plugin = _load(point, found)
        found.loaded.append(plugin)
        if plugin.problem and os.environ.get("CPP_STRICT_PLUGINS") == "1":
            raise PluginError(f"plugin {plugin.name!r} of {plugin.distribution}: {plugin.problem}")
    return found


@cache
def installed() -> Plugins:
    """Return the plugins of this environment, discovered once per process."""
    return discover()


def _selected(points: list[EntryPoint] | None) -> list[EntryPoint]:
    if points is None:
        points = list(entry_points(group=GROUP))
    wanted = os.environ.get("CPP_PLUGINS")
    if wanted is not None:
        names = {name.strip() for name in wanted.split(",")}
        points = [point for point in points if point.name in names]
    return sorted(points, key=lambda point: (point.name, point.value))


def _load(point: EntryPoint, found: Plugins) -> LoadedPlugin:
    dist = point.dist
    origin = (point.name, dist.name if dist else "unknown", dist.version if dist else "unknown")
    try:
        module = point.load()
        manager_name = found.manager.register(module, name=f"{origin[1]}:{point.name}")
    except (Exception, SystemExit) as error:  # whatever a stranger's import raises must not take the program down
        return LoadedPlugin(*origin, problem=f"{type(error).__name__}: {error}")
    try:
        types = _declared_types(module, found, owner=origin[1])
        found.manager.check_pending()
    except (Exception, SystemExit) as error:  # same reason: the plugin is listed as broken with this text
        found.manager.unregister(name=manager_name)
        return LoadedPlugin(*origin, problem=f"{type(error).__name__}: {error}")
    hooks = tuple(sorted(caller.name for caller in found.manager.get_hookcallers(module) or ()))
    for one in types:
        found.types[one.name] = one
        found.owners[one.name] = origin[1]
    return LoadedPlugin(*origin, types=tuple(one.name for one in types), hooks=hooks)


def _declared_types(module: Any, found: Plugins, owner: str) -> list[CalibrationType]:
    """Types one module declares, each checked against the contract's version and those already there."""
    callers = found.manager.get_hookcallers(module) or []
    if not any(caller.name == "cpp_calibration_types" for caller in callers):
        return []
    types = list(module.cpp_calibration_types())
    for one in types:
        if not isinstance(one, CalibrationType):
            raise PluginError(f"cpp_calibration_types returned a {type(one).__name__}, not a CalibrationType")
        if one.api != API:
            raise PluginError(
                f"type {one.name!r} is written for contract API {one.api}, this framework has API {API}; "
                f"install a version of {owner} made for it"
            )
        if one.name in found.types:
            raise PluginError(
                f"type {one.name!r} is declared by both {found.owners[one.name]} and {owner}; uninstall one"
            )
    return types
