"""Every rule against its formula in mpmath, and against the numbers that were published for it."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import SCALINGS, Default, DynamicNTK, Linear, Llama3, NTKAware
from ropelab.scaling.ntk import ntk_alpha, ntk_base
from ropelab.scaling.power import power
from tests.ropelab.support import refuses

LLAMA_3_1 = Llama3(8.0, 1.0, 4.0, 8192)
LLAMA_3_2 = Llama3(32.0, 1.0, 4.0, 8192)
LLAMA_4_SCOUT = Llama3(16.0, 1.0, 1.0, 8192)


def progression(rotary_dim: int, base: mpmath.mpf) -> list[mpmath.mpf]:
    return [mpmath.mpf(base) ** (-mpmath.mpf(2 * i) / rotary_dim) for i in range(rotary_dim // 2)]


@pytest.mark.parametrize("base", [1e4, 5e5, 1_000_042.0, 0.3, 7.1])
@pytest.mark.parametrize("exponent", [Fraction(-2, 3), Fraction(-63, 64), Fraction(128, 126)])
def test_power_is_correctly_rounded(base: float, exponent: Fraction) -> None:
    with mpmath.workdps(60):
        truth = mpmath.mpf(base) ** (mpmath.mpf(exponent.numerator) / exponent.denominator)
        assert power(base, exponent) == float(truth)


@pytest.mark.parametrize(("rotary_dim", "base"), [(128, 1e4), (96, 1e4), (64, 150_000.0), (2, 7.0)])
def test_default_is_the_correctly_rounded_progression(rotary_dim: int, base: float) -> None:
    with mpmath.workdps(60):
        truth = [float(speed) for speed in progression(rotary_dim, base)]
    assert Rope(rotary_dim, base=base, scaling=Default()).spectrum().inv_freq.tolist() == truth


@pytest.mark.parametrize("factor", [1.0, 3.0, 8.0, 40.0])
def test_linear_divides_every_frequency(factor: float) -> None:
    with mpmath.workdps(60):
        truth = np.array([float(speed / mpmath.mpf(factor)) for speed in progression(96, 1e4)])
    inv_freq = Rope(96, scaling=Linear(factor)).spectrum().inv_freq
    np.testing.assert_array_max_ulp(inv_freq, truth, maxulp=1)  # it rounds twice


# b' = b * alpha ** (d / (d - 2)), "NTK-aware scaled RoPE" (2023); HunYuan: its base as llama.cpp
# stores it in converted models.
@pytest.mark.parametrize(
    ("alpha", "published"),
    [
        (2.0, 20_221.2617),
        (4.0, 40_889.9424),
        (8.0, 82_684.6226),
        (1000.0, 11_158_839.9251),
    ],
)
def test_the_ntk_base_is_the_published_one(alpha: float, published: float) -> None:
    assert round(ntk_base(10_000.0, alpha, 128), 4) == published
    # The rule itself: its second frequency is base ** (-2 / d).
    second = Rope(128, scaling=NTKAware(alpha)).spectrum().inv_freq[1]
    assert round(second**-64, 4) == published


@pytest.mark.parametrize("rotary_dim", [4, 96, 128])
def test_the_stretch_of_a_base_is_that_whose_base_it_is(rotary_dim: int) -> None:
    # LongRoPE2's base for Llama-3-8B at 128k tokens, and one that is smaller
    for base, other in ((5e5, 7.976e7), (1e6, 1e4)):
        alpha = ntk_alpha(base, other, rotary_dim)
        with mpmath.workdps(40):
            truth = (mpmath.mpf(other) / mpmath.mpf(base)) ** (
                mpmath.mpf(rotary_dim - 2) / rotary_dim
            )
        assert alpha == pytest.approx(float(truth), rel=1e-15)
        assert ntk_base(base, alpha, rotary_dim) == pytest.approx(other, rel=1e-14)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((1e4, 2e4, 2), "rotary_dim"), ((0.0, 1e4, 8), "base"), ((1e4, -1.0, 8), "larger")],
)
def test_no_stretch_makes_such_a_base(arguments: tuple[float, float, int], name: str) -> None:
    with refuses(ValueError, name):
        ntk_alpha(*arguments)
    with refuses(ValueError, "larger / base", "inf"):
        ntk_alpha(1e-308, 1e308, 8)


@pytest.mark.parametrize("alpha", [2.0, 5.5, 1000.0])
@pytest.mark.parametrize("rotary_dim", [4, 96, 128])
def test_ntk_divides_the_last_frequency_by_alpha_and_keeps_the_first(
    alpha: float, rotary_dim: int
) -> None:
    inv_freq = Rope(rotary_dim, scaling=NTKAware(alpha)).spectrum().inv_freq
    with mpmath.workdps(60):
        last = float(progression(rotary_dim, 1e4)[-1] / mpmath.mpf(alpha))
    assert inv_freq[0] == 1.0
    # The base is rounded twice, which the exponent (below one) passes on, and the power once.
    np.testing.assert_array_max_ulp(inv_freq[-1:], np.array([last]), maxulp=3)


# Base multipliers reported in vllm#5093 for d = 64, factor 4.
@pytest.mark.parametrize(("times", "multiplier"), [(1, 1.0), (2, 5.26644), (4, 14.12138)])
def test_dynamic_ntk_multiplies_the_base_as_published(times: int, multiplier: float) -> None:
    rope = Rope(64, scaling=DynamicNTK(4.0), max_position_embeddings=2048)
    second = float(rope.spectrum(2048 * times).inv_freq[1])
    assert round(second**-32 / 10_000.0, 5) == multiplier


@pytest.mark.parametrize("seq_len", [1, 4095, 4096])
def test_dynamic_ntk_leaves_lengths_up_to_the_trained_one_alone(seq_len: int) -> None:
    rope = Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
    plain = Rope(128).spectrum()
    assert rope.spectrum(seq_len) == rope.spectrum() == plain


# The last frequency of the module of Transformers 5.23.0, run in float32.
@pytest.mark.parametrize(
    ("seq_len", "last"), [(4097, 1.15422e-4), (6000, 5.9843e-5), (8192, 3.8493e-5)]
)
def test_dynamic_ntk_scales_from_the_next_token_on(seq_len: int, last: float) -> None:
    rope = Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
    assert rope.spectrum(seq_len).inv_freq[-1] == pytest.approx(last, rel=2e-5)


def branches(rope: Rope, rule: Llama3) -> list[mpmath.mpf]:
    """Meta's apply_scaling, with its three branches on the wavelength."""
    length, low, high = (
        rule.original_max_position_embeddings,
        rule.low_freq_factor,
        rule.high_freq_factor,
    )
    speeds = []
    for speed in progression(rope.rotary_dim, rope.base):
        wavelength = 2 * mpmath.pi / speed
        if wavelength < length / mpmath.mpf(high):
            speeds.append(speed)
        elif wavelength > length / mpmath.mpf(low):
            speeds.append(speed / rule.factor)
        else:
            smooth = (length / wavelength - low) / (mpmath.mpf(high) - low)
            speeds.append((1 - smooth) * speed / rule.factor + smooth * speed)
    return speeds


@pytest.mark.parametrize(
    ("head_dim", "rule"),
    [
        pytest.param(128, LLAMA_3_1, id="Llama-3.1"),
        pytest.param(64, LLAMA_3_2, id="Llama-3.2-1B"),
        pytest.param(128, LLAMA_4_SCOUT, id="Llama-4-Scout"),
        pytest.param(96, Llama3(16.0, 0.125, 0.5, 1024), id="uneven"),
    ],
)
def test_llama3_is_metas_three_branches(head_dim: int, rule: Llama3) -> None:
    rope = Rope(head_dim, base=500_000.0, scaling=rule)
    with mpmath.workdps(60):
        truth = np.array([float(speed) for speed in branches(rope, rule)])
    # Around eight roundings, of which those of the subtracted r_low weigh double at most.
    np.testing.assert_allclose(rope.spectrum().inv_freq, truth, rtol=8 * 2.0**-52, atol=0.0)


# Transformers 5.23.0 in float32, at indices 0, 1, n/4, n/2, 3n/4, n-1; the sum.
@pytest.mark.parametrize(
    ("rope", "seq_len", "values", "total"),
    [
        pytest.param(
            Rope(128),
            None,
            [1, 0.865964353, 0.100000001, 0.00999999978, 0.00100000005, 0.000115478193],
            7.4599542,
            id="default",
        ),
        pytest.param(
            Rope(128, scaling=Linear(4.0)),
            None,
            [0.25, 0.216491088, 0.0250000004, 0.00249999994, 0.000250000012, 2.88695483e-05],
            1.86498855,
            id="linear",
        ),
        pytest.param(
            Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096),
            8192,
            [1, 0.850994289, 0.0756530315, 0.00572338188, 0.00043299119, 3.84927334e-05],
            6.71093241,
            id="dynamic",
        ),
        pytest.param(
            Rope(128, base=5e5, scaling=LLAMA_3_1),
            None,
            [1, 0.814617217, 0.0376060307, 0.000524846022, 6.64786967e-06, 3.06892588e-07],
            5.38605826,
            id="Llama-3.1",
        ),
        pytest.param(
            Rope(64, base=5e5, scaling=LLAMA_3_2),
            None,
            [1, 0.663601279, 0.0376060307, 0.000429556705, 1.66196742e-06, 9.41830649e-08],
            2.9682024,
            id="Llama-3.2-1B",
        ),
        pytest.param(
            Rope(128, base=5e5, scaling=LLAMA_4_SCOUT),
            None,
            [1, 0.814617217, 0.0376060307, 0.00141421345, 3.32393483e-06, 1.53446294e-07],
            5.39037793,
            id="Llama-4-Scout",
        ),
    ],
)
def test_the_frequencies_are_the_golden_values_of_transformers(
    rope: Rope, seq_len: int | None, values: list[float], total: float
) -> None:
    inv_freq = rope.spectrum(seq_len).inv_freq
    n = inv_freq.size
    got = inv_freq[[0, 1, n // 4, n // 2, 3 * n // 4, n - 1]]
    # Transformers' float32 formula stays within 2 ulp of the truth (d is a power of two), but for a
    # blended pair: there, r_low is subtracted from seven roundings of half an ulp each, which then
    # weigh threefold in the sum.
    unscaled = Rope(rope.rotary_dim, base=rope.base).spectrum().inv_freq
    quotient = (unscaled / inv_freq)[[0, 1, n // 4, n // 2, 3 * n // 4, n - 1]]
    blended = isinstance(rope.scaling, Llama3) & (quotient > 1.0) & (quotient < quotient.max())
    ulps = np.where(blended, 8, 2)
    assert (np.abs(got - values) <= ulps * 2.0**-23 * got).all()
    assert inv_freq.sum() == pytest.approx(total, rel=1e-7)


def test_no_rule_here_scales_cos_and_sin() -> None:
    for rule in (Default(), Linear(4.0), NTKAware(4.0), DynamicNTK(2.0), LLAMA_3_1):
        spectrum = Rope(64, scaling=rule, max_position_embeddings=64).spectrum(999)
        assert (spectrum.attention_factor, spectrum.softmax_factor) == (1.0, 1.0)


def test_the_registry_is_read_only_and_names_every_rule() -> None:
    expected = {
        "default": Default,
        "dynamic": DynamicNTK,
        "linear": Linear,
        "llama3": Llama3,
        "ntk_alpha": NTKAware,
    }
    assert {name: SCALINGS[name] for name in expected} == expected
    with pytest.raises(TypeError):
        SCALINGS["linear"] = Default  # type: ignore[index]


@pytest.mark.parametrize(
    ("rule", "name"), [(Linear, "factor"), (DynamicNTK, "factor"), (NTKAware, "alpha")]
)
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("2", TypeError),
        (True, TypeError),
        (None, TypeError),
        (float("nan"), ValueError),
        (0.0, ValueError),
        (-2.0, ValueError),
    ],
)
def test_a_stretch_that_is_no_positive_number_is_refused(
    rule: type[Linear], name: str, value: object, kind: type[Exception]
) -> None:
    with refuses(kind, name, repr(value)):
        rule(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "kind", "name", "came"),
    [
        ({"factor": "8"}, TypeError, "factor", "'8'"),
        ({"low_freq_factor": 0.0}, ValueError, "low_freq_factor", "0.0"),
        ({"high_freq_factor": 0.5}, ValueError, "high_freq_factor", "0.5"),
        (
            {"original_max_position_embeddings": 8192.0},
            TypeError,
            "original_max_position_embeddings",
            "8192.0",
        ),
        (
            {"original_max_position_embeddings": 0},
            ValueError,
            "original_max_position_embeddings",
            "0",
        ),
    ],
)
def test_llama3_refuses_parameters_out_of_range(
    changed: dict[str, object], kind: type[Exception], name: str, came: str
) -> None:
    good = {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    with refuses(kind, name, came):
        Llama3(**{**good, **changed})  # type: ignore[arg-type]


def test_dynamic_ntk_says_what_it_misses() -> None:
    with refuses(ValueError, "max_position_embeddings", "DynamicNTK", "None"):
        Rope(64, scaling=DynamicNTK(2.0)).spectrum(4096)
    with refuses(ValueError, "factor", "0.0"):
        DynamicNTK(0.0)


def test_dynamic_ntk_takes_a_factor_below_one_as_transformers_does() -> None:
    # alpha = 1 + s (L / Lmax - 1) stays above 1; the last pair is slowed by just that: 1.5 here.
    plain, rope = Rope(64), Rope(64, scaling=DynamicNTK(0.5), max_position_embeddings=4096)
    ratio = plain.spectrum().inv_freq[-1] / rope.spectrum(8192).inv_freq[-1]
    assert ratio == pytest.approx(1.5, rel=1e-14)


@pytest.mark.parametrize("rule", [NTKAware(2.0), DynamicNTK(2.0)])
def test_ntk_refuses_a_single_pair(rule: NTKAware | DynamicNTK) -> None:
    with refuses(ValueError, "rotary_dim", "2"):
        Rope(2, scaling=rule, max_position_embeddings=8).spectrum(9)


def test_ntk_refuses_a_stretch_whose_base_overflows() -> None:
    # An infinite base would stop every pair but the first, in silence.
    with refuses(ValueError, "alpha", "1e+308"):
        Rope(8, scaling=NTKAware(1e308)).spectrum()
