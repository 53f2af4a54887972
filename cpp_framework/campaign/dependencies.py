"""The campaign that follows from what types require: what is needed first, then what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

from cpp_framework.campaign.passes import Campaign, Pass, Verifying
from cpp_framework.plan import Request
from cpp_framework.plugins import Plugins

_SHARED = ("instrument", "only", "use", "allow_uncertified", "collection", "at")
"""What of a target's request holds for the types it needs as well."""


def with_dependencies(
    targets: Sequence[Request], plugins: Plugins, verify: Verifying = Verifying.NO, *, optional: bool = False
) -> Campaign:
    """Passes for the targets and, before them, for the types they need, in the order in which they need each other.

    A need that is named by `use` or left out by `without` gets no pass. Label, filters, exclusions, settings and
    `without` of a target hold for the target only; instrument, and where other needs are looked up, hold for all.

    Parameters
    ----------
    targets : sequence of Request
        At most one per type.
    plugins : Plugins
    verify : Verifying
        Whether the products are verified.
    optional : bool
        Whether the targets too are left out where there is nothing to make them from.

    Raises
    ------
    NotFoundError
        A target, or a type that is required and not optional, is not installed.
    """
    asked = {target.type: target for target in targets}
    graph: dict[str, list[str]] = {}
    for name in asked:
        _visit(name, asked, plugins, graph, ())
    first = targets[0]
    shared = replace(Request(""), **{name: getattr(first, name) for name in _SHARED})
    passes = [
        Pass(asked.get(name) or replace(shared, type=name), verify=verify, optional=optional or name not in asked)
        for name in TopologicalSorter(graph).static_order()
    ]
    return Campaign(tuple(passes), strict=False)


def _visit(
    name: str, asked: dict[str, Request], plugins: Plugins, graph: dict[str, list[str]], above: tuple[str, ...]
) -> None:
    """Add a type with all it needs. A need that closes a circle, which only optional ones can, gets no edge."""
    calibration = plugins.type(name)
    if name in graph:
        return
    graph[name] = []
    request = asked.get(name) or Request(name)
    # By name, so that the order of passes does not depend on that of installation.
    for required in sorted(calibration.requires, key=lambda one: (one.optional, one.type)):
        served = required.type in request.use or required.type in request.without
        absent = required.optional and required.type not in plugins.types
        if not served and not absent and required.type not in (name, *above):
            graph[name].append(required.type)
            _visit(required.type, asked, plugins, graph, (name, *above))
