"""Showing and running campaigns, whether they come from a file or follow from what types require."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpp_framework.cli.making import INTERRUPTED, Making, progress
from cpp_framework.cli.options import repo_words
from cpp_framework.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from cpp_framework.api import Repository
    from cpp_framework.campaign import CampaignPlan, CampaignReport, PassReport, PlannedPass, UnitReport
    from cpp_framework.plan import Need, Request, Unit


def show_plan(planned: CampaignPlan, *, as_json: bool) -> int:
    """Print what would be made, and return the exit code: 3 if something is blocked."""
    if as_json:
        print_json(passes=[_planned_json(one) for one in planned.passes], notes=list(planned.notes))
    else:
        rows = []
        for number, one in enumerate(planned.passes, start=1):
            rows += [(str(number), unit.name, unit.n_exposures, _needs(unit), _state(unit)) for unit in one.plan.units]
            rows += [(str(number), one.name, 0, "", f"blocked: {one.blocked}")] if one.blocked else []
        print_table("", ("pass", "unit", "exposures", "needs", "state"), rows)
        for note in planned.notes:
            say(f"note: {note}")
    return 3 if any(_blocked(one) for one in planned.passes) else 0


def run(repository: Repository, planned: CampaignPlan, how: Making) -> int:
    """Run a planned campaign, print what became of it, and return the exit code."""
    from cpp_framework.run.interrupt import Interrupt

    _tell_plan(planned)
    with progress(True) as step, Interrupt() as interrupted:
        report = repository.run_campaign(planned, **how.options, progress=step, interrupted=interrupted)
    if how.as_json:
        print_json(
            passes=[_pass_json(one) for one in report.passes],
            notes=list(planned.notes),
            states=[{"state": state, "units": count} for state, count in report.counts.items()],
            verdicts=dict(report.verdicts),
            stages={stage: round(seconds, 3) for stage, seconds in report.stages.items()},
            exit_code=report.exit_code,
        )
    else:
        _print(report, how.where)
    if report.interrupted:
        say(INTERRUPTED)
    return report.exit_code


def run_requests(
    repository: Repository, requests: Sequence[Request], how: Making, *, with_deps: bool, dry_run: bool
) -> int:
    """Make the types asked for, and with ``with_deps`` what they need, in the order in which they need each other."""
    from cpp_framework.campaign import Campaign, with_dependencies

    campaign = with_dependencies(requests, repository.plugins)
    if not with_deps:
        asked = tuple(one for one in campaign.passes if one.request in requests)
        campaign = Campaign(asked, strict=False)
    planned = repository.plan_campaign(campaign)
    return show_plan(planned, as_json=how.as_json) if dry_run else run(repository, planned, how)


def run_folders(
    folders: list[Path], requests: Sequence[Request], repo: Path | None, instrument: str, how: Making, *, dry_run: bool
) -> int:
    """Set up what is missing for the frames of folders, tell what they are, make and verify what was asked for.

    Without a request, everything that is installed and can be made from them. Frames that were refused make the exit
    code 6 where all else went well.
    """
    from cpp_framework.api import Repository
    from cpp_framework.campaign import Verifying, with_dependencies
    from cpp_framework.campaign.folder import groups_of
    from cpp_framework.campaign.start import start
    from cpp_framework.plan import Request

    started = start(folders, repo, instrument, say, dry_run=dry_run)
    for line in groups_of(started.exposures):
        say(f"  {line}")
    if unknown := sum(one.kind == "other" for one in started.exposures):
        say(f"note: {unknown} frames are of no known kind and not used: see header.kind in the camera file")
    with Repository(started.store) as repository:
        names = {one.instrument for one in started.exposures}
        asked = list(requests) or [Request(name) for name in sorted(repository.plugins.types)]
        asked = [replace(one, only=started.ids, instrument=min(names) if len(names) == 1 else "") for one in asked]
        campaign = with_dependencies(asked, repository.plugins, Verifying.YES, optional=not requests)
        planned = repository.plan_campaign(campaign)
        if dry_run:
            return show_plan(planned, as_json=how.as_json)
        # Commands that follow find an enclosing repository by themselves.
        root = repository.root
        enclosing = root in (Path.cwd(), *Path.cwd().parents)
        how = replace(how, where="" if enclosing else repo_words(Path(os.path.relpath(root))))
        return run(repository, planned, how) or (6 if started.report.refused else 0)


def _tell_plan(planned: CampaignPlan) -> None:
    for number, one in enumerate(planned.passes, start=1):
        counts = Counter(_state(unit).partition(" (")[0].partition(":")[0] for unit in one.plan.units)
        words = ", ".join(f"{count} {state}" for state, count in counts.items())
        say(f"plan: pass {number}: {one.name}: {words or f'blocked: {one.blocked}'}")
        for unit in one.plan.units:
            for note in unit.notes:
                say(f"note: {unit.name}: {note}")
    for note in planned.notes:
        say(f"note: {note}")


def _blocked(planned: PlannedPass) -> bool:
    return bool(planned.blocked) or any(unit.blocked for unit in planned.plan.units)


def _needs(unit: Unit) -> str:
    return ", ".join(f"{name} {_served(need)}" for name, need in unit.needs.items())


def _served(need: Need) -> str:
    record = need.record
    return f"{record.id[-8:]} ({record.why})" if record.id else f"({record.why})"


def _state(unit: Unit) -> str:
    if unit.blocked:
        return f"blocked: {unit.blocked}"
    return f"up to date ({unit.existing[-8:]})" if unit.existing else "to do"


def _print(report: CampaignReport, where: str) -> None:
    rows = [_row(number, unit) for number, one in enumerate(report.passes, start=1) for unit in one.units]
    rows += [
        (str(number), one.planned.name, "blocked", "", 0, "", "", 0.0)
        for number, one in enumerate(report.passes, start=1)
        if one.planned.blocked
    ]
    columns = ["pass", "unit", "state", "product", "exposures", "verdict", "certified", "seconds"]
    if not any(row[6] for row in rows):  # nothing was to be certified
        del columns[6]
        rows = [(*row[:6], *row[7:]) for row in rows]
    whole = ("unit", "state", "product", "verdict")
    print_table("", columns, sorted(rows, key=lambda row: int(row[0])), whole=whole)
    times = [
        (str(number), one.planned.name, *(round(seconds, 2) for seconds in (one.seconds, *one.stages.values())))
        for number, one in enumerate(report.passes, start=1)
    ]
    total = sum(one.seconds for one in report.passes)
    times.append(("", "all", *(round(seconds, 2) for seconds in (total, *report.stages.values()))))
    print_table("seconds (stages: of all processes together)", ("pass", "", "total", *report.stages), times)
    _explain(report, where)
    _sum_up(report, total, where)


def _row(number: int, unit: UnitReport) -> tuple[Any, ...]:
    one = unit.result
    certified = "yes" if unit.certified else ""
    return (
        str(number), one.unit.name, one.state, one.product[-8:], one.unit.n_exposures, unit.verdict, certified,
        round(one.seconds + unit.verify_seconds, 2),
    )  # fmt: skip


def _explain(report: CampaignReport, where: str) -> None:
    """Say why something was not made, not verified or not certified, each with a hint."""
    for one in report.passes:
        if one.planned.blocked:
            _say(f"blocked: {one.planned.name}: {one.planned.blocked}", one.planned.hint)
        for unit in one.units:
            if unit.result.reason:
                _say(f"{unit.result.state}: {unit.result.unit.name}: {unit.result.reason}", unit.result.hint)
            if unit.reason:
                hint = f"cpp verify {unit.result.product[-8:]}{where} tells more"
                _say(f"{unit.verdict}: {unit.result.unit.name}: {unit.reason}", hint)
        if one.conflict:
            _say(f"not certified: {one.planned.name}: {one.conflict}", one.conflict_hint)


def _say(text: str, hint: str) -> None:
    say(text)
    if hint:
        say(f"hint: {hint}")


def _sum_up(report: CampaignReport, seconds: float, where: str) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in report.counts.items())
    verdicts = ", ".join(f"{count} {outcome}" for outcome, count in report.verdicts.items())
    say(f"{counts or 'nothing to make'}; verdicts: {verdicts or 'none'}; {seconds:.1f} s")
    units = [unit for one in report.passes for unit in one.units]
    unverified = [unit.result.product[-8:] for unit in units if unit.result.state == "made" and not unit.verdict]
    good = [unit.result.product[-8:] for unit in units if unit.good and not unit.certified]
    if good:
        say(f"next: cpp certify {_some(good)} --begin DATE{where}")
    elif unverified:
        say(f"next: cpp verify {_some(unverified)}{where}")


def _some(products: list[str]) -> str:
    return " ".join(products[:4]) + (" …" if len(products) > 4 else "")


def _planned_json(one: PlannedPass) -> dict[str, Any]:
    units = [
        {
            **_unit_json(unit),
            "exposures": unit.n_exposures,
            "needs": {name: need.record.model_dump(mode="json") for name, need in unit.needs.items()},
            "existing": unit.existing,
            "blocked": unit.blocked,
            "hint": unit.hint,
        }
        for unit in one.plan.units
    ]
    request = one.given.request
    return {"type": request.type, "label": request.label, "blocked": one.blocked, "hint": one.hint, "units": units}


def _unit_json(unit: Unit) -> dict[str, Any]:
    return {
        "type": unit.type,
        "label": unit.label,
        "instrument": unit.instrument,
        "detector": unit.detector,
        "key": dict(unit.key),
        "recipe": unit.recipe,
    }


def _pass_json(one: PassReport) -> dict[str, Any]:
    units = [
        {
            **_unit_json(unit.result.unit),
            "state": unit.result.state,
            "product": unit.result.product,
            "reason": unit.result.reason,
            "hint": unit.result.hint,
            "verdict": unit.verdict,
            "verdict_reason": unit.reason,
            "certified": unit.certified,
            "seconds": round(unit.result.seconds + unit.verify_seconds, 3),
        }
        for unit in one.units
    ]
    request = one.planned.given.request
    return {
        "type": request.type,
        "label": request.label,
        "blocked": one.planned.blocked,
        "conflict": one.conflict,
        "seconds": round(one.seconds, 3),
        "stages": {stage: round(seconds, 3) for stage, seconds in one.stages.items()},
        "units": units,
    }
