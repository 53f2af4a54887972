"""Which product serves each need of a unit, and why this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cpp_framework.declare import CalibrationType
from cpp_framework.errors import IncompatibleError, InputsMissingError
from cpp_framework.model.check import Outcome
from cpp_framework.model.header import NeedRecord
from cpp_framework.plan.unit import Need, Request
from cpp_framework.store import ProductRecord, Store


def resolve_needs(
    calibration: CalibrationType,
    request: Request,
    store: Store,
    instrument: str,
    detector: int,
    key: Mapping[str, Any],
) -> dict[str, Need]:
    """Resolve every required type to a stored product.

    The order is ``--use TYPE=ID``, then with ``allow_uncertified`` the newest product whose verification passed.
    An optional need that nothing serves is left out.

    Raises
    ------
    InputsMissingError
        A required need has no product.
    IncompatibleError
        The product named by ``--use`` is of another instrument or detector.
    """
    found: dict[str, Need] = {}
    for required in calibration.requires:
        if required.type in request.use:
            found[required.type] = _forced(request.use[required.type], required.type, store, instrument, detector)
        elif request.allow_uncertified and (record := _newest(required.type, store, instrument, detector, key)):
            found[required.type] = _need(record, store, "newest verified")
        elif not required.optional:
            raise InputsMissingError(
                f"{calibration.name} of {instrument} detector {detector} needs a {required.type}; none is chosen",
                hint=f"cpp produce --type {required.type}, then --use {required.type}=ID or --allow-uncertified",
            )
    return found


def _forced(prefix: str, type_name: str, store: Store, instrument: str, detector: int) -> Need:
    record = store.product(prefix)
    if (record.instrument, record.detector) != (instrument, detector):
        raise IncompatibleError(
            f"--use {type_name}={prefix} is of {record.instrument} detector {record.detector}; "
            f"one of {instrument} detector {detector} is needed",
            hint=f"cpp find --products type={type_name}",
        )
    return _need(record, store, "named by --use")


def _newest(
    type_name: str, store: Store, instrument: str, detector: int, key: Mapping[str, Any]
) -> ProductRecord | None:
    """Newest product with a passing verdict whose key agrees where both have the field."""
    for record in store.products(type=type_name, instrument=instrument, detector=detector):
        agrees = all(_same(record.key[field], value) for field, value in key.items() if field in record.key)
        verdicts = store.verdicts(record.id)
        if agrees and verdicts and verdicts[0].outcome in (Outcome.PASS, Outcome.WARN):
            return record
    return None


def _same(stored: Any, value: Any) -> bool:
    # Keys come back from JSON, where a tuple is a list.
    return bool(stored == (list(value) if isinstance(value, tuple) else value))


def _need(record: ProductRecord, store: Store, why: str) -> Need:
    header = NeedRecord(type=record.type, id=record.id, digest=record.digest, recipe=record.recipe, why=why)
    return Need(header, store.path(record))
