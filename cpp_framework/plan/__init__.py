"""From a request to units of work: inputs, needs, recipe."""

from cpp_framework.plan.build import make_plan
from cpp_framework.plan.unit import Need, Plan, PlannedExposure, Refusal, Request, Unit

__all__ = ["Need", "Plan", "PlannedExposure", "Refusal", "Request", "Unit", "make_plan"]
