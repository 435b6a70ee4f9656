"""The kernels' own source, executed on the CPU, against the goldens and the specification."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.golden import verify
from ropelab.layouts import pair_channels
from ropelab.precision import eps, narrow, widen
from tests.kernel_goldens import asked_of_kernels, in_pairs, of_given_tables
from tests.shim import builder
from tests.shim.on_cpu import guarded, implementation, on_cpu

pytestmark = pytest.mark.shim

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = ("half", "interleaved")
# eps of the output a pair may err: the bounds of the goldens, whose reasons stand there.
BOUNDS = {"float64": 3.0, "float32": 3.0, "float16": 1.01, "bfloat16": 1.01}

Array = NDArray[Any]


def random(*shape: int, dtype: str, seed: int = 0) -> Array:
    return narrow(np.random.default_rng(seed).standard_normal(shape), dtype)


def spectrum(rotary_dim: int, **options: Any) -> ropelab.Spectrum:
    return ropelab.Spectrum(1e4 ** (-np.arange(0, rotary_dim, 2) / rotary_dim), **options)


def pair_error(actual: Array, expected: Array, layout: str, rotary_dim: int) -> float:
    """Return the worst error of a pair over its norm, in eps; the tails must agree bit for bit."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert actual[..., rotary_dim:].tobytes() == expected[..., rotary_dim:].tobytes()
    channels = pair_channels(layout, rotary_dim)
    got, want = ([widen(side[..., c]) for c in channels] for side in (actual, expected))
    error = np.hypot(got[0] - want[0], got[1] - want[1]) / np.hypot(*want)
    assert np.isfinite(error).all()
    return float(error.max(initial=0.0)) / eps(expected.dtype)


def test_the_kernels_reproduce_every_golden() -> None:
    asked = asked_of_kernels()
    results = verify(asked, implementation())
    assert len(results) == len(asked) >= 800
    assert [f"{r.case.id}: {r.error:.3g} {r.message}" for r in results if not r.passed] == []


def test_given_tables_rotate_pairs_as_single_tensors() -> None:
    asked = of_given_tables()
    results = verify(asked, in_pairs(implementation()))
    assert len(results) == len(asked) >= 80
    assert [f"{r.case.id}: {r.error:.3g} {r.message}" for r in results if not r.passed] == []


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
    ids = np.random.default_rng(3).integers(-(2**31), 2**31, tokens)
    options: dict[str, Any] = {"layout": layout, "tensor_format": tensor_format, "inverse": True}
    numbers = spectrum(16, attention_factor=1.25)
    with on_cpu():
        actual = ropelab_cuda.apply_rotary_qk(q, k, ids, numbers, **options)
    for got, want in zip(
        actual, ropelab.apply_rotary_qk(q, k, ids, numbers, **options), strict=True
    ):
        # Rounding the turns to 64 bits costs float64 a drift that grows with the position.
        drift = 2.0**31 * 2 * np.pi * 2.0**-65 / 2.0**-52 if dtype == "float64" else 0.0
        assert pair_error(got, want, layout, 16) <= BOUNDS[dtype] + drift


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])
def test_positions_of_every_integer_type(dtype: str) -> None:
    limits = np.iinfo(dtype)
    ids = np.array([limits.min, -1 if limits.min else 1, 0, limits.max], dtype)
    numbers = spectrum(6)
    with on_cpu():
        phases = ropelab_cuda.exact_phases(ids, numbers)
    assert phases.dtype == np.uint64
    np.testing.assert_array_equal(phases, ropelab.exact_phases(ids, numbers))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 5), (2, 1), (2, 5)])
def test_positions_that_broadcast(shape: tuple[int, ...]) -> None:
    x = random(2, 5, 3, 8, dtype="float32")
    ids = np.random.default_rng(1).integers(-99_999, 99_999, shape)
    with on_cpu():
        actual = ropelab_cuda.apply_rotary(x, ids, spectrum(8))
    expected = ropelab.apply_rotary(x, ids, spectrum(8))
    assert pair_error(actual, expected, "half", 8) <= BOUNDS["float32"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_position_axes(layout: str) -> None:
    numbers = spectrum(10, axes=[0, 2, 1, 1, 2])
    x, ids = random(2, 5, 3, 12, dtype="float32"), np.arange(30).reshape(3, 2, 5) * 77
    with on_cpu():
        actual = ropelab_cuda.apply_rotary(x, ids, numbers, layout=layout)
        phases = ropelab_cuda.exact_phases(ids[:, :, ::2], numbers)
    expected = ropelab.apply_rotary(x, ids, numbers, layout=layout)
    assert pair_error(actual, expected, layout, 10) <= BOUNDS["float32"]
    np.testing.assert_array_equal(phases, ropelab.exact_phases(ids[:, :, ::2], numbers))


CROSSED = (("interleaved", "half"), ("half", "interleaved"))


def outside(x: Array, offset: int, rotary_dim: int) -> bytes:
    """Return the bits of the channels before and after the rotated ones."""
    return x[..., :offset].tobytes() + x[..., offset + rotary_dim :].tobytes()


def where_rotated(x: Array, offset: int, rotary_dim: int) -> Array:
    return x[..., offset : offset + rotary_dim]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layouts", [*CROSSED, ("half", "half"), ("interleaved", "interleaved")])
@pytest.mark.parametrize("offset", [0, 3, 8])
@pytest.mark.parametrize("inverse", [False, True])
def test_the_layout_out_and_the_first_channel(
    dtype: str, layouts: tuple[str, str], offset: int, inverse: bool
) -> None:
    q, k = (random(2, 5, heads, 24, dtype=dtype, seed=heads) for heads in (11, 2))
    ids = np.random.default_rng(3).integers(0, 2**20, (2, 5))
    options: dict[str, Any] = {"layout": layouts[0], "output_layout": layouts[1]}
    options |= {"rotary_offset": offset, "inverse": inverse}
    numbers = spectrum(16, attention_factor=1.25)
    wanted = ropelab.apply_rotary_qk(q, k, ids, numbers, **options)
    with on_cpu():
        new = ropelab_cuda.apply_rotary_qk(q, k, ids, numbers, **options)
        places = (q.copy(), k.copy())
        ropelab_cuda.apply_rotary_qk_(*places, ids, numbers, **options)
    for got, in_place, want, source in zip(new, places, wanted, (q, k), strict=True):
        assert outside(got, offset, 16) == outside(source, offset, 16)
        assert in_place.tobytes() == got.tobytes()
        turned, true = (where_rotated(x, offset, 16) for x in (got, want))
        assert pair_error(turned, true, layouts[0 if inverse else 1], 16) <= BOUNDS[dtype]


@pytest.mark.parametrize("layouts", [*CROSSED, ("half", "half"), ("interleaved", "interleaved")])
@pytest.mark.parametrize("head_dim", [17, 19, 23])
@pytest.mark.parametrize("tokens", [5, 133])
def test_an_odd_number_of_other_channels_is_converted_once(
    layouts: tuple[str, str], head_dim: int, tokens: int
) -> None:
    offset = (head_dim - 16) // 2
    x = random(1, tokens, 3, head_dim, dtype="float16")
    ids = np.random.default_rng(5).integers(0, 2**30, (1, tokens))
    options: dict[str, Any] = {"layout": layouts[0], "output_layout": layouts[1]}
    options |= {"rotary_offset": offset, "scale": 0.25}
    wanted = ropelab.apply_rotary(x, ids, spectrum(16), **options)
    with on_cpu():
        new = ropelab_cuda.apply_rotary(x, ids, spectrum(16), **options)
        ropelab_cuda.apply_rotary(x, ids, spectrum(16), out=x, **options)
    assert x.tobytes() == new.tobytes()
    assert outside(new, offset, 16) == outside(wanted, offset, 16)
    turned, true = (where_rotated(y, offset, 16) for y in (new, wanted))
    assert pair_error(turned, true, layouts[1], 16) <= BOUNDS["float16"]


def test_an_offset_that_leaves_too_few_channels_is_refused() -> None:
    x = random(1, 2, 3, 24, dtype="float32")
    for offset in (-1, 9):
        with on_cpu(), pytest.raises(ValueError, match="rotary_offset: expected 0 to 8"):
            ropelab_cuda.apply_rotary(x, np.zeros(2, int), spectrum(16), rotary_offset=offset)


@pytest.mark.parametrize("axes", [None, [0, 2, 1, 1]])
def test_pairs_that_repeat_after_a_period(axes: list[int] | None) -> None:
    periods = np.array([6, 7, 0, 6283])
    numbers = spectrum(8, periods=periods, axes=axes)
    ids = np.random.default_rng(3).integers(-(2**40), 2**40, (3, 2, 5) if axes else (2, 5))
    x = random(2, 5, 3, 8, dtype="float32")
    with on_cpu():
        phases = ropelab_cuda.exact_phases(ids, numbers)
        turned = {
            angles: ropelab_cuda.apply_rotary(x, ids, numbers, angles=angles)
            for angles in ("exact", "float32")
        }
    np.testing.assert_array_equal(phases, ropelab.exact_phases(ids, numbers))
    for angles, actual in turned.items():
        expected = ropelab.apply_rotary(x, ids, numbers, angles=angles)
        assert pair_error(actual, expected, "half", 8) <= BOUNDS["float32"]


def strided_views(dtype: str) -> dict[str, Array]:
    """Return views of one shape, (2, 5, 3, 20), that lie in memory in every manner."""
    return {
        "padded": random(2, 5, 3, 27, dtype=dtype)[..., 1:21],
        "transposed": random(3, 5, 2, 20, dtype=dtype).transpose(2, 1, 0, 3),
        "reversed": random(2, 5, 3, 20, dtype=dtype)[::-1, ::-1, ::-1],
        "stepped": random(4, 10, 6, 20, dtype=dtype)[::2, ::2, ::2],
        "broadcast": np.broadcast_to(random(1, 5, 1, 20, dtype=dtype), (2, 5, 3, 20)),
        "packed": random(2, 5, 9, 20, dtype=dtype)[:, :, 3:6],
    }


@pytest.mark.parametrize("kind", strided_views("float32"))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_strides_but_the_last(kind: str, layout: str) -> None:
    for dtype in ("bfloat16", "float32"):
        x = strided_views(dtype)[kind]
        ids = np.arange(10).reshape(2, 5) * 1001
        with on_cpu():
            actual = ropelab_cuda.apply_rotary(x, ids, spectrum(12), layout=layout)
        expected = ropelab.apply_rotary(x, ids, spectrum(12), layout=layout)
        assert pair_error(actual, expected, layout, 12) <= BOUNDS[dtype]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_place_touches_nothing_else(layout: str) -> None:
    packed = random(2, 5, 9, 20, dtype="float16")
    before = packed.copy()
    q, k, ids = packed[:, :, :6], packed[:, :, 6:8], np.arange(5) * 31
    with on_cpu():
        answers = ropelab_cuda.apply_rotary_qk_(q, k, ids, spectrum(12), layout=layout)
    assert answers[0] is q
    assert answers[1] is k
    expected = ropelab.apply_rotary(before[:, :, :8], ids, spectrum(12), layout=layout)
    assert pair_error(packed[:, :, :8], expected, layout, 12) <= BOUNDS["float16"]
    assert packed[:, :, 8].tobytes() == before[:, :, 8].tobytes()


def test_out_receives_the_result() -> None:
    x, ids = random(2, 5, 3, 8, dtype="float32"), np.arange(5)
    out = guarded((3, 2, 5, 8), np.dtype(np.float32)).transpose(1, 2, 0, 3)
    with on_cpu():
        assert ropelab_cuda.apply_rotary(x, ids, spectrum(6), out=out) is out
    expected = ropelab.apply_rotary(x, ids, spectrum(6))
    assert pair_error(out, expected, "half", 6) <= BOUNDS["float32"]


@pytest.mark.parametrize("table_dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("past", [0, 1])
def test_given_tables(table_dtype: str, layout: str, past: int) -> None:
    x = random(2, 5, 3, 20, dtype="float32")
    tables = [random(5, 8 + past, dtype=table_dtype, seed=s)[:, past:] for s in (1, 2)]
    with on_cpu():
        actual = ropelab_cuda.apply_rotary_cached(x, *tables, layout=layout, inverse=True)
    expected = ropelab.apply_rotary_cached(x, *tables, layout=layout, inverse=True)
    assert actual[..., 16:].tobytes() == x[..., 16:].tobytes()
    # Tables of any norm: the error of a pair is measured against what went in.
    scale = np.abs(widen(tables[0])).max() * np.abs(x).max()
    assert np.abs(actual - expected).max() <= 3.0 * scale * eps("float32")


@pytest.mark.parametrize("angles", ["exact", "float32"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tables_of_cosines_and_sines(angles: str, dtype: str) -> None:
    ids = np.array([[0, 1, 131_071], [-5, 2**24 + 1, 2**31 - 1]])
    numbers = spectrum(6, attention_factor=0.75)
    with on_cpu():
        actual = ropelab_cuda.cos_sin(ids.T, numbers, angles=angles, dtype=dtype)
    expected = ropelab.cos_sin(ids.T, numbers, angles=angles, dtype=dtype)
    for got, want in zip(actual, expected, strict=True):
        assert got.dtype == want.dtype
        assert got.shape == want.shape == (3, 2, 3)
        drift = 2.0**31 * 2 * np.pi * 2.0**-65 if dtype == "float64" else 0.0
        bound = 0.0 if angles == "float32" else BOUNDS[dtype] * eps(dtype) + drift
        assert np.abs(widen(got) - widen(want)).max() <= bound


@pytest.mark.parametrize("bits", [0x7FC1, 0xFFA5, 0x7F80, 0x0001, 0x8000])
def test_the_tail_moves_as_bits(bits: int) -> None:
    x = np.full((1, 2, 3, 12), bits, np.uint16).view(ropelab.bfloat16)
    with on_cpu():
        y = ropelab_cuda.apply_rotary(x, np.arange(2), spectrum(4))
    assert (y[..., 4:].view(np.uint16) == bits).all()


def test_more_than_65535_of_anything() -> None:
    x = random(70_000, 2, 1, 2, dtype="float32")
    ids = np.array([5, 131_071])  # broadcast over the batch, which so stays an axis of its own
    with on_cpu():
        actual = ropelab_cuda.apply_rotary(x, ids, spectrum(2))
    expected = ropelab.apply_rotary(x, ids, spectrum(2))
    assert pair_error(actual, expected, "half", 2) <= BOUNDS["float32"]


def test_offsets_beyond_32_bits() -> None:
    far = 2**32 + 8
    memory = np.zeros(far + 64, np.float16)  # never touched in between, so never committed
    x = np.lib.stride_tricks.as_strided(memory, (2, 1, 2, 4), (far * 2, 8, 8, 2))
    x[...] = before = random(2, 1, 2, 4, dtype="float16")
    with on_cpu():
        ropelab_cuda.apply_rotary_(x, np.array([[3], [4]]), spectrum(4))
    expected = ropelab.apply_rotary(before, np.array([[3], [4]]), spectrum(4))
    assert pair_error(x.copy(), expected, "half", 4) <= BOUNDS["float16"]


@pytest.mark.parametrize("shape", [(0, 5, 3, 8), (2, 0, 3, 8), (2, 5, 0, 8)])
def test_nothing_to_do(shape: tuple[int, ...]) -> None:
    with on_cpu():
        y = ropelab_cuda.apply_rotary(
            np.empty(shape, np.float32), np.zeros((1, 1), np.int64), spectrum(8)
        )
    assert y.shape == shape


def test_every_build_is_found_again() -> None:
    assert builder.library.cache_info().hits > 0
