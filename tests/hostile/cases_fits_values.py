"""Raw files whose cards hold values no camera means: impossible times, dates, names that could become paths, codes."""

from __future__ import annotations

from collections.abc import Iterator

from case import REFUSED, Case, Command
from fits_bytes import with_value
from world import CANARY_COMMAND, World

FILE = "bad.fits"
MEASURED: tuple[Command, ...] = (("ingest", FILE), ("find", "--json"), ("instrument", "init", FILE))
NAMED: tuple[Command, ...] = (("ingest", FILE), ("find",), ("flag", FILE, "--bad", "--because", "hostile"))
"""What translates a header, and what shows the translation or makes names of it."""

NO_NUMBERS = (
    "nan", "NaN", "inf", "-inf", "soon", "1,5", "0x10", "1e400", "٣", "1_000", True, b"T", b"1e400", b"(1, 2)",
)  # fmt: skip
PATHS = (
    "../../outside/victim", "/etc/passwd", "..", ".", "/", "~", "~root", "$HOME", "`touch x`", "a/b/c", "a\\b",
    "C:\\x", "%s%n%d", "{0}", "{world}", "-rf", "--repo=x", "*", "?", "'; DROP TABLE exposure; --", "[1:2]",
    "x" * 68, " ", "''", CANARY_COMMAND, f"$({CANARY_COMMAND})", "__import__('os')", "!!python/name:os.system",
    "last", "NULL", "None",
)  # fmt: skip
TEXT_BYTES = (b"'\x1b[31mred'", b"'\x00\x00'", b"'\xe2\x80\xae.stif'", b"'\xff\xfe'", b"'a\nb'", b"'\x7f\x08'")
DATES = (
    "2026-13-01T00:00:00", "2026-02-30T00:00:00", "2026-11-22", "2026-11-22T25:00:00", "22/11/26", "yesterday",
    "0000-00-00T00:00:00", "9999-12-31T23:59:59", "-4713-11-24T12:00:00", "99999-01-01T00:00:00",
    "2026-326T10:00:00", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00+05:00", "2026-11-22T10:00:60",
    "2026-11-22T10:00:00.123456789012345", "٢٠٢٦-١١-٢٢T10:00:00", "B1950", "J2000.0", "1e400", "nan", "", 59000.5,
    -1e300, 1e300, b"nan", True, 0, 10**30,
)  # fmt: skip


def cases() -> Iterator[Case]:
    """All cases of this group."""
    for keyword in ("EXPTIME", "DARKTIME"):
        for value in (*NO_NUMBERS, -1.0, -1e-300, 1e300, 1e18, 10**400):
            ignored = keyword == "DARKTIME" and value in (-1.0, -1e-300, b"(1, 2)")  # the exposure time is taken
            yield _case(keyword, value, refused=not ignored)
    for value in (*NO_NUMBERS, 1.5, -1, 2**63, -(2**63), 10**40, 1e300):
        yield _case("SEQNUM", value)
    for value in (*NO_NUMBERS, 1e300, -1e9):
        yield _case("CCDTEMP", value)
        yield _case("MONDIODE", value)
    for value in DATES:
        yield _case("DATE-OBS", value)
    for value in ("utc ", "LOCAL", "TAI", "ut1", "tdb", 5, "", "../tai", b"'\xff'"):
        yield _case("TIMESYS", value)
    for value in PATHS + TEXT_BYTES:
        for keyword in ("OBSID", "FILTER"):
            yield _case(keyword, value)
    for value in (*PATHS[::4], *TEXT_BYTES):
        yield _case("INSTRUME", value)
    for value in (*PATHS[:4], *TEXT_BYTES, 5, True, "bias", "Bias ", "SCIENCE", "unknown"):
        yield _case("IMAGETYP", value)


def _case(keyword: str, value: object, *, refused: bool = False) -> Case:
    def prepare(world: World) -> None:
        raw = world.raw
        if keyword == "MONDIODE":
            raw = with_value(raw, 0, "MONERR", value)
        world.write(FILE, with_value(raw, 0, keyword, value))

    lines = NAMED if keyword in ("OBSID", "FILTER") else MEASURED
    name = f"{keyword} = {str(value)[:60]!a} {type(value).__name__}"
    return Case(name, lines, prepare, first=REFUSED) if refused else Case(name, lines, prepare)
