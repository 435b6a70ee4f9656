"""What papers and bug reports print of sums over all pairs and of formats, recomputed.

Each test names where its numbers stand. `test_published_numbers` has those of single pairs.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from ropelab import Rope, cos_sin
from ropelab.bands import (
    PUBLISHED_BASES,
    angle_errors,
    bound_holds,
    decay_bound,
    distinct_positions,
    effective_context,
    extrapolation_bound,
    first_breach,
    interpolation_bound,
    similarity,
    turning,
)
from ropelab.scaling import Linear, Llama3, Proportional, YaRN
from tests.ropelab.support import printed

LLAMA_2 = Rope(128, base=1e4)
LLAMA_3_1 = Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192))
LLAMA_3_2_1B = Rope(64, base=5e5, scaling=Llama3(32.0, 1.0, 4.0, 8192))
QWEN_2_5_YARN = Rope(128, base=1e6, scaling=YaRN(4.0, 32768))
LLAMA_2_YARN = Rope(128, base=1e4, scaling=YaRN(16.0, 4096))
GPT_OSS = Rope(64, base=150_000.0, scaling=YaRN(32.0, 4096, truncate=False))


# RoFormer, arXiv:2104.09864, section 3.4.3: the mean of |S_j| over the pairs, d = 128, b = 1e4.


@pytest.mark.parametrize(
    ("distance", "decay"),
    [
        (1, "31.538"),
        (16, "15.775"),
        (64, "10.090"),
        (256, "6.543"),
        (1024, "4.024"),
        (4096, "4.883"),
    ],
)
def test_roformer_long_term_decay(distance: int, decay: str) -> None:
    assert printed(float(decay_bound(LLAMA_2, distance)), decay)


# Position Interpolation, arXiv:2306.15595, theorem 2.1: 32 ln c, and B(s) / d.


def test_position_interpolation_bounds_by_294_73() -> None:
    bound = interpolation_bound(LLAMA_2)
    assert printed(1 / bound, "294.7309")
    assert printed(2 / bound, "589.5")


@cache
def sums_over_d() -> NDArray[np.float64]:
    """B(s) / d at s = 0 to 4861."""
    return extrapolation_bound(LLAMA_2, np.arange(4862)) / 2


@pytest.mark.parametrize(("longest", "smallest"), [(2048, "1.4075"), (4096, "1.1159")])
def test_position_interpolation_sum_over_d_is_above_one(longest: int, smallest: str) -> None:
    assert printed(float(sums_over_d()[: longest + 1].min()), smallest)


def test_position_interpolation_sum_first_falls_below_d_at_4861() -> None:
    below = np.flatnonzero(sums_over_d() < 1.0)
    assert below.tolist() == [4861]
    assert printed(float(sums_over_d()[4861]), "0.99598")


@pytest.mark.parametrize(
    ("position", "cosine"),
    [(1000, "0.963"), (8192, "0.769"), (20000, "0.627"), (60000, "0.539")],
)
def test_parity_decays_where_llama_3_1_is_not_scaled(position: int, cosine: str) -> None:
    # mlx-vlm!1710 measured 0.959, 0.757, 0.619 and 0.503; this is the closed form.
    found = similarity(LLAMA_3_1, Rope(128, base=5e5), position)
    assert printed(float(found), cosine)


# "Base of RoPE Bounds Context Length", arXiv:2405.14591: B(m) = sum of cos(m w) >= 0.


@pytest.mark.parametrize(
    ("base", "position", "value"),
    [(1e4, 1707, "-0.49893"), (5e5, 18_438, "-0.25626"), (1e6, 27_115, "-0.48676")],
)
def test_base_bound_is_first_broken_at(base: float, position: int, value: str) -> None:
    found = first_breach(Rope(128, base=base), 32_768)
    assert found is not None
    assert found.distance == position
    assert printed(found.value, value)


# The last rows of the table. A search of all bases takes half a minute a row, and was made once:
#     python -c "from ropelab.bands import smallest_base as s; print(s(2**19), s(2**20))"
#     61426122.90656122 65428377.30025828
# Su's base for 512k lies in a window 4e-6 wide, found between 5.75e7 and 5.85e7 by `bound_holds`
# in steps of 2e-6, 2000 at a time:
#     58496266.437844634 58496383.43037752


@pytest.mark.parametrize(
    ("length", "base", "author"),
    [
        (2**19, 58_496_300.0, "su"),
        (2**20, 65_428_400.0, "su"),
        (2**19, 63_771_600.0, "paper"),
        (2**20, 505_856_000.0, "paper"),
    ],
)
def test_base_bound_at_512k_and_1m_is_kept_by(length: int, base: float, author: str) -> None:
    (row,) = (row for row in PUBLISHED_BASES if row.context_length == length)
    assert f"{base:.1e}" == f"{getattr(row, author):.1e}"
    assert first_breach(Rope(128, base=base), length) is None


@pytest.mark.parametrize(("length", "base"), [(2**19, 58_496_300.0), (2**20, 65_428_377.30025828)])
def test_base_bound_at_512k_and_1m_is_kept_by_no_smaller_base(length: int, base: float) -> None:
    assert first_breach(Rope(128, base=base * (1 - 4e-6)), length) is not None
    assert not bound_holds(np.geomspace(length, base * (1 - 4e-6), 1000), length).any()


@pytest.mark.parametrize(
    ("rope", "position"),
    [
        (LLAMA_3_1, 85_133),
        (LLAMA_3_2_1B, 110_699),
        (QWEN_2_5_YARN, 66_234),
        (LLAMA_2_YARN, 11_671),
        (GPT_OSS, 64_255),
    ],
    ids=["llama-3.1", "llama-3.2-1b", "qwen2.5-yarn-4", "llama-2-yarn-16", "gpt-oss"],
)
def test_base_bound_of_scaled_tables_is_first_broken_at(rope: Rope, position: int) -> None:
    assert effective_context(rope, 131_072) == position


def test_base_bound_of_gemma_4_is_never_broken() -> None:
    # 192 of its 256 pairs stand still, and 64 cosines cannot outweigh them.
    rope = Rope(512, base=1e6, scaling=Proportional(0.25))
    assert int(turning(rope).sum()) == 64
    assert first_breach(rope, 2**60) is None


@pytest.mark.parametrize(
    ("base", "length", "holds"),
    [(4.294e3, 1024, True), (8.380e4, 8192, True), (3.94e5, 8192, False)],
)
def test_base_bound_is_not_monotone_in_the_base(base: float, length: int, holds: bool) -> None:
    # The smallest passing and the largest failing bases seen; both are rounded figures, so some
    # base within their last digit is meant.
    near = base * (1 + np.linspace(-2.4e-3, 2.4e-3, 25))
    assert (bound_holds(near, length) == holds).any()


# "When Precision Meets Position", arXiv:2411.13476, and what its formats do to positions.


@pytest.mark.parametrize(
    ("first", "distinct"),
    [(256, 193), (1024, 65), (2048, 33), (4096, 17), (65536, 2), (131072, 1)],
)
def test_distinct_bfloat16_positions_of_512(first: int, distinct: int) -> None:
    assert distinct_positions(first, 512, "bfloat16") == distinct


@pytest.mark.parametrize(
    ("position", "error"),
    [(4096, "1.2e-04"), (131_072, "3.9e-03"), (1_048_576, "3.1e-02"), (10_000_000, "7.7e-01")],
)
def test_float32_angles_err_by(position: int, error: str) -> None:
    assert f"{angle_errors(LLAMA_2, position).max():.1e}" == error


def test_a_float16_angle_of_1044_is_1045() -> None:
    # gpt-neox#1003: the outer product of 2048 positions and frequencies in float16, d = 32
    spectrum, positions = Rope(32).spectrum(), np.arange(2048)
    angles = positions.astype(np.float16)[:, np.newaxis] * spectrum.inv_freq.astype(np.float16)
    assert f"{1857 * spectrum.inv_freq[1]:.4f}" == "1044.2678"
    assert angles[1857, 1] == 1045.0
    cos, _ = cos_sin(positions, spectrum, angles="float32", dtype=np.float64)
    # 0.78186 there, by the cosines of its float32
    assert printed(float(np.abs(np.cos(angles.astype(np.float64)) - cos).max()), "0.7819")


@pytest.mark.parametrize(("position", "cosine"), [(15962, "-0.9080"), (15968, "-0.7548")])
def test_cosines_that_candle_3520_misquotes(position: int, cosine: str) -> None:
    # The pull request has -0.547 and -0.882.
    cos, _ = cos_sin([position], LLAMA_2.spectrum(), dtype=np.float64)
    assert printed(float(cos[0, 0]), cosine)


def test_position_interpolation_is_a_division_of_positions() -> None:
    # f'(x, m) = f(x, m L / L'), with L' = 4 L
    scaled = cos_sin(np.arange(0, 4096, 4), Rope(128, scaling=Linear(4.0)).spectrum(), dtype="f8")
    plain = cos_sin(np.arange(1024), LLAMA_2.spectrum(), dtype="f8")
    assert np.abs(np.subtract(scaled, plain)).max() < 1e-12
