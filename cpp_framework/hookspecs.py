"""The seven hooks. All only register things; behaviour lives in what they return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pluggy

from cpp_framework.declare import CalibrationType

hookspec = pluggy.HookspecMarker("cpp_framework")
hookimpl = pluggy.HookimplMarker("cpp_framework")


@hookspec
def cpp_calibration_types() -> Sequence[CalibrationType]:  # type: ignore[empty-body]
    """Declare calibration types."""


@hookspec
def cpp_verifiers() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Add checks to types owned by others: type name → import string of ``(product, ctx) -> Iterator[Check]``."""


@hookspec
def cpp_instruments() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer instrument files: instrument name → ``package:path/inside/it.yaml``."""


@hookspec
def cpp_stores() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer exports to other stores: name → import string of ``(store, instruments, target, *, raws) -> report``."""


@hookspec
def cpp_executors() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer executors: name → import string of ``(jobs) -> concurrent.futures.Executor``."""


@hookspec
def cpp_commands(app: Any) -> None:
    """Add commands to the typer application ``app``."""


@hookspec
def cpp_event(event: Mapping[str, Any]) -> None:
    """Observe what happens: run started, unit finished, product stored, verdict reached, certified."""
