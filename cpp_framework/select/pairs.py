"""Pairing exposures taken alike, as a photon transfer curve needs them."""

from __future__ import annotations

from collections.abc import Sequence

from cpp_framework.store.records import StoredExposure

Pair = tuple[StoredExposure, StoredExposure]


def pair_up(
    exposures: Sequence[StoredExposure], by: str, tolerance: float = 0.0
) -> tuple[tuple[Pair, ...], list[tuple[StoredExposure, str]]]:
    """Pair exposures whose field ``by`` agrees within ``tolerance``, each with the next one in the order given.

    Returns
    -------
    pairs : tuple of pairs
        In the order of their first members.
    alone : list of (StoredExposure, str)
        Those without a partner, with the reason.
    """
    waiting: list[StoredExposure] = []
    pairs: list[Pair] = []
    for one in exposures:
        partner = next((other for other in waiting if _alike(other, one, by, tolerance)), None)
        if partner is None:
            waiting.append(one)
        else:
            waiting.remove(partner)
            pairs.append((partner, one))
    place = {id(one): i for i, one in enumerate(exposures)}
    pairs.sort(key=lambda pair: place[id(pair[0])])
    return tuple(pairs), [(one, f"has no partner with {by} = {one.exposure.value(by)}") for one in waiting]


def _alike(one: StoredExposure, other: StoredExposure, by: str, tolerance: float) -> bool:
    a, b = one.exposure.value(by), other.exposure.value(by)
    if a is None or b is None:
        return False
    return bool(a == b) or (tolerance > 0 and abs(a - b) <= tolerance)
