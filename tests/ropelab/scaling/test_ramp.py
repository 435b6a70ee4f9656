"""The ends of YaRN's ramp against the published ones, and its shares as exact fractions."""

import math
from decimal import Decimal
from fractions import Fraction

import mpmath
import pytest

from ropelab import Rope
from ropelab.scaling.ramp import correction_range, kept_share
from tests.ropelab.support import refuses

LLAMA_2 = (Rope(128, base=1e4), 4096)
QWEN_2_5 = (Rope(128, base=1e6), 32768)
GPT_OSS = (Rope(64, base=150_000.0), 4096)
DEEPSEEK_V3 = (Rope(64, base=1e4), 4096)


# c(32) and c(1) of the models as published for them, five digits.
@pytest.mark.parametrize(
    ("model", "low", "high"),
    [
        pytest.param(LLAMA_2, 20.94448, 45.02688, id="Llama-2"),
        pytest.param(QWEN_2_5, 23.59595, 39.65088, id="Qwen2.5"),
        pytest.param(DEEPSEEK_V3, 10.47224, 22.51344, id="DeepSeek-V3"),
    ],
)
def test_the_range_is_the_published_one(model: tuple[Rope, int], low: float, high: float) -> None:
    exact = correction_range(*model, 32.0, 1.0, truncate=False)
    assert [round(float(end), 5) for end in exact] == [low, high]
    whole = correction_range(*model, 32.0, 1.0)
    assert [int(end) for end in whole] == [math.floor(low), math.ceil(high)]


def test_the_range_of_gpt_oss_is_the_published_one() -> None:
    low, high = correction_range(*GPT_OSS, 32.0, 1.0, truncate=False)
    # vllm#28244, from logarithms of float64: each of those is within an ulp, their quotient adds
    # another half.
    published = (8.092779115512402, 17.39802450158856)
    assert abs(float(low) - published[0]) <= 2 * math.ulp(published[0])
    assert abs(float(high) - published[1]) <= 2 * math.ulp(published[1])


@pytest.mark.parametrize("rotations", [32.0, 1.0, 0.1, 7.5])
@pytest.mark.parametrize("model", [LLAMA_2, GPT_OSS, (Rope(96, base=500_000.0, rotary_dim=24), 99)])
def test_an_end_is_right_to_forty_digits(model: tuple[Rope, int], rotations: float) -> None:
    rope, length = model
    with mpmath.workdps(60):
        # the pair whose wavelength goes `rotations` times into the length
        turns = length / (2 * mpmath.pi * mpmath.mpf(rotations))
        pair = mpmath.log(turns, mpmath.mpf(rope.base)) * rope.rotary_dim / 2
        low, high = correction_range(rope, length, rotations, rotations, truncate=False)
        assert abs(mpmath.mpf(str(low)) - max(pair, 0)) < mpmath.mpf(10) ** -40
        cut = min(pair, rope.rotary_dim - 1)
        assert abs(mpmath.mpf(str(high)) - cut) < mpmath.mpf(10) ** -40


def test_the_range_is_cut_at_zero_and_at_the_last_channel() -> None:
    assert correction_range(Rope(32), 64, 32.0, 1.0)[0] == 0
    assert correction_range(Rope(32, base=10.0), 65536, 32.0, 1.0)[1] == 31


@pytest.mark.parametrize("ends", [(20, 46), (0, 3), (2, 7), (5, 6)])
def test_a_share_is_the_nearest_float64(ends: tuple[int, int]) -> None:
    low, high = ends
    zero, one = Fraction(0), Fraction(1)
    truth = [float(min(max(Fraction(high - i, high - low), zero), one)) for i in range(50)]
    assert kept_share(Decimal(low), Decimal(high), 50).tolist() == truth


def test_a_ramp_of_no_width_is_a_step() -> None:
    assert kept_share(Decimal(2), Decimal(2), 5).tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert kept_share(Decimal("1.5"), Decimal("1.5"), 4).tolist() == [1.0, 1.0, 0.0, 0.0]
    just_below = Decimal("1.9995")
    assert kept_share(just_below, just_below, 4).tolist() == [1.0, 1.0, 0.5, 0.0]


def test_crossed_ends_keep_all_pairs_or_none_as_in_transformers() -> None:
    assert kept_share(Decimal(0), Decimal(-3), 3).tolist() == [1.0, 1.0, 1.0]
    assert kept_share(Decimal(9), Decimal(5), 3).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("base", [1.0, 0.5])
def test_a_base_without_ever_slower_pairs_is_refused(base: float) -> None:
    with refuses(ValueError, "base", repr(base)):
        correction_range(Rope(8, base=base), 4096, 32.0, 1.0)
