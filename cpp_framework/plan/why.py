"""Why this product at this date: every candidate for an instant, with the reason it is used or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cpp_framework.model.check import Outcome
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.timespan import to_iso
from cpp_framework.store import LedgerEntry, ProductRecord, Store, Validity
from cpp_framework.store.keys import agrees, readable
from cpp_framework.store.ledger import range_text
from cpp_framework.store.ledger_store import default_collection
from cpp_framework.store.records import Act

_KEY_FIELDS = ("detector", "filter", "binning", "mode", "window")
"""What of an exposure decides which product fits it."""


@dataclass(frozen=True)
class Question:
    """For which exposure, real or imagined, a product is wanted. ``at`` is TAI nanoseconds."""

    type: str
    instrument: str
    detector: int
    at: int
    key: Mapping[str, Any]
    collection: str = ""


@dataclass(frozen=True)
class Candidate:
    """A product that could be used, whether it is, and why (not)."""

    record: ProductRecord
    used: bool
    why: str


def question_of(type_name: str, exposure: Exposure, at: int, collection: str = "") -> Question:
    """The question an exposure asks."""
    key = {field: exposure.value(field) for field in _KEY_FIELDS}
    return Question(type_name, exposure.instrument, exposure.detector, at, key, collection)


def candidates(store: Store, question: Question) -> list[Candidate]:
    """Every product of the type and detector, the one that is used first, then newest first."""
    collection = question.collection or default_collection(question.instrument)
    found = []
    for record in store.products(type=question.type, instrument=question.instrument, detector=question.detector):
        valid = store.validities(collection, product=record.id)
        history = store.ledger(product=record.id, collection=collection)
        used, why = _judge(record, question, collection, valid, history)
        found.append(Candidate(record, used, "; ".join([why, _verified(store, record), *doubts(store, record)])))
    return sorted(found, key=lambda one: not one.used)


def doubts(store: Store, record: ProductRecord) -> list[str]:
    """What speaks against a product since it was made and certified: file, newest verdict, flags of its exposures."""
    found = [] if store.intact(record) else [f"its file is gone or has another size: {store.path(record)}"]
    certified = [one for one in store.ledger(product=record.id) if one.action is Act.CERTIFY]
    verdicts = store.verdicts(record.id)
    if certified and verdicts and verdicts[0].id != certified[-1].verdict:
        newest = verdicts[0].waiving(certified[-1].waived)
        if newest.outcome not in (Outcome.PASS, Outcome.WARN):
            failed = ", ".join(sorted(newest.waivable))
            found.append(f"verified again {newest.created}Z: {newest.outcome} because of {failed}, not waived")
    bad = {one.id: one.because for one in store.exposures(record.instrument, detector=record.detector) if one.bad}
    flagged = [f"{one.exposure} ({bad[one.exposure]})" for one in store.header(record).used if one.exposure in bad]
    return found + ([f"uses exposures flagged bad since: {', '.join(flagged)}"] if flagged else [])


def _verified(store: Store, record: ProductRecord) -> str:
    verdicts = store.verdicts(record.id)
    return f"verdict {verdicts[0].outcome}" if verdicts else "not verified"


def _judge(
    record: ProductRecord,
    question: Question,
    collection: str,
    valid: Sequence[Validity],
    history: Sequence[LedgerEntry],
) -> tuple[bool, str]:
    if not agrees(record.key, question.key):
        differs = {name: value for name, value in record.key.items() if not agrees({name: value}, question.key)}
        return False, "it is for " + ", ".join(f"{name} {readable(value)}" for name, value in differs.items())
    for one in valid:
        if one.holds(question.at):
            return True, f"certified in {collection} for {range_text(one.begin, one.end)}{_by(history, question.at)}"
    only = [f"certified only for {', '.join(range_text(one.begin, one.end) for one in valid)}"] if valid else []
    taken = [one for one in history if one.action is Act.DECERTIFY and _holds(one, question.at)]
    if taken:
        last = taken[-1]
        note = f": {last.note}" if last.note else ""
        only.append(f"decertified for this instant {to_iso(last.made)[:19]}Z by {last.who}{note}")
    return False, "; ".join(only) or f"never certified in {collection}"


def _by(history: Sequence[LedgerEntry], at: int) -> str:
    """Who certified it for an instant, and what was waived and noted."""
    entry = [one for one in history if one.action is Act.CERTIFY and _holds(one, at)][-1]
    waived = [f"{name} waived because {because}" for name, because in entry.waived.items()]
    return ", ".join([f" by {entry.who} on {to_iso(entry.made)[:19]}Z", *([entry.note] if entry.note else []), *waived])


def _holds(entry: LedgerEntry, at: int) -> bool:
    return (entry.begin is None or entry.begin <= at) and (entry.end is None or at < entry.end)
