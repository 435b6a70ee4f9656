"""Norm and rotation against sums in 80 digits, against each other, and bad input."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

import ropelab
from ropelab import Rope, apply_norm_rotary_qk, apply_rotary, widen
from ropelab.layouts import pair_channels
from ropelab.norm_rotary import rms_norm
from ropelab.positions import Consecutive, Packed
from ropelab.precision import eps, narrow
from tests.ropelab.counted import COUNTED
from tests.ropelab.support import DIGITS, bits, exact_cos_sin, numbers, refuses

B, S, H, D = 2, 3, 4, 12
IDS = np.array([[0, 131_071, -513], [2**31 - 1, 4096, 77]])
SPECTRUM = Rope(D, rotary_dim=8).spectrum()
DTYPES = ("float64", "float32", "float16", "bfloat16")


def true_norm(
    x: NDArray[np.float64], weight: NDArray[np.float64], added: float, groups: int
) -> NDArray[np.float64]:
    """Norm a (B, S, H, D) tensor in 80 digits, over `groups` heads together, rounded once."""
    with mpmath.workdps(DIGITS):
        rows = x.reshape(-1, groups * D)
        factors = np.broadcast_to(weight, (H, D)).reshape(-1, groups * D)
        result = []
        for i, row in enumerate(rows):
            members = [mpmath.mpf(value) for value in row]
            root = mpmath.sqrt(mpmath.fsum(m * m for m in members) / len(members) + added)
            scale = factors[i % len(factors)]
            result += [float(m / root * mpmath.mpf(w)) for m, w in zip(members, scale, strict=True)]
    return np.reshape(result, x.shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("across", [False, True])
def test_the_mean_square_is_that_of_80_digits(dtype: str, across: bool) -> None:
    x, weight = numbers(B, S, H, D), numbers(H if across else 1, D, seed=1) / 64
    given = narrow(weight, "float32") if across else weight[0]
    got = rms_norm(narrow(x, dtype), given, eps=0.5, across_heads=across)
    truth = true_norm(x, weight, 0.5, H if across else 1)
    assert got.dtype == narrow(x, dtype).dtype
    error = np.abs(widen(got) - truth) / np.abs(truth)
    assert error.max() <= eps(dtype) / 2 + 6 * eps("float64")


def test_the_rotation_follows_the_norm() -> None:
    q, k = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1)
    weights = numbers(D, seed=2), numbers(D, seed=3)
    options: dict[str, Any] = {"layout": "interleaved", "rotary_offset": 3, "angles": "float32"}
    got = apply_norm_rotary_qk(q, k, *weights, IDS, SPECTRUM, eps=2.0, weight_offset=1.0, **options)
    for x, weight, y in zip((q, k), weights, got, strict=True):
        normed = rms_norm(x, weight, eps=2.0, weight_offset=1.0)
        assert bits(y) == bits(apply_rotary(normed, IDS, SPECTRUM, **options))


def test_one_rounding_not_two() -> None:
    q = narrow(numbers(1, 40, 8, D), "bfloat16")
    got = apply_norm_rotary_qk(q, q, None, None, np.arange(40), SPECTRUM)[0]
    exact = apply_rotary(rms_norm(widen(q)), np.arange(40), SPECTRUM)
    assert bits(got) == bits(narrow(exact, "bfloat16"))
    assert bits(got) != bits(apply_rotary(rms_norm(q), np.arange(40), SPECTRUM))


STORED = (*DTYPES, "float8_e4m3fn", "float8_e5m2")


@pytest.mark.parametrize("target", STORED)
@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("across", [False, True])
def test_results_in_another_format_and_over_scales(source: str, target: str, across: bool) -> None:
    q, k = (narrow(numbers(B, S, heads, D, seed=heads), source) for heads in (H, 1))
    weights = [numbers(heads, D, seed=heads) / 64 for heads in (H if across else 1, 1)]
    given: Any = weights if across else [weight[0] for weight in weights]
    ids, scales = IDS % 2**17, (0.37, 3.0)
    options: dict[str, Any] = {"eps": 0.5, "weight_offset": 1.0, "across_heads": across}
    asked: Any = (q, k, *given, ids, SPECTRUM)
    ours = apply_norm_rotary_qk(*asked, dtype=target, scale=scales, **options)
    cos, sin = (table[:, :, np.newaxis] for table in exact_cos_sin(ids, SPECTRUM.inv_freq.tolist()))
    drift = 2.0**17 * 2 * np.pi * 2.0**-65  # of 64-bit turns
    # Of the smallest numbers of eight bits, half their steps, which are equal.
    step = {"float8_e4m3fn": 2.0**-10, "float8_e5m2": 2.0**-17}.get(target, 0.0)
    for got, x, weight, scale in zip(ours, (q, k), weights, scales, strict=True):
        assert got.dtype == narrow(np.zeros(1), target).dtype
        y = true_norm(widen(x), weight + 1.0, 0.5, x.shape[2] if across else 1) / scale
        a, b = (y[..., :8][..., c] for c in pair_channels("half", 8))
        true = np.concatenate([a * cos - b * sin, b * cos + a * sin, y[..., 8:]], axis=-1)
        size = np.concatenate([np.hypot(a, b), np.hypot(a, b), np.abs(y[..., 8:])], axis=-1)
        allowed = (eps(target) / 2 + 14 * eps("float64") + drift) * size + step
        assert (np.abs(widen(got) - true) <= allowed).all()


def test_the_format_that_came_is_stored_by_default() -> None:
    q, k = (ml_dtypes.bfloat16(numbers(B, S, heads, D, seed=heads)) for heads in (H, 1))
    given = (None, None, IDS, SPECTRUM)
    for y, scaled, x in zip(
        apply_norm_rotary_qk(q, k, *given),
        apply_norm_rotary_qk(q, k, *given, scale=(0.5, 0.25)),
        (q, k),
        strict=True,
    ):
        assert y.dtype == scaled.dtype == x.dtype
        factor = 2.0 if x is q else 4.0
        np.testing.assert_array_equal(widen(scaled), factor * widen(y))


@pytest.mark.parametrize(("place", "ids"), COUNTED)
def test_positions_that_are_said(place: Any, ids: list[Any]) -> None:
    q, k, weight = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1), numbers(D, seed=2)
    options: dict[str, Any] = {"eps": 2.0}
    if isinstance(place, Packed):
        q, k, options["tensor_format"] = q.reshape(-1, H, D), k.reshape(-1, 1, D), "thd"
    said = apply_norm_rotary_qk(q, k, weight, None, place, SPECTRUM, **options)
    listed = apply_norm_rotary_qk(q, k, weight, None, ids, SPECTRUM, **options)
    assert [bits(y) for y in said] == [bits(y) for y in listed]


@pytest.mark.parametrize(
    ("tensor_format", "axes"), [("bhsd", (0, 2, 1, 3)), ("sbhd", (1, 0, 2, 3))]
)
@pytest.mark.parametrize("across", [False, True])
def test_the_order_of_axes_changes_nothing(
    tensor_format: str, axes: tuple[int, ...], across: bool
) -> None:
    q, k = numbers(B, S, H, D), numbers(B, S, 2, D, seed=1)
    weights = [numbers(h, D, seed=h)[: None if across else 1] for h in (H, 2)]
    q_weight, k_weight = weights if across else [weight[0] for weight in weights]
    plain = apply_norm_rotary_qk(q, k, q_weight, k_weight, IDS, SPECTRUM, across_heads=across)
    turned = apply_norm_rotary_qk(
        q.transpose(axes),
        k.transpose(axes),
        q_weight,
        k_weight,
        IDS,
        SPECTRUM,
        across_heads=across,
        tensor_format=tensor_format,
    )
    for one, other in zip(plain, turned, strict=True):
        np.testing.assert_allclose(other, one.transpose(axes), rtol=4 * eps("float64"))


def test_weights_of_all_heads_may_be_flat() -> None:
    x, weight = numbers(B, S, H, D), numbers(H, D, seed=1)
    shaped = rms_norm(x, weight, across_heads=True)
    assert bits(rms_norm(x, weight.reshape(-1), across_heads=True)) == bits(shaped)


def test_heads_of_zeros_stay_zeros_if_eps_is_positive() -> None:
    x = numbers(1, 1, 2, D)
    x[..., 0, :] = 0.0
    assert (rms_norm(x)[..., 0, :] == 0.0).all()
    assert np.isnan(rms_norm(x, eps=0.0)[..., 0, :]).all()
    assert np.isfinite(rms_norm(x, eps=0.0)[..., 1, :]).all()


def test_a_head_of_any_size_is_normed_to_the_same() -> None:
    x = narrow(numbers(1, 1, 2, D) * 512.0, "float16")  # up to 65,024, whose square is infinite
    assert np.isfinite(widen(rms_norm(x))).all()
    small = widen(x) * 2.0**-300
    exact = rms_norm(widen(x), eps=0.0)
    np.testing.assert_allclose(rms_norm(small, eps=0.0), exact, rtol=2 * eps("float64"))


def test_no_weight_has_no_offset() -> None:
    q, k = numbers(1, 3, H, D), numbers(1, 3, 1, D)
    plain = apply_norm_rotary_qk(q, k, None, None, IDS[0], SPECTRUM)
    offset = apply_norm_rotary_qk(q, k, None, np.zeros(D), IDS[0], SPECTRUM, weight_offset=1.0)
    assert [bits(y) for y in offset] == [bits(y) for y in plain]


def test_no_heads_and_no_tokens() -> None:
    q, k = np.empty((B, S, 0, D)), np.empty((B, S, 1, D))
    weights = np.ones((0, D)), np.ones((1, D))
    got = apply_norm_rotary_qk(q, k, *weights, IDS, SPECTRUM, across_heads=True)
    assert [y.shape for y in got] == [q.shape, k.shape]
    assert rms_norm(np.empty((0, S, H, D), np.float32)).shape == (0, S, H, D)


def test_the_input_is_left_alone() -> None:
    q = numbers(B, S, H, D)
    before = q.copy()
    apply_norm_rotary_qk(q, q, numbers(D), None, IDS, SPECTRUM)
    assert bits(q) == bits(before)


@pytest.mark.parametrize(
    ("kind", "name", "came", "change"),
    [
        (ValueError, "q_weight", "(11,)", {"q_weight": np.ones(D - 1)}),
        (ValueError, "q_weight", "(4, 12)", {"q_weight": np.ones((H, D))}),
        (ValueError, "k_weight", "(1, 12)", {"k_weight": np.ones((1, D))}),
        (ValueError, "q_weight", "(12,)", {"across_heads": True}),
        (TypeError, "k_weight", "int", {"k_weight": np.ones(D, int)}),
        (ValueError, "eps", "-1e-06", {"eps": -1e-6}),
        (ValueError, "eps", "nan", {"eps": np.nan}),
        (TypeError, "eps", "'1e-6'", {"eps": "1e-6"}),
        (ValueError, "weight_offset", "inf", {"weight_offset": np.inf}),
        (TypeError, "weight_offset", "True", {"weight_offset": True}),
        (TypeError, "across_heads", "1", {"across_heads": 1}),
        (ValueError, "layout", "neox", {"layout": "neox"}),
        (ValueError, "rotary_offset", "5", {"rotary_offset": 5}),
        (ValueError, "k", "got 10", {"k": np.ones((B, S, 1, D - 2))}),
        (ValueError, "position_ids", "(2, 4)", {"position_ids": np.zeros((B, S + 1), int)}),
        (ValueError, "position_ids", "'thd'", {"position_ids": Packed([0, 6])}),
        (ValueError, "offset", "(3,)", {"position_ids": Consecutive([1, 2, 3])}),
        (TypeError, "dtype", "int8", {"dtype": "int8"}),
        (ValueError, "scale", "0.0", {"scale": 0.0}),
        (ValueError, "scale", "got 3", {"scale": (1.0, 2.0, 3.0)}),
        (ValueError, "scale[1]", "-2.0", {"scale": (1.0, -2.0)}),
        (TypeError, "scale[0]", "'1'", {"scale": ("1", 1.0)}),
    ],
)
def test_bad_input_is_refused(
    kind: type[Exception], name: str, came: str, change: dict[str, Any]
) -> None:
    given: dict[str, Any] = {
        "q": np.ones((B, S, H, D)),
        "k": np.ones((B, S, 1, D)),
        "q_weight": np.ones(D),
        "k_weight": np.ones(D),
        "position_ids": IDS,
        "spectrum": SPECTRUM,
    }
    with refuses(kind, name, came):
        ropelab.apply_norm_rotary_qk(**{**given, **change})


def test_a_norm_alone_names_its_own_arguments() -> None:
    with refuses(ValueError, "weight", "(3,)"):
        rms_norm(np.ones((B, S, H, D)), np.ones(3))
    with refuses(ValueError, "x", "(2, 3)"):
        rms_norm(np.ones((2, 3)))
