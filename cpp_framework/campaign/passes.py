"""The words of a campaign: its passes, and what they were planned to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cpp_framework.plan import Plan, Request


class Verifying(StrEnum):
    """Whether the products of a pass are verified; ``required``: one that fails serves no later pass."""

    NO = "no"
    YES = "yes"
    REQUIRED = "required"


@dataclass(frozen=True)
class Certification:
    """For which range (TAI nanoseconds; None is open) the good products of a pass become valid; as `Store.certify`.

    ``waive`` maps checks that may fail to the reason; those that do not fail need none.
    """

    begin: int | None
    end: int | None = None
    note: str = ""
    supersede: bool = False
    waive: Mapping[str, str] = field(default_factory=dict)
    collection: str = ""


@dataclass(frozen=True)
class Pass:
    """One pass: what to make, whether to verify and certify it.

    ``needs`` maps a needed type to the label of the earlier pass that serves it; by default the latest one does.
    An ``optional`` pass, which nobody asked for by name, is left out where there is nothing to make it from.
    """

    request: Request
    needs: Mapping[str, str] = field(default_factory=dict)
    verify: Verifying = Verifying.YES
    certify: Certification | None = None
    optional: bool = False

    @property
    def name(self) -> str:
        """Type and label as people read them: ``bias (bootstrap)``."""
        return self.request.type + (f" ({self.request.label})" if self.request.label else "")


@dataclass(frozen=True)
class Campaign:
    """Passes in order. ``strict``: a unit that cannot be made blocks what needs it, even if another product would do.

    A campaign file is strict: who writes a pass down wants its product used. Where passes only follow from what a type
    requires, a certified product may serve instead, and an optional need may stay without.
    """

    passes: tuple[Pass, ...]
    strict: bool = True


@dataclass(frozen=True)
class PlannedPass:
    """A pass with its units; ``blocked`` says why it has none."""

    given: Pass
    plan: Plan
    blocked: str = ""
    hint: str = ""

    @property
    def name(self) -> str:
        """Name of the pass."""
        return self.given.name


@dataclass(frozen=True)
class CampaignPlan:
    """All passes, planned; ``notes`` tell which were left out, and why."""

    passes: tuple[PlannedPass, ...]
    notes: tuple[str, ...] = ()
