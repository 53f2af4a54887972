"""Short descriptions of products for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cpp_framework.model.check import Verdict
    from cpp_framework.model.product import Product


def summary(product: Product) -> dict[str, str]:
    """What a product is, in a few lines: field → text."""
    lines = {"class": type(product).__name__, "unit": product.unit or "dimensionless"}
    if (header := product.header) is not None:
        lines |= {
            "type": header.type + (f" ({header.label})" if header.label else ""),
            "instrument": f"{header.instrument}, detector {header.detector_name or header.detector}",
            "id": header.id,
            "digest": header.digest,
            "exposures": f"{len(header.used)} used of {len(header.inputs)}",
        }
    lines |= {name: f"{plane.dtype} {plane.shape}" for name, plane in product.planes().items()}
    lines |= {name: str(metric) for name, metric in product.metrics.items()}
    return lines


def verdict_html(verdict: Verdict) -> str:
    """Describe a verdict: the outcome, and what is not PASS with value, limits and margin."""
    title = f"<p><b>{escape(verdict.type)}</b> {escape(verdict.product)}: <b>{verdict.outcome.value}</b></p>"
    names = "".join(f"<th>{name}</th>" for name in ("check", "status", "where", "value", "limits", "margin", "reason"))
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td><td>{one.status.value}</td><td>{escape(one.where)}</td>"
        f"<td>{one.value:.4g} {escape(one.unit)}</td><td>{escape(str(one.fail or one.warn or ''))}</td>"
        f"<td>{'' if one.margin is None else format(one.margin, '.3g')}</td><td>{escape(one.reason)}</td></tr>"
        for one in verdict.problems()
    )
    return f"{title}<table><tr>{names}</tr>{rows}</table>"


def product_html(product: Product) -> str:
    """Describe a product as two small HTML tables."""
    head = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in summary(product).items())
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(amp.status.value)}</td><td>"
        + escape("; ".join(f"{key} = {value}" for key, value in amp.values.items()))
        + f"</td><td>{escape(amp.reason)}</td></tr>"
        for name, amp in product.amplifiers.items()
    )
    columns = "<tr><th>amplifier</th><th>status</th><th>values</th><th>reason</th></tr>"
    return f"<table>{head}</table><table>{columns}{rows}</table>"
