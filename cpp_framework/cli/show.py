"""`cpp show`: what a product is, its amplifiers, how it was made, and what was found about it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table
from cpp_framework.errors import NotFoundError

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.model.product import Product

ProductArgument = Annotated[str, typer.Argument(help="Identifier or digest, the beginning or end of one, or `last`.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def show(
        product: ProductArgument = "last",
        provenance: Annotated[bool, typer.Option("--provenance", help="How it was made and from what.")] = False,
        header: Annotated[bool, typer.Option("--header", help="The cards of the file's primary header.")] = False,
        command: Annotated[bool, typer.Option("--command", help="The command line that made it.")] = False,
        bits: Annotated[bool, typer.Option("--bits", help="Pixels per mask plane.")] = False,
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Show a product."""
        repository = options.open_repository(repo, write=False)
        record = repository.store.product(product)
        path = repository.store.path(record)
        if header:
            _print_cards(path, as_json)
            return
        found = repository.product(record.id)
        assert found.header is not None
        if command:
            print(found.header.command)
        elif as_json:
            print_json(**_as_json(repository, found, str(path)))
        elif provenance:
            _print_provenance(found)
        elif bits:
            _print_bits(found)
        else:
            _print(repository, found, str(path))


def _print(repository: Repository, product: Product, path: str) -> None:
    from cpp_framework.model.describe import summary

    assert product.header is not None
    lines = summary(product) | {"file": path, "made": product.header.created + " UTC"}
    verdicts = repository.verdicts(product.header.id)
    lines["verdict"] = verdicts[0].outcome.value if verdicts else "not verified yet (cpp verify)"
    lines |= _standing(repository, product.header.id)
    print_table("", ("", "product"), list(lines.items()))
    quantities = list(dict.fromkeys(name for amp in product.amplifiers.values() for name in amp.values))
    units = {name: one.unit for amp in product.amplifiers.values() for name, one in amp.values.items()}
    rows = [
        (name, amp.status.value, *[_measured(amp.values.get(quantity)) for quantity in quantities], amp.reason)
        for name, amp in product.amplifiers.items()
    ]
    columns = [f"{name} [{units[name]}]" if units[name] not in ("", "1", name) else name for name in quantities]
    print_table("amplifiers", ("amplifier", "status", *columns, "reason"), rows)
    if product.refused:
        print_table("refused when solving", ("exposure", "reason"), list(product.refused.items()))


def _standing(repository: Repository, product_id: str) -> dict[str, str]:
    """Where and when the product is valid, what was waived for that, and its tags."""
    from cpp_framework.store.ledger import range_text

    valid = repository.store.validities(product=product_id)
    history = repository.store.ledger(product=product_id)
    waived = {f"{name}: {because}": None for entry in history for name, because in entry.waived.items()}
    lines = {
        "valid (UTC)": "; ".join(f"{range_text(one.begin, one.end)} in {one.collection}" for one in valid),
        "waived": "; ".join(waived),
        "tags": ", ".join(repository.store.tags(product_id)),
    }
    return {name: text for name, text in lines.items() if text}


def _measured(one: Any) -> str:
    if one is None:
        return ""
    return f"{one.value:.5g}" + ("" if one.error is None else f" ± {one.error:.2g}")


def _print_cards(path: Path, as_json: bool) -> None:
    from cpp_framework.model.fits import read_cards

    cards = read_cards(path)
    if as_json:
        print_json(header={key: value for key, value in cards.items() if key not in ("", "HISTORY", "COMMENT")})
    else:
        print(cards.tostring(sep="\n", padding=False).rstrip())


def _print_provenance(product: Product) -> None:
    header = product.header
    assert header is not None
    facts = {
        "recipe": header.recipe,
        "content digest": header.digest,
        "type revision": str(header.revision),
        "applied to the exposures": "; ".join(header.applied),
        "gain": header.gain_source,
        "command": header.command,
        "made by": f"{header.user} on {header.host}, {header.created} UTC",
        **{f"version of {name}": text for name, text in header.software.items()},
    }
    print_table("", ("", "provenance"), [(name, text) for name, text in facts.items() if text])
    inputs = [
        (one.exposure, one.file, "used" if one.used else "refused", one.reason, one.digest[:16])
        for one in header.inputs
    ]
    print_table("exposures", ("exposure", "file", "state", "reason", "digest"), inputs)
    if header.needs:
        needs = [(need.type, need.id, need.digest[:16], need.why) for need in header.needs]
        print_table("products used", ("type", "product", "digest", "why"), needs)
    settings = [(name, str(value), header.origins.get(name, "")) for name, value in header.config.items()]
    print_table("settings", ("setting", "value", "from"), settings)


def _print_bits(product: Product) -> None:
    import numpy as np

    from cpp_framework.model.mask import MEANINGS, Mask

    planes = product.planes()
    if "DQ" not in planes:
        raise NotFoundError(f"a {type(product).__name__} has no mask", hint="cpp show tells what it has")
    rows = []
    mask = planes["DQ"]
    for bit in Mask:
        count = int(np.count_nonzero(mask & np.uint32(bit)))
        rows.append((bit.name, int(bit).bit_length() - 1, count, MEANINGS[bit]))
    print_table("mask planes", ("plane", "bit", "pixels", "meaning"), rows)


def _as_json(repository: Repository, product: Product, path: str) -> dict[str, Any]:
    assert product.header is not None
    verdicts = repository.verdicts(product.header.id)
    return {
        "file": path,
        "unit": product.unit,
        "header": product.header.model_dump(mode="json"),
        "amplifiers": {name: amp.model_dump(mode="json") for name, amp in product.amplifiers.items()},
        "metrics": {name: one.model_dump(mode="json") for name, one in product.metrics.items()},
        "refused": dict(product.refused),
        "planes": {name: [str(plane.dtype), list(plane.shape)] for name, plane in product.planes().items()},
        "verdict": verdicts[0].outcome.value if verdicts else None,
        "valid": [asdict(one) for one in repository.store.validities(product=product.header.id)],
        "ledger": [asdict(one) for one in repository.store.ledger(product=product.header.id)],
    }
