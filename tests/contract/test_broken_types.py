"""Every rule of the conformance suite catches a type that breaks it, and says so in plain words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plain_mean import PLAIN

from cpp_framework.declare import CalibrationType, Corrector, Inputs, Reach, Stage
from cpp_framework.testing import CalibrationTypeSuite, ContractBrokenError

RULES = sorted(name for name in dir(CalibrationTypeSuite) if name.startswith("test_"))


class TestPlainMean(CalibrationTypeSuite):
    """The type the broken ones are made from keeps every rule."""

    calibration_type = PLAIN


def solved_by(function: str) -> CalibrationType:
    return replace(PLAIN, solve=f"broken.functions:{function}")


def verified_by(function: str) -> CalibrationType:
    return replace(PLAIN, verify=f"broken.functions:{function}")


def corrected_by(function: str) -> CalibrationType:
    return replace(PLAIN, correctors=(Corrector(f"broken.functions:{function}", Stage.BIAS, Reach.PIXEL),))


def examples(name: str) -> CalibrationType:
    return replace(PLAIN, examples=f"broken.examples:{name}" if name else "")


def config(name: str) -> CalibrationType:
    return replace(PLAIN, config=f"broken.functions:{name}")


BROKEN = [
    (
        "importing_the_plugin_is_light",
        replace(PLAIN, solve="broken_import:solve"),
        "loads numpy: .* import strings only",
    ),
    ("importing_the_plugin_is_light", replace(PLAIN, solve="not_there:solve"), "importing 'not_there' fails"),
    ("import_strings_resolve", replace(PLAIN, verify="plain_mean.functions:verifi"), "verifi"),
    ("product_and_config_have_the_right_base", replace(PLAIN, product="broken.functions:NotAProduct"), "of Product"),
    ("product_and_config_have_the_right_base", config("NotAConfig"), "subclass of Config"),
    (
        "measure_is_there_where_it_is_needed",
        replace(PLAIN, measure="", inputs=(Inputs("bias", frames=False),)),
        "frames=False: then measure must be declared",
    ),
    (
        "measure_is_there_where_it_is_needed",
        replace(PLAIN, measure="", pool="plain_mean.functions:measure"),
        "pool of 'plain_mean' needs measure",
    ),
    ("settings_are_documented", config("Undescribed"), "'scale' has no description"),
    ("settings_are_documented", config("Unitless"), "'scale' is a number without a unit"),
    ("settings_are_documented", config("NotASetting"), "does not say which step"),
    ("checks_are_declared", replace(PLAIN, checks=()), "declares no check"),
    ("solve_returns_the_declared_product", solved_by("returns_a_table"), "returned a dict; the declaration says Plain"),
    (
        "inputs_are_left_unchanged",
        replace(PLAIN, measure="broken.functions:measure_that_writes"),
        "changed the images it was given",
    ),
    ("no_file_is_opened", solved_by("reads_a_file"), "opened .*files, databases and processes are the framework's"),
    ("no_file_is_opened", solved_by("keeps_a_database"), "connected to the database"),
    ("solve_is_deterministic", solved_by("is_random"), "not deterministic: two runs on the same frames gave different"),
    (
        "product_survives_its_file",
        replace(solved_by("is_restless"), product="broken.functions:Restless"),
        "plane DATA of a Restless does not survive its file",
    ),
    ("every_amplifier_has_a_status", solved_by("forgets_an_amplifier"), r"\['A'\]; the detector has \['A', 'B'\]"),
    ("values_have_units", solved_by("has_no_unit"), "metric 'level' has no unit"),
    ("each_check_has_examples", examples(""), "declares no examples"),
    ("each_check_has_examples", examples("NONE"), "check level has no example"),
    ("each_check_has_examples", examples("HALF"), "check level has no failing example"),
    ("each_check_has_examples", examples("STRANGERS"), "unheard_of, which the declaration does not promise"),
    ("passing_examples_pass", verified_by("verify_nothing"), "does not make it: verify\\(\\) yields no level"),
    ("passing_examples_pass", verified_by("verify_never_passes"), "passing example of check level does not pass: FAIL"),
    ("failing_examples_fail", verified_by("verify_never_fails"), "failing example of check level does not fail: PASS"),
    ("verify_makes_only_declared_checks", verified_by("verify_more"), "yields check surprise"),
    ("verify_makes_only_declared_checks", verified_by("verify_without_unit"), "value without a unit"),
    ("verify_makes_only_declared_checks", verified_by("verify_elsewhere"), "amplifier 'Z9'"),
    ("verify_leaves_the_product_unchanged", verified_by("verify_that_writes"), "changed the product"),
    ("correctors_act_in_place", corrected_by("returns_an_image"), "returned something"),
    ("correctors_act_in_place", corrected_by("doubles_the_precision"), "from float32 .* to float64"),
    ("correctors_act_in_place", corrected_by("writes_the_product"), "changed the product"),
    ("correctors_reach_no_further_than_they_say", corrected_by("looks_at_all_rows"), "declares reach 'pixel', but"),
    ("recovers_the_truth_with_honest_errors", solved_by("is_biased"), "are biased: .* has mean \\+0.1"),
    ("recovers_the_truth_with_honest_errors", solved_by("is_overconfident"), "errors .* are too small"),
    ("recovers_the_truth_with_honest_errors", solved_by("is_timid"), "errors .* are too large"),
    ("recovers_the_truth_with_honest_errors", solved_by("has_no_errors"), "estimates without an error"),
    ("dead_amplifier", solved_by("calls_dead_ok"), "status 'ok': say dead or failed"),
    ("dead_amplifier", solved_by("gives_no_reason"), "gives a dead amplifier no reason"),
    ("dead_amplifier", solved_by("lets_death_spread"), "spoil its neighbour"),
    ("dead_amplifier", solved_by("leaves_dead_unmasked"), "must carry mask DEAD_AMPLIFIER"),
    ("nan_pixels", solved_by("leaves_nan_unmasked"), "NaN in every exposure and not masked"),
    ("saturated_frame", solved_by("chokes_on_saturation"), "status 'failed' .saturated. because of a saturated frame"),
    ("single_frame", solved_by("wants_two"), "raises ValueError on 1 exposure.s., the minimum it declares: I want two"),
]


@pytest.mark.parametrize(
    ("rule", "declaration", "words"), BROKEN, ids=[f"{rule}-{i}" for i, (rule, _, _) in enumerate(BROKEN)]
)
def test_a_broken_type_is_caught(rule: str, declaration: CalibrationType, words: str) -> None:
    suite = CalibrationTypeSuite()
    suite.calibration_type = declaration  # type: ignore[misc]
    with pytest.raises(ContractBrokenError, match=words):
        getattr(suite, f"test_{rule}")()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_has_a_type_that_breaks_it(rule: str) -> None:
    assert rule.removeprefix("test_") in {broken for broken, _, _ in BROKEN}
