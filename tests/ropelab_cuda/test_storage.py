"""Results in another format and over a scale: what is taken, what is stored, what is refused."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.layouts import pair_channels
from ropelab.precision import eps, narrow, widen
from ropelab_cuda.launch import FORMATS, OUTPUT_FORMATS
from ropelab_cuda.storage import dtype_name, split_scale
from tests.ropelab.support import refuses
from tests.rounding import beside_numbers
from tests.shim.on_cpu import guarded, on_cpu

Array = NDArray[Any]

NUMBERS = ropelab.Spectrum(1e4 ** (-np.arange(0, 12, 2) / 12), attention_factor=1.25)
IDS = np.random.default_rng(3).integers(-(2**20), 2**20, (2, 5))
X = torch.ones(1, 3, 2, 4)
TORCH_IDS, TWO = torch.arange(3), ropelab.Spectrum([1.0, 0.25])
ZERO = np.zeros((1, 1), np.int64)


def random(*shape: int, dtype: str, seed: int = 0) -> Array:
    return narrow(np.random.default_rng(seed).standard_normal(shape), dtype)


def steps(actual: Array, expected: Array) -> float:
    """Return the largest distance in the format's own steps, from numbers of one dtype."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    got, want = widen(actual), widen(expected)
    return float((np.abs(got - want) / (eps(expected.dtype) * np.abs(want))).max(initial=0.0))


# ------------------------------------------------------------------------------------------------
# What is stored


@pytest.mark.shim
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("source", ["float64", "float32"])
def test_every_rounding_is_that_of_the_specification(name: str, source: str) -> None:
    """Of a double, too, which goes to a narrow format by a float, and may not round there."""
    values = beside_numbers(name).astype(source)
    x = np.concatenate([[1.0, 1.0], values]).astype(source).reshape(1, 1, 1, -1)
    with on_cpu():
        y = ropelab_cuda.apply_rotary(x, ZERO, ropelab.Spectrum([1.0]), dtype=name)
    got, is_number = widen(y)[0, 0, 0, 2:], ~np.isnan(values)
    np.testing.assert_array_equal(got, widen(narrow(values.astype(np.float64), name)))
    np.testing.assert_array_equal(np.signbit(got)[is_number], np.signbit(values)[is_number])


@pytest.mark.shim
@pytest.mark.parametrize("kind", ["padded", "misaligned", "transposed", "reversed"])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("bfloat16", "float8_e4m3fn"),
        ("float64", "float8_e5m2"),
        ("float16", "float64"),
        ("float32", "bfloat16"),
    ],
)
@pytest.mark.parametrize("layouts", [("half", "half"), ("interleaved", "half")])
def test_any_strides_and_odd_widths(
    kind: str, source: str, target: str, layouts: tuple[str, str]
) -> None:
    head_dim = 19 if kind == "misaligned" else 20
    shape = (3, 5, 2, 24) if kind == "transposed" else (2, 5, 3, 24)
    whole = random(*shape, dtype=source)
    x = {
        "padded": whole[..., :20],
        "misaligned": whole[..., 3:22],
        "transposed": whole.transpose(2, 1, 0, 3)[..., :20],
        "reversed": whole[::-1, ::-1, ::-1, :20],
    }[kind]
    options: dict[str, Any] = {"layout": layouts[0], "output_layout": layouts[1]}
    options |= {"dtype": target, "scale": 0.0417, "rotary_offset": 3}
    with on_cpu():
        y = ropelab_cuda.apply_rotary(x, IDS, NUMBERS, **options)
    expected = ropelab.apply_rotary(x, IDS, NUMBERS, **options)
    assert y.shape[-1] == head_dim
    around = [c for c in range(head_dim) if not 3 <= c < 15]
    assert steps(y[..., around], expected[..., around]) <= 1.0  # by the inverse of the scale
    members = pair_channels(layouts[1], 12)
    got, want = ([widen(side[..., 3:15][..., c]) for c in members] for side in (y, expected))
    error = np.hypot(got[0] - want[0], got[1] - want[1]) / np.hypot(*want)
    # The bound of the goldens; float64's turns drift by 2**20 steps of 2**-65 of a turn.
    drift = 2.0**20 * 2 * np.pi * 2.0**-65 / 2.0**-52 if target == "float64" else 0.0
    bound = 4.0 + drift if target == "float64" else 1.01
    assert error.max() / eps(target) <= bound


@pytest.mark.shim
@pytest.mark.parametrize("target", ["float8_e4m3fn", "float32"])
def test_scales_are_numbers_or_stay_on_the_device(target: str) -> None:
    q, k = (random(2, 5, heads, 12, dtype="float16", seed=heads) for heads in (4, 1))
    small, large = np.array([0.0625], np.float32), np.array([[3.0]], np.float32)

    def of_spec(scale: Any) -> list[Array]:
        return [*ropelab.apply_rotary_qk(q, k, IDS, NUMBERS, dtype=target, scale=scale)]

    ways = {
        "numbers": ((0.0625, 3.0), (0.0625, 3.0)),
        "tensors": ((small, large), (0.0625, 3.0)),
        "mixed": ([small, 3.0], (0.0625, 3.0)),
        "one tensor": (large[0], 3.0),
        "one number": (np.float32(3.0), 3.0),
    }
    for given, meant in ways.values():
        with on_cpu():
            got = ropelab_cuda.apply_rotary_qk(q, k, IDS, NUMBERS, dtype=target, scale=given)
        for y, expected in zip(got, of_spec(meant), strict=True):
            assert y.dtype == expected.dtype
            if target == "float32":
                assert np.abs(y - expected).max() <= 4 * eps(target) * np.abs(expected).max()
            else:
                assert y.tobytes() == expected.tobytes()


@pytest.mark.shim
def test_a_scale_alone_keeps_the_format_and_reaches_every_channel_in_place() -> None:
    x = random(2, 5, 3, 20, dtype="bfloat16")
    expected = ropelab.apply_rotary(x, IDS, NUMBERS, scale=0.3)
    with on_cpu():
        assert ropelab_cuda.apply_rotary(x, IDS, NUMBERS, scale=0.3, out=x) is x
    assert steps(x, expected) <= 1.0
    assert np.mean(widen(x) != widen(expected)) <= 0.02


@pytest.mark.shim
@pytest.mark.parametrize("scale", [2.0**-126, 2.0**126])
def test_the_outermost_scales(scale: float) -> None:
    x = random(2, 5, 3, 12, dtype="float32")
    expected = ropelab.apply_rotary(x, IDS, NUMBERS, scale=scale, dtype="float8_e5m2")
    with on_cpu():
        y = ropelab_cuda.apply_rotary(x, IDS, NUMBERS, scale=scale, dtype="float8_e5m2")
    assert y.tobytes() == expected.tobytes()
    assert np.unique(np.abs(widen(y))).tolist() == [57344.0 if scale < 1.0 else 0.0]


@pytest.mark.shim
def test_given_tables() -> None:
    x = random(2, 5, 3, 20, dtype="bfloat16")
    tables = ropelab.cos_sin(IDS, NUMBERS, dtype=np.float32)
    options: dict[str, Any] = {"dtype": "float8_e4m3fn", "scale": 0.05, "inverse": True}
    with on_cpu():
        y = ropelab_cuda.apply_rotary_cached(x, *tables, **options)
    expected = ropelab.apply_rotary_cached(x, *tables, **options)
    assert np.mean(widen(y) != widen(expected)) <= 0.01
    assert steps(y, expected) <= 1.0


# ------------------------------------------------------------------------------------------------
# torch


@pytest.mark.shim
@pytest.mark.parametrize("name", OUTPUT_FORMATS)
def test_torch_gets_a_tensor_of_the_format_asked_for(name: str) -> None:
    x = torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(0)).transpose(1, 2)
    dtype = getattr(torch, name)
    options: dict[str, Any] = {"tensor_format": "bhsd", "scale": 0.01}
    with on_cpu():
        y = ropelab_cuda.apply_rotary(x, TORCH_IDS, TWO, dtype=dtype, **options)
        out = torch.empty_like(x, dtype=dtype)
        assert ropelab_cuda.apply_rotary(x, TORCH_IDS, TWO, dtype=name, out=out, **options) is out
    assert (y.dtype, y.shape, y.stride()) == (dtype, x.shape, x.stride())
    assert torch.equal(y.view(torch.uint8), out.view(torch.uint8))
    expected = ropelab.apply_rotary(x, TORCH_IDS, TWO, dtype=name, **options)
    bound = 8 * eps("float32") if name == "float64" else 2 * eps(name)
    error = np.abs(y.double().numpy() - widen(expected))
    assert (error <= bound * np.abs(widen(expected)).max()).all()


@pytest.mark.shim
def test_a_replayed_call_reads_the_scales_that_it_is_given() -> None:
    q, k = torch.ones(1, 3, 2, 4), torch.ones(1, 3, 1, 4)
    for a, b in ((0.5, 2.0), (4.0, 0.25), (1.0, 1.0)):
        scales = torch.tensor([a]), torch.tensor(b)
        with on_cpu():
            both = ropelab_cuda.apply_rotary_qk(q, k, TORCH_IDS, TWO, scale=scales, dtype="float64")
            same = ropelab_cuda.apply_rotary_qk(q, k, TORCH_IDS, TWO, scale=a, dtype="float64")
        expected = ropelab.apply_rotary_qk(q, k, TORCH_IDS, TWO, scale=(a, b), dtype="float64")
        for y, truth in zip(both, expected, strict=True):
            np.testing.assert_allclose(y.numpy(), truth, rtol=1e-12)
        np.testing.assert_array_equal(same[0].numpy(), both[0].numpy())


@pytest.mark.shim
@pytest.mark.parametrize("which", ["scale", "position_ids"])
def test_a_plan_holds_for_addresses_that_are_aligned_alike(which: str) -> None:
    """Not for those of which another tensor's is as odd: x may then be accessed less widely."""

    def aligned(tensor: torch.Tensor, past: bool) -> torch.Tensor:
        return tensor[-tensor.data_ptr() % 16 // 4 + past :]

    memory, numbers = torch.zeros(80), ropelab.Spectrum(np.ones(4))
    ids, ones = torch.zeros(8, dtype=torch.int32), torch.ones(8)
    for odd in (False, True):
        x = aligned(memory, odd)[:64].view(1, 4, 2, 8)
        x.copy_(torch.arange(64.0).view(1, 4, 2, 8))
        positions = aligned(ids, not odd and which == "position_ids")[:4]
        scale = aligned(ones, not odd and which == "scale")[:1]
        with on_cpu():
            y = ropelab_cuda.apply_rotary(x, positions, numbers, scale=scale)
        assert torch.equal(y, x)


# ------------------------------------------------------------------------------------------------
# Names, and what is refused


@pytest.mark.parametrize("name", OUTPUT_FORMATS)
def test_a_format_in_every_spelling(name: str) -> None:
    spellings = [name, getattr(torch, name)]
    spellings += [getattr(ml_dtypes, name)] if hasattr(ml_dtypes, name) else [np.dtype(name)]
    raw = getattr(ropelab, name, None)
    assert {dtype_name(each) for each in [*spellings, *([raw] if raw else [])]} == {name}


@pytest.mark.parametrize("dtype", ["int8", torch.float8_e4m3fnuz, np.int64, 3, [("a", "u1")], b"x"])
def test_another_format_is_refused(dtype: Any) -> None:
    with refuses(TypeError, "dtype", "float8_e5m2"):
        dtype_name(dtype)
    with on_cpu(), refuses(TypeError, "dtype", "float8_e5m2"):
        ropelab_cuda.apply_rotary(X, TORCH_IDS, TWO, dtype=dtype)


def test_8_bits_are_no_format_of_tables() -> None:
    with refuses(TypeError, "dtype", "or bfloat16; got 'float8_e5m2'"):
        dtype_name("float8_e5m2", FORMATS)


@pytest.mark.parametrize(
    ("scale", "error", "name", "came"),
    [
        (0.0, ValueError, "scale", "0.0"),
        (-1, ValueError, "scale", "-1"),
        (float("nan"), ValueError, "scale", "nan"),
        (1e-40, ValueError, "scale", "1e-40"),
        (True, TypeError, "scale", "True"),
        ("1", TypeError, "scale", "'1'"),
        ((1.0, 1.0), TypeError, "scale", "tuple"),
        (torch.ones(2), ValueError, "scale", "(2,)"),
        (torch.ones(1).double(), TypeError, "scale", "float64"),
        (torch.ones(1).requires_grad_(), ValueError, "scale", "requires grad"),
    ],
)
def test_a_scale_that_is_none(scale: Any, error: type[Exception], name: str, came: str) -> None:
    with on_cpu(), refuses(error, name, came):
        ropelab_cuda.apply_rotary(X, TORCH_IDS, TWO, scale=scale)


def test_a_pair_of_scales_names_the_one_that_is_wrong() -> None:
    with on_cpu(), refuses(ValueError, "scale[1]", "-2"):
        ropelab_cuda.apply_rotary_qk(X, X, TORCH_IDS, TWO, scale=(torch.ones(1), -2))
    with on_cpu(), refuses(ValueError, "scale", "got 3"):
        ropelab_cuda.apply_rotary_qk(X, X, TORCH_IDS, TWO, scale=(1, 2, 3))


def test_an_output_of_another_format_is_refused_and_nothing_is_written() -> None:
    memory = torch.zeros(48)
    x = memory[:24].view(1, 3, 2, 4)
    half = memory.view(torch.float16)[:24].view(1, 3, 2, 4)
    given: dict[str, Any] = {"position_ids": TORCH_IDS, "spectrum": TWO}
    wrong: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (half, {"dtype": "bfloat16"}, TypeError, "float16"),
        (x, {"dtype": "bfloat16"}, TypeError, "float32"),
        (half, {}, TypeError, "float16"),
        (half, {"dtype": "float16"}, ValueError, "x"),  # the same address and strides, but not x
    ]
    for out, options, error, came in wrong:
        with on_cpu(), refuses(error, "out", came):
            ropelab_cuda.apply_rotary(x, **given, **options, out=out)
    scale = memory[24:25]
    with on_cpu(), refuses(ValueError, "out", "scale"):
        ropelab_cuda.apply_rotary(X, **given, scale=scale, out=memory[8:32].view(1, 3, 2, 4))
    assert (memory == 0.0).all()


def test_a_plan_depends_on_numbers_and_on_the_kind_of_scale() -> None:
    a, b = torch.ones(1), torch.ones(1)
    assert split_scale(a, 2) == ((torch.Tensor, (torch.Tensor, None), (torch.Tensor, None)), (a, a))
    assert split_scale((a, 2.0), 2)[0] == split_scale((b, 2.0), 2)[0]
    words = [split_scale(scale, 1)[0] for scale in (1, 1.0, True, 2.0, (1.0,), a)]
    assert len(set(words)) == len(words)


@pytest.mark.shim
def test_guards_hold_around_elements_of_one_byte() -> None:
    out = guarded((2, 5, 3, 19), ropelab.float8_e5m2)
    x = random(2, 5, 3, 19, dtype="bfloat16")
    with on_cpu():
        ropelab_cuda.apply_rotary(x, IDS, NUMBERS, dtype="float8_e5m2", out=out)
    expected = ropelab.apply_rotary(x, IDS, NUMBERS, dtype="float8_e5m2")
    assert out.tobytes() == expected.tobytes()
