"""`cpp store ledger`, and how every verb prints lines of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from cpp_framework.store import LedgerEntry


def register_ledger(group: typer.Typer) -> None:
    """Add the verb to the group `cpp store`."""

    @group.command()
    def ledger(
        product: Annotated[str, typer.Option("--product", help="Only acts on this product; removed ones too.")] = "",
        collection: Annotated[str, typer.Option("--collection", help="Only acts in this collection.")] = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """List every certification, tag and removal there ever was: what, when, by whom and why."""
        store = options.open_repository(repo, write=False).store
        entries = store.ledger(collection=collection)
        print_ledger([one for one in entries if _is_of(one.product, product)], as_json)


def print_ledger(entries: Sequence[LedgerEntry], as_json: bool) -> None:
    """Print lines of the ledger, oldest first."""
    if as_json:
        from dataclasses import asdict

        print_json(ledger=[asdict(one) for one in entries])
        return
    if not entries:
        say("nothing in the ledger")
        return
    columns = ("act", "product", "collection", "valid (UTC)", "by", "on (UTC)", "remark")
    print_table("", columns, [_row(one) for one in entries], whole=("act", "product"))


def _row(entry: LedgerEntry) -> tuple[str, ...]:
    from cpp_framework.model.timespan import to_iso
    from cpp_framework.store.ledger import range_text
    from cpp_framework.store.records import short_of

    timed = entry.action in ("certify", "decertify")
    waived = "; ".join(f"{name} waived: {because}" for name, because in entry.waived.items())
    return (
        entry.action.value, short_of(entry.product), entry.collection,
        range_text(entry.begin, entry.end) if timed else "", entry.who, to_iso(entry.made)[:19],
        " ".join(part for part in (entry.note, waived) if part),
    )  # fmt: skip


def _is_of(product: str, text: str) -> bool:
    """Whether a product's id begins or ends as people type it."""
    return product.startswith(text) or product.endswith(text)
