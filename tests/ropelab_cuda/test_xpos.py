"""xPos's kernel on the CPU, against the specification and 80 digits."""

from __future__ import annotations

from itertools import product
from typing import Any
from unittest import mock

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.layouts import pair_channels
from ropelab.precision import eps, narrow, widen
from ropelab_cuda import calls
from tests.ropelab.support import DIGITS, refuses
from tests.shim.on_cpu import guarded, on_cpu

pytestmark = pytest.mark.shim

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = ("half", "interleaved")
# eps of the output a pair may err: the bounds of the goldens, whose reasons stand there. float64
# has the rounding of the specification's own scale on top, up to the fifth power of its base.
BOUNDS = {"float64": 4.5 + 5.0 * (0.5 + 0.63), "float32": 3.0, "float16": 1.01, "bfloat16": 1.01}
STILL = ropelab.Spectrum(np.full(6, 1e-300))  # no position turns it: what is left is the scale

Array = NDArray[Any]


def random(*shape: int, dtype: str, seed: int = 0) -> Array:
    return narrow(np.random.default_rng(seed).standard_normal(shape), dtype)


def spectrum(rotary_dim: int, **options: Any) -> ropelab.Spectrum:
    return ropelab.Spectrum(1e4 ** (-np.arange(0, rotary_dim, 2) / rotary_dim), **options)


def pair_error(actual: Array, expected: Array, layout: str, rotary_dim: int) -> float:
    """Return the worst error of a pair over its norm, in eps; the tails must agree bit for bit."""
    assert actual.dtype == expected.dtype
    assert actual[..., rotary_dim:].tobytes() == expected[..., rotary_dim:].tobytes()
    channels = pair_channels(layout, rotary_dim)
    got, want = ([widen(side[..., c]) for c in channels] for side in (actual, expected))
    error = np.hypot(got[0] - want[0], got[1] - want[1]) / np.hypot(*want)
    assert np.isfinite(error).all()
    return float(error.max(initial=0.0)) / eps(expected.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tensor_format", ["bshd", "bhsd", "sbhd", "thd"])
def test_queries_and_keys_of_different_heads_in_one_launch(
    dtype: str, layout: str, tensor_format: str
) -> None:
    sizes = {"b": 2, "s": 5, "t": 7, "d": 24}
    q, k = (
        random(*({**sizes, "h": heads}[axis] for axis in tensor_format), dtype=dtype, seed=heads)
        for heads in (9, 2)
    )
    tokens = (7,) if tensor_format == "thd" else (2, 5)
    ids = np.random.default_rng(3).integers(-900, 1800, tokens)
    numbers = spectrum(16, attention_factor=1.25)
    for inverse, angles in product((False, True), ("exact", "float32")):
        options: dict[str, Any] = {"layout": layout, "tensor_format": tensor_format}
        options |= {"inverse": inverse, "angles": angles, "centre": 333, "scale_base": 300.5}
        wanted = ropelab.apply_xpos_qk(q, k, ids, numbers, **options)
        with on_cpu():
            new = ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, **options)
            places = q.copy(), k.copy()
            ropelab_cuda.apply_xpos_qk_(*places, ids, numbers, **options)
            outs = guarded(q.shape, q.dtype), guarded(k.shape, k.dtype)
            assert ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, out=outs, **options) == outs
        for got, place, out, want in zip(new, places, outs, wanted, strict=True):
            assert pair_error(got, want, layout, 16) <= BOUNDS[dtype]
            assert got.tobytes() == place.tobytes() == out.tobytes()


# Bounds of what is not held in the arithmetic's own format: one eps near a tie.
STORED = {**BOUNDS, "float8_e4m3fn": 1.01, "float8_e5m2": 1.01}


@pytest.mark.parametrize("target", STORED)
@pytest.mark.parametrize("source", DTYPES)
def test_results_in_another_format_and_over_scales(source: str, target: str) -> None:
    """Every format into every other; one scale is a number, the other lies on the device."""
    ids = np.array([[45_999, 47_001, 46_077], [46_511, 48_999, 45_003]])
    q, k = (random(2, 3, heads, 23, dtype=source, seed=heads) for heads in (9, 2))
    numbers, number = spectrum(16, attention_factor=1.25), np.array([0.03], np.float32)
    for layout, inverse in zip(LAYOUTS, (True, False), strict=True):
        options: dict[str, Any] = {"layout": layout, "inverse": inverse, "dtype": target}
        options |= {"centre": 46_777, "scale_base": 8192.0}
        wanted = ropelab.apply_xpos_qk(q, k, ids, numbers, scale=(float(number[0]), 0.3), **options)
        outs = tuple(guarded(want.shape, want.dtype) for want in wanted)
        options["scale"] = (number, 0.3)
        with on_cpu():
            new = ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, **options)
            assert ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, out=outs, **options) == outs
        for got, out, want in zip(new, outs, wanted, strict=True):
            assert got.tobytes() == out.tobytes()
            if target in ("float32", "float64"):
                # Times the inverse of the scale, which is rounded as the product is: two halves of
                # an eps, and a third by which the specification's own quotient is.
                tails = got[..., 16:], want[..., 16:]
                np.testing.assert_allclose(*tails, rtol=2 * eps(target))
                got[..., 16:] = want[..., 16:]
            # Positions that float64's turns of 64 bits are too coarse for.
            drift = 48_999 * 2 * np.pi * 2.0**-65 / eps(target)
            assert pair_error(got, want, layout, 16) <= STORED[target] + 1.0 + drift


def test_an_output_of_another_format_is_refused_and_nothing_is_written() -> None:
    q, k = random(2, 3, 4, 12, dtype="float32"), random(2, 3, 1, 12, dtype="float32")
    outs = np.zeros_like(q), np.zeros_like(k)
    half = np.zeros(k.shape, np.float16)
    scale = outs[1].reshape(-1)[5:6]
    wrong: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (outs, {"dtype": "float16"}, TypeError, "out[0]"),
        ((outs[0], half), {}, TypeError, "out[1]"),
        (outs, {"scale": (1.0, scale)}, ValueError, "out[1]"),
    ]
    for out, options, error, name in wrong:
        with on_cpu(), refuses(error, name):
            ropelab_cuda.apply_xpos_qk(q, k, np.arange(3), spectrum(12), out=out, **options)
    assert not any(x.any() for x in (*outs, half))


def test_what_is_refused_of_storage_is_said_as_for_a_rotation() -> None:
    q, k = torch.ones(1, 3, 2, 12), torch.ones(1, 3, 1, 12)
    given, numbers = (q, k, torch.arange(3)), spectrum(12)
    for options in (
        *({"dtype": "int8"}, {"scale": 0.0}, {"scale": (1.0, -2)}, {"scale": (1, 2, 3)}),
        *({"scale": "1"}, {"scale": torch.ones(2)}, {"scale": torch.ones(1).double()}),
    ):
        said = []
        for function in (ropelab_cuda.apply_rotary_qk, ropelab_cuda.apply_xpos_qk):
            asked: Any = function
            with on_cpu(), pytest.raises((TypeError, ValueError)) as caught:
                asked(*given, numbers, **options)
            said.append((caught.type, str(caught.value)))
        assert said[0] == said[1]


def scaled(distances: Array, dtype: str = "float64", **options: Any) -> tuple[Array, Array]:
    """Return what the kernel makes of ones: the scale and its inverse, (distances, 6)."""
    ones = narrow(np.ones((len(distances), 1, 12)), dtype)
    with on_cpu():
        q, k = ropelab_cuda.apply_xpos_qk(
            ones, ones, distances, STILL, tensor_format="thd", **options
        )
    np.testing.assert_array_equal(q[..., :6], q[..., 6:])
    return q[:, 0, :6], k[:, 0, :6]


@pytest.mark.parametrize("scale_base", [512.0, 300.5, 7.0, 1e18])
def test_the_scale_is_within_two_ulp_wherever_float64_holds_it(scale_base: float) -> None:
    steps = np.r_[0, 1, -1, 77, np.random.default_rng(5).integers(-2200, 2200, 60)]
    farthest = scale_base * 1021 / np.log2(3.5)
    ids = (steps / 2200 * min(farthest, 2.0**62)).astype(np.int64)
    q, k = scaled(ids, scale_base=scale_base)
    with mpmath.workdps(DIGITS):
        zeta = [(mpmath.mpf(i) / 6 + mpmath.mpf("0.4")) / mpmath.mpf("1.4") for i in range(6)]
        truth = [[z ** (mpmath.mpf(int(m)) / mpmath.mpf(scale_base)) for z in zeta] for m in ids]
        for answers, sign in ((q, 1), (k, -1)):
            errors = [
                abs(mpmath.mpf(float(value)) / t**sign - 1)
                for row, truths in zip(answers, truth, strict=True)
                for value, t in zip(row, truths, strict=True)
            ]
            assert max(errors) <= 1.5 * eps("float64")
    assert q[0].tolist() == k[0].tolist() == [1.0] * 6


def test_the_distance_is_exact_where_a_float64_skips_integers() -> None:
    away = np.array([-1801, -1, 0, 1, 1300])
    near = scaled(away)
    for centre in (2**60 + 1, -(2**60) - 1, 2**62 - 5):
        for got, want in zip(scaled(away + centre, centre=centre), near, strict=True):
            assert got.tobytes() == want.tobytes()
    ids = np.array([2**63 - 1, -(2**63)])
    for got, want in zip(
        scaled(ids, scale_base=2.0**60), scaled(np.array([8, -8]), scale_base=1.0), strict=True
    ):
        assert got.tobytes() == want.tobytes()
    q, _ = scaled(ids, centre=2**64, scale_base=2.0**60)  # 2**63 and 3 * 2**63 tokens before it
    np.testing.assert_allclose(q[:, 0], 3.5 ** np.array([8.0, 24.0]), rtol=1e-14)


def test_what_is_too_far_saturates() -> None:
    """The specification refuses it; positions on the device cannot be looked at without a wait."""
    far = np.array([400_000, -400_000, 2**63 - 1, -(2**63)])
    with refuses(ValueError, "position_ids"):
        x = np.ones((4, 1, 12))
        ropelab.apply_xpos_qk(x, x, far, STILL, tensor_format="thd")
    for scale_base in (512.0, 5e-324):
        q, k = (x[:, 0] for x in scaled(far, scale_base=scale_base))
        assert q[::2].tolist() == k[1::2].tolist() == [0.0, 0.0]
        assert not np.isfinite([*q[1::2], *k[::2]]).any()
    at_the_centre, _ = scaled(np.array([7]), scale_base=5e-324, centre=7)
    assert at_the_centre.tolist() == [[1.0] * 6]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_scale_beyond_float32_of_numbers_within_it(dtype: str, layout: str) -> None:
    ids = np.array([47_000, 48_877, 45_001])
    q, k = (
        narrow(np.ldexp(np.random.default_rng(s).standard_normal((3, h, 12)), power), dtype)
        for s, h, power in ((0, 5, 100), (1, 2, -100))
    )
    numbers = spectrum(12)
    options: dict[str, Any] = {"layout": layout, "tensor_format": "thd"}
    scale = ropelab.xpos.xpos_scale(ids, 12)
    assert scale.min() < 2.0**-150  # less than any float32
    wanted = ropelab.apply_xpos_qk(q, k, ids, numbers, **options)
    with on_cpu():
        actual = ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, **options)
    for got, want in zip(actual, wanted, strict=True):
        assert pair_error(got, want, layout, 12) <= BOUNDS[dtype]


def test_periods_turn_a_pair_and_not_its_scale() -> None:
    numbers = spectrum(12, periods=np.array([6, 7, 0, 44, 0, 6283]))
    ids = np.array([3, 70_001, -5, 65_536])
    q, k = random(4, 3, 12, dtype="float32"), random(4, 1, 12, dtype="float32", seed=1)
    options: dict[str, Any] = {"tensor_format": "thd", "scale_base": 4096.0}
    wanted = ropelab.apply_xpos_qk(q, k, ids, numbers, **options)
    with on_cpu():
        actual = ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, **options)
    for got, want in zip(actual, wanted, strict=True):
        assert pair_error(got, want, "half", 12) <= BOUNDS["float32"]


def test_views_of_a_packed_projection_in_place() -> None:
    packed = random(2, 5, 9, 20, dtype="float16")
    before, ids = packed.copy(), np.arange(5) * 31
    with on_cpu():
        ropelab_cuda.apply_xpos_qk_(packed[:, :, :6], packed[:, :, 6:8], ids, spectrum(12))
    wanted = ropelab.apply_xpos_qk(before[:, :, :6], before[:, :, 6:8], ids, spectrum(12))
    for got, want in zip((packed[:, :, :6], packed[:, :, 6:8]), wanted, strict=True):
        assert pair_error(got, want, "half", 12) <= BOUNDS["float16"]
    assert packed[:, :, 8].tobytes() == before[:, :, 8].tobytes()


def test_another_base_or_centre_is_another_plan() -> None:
    q, k, ids = torch.randn(1, 3, 4, 12), torch.randn(1, 3, 2, 12), torch.tensor([70, 800, 9])
    numbers = spectrum(12)
    several: list[dict[str, Any]] = [{}, {"centre": 500}, {"scale_base": 99.5}, {"inverse": True}]
    whole_way = mock.patch("ropelab_cuda.calls.take_tensors", wraps=calls.take_tensors)
    with on_cpu(), whole_way as taken:
        for options in several * 2:
            wanted = ropelab.apply_xpos_qk(q.numpy(), k.numpy(), ids.numpy(), numbers, **options)
            places = q.clone(), k.clone()
            ropelab_cuda.apply_xpos_qk_(*places, ids, numbers, **options)
            actual = ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, **options)
            for got, place, want in zip(actual, places, wanted, strict=True):
                assert pair_error(got.numpy(), want, "half", 12) <= BOUNDS["float32"]
                assert torch.equal(got, place)
    assert taken.call_count == 2 * len(several)  # the second time they are replayed


def test_another_storage_is_another_plan_and_scales_are_read_anew() -> None:
    q, k, ids = torch.randn(1, 3, 4, 12), torch.randn(1, 3, 2, 12), torch.tensor([70, 800, 9])
    numbers = spectrum(12)
    several: list[dict[str, Any]] = [{}, {"dtype": "float64"}, {"scale": 0.5}, {"scale": (2.0, 3)}]
    whole_way = mock.patch("ropelab_cuda.calls.take_tensors", wraps=calls.take_tensors)
    with on_cpu(), whole_way as taken:
        for number in (0.3, 7.0):
            on_device = (torch.tensor(number), torch.tensor([2 * number]))
            meant = {"scale": tuple(float(scale) for scale in on_device)}
            for options in (*several, {"scale": on_device}):
                told = meant if options.get("scale") is on_device else options
                wanted = ropelab.apply_xpos_qk(q.numpy(), k.numpy(), ids.numpy(), numbers, **told)
                actual = ropelab_cuda.apply_xpos_qk(q, k, ids, numbers, **options)
                for got, want in zip(actual, wanted, strict=True):
                    bound = STORED[str(want.dtype)] + 1.0
                    assert pair_error(got.numpy(), want, "half", 12) <= bound
    assert taken.call_count == len(several) + 1  # the second time they are replayed


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("spectrum", ropelab.Spectrum(np.ones(6), axes=[0, 1, 0, 1, 0, 1]), ValueError),
        ("spectrum", ropelab.Rope(12), TypeError),
        ("scale_base", 0.0, ValueError),
        ("scale_base", np.inf, ValueError),
        ("scale_base", "512", TypeError),
        ("centre", 0.5, TypeError),
        ("centre", 10**400, ValueError),
        ("layout", "gptj", ValueError),
        ("angles", "float16", ValueError),
        ("inverse", 1, TypeError),
        ("k", np.ones((2, 4, 1, 12), np.float32), ValueError),
        ("k", np.ones((2, 3, 1, 12), np.float64), TypeError),
    ],
)
def test_what_does_not_fit_is_refused(name: str, value: object, kind: type[Exception]) -> None:
    x = np.ones((2, 3, 1, 12), np.float32)
    good: dict[str, Any] = {"q": x, "k": x.copy(), "position_ids": np.arange(3)}
    good["spectrum"] = spectrum(12)
    for function in (ropelab_cuda.apply_xpos_qk, ropelab_cuda.apply_xpos_qk_):
        with on_cpu(), refuses(kind, name):
            function(**{**good, name: value})
    assert (x == 1.0).all()


def test_frequencies_whose_decays_do_not_fit_are_refused() -> None:
    x = np.ones((1, 1, 1, 3000), np.float32)
    with on_cpu(), refuses(ValueError, "spectrum", "1500 frequencies"):
        ropelab_cuda.apply_xpos_qk(x, x, np.zeros(1, int), spectrum(3000))
