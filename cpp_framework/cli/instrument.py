"""`cpp instrument`: propose, check, list and show the files that describe cameras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import ConflictError, InstrumentError, printable

if TYPE_CHECKING:
    from cpp_framework.camera.check import FrameReport
    from cpp_framework.camera.instrument import DetectorLayout, Instrument

_ELECTRONICS = {
    "gain (electron/adu)": "gain",
    "noise (electron)": "read_noise",
    "adc max (adu)": "adc_maximum",
}
"""Column heads with units, and the fields below them."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: typer.Typer) -> None:
    """Add the verb with its four commands."""
    instrument = typer.Typer(no_args_is_help=True, help="Propose, check, list and show files that describe cameras.")
    instrument.command("init")(init)
    instrument.command("check")(check)
    instrument.command("list")(list_instruments)
    instrument.command("show")(show)
    app.add_typer(instrument, name="instrument")


def init(
    raws: Annotated[list[Path], typer.Argument(help="Raw frames, best one of each kind: bias, dark, flat.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Propose an instrument file from the headers of raw frames; comments say what could not be known.

    Example: cpp instrument init bias.fits dark.fits flat.fits -o mycamera.yaml
    """
    from cpp_framework.camera.infer import propose
    from cpp_framework.store.files import storage_errors

    if output is not None and output.exists() and not force:
        raise ConflictError(f"{output} exists and is not overwritten", hint="give another name, or --force")
    text = propose(raws)
    if output is None:
        typer.echo(text, nl=False)
        return
    with storage_errors(output):
        output.write_text(text, encoding="utf-8")
    say(f"wrote {output}: read its comments, then try it: cpp instrument check {output} {raws[0]}")


def check(
    file: Annotated[str, typer.Argument(help="Instrument file, or the name of an instrument.")],
    raws: Annotated[list[Path] | None, typer.Argument(help="Raw frames to try it on.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Validate an instrument file and try it on raw frames: geometry, limits, translated headers, odd pixels.

    Example: cpp instrument check mycamera.yaml bias.fits flat.fits
    """
    from cpp_framework.camera.catalogue import load_instrument
    from cpp_framework.camera.check import check_instrument, check_limits
    from cpp_framework.plugins import installed

    instrument = load_instrument(file)
    warnings = check_limits(instrument, installed().types)
    reports = check_instrument(instrument, raws or [])
    if as_json:
        frames = [_record(one) for one in reports]
        print_json(instrument=instrument.name, geometry=instrument.geometry(), warnings=warnings, frames=frames)
    else:
        _print_geometry(instrument)
        for warning in warnings:
            typer.echo(printable(f"warning: {warning}"))
        if reports:
            _print_frames(reports)
    failed = [report for report in reports if report.problem]
    if failed:
        raise InstrumentError(
            f"{instrument.name}: {len(failed)} of {len(reports)} frames do not fit; first: {failed[0].problem}",
            hint=failed[0].hint,
        )


def list_instruments(as_json: JsonOption = False) -> None:
    """List the instruments that can be used by name."""
    from cpp_framework.camera.catalogue import instrument_sources

    sources = instrument_sources()
    if as_json:
        print_json(instruments=sources)
    else:
        print_table("", ("instrument", "from"), list(sources.items()))


def show(
    name: Annotated[str, typer.Argument(help="Name of an instrument, or its file.")], as_json: JsonOption = False
) -> None:
    """Print an instrument file (YAML), to read or to start a new one from."""
    from cpp_framework.camera.catalogue import instrument_text, load_instrument

    if as_json:
        print_json(instrument=load_instrument(name).model_dump(mode="json"))
    else:
        typer.echo(instrument_text(name), nl=False)


def _print_geometry(instrument: Instrument) -> None:
    from cpp_framework.camera.drawing import draw_detector

    for layout in instrument.detectors:
        title = f"{instrument.name}: detector {layout.id} {layout.name} {layout.serial}".rstrip()
        title += f", {layout.size[0]}x{layout.size[1]} pixels, {len(layout.amplifiers)} amplifier(s)"
        # Three tables: in a single one, a terminal of 80 columns would break the sections.
        _print_fields(title, layout, {name: name for name in ("hdu", "data", "detector", "readout")})
        _print_fields("", layout, {name.replace("_", " "): name for name in ("serial_overscan", "parallel_overscan")})
        _print_fields("", layout, _ELECTRONICS)
        typer.echo(draw_detector(instrument, layout))
        typer.echo("* read first; row 1 at the bottom\n")


def _print_fields(title: str, layout: DetectorLayout, fields: Mapping[str, str]) -> None:
    """Print fields of all amplifiers, given by column head; sections stay in one piece."""
    rows = [(amp.name, *(_cell(getattr(amp, field)) for field in fields.values())) for amp in layout.amplifiers]
    print_table(title, ("amplifier", *fields), rows, whole=("amplifier", *fields))


def _cell(value: str | int | float | None) -> str | int:
    if value is None:
        return "unknown"
    return f"{value:.6g}" if isinstance(value, float) else value


def _print_frames(reports: list[FrameReport]) -> None:
    rows = [
        (report.path.name, one.detector, one.id, one.kind, one.exposure_time, one.filter, _date(one.begin), one.mode)
        for report in reports
        for one in report.exposures
    ]
    if rows:
        columns = ("file", "detector", "id", "kind", "time (s)", "filter", "begin (UTC)", "mode")
        print_table("headers, translated", columns, rows)
    for report in reports:
        if report.problem:
            typer.echo(f"problem: {report.problem}")
        for warning in report.warnings:
            typer.echo(printable(f"warning: {report.path.name}: {warning}"))


def _date(begin: int | None) -> str:
    from cpp_framework.model.timespan import to_iso

    return "none" if begin is None else to_iso(begin)


def _record(report: FrameReport) -> dict[str, Any]:
    return {
        "file": str(report.path),
        "exposures": [one.model_dump(mode="json") for one in report.exposures],
        "problem": report.problem,
        "hint": report.hint,
        "warnings": list(report.warnings),
    }
