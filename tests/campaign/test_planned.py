"""Which planned unit serves a need; and the campaign that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cpp_framework.campaign import Verifying, read_campaign
from cpp_framework.errors import IncompatibleError, InputsMissingError
from cpp_framework.plan import Unit
from cpp_framework.plan.planned import Planned

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "campaigns"


def unit(type_name: str, label: str = "", detector: int = 0, **more: Any) -> Unit:
    key = {"detector": detector, "binning": (1, 1), **{name: more.pop(name) for name in ("filter",) if name in more}}
    return Unit(type_name, label, "cam", detector, key, {}, (), {}, {}, {}, **more)


def test_the_latest_pass_that_has_one_that_fits_serves() -> None:
    rough, final, other = unit("bias", "rough"), unit("bias"), unit("bias", detector=1)
    passes = ((rough, unit("bias", "rough", 1)), (final,), (unit("dark"),))
    for key in ({"binning": (1, 1)}, {"binning": [1, 1], "filter": "r"}, {}):
        assert Planned(passes).serving("bias", "cam", 0, key) == (final, "made earlier in this run")
    assert Planned(passes).serving("bias", "cam", 1, {}) == (passes[0][1], "made earlier in this run")
    assert Planned((*passes, (other,))).serving("bias", "cam", 1, {}) == (other, "made earlier in this run")
    assert Planned(passes).serving("bias", "cam", 0, {"binning": (2, 2)}) is None
    assert Planned(passes).serving("bias", "zwo", 0, {}) is None
    named = Planned(passes, {"bias": "rough"})
    assert named.serving("bias", "cam", 0, {}) == (rough, "made earlier in this run")
    assert [one.label for one in named.units("bias")] == ["rough", "rough"]
    with pytest.raises(InputsMissingError, match="no bias with label 'rough' of this run fits detector 2"):
        named.serving("bias", "cam", 2, {})


def test_of_several_that_fit_one_is_chosen_only_where_any_will_do() -> None:
    flats = (unit("flat", filter="r"), unit("flat", filter="g"), unit("flat", filter="b", blocked="too few"))
    planned = Planned((flats,))
    assert planned.serving("flat", "cam", 0, {"filter": "r"}) == (flats[0], "made earlier in this run")
    with pytest.raises(
        IncompatibleError, match=r"several products of this run fit a need of flat: flat, detector 0, filter r; "
    ):
        planned.serving("flat", "cam", 0, {})
    chosen = planned.serving("flat", "cam", 0, {}, choose=True)
    assert chosen is not None
    assert chosen[0] is flats[1], "the first by name of those with as many exposures, and not one that is blocked"
    assert "of 3 that fit the one of most exposures: flat, detector 0, filter g" in chosen[1]


def test_the_shipped_campaign_makes_rough_products_then_defects_then_final_ones() -> None:
    (file,) = EXAMPLES.glob("*.yaml")
    campaign = read_campaign(file)
    assert [one.name for one in campaign.passes] == [
        "bias (bootstrap)", "dark (bootstrap)", "flat (bootstrap)", "defects", "bias", "dark", "flat",
    ]  # fmt: skip
    assert campaign.strict
    for one in campaign.passes:
        rough = one.request.label == "bootstrap"
        assert one.request.without == (("gain",) if rough else ())
        assert one.verify is (Verifying.NO if rough else Verifying.YES)
