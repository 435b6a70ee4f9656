"""Results in another format and over a scale, by the device's own conversions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.layouts import pair_channels
from ropelab.precision import eps, narrow, widen
from tests.gpu.devices import CuPy, Torch
from tests.rounding import beside_numbers

pytestmark = pytest.mark.gpu

FORMATS = ("float64", "float32", "float16", "bfloat16")
STORED = (*FORMATS, "float8_e4m3fn", "float8_e5m2")
BOUNDS = {"float64": 4.0, "float32": 4.0}  # with a scale; elsewhere 1.01, as in the goldens
put, take = Torch().put, Torch().take


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def pair_error(actual: Array, expected: Array, layout: str) -> float:
    """Return the worst error of a pair over its norm, in eps of the format."""
    assert actual.dtype == expected.dtype
    channels = pair_channels(layout, actual.shape[-1])
    got, want = ([widen(side)[..., c] for c in channels] for side in (actual, expected))
    error = np.hypot(got[0] - want[0], got[1] - want[1])
    norm = np.maximum(np.hypot(*want), np.finfo(np.float64).tiny)
    return float((error / norm).max()) / eps(expected.dtype)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("source", ["float64", "float32"])
def test_every_rounding_is_that_of_the_specification(torch: Any, name: str, source: str) -> None:
    values = beside_numbers(name).astype(source)
    x = np.concatenate([[1.0, 1.0], values]).astype(source).reshape(1, 1, 1, -1)
    ids = torch.zeros(1, 1, device="cuda", dtype=torch.int64)
    y = take(ropelab_cuda.apply_rotary(put(x), ids, ropelab.Spectrum([1.0]), dtype=name))
    got, is_number = widen(y)[0, 0, 0, 2:], ~np.isnan(values)
    np.testing.assert_array_equal(got, widen(narrow(values.astype(np.float64), name)))
    np.testing.assert_array_equal(np.signbit(got)[is_number], np.signbit(values)[is_number])


@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("target", STORED)
@pytest.mark.parametrize("source", FORMATS)
def test_every_format_into_every_other(torch: Any, source: str, target: str, layout: str) -> None:
    spectrum = ropelab.Rope(128, base=5e5).spectrum()
    q, k = (
        torch.randn(3, 67, heads, 128, device="cuda").to(getattr(torch, source))
        for heads in (12, 3)
    )
    ids = torch.randint(0, 131_072, (3, 67), device="cuda")
    options: dict[str, Any] = {"dtype": target, "layout": layout}
    given, meant = (torch.tensor(0.0117, device="cuda"), 0.5), (float(np.float32(0.0117)), 0.5)
    got = ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum, scale=given, **options)
    wanted = ropelab.apply_rotary_qk(take(q), take(k), take(ids), spectrum, scale=meant, **options)
    drift = 131_072 * 2 * np.pi * 2.0**-65 / eps(target)
    for y, expected in zip(got, wanted, strict=True):
        assert pair_error(take(y), expected, layout) <= BOUNDS.get(target, 1.01) + drift
        if target not in BOUNDS:
            assert np.mean(widen(take(y)) != widen(expected)) <= 0.02


# What else stores so: each rotates by these positions from this centre, by weights or none.
OTHERS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "apply_xpos_qk": ((), {"centre": 99_777, "scale_base": 8192.0}),
    "apply_norm_rotary_qk": ((None, None), {"rotary_offset": 16}),
}
# As in the goldens; a power of the decay and the sums of a norm come in beside the scale.
THEIR_BOUNDS = {"float64": 16.0, "float32": 12.0}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("target", STORED)
@pytest.mark.parametrize("source", FORMATS)
def test_norms_and_decays_store_likewise(torch: Any, source: str, target: str, name: str) -> None:
    spectrum, (weights, told) = ropelab.Rope(96, base=5e5, rotary_dim=64).spectrum(), OTHERS[name]
    q, k = (
        torch.randn(3, 67, heads, 96, device="cuda").to(getattr(torch, source)) for heads in (12, 3)
    )
    ids = torch.randint(99_000, 101_000, (3, 67), device="cuda")
    given = (torch.tensor([0.25], device="cuda"), 0.0117)
    device: Any = getattr(ropelab_cuda, name)
    specified: Any = getattr(ropelab, name)
    got = device(q, k, *weights, ids, spectrum, dtype=target, scale=given, **told)
    arrays = (take(q), take(k), *weights, take(ids))
    wanted = specified(*arrays, spectrum, dtype=target, scale=(0.25, 0.0117), **told)
    drift = 101_000 * 2 * np.pi * 2.0**-65 / eps(target)
    first = told.get("rotary_offset", 0)
    for y, expected in zip(map(take, got), wanted, strict=True):
        turned, true = (x[..., first : first + 64] for x in (y, expected))
        assert pair_error(turned, true, "half") <= THEIR_BOUNDS.get(target, 1.01) + drift
        around = [channel for channel in range(96) if not first <= channel < first + 64]
        passed, meant = (widen(x)[..., around] for x in (y, expected))
        size = np.maximum(np.abs(meant), np.finfo(np.float64).tiny)
        assert (np.abs(passed - meant) / size).max() <= 12.0 * eps(target)
        if target not in THEIR_BOUNDS:
            assert np.mean(widen(y) != widen(expected)) <= 0.02


def test_a_scale_is_read_when_the_kernel_runs(torch: Any) -> None:
    """In a graph, and written just before by another kernel, on which a dependent launch waits."""
    spectrum, scale = ropelab.Rope(64).spectrum(), torch.ones(1, device="cuda")
    x = torch.randn(4, 33, 8, 64, device="cuda", dtype=torch.bfloat16)
    source, ids = torch.ones(1, device="cuda"), torch.arange(33, device="cuda") * 1001
    options: dict[str, Any] = {"dtype": torch.float8_e4m3fn}
    ropelab_cuda.apply_rotary(x, ids, spectrum, scale=scale, **options)  # compile it
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        scale.copy_(source)
        y = ropelab_cuda.apply_rotary(x, ids, spectrum, scale=scale, **options)
    for value in (0.25, 3.0, 0.0078125, 1.0):
        source.fill_(value)
        graph.replay()
        eager = ropelab_cuda.apply_rotary(x, ids, spectrum, scale=value, **options)
        assert torch.equal(y.view(torch.uint8), eager.view(torch.uint8)), value


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), -1.0])
def test_a_scale_that_nobody_looked_at_harms_nothing_else(torch: Any, value: float) -> None:
    scale = torch.full((1,), value, device="cuda")
    whole = torch.full((3, 5, 4, 32), 7.0, device="cuda").to(torch.float8_e5m2)
    x = torch.randn(3, 5, 2, 32, device="cuda")
    ids, spectrum = torch.arange(5, device="cuda"), ropelab.Rope(32).spectrum()
    out = whole[:, :, 1:3]
    ropelab_cuda.apply_rotary(x, ids, spectrum, scale=scale, dtype="float8_e5m2", out=out)
    assert bool((whole.float()[:, :, [0, 3]] == 7.0).all())


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_cupy_has_no_arrays_of_eight_bits(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 3, 16)).astype(np.float32)
    ids, spectrum, cupy = np.arange(5) * 31, ropelab.Rope(16).spectrum(), CuPy()
    with pytest.raises(TypeError, match=f"dtype: expected .* CuPy .* got {name}"):
        ropelab_cuda.apply_rotary(cupy.put(x), cupy.put(ids), spectrum, dtype=name, scale=0.03)
