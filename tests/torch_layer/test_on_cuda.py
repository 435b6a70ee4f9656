"""What the operators' kernels for CUDA do with tables, the kernels' source running on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch

from ropelab_cuda import recordings
from ropelab_cuda.torch import apply_rotary_cached, on_cuda
from ropelab_cuda.torch import on_cpu as kernels
from tests.shim.builder import run
from tests.shim.on_cpu import on_cpu
from tests.torch_layer.support import pair_error, qk, turned

pytestmark = pytest.mark.shim

INV_FREQ = [1.0, 0.3, 2.0**-9]
IDS = torch.tensor([[3, 70_001, 2, 131_071, 0], [-4, 9, 77_777, 5, 100_003]])
ANGLES = IDS[..., None].double() * torch.tensor(INV_FREQ, dtype=torch.float64)
TABLES = ANGLES.cos().float(), ANGLES.sin().float()
OPTIONS: dict[str, Any] = {"layout": "interleaved", "rotary_offset": 5, "inverse": True}


@pytest.fixture
def launches() -> Iterator[mock.Mock]:
    """Let CPU tensors go to the kernels, with no plan known, and count how often they do."""
    recordings.thread.mine = None
    with (
        on_cpu(),
        mock.patch.object(kernels, "rotary_cached_qk", on_cuda.rotary_cached_qk),
        mock.patch("tests.shim.on_cpu.run", wraps=run) as counted,
    ):
        yield counted
    recordings.thread.mine = None


def check(q: torch.Tensor, k: torch.Tensor, *tables: torch.Tensor) -> None:
    for x, y in zip((q, k), apply_rotary_cached(q, k, *tables, **OPTIONS), strict=True):
        assert (y.dtype, y.shape, y.stride()) == (x.dtype, x.shape, x.stride())
        assert pair_error(y, turned(x, IDS, INV_FREQ, **OPTIONS)) <= 2.0  # of cos and sin too


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_queries_and_keys_of_one_dtype_take_one_launch(
    dtype: torch.dtype, launches: mock.Mock
) -> None:
    for count in (1, 2):  # the second is a replay
        check(*qk(dtype=dtype), *TABLES)
        assert launches.call_count == count


def test_those_of_two_dtypes_take_two(launches: mock.Mock) -> None:
    q, k = qk(dtype=torch.float32)
    check(q, k.bfloat16(), *TABLES)
    assert launches.call_count == 2


@pytest.mark.parametrize("which", ["q", "k", "cos", "sin"])
def test_channels_that_do_not_adjoin_are_copied(which: str, launches: mock.Mock) -> None:
    given = dict(zip(("q", "k", "cos", "sin"), (*qk(dtype=torch.float32), *TABLES), strict=True))
    given[which] = given[which].transpose(1, -1).contiguous().transpose(1, -1)
    assert given[which].stride(-1) != 1
    check(*given.values())
    assert launches.call_count == 1


def test_keys_without_heads_cost_no_launch(launches: mock.Mock) -> None:
    for count in (1, 2):
        q, _ = qk(dtype=torch.float32)
        check(q, q.narrow(2, 0, 0), *TABLES)
        assert launches.call_count == count
