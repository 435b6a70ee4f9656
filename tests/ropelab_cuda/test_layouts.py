"""The kernel that permutes channels, on the CPU, against the specification: bits, no tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab_cuda import recordings
from ropelab_cuda.launch_permute import plan_permute
from ropelab_cuda.views import View
from tests.ropelab.support import refuses
from tests.shim.on_cpu import guarded, on_cpu

pytestmark = pytest.mark.shim

NAMES = ("to_half", "to_interleaved")
# Every width of an element, and kinds that are no numbers to a kernel.
DTYPES = ("bool", "float16", "float32", "complex64", "complex128")

Array = NDArray[Any]


def random(*shape: int, dtype: str = "float16") -> Array:
    """Return random bits: NaNs and denormals are among them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.random.default_rng(size).integers(0, 2 if dtype == "bool" else 256, size, np.uint8)
    return raw.view(dtype).reshape(shape)


def bits(x: Array) -> bytes:
    return np.ascontiguousarray(x).tobytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6,), (5, 3, 2, 64), (7, 22)])
def test_bits_are_moved(name: str, dtype: str, shape: tuple[int, ...]) -> None:
    for rotary_dim in (None, 6):
        x = random(*shape, dtype=dtype)
        wanted, before = getattr(ropelab, name)(x, rotary_dim), bits(x)
        out = guarded(shape, np.dtype(dtype))
        with on_cpu():
            new = getattr(ropelab_cuda, name)(x, rotary_dim)
            assert getattr(ropelab_cuda, name)(x, rotary_dim, out=out) is out
            assert bits(x) == before
            assert getattr(ropelab_cuda, f"{name}_")(x, rotary_dim) is x
        assert new.dtype == x.dtype
        assert bits(new) == bits(out) == bits(x) == bits(wanted)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "bfloat16", "float8_e5m2"])
def test_formats_that_numpy_lacks(name: str) -> None:
    raw = torch.from_numpy(random(3, 5, 24, dtype="int16" if name == "bfloat16" else "int8"))
    with on_cpu():
        moved = ropelab_cuda.to_half(raw.view(getattr(torch, name)), 16)
    assert moved.dtype == getattr(torch, name)
    assert bits(moved.view(raw.dtype).numpy()) == bits(ropelab.to_half(raw.numpy(), 16))


def strided_views(dtype: str) -> dict[str, Array]:
    """Return views of one shape, (2, 5, 3, 20), that lie in memory in every manner."""
    return {
        "padded": random(2, 5, 3, 27, dtype=dtype)[..., 1:21],
        "padded everywhere": random(3, 7, 4, 32, dtype=dtype)[:2, 1:6, 1:, 8:28],
        "transposed": random(3, 5, 2, 20, dtype=dtype).transpose(2, 1, 0, 3),
        "reversed": random(2, 5, 3, 20, dtype=dtype)[::-1, ::-1, ::-1],
        "stepped": random(4, 10, 6, 20, dtype=dtype)[::2, ::2, ::2],
        "packed": random(2, 5, 9, 20, dtype=dtype)[:, :, 3:6],
    }


@pytest.mark.parametrize("kind", [*strided_views("int8"), "broadcast"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rotary_dim", [None, 12])
def test_any_strides_but_the_last(kind: str, name: str, rotary_dim: int | None) -> None:
    for dtype in ("int8", "float16", "float32"):
        views = strided_views(dtype)
        views["broadcast"] = np.broadcast_to(random(1, 5, 1, 20, dtype=dtype), (2, 5, 3, 20))
        x = views[kind]
        wanted = getattr(ropelab, name)(x, rotary_dim)
        out = guarded((3, 2, 5, 20), x.dtype).transpose(1, 2, 0, 3)
        with on_cpu():
            assert bits(getattr(ropelab_cuda, name)(x, rotary_dim)) == bits(wanted)
            getattr(ropelab_cuda, name)(x, rotary_dim, out=out)
        assert bits(out) == bits(wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", strided_views("int8"))
def test_in_place_touches_nothing_else(name: str, kind: str) -> None:
    x = strided_views("float16")[kind]
    whole: Any = x.base
    while whole.base is not None:
        whole = whole.base
    before = bits(whole)
    wanted = getattr(ropelab, name)(x, 12)
    original = x.copy()
    with on_cpu():
        getattr(ropelab_cuda, f"{name}_")(x, 12)
    assert bits(x) == bits(wanted) != bits(original)
    x[...] = original
    assert bits(whole) == before


def test_a_row_wider_than_a_block() -> None:
    for shape, past in (((2, 3, 9000), 0), ((3, 1500), 1)):
        x = random(*shape[:-1], shape[-1] + past, dtype="float16")[..., past:]
        with on_cpu():
            assert bits(ropelab_cuda.to_half(x)) == bits(ropelab.to_half(x))
            with refuses(ValueError, "x", str(shape[-1])):
                ropelab_cuda.to_half_(x)
    for empty in (random(0, 9000), random(3, 0, 9000)):  # which lie where their results do
        with on_cpu():
            assert ropelab_cuda.to_half(empty).shape == empty.shape
            assert ropelab_cuda.to_half_(empty) is empty
    x = random(2, 8192)
    wanted = ropelab.to_half(x)
    with on_cpu():
        assert bits(ropelab_cuda.to_half_(x)) == bits(wanted)


def test_offsets_beyond_32_bits() -> None:
    far = 2**32 + 8
    memory = np.zeros(far + 64, np.int8)  # never touched in between, so never committed
    x = np.lib.stride_tricks.as_strided(memory, (2, 3, 4), (far, 8, 1))
    x[...] = random(2, 3, 4, dtype="int8")
    wanted = ropelab.to_half(x)
    with on_cpu():
        ropelab_cuda.to_half_(x)
    assert bits(x) == bits(wanted)


def test_more_rows_than_blocks_along_the_other_axes_of_a_grid() -> None:
    x = random(3, 70_000, 1, 2, dtype="float32").transpose(1, 0, 2, 3)
    with on_cpu():
        assert bits(ropelab_cuda.to_half(x)) == bits(ropelab.to_half(x))


@pytest.mark.parametrize("shape", [(0, 3, 8), (2, 0, 8)])
def test_nothing_to_do(shape: tuple[int, ...]) -> None:
    with on_cpu():
        assert ropelab_cuda.to_half(np.empty(shape, np.float32)).shape == shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("x", "options", "kind", "argument"),
    [
        (None, {}, TypeError, "x"),
        (np.zeros(()), {}, ValueError, "axis"),
        (np.zeros((2, 4)), {"rotary_dim": 4.0}, TypeError, "rotary_dim"),
        (np.zeros((2, 4)), {"rotary_dim": 3}, ValueError, "rotary_dim"),
        (np.zeros((2, 4)), {"rotary_dim": 6}, ValueError, "x"),
        (np.zeros((4, 3)), {}, ValueError, "rotary_dim"),
        (np.zeros((2, 8))[:, ::2], {}, ValueError, "x"),
        (np.zeros((2, 4), np.longdouble), {}, TypeError, "x"),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, x: object, options: dict[str, Any], kind: type[Exception], argument: str
) -> None:
    for function in (name, f"{name}_"):
        with on_cpu(), refuses(kind, argument):
            getattr(ropelab_cuda, function)(x, **options)


def test_outputs_that_do_not_fit_are_refused() -> None:
    x = random(2, 3, 8)
    before = bits(x)
    memory = random(3, 3, 8)
    for out, source, kind in (
        (random(2, 3, 8, dtype="int16"), x, TypeError),
        (random(2, 3, 10), x, ValueError),
        (memory[1:], memory[:2], ValueError),
        (x[:, ::-1], x, ValueError),
    ):
        with on_cpu(), refuses(kind, "out"):
            ropelab_cuda.to_half(source, out=out)
    with on_cpu(), refuses(ValueError, "x", "share memory"):
        ropelab_cuda.to_half_(np.lib.stride_tricks.as_strided(x, (2, 3, 8), (0, 16, 2)))
    assert bits(x) == before


@pytest.mark.parametrize(
    ("dtype", "shape", "past", "vector", "block"),
    [
        ("float16", (2, 9, 4, 128), 0, 8, (8, 32, 1)),
        ("float32", (2, 9, 4, 128), 0, 4, (16, 16, 1)),
        ("int8", (2, 9, 4, 128), 0, 16, (4, 64, 1)),
        ("int64", (2, 9, 4, 12), 0, 2, (3, 85, 1)),
        ("float16", (2, 9, 4, 128), 2, 1, (64, 4, 1)),
        ("float16", (2, 9, 4, 12), 0, 2, (3, 85, 1)),
    ],
)
def test_accesses_are_as_wide_as_the_alignment_allows(
    dtype: str, shape: tuple[int, ...], past: int, vector: int, block: tuple[int, ...]
) -> None:
    strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    x, out = (View((1 << 20) * n + past, shape, strides, dtype) for n in (1, 9))
    plan = plan_permute(x, out, shape[-1] // 2, ("half", "interleaved"))
    assert dict(plan.specialisation.defines)["VECTOR"] == vector
    assert plan.block == block
    assert plan.grid == (-(-72 // block[1]), 1, 1)


# ------------------------------------------------------------------------------------------------
# Replays, of torch tensors alone.

moved: Any = ropelab_cuda.to_half


class WholeWayError(Exception):
    """A call went the whole way."""


def only_replays() -> Any:
    return mock.patch("ropelab_cuda.layouts.Gate", side_effect=WholeWayError)


@pytest.fixture
def device() -> Iterator[None]:
    """Let CPU tensors pass for a device's, with no plan known."""
    recordings.thread.mine = None
    with on_cpu():
        yield
    recordings.thread.mine = None


def known_plans() -> int:
    return len(recordings.thread.mine.plans) if recordings.thread.mine else 0


def tensor(*shape: int, dtype: str = "float32") -> torch.Tensor:
    """Return random bits."""
    kind = getattr(torch, dtype)
    return torch.from_numpy(random(*shape[:-1], shape[-1] * kind.itemsize, dtype="int8")).view(kind)


def raw(x: torch.Tensor) -> Array:
    """Return a copy of a tensor's bits, as integers of its width."""
    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return x.detach().view(integers[x.element_size()]).numpy().copy()


def permuted(name: str, x: torch.Tensor, *rotary_dim: int) -> bytes:
    return bits(getattr(ropelab, name)(raw(x), *rotary_dim))


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float64", "int32"])
def test_calls_like_an_earlier_one_are_replayed(name: str, dtype: str) -> None:
    for number in range(3):
        for way in ("new", "out", "in place", "out is x"):
            x = tensor(2 + number, 5, 3, 40, dtype=dtype)[:2, ..., :24]
            wanted, before = permuted(name, x, 16), bits(raw(x))
            out = {"out": torch.zeros_like(x), "out is x": x}.get(way)
            versions = [y._version for y in (x, out) if y is not None]
            known = number > 0 or way == "out is x"  # which is in place by another name
            with only_replays() if known else nullcontext():
                function = getattr(ropelab_cuda, f"{name}_" if way == "in place" else name)
                got = function(x, 16) if out is None else function(x, 16, out=out)
            assert bits(raw(got)) == wanted != before
            assert (got is x) == (way in ("in place", "out is x"))
            assert got is out or out is None
            assert got is x or bits(raw(x)) == before
            after = [y._version for y in (x, out) if y is not None]
            assert after == [n + (y is got) for n, y in zip(versions, (x, out), strict=False)]


@pytest.mark.usefixtures("device")
def test_what_differs_has_a_plan_of_its_own() -> None:
    x = tensor(2, 5, 3, 24, dtype="float16")
    odd = tensor(2 * 5 * 3 * 24 + 1, dtype="float16")[1:].view(2, 5, 3, 24)
    different: tuple[tuple[str, torch.Tensor, tuple[int, ...]], ...] = (
        ("to_half", x, ()),
        ("to_interleaved", x, ()),
        ("to_half", x, (16,)),
        ("to_half", x, (12,)),
        ("to_half", odd, ()),
        ("to_half", x.transpose(1, 2), ()),
        ("to_half", x.view(torch.bfloat16), ()),
        ("to_half", x[:1], ()),
    )
    for known, (name, y, rotary_dim) in enumerate(different):
        assert known_plans() == known
        for _ in range(2):
            got = getattr(ropelab_cuda, name)(y, *rotary_dim)
            assert got.dtype == y.dtype
            assert bits(raw(got)) == permuted(name, y, *rotary_dim)
    with pytest.raises(TypeError, match="rotary_dim"):
        moved(x, 16.0)


@pytest.mark.usefixtures("device")
def test_a_tensor_among_the_options_is_no_key() -> None:
    """It stays the same object when its value does not."""
    x, rotary_dim = tensor(5, 24), torch.tensor(24)
    for width in (24, 16):
        rotary_dim.fill_(width)
        assert bits(raw(moved(x, rotary_dim))) == permuted("to_half", x, width)


@pytest.mark.usefixtures("device")
def test_tensors_that_come_to_share_memory_are_refused() -> None:
    memory = tensor(4, 5, 24)
    moved(memory[:2], out=memory[2:])
    before = bits(raw(memory))
    with pytest.raises(ValueError, match="out: expected memory that x does not use"):
        moved(memory[:2], out=memory[1:3])
    assert bits(raw(memory)) == before
    wanted = permuted("to_half", memory[:2])
    moved(memory[:2], out=memory[:2])  # itself by another name: that too is in place
    assert bits(raw(memory[:2])) == wanted


@pytest.mark.usefixtures("device")
def test_what_a_tensor_has_pending_is_asked_at_each_call() -> None:
    moved(torch.randn(5, 24))
    with pytest.raises(ValueError, match="x: requires grad"):
        moved(torch.randn(5, 24, requires_grad=True))
    for dtype in (torch.complex64, torch.complex128):
        z = torch.randn(5, 24, dtype=dtype)
        for _ in range(2):
            assert bits(moved(z).numpy()) == bits(ropelab.to_half(z.numpy()))
        with pytest.raises(ValueError, match="pending conjugation"):
            moved(z.conj())
        with pytest.raises(ValueError, match="x: requires grad"):
            moved(z.clone().requires_grad_())

    def imaginary(z: torch.Tensor) -> torch.Tensor:
        return torch.as_strided(z.imag, (5, 24), (24, 1))

    moved(imaginary(z))
    with pytest.raises(ValueError, match="pending negation"):
        moved(imaginary(z.conj()))
