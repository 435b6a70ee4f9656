"""The fused norm and rotation on the GPU: against the specification, and from call to call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.layouts import pair_channels
from ropelab.positions import Consecutive, Packed
from ropelab.precision import eps, widen
from tests.gpu.devices import Torch, put_argument
from tests.length_rules import ROPES

pytestmark = pytest.mark.gpu

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = ("half", "interleaved")
ORDERS: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "gemma3": {"weight_offset": 1.0},
    "olmo2": {"across_heads": True, "eps": 1e-5},
}
# eps of the output that a pair may err: as in the goldens; sums of up to 128 heads are deeper.
BOUNDS = {"float64": 12.0, "float32": 12.0, "float16": 1.01, "bfloat16": 1.01}
FARTHEST = 131_072
take = Torch().take
# Their arguments come in tuples of many kinds, of which the types say nothing.
specified: Any = ropelab.apply_norm_rotary_qk
fused: Any = ropelab_cuda.apply_norm_rotary_qk
fused_: Any = ropelab_cuda.apply_norm_rotary_qk_


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def randn(torch: Any, *shape: int, dtype: str) -> Any:
    return torch.randn(*shape, device="cuda", dtype=torch.float32).to(getattr(torch, dtype))


def weights_of(torch: Any, heads: tuple[int, int], head_dim: int, dtype: str, **norm: Any) -> Any:
    across = norm.get("across_heads", False)
    return [randn(torch, *((h, head_dim) if across else (head_dim,)), dtype=dtype) for h in heads]


def error(actual: Array, expected: Array, layout: str, rotary_dim: int) -> float:
    """Return the worst error, in eps, of a rotated pair over its norm or of another channel."""
    got, want = widen(actual), widen(expected)
    channels = pair_channels(layout, rotary_dim)
    a, b, x, y = (side[..., c] for side in (got, want) for c in channels)
    errors = [np.hypot(a - x, b - y) / np.hypot(x, y)]
    wrong, size = (np.abs(side)[..., rotary_dim:] for side in (got - want, want))
    errors.append(wrong / np.where(wrong == 0.0, 1.0, size))  # a zero may only become a zero
    worst = max(float(each.max(initial=0.0)) for each in errors)
    assert np.isfinite(worst)
    return worst / eps(expected.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("heads", "head_dim", "rotary_dim"),
    [
        ((32, 8), 128, 128),
        ((8, 1), 256, 256),
        ((40, 8), 96, 24),
        ((5, 3), 80, 80),
        ((4, 2), 512, 128),
        ((7, 1), 100, 50),
        ((100, 28), 64, 64),
        ((3, 2), 33, 32),
    ],
)
def test_every_order_and_head_dim(
    torch: Any,
    heads: tuple[int, int],
    head_dim: int,
    rotary_dim: int,
    order: str,
    layout: str,
    dtype: str,
) -> None:
    norm = ORDERS[order]
    for tokens in (3, 301):  # shared in two ways
        q, k = (randn(torch, 2, tokens, h, head_dim, dtype=dtype) for h in heads)
        weights = weights_of(torch, heads, head_dim, "bfloat16", **norm)
        ids = torch.randint(-FARTHEST, FARTHEST, (2, tokens), device="cuda", dtype=torch.int32)
        spectrum = ropelab.Rope(head_dim, base=5e5, rotary_dim=rotary_dim).spectrum()
        options: dict[str, Any] = {"layout": layout, **norm}
        got = fused(q, k, *weights, ids, spectrum, **options)
        arrays = [take(x) for x in (q, k, *weights, ids)]
        wanted = specified(*arrays, spectrum, **options)
        for one, other in zip(got, wanted, strict=True):
            drift = FARTHEST * 2 * np.pi * 2.0**-65 / eps(other.dtype)  # of 64-bit turns
            assert error(take(one), other, layout, rotary_dim) <= BOUNDS[dtype] + drift


@pytest.mark.parametrize("ends", [("half", None), ("interleaved", "half"), ("half", "interleaved")])
@pytest.mark.parametrize("order", ["qwen3", "olmo2"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_in_place_gives_the_same_bits_each_time(
    torch: Any, dtype: str, order: str, ends: tuple[str, str | None]
) -> None:
    """A store may land where another thread's load comes from: many blocks, many times."""
    norm, heads = ORDERS[order], (33, 3)
    packed = randn(torch, 2, 2048, sum(heads) + 3, 96, dtype=dtype)
    weights = weights_of(torch, heads, 96, dtype, **norm)
    ids = torch.randint(0, 2**30, (2, 2048), device="cuda")
    spectrum = ropelab.Rope(64).spectrum()
    options: dict[str, Any] = {"layout": ends[0], "output_layout": ends[1], **norm}
    options["rotary_offset"] = 16

    def views(whole: Any) -> tuple[Any, Any]:
        return whole[:, :, : heads[0]], whole[:, :, heads[0] : sum(heads)]

    wanted = fused(*views(packed), *weights, ids, spectrum, **options)
    for _ in range(50):
        place = packed.clone()
        fused_(*views(place), *weights, ids, spectrum, **options)
        assert all(torch.equal(a, b) for a, b in zip(views(place), wanted, strict=True))
        rest = slice(sum(heads), None)
        assert torch.equal(place[:, :, rest], packed[:, :, rest])


@pytest.mark.parametrize("order", ORDERS)
def test_it_waits_for_what_is_written_just_before(torch: Any, order: str) -> None:
    norm, heads = ORDERS[order], (16, 4)
    sources = [[randn(torch, 1, 256, h, 128, dtype="bfloat16") for h in heads] for _ in range(4)]
    every = [weights_of(torch, heads, 128, "bfloat16", **norm) for _ in range(4)]
    positions = [torch.randint(0, 2**20, (1, 256), device="cuda") for _ in range(4)]
    spectrum = ropelab.Rope(128).spectrum()
    wanted = [
        fused(*x, *w, m, spectrum, **norm)
        for x, w, m in zip(sources, every, positions, strict=True)
    ]
    torch.cuda.synchronize()
    x = [torch.empty_like(one) for one in sources[0]]
    weights = [torch.empty_like(one) for one in every[0]]
    ids = torch.empty_like(positions[0])
    wrong = torch.zeros((), device="cuda", dtype=torch.int64)
    for number in range(2000):
        i = number % 4
        ids.copy_(positions[i])
        for target, source in zip((*weights, *x), (*every[i], *sources[i]), strict=True):
            target.copy_(source)
        fused_(*x, *weights, ids, spectrum, **norm)
        for one, other in zip(x, wanted[i], strict=True):
            wrong += (one != other).sum()
    assert int(wrong) == 0


def test_a_captured_graph_replays_with_new_data_weights_and_positions(torch: Any) -> None:
    heads, spectrum = (8, 2), ropelab.Rope(128).spectrum()
    q, k = (randn(torch, 1, 4, h, 128, dtype="bfloat16") for h in heads)
    weights = weights_of(torch, heads, 128, "bfloat16")
    ids = torch.zeros(1, 4, device="cuda", dtype=torch.int64)
    given = (q, k, *weights, ids, spectrum)
    fused(*given)  # compile before the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = fused(*given)
    for start in (0, 77, 131_000):
        for x in (q, *weights):
            x.copy_(torch.randn_like(x))
        ids.copy_(torch.arange(start, start + 4, device="cuda"))
        for out in outputs:
            out.fill_(float("nan"))
        graph.replay()
        for out, want in zip(outputs, fused(*given), strict=True):
            assert torch.equal(out, want)


BOUNDARIES, STARTS = np.array([0, 200, 200, 1200], np.int32), np.array([5, 2**20, 0])
COUNTED: dict[str, tuple[tuple[int, ...], Any]] = {
    "number": ((2, 300), Consecutive(77)),
    "offsets": ((2, 300), Consecutive(np.array([131_000, -7]))),
    "pack": ((1200,), Packed(BOUNDARIES, STARTS)),
    "first rank": ((600,), Packed(BOUNDARIES, STARTS, 2, 0)),
    "second rank": ((600,), Packed(BOUNDARIES, STARTS, 2, 1)),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("kind", COUNTED)
def test_positions_that_are_counted_and_spectra_of_the_device(
    torch: Any, kind: str, on_device: bool, order: str
) -> None:
    (tokens, place), norm, heads = COUNTED[kind], ORDERS[order], (16, 4)
    known = ROPES["ntk"].spectrum(70_000)
    spectrum: Any = known
    if on_device:
        ids = torch.arange(70_000, device="cuda")
        spectrum = ropelab_cuda.spectrum_on_device(ROPES["ntk"], ids)
    options: dict[str, Any] = {"tensor_format": "thd" if len(tokens) == 1 else "bshd", **norm}
    q, k = (randn(torch, *tokens, h, 128, dtype="float32") for h in heads)
    weights = weights_of(torch, heads, 128, "float32", **norm)
    got = fused(q, k, *weights, put_argument(Torch(), place), spectrum, **options)
    wanted = specified(*(take(x) for x in (q, k, *weights)), place, known, **options)
    for one, other in zip(got, wanted, strict=True):
        assert error(take(one), other, "half", 128) <= BOUNDS["float32"]


def test_offsets_and_lengths_advance_within_a_captured_graph(torch: Any) -> None:
    """A decoding step: the graph counts on, computes the spectrum anew, norms and rotates."""
    rope, heads = ROPES["ntk"], (8, 2)
    q, k = (randn(torch, 3, 1, h, 128, dtype="float32") for h in heads)
    weights = weights_of(torch, heads, 128, "float32")
    offset = torch.tensor([5, 4093, 17], device="cuda")

    def step() -> Any:
        offset.add_(1)
        spectrum = ropelab_cuda.spectrum_on_device(rope, offset)
        return fused(q, k, *weights, Consecutive(offset), spectrum)

    step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = step()
    for number in range(2, 7):  # capturing runs nothing
        q.copy_(torch.randn_like(q))
        graph.replay()
        ids = np.array([[5], [4093], [17]]) + number
        spectrum = rope.spectrum(int(ids.max()) + 1)
        wanted = specified(*(take(x) for x in (q, k, *weights)), ids, spectrum)
        for out, want in zip(outputs, wanted, strict=True):
            assert error(take(out), want, "half", 128) <= BOUNDS["float32"]


def test_spectra_and_offsets_written_just_before_are_waited_for(torch: Any) -> None:
    rope, heads = ROPES["ntk"], (16, 4)
    q, k = (randn(torch, 1, 64, h, 128, dtype="bfloat16") for h in heads)
    weights = weights_of(torch, heads, 128, "bfloat16")
    starts = [torch.tensor([start], device="cuda") for start in (0, 4090, 60_000)]
    wanted = [
        fused(q, k, *weights, Consecutive(int(start)), rope.spectrum(int(start) + 1))
        for start in starts
    ]
    moving = torch.zeros_like(starts[0])
    wrong = torch.zeros((), device="cuda", dtype=torch.int64)
    for turn in range(2000):
        i = turn * 7 % 3
        moving.copy_(starts[i])
        spectrum = ropelab_cuda.spectrum_on_device(rope, moving)
        for got, want in zip(
            fused(q, k, *weights, Consecutive(moving), spectrum), wanted[i], strict=True
        ):
            wrong += (got != want).sum()
    assert int(wrong) == 0


def test_a_models_parameters_are_taken_without_grad_only(torch: Any) -> None:
    q, k = (randn(torch, 1, 5, h, 64, dtype="bfloat16") for h in (4, 2))
    weight = torch.nn.Parameter(randn(torch, 64, dtype="bfloat16"))
    ids, spectrum = torch.arange(5, device="cuda"), ropelab.Rope(64).spectrum()
    with torch.no_grad():
        got = fused(q, k, weight, weight, ids, spectrum)
    plain = weight.detach()
    want = fused(q, k, plain, plain, ids, spectrum)
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))
    with pytest.raises(ValueError, match="q_weight: requires grad"):
        fused(q, k, weight, weight, ids, spectrum)
