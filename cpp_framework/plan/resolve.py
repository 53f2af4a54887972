"""Which product serves each need of a unit, and why this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cpp_framework.declare import CalibrationType
from cpp_framework.errors import IncompatibleError, InputsMissingError
from cpp_framework.model.check import Outcome
from cpp_framework.model.header import NeedRecord
from cpp_framework.plan.planned import Planned, need_of
from cpp_framework.plan.unit import Need, Request
from cpp_framework.store import ProductRecord, Store, Validity
from cpp_framework.store.keys import agrees
from cpp_framework.store.ledger import instant_text, range_text
from cpp_framework.store.ledger_store import default_collection
from cpp_framework.store.records import short_of


def resolve_needs(
    calibration: CalibrationType,
    request: Request,
    store: Store,
    instrument: str,
    detector: int,
    key: Mapping[str, Any],
    instants: Sequence[int | None],
    planned: Planned,
) -> dict[str, Need]:
    """Resolve every required type to a stored product, or to one that will be made.

    The order is ``--use TYPE=ID``; what is ``planned`` to be made earlier in this run; the product certified for the
    exposures' dates; with ``allow_uncertified`` the newest product whose verification passed. An optional need that
    nothing serves is left out, and so is any named in ``request.without``.

    Parameters
    ----------
    instants : sequence of int or None
        When the exposures began (TAI nanoseconds; None where nobody knows). ``request.at`` takes their place.

    Raises
    ------
    InputsMissingError
        A required need has no product.
    IncompatibleError
        The product named by ``--use`` is of another instrument or detector, or the exposures lie in the validity of
        several products.
    """
    dates = [request.at] if request.at is not None else sorted({one for one in instants if one is not None})
    collection = request.collection or default_collection(instrument)
    found: dict[str, Need] = {}
    for required in calibration.requires:
        name = required.type
        if name in request.without:
            continue
        if name in request.use:
            found[name] = _forced(request.use[name], name, store, instrument, detector)
        elif serving := planned.serving(name, instrument, detector, key, choose=not calibration.inputs):
            found[name] = need_of(*serving, store)
        elif valid := _certified(name, store, instrument, detector, key, dates, collection):
            found[name] = _need(store.product(valid.product), store, _why(valid))
        elif request.allow_uncertified and (record := _newest(name, store, instrument, detector, key)):
            found[name] = _need(record, store, "newest verified")
        elif not required.optional:
            when = f"for {instant_text(dates[0])}" if dates else "(its exposures have no date: --at DATE tells it)"
            raise InputsMissingError(
                f"{calibration.name} of {instrument} detector {detector} needs a {name}; "
                f"none is certified in {collection} {when}",
                hint=f"cpp produce --type {name}, cpp verify, cpp certify; or --use {name}=ID, or --allow-uncertified",
            )
    return found


def _certified(
    type_name: str,
    store: Store,
    instrument: str,
    detector: int,
    key: Mapping[str, Any],
    dates: Sequence[int],
    collection: str,
) -> Validity | None:
    """The one product that is valid for all dates; None if none is for any of them."""

    def best(at: int) -> Validity | None:
        return store.best(type_name, instrument, detector, at, key, collection)

    if not dates:
        return None
    first, last = best(dates[0]), best(dates[-1])
    if first is not None and first == last:  # a range has no gaps, so what lies between is in it too
        return first
    found = {at: best(at) for at in dates}
    if len({one.product if one else "" for one in found.values()}) == 1:
        return first
    listed = "; ".join(dict.fromkeys(_range(one, at) for at, one in found.items()))
    raise IncompatibleError(
        f"the exposures lie in more than one range of validity of the {type_name} in {collection}: {listed}",
        hint=f"select the exposures of one range (--night, --select), or --use {type_name}=ID",
    )


def _range(valid: Validity | None, at: int) -> str:
    if valid is None:
        return f"none at {instant_text(at)}"
    return f"{short_of(valid.product)} for {range_text(valid.begin, valid.end)}"


def _why(valid: Validity) -> str:
    return f"certified in {valid.collection} for {range_text(valid.begin, valid.end)}"


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
    """Newest product with a passing verdict whose key agrees."""
    for record in store.products(type=type_name, instrument=instrument, detector=detector):
        verdicts = store.verdicts(record.id) if agrees(record.key, key) else []
        if verdicts and verdicts[0].outcome in (Outcome.PASS, Outcome.WARN):
            return record
    return None


def _need(record: ProductRecord, store: Store, why: str) -> Need:
    header = NeedRecord(type=record.type, id=record.id, digest=record.digest, recipe=record.recipe, why=why)
    return Need(header, store.path(record))
