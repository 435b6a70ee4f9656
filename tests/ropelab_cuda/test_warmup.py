"""Which kernels a model needs, as planned ahead; and with `-m nvrtc`, that they are shipped."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.scaling import Axial
from ropelab_cuda.compile import Specialisation
from ropelab_cuda.warmup import specialisations_of
from tests.shim.on_cpu import on_cpu

LLAMA = ropelab.Rope(128, base=500_000.0)
PARTIAL = ropelab.Rope(96, rotary_dim=24)


def of_calls(monkeypatch: pytest.MonkeyPatch, calls: list[tuple[Any, ...]]) -> set[Specialisation]:
    """Return what real calls would launch, with nothing launched."""
    seen: set[Specialisation] = set()

    def plan_only(plan: Any, **_: Any) -> None:
        seen.add(plan.specialisation)

    monkeypatch.setattr("tests.shim.on_cpu.run", plan_only)
    with on_cpu():
        for function, *arguments, options in calls:
            function(*arguments, **options)
    return seen


@pytest.mark.parametrize("tensor_format", ["bshd", "bhsd", "sbhd", "thd"])
@pytest.mark.parametrize("rope", [LLAMA, PARTIAL], ids=["whole", "partial"])
@pytest.mark.parametrize("in_place", [False, True])
def test_calls_need_nothing_else(
    monkeypatch: pytest.MonkeyPatch, rope: ropelab.Rope, tensor_format: str, in_place: bool
) -> None:
    options = {"layout": rope.layout, "tensor_format": tensor_format}
    name = "apply_rotary_qk_" if in_place else "apply_rotary_qk"
    calls: list[tuple[Any, ...]] = []
    for batch, sequence in product((1, 3, 64), (1, 5, 100, 999)):
        sizes = {"b": batch, "s": sequence, "t": batch * sequence, "d": rope.head_dim}
        q, k = (
            np.empty([{**sizes, "h": heads}[axis] for axis in tensor_format], np.float16)
            for heads in (6, 2)
        )
        ids = np.arange(sequence)
        ids = np.tile(ids, batch) if tensor_format == "thd" else np.tile(ids, (batch, 1))
        calls.append((getattr(ropelab_cuda, name), q, k, ids, rope.spectrum(), options))
    planned = specialisations_of(
        rope, q_heads=6, k_heads=2, dtype="float16", tensor_format=tensor_format, in_place=in_place
    )
    needed = of_calls(monkeypatch, calls)
    assert needed <= set(planned)
    assert len(planned) <= 30


def test_tables_need_their_own_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    x, table = np.empty((1, 700, 4, 128), np.float32), np.empty((700, 64), np.float16)
    calls: list[tuple[Any, ...]] = [(ropelab_cuda.apply_rotary_cached, x, table, table, {})]
    options: dict[str, Any] = {"q_heads": 4, "dtype": "float32", "table_dtype": "float16"}
    planned = specialisations_of(LLAMA, **options)
    assert of_calls(monkeypatch, calls) <= set(planned)
    assert {one.kernel for one in planned} == {"rotary_cached"}


def test_other_formats_and_scales_need_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k = (np.empty((1, 9, heads, 128), np.float16) for heads in (4, 1))
    ids, numbers = np.arange(9, dtype=np.int32), LLAMA.spectrum()
    function = ropelab_cuda.apply_rotary_qk
    storages: tuple[dict[str, Any], ...] = (
        {},
        {"dtype": "float8_e4m3fn"},
        {"dtype": "float8_e4m3fn", "scale": 0.5},
    )
    for options in storages:
        planned = specialisations_of(
            LLAMA,
            q_heads=4,
            k_heads=1,
            dtype="float16",
            position_dtype="int32",
            output_dtype=options.get("dtype"),
            scaled="scale" in options,
        )
        needed = of_calls(monkeypatch, [(function, q, k, ids, numbers, options)])
        assert len(needed) == 1
        assert needed <= set(planned)


def test_several_position_axes_and_a_rule_that_needs_a_length() -> None:
    axial = ropelab.Rope(64, scaling=Axial("hw"))
    defines = [dict(one.defines) for one in specialisations_of(axial, q_heads=4)]
    assert {one["POSITION_AXES"] for one in defines} == {2}
    dynamic = ropelab.Rope(
        64, scaling=ropelab.scaling.DynamicNTK(2.0), max_position_embeddings=4096
    )
    assert specialisations_of(dynamic, q_heads=4)


@pytest.mark.parametrize("position_dtype", ["int32", "int64"])
def test_a_rule_by_the_length_needs_its_spectrum_first(
    monkeypatch: pytest.MonkeyPatch, position_dtype: str
) -> None:
    rule = ropelab.scaling.DynamicNTK(2.0)
    rope = ropelab.Rope(64, scaling=rule, max_position_embeddings=4096)
    calls: list[tuple[Any, ...]] = []
    for sequence, seq_len in ((1, None), (999, 5000), (20_000, None)):
        q, k = (np.empty((1, sequence, heads, 64), np.float16) for heads in (6, 2))
        ids = np.arange(sequence, dtype=position_dtype)[None]
        calls.append((ropelab_cuda.rotate, rope, q, k, ids, {"seq_len": seq_len}))
    options: dict[str, Any] = {"dtype": "float16", "position_dtype": position_dtype}
    planned = specialisations_of(rope, q_heads=6, k_heads=2, **options)
    assert of_calls(monkeypatch, calls) <= set(planned)
    kernels = {"rotary", "length_spectrum", "largest_positions"}
    assert {one.kernel for one in planned} == kernels


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
