"""Kernels that were compiled ahead or shipped are the ones that calls use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ropelab
import ropelab_cuda
from ropelab_cuda.loading import kernel
from ropelab_cuda.stored_cubins import store_cubin

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
ROPE = ropelab.Rope(96, base=12_345.0, rotary_dim=64)
HEADS: dict[str, Any] = {"q_heads": 6, "k_heads": 2}


def rotate(batch: int, sequence: int) -> Any:
    import torch

    q, k = (torch.ones(batch, sequence, n, 96, device="cuda").half() for n in HEADS.values())
    ids = torch.arange(sequence, device="cuda")
    return ropelab_cuda.apply_rotary_qk(q, k, ids, ROPE.spectrum())


def call(kind: str, batch: int, sequence: int) -> None:
    """Call what `warmup` names so."""
    import torch

    q, k = (torch.ones(batch, sequence, n, 96, device="cuda").half() for n in HEADS.values())
    ids = torch.arange(sequence, device="cuda")
    given: Any = (ids, ROPE.spectrum())
    into_caches: Any = ropelab_cuda.apply_rotary_kv_cache
    if kind == "xpos":
        ropelab_cuda.apply_xpos_qk(q, k, *given)
    elif kind == "norm_rotary":
        weight = torch.ones(96, device="cuda").half()
        ropelab_cuda.apply_norm_rotary_qk(q, k, weight, weight, *given)
    elif kind == "kv_cache":
        caches = [torch.zeros(400, 16, 2, 96, device="cuda").half() for _ in "kv"]
        slots = torch.arange(batch * sequence, device="cuda").view(batch, sequence)
        into_caches(q, k, k, *given, *caches, slots)
    else:
        for x in (q, k):
            getattr(ropelab_cuda, kind)(x, 64)


@pytest.mark.parametrize("kind", ["xpos", "norm_rotary", "kv_cache", "to_half", "to_interleaved"])
def test_after_a_warmup_of_its_kind_no_call_compiles(kind: str) -> None:
    assert ropelab_cuda.warmup(ROPE, kind, dtype="float16", **HEADS)
    before = kernel.cache_info().misses
    for tokens in ((1, 1), (1, 7), (3, 1), (5, 9), (2, 700), (1, 5000)):
        call(kind, *tokens)
    assert kernel.cache_info().misses == before


def test_after_a_warmup_no_call_compiles() -> None:
    loaded = ropelab_cuda.warmup(ROPE, dtype="float16", **HEADS)
    assert loaded
    before = kernel.cache_info().misses
    for tokens in ((1, 1), (1, 7), (3, 1), (5, 9), (2, 700), (1, 5000)):
        rotate(*tokens)
    assert kernel.cache_info().misses == before


CHILD = """
import sys, numpy as np, torch, ropelab, ropelab_cuda
from ropelab_cuda import loading

def refuse(*_):
    raise AssertionError("compiled")

if sys.argv[1] == "shipped":
    loading.compiled = refuse
    loading.require_cupy().RawKernel = refuse
rope = ropelab.Rope(96, base=12_345.0, rotary_dim=64)
q, k = (torch.linspace(-2, 2, 5 * n * 96, device="cuda").view(1, 5, n, 96).half() for n in (6, 2))
ids = torch.tensor([0, 1, 77, 131_071, 2**31 - 1], device="cuda")
out = ropelab_cuda.apply_rotary_qk(q, k, ids, rope.spectrum())
for x, y in zip((q, k), out):
    true = ropelab.apply_rotary(x.double().cpu().numpy(), ids.cpu().numpy(), rope.spectrum())
    assert np.abs(y.double().cpu().numpy() - true).max() < 2e-3, "wrong"
print("right")
"""


def child(way: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD, way],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_shipped_cubin_needs_no_compiler(tmp_path: Path) -> None:
    files = ropelab_cuda.save_cubins(
        tmp_path / "shipped", ROPE, dtype="float16", tokens=[(1, 5)], **HEADS
    )
    assert [path.suffix for path in files] == [".cubin"]
    folders = {"CUPY_CACHE_DIR": str(tmp_path / "cache")}
    run = child("shipped", ROPELAB_CUBINS=str(tmp_path / "shipped"), **folders)
    assert run.stdout == "right\n", run.stderr
    assert list((tmp_path / "cache").rglob("*.cubin")) == []
    without = child("shipped", ROPELAB_CUBINS="", **folders)  # a control: it would have compiled
    assert "compiled" in without.stderr


def test_a_broken_cubin_is_refused_if_shipped_and_replaced_if_cached(tmp_path: Path) -> None:
    folders = {"CUPY_CACHE_DIR": str(tmp_path), "ROPELAB_CUBINS": ""}
    assert child("cached", **folders).stdout == "right\n"
    (file,) = (tmp_path / "ropelab").iterdir()
    whole = file.read_bytes()
    wrong = (whole[: len(whole) // 2], b"no ELF at all")  # the first would crash the driver
    for broken in wrong:
        file.write_bytes(broken)
        run = child("cached", **folders)
        assert run.stdout == "right\n", run.stderr
        assert file.read_bytes() == whole
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    for broken in wrong:
        (shipped / file.name).write_bytes(broken)
        run = child("shipped", **{**folders, "ROPELAB_CUBINS": str(shipped)})
        assert run.returncode == 1  # an exception, and no crash
        assert f"BrokenCubinError: {shipped / file.name}: expected a cubin" in run.stderr


def test_a_whole_cubin_that_the_driver_refuses_is_named(tmp_path: Path) -> None:
    (file,) = ropelab_cuda.save_cubins(tmp_path, ROPE, dtype="float16", tokens=[(1, 5)], **HEADS)
    store_cubin(tmp_path, file.name, b"no ELF at all")
    run = child("shipped", CUPY_CACHE_DIR=str(tmp_path / "cache"), ROPELAB_CUBINS=str(tmp_path))
    assert run.returncode == 1
    assert f"RuntimeError: {file}: expected a cubin for this driver" in run.stderr
