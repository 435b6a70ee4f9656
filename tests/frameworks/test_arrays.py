"""Arrays come out in the framework that they came in by, with the right numbers in them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import ropelab
import ropelab_cuda
from ropelab_cuda import arrays
from tests.frameworks.support import FRAMEWORKS, Held
from tests.ropelab.support import exact_cos_sin, refuses

INV_FREQ = [1.0, 0.3, 2.0**-9]
SPECTRUM = ropelab.Spectrum(np.array(INV_FREQ))
IDS = np.array([[0, 131_071, 257, 2**24 + 1], [5, -4095, 2**31 - 1, 1]], np.int32)
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def tensor(heads: int, dtype: Any = np.float32, seed: int = 0) -> Any:
    """Return queries or keys whose last channels are not rotated."""
    random = np.random.default_rng(seed)
    return random.standard_normal((2, 4, heads, 8)).astype(dtype)


def turned(x: Any) -> Any:
    """Rotate in float64 by angles of 80 digits."""
    cos, sin = (table[:, :, None] for table in exact_cos_sin(IDS, INV_FREQ))
    x = x.astype(np.float64)
    a, b = x[..., :3], x[..., 3:6]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, x[..., 6:]], axis=-1)


@pytest.fixture(params=FRAMEWORKS)
def held(request: pytest.FixtureRequest) -> Held:
    return FRAMEWORKS[request.param]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rotation_comes_back_as_it_went(held: Held, dtype: str) -> None:
    x = tensor(3, DTYPES[dtype])
    given = held.put(x.copy())
    found = arrays.apply_rotary(given, held.put(IDS), SPECTRUM)
    assert isinstance(found, held.kind)
    assert found.dtype == given.dtype
    assert held.take(given).tobytes() == x.tobytes()
    error = np.abs(held.take(found).astype(np.float64) - turned(x))
    norm = np.abs(x.astype(np.float64)).max(axis=-1, keepdims=True) * np.sqrt(2)
    assert (error <= ropelab.precision.eps(dtype) * norm).all()


Q, K, COS = tensor(4), tensor(1, seed=1), tensor(1, seed=2)[:, :, 0, :3]
WEIGHT = np.linspace(0.5, 2.0, 8, dtype=np.float32)
ROPE = ropelab.Rope(8, base=50.0, layout="interleaved")
CALLS: dict[str, tuple[Any, ...]] = {
    "apply_rotary": (Q, IDS, SPECTRUM),
    "apply_rotary_qk": (Q, K, IDS, SPECTRUM),
    "apply_rotary_cached": (Q, COS, np.flip(COS).copy()),
    "apply_rotary_cached_qk": (Q, K, COS, np.flip(COS).copy()),
    "rotate": (ROPE, Q, K, IDS),
    "apply_xpos_qk": (Q, K, IDS % 50, SPECTRUM),
    "apply_norm_rotary_qk": (Q, K, WEIGHT, WEIGHT, IDS, SPECTRUM),
    "cos_sin": (IDS, SPECTRUM),
    "to_half": (Q, 6),
    "to_interleaved": (Q, 6),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_name_of_the_specification(held: Held, name: str) -> None:
    put = [held.put(given) if isinstance(given, np.ndarray) else given for given in CALLS[name]]
    found, expected = getattr(arrays, name)(*put), getattr(ropelab, name)(*CALLS[name])
    assert isinstance(found, tuple) == isinstance(expected, tuple)
    results = found if isinstance(found, tuple) else (found,)
    truths = expected if isinstance(expected, tuple) else (expected,)
    for result, truth in zip(results, truths, strict=True):
        assert isinstance(result, held.kind)
        assert held.take(result).dtype == truth.dtype
        assert np.array_equal(held.take(result), truth)


def test_no_name_is_left_out() -> None:
    assert {*CALLS, "exact_phases"} == set(arrays.__all__)


def test_a_format_may_be_named_by_the_dtype_of_a_framework() -> None:
    x, ids, spectrum = torch.ones(1, 2, 1, 4), torch.arange(2), ropelab.Rope(4).spectrum()
    dtypes: tuple[Any, ...] = (torch.float16, torch.float8_e4m3fn)
    for dtype in dtypes:
        assert arrays.apply_rotary(x, ids, spectrum, dtype=dtype).dtype == dtype


def test_results_of_other_formats() -> None:
    x = jnp.full((1, 1, 1, 6), 0.3)
    assert arrays.apply_rotary(x, [0], SPECTRUM, dtype=jnp.bfloat16).dtype == jnp.bfloat16
    eighth = arrays.apply_rotary(x, [0], SPECTRUM, dtype="float8_e4m3fn")
    assert eighth.dtype == jnp.float8_e4m3fn
    assert eighth.astype(jnp.float32).tolist() == [[[[0.3125] * 6]]]
    cos, sin = arrays.cos_sin(torch.arange(2), SPECTRUM, dtype="bfloat16")
    assert cos.dtype == sin.dtype == torch.bfloat16


def test_what_jax_would_shorten_is_refused_unless_it_holds_64_bits() -> None:
    ids = jnp.asarray(IDS)
    with refuses(TypeError, "dtype", "float64", "jax_enable_x64"):
        arrays.cos_sin(ids, SPECTRUM, dtype="float64")
    with refuses(TypeError, "dtype", "uint64"):
        arrays.exact_phases(ids, SPECTRUM)
    with jax.enable_x64(True):
        phases = arrays.exact_phases(ids, SPECTRUM)
        assert phases.dtype == jnp.uint64
        turns = [int(turn) for turn in SPECTRUM.turns]
        expected = [[[int(m) * t % 2**64 for t in turns] for m in row] for row in IDS]
        assert phases.tolist() == expected


def test_results_stay_on_the_device_of_the_first_array() -> None:
    second = jax.devices("cpu")[1]
    x = jax.device_put(Q, second)
    found = arrays.apply_rotary(x, jnp.asarray(IDS), SPECTRUM)
    assert found.device == second
    assert np.abs(np.asarray(found, np.float64) - turned(Q)).max() < 1e-6


def test_an_array_that_is_still_computed_is_waited_for() -> None:
    slow = jax.jit(
        lambda x, m: x + 0 * jax.lax.fori_loop(0, 30, lambda _, y: jnp.tanh(y @ y), m)[0, 0]
    )
    x = slow(Q, jnp.eye(300))
    assert np.abs(np.asarray(arrays.apply_rotary(x, IDS, SPECTRUM)) - turned(Q)).max() < 1e-6


TRANSFORMS: dict[str, Callable[..., Any]] = {
    "jit": jax.jit,
    "grad": lambda f: jax.grad(lambda x: f(x).sum()),
    "vmap": lambda f: lambda x: jax.vmap(f)(x[None]),
}


@pytest.mark.parametrize("package", [arrays, ropelab, ropelab_cuda])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_tracer_is_refused(package: Any, name: str) -> None:
    traced = TRANSFORMS[name](lambda x: package.apply_rotary(x, IDS, SPECTRUM))
    with refuses(TypeError, "x", "Tracer", "jax.pure_callback"):
        traced(jnp.asarray(Q))


@pytest.mark.parametrize("package", [arrays, ropelab])
def test_traced_positions_are_refused(package: Any) -> None:
    with refuses(TypeError, "position_ids", "Tracer", "jax.pure_callback"):
        jax.jit(lambda ids: package.apply_rotary(Q, ids, SPECTRUM))(IDS)


def test_arrays_that_export_nothing() -> None:
    mesh = jax.make_mesh((2,), ("batch",))
    halves = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    with refuses(ValueError, "x", "unsharded"):
        arrays.apply_rotary(jax.device_put(Q, halves), IDS, SPECTRUM)
    deleted = jnp.asarray(Q)
    deleted.delete()
    with refuses(ValueError, "x", "does not export DLPack"):
        arrays.apply_rotary(deleted, IDS, SPECTRUM)
    with pytest.raises(TypeError, match="out"):
        arrays.apply_rotary(Q, IDS, SPECTRUM, out=Q)  # type: ignore[call-arg]


def test_gradients_are_for_the_torch_layer() -> None:
    x, plain = torch.from_numpy(Q.copy()).requires_grad_(), torch.from_numpy(Q)
    with refuses(ValueError, "x", "ropelab_cuda.torch rotates with gradients", "detach"):
        arrays.apply_rotary(x, IDS, SPECTRUM)
    with refuses(ValueError, "k", "ropelab_cuda.torch rotates with gradients"):
        arrays.apply_rotary_qk(plain, x, IDS, SPECTRUM)
    with torch.no_grad():
        made = arrays.apply_rotary(x, IDS, SPECTRUM)
    assert not made.requires_grad
    assert np.abs(made.double().numpy() - turned(Q)).max() < 1e-6


def test_lists_are_answered_by_numpy() -> None:
    cos, _ = arrays.cos_sin([0, 1], SPECTRUM)
    assert isinstance(cos, np.ndarray)
    assert np.array_equal(cos[0], np.ones(3))


def test_no_framework_is_imported_for_another() -> None:
    script = (
        "import sys, numpy, ropelab; from ropelab_cuda import arrays;"
        "arrays.cos_sin(numpy.arange(3), ropelab.Rope(8).spectrum());"
        "assert not {'jax', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
