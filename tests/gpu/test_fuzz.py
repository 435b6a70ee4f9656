"""Fuzzed calls on the GPU: 300 in the suite, 20,000 by ``.ci/gpu fuzz``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from ropelab.golden.case import Array
from ropelab.precision import RAW, format_name
from ropelab_cuda.loading import kernel
from tests.fuzz import BOUNDS, unit_of, worst_error
from tests.fuzz_cases import KINDS, Case, cases

pytestmark = pytest.mark.gpu

COUNT = int(os.environ.get("ROPELAB_FUZZ_CASES", "300"))
SEED = int(os.environ.get("ROPELAB_FUZZ_SEED", "20251125"))

# torch has no uint16 or uint32 to index with, but holds them.
BITS = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64}


class Torch:
    """torch tensors on the current device; all formats travel as their bits."""

    def put(self, memory: Array, shape: tuple[int, ...], strides: tuple[int, ...], at: int) -> Any:
        import torch

        name = format_name(memory.dtype)
        bits = torch.from_numpy(memory.view(BITS[memory.itemsize]))
        return bits.cuda().view(getattr(torch, name)).as_strided(shape, strides, at)

    def alike(self, tensor: Any, shape: tuple[int, ...], strides: tuple[int, ...], at: int) -> Any:
        return tensor.as_strided(shape, strides, at)

    def memory(self, tensor: Any) -> Array:
        size = tensor.untyped_storage().nbytes() // tensor.element_size()
        return self.take(tensor.as_strided((size,), (1,), 0))

    def take(self, tensor: Any) -> Array:
        import torch

        bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
        name = str(tensor.dtype).removeprefix("torch.")
        array = tensor.view(bits[tensor.element_size()]).cpu().contiguous().numpy()
        found: Array = array.view(RAW[name] if name in RAW else np.dtype(name))
        return found


@pytest.fixture
def poisoned_by_torch() -> Iterator[None]:
    """Let torch fill with NaN what it allocates, so that an element left out is seen."""
    import torch
    import torch.utils.deterministic as deterministic

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert bool(torch.empty(8, device="cuda").isnan().all())
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.usefixtures("poisoned_by_torch")
def test_fuzzed_calls_do_as_specified() -> None:
    worst = dict.fromkeys(BOUNDS, 0.0)
    counts = dict.fromkeys(BOUNDS, 0)

    @seed(SEED)
    @settings(
        max_examples=COUNT,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(case=cases())
    def fuzz(case: Case) -> None:
        error = worst_error(case, Torch())
        unit = unit_of(case)
        counts[unit] += 1
        worst[unit] = max(worst[unit], error)
        assert error <= BOUNDS[unit]

    fuzz()
    total = sum(counts.values())
    print(
        f"\n{total} cases of {len(KINDS)} kinds, seed {SEED}, {kernel.cache_info().currsize} "
        f"kernels; worst error of a pair, in eps:"
    )
    for dtype in BOUNDS:
        print(f"  {dtype:13} {worst[dtype]:.4f} of {BOUNDS[dtype]} in {counts[dtype]} cases")
    assert total >= COUNT
    assert all(counts.values())
