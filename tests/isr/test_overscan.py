"""Overscan levels against plain numpy, and what hits, bleeding and missing lines do to them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cpp_framework.camera.instrument import OverscanRule
from cpp_framework.isr import _kernels
from cpp_framework.isr.overscan import OverscanLevels, measure_levels
from cpp_framework.isr.read_noise import level_factor, measure, rounding_variance


def _noise(lines: int, width: int, sigma: float = 6.0, seed: int = 1, integers: bool = True) -> np.ndarray:
    section = np.random.default_rng(seed).normal(1000.3, sigma, (lines, width))
    return (np.round(section) if integers else section).astype(np.float32)


def _levels(section: np.ndarray, method: str = "median_per_line", **fields: object) -> OverscanLevels:
    quantum = fields.pop("quantum", 1.0)
    saturation = fields.pop("saturation", math.inf)
    first = fields.pop("first", 0)
    rule = OverscanRule.model_validate({"method": method, "skip_leading": 0, **fields})
    levels = measure_levels(section, rule, first, saturation=saturation, quantum=quantum)
    assert levels is not None
    return levels


def _grouped_median(line: np.ndarray) -> float:
    """Median of integers as the textbooks have it for grouped data: linear inside the middle class."""
    ordered = np.sort(line)
    middle = ordered[(line.size - 1) // 2]
    below, inside = np.sum(line < middle), np.sum(line == middle)
    if 2 * (below + inside) == line.size:
        return float(np.median(line))
    return float(middle - 0.5 + (line.size / 2 - below) / inside)


@pytest.mark.parametrize("width", [1, 2, 3, 10, 61, 64])
def test_medians_equal_a_plain_reference(width: int) -> None:
    section = _noise(300, width)
    np.testing.assert_allclose(_levels(section).values, [_grouped_median(line) for line in section], rtol=1e-12)
    section = _noise(300, width, integers=False)
    np.testing.assert_allclose(_levels(section, quantum=0.0).values, np.median(section, axis=1), rtol=1e-7)


def test_means_leave_out_hits() -> None:
    section = _noise(300, 40)
    clean = section.mean(axis=1, dtype=np.float64)
    np.testing.assert_allclose(_levels(section, "mean_per_line").values, clean, rtol=1e-9)
    hit = section.copy()
    hit[::7, 11] += 5000
    without = np.delete(section[::7], 11, axis=1).mean(axis=1, dtype=np.float64)
    np.testing.assert_allclose(_levels(hit, "mean_per_line").values[::7], without, rtol=1e-9)


@pytest.mark.parametrize(("method", "reference"), [("median", np.median), ("mean", np.mean)])
def test_whole_section_gives_every_line_one_level(method: str, reference: object) -> None:
    section = _noise(200, 30)
    section[5, 5] = 60000
    levels = _levels(section, method)
    assert np.unique(levels.values).size == 1
    clean = np.delete(section.ravel(), 5 * 30 + 5).astype(np.float64)
    # The plain median of integers is an integer: the interpolated one is nearer to the mean.
    expected = clean.mean() if method == "mean" else _grouped_median(section.ravel())
    assert levels.values[0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("method", ["median", "mean"])
def test_the_one_level_of_a_section_scatters_as_it_says(method: str) -> None:
    sections, rng = 1500, np.random.default_rng(8)
    pulls = []
    for _ in range(sections):
        truth = rng.uniform(1000, 1001)
        levels = _levels(np.round(rng.normal(truth, 6.0, (20, 30))).astype(np.float32), method)
        pulls.append((levels.values[0] - truth) / math.sqrt(levels.variance))
    assert abs(np.mean(pulls)) < 4 / math.sqrt(sections)
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1, abs=4 / math.sqrt(2 * sections))


@pytest.mark.parametrize("method", ["median", "mean"])
@pytest.mark.parametrize("sigma", [0.4, 0.5, 0.6, 0.7, 1.0])
def test_the_error_of_one_level_holds_where_rounding_hides_the_noise(sigma: float, method: str) -> None:
    """2000 samples would average the noise down to where rounding decides; pulls over 1000 places of the level."""
    rng, pulls = np.random.default_rng(21), []
    for _ in range(1000):
        truth = rng.uniform(1000, 1001)
        levels = _levels(np.round(rng.normal(truth, sigma, (100, 20))).astype(np.float32), method)
        pulls.append((levels.values[0] - truth) / math.sqrt(levels.variance))
    assert abs(np.mean(pulls)) < 4 / math.sqrt(1000)
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1, abs=4 / math.sqrt(2 * 1000))


def test_rounding_variance_is_that_of_levels_with_any_number_of_samples() -> None:
    rng = np.random.default_rng(22)
    for median in (True, False):
        errors = []
        for level in (np.arange(16) + 0.5) / 16:
            counts = np.round(rng.normal(level, 0.5, 200_000))
            errors.append((_grouped_median(counts) if median else counts.mean()) - level)
        noise = math.sqrt(0.25 + 1 / 12)
        # The mean of 200000 samples has 1e-6 adu² of its own.
        assert rounding_variance(noise, median=median) == pytest.approx(np.mean(np.square(errors)), rel=0.03, abs=3e-6)
    assert rounding_variance(3.0, median=True) < 1e-5
    assert rounding_variance(0.3, median=True) == pytest.approx(1 / 12)


@pytest.mark.parametrize("method", ["median", "mean"])
def test_read_noise_about_one_level_for_all_lines_is_unbiased(method: str) -> None:
    """Lines of 8 samples: one degree of freedom too many per line would be 7 %. Monte-Carlo, 5 sigma."""
    rng = np.random.default_rng(18)
    pulls = []
    for _ in range(200):
        section = np.round(rng.normal(1000.3, 5, (60, 8))).astype(np.float32)
        noise = _levels(section, method).noise
        assert noise is not None
        pulls.append((noise.value - math.sqrt(25 + 1 / 12)) / noise.error)
    assert abs(np.mean(pulls)) < 5 / math.sqrt(len(pulls))
    assert np.std(pulls) == pytest.approx(1, abs=5 / math.sqrt(2 * len(pulls)))


def test_interpolated_median_beats_the_plain_one_and_has_no_offset() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(1000, 1001, 4000)
    section = np.round(truth[:, None] + rng.normal(0, 2.2, (4000, 97))).astype(np.float32)
    error = _levels(section).values - truth
    plain = np.median(section, axis=1) - truth
    assert abs(error.mean()) < 4 * error.std() / math.sqrt(4000)
    assert error.std() < 0.75 * plain.std()


@pytest.mark.parametrize("width", [4, 7, 8, 16, 46])
def test_median_has_no_offset_where_a_level_was_subtracted_from_integers(width: int) -> None:
    """As in a parallel overscan after the serial one: whole steps, no whole numbers. 5 sigma."""
    rng = np.random.default_rng(19)
    counts = np.round(rng.normal(1000.3, 2.5, (100_000, width)))
    levels = _levels((counts - rng.uniform(0, 1, counts.shape) + 0.5).astype(np.float32))
    assert abs(np.mean(levels.values) - 1000.3) < 5 * np.std(levels.values) / math.sqrt(len(counts))
    # The spread of the subtracted levels is noise of its own.
    assert levels.variance == pytest.approx(np.var(levels.values), rel=0.08)


def test_skipped_samples_take_no_part() -> None:
    section = _noise(100, 20)
    trail = section.copy()
    trail[:, :3] += [300, 80, 20]
    trail[:, -2:] -= 500
    levels = _levels(trail, skip_leading=3, skip_trailing=2)
    np.testing.assert_array_equal(levels.values, _levels(section[:, 3:-2]).values)
    rule = OverscanRule(skip_leading=15, skip_trailing=5)
    assert measure_levels(section, rule, 0, saturation=math.inf, quantum=1.0) is None
    rule = OverscanRule(method="none")
    assert measure_levels(section, rule, 0, saturation=math.inf, quantum=1.0) is None


def test_bleeding_rows_take_their_neighbours_level() -> None:
    """A star saturates rows 100 … 139 and bleeds 300 ADU into the overscan."""
    clean = _noise(600, 50)
    bled = clean.copy()
    bled[100:140] += 300
    levels = _levels(bled)
    assert np.flatnonzero(levels.wild).tolist() == list(range(100, 140))
    rows = levels.spread(0, 600)
    assert np.abs(rows[100:140] - 1000.3).max() < 4 * 6 * 1.25 / math.sqrt(50)
    np.testing.assert_array_equal(np.delete(rows, range(100, 140)), np.delete(_levels(clean).values, range(100, 140)))
    # The read noise is that of the other rows.
    assert levels.noise is not None
    assert levels.noise.value == pytest.approx(6, rel=0.02)


def test_saturated_and_missing_samples_make_a_row_unusable() -> None:
    section = _noise(200, 20)
    section[10, :11] = 65535
    section[20, :9] = 65535
    section[30] = np.nan
    levels = _levels(section, saturation=65535)
    assert np.flatnonzero(levels.unusable).tolist() == [10, 30]
    assert levels.spread(0, 200)[10] == pytest.approx(1000.3, abs=3)
    assert levels.values[20] == pytest.approx(_grouped_median(section[20, 9:]))
    nothing = _levels(np.full((5, 4), 65535, np.float32), saturation=65535)
    assert nothing.unusable.all()
    assert nothing.noise is None
    np.testing.assert_array_equal(nothing.spread(0, 5), np.zeros(5))
    for method in ("median", "mean"):
        whole = _levels(np.full((5, 4), 65535, np.float32), method, saturation=65535)
        assert whole.unusable.all()


@pytest.mark.parametrize("shape", ["step", "slope", "start-up", "jumps"])
def test_real_movements_of_the_bias_level_are_followed(shape: str) -> None:
    """What moves data and overscan together must not be taken for bleeding."""
    y = np.arange(1000)
    movement = {
        "step": 40.0 * (y > 437),
        "slope": 0.2 * y,
        "start-up": 20 * np.exp(-y / 300),
        "jumps": np.random.default_rng(8).normal(0, 5, y.size),
    }[shape]
    section = np.round(_noise(1000, 50, integers=False) + movement[:, None]).astype(np.float32)
    levels = _levels(section)
    assert not levels.wild.any()
    assert np.std(levels.values - 1000.3 - movement) < 1.1 * 6 * 1.25 / math.sqrt(50)


def test_lines_the_section_does_not_cover_take_the_nearest_level() -> None:
    section = _noise(300, 50) + 0.1 * np.arange(300, dtype=np.float32)[:, None]
    levels = _levels(section.round(), first=10)
    rows = levels.spread(0, 350)
    np.testing.assert_array_equal(rows[10:310], levels.values)
    assert np.unique(rows[:10]).size == 1
    assert rows[0] == pytest.approx(np.median(levels.values[:100]))
    assert rows[340] == pytest.approx(np.median(levels.values[-100:]))
    assert levels.flagged(np.ones(300, bool), 300).tolist() == list(range(10, 300))


@pytest.mark.parametrize("median", [True, False])
@pytest.mark.parametrize(
    ("width", "sigma", "quantum"), [(24, 6.0, 1.0), (61, 2.2, 1.0), (97, 0.8, 1.0), (11, 3.0, 0.0)]
)
def test_read_noise_and_level_variance_are_right_by_monte_carlo(
    width: int, sigma: float, quantum: float, median: bool
) -> None:
    """Noise within 5 of its errors plus 0.3 % of σ for small n, level variance within 8 %: 8000 lines each."""
    rng = np.random.default_rng(17)
    truth = rng.uniform(1000, 1001, 8000)
    section = (truth[:, None] + rng.normal(0, sigma, (8000, width))).astype(np.float32)
    section = np.round(section) if quantum else section
    total = math.sqrt(sigma**2 + quantum / 12)
    levels = _levels(section, "median_per_line" if median else "mean_per_line", quantum=quantum)
    noise = levels.noise
    assert noise is not None
    assert noise.error == pytest.approx(total / math.sqrt(2 * 8000 * (width - 1)), rel=0.02)
    assert abs(noise.value - total) < 5 * noise.error + 0.003 * total
    assert levels.variance == pytest.approx(np.var(levels.values - truth), rel=0.08)


@pytest.mark.parametrize("sigma", [3.3, 8.0])
@pytest.mark.parametrize("width", [4, 8, 16])
def test_few_samples_of_integers_have_the_noise_of_a_plain_median(width: int, sigma: float) -> None:
    rng = np.random.default_rng(20)
    truth = rng.uniform(1000, 1001, 100_000)
    levels = _levels(np.round(truth[:, None] + rng.normal(0, sigma, (100_000, width))).astype(np.float32))
    total = math.sqrt(sigma**2 + 1 / 12)
    assert levels.noise is not None
    assert levels.noise.value == pytest.approx(total, rel=0.006)
    # 100000 lines: 0.4 % at one sigma.
    expected = level_factor(width, median=True, sigma=total) * total**2 / width
    assert np.var(levels.values - truth) == pytest.approx(expected, rel=0.025)


def test_read_noise_errors_are_honest() -> None:
    """Pulls over 512 independent sections; limits for a mean and an rms at 0.5 % false alarms each."""
    pulls = []
    for seed in range(512):
        noise = _levels(_noise(60, 30, seed=seed)).noise
        assert noise is not None
        pulls.append((noise.value - math.sqrt(36 + 1 / 12)) / noise.error)
    assert abs(np.mean(pulls)) < 2.81 / math.sqrt(512)
    assert abs(np.sqrt(np.mean(np.square(pulls))) - 1) < 2.81 / math.sqrt(2 * 512)


def test_read_noise_ignores_hits_and_is_never_zero() -> None:
    section = _noise(500, 40)
    hits = np.random.default_rng(4).random(section.shape) < 0.002
    noise = _levels(section + 400 * hits).noise
    assert noise is not None
    assert noise.value == pytest.approx(6, rel=0.02)
    constant = _levels(np.full((50, 20), 7, np.float32)).noise
    assert constant is not None
    assert constant.value == pytest.approx(1 / math.sqrt(12))
    assert _levels(np.full((50, 20), 7, np.float32), quantum=0.0).noise is None
    assert measure(section, np.full(500, np.nan), np.full(500, np.nan), median=True, quantum=1.0) is None


def test_level_factor_follows_order_statistics() -> None:
    """Exact n·Var(median)/σ² of Gaussian samples (Teichroew 1956, Annals of Mathematical Statistics 27, 410)."""
    exact = {1: 1.0, 2: 1.0, 3: 1.346, 5: 1.434, 7: 1.473, 9: 1.495, 4: 1.193, 6: 1.288, 10: 1.383}
    for n, factor in exact.items():
        assert level_factor(n, median=True) == pytest.approx(factor, rel=0.025)
    assert level_factor(1e6, median=True) == pytest.approx(math.pi / 2, rel=1e-5)
    assert level_factor(50, median=False) == 1.0


def test_wild_blocks_keep_a_short_rest_with_the_block_before() -> None:
    levels = np.random.default_rng(5).normal(0, 1, 130)
    levels[125:] += 100
    wild = np.zeros(130, bool)
    _kernels.find_wild(levels, 100, 10.0, 0.0, wild)
    assert np.flatnonzero(wild).tolist() == [125, 126, 127, 128, 129]


@pytest.mark.parametrize("guess", [0.0, 1000.4, 1003.0, 1e6, -5e4])
def test_counting_from_any_guess_finds_the_median(guess: float) -> None:
    rng = np.random.default_rng(6)
    for n in (1, 2, 3, 4, 10, 61):
        for spread in (0.3, 3, 4000):
            line = np.round(rng.normal(1000, spread, n)).astype(np.float32)
            assert _kernels.integer_median(line, n, guess) == pytest.approx(_grouped_median(line), rel=1e-12)
            assert _kernels.grouped_median(line.copy(), n, 1.0) == pytest.approx(_grouped_median(line), rel=1e-12)
