"""Which products are applied to an exposure, which types are not, and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from cpp_framework.apply.find import find_raws
from cpp_framework.apply.request import GAIN, ApplyPlan, ApplyRequest, Choice, FoundRaw, Target
from cpp_framework.camera.instrument import Instrument
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.declare import CalibrationType, Stage
from cpp_framework.errors import ConfigError, ConflictError, CppError, IncompatibleError, InputsMissingError, UserError
from cpp_framework.model.check import Outcome
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.fits import read_cards
from cpp_framework.model.header import NeedRecord
from cpp_framework.plan.unit import Need
from cpp_framework.plan.why import Question, question_of
from cpp_framework.plugins import Plugins
from cpp_framework.store import ProductRecord, Store
from cpp_framework.store.base import FOLDERS
from cpp_framework.store.files import safe_name
from cpp_framework.store.keys import agrees, readable
from cpp_framework.store.ledger import instant_text, range_text
from cpp_framework.store.ledger_store import default_collection

SUFFIX = "_calibrated.fits"


def make_apply_plan(
    raws: Iterable[str],
    output: Path,
    request: ApplyRequest | None,
    store: Store,
    instruments: Callable[[str], Instrument],
    plugins: Plugins,
) -> ApplyPlan:
    """Say what would be applied to which exposures, without doing it.

    Parameters
    ----------
    raws : iterable of str
        Raw files, folders of them, and exposure ids. Files need not be ingested.
    output : Path
        Folder for the calibrated files.
    request : ApplyRequest, optional
        How calibrations are chosen; by default those certified for the begin of each exposure.
    store, instruments, plugins
        Where exposures and products are, the instruments by name, and the types that can be applied.

    Raises
    ------
    ConfigError
        The request names a type that cannot be applied or contradicts itself, or the folder can be none.
    NotFoundError, AmbiguousError
        A product named by ``use``, or the instrument, is not there, or several fit.
    """
    request = request or ApplyRequest()
    types = _applicable(plugins)
    _check_request(request, types)
    if request.collection and request.collection not in (names := [one.name for one in store.collections()]):
        raise ConfigError(
            f"there is no collection {request.collection!r}", hint=did_you_mean(request.collection, names)
        )
    _check_output(output, store.root)
    forced = {name: store.product(prefix) for name, prefix in request.use.items()}
    found, refused, notes = find_raws(raws, store, instruments, request.instrument)
    targets = [_target(one, output, request, types, forced, store) for one in found]
    return ApplyPlan(request, tuple(_without_clashes(targets)), tuple(refused), tuple(notes))


def output_name(exposure: Exposure) -> str:
    """Name of the calibrated file of one detector of an exposure."""
    return f"{safe_name(exposure.id)}_det{exposure.detector:03d}{SUFFIX}"


def _applicable(plugins: Plugins) -> dict[str, tuple[Stage, ...]]:
    """Installed types that act on images, with their stages, in the order in which they act."""
    stages = {name: stages for name, one in plugins.types.items() if (stages := _stages(one))}
    return dict(sorted(stages.items(), key=lambda item: (item[1], item[0])))


def _stages(calibration: CalibrationType) -> tuple[Stage, ...]:
    stages = {corrector.stage for corrector in calibration.correctors}
    return tuple(sorted(stages | ({Stage.GAIN} if GAIN in calibration.provides else set())))


def _check_output(output: Path, root: Path) -> None:
    """Refuse a folder that cannot be one, and those in which the repository keeps what is its own."""
    try:
        output.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # it is made, or not, when something is written
    except OSError as error:
        raise ConfigError(f"--output {output}: {error.strerror}", hint="choose another folder with -o") from error
    inside = Path(os.path.realpath(output))
    own = [Path(os.path.realpath(root)) / name.partition("/")[0] for name in FOLDERS]
    if any(inside.is_relative_to(folder) for folder in own):
        raise ConfigError(
            f"--output {output} is inside the repository {root}, which keeps its own files there",
            hint="choose another folder with -o",
        )


def _check_request(request: ApplyRequest, types: Mapping[str, tuple[Stage, ...]]) -> None:
    if request.up_to < Stage.FULL_WELL:
        raise ConfigError(
            f"images are made from stage full well on, not only up to {_readable(request.up_to)}",
            hint="the overscans are part of every image: --up-to full_well",
        )
    for option, names in (("use", request.use), ("without", request.without), ("require", request.require)):
        known = [*types, GAIN] if option == "without" else list(types)
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known) if known else "no calibration type is installed: cpp plugins"
                raise ConfigError(f"--{option} {name}: no installed type of this name acts on images", hint=hint)
    for name in request.require:
        if name in request.without:
            raise ConfigError(f"{name} is both required and left out", hint="give --require or --without, not both")
    for name in request.use:
        if name in request.without:
            raise ConfigError(f"--use {name} names what is left out", hint="give --use or --without, not both")


def _target(
    found: FoundRaw,
    output: Path,
    request: ApplyRequest,
    types: Mapping[str, tuple[Stage, ...]],
    forced: Mapping[str, ProductRecord],
    store: Store,
) -> Target:
    exposure = found.exposure
    path = output / output_name(exposure)
    try:
        choices = tuple(_choose(name, stages, exposure, request, forced, store) for name, stages in types.items())
        _check_required(choices, exposure, request)
        _check_units(choices, request)
        if path.resolve() == Path(exposure.path).resolve():
            raise ConflictError(f"{path} is the raw file itself", hint="choose another folder with -o")
    except UserError as error:
        return Target(exposure, (), path, error, found.remark)
    return Target(exposure, choices, path, None, found.remark)


def _check_required(choices: Sequence[Choice], exposure: Exposure, request: ApplyRequest) -> None:
    for choice in choices:
        if choice.type in request.require and choice.need is None:
            raise InputsMissingError(
                f"exposure {exposure.id} detector {exposure.detector} has no {choice.type}: {choice.why}",
                hint=f"cpp certify one, --use {choice.type}=ID, or --allow-uncertified",
            )


def _check_units(choices: Sequence[Choice], request: ApplyRequest) -> None:
    """Refuse products in electrons for an image that shall stay in ADU."""
    if GAIN not in request.without:
        return
    electrons = [
        choice.type
        for choice in choices
        if choice.need is not None and choice.stages != (Stage.GAIN,) and _unit(choice.need.path).startswith("electron")
    ]
    if electrons:
        raise IncompatibleError(
            f"{', '.join(electrons)} {'are' if len(electrons) > 1 else 'is'} in electrons, and without gain the image "
            "is in ADU",
            hint=f"without gain: {' '.join(f'--without {name}' for name in electrons)} as well",
        )


@lru_cache(maxsize=256)
def _unit(path: Path) -> str:
    """Unit of a stored product, which never changes; empty if it has none."""
    return str(read_cards(path).get("BUNIT", ""))


def _choose(
    name: str,
    stages: tuple[Stage, ...],
    exposure: Exposure,
    request: ApplyRequest,
    forced: Mapping[str, ProductRecord],
    store: Store,
) -> Choice:
    """Choose the product of one type for one exposure.

    Raises
    ------
    InputsMissingError
        Neither the exposure nor the request tells a date to look it up for.
    IncompatibleError
        The product named for it does not fit the exposure.
    AmbiguousError
        Products of several keys are certified and fit.
    """
    if name in request.without or (stages == (Stage.GAIN,) and GAIN in request.without):
        return Choice(name, stages, None, "left out on request")
    if stages[0] > request.up_to:
        return Choice(name, stages, None, f"its stage comes after {_readable(request.up_to)}")
    if name in forced:
        return Choice(name, stages, _forced(name, forced[name], exposure, store), "named by --use")
    at = exposure.begin if request.at is None else request.at
    question = question_of(name, exposure, at or 0, request.collection)
    if at is not None and (chosen := _certified(question, store)):
        return Choice(name, stages, *chosen)
    if request.allow_uncertified and (record := _newest(question, store)):
        return Choice(name, stages, _need(record, store, "newest verified"), "newest verified")
    if at is None:
        raise InputsMissingError(
            f"exposure {exposure.id} has no date, so nothing tells which {name} is valid",
            hint=f"--at DATE tells it, or --use {name}=ID, or --without {name}",
        )
    when = "when it began" if request.at is None else instant_text(at)
    return Choice(name, stages, None, _why_none(question, when, store))


def _forced(name: str, record: ProductRecord, exposure: Exposure, store: Store) -> Need:
    named = f"--use {name}={record.short}"
    if record.type != name:
        raise IncompatibleError(f"{named} is a {record.type}", hint=f"cpp find --products type={name}")
    question = question_of(name, exposure, exposure.begin or 0)
    if (record.instrument, record.detector) != (exposure.instrument, exposure.detector):
        raise IncompatibleError(
            f"{named} is of {record.instrument} detector {record.detector}, exposure {exposure.id} of "
            f"{exposure.instrument} detector {exposure.detector}",
            hint=f"cpp find --products type={name}",
        )
    if not agrees(record.key, question.key):
        raise IncompatibleError(
            f"{named} is for {_differences(record, question)}, which exposure {exposure.id} is not",
            hint=f"cpp find --products type={name}",
        )
    return _need(record, store, "named by --use")


def _certified(question: Question, store: Store) -> tuple[Need, str] | None:
    valid = store.best(
        question.type, question.instrument, question.detector, question.at, question.key, question.collection
    )
    if valid is None:
        return None
    why = f"certified in {valid.collection} for {range_text(valid.begin, valid.end)}"
    return _need(store.product(valid.product), store, why), why


def _newest(question: Question, store: Store) -> ProductRecord | None:
    """Newest product with a passing verdict whose key agrees."""
    for record in _candidates(question, store):
        verdicts = store.verdicts(record.id) if agrees(record.key, question.key) else []
        if verdicts and verdicts[0].outcome in (Outcome.PASS, Outcome.WARN):
            return record
    return None


def _why_none(question: Question, when: str, store: Store) -> str:
    """Why no product of a type serves an exposure, with what there is instead."""
    collection = question.collection or default_collection(question.instrument)
    why = f"none certified in {collection} for {when}"
    records = _candidates(question, store)
    fitting = [record for record in records if agrees(record.key, question.key)]
    if fitting:
        ranges = [range_text(one.begin, one.end) for one in store.validities(collection, product=fitting[0].id)]
        valid = f"valid only for {', '.join(ranges)}" if ranges else "never certified there"
        return f"{why}; {len(fitting)} stored, the newest ({fitting[0].short}) {valid}"
    if records:
        others = list(dict.fromkeys(_differences(record, question) for record in records))[:3]
        return f"{why}; those stored are for {' / '.join(others)}"
    return f"{why}; none was ever made of this detector"


def _candidates(question: Question, store: Store) -> list[ProductRecord]:
    return store.products(type=question.type, instrument=question.instrument, detector=question.detector)


def _differences(record: ProductRecord, question: Question) -> str:
    """Fields of a product's key in which it does not fit what is asked for."""
    differs = {name: value for name, value in record.key.items() if not agrees({name: value}, question.key)}
    return ", ".join(f"{name} {readable(value)}" for name, value in differs.items())


def _need(record: ProductRecord, store: Store, why: str) -> Need:
    header = NeedRecord(type=record.type, id=record.id, digest=record.digest, recipe=record.recipe, why=why)
    return Need(header, store.path(record))


def _readable(stage: Stage) -> str:
    return stage.name.lower().replace("_", " ")


def _without_clashes(targets: Sequence[Target]) -> list[Target]:
    """Refuse targets that would become the same file."""
    counts = Counter(target.output for target in targets)
    checked = []
    for target in targets:
        if counts[target.output] > 1:
            error: CppError = ConflictError(
                f"{counts[target.output]} of the exposures given would become {target.output.name}",
                hint="apply to them one at a time, into different folders",
            )
            target = Target(target.exposure, (), target.output, target.error or error, target.note)
        checked.append(target)
    return checked
