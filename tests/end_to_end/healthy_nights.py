"""Healthy simulated nights must not fail: ``python healthy_nights.py FIRST LAST`` makes and verifies the whole chain.

One line of JSON per night: its seed and the checks that are neither PASS nor NOT_RUN, with their values. A night has
the instrument's full small detector, five biases, five darks and five flats; bias, dark, flat and defects are made,
each certified for the next.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from cpp_framework.api import Repository
from cpp_framework.plan import Request
from cpp_framework.sim import simulate_night

TYPES = ("bias", "dark", "flat", "defects")


def judge_night(folder: Path, seed: int) -> dict[str, Any]:
    """Make one night and return what its verdicts complain about, by type."""
    simulate_night(folder / "raw", biases=5, darks=5, flats=5, exposure_time=60.0, light=400.0, seed=seed)
    problems: dict[str, Any] = {}
    with Repository.create(folder / "repo") as repository:
        repository.add_instrument("simcam")
        repository.ingest([folder / "raw"])
        for name in TYPES:
            (result,) = repository.produce(Request(name), jobs=1, executor="serial")
            if result.state != "made":
                return {"seed": seed, "stopped": f"{name} {result.state}: {result.reason}"}
            verdict = repository.verify(result.product)
            problems[name] = [
                [str(check.status), check.name, check.amplifier, check.exposure, check.value, check.error, check.reason]
                for check in verdict.problems()
            ]
            waive = dict.fromkeys(verdict.waivable, "only looking")
            repository.certify(result.product, "2026-01-01", waive=waive)
    return {"seed": seed, "problems": problems}


def main() -> None:
    """Judge the nights of the seeds given."""
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(judge_night(Path(folder), seed)), flush=True)


if __name__ == "__main__":
    main()
