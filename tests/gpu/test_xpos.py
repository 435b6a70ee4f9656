"""xPos and the permutations of channels on a GPU: values, streams, graphs and sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.layouts import pair_channels
from ropelab.precision import eps, widen
from tests.gpu.devices import Torch

pytestmark = pytest.mark.gpu

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = ("half", "interleaved")
# eps of the output a pair may err: the bounds of the goldens, whose reasons stand there.
BOUNDS = {"float64": 5.0, "float32": 3.0, "float16": 1.01, "bfloat16": 1.01}


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def take(x: Any) -> Array:
    return Torch().take(x)


def pair_error(actual: Array, expected: Array, layout: str) -> float:
    """Return the worst error of a pair over its norm, in eps."""
    assert actual.dtype == expected.dtype
    channels = pair_channels(layout, expected.shape[-1])
    got, want = ([widen(side[..., c]) for c in channels] for side in (actual, expected))
    error = np.hypot(got[0] - want[0], got[1] - want[1]) / np.hypot(*want)
    assert np.isfinite(error).all()
    return float(error.max()) / eps(expected.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tokens", [3, 4096])  # shared by blocks, and several of a block
def test_queries_and_keys_at_large_positions(
    torch: Any, dtype: str, layout: str, tokens: int
) -> None:
    format_ = getattr(torch, dtype)
    q = torch.randn(2, tokens, 9, 64, device="cuda").to(format_)
    k = torch.randn(2, tokens, 2, 64, device="cuda").to(format_)
    centre = 1_000_000 + 7
    reach = 2000 if dtype == "float16" else 20_000
    ids = torch.randint(centre - reach, centre + reach, (2, tokens), device="cuda")
    spectrum = ropelab.Rope(64).spectrum()
    for inverse in (False, True):
        options: dict[str, Any] = {"layout": layout, "centre": centre, "inverse": inverse}
        wanted = ropelab.apply_xpos_qk(take(q), take(k), take(ids), spectrum, **options)
        actual = ropelab_cuda.apply_xpos_qk(q, k, ids, spectrum, **options)
        places = q.clone(), k.clone()
        ropelab_cuda.apply_xpos_qk_(*places, ids, spectrum, **options)
        # The specification's base and exponent round by half an ulp, which the power multiplies.
        power = reach / 512 * (0.5 + 0.63) if dtype == "float64" else 0.0
        for got, place, want in zip(actual, places, wanted, strict=True):
            assert torch.equal(got, place)
            assert pair_error(take(got), want, layout) <= BOUNDS[dtype] + power


def test_the_scale_is_within_two_ulp_wherever_float64_holds_it(torch: Any) -> None:
    still = ropelab.Spectrum(np.full(6, 1e-300))  # no position turns it
    ids = torch.randint(-289_000, 289_000, (301,), device="cuda")
    ones = torch.ones(301, 1, 12, device="cuda", dtype=torch.float64)
    q, k = ropelab_cuda.apply_xpos_qk(ones, ones.clone(), ids, still, tensor_format="thd")
    with mpmath.workdps(60):
        zeta = [(mpmath.mpf(i) / 6 + mpmath.mpf("0.4")) / mpmath.mpf("1.4") for i in range(6)]
        for m, q_row, k_row in zip(take(ids), take(q)[:, 0], take(k)[:, 0], strict=True):
            for z, scale, inverse in zip(zeta, q_row, k_row, strict=False):
                truth = z ** (mpmath.mpf(int(m)) / 512)
                assert abs(mpmath.mpf(float(scale)) / truth - 1) <= 1.5 * eps("float64")
                assert abs(mpmath.mpf(float(inverse)) * truth - 1) <= 1.5 * eps("float64")


def test_a_scale_beyond_float32_of_numbers_within_it(torch: Any) -> None:
    ids = torch.arange(46_000, 49_000, 100, device="cuda")
    q = torch.randn(1, 30, 5, 12, device="cuda") * 2.0**100
    k = torch.randn(1, 30, 2, 12, device="cuda") * 2.0**-100
    spectrum = ropelab.Rope(12).spectrum()
    wanted = ropelab.apply_xpos_qk(take(q), take(k), take(ids), spectrum)
    actual = ropelab_cuda.apply_xpos_qk(q, k, ids, spectrum)
    for got, want in zip(actual, wanted, strict=True):
        assert pair_error(take(got), want, "half") <= BOUNDS["float32"]


def test_a_captured_graph_replays_with_new_positions(torch: Any) -> None:
    spectrum = ropelab.Rope(64).spectrum()
    q, k = (torch.randn(1, 4, heads, 64, device="cuda") for heads in (8, 2))
    ids = torch.zeros(1, 4, device="cuda", dtype=torch.int64)

    def work() -> tuple[Any, Any]:
        half = ropelab_cuda.to_half(q)  # writes just before what is read just after
        return ropelab_cuda.apply_xpos_qk(half, k, ids, spectrum)

    work()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = work()
    for start in (0, 77, 3000):
        q.copy_(torch.randn_like(q))
        ids.copy_(torch.arange(start, start + 4, device="cuda"))
        graph.replay()
        for out, want in zip(outputs, work(), strict=True):
            assert torch.equal(out, want)


def rows_of_pairs(x: Any, layout: str) -> Any:
    """Return both members of every pair, side by side, by torch alone."""
    pairs = x.shape[-1] // 2
    if layout == "interleaved":
        return x.unflatten(-1, (pairs, 2))
    return x.unflatten(-1, (2, pairs)).transpose(-1, -2)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "float8_e4m3fn", "bfloat16", "float32", "int64", "complex128"]
)
@pytest.mark.parametrize("shape", [(2, 4096, 8, 128), (3, 1001, 5, 22), (7, 9000)])
def test_channels_of_every_width_are_moved(torch: Any, dtype: str, shape: tuple[int, ...]) -> None:
    format_ = getattr(torch, dtype)
    if dtype == "bool":
        x = torch.randint(0, 2, shape, device="cuda").to(format_)
    else:
        raw = torch.empty(0, dtype=format_).element_size()
        wide = (*shape[:-1], shape[-1] * raw)
        x = torch.randint(0, 256, wide, device="cuda", dtype=torch.uint8).view(format_)
    for name, source, target in (
        ("to_half", "interleaved", "half"),
        ("to_interleaved", "half", "interleaved"),
    ):
        moved = getattr(ropelab_cuda, name)(x)
        left, right = (
            rows_of_pairs(side.view(torch.uint8).unflatten(-1, (shape[-1], -1)).movedim(-1, 0), way)
            for side, way in ((x, source), (moved, target))
        )
        assert torch.equal(left, right), name
        if shape[-1] <= 1024:
            place = x.clone()
            getattr(ropelab_cuda, f"{name}_")(place)
            assert torch.equal(place.view(torch.uint8), moved.view(torch.uint8))


def test_more_than_two_to_the_31_elements_are_moved(torch: Any) -> None:
    rows = 2**24 + 3
    x = torch.arange(rows, device="cuda", dtype=torch.int64)[:, None] % 127
    x = (x + torch.arange(130, device="cuda")).to(torch.int8)  # 2.2e9 elements of one byte
    chosen = torch.tensor([0, 1, 2**23, 2**24 - 1, rows - 1], device="cuda")
    before = x[chosen].clone()
    ropelab_cuda.to_half_(x, 128)
    assert take(x[chosen]).tobytes() == ropelab.to_half(take(before), 128).tobytes()


def test_how_near_a_copy_the_permutation_is(torch: Any) -> None:
    """Print it; no bar, since the clock of a shared device decides."""
    x = torch.randn(1, 16_384, 40, 128, device="cuda").to(torch.bfloat16)
    out = torch.empty_like(x)
    works: dict[str, Callable[[], Any]] = {
        "copy": lambda: out.copy_(x),
        "to_half": lambda: ropelab_cuda.to_half(x, out=out),
        "to_interleaved": lambda: ropelab_cuda.to_interleaved(x, out=out),
        "to_half_": lambda: ropelab_cuda.to_half_(out),
    }
    times = {}
    for name, work in works.items():
        work()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda._sleep(20_000_000)  # so that launches queue up behind it
        start.record()
        for _ in range(20):
            work()
        end.record()
        end.synchronize()
        times[name] = start.elapsed_time(end) / 20
    for name, time in times.items():
        print(f"  {name:16} {time * 1e3:8.1f} us, {times['copy'] / time:.2f} of copy")
        assert time < 3 * times["copy"]
