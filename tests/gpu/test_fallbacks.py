"""Calls without cuda-bindings or torch's C exporter give the same bits, on the GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.fallbacks import answers, without_c_exporter, without_cuda_bindings

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("without", [without_c_exporter, without_cuda_bindings])
def test_the_slow_way_gives_the_same_bits(
    without: Callable[[], AbstractContextManager[None]],
) -> None:
    import torch

    wanted = answers(torch, "cuda")
    with without():
        found = answers(torch, "cuda")
    assert len(found) == len(wanted) >= 30
    for got, want in zip(found, wanted, strict=True):
        assert got.shape == want.shape
        assert torch.equal(got.view(torch.uint8), want.view(torch.uint8))
