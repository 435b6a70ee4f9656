"""How other libraries are called, by stand-ins of their very signatures that run on a CPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ropelab_cuda.bench import third_party
from ropelab_cuda.bench.candidates import ROUNDED_THRICE, Candidate
from ropelab_cuda.bench.check import worst_error
from ropelab_cuda.bench.inputs import Inputs, Pair
from ropelab_cuda.bench.workloads import Workload

LIGER = """
import torch

def _turn(x, cos, sin):  # (batch, heads, sequence, head_dim), in place
    d = cos.shape[-1]
    cos, sin = cos[:, None, :, : d // 2], sin[:, None, :, : d // 2]
    a, b = x[..., : d // 2].clone(), x[..., d // 2 : d].clone()
    x[..., : d // 2] = a * cos - b * sin
    x[..., d // 2 : d] = b * cos + a * sin

def rope_forward(q, k, cos, sin, position_ids=None, unsqueeze_dim=1, rotary_dim=None):
    assert q.transpose(1, 2).is_contiguous()
    _turn(q, cos, sin), _turn(k, cos, sin)
    return q, k, cos, sin

def rope_backward(dq, dk, cos, sin, position_ids=None, unsqueeze_dim=1, rotary_dim=None):
    return rope_forward(dq, dk, cos, -sin)[:2]

class LigerRopeFunction:
    @staticmethod
    def apply(q, k, cos, sin, position_ids=None, unsqueeze_dim=1, rotary_dim=None):
        return rope_forward(q, k, cos, sin)[:2]
"""

FLASH_ATTENTION = """
import torch

def apply_rotary(x, cos, sin, seqlen_offsets=0, cu_seqlens=None, max_seqlen=None,
                 interleaved=False, inplace=False, conjugate=False):
    assert x.dtype == cos.dtype and cos.shape[0] >= x.shape[1] and cos.is_contiguous()
    rows = torch.arange(x.shape[1])[None] + (
        seqlen_offsets[:, None] if torch.is_tensor(seqlen_offsets) else seqlen_offsets)
    cos, sin = cos[rows][:, :, None].float(), sin[rows][:, :, None].float()
    sin = -sin if conjugate else sin
    d = 2 * cos.shape[-1]
    out = x if inplace else x.clone()
    first = slice(0, d, 2) if interleaved else slice(0, d // 2)
    second = slice(1, d, 2) if interleaved else slice(d // 2, d)
    a, b = x[..., first].float(), x[..., second].float()
    out[..., first], out[..., second] = (a * cos - b * sin).to(x), (b * cos + a * sin).to(x)
    return out
"""

BY_CACHE = """
import torch

def {name}(positions, query, key, head_size, cos_sin_cache, is_neox=True):
    assert cos_sin_cache.dtype == {dtype} and positions.shape == (query.shape[0],)
    cos, sin = cos_sin_cache[positions].float().chunk(2, dim=-1)
    d = 2 * cos.shape[-1]
    first = slice(0, d // 2) if is_neox else slice(0, d, 2)
    second = slice(d // 2, d) if is_neox else slice(1, d, 2)
    for x in (query, key):
        x = x.view(x.shape[0], -1, head_size)
        a, b = x[..., first].float(), x[..., second].float()
        c, s = cos[:, None], sin[:, None]
        x[..., first], x[..., second] = (a * c - b * s).to(x), (b * c + a * s).to(x)
"""

CACHED = "apply_rope_with_cos_sin_cache_inplace"
FILES = {
    "liger_kernel/__init__.py": "raise RuntimeError('the door is not needed')",
    "liger_kernel/ops/rope.py": LIGER,
    "flash_attn/__init__.py": "raise RuntimeError('the door is not needed')",
    "flash_attn/ops/triton/rotary.py": FLASH_ATTENTION,
    "flashinfer/__init__.py": "",
    "flashinfer/rope.py": BY_CACHE.format(name=CACHED, dtype="torch.float32"),
    "vllm/__init__.py": "",
    "vllm/_custom_ops.py": BY_CACHE.format(name="rotary_embedding", dtype="query.dtype"),
    "sgl_kernel/__init__.py": BY_CACHE.format(name=CACHED, dtype="torch.float32"),
}


def forget() -> None:
    """Let nothing that was imported here be found again."""
    for known in list(sys.modules):
        if known.split(".")[0] in {path.split("/")[0] for path in FILES}:
            del sys.modules[known]
    third_party._module.cache_clear()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield
    forget()


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "workload",
    [
        Workload(2, 5, 3, 2, head_dim=16),
        Workload(3, 1, 3, 2, head_dim=16),
        Workload(2, 5, 3, 2, head_dim=24, rotary_dim=10),
    ],
    ids=["prefill", "decode", "partial"],
)
def test_every_library_gets_what_it_wants(workload: Workload) -> None:
    inputs = Inputs(workload, 1, device="cpu")

    def turn(peer: third_party.Peer, layout: str, backward: bool, pair: Pair) -> Any:
        return peer.rotate(inputs, pair, layout, backward)

    found = third_party.third_party()
    assert [peer.name.split(",")[0] for peer in found] == [
        *("Liger", "flash-attention", "flash-attention", "FlashInfer", "vLLM", "SGLang")
    ]
    for peer in found:
        for layout in peer.layouts:
            for backward in (False, True)[: 1 + peer.backward]:
                candidate = Candidate(
                    peer.name,
                    layout,
                    partial(turn, peer, layout, backward),
                    "float32",
                    ROUNDED_THRICE,
                    backward,
                )
                assert worst_error(candidate, inputs) <= ROUNDED_THRICE, (peer.name, layout)


def test_what_is_not_installed_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert third_party.third_party() == []
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("installed")
def test_what_does_not_import_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "flashinfer/rope.py").write_text("raise OSError('no driver')")
    names = [peer.name for peer in third_party.third_party()]
    assert len(names) == 5
    assert capsys.readouterr().out == "flashinfer does not import: OSError: no driver\n"
