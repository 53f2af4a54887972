"""Verifies a stored product: reads its bytes, makes residuals from the real exposures, and gathers the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.raw import read_raw
from cpp_framework.config.suggest import did_you_mean
from cpp_framework.declare import CalibrationType, CheckSpec, Config, Need, load
from cpp_framework.errors import (
    ConfigError,
    CppError,
    IncompatibleError,
    InputsMissingError,
    NotFoundError,
    UserError,
)
from cpp_framework.isr.chain import Chain
from cpp_framework.isr.residuals import ImageResiduals
from cpp_framework.model import fits as product_fits
from cpp_framework.model.check import Check, Level, Limit, Outcome, Verdict
from cpp_framework.model.context import Limits, ResidualFrame, VerifyContext
from cpp_framework.model.exposure import Exposure
from cpp_framework.model.identity import new_id
from cpp_framework.model.image import Image
from cpp_framework.model.product import ImageProduct, Product
from cpp_framework.model.software import software
from cpp_framework.plan.chain import build_chain
from cpp_framework.plugins import Plugins
from cpp_framework.store import ProductRecord, Store
from cpp_framework.verify.common import COMMON, SOLUTION, common_checks, solution_check

HELD_OUT = "each exposure minus the stored product, as if made without it: e·n/(n-1) where used, e where rejected"


def verify_product(
    record: ProductRecord, store: Store, instruments: Callable[[str], Instrument], plugins: Plugins, run: str = ""
) -> Verdict:
    """Run every check of a product's type on the stored file, store the verdict in a run of verdicts and return it."""
    calibration = plugins.type(record.type)
    product = _read(record.type, store.path(record), plugins)
    instrument = instruments(record.instrument)
    seen: list[ImageResiduals] = []
    ctx = _context(record, product, calibration, instrument, store, plugins, seen)
    checks = list(common_checks(product, record.digest, ctx.exposures))
    excused = list(_impossible(calibration, ctx))
    names = {check.name for check in excused}
    for function in [calibration.verify, *plugins.verifiers(record.type)]:
        verify: Callable[[Product, VerifyContext], Iterator[Check]] = load(function, wanted_by=record.type)
        checks += [check for check in verify(product, ctx) if check.name not in names]
    is_image = isinstance(product, ImageProduct)
    if is_image:
        checks.append(solution_check(record.detector, seen[0].not_solved() if seen else None))
    verdict = Verdict(
        id=new_id(),
        product=record.id,
        digest=record.digest,
        type=record.type,
        checks=tuple(checks + excused),
        promised=COMMON + ((SOLUTION,) if is_image else ()) + tuple(spec.name for spec in calibration.checks),
        dead_allowed=instrument.dead_amplifiers_allowed,
        residuals=HELD_OUT if is_image else "",
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        software=software(plugins.owners[record.type]),
        run=run,
    )
    store.put_verdict(verdict)
    plugins.event(name="verdict", product=record.id, outcome=str(verdict.outcome))
    return verdict


def _read(type_name: str, path: Path, plugins: Plugins) -> Product:
    product_class: Any = load(plugins.type(type_name).product, wanted_by=type_name)
    return product_fits.read(path, product_class)


def _context(
    record: ProductRecord,
    product: Product,
    calibration: CalibrationType,
    instrument: Instrument,
    store: Store,
    plugins: Plugins,
    seen: list[ImageResiduals],
) -> VerifyContext:
    """What `verify` is given; whoever reads its residuals leaves them in ``seen``."""
    assert product.header is not None
    header = product.header
    needs = {need.type: _read(need.type, store.path(store.product(need.id)), plugins) for need in header.needs}
    chain = build_chain(calibration, instrument, record.detector, needs, plugins, header.without)
    config = _config(product, calibration)
    exposures = _exposures(product, store, record.instrument)
    detector = instrument.detector(record.detector)
    if absent := [amp.name for amp in detector.amplifiers if amp.name not in product.amplifiers]:
        raise IncompatibleError(
            f"product {header.id} has no amplifier {', '.join(absent)}, which {instrument.name} has now",
            hint="was the instrument file edited since? then produce it again",
        )
    previous = _previous(record, store)
    return VerifyContext(
        detector=detector,
        config=config,
        residuals=lambda: _residuals(product, chain, instrument, exposures, store, seen),
        exposures=exposures,
        limits=limits_of(instrument, calibration, plugins),
        gains=header.gains or {amp.name: amp.gain for amp in detector.amplifiers if amp.gain is not None},
        previous=_read(previous.type, store.path(previous), plugins) if previous else None,
        previous_verdict=store.verdicts(previous.id)[0] if previous else None,
        needs=needs,
        frames=lambda type_name: _frames_of(type_name, needs, instrument, store, plugins),
    )


def _config(product: Product, calibration: CalibrationType) -> Config:
    """The settings a product was made with."""
    assert product.header is not None
    try:
        config: Config = load(calibration.config, wanted_by=calibration.name).model_validate(product.header.config)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise IncompatibleError(
            f"product {product.header.id} was made with settings this {calibration.name} does not have: {problems}",
            hint="was it made by another version? then produce it again",
        ) from error
    return config


def _exposures(product: Product, store: Store, instrument: str) -> list[Exposure]:
    """The exposures `solve` was given: those it used, and those it refused itself."""
    assert product.header is not None
    given = [one for one in product.header.inputs if one.used or _refused_by_solve(one.exposure, product.refused)]
    known = {one.id: one.exposure for one in store.exposures(instrument, detector=product.header.detector)}
    absent = [one.exposure for one in given if one.exposure not in known]
    if absent:
        raise InputsMissingError(
            f"product {product.header.id} was made from exposures that are not in {store.root}: {', '.join(absent)}",
            hint="cpp ingest the raw files it was made from",
        )
    return [known[one.exposure] for one in given]


def _refused_by_solve(exposure: str, refused: Mapping[str, str]) -> bool:
    return any(key.partition("/")[0] == exposure for key in refused)


def _residuals(
    product: Product,
    chain: Chain,
    instrument: Instrument,
    exposures: list[Exposure],
    store: Store,
    seen: list[ImageResiduals],
) -> Iterator[ResidualFrame]:
    assert isinstance(product, ImageProduct)
    for image in _images(product, chain, instrument, exposures, store):
        if not seen:
            seen.append(ImageResiduals(product, image.detector))
        yield seen[0].frame(image)


def _frames_of(
    type_name: str, needs: Mapping[str, Product], instrument: Instrument, store: Store, plugins: Plugins
) -> Iterator[Image]:
    """The exposures a needed product was made from, corrected as for its own stack."""
    if type_name not in needs:
        raise NotFoundError(f"no {type_name} was needed; there are {', '.join(needs) or 'none'}")
    product = needs[type_name]
    assert product.header is not None
    own = {need.type: _read(need.type, store.path(store.product(need.id)), plugins) for need in product.header.needs}
    calibration, detector = plugins.type(type_name), product.header.detector
    chain = build_chain(calibration, instrument, detector, own, plugins, product.header.without)
    yield from _images(product, chain, instrument, _exposures(product, store, instrument.name), store)


def _images(
    product: Product, chain: Chain, instrument: Instrument, exposures: list[Exposure], store: Store
) -> Iterator[Image]:
    """Exposures of a product, from the bytes it was made from."""
    assert product.header is not None
    digests = {one.exposure: one.digest for one in product.header.inputs}
    for exposure in exposures:
        path = Path(exposure.path)
        if not path.exists():
            raise InputsMissingError(
                f"exposure {exposure.id} was used, and its file is gone: {path}",
                hint="bring it back, or `cpp ingest` its new place",
            )
        if store.raw_digest(path) != digests[exposure.id]:
            raise CppError(
                f"{path}: its bytes are not those exposure {exposure.id} had when the product was made",
                hint="bring the original file back, or produce again",
            )
        yield chain.correct(read_raw(path, instrument, exposure))


def limits_of(instrument: Instrument, calibration: CalibrationType, plugins: Plugins) -> Limits:
    """Limits an instrument sets for one type.

    Raises
    ------
    ConfigError
        A limit names no check of the type, or a type so like an installed one that it must be a slip.
    """
    checks = [spec.name for spec in calibration.checks]
    specs = instrument.limits.get(calibration.name, {})
    for name in specs:
        if name not in checks:
            place = f"limits of {instrument.name}: {calibration.name} has no check {name!r}"
            raise ConfigError(place, hint=did_you_mean(name, checks))
    for other in instrument.limits:
        if other not in plugins.types and (hint := did_you_mean(other, plugins.types)).startswith("did"):
            raise ConfigError(f"limits of {instrument.name}: no calibration type {other!r}", hint=hint)
    return Limits(
        fail={name: Limit(low=spec.fail[0], high=spec.fail[1]) for name, spec in specs.items() if spec.fail},
        warn={name: Limit(low=spec.warn[0], high=spec.warn[1]) for name, spec in specs.items() if spec.warn},
        units={name: spec.unit for name, spec in specs.items() if spec.unit},
    )


def _previous(record: ProductRecord, store: Store) -> ProductRecord | None:
    """What this product would replace: the one certified for its time, else the newest older one that passed."""
    if record.begin is not None:
        valid = store.best(record.type, record.instrument, record.detector, record.begin, record.key)
        if valid is not None and valid.product != record.id:
            return store.product(valid.product)
    for other in store.products(type=record.type, instrument=record.instrument, detector=record.detector):
        older = other.id < record.id and other.key == record.key and other.label == record.label
        verdicts = store.verdicts(other.id) if older else []
        if verdicts and verdicts[0].outcome in (Outcome.PASS, Outcome.WARN):
            return other
    return None


def _impossible(calibration: CalibrationType, ctx: VerifyContext) -> Iterator[Check]:
    """A NOT_RUN for each check whose needs camera or stack cannot meet, with the reason."""
    for spec in calibration.checks:
        lacking = [need.value for need in spec.needs if not _has(need, spec, ctx)]
        if lacking:
            yield Check(
                name=spec.name,
                level=Level.DETECTOR,
                detector=ctx.detector.id,
                skipped=f"{spec.title}: needs {' and '.join(lacking)}",
            )


def _has(need: Need, spec: CheckSpec, ctx: VerifyContext) -> bool:
    match need:
        case Need.GAIN:
            # A limit the instrument gives in ADU makes a gain unnecessary.
            return len(ctx.gains) == len(ctx.detector.amplifiers) or ctx.limits.units.get(spec.name) == "adu"
        case Need.OVERSCAN:
            return ctx.detector.has_overscan
        case Need.PREVIOUS:
            return ctx.previous is not None
        case Need.TWO_EXPOSURES:
            return len(ctx.exposures) >= 2
        case Need.FOUR_EXPOSURES:
            return len(ctx.exposures) >= 4
    raise UserError(f"check {spec.name}: unknown need {need}")
