"""CuPy's and JAX's arrays on a GPU: the page's code, and JAX where its CUDA plugin is installed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab_cuda import arrays
from tests.frameworks.page import blocks, run
from tests.ropelab.support import refuses

pytestmark = pytest.mark.gpu

SPECTRUM = ropelab.Rope(128, base=5e5).spectrum()
IDS = np.array([[0, 131_071, 257, 2**24 + 1, 7], [5, 4095, 2**31 - 1, 1, 3]], np.int32)


BLOCKS = blocks(gpu=True)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_of_the_page_runs(name: str) -> None:
    run(BLOCKS[name])


def test_arrays_of_cupy_come_back() -> None:
    import cupy

    x = np.random.default_rng(0).standard_normal((2, 5, 3, 128))
    found = arrays.apply_rotary(cupy.asarray(x), cupy.asarray(IDS), SPECTRUM)
    assert isinstance(found, cupy.ndarray)
    assert np.abs(cupy.asnumpy(found) - ropelab.apply_rotary(x, IDS, SPECTRUM)).max() < 1e-12


class TestJax:
    # Without the plugin there is nothing to test, which is no skip.
    __test__ = any(find_spec(name) for name in ("jax_cuda12_plugin", "jax_cuda13_plugin"))

    @pytest.fixture(autouse=True)
    def jax(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        # JAX reads it at its first look at the device, and would take most of the memory.
        monkeypatch.setitem(os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax

        assert jax.devices()[0].platform == "gpu"
        return jax

    @pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
    def test_arrays_come_back(self, jax: Any, dtype: str) -> None:
        host = np.random.default_rng(0).standard_normal((2, 5, 3, 128))
        x, ids = jax.numpy.asarray(host, dtype), jax.numpy.asarray(IDS)
        found = arrays.apply_rotary(x, ids, SPECTRUM)
        assert isinstance(found, jax.Array)
        assert (found.dtype, found.device) == (x.dtype, x.device)
        true = ropelab.apply_rotary(np.asarray(x, np.float64), IDS, SPECTRUM)
        norm = np.abs(true).max() * 2
        error = np.abs(np.asarray(found, np.float64) - true).max()
        assert error <= ropelab.precision.eps(dtype) * norm

    def test_arrays_are_not_written(self, jax: Any) -> None:
        x, ids = jax.numpy.ones((2, 5, 3, 128)), jax.numpy.asarray(IDS)
        with refuses(ValueError, "x", "JAX", "immutable"):
            ropelab_cuda.apply_rotary_(x, ids, SPECTRUM)
        assert (np.asarray(x) == 1).all()

    def test_a_tracer_is_refused(self, jax: Any) -> None:
        call = jax.jit(lambda x: ropelab_cuda.apply_rotary(x, IDS, SPECTRUM))
        with refuses(TypeError, "x", "Tracer", "jax.pure_callback"):
            call(jax.numpy.ones((2, 5, 3, 128)))

    def test_what_is_still_computed_and_what_is_let_go_of(self, jax: Any) -> None:
        """Slow producers, slow consumers, and memory that both sides reuse at once."""
        jnp = jax.numpy
        busy = jnp.eye(4096)
        work = jax.jit(lambda m: jax.lax.fori_loop(0, 40, lambda _, y: y @ m, m)[0, 1])
        late = jax.jit(lambda x, m: x + work(m))  # plus zero, after a while
        ids = jnp.arange(512)
        host = np.random.default_rng(1).standard_normal((1, 512, 8, 128)).astype(np.float32)
        found = []
        for turn in range(20):
            x = late(jnp.asarray(host + turn), busy)
            made = arrays.apply_rotary(x, ids, SPECTRUM)
            del x
            found.append(late(made, busy))
            del made
        for turn, result in enumerate(found):
            true = ropelab.apply_rotary(host + np.float32(turn), np.arange(512), SPECTRUM)
            assert np.abs(np.asarray(result) - true).max() < 1e-4, turn

    def test_positions_of_jax_turn_tensors_of_torch(self, jax: Any) -> None:
        import torch

        x = torch.randn(2, 5, 3, 128, generator=torch.Generator().manual_seed(0))
        found = ropelab_cuda.apply_rotary(x.cuda(), jax.numpy.asarray(IDS), SPECTRUM)
        true = ropelab.apply_rotary(x.double().numpy(), IDS, SPECTRUM)
        assert np.abs(found.cpu().numpy() - true).max() < 1e-5
