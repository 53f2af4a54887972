"""Running a planned campaign, pass after pass: make, verify, certify, and hand on to the passes that follow."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from cpp_framework.camera.instrument import Instrument
from cpp_framework.campaign.passes import CampaignPlan, Certification, Pass, PlannedPass, Verifying
from cpp_framework.campaign.report import CampaignReport, PassReport, UnitReport
from cpp_framework.errors import CppError
from cpp_framework.execute import Workers
from cpp_framework.model.check import Outcome, Verdict
from cpp_framework.plan import Plan, Unit
from cpp_framework.plan.planned import stored_need
from cpp_framework.plugins import Plugins
from cpp_framework.run.budget import Budget
from cpp_framework.run.engine import Engine
from cpp_framework.run.results import Progress, UnitResult, settled
from cpp_framework.store import Store
from cpp_framework.verify.engine import verify_product

GOOD = (Outcome.PASS, Outcome.WARN)


class CampaignRun:
    """Runs the passes of one plan with one set of workers.

    A unit that fails blocks what needs it and nothing else. Once ``interrupted`` says yes, what runs is finished and
    the rest left; the same campaign goes on there, because what is made is up to date.
    """

    def __init__(
        self,
        plan: CampaignPlan,
        store: Store,
        instruments: Callable[[str], Instrument],
        plugins: Plugins,
        workers: Workers,
        budget: Budget,
        *,
        command: str = "",
        progress: Callable[[Progress], None] = lambda _: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._plan = plan
        self._store = store
        self._instruments = instruments
        self._plugins = plugins
        self._workers = workers
        self._budget = budget
        self._command = command
        self._progress = progress
        self._interrupted = interrupted
        self._earlier: dict[str, tuple[Pass, UnitReport]] = {}
        """What became of the units so far, by recipe."""

    def run(self) -> CampaignReport:
        """Work through the passes and report on each, in the plan's order."""
        report = CampaignReport()
        for number, planned in enumerate(self._plan.passes, start=1):
            self._tell(f"pass {number} of {len(self._plan.passes)}: {planned.name}")
            report.passes.append(self._pass(planned))
        report.interrupted = self._interrupted()
        return report

    def _pass(self, planned: PlannedPass) -> PassReport:
        start = time.perf_counter()
        units = tuple(self._with_products(unit) for unit in planned.plan.units)
        results = self._produce(Plan(planned.plan.request, units))
        reports = self._verify(planned.given, results)
        conflict = None
        if planned.given.certify is not None and not self._interrupted():
            reports, conflict = self._certify(planned.given.certify, reports)
        for one in reports:
            if one.result.unit.recipe:
                self._earlier[one.result.unit.recipe] = (planned.given, one)
        seconds = time.perf_counter() - start
        hint = conflict.hint if conflict else ""
        return PassReport(planned, tuple(reports), seconds, str(conflict or ""), hint)

    # -- needs

    def _with_products(self, unit: Unit) -> Unit:
        """The unit with the products that earlier passes have made in the meantime, or blocked by what they have not.

        Its recipe is what it was: it is made of the recipes of its needs.
        """
        needs = dict(unit.needs)
        for name, need in unit.needs.items():
            if need.record.recipe not in self._earlier:
                continue
            its_pass, earlier = self._earlier[need.record.recipe]
            refused = its_pass.verify is Verifying.REQUIRED and bool(earlier.verdict) and not earlier.good
            if refused or (earlier.result.state in ("failed", "blocked") and not unit.existing):
                return _blocked(unit, earlier, refused)
            if earlier.result.product:
                needs[name] = stored_need(earlier.result.product, need.record.why, self._store)
        return replace(unit, needs=needs)

    # -- making

    def _produce(self, plan: Plan) -> list[UnitResult]:
        if self._interrupted() or not plan.to_do:
            return [
                settled(unit) if unit.existing or unit.blocked else UnitResult(unit, "interrupted")
                for unit in plan.units
            ]
        return Engine(
            plan,
            self._store,
            self._instruments,
            self._plugins,
            self._workers,
            self._budget,
            command=self._command,
            progress=self._progress,
            interrupted=self._interrupted,
        ).run()

    # -- verifying

    def _verify(self, given: Pass, results: list[UnitResult]) -> list[UnitReport]:
        waived = given.certify.waive if given.certify else {}
        run, reports = "", []  # a run of verdicts begins with the first new one
        for result in results:
            report = UnitReport(result)
            if result.product:
                known = self._store.verdicts(result.product)
                if not known and given.verify is not Verifying.NO and not self._interrupted():
                    run = run or self._store.new_verdict_run(result.unit.type, result.unit.label)
                    report, known = self._verify_one(report, run)
                if known:
                    good = known[0].waiving(waived).outcome in GOOD
                    reason = "" if good else ", ".join(sorted(known[0].waivable))
                    report = replace(report, verdict=known[0].outcome.value, good=good, reason=reason)
            reports.append(report)
        return reports

    def _verify_one(self, report: UnitReport, run: str) -> tuple[UnitReport, list[Verdict]]:
        """A new verdict, or INCOMPLETE with the reason where verification itself fails."""
        start = time.perf_counter()
        record = self._store.product(report.result.product)
        try:
            found = [verify_product(record, self._store, self._instruments, self._plugins, run)]
        except Exception as error:  # a stranger's function may raise anything, and the other units go on
            if os.environ.get("CPP_DEBUG"):
                traceback.print_exception(error)
            reason = str(error) if isinstance(error, CppError) else f"{type(error).__name__}: {error}"
            report, found = replace(report, verdict=Outcome.INCOMPLETE.value, reason=reason), []
        self._tell(f"{report.result.unit.name}: verified, {found[0].outcome.value if found else report.reason}")
        return replace(report, verify_seconds=time.perf_counter() - start), found

    # -- certifying

    def _certify(self, wanted: Certification, reports: list[UnitReport]) -> tuple[list[UnitReport], CppError | None]:
        """Certify the good ones together; what is certified for the range already stays as it is."""
        good = [one for one in reports if one.good]
        products = [one.result.product for one in good]
        failing = {name for product in products for name in self._store.verdicts(product)[0].waivable}
        try:
            entries = self._store.certify(
                products,
                wanted.begin,
                wanted.end,
                collection=wanted.collection,
                supersede=wanted.supersede,
                waive={name: why for name, why in wanted.waive.items() if name in failing},
                note=wanted.note,
            )
        except CppError as error:
            return reports, error
        for entry in entries:
            self._plugins.event(name=str(entry.action), product=entry.product, collection=entry.collection)
        return [replace(one, certified=one.good) for one in reports], None

    def _tell(self, text: str) -> None:
        self._progress(Progress(0, 0, text, notice=True))


def _blocked(unit: Unit, earlier: UnitReport, refused: bool) -> Unit:
    """The unit, blocked by what became of one it needs."""
    result = earlier.result
    if refused:
        why = f"needs {result.unit.name}, whose verdict is {earlier.verdict} ({earlier.reason}) and must pass"
        return replace(unit, existing="", blocked=why, hint=f"cpp show {result.product} tells more")
    state = "failed" if result.state == "failed" else "is blocked"
    return replace(unit, blocked=f"needs {result.unit.name}, which {state}: {result.reason}", hint=result.hint)
