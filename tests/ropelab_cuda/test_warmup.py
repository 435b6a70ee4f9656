"""What is refused ahead of a call; and with `-m nvrtc`, that kernels are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ropelab
import ropelab_cuda
from ropelab.scaling import Axial
from ropelab_cuda.warmup import specialisations_of

LLAMA = ropelab.Rope(128, base=500_000.0)
ROPES = {
    "whole": LLAMA,
    "offset": ropelab.Rope(192, rotary_dim=64, rotary_offset=128),
    "two axes": ropelab.Rope(64, scaling=Axial("hw")),
}


@pytest.mark.parametrize(
    ("call", "rope", "change", "error", "word"),
    [
        ("apply", "whole", {}, ValueError, "call: expected one of 'rotary', 'xpos'"),
        ("xpos", "whole", {"k_heads": 0}, ValueError, "k_heads"),
        ("xpos", "offset", {}, ValueError, "rope: .*rotary_offset 128"),
        ("xpos", "two axes", {}, ValueError, "spectrum"),
        ("xpos", "whole", {"scaled": 0.5}, TypeError, "scaled"),
        ("xpos", "whole", {"output_dtype": "float4"}, ValueError, "output_dtype"),
        ("xpos", "whole", {"scaled": True, "in_place": True}, ValueError, "in_place"),
        ("xpos", "whole", {"table_dtype": "float32"}, TypeError, "table_dtype"),
        ("norm_rotary", "whole", {"k_heads": 0}, ValueError, "k_heads"),
        ("norm_rotary", "whole", {"weight_dtype": "int8"}, ValueError, "weight_dtype"),
        ("norm_rotary", "whole", {"weighted": 1}, TypeError, "weighted"),
        ("norm_rotary", "whole", {"scaled": 0.5}, TypeError, "scaled"),
        ("norm_rotary", "whole", {"output_dtype": "float4"}, ValueError, "output_dtype"),
        ("norm_rotary", "whole", {"scaled": True, "in_place": True}, ValueError, "in_place"),
        ("norm_rotary", "whole", {"across_heads": 1}, TypeError, "across_heads"),
        ("norm_rotary", "whole", {"table_dtype": "float32"}, TypeError, "table_dtype"),
        ("kv_cache", "whole", {"k_heads": 0}, ValueError, "k_heads"),
        ("kv_cache", "whole", {"cache_dtype": "uint8"}, ValueError, "cache_dtype"),
        ("kv_cache", "whole", {"slot_dtype": "uint64"}, ValueError, "slot_dtype"),
        ("kv_cache", "whole", {"scaled": 0.5}, TypeError, "scaled"),
        ("kv_cache", "whole", {"v_head_dim": 0}, ValueError, "v_head_dim"),
        ("to_half", "offset", {}, ValueError, "rope: .*rotary_offset 128"),
        ("to_interleaved", "whole", {"tokens": [(1, 0)]}, ValueError, "tokens"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict | str) else "",
)
def test_what_a_kind_of_call_cannot_do_is_named(
    call: str, rope: str, change: dict[str, Any], error: type[Exception], word: str, tmp_path: Path
) -> None:
    wanted = {"q_heads": 4, "k_heads": 2, **change}
    with pytest.raises(error, match=word):
        ropelab_cuda.warmup(ROPES[rope], call, **wanted)
    with pytest.raises(error, match=word):
        ropelab_cuda.save_cubins(tmp_path, ROPES[rope], call, architectures=["90"], **wanted)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ({"q_heads": 0}, ValueError, "q_heads"),
        ({"k_heads": -1}, ValueError, "k_heads"),
        ({"k_heads": 1.0}, TypeError, "k_heads"),
        ({"dtype": "int8"}, ValueError, "dtype"),
        ({"table_dtype": "fp32"}, ValueError, "table_dtype"),
        ({"position_dtype": "uint64"}, ValueError, "position_dtype"),
        ({"tensor_format": "bsd"}, ValueError, "tensor_format"),
        ({"output_dtype": "float4"}, ValueError, "output_dtype"),
        ({"in_place": True, "output_dtype": "float16"}, ValueError, "in_place"),
        ({"in_place": True, "scaled": True}, ValueError, "in_place"),
        ({"angles": "fast"}, ValueError, "angles"),
        ({"in_place": 1}, TypeError, "in_place"),
        ({"tokens": [(0, 1)]}, ValueError, "tokens"),
        ({"heads": 4}, TypeError, "heads"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(
    change: dict[str, Any], error: type[Exception], word: str, tmp_path: Path
) -> None:
    wanted = {"q_heads": 4, **change}
    for call in (
        lambda: specialisations_of(LLAMA, **wanted),
        lambda: ropelab_cuda.warmup(LLAMA, **wanted),
        lambda: ropelab_cuda.save_cubins(tmp_path, LLAMA, architectures=["90"], **wanted),
    ):
        with pytest.raises(error, match=word):
            call()
    assert list(tmp_path.iterdir()) == []


def test_one_architecture_goes_in_a_list(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="architectures: expected a sequence"):
        ropelab_cuda.save_cubins(tmp_path, LLAMA, q_heads=4, architectures="90")


@pytest.mark.nvrtc
def test_cubins_are_written_for_cards_that_are_not_here(tmp_path: Path) -> None:
    files = ropelab_cuda.save_cubins(
        tmp_path / "new", LLAMA, q_heads=4, k_heads=1, architectures=["90", "120"]
    )
    assert sorted(files) == sorted((tmp_path / "new").iterdir())
    assert {path.name.split("-")[1] for path in files} == {"sm_90", "sm_120"}
    assert all(path.read_bytes()[:4] == b"\x7fELF" for path in files)
