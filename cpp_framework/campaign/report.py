"""What became of a campaign: per unit, per pass, and the time each stage took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cpp_framework.campaign.passes import PlannedPass, Verifying
from cpp_framework.run.results import UnitResult

STAGES = ("correcting", "measuring", "solving", "writing", "verifying")
"""Stages of work whose time is told; correcting includes reading the raw files."""


@dataclass(frozen=True)
class UnitReport:
    """What became of one unit.

    Parameters
    ----------
    result : UnitResult
    verdict : str
        Outcome of its verification, new or stored; empty if there is none.
    reason : str
        What failed in the verification.
    good : bool
        Whether the verdict, but for what is waived, is PASS or WARN.
    certified : bool
    verify_seconds : float
        What a new verification took.
    """

    result: UnitResult
    verdict: str = ""
    reason: str = ""
    good: bool = False
    certified: bool = False
    verify_seconds: float = 0.0

    @property
    def stages(self) -> dict[str, float]:
        """Seconds per stage, of all processes together."""
        result = self.result
        spent = (result.correct_seconds, result.measure_seconds, result.solve_seconds, result.write_seconds)
        return dict(zip(STAGES, (*spent, self.verify_seconds), strict=True))


@dataclass(frozen=True)
class PassReport:
    """What became of the units of a pass; ``seconds`` passed from its beginning to its end.

    ``conflict`` says why its products could not be certified although their verdicts allow it.
    """

    planned: PlannedPass
    units: tuple[UnitReport, ...] = ()
    seconds: float = 0.0
    conflict: str = ""
    conflict_hint: str = ""

    @property
    def stages(self) -> dict[str, float]:
        """Seconds per stage, of all units and processes together."""
        return {stage: sum(unit.stages[stage] for unit in self.units) for stage in STAGES}

    @property
    def failing(self) -> bool:
        """Whether a verification that was asked for has failed; earlier verdicts are only told elsewhere."""
        return self.planned.given.verify is not Verifying.NO and any(
            unit.verdict and not unit.good for unit in self.units
        )

    @property
    def counts(self) -> Counter[str]:
        """How many units ended in each state; a pass without units counts as one blocked."""
        if self.planned.blocked:
            return Counter(["blocked"])
        return Counter(unit.result.state for unit in self.units)


@dataclass
class CampaignReport:
    """What became of all passes, in order; ``interrupted`` if an end was asked for before they were through."""

    passes: list[PassReport] = field(default_factory=list)
    interrupted: bool = False

    @property
    def counts(self) -> Counter[str]:
        """How many units ended in each state."""
        return sum((one.counts for one in self.passes), Counter())

    @property
    def verdicts(self) -> Counter[str]:
        """How many units have each outcome of verification."""
        return Counter(unit.verdict for one in self.passes for unit in one.units if unit.verdict)

    @property
    def stages(self) -> dict[str, float]:
        """Seconds per stage, of all passes and processes together."""
        return {stage: sum(one.stages[stage] for one in self.passes) for stage in STAGES}

    @property
    def exit_code(self) -> int:
        """130 interrupted, else 6 some units failed, 3 inputs are missing, 4 a verification failed, 5 a conflict."""
        states = self.counts
        happened = {
            130: self.interrupted,
            6: states["failed"],
            3: states["blocked"],
            4: any(one.failing for one in self.passes),
            5: any(one.conflict for one in self.passes),
        }
        return next((code for code, it_did in happened.items() if it_did), 0)
