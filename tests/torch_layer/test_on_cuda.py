"""What the operators on CUDA do with tables and numbers, the kernels' source running on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
import torch

import ropelab
from ropelab.scaling import DynamicNTK
from ropelab_cuda import recordings
from ropelab_cuda.torch import (
    SpectrumText,
    apply_rotary,
    apply_rotary_,
    apply_rotary_cached,
    on_cuda,
    ops,
)
from ropelab_cuda.torch import on_cpu as kernels
from ropelab_cuda.torch.ropes import rope_as_text
from tests.shim.builder import run
from tests.shim.on_cpu import on_cpu
from tests.torch_layer.support import pair_error, qk, turned

pytestmark = pytest.mark.shim

INV_FREQ = [1.0, 0.3, 2.0**-9]
IDS = torch.tensor([[3, 70_001, 2, 131_071, 0], [-4, 9, 77_777, 5, 100_003]])
ANGLES = IDS[..., None].double() * torch.tensor(INV_FREQ, dtype=torch.float64)
TABLES = ANGLES.cos().float(), ANGLES.sin().float()
STRAIGHT = ("rotary_cached_qk", "rotary_qk", "rotary_qk_")
OPTIONS: dict[str, Any] = {"layout": "interleaved", "rotary_offset": 5, "inverse": True}


@pytest.fixture
def launches() -> Iterator[mock.Mock]:
    """Let CPU tensors go to the kernels, with no plan known, and count how often they do."""
    recordings.thread.mine = None
    with (
        on_cpu(),
        mock.patch.multiple(kernels, **{name: getattr(on_cuda, name) for name in STRAIGHT}),
        mock.patch("tests.shim.on_cpu.run", wraps=run) as counted,
    ):
        yield counted
    recordings.thread.mine = None


def check(q: torch.Tensor, k: torch.Tensor, *tables: torch.Tensor, repeated: bool = False) -> None:
    made = apply_rotary_cached(q, k, *tables, repeated=repeated, **OPTIONS)
    for x, y in zip((q, k), made, strict=True):
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


@pytest.mark.parametrize("k_dtype", [torch.float32, torch.bfloat16], ids=str)
def test_tables_with_two_columns_a_pair_are_read_where_they_lie(
    k_dtype: torch.dtype, launches: mock.Mock
) -> None:
    twice = [table.repeat_interleave(2, dim=-1) for table in TABLES]
    for _ in range(2):
        q, k = qk(dtype=torch.float32)
        check(q, k.to(k_dtype), *twice, repeated=True)
    assert launches.call_count == (2 if k_dtype == torch.float32 else 4)


ROPE = ropelab.Rope(12, scaling=DynamicNTK(2.0), max_position_embeddings=512)
NUMBERS = ops.length_numbers(torch.tensor([9_999]), rope_as_text(ROPE))
WRONG = {
    "too few": NUMBERS[:-1],
    "too many": NUMBERS.repeat(2),
    "apart": NUMBERS.repeat_interleave(2)[::2],
    "floats": NUMBERS.view(torch.float64),
    "a narrower rope's": NUMBERS[:9],
}


@pytest.mark.parametrize("rotate", [apply_rotary, apply_rotary_])
@pytest.mark.parametrize("numbers", WRONG.values(), ids=WRONG)
def test_numbers_that_a_kernel_would_read_past_are_refused(
    numbers: torch.Tensor, rotate: Callable[..., Any], launches: mock.Mock
) -> None:
    text = rope_as_text(ROPE)
    q, k = qk(dtype=torch.float32)
    rotate(q, k, IDS, SpectrumText(text, NUMBERS))
    before = q.clone(), k.clone()
    with pytest.raises((TypeError, ValueError), match=r"^spectrum: expected .*numbers"):
        rotate(q, k, IDS, SpectrumText(text, numbers))
    assert torch.equal(q, before[0])
    assert torch.equal(k, before[1])
    assert launches.call_count == 1
