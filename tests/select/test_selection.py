"""Selection: groups, order, and a reason for everything refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_framework.declare import Inputs
from cpp_framework.errors import ConfigError
from cpp_framework.model import Exposure
from cpp_framework.select import parse_filters, select
from cpp_framework.store import StoredExposure

BIAS = Inputs("bias")


def numbers(some) -> list[int]:
    return [one.exposure.number for one in some]


def reasons(refused) -> dict[int, str]:
    return {one.exposure.number: reason for one, reason in refused}


def test_groups_by_key_in_order_of_time_then_number(make) -> None:
    candidates = [make(3), make(1), make(2, begin=None), make(5, begin=4), make(4, begin=4), make(9, detector=1)]
    groups = select(candidates, BIAS).groups
    assert [(one.instrument, one.key) for one in groups] == [("cam", {"detector": 0}), ("cam", {"detector": 1})]
    assert numbers(groups[0].chosen) == [2, 4, 5, 1, 3]


def test_instruments_are_never_mixed(make) -> None:
    groups = select([make(1), make(2, instrument="other")], BIAS).groups
    assert [one.instrument for one in groups] == ["cam", "other"]


def test_reasons_of_refusal(make) -> None:
    candidates = [
        make(1), make(2), make(3), make(4, bad=True, because="door open"), make(5, kind="dark"),
        make(6, exposure_time=1.5), make(7), make(8, binning=(2, 2)), make(9, mode="fast"),
        make(10, window="[1:9,1:9]"),
    ]  # fmt: skip
    selection = select(candidates, BIAS, parse_filters(["exposure_time<1"]), exclude=["e7"])
    (group,) = selection.groups
    assert numbers(group.chosen) == [1, 2, 3]
    assert reasons(group.refused) == {
        4: "flagged bad: door open",
        6: "filter exposure_time<1 not met: 1.5",
        7: "excluded by id",
        8: "binning 2x2 differs from 1x1 of most of the group",
        9: "mode fast differs from '' of most of the group",
        10: "window [1:9,1:9] differs from '' of most of the group",
    }
    assert reasons(selection.refused) == {5: "kind is dark, not bias"}


def test_include_only_takes_ids_and_numbers(make) -> None:
    (group,) = select([make(1), make(2), make(3)], BIAS, include_only=["e1", "3"]).groups
    assert numbers(group.chosen) == [1, 3]
    assert reasons(group.refused) == {2: "not among those asked for by id"}


def test_group_of_which_nothing_was_wanted_is_no_unit_of_work(make) -> None:
    flat = Inputs("flat", key=("detector", "filter"))
    candidates = [make(1, kind="flat", filter="r"), make(2, kind="flat", filter="g")]
    selection = select(candidates, flat, parse_filters(["filter=r"]))
    assert [one.key["filter"] for one in selection.groups] == ["r"]
    assert reasons(selection.refused) == {2: "filter filter=r not met: g"}


def test_group_of_which_all_is_bad_stays_and_says_so(make) -> None:
    (group,) = select([make(1, bad=True, because="light"), make(2, bad=True, because="light")], BIAS).groups
    assert group.chosen == ()
    assert reasons(group.refused) == {1: "flagged bad: light", 2: "flagged bad: light"}


def test_coherent_field_in_the_key_makes_groups(make) -> None:
    inputs = Inputs("bias", key=("detector", "binning"))
    groups = select([make(1), make(2, binning=(2, 2)), make(3)], inputs).groups
    assert [(one.key["binning"], numbers(one.chosen)) for one in groups] == [((1, 1), [1, 3]), ((2, 2), [2])]


def test_equal_shares_keep_the_earlier(make) -> None:
    (group,) = select([make(2, mode="slow"), make(1, mode="fast")], BIAS).groups
    assert numbers(group.chosen) == [1]


def test_mode_with_braces_is_only_text(make) -> None:
    (group,) = select([make(1, mode="{x}"), make(2, mode="{x}"), make(3)], BIAS).groups
    assert reasons(group.refused) == {3: "mode '' differs from {x} of most of the group"}


def test_tolerance_about_the_median(make) -> None:
    values = [-100.0, -100.5, -99.5, -97.9, -98.0, None]
    candidates = [make(i, temperature=value) for i, value in enumerate(values)]
    (group,) = select(candidates, BIAS, tolerances={"temperature": 1.5}).groups
    assert numbers(group.chosen) == [0, 1, 2, 4, 5]
    assert reasons(group.refused) == {
        3: "temperature -97.9 differs from the group's median -99.5 by more than 1.5 degC"
    }
    assert group.notes == ("temperature is unknown for 1 of 6 exposures: its tolerance was not checked for them",)


def test_flagged_frames_do_not_move_the_median(make) -> None:
    candidates = [make(1, temperature=0.0), *[make(i, temperature=50.0, bad=True, because="warm") for i in (2, 3, 4)]]
    (group,) = select(candidates, BIAS, tolerances={"temperature": 1.0}).groups
    assert numbers(group.chosen) == [1]


def test_pairs(make) -> None:
    inputs = Inputs("flat", pairing="exposure_time")
    times = {1: 1.0, 2: 2.0, 3: 1.0, 4: 1.0, 5: 2.0, 6: 3.0}
    (group,) = select([make(i, kind="flat", exposure_time=t) for i, t in times.items()], inputs).groups
    assert [numbers(pair) for pair in group.pairs] == [[1, 3], [2, 5]]
    assert numbers(group.chosen) == [1, 3, 2, 5]
    assert reasons(group.refused) == {
        4: "has no partner with exposure_time = 1.0", 6: "has no partner with exposure_time = 3.0"
    }  # fmt: skip


def test_pairs_within_a_tolerance_are_not_judged_by_the_median(make) -> None:
    inputs = Inputs("flat", pairing="exposure_time")
    times = {1: 1.0, 2: 1.0004, 3: 30.0, 4: 30.002}
    candidates = [make(i, kind="flat", exposure_time=t) for i, t in times.items()]
    (group,) = select(candidates, inputs, tolerances={"exposure_time": 0.001}).groups
    assert [numbers(pair) for pair in group.pairs] == [[1, 2]]
    assert set(reasons(group.refused)) == {3, 4}


def test_unknown_fields_are_named(make) -> None:
    with pytest.raises(ConfigError, match="no field 'temprature'") as caught:
        select([make(1)], BIAS, tolerances={"temprature": 2.0})
    assert caught.value.hint == "did you mean 'temperature'?"
    with pytest.raises(ConfigError, match="not a number"):
        select([make(1)], BIAS, tolerances={"filter": 2.0})
    with pytest.raises(ConfigError, match="no field 'focus'"):
        select([make(1)], Inputs("bias", key=("detector", "focus")))


candidates_of_any_kind = st.lists(
    st.builds(
        lambda number, kind, detector, mode, bad, begin: StoredExposure(
            Exposure(
                instrument="cam", detector=detector, id=f"e{number}", number=number, kind=kind,
                exposure_time=number % 3, dark_time=0.0, mode=mode, begin=begin,
            ),
            bad,
        ),
        st.integers(0, 99), st.sampled_from(["bias", "flat"]), st.integers(0, 2), st.sampled_from(["", "fast"]),
        st.booleans(), st.none() | st.integers(0, 9),
    ),
    max_size=30,
    unique_by=lambda one: (one.id, one.exposure.detector),
)  # fmt: skip


@settings(max_examples=100, deadline=None, derandomize=True)
@given(candidates_of_any_kind, st.sampled_from(["", "exposure_time"]))
def test_every_candidate_is_chosen_or_refused_exactly_once(candidates: list[StoredExposure], pairing: str) -> None:
    inputs = Inputs("bias", pairing=pairing)
    selection = select(candidates, inputs, parse_filters(["number>10"]), exclude=["e20"])
    seen = [one for group in selection.groups for one in group.chosen]
    seen += [one for group in selection.groups for one, _ in group.refused]
    seen += [one for one, _ in selection.refused]
    assert sorted(map(id, seen)) == sorted(map(id, candidates))
    shuffled = select(candidates[::-1], inputs, parse_filters(["number>10"]), exclude=["e20"])
    assert [one.chosen for one in shuffled.groups] == [one.chosen for one in selection.groups]
