"""The header of a product: assembled by the framework, so that no type can forget it."""

from __future__ import annotations

import getpass
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cpp_framework.declare import CalibrationType
from cpp_framework.model.detector import Detector
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.header import Header, InputRecord
from cpp_framework.model.software import software
from cpp_framework.run.job import Job


def make_header(
    job: Job,
    calibration: CalibrationType,
    detector: Detector,
    refused: Mapping[str, str],
    applied: tuple[str, ...],
    gains: Mapping[str, float],
    gain_source: str,
    owner: str,
) -> Header:
    """Header of the product of one job; ``refused`` is what `solve` left out, by exposure or exposure/amplifier."""
    unit = job.unit
    used = [one.exposure for selection in unit.inputs.values() for one in selection if one.exposure.id not in refused]
    begins = [exposure.begin for exposure in used if exposure.begin is not None]
    ends = [exposure.end or exposure.begin for exposure in used if exposure.begin is not None]
    return Header(
        id=job.product_id,
        type=unit.type,
        label=unit.label,
        title=calibration.title,
        revision=calibration.revision,
        instrument=unit.instrument,
        detector=unit.detector,
        detector_name=detector.name,
        key=dict(unit.key),
        begin=min(begins, default=None),
        end=max((end for end in ends if end is not None), default=None),
        recipe=unit.recipe,
        run=job.run,
        inputs=_inputs(job, refused),
        needs=tuple(need.record for need in unit.needs.values()),
        config=dict(unit.settings),
        origins=dict(unit.origins),
        gains=dict(gains),
        gain_source=gain_source,
        without=unit.without,
        applied=applied,
        software=software(owner),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        command=job.command,
        user=_user(),
        host=platform.node(),
    )


def _inputs(job: Job, refused: Mapping[str, str]) -> tuple[InputRecord, ...]:
    """Every exposure that was considered: used ones, those `solve` refused, those the plan refused."""
    records = []
    for name, selection in job.unit.inputs.items():
        for one in selection:
            partly = [
                f"{key.partition('/')[2]}: {why}" for key, why in refused.items() if _is_part(key, one.exposure.id)
            ]
            reason = refused.get(one.exposure.id, "; ".join(partly))
            records.append(_record(name, one.exposure, one.digest, one.exposure.id not in refused, reason))
    for refusal in job.unit.refused:
        records.append(_record(refusal.selection, refusal.exposure, refusal.digest, False, refusal.reason))
    return tuple(records)


def _is_part(key: str, exposure_id: str) -> bool:
    return key.startswith(f"{exposure_id}/")


def _record(selection: str, exposure: Exposure, digest: str, used: bool, reason: str) -> InputRecord:

    return InputRecord(
        exposure=exposure.id,
        number=exposure.number,
        selection=selection,
        digest=digest,
        file=Path(exposure.path).name,
        begin=exposure.begin,
        exposure_time=exposure.exposure_time,
        used=used,
        reason=reason,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in the user database: containers with a bare number
        return "unknown"
