"""Calls without torch's C exporter give the same bits, on the CPU."""

from __future__ import annotations

import pytest
import torch

from tests.fallbacks import answers, without_c_exporter
from tests.shim.on_cpu import on_cpu


@pytest.mark.shim
def test_tensors_that_come_by_capsules_give_the_same_bits() -> None:
    with on_cpu():
        wanted = answers(torch, "cpu")
    with without_c_exporter(), on_cpu():
        found = answers(torch, "cpu")
    assert len(found) == len(wanted) >= 30
    for got, want in zip(found, wanted, strict=True):
        assert got.shape == want.shape
        assert torch.equal(got.view(torch.uint8), want.view(torch.uint8))
