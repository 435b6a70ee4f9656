"""Calls as they go where something quick is missing: torch's C exporter, or cuda-bindings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import ropelab
import ropelab_cuda
from ropelab.positions import Consecutive
from ropelab.scaling import DynamicNTK
from ropelab_cuda.recordings import thread
from ropelab_cuda.torch_tensors import torch_framework

__all__ = ["answers", "without_c_exporter", "without_cuda_bindings"]

ROPE = ropelab.Rope(64, rotary_dim=48, scaling=DynamicNTK(2.0), max_position_embeddings=512)
SPECTRUM = ROPE.spectrum(600)


@contextmanager
def _forgetful() -> Iterator[None]:
    """Let this thread know no plans, so that none is replayed the other way."""
    thread.mine = None
    try:
        yield
    finally:
        thread.mine = None


@contextmanager
def without_c_exporter() -> Iterator[None]:
    """Let torch be older than 2.10: its tensors come by capsules, and no call is replayed."""
    with mock.patch("ropelab_cuda.torch_tensors._c_exporter", return_value=None), _forgetful():
        torch_framework.cache_clear()
        try:
            assert torch_framework().fill is None
            yield
        finally:
            torch_framework.cache_clear()


@contextmanager
def without_cuda_bindings() -> Iterator[None]:
    """Let cuda-bindings be missing: launches are plain."""
    with (
        mock.patch("ropelab_cuda.launcher._cuda_bindings", return_value=None),
        mock.patch("ropelab_cuda.launcher._dependent", side_effect=AssertionError),
        _forgetful(),
    ):
        yield


def answers(torch: Any, device: str) -> list[Any]:
    """Return what all kinds of calls answer, each made twice."""
    generator = torch.Generator(device).manual_seed(3)
    q, k, v = (
        torch.randn(2, 7, heads, 64, device=device, generator=generator).bfloat16()
        for heads in (6, 2, 2)
    )
    ids = torch.arange(14, device=device).view(2, 7) * 97
    weight = torch.linspace(0.5, 2.0, 64, device=device).bfloat16()

    def once() -> list[Any]:
        caches = torch.zeros(2, 7, 2, 2, 64, device=device, dtype=q.dtype)
        places, tables = (q.clone(), k.clone()), ropelab_cuda.cos_sin(ids, SPECTRUM)
        out = torch.zeros_like(q)
        ropelab_cuda.apply_rotary_qk_(*places, ids, SPECTRUM)
        ropelab_cuda.apply_rotary(q, ids, SPECTRUM, layout="interleaved", out=out)
        slots = torch.arange(14, device=device).view(2, 7).flip(0)
        stored: Any = (q, k, v, ids, SPECTRUM, *caches, slots)
        return [
            *places,
            *tables,
            out,
            ropelab_cuda.apply_rotary(q, Consecutive(90_000), SPECTRUM, inverse=True),
            *ropelab_cuda.rotate(ROPE, q, k, ids),
            *ropelab_cuda.apply_rotary_cached_qk(q, k, *tables),
            *ropelab_cuda.apply_norm_rotary_qk(q, k, weight, None, ids, SPECTRUM),
            *ropelab_cuda.apply_xpos_qk(q, k, ids, SPECTRUM, centre=600),
            ropelab_cuda.apply_rotary_kv_cache(*stored),
            caches,
            ropelab_cuda.to_interleaved(q, 48),
            ropelab_cuda.exact_phases(ids, SPECTRUM),
        ]

    return [*once(), *once()]
