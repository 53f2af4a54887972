"""Campaigns: several passes planned together, in which products of one pass serve the needs of later ones."""

from cpp_framework.campaign.dependencies import with_dependencies
from cpp_framework.campaign.file import read_campaign
from cpp_framework.campaign.passes import Campaign, CampaignPlan, Certification, Pass, PlannedPass, Verifying
from cpp_framework.campaign.plan import plan_campaign
from cpp_framework.campaign.report import CampaignReport, PassReport, UnitReport

__all__ = [
    "Campaign",
    "CampaignPlan",
    "CampaignReport",
    "Certification",
    "Pass",
    "PassReport",
    "PlannedPass",
    "UnitReport",
    "Verifying",
    "plan_campaign",
    "read_campaign",
    "with_dependencies",
]
