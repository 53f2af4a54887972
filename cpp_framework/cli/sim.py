"""`cpp sim`: simulate a night of raw files with the truth beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cpp_framework.cli.options import JsonOption
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import UserError

if TYPE_CHECKING:
    from cpp_framework.sim import Truth

MOST_FRAMES = 100_000
"""Of each kind in one night."""

FolderArgument = Annotated[Path, typer.Argument(help="Folder to write; made if it is not there.", show_default=False)]
InstrumentOption = Annotated[str, typer.Option("--instrument", help="Shipped or installed instrument, or a YAML file.")]
FilterOption = Annotated[
    list[str] | None, typer.Option("--filter", help="Filter of flats and science exposures (repeatable).")
]
DarkTimeOption = Annotated[
    list[float] | None,
    typer.Option("--dark-time", min=0, max=1e6, help="Of darks in turn, instead of --exposure-time (repeatable)."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Parameter of an effect: EFFECT.PARAMETER=VALUE, for instance read_noise.sigma=3."),
]
OffOption = Annotated[list[str] | None, typer.Option("--off", help="Effect to leave out (repeatable).")]
SpoilOption = Annotated[
    list[str] | None,
    typer.Option("--spoil", help="Let an exposure go wrong: NUMBER:ANOMALY[:PARAMETER=VALUE…], as 3:shift:sigma=5."),
]
ForceOption = Annotated[
    Path | None, typer.Option("--force", help="Name FOLDER again to replace an earlier simulation in it.")
]


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def sim(
        folder: FolderArgument,
        instrument: InstrumentOption = "simcam",
        bias: Annotated[int, typer.Option(min=0, max=MOST_FRAMES, help="Number of bias frames.")] = 10,
        dark: Annotated[int, typer.Option(min=0, max=MOST_FRAMES, help="Number of dark exposures.")] = 0,
        flat: Annotated[int, typer.Option(min=0, max=MOST_FRAMES, help="Number of flat exposures in each filter.")] = 0,
        science: Annotated[
            int, typer.Option(min=0, max=MOST_FRAMES, help="Number of science exposures in each filter: sky and stars.")
        ] = 0,
        exposure_time: Annotated[
            float, typer.Option(min=0, max=1e6, help="Of darks, flats and science exposures, in seconds.")
        ] = 10.0,
        dark_time: DarkTimeOption = None,
        light: Annotated[float, typer.Option(min=0, max=1e9, help="Of flats, in electron/s per pixel.")] = 2000.0,
        sky: Annotated[
            float, typer.Option(min=0, max=1e9, help="Of science exposures, in electron/s per pixel.")
        ] = 20.0,
        filter: FilterOption = None,
        seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 1,
        settings: SetOption = None,
        off: OffOption = None,
        spoil: SpoilOption = None,
        jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Exposures at a time.")] = 1,
        force: ForceOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Simulate raw exposures of a camera, with the truth (truth.json, truth.npz) beside them.

        Effects, in the order of the signal chain: light, stars, lamp_drift, shutter, vignetting, dust, prnu,
        cold_pixels, vampires, dark_current, hot_pixels, unstable_pixels, glow, bright_columns, photon_noise,
        cosmic_rays, dead_columns, blocked_columns, full_well, read_noise, gain, bias_structure, row_pattern,
        bias_level, bias_drift, adc. Anomalies: outliers, shift, extra_noise, dead_amplifier, saturated_frame,
        not_finite.
        """
        from cpp_framework.sim import read_truth, simulate_night
        from cpp_framework.sim.settings import anomalies_from_text, settings_from_text
        from cpp_framework.store.files import storage_errors

        if force is not None and force.resolve() != folder.resolve():
            raise UserError(f"--force names {force}, but the folder to write is {folder}", hint="repeat it")
        filters = filter or [""]
        exposures = bias + dark + (flat + science) * len(filters)
        if exposures == 0:
            raise UserError("nothing to simulate", hint="ask for exposures with --bias, --dark, --flat or --science")
        with storage_errors(folder):
            paths = simulate_night(
                folder,
                instrument,
                biases=bias,
                darks=dark,
                flats=flat,
                science=science,
                exposure_time=exposure_time,
                dark_times=dark_time or (),
                light=light,
                sky=sky,
                filters=filters,
                seed=seed,
                settings=settings_from_text(settings or (), off or ()),
                anomalies=anomalies_from_text(spoil or (), exposures),
                jobs=jobs,
                force=force is not None,
                progress=lambda path: say(f"wrote {path}"),
            )
        truths = read_truth(folder)
        if as_json:
            print_json(folder=str(folder), seed=seed, files=[str(path) for path in paths], truth=_as_json(truths))
            return
        _print(truths)
        say(f"{len(paths)} raw files in {folder}, with truth.json and truth.npz beside them (seed {seed})")


def _as_json(truths: dict[int, Truth]) -> list[object]:
    return [truth.to_json() for truth in truths.values()]


def _print(truths: dict[int, Truth]) -> None:
    rows = [
        (detector, name, amp.gain, amp.read_noise, amp.bias_level, amp.full_well, amp.adc_maximum)
        for detector, truth in truths.items()
        for name, amp in truth.amplifiers.items()
    ]
    units = ("gain (e/adu)", "read noise (e)", "bias level (adu)", "full well (e)", "ADC maximum (adu)")
    print_table("simulated camera", ("detector", "amplifier", *units), rows)
