"""`cpp defects`: write the defects of a repository to files others read, and take theirs in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cpp_defects.file_errors import DefectFileError, quoted
from cpp_framework.cli import options
from cpp_framework.cli.output import print_json, print_table, say
from cpp_framework.errors import ConfigError, ConflictError, IncompatibleError

if TYPE_CHECKING:
    from cpp_defects.product import Defects
    from cpp_framework.api import Repository
    from cpp_framework.camera.instrument import Instrument
    from cpp_framework.model import Detector

FormOption = Annotated[
    str, typer.Option("--form", help="fits, region, ecsv, curated, text, ds9 or mask; by the suffix if left out.")
]


def register(app: typer.Typer) -> None:
    """Add the group `cpp defects`."""
    group = typer.Typer(help="Defects in files: Rubin's FITS and ECSV, DS9 regions, text, masks.", no_args_is_help=True)
    app.add_typer(group, name="defects")
    _register_export(group)
    _register_import(group)


def _register_export(group: typer.Typer) -> None:
    @group.command()
    def export(
        product: Annotated[str, typer.Argument(help="Identifier of the defects, or a unique part; `last`.")],
        output: Annotated[Path, typer.Option("--output", "-o", help="File to write; it must not exist yet.")],
        form: FormOption = "",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Write defects to a file.

        .fits is Rubin's table of boxes, .ecsv the same as text, .txt lines `x0 y0 width height`, .reg DS9 regions.

        Example: `cpp defects export last -o defects.reg`.
        """
        from cpp_defects.product import Defects
        from cpp_defects.region_files import form_of, write

        repository = options.open_repository(repo, write=False)
        found = repository.product(product)
        if not isinstance(found, Defects) or found.header is None:
            raise IncompatibleError(f"{product} is no defects product", hint="cpp find --products type=defects")
        if output.exists():
            raise ConflictError(f"{output} is there already", hint="remove it, or choose another name")
        if not output.parent.is_dir():
            raise ConfigError(f"there is no folder {output.parent} to write {output.name} to", hint="make it first")
        header = found.header
        serial = repository.instrument(header.instrument).detector(header.detector).serial
        chosen = form_of(output, form)
        try:
            boxes = write(found, output, chosen, serial)
        except OSError as error:
            raise DefectFileError(
                f"{output}: {error.strerror or error}", hint="may you write there, and is there room?"
            ) from error
        if as_json:
            print_json(file=str(output), form=chosen, boxes=boxes, product=header.id)
            return
        print_table("", ("file", "form", "boxes"), [(str(output), chosen, boxes)])


def _register_import(group: typer.Typer) -> None:
    @group.command("import")
    def import_(
        files: Annotated[list[Path], typer.Argument(help="Files of one detector, in any of the forms.")],
        instrument: Annotated[str, typer.Option("--instrument", help="Instrument the detector belongs to.")],
        detector: Annotated[int, typer.Option("--detector", help="Number of the detector.")] = 0,
        merge: Annotated[str, typer.Option("--merge", help="Of several files: or, and, fraction.")] = "or",
        fraction: Annotated[float, typer.Option("--fraction", help="Of so many files more must agree.")] = 0.7,
        binning: Annotated[str, typer.Option("--binning", help="Must be the instrument's, the default.")] = "",
        mode: Annotated[str, typer.Option("--mode", help="Readout mode, if the instrument has several.")] = "",
        label: options.LabelOption = "imported",
        repo: options.RepoOption = None,
        as_json: options.JsonOption = False,
    ) -> None:
        """Take defects from files into the repository, as a product of their own.

        Like any product they are verified and certified before they are used. Its pixels carry BAD and USER; a mask
        this program wrote keeps its reasons.

        Example: `cpp defects import curated.ecsv --instrument latiss --detector 0`.
        """
        from cpp_defects.merge import merge_masks
        from cpp_defects.region_files import read
        from cpp_defects.solve import from_mask

        repository = options.open_repository(repo)
        where = repository.instrument(instrument).detector(detector)
        product = from_mask(merge_masks([read(path, where.shape) for path in files], merge, fraction), where)
        key = {
            "detector": detector,
            "binning": _binning(binning, repository.instrument(instrument)),
            "mode": _mode(mode, repository, instrument),
        }
        stored = _store(repository, product, where, key, label)
        boxes = len(product.boxes)
        if as_json:
            print_json(product=stored, boxes=boxes)
        else:
            print_table("", ("product", "detector", "boxes"), [(stored, where.name, boxes)])
        say(f"next: cpp verify {stored}{options.repo_words(repo)}")


def _binning(text: str, instrument: Instrument) -> tuple[int, int]:
    """The binning of an instrument; raises `ConfigError` where another was asked for."""
    own = f"{instrument.binning[0]}x{instrument.binning[1]}"
    if text not in ("", own):
        raise ConfigError(
            f"--binning {quoted(text)} is not that of {instrument.name}, {own}",
            hint=f"leave it out; another binning has an instrument file of its own, as {own} has",
        )
    return instrument.binning


def _mode(mode: str, repository: Repository, instrument: str) -> str:
    """The mode, if exposures of the instrument were read in it; raises `ConfigError` if not."""
    stored = repository.exposures([f"instrument={instrument}"]) if mode else []
    known = sorted({one.exposure.mode for one in stored} - {""})
    if mode and mode not in known:
        raise ConfigError(
            f"--mode {quoted(mode)}: no exposure of {instrument} was read in it",
            hint=f"modes of its exposures: {', '.join(known)}"
            if known
            else "leave it out: its exposures have no modes",
        )
    return mode


def _store(repository: Repository, product: Defects, detector: Detector, key: dict[str, object], label: str) -> str:
    """Give the product a header, put it into a run of its own, and return its id."""
    import sys
    from datetime import UTC, datetime

    from cpp_defects.declare import DEFECTS
    from cpp_framework.model import Header
    from cpp_framework.model import fits as product_fits
    from cpp_framework.model.identity import digest_of, new_id
    from cpp_framework.model.software import software

    recipe = digest_of({"type": DEFECTS.name, "imported": product.content_digest()})
    header = Header(
        id=new_id(),
        type=DEFECTS.name,
        label=label,
        title=DEFECTS.title,
        revision=DEFECTS.revision,
        instrument=detector.instrument,
        detector=detector.id,
        detector_name=detector.name,
        key=key,
        recipe=recipe,
        run=repository.store.new_run(DEFECTS.name, label),
        software=software("cpp-defects"),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        command=" ".join(sys.argv),
    )
    whole = product.with_header(header)
    assert whole.header is not None
    staged = repository.store.staging_file(recipe)
    product_fits.write(whole, staged)
    return repository.store.put(staged, whole.header).id
