"""Which kernels calls need: what is planned ahead of real calls, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.precision import RAW
from ropelab.scaling import Axial
from ropelab_cuda.compile import Specialisation
from ropelab_cuda.warmup import specialisations_of
from tests.shim.on_cpu import on_cpu

LLAMA = ropelab.Rope(128, base=500_000.0)
PARTIAL = ropelab.Rope(96, rotary_dim=24)
PLACES = (("bshd", False), ("bhsd", True), ("sbhd", False), ("thd", True))  # in place or not
ROPES = {
    "whole": LLAMA,
    "partial": PARTIAL,
    "offset": ropelab.Rope(
        192, rotary_dim=64, layout="interleaved", output_layout="half", rotary_offset=128
    ),
    "two axes": ropelab.Rope(64, scaling=Axial("hw")),
    "by the length": ropelab.Rope(
        64, scaling=ropelab.scaling.DynamicNTK(2.0), max_position_embeddings=4096
    ),
}
PLAIN = ("whole", "partial", "by the length")  # of which every kind of call knows how to turn them


def of_calls(monkeypatch: pytest.MonkeyPatch, calls: list[tuple[Any, ...]]) -> set[Specialisation]:
    """Return what real calls would launch, with nothing launched."""
    seen: set[Specialisation] = set()

    def plan_only(plan: Any, **_: Any) -> None:
        seen.add(plan.specialisation)

    monkeypatch.setattr("tests.shim.on_cpu.run", plan_only)
    with on_cpu():
        for function, *arguments, options in calls:
            function(*arguments, **options)
    assert seen
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
    q, k = (np.empty((1, 700, heads, 128), np.float32) for heads in (4, 1))
    table = np.empty((700, 64), np.float16)
    alone: list[tuple[Any, ...]] = [(ropelab_cuda.apply_rotary_cached, q, table, table, {})]
    both: list[tuple[Any, ...]] = [(ropelab_cuda.apply_rotary_cached_qk, q, k, table, table, {})]
    options: dict[str, Any] = {"q_heads": 4, "dtype": "float32", "table_dtype": "float16"}
    for calls, k_heads in ((alone, 0), (both, 1)):
        planned = specialisations_of(LLAMA, k_heads=k_heads, **options)
        assert of_calls(monkeypatch, calls) <= set(planned)
        assert {one.kernel for one in planned} == {"rotary_cached"}


STORING: dict[str, tuple[Any, ...]] = {
    "rotary": (ropelab_cuda.apply_rotary_qk,),
    "xpos": (ropelab_cuda.apply_xpos_qk,),
    "norm_rotary": (ropelab_cuda.apply_norm_rotary_qk, *[np.empty(128, np.float16)] * 2),
}


@pytest.mark.parametrize("call", STORING)
def test_other_formats_and_scales_need_their_own(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    q, k = (np.empty((1, 9, heads, 128), np.float16) for heads in (4, 1))
    ids, numbers = np.arange(9, dtype=np.int32), LLAMA.spectrum()
    function, *weights = STORING[call]
    storages: tuple[dict[str, Any], ...] = (
        {},
        {"dtype": "float8_e4m3fn"},
        {"dtype": "float8_e4m3fn", "scale": 0.5},
    )
    for options in storages:
        planned = specialisations_of(
            LLAMA,
            call,
            q_heads=4,
            k_heads=1,
            dtype="float16",
            position_dtype="int32",
            output_dtype=options.get("dtype"),
            scaled="scale" in options,
        )
        needed = of_calls(monkeypatch, [(function, q, k, *weights, ids, numbers, options)])
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


def options_of(rope: ropelab.Rope, tensor_format: str) -> dict[str, Any]:
    """Return the options of a call that does what the rope asks."""
    return {
        "layout": rope.layout,
        "output_layout": rope.output_layout,
        "rotary_offset": rope.rotary_offset,
        "tensor_format": tensor_format,
    }


def calls_of(
    rope: ropelab.Rope,
    tensor_format: str,
    dtype: str = "float16",
    many: Sequence[tuple[int, int]] = (*product((1, 3, 64), (1, 5, 100, 999)),),
) -> Iterator[tuple[Any, ...]]:
    """Yield spectrum, queries, keys and positions of few tokens and of many."""
    spectrum = rope.spectrum(4096)
    for batch, sequence in many:
        sizes = {"b": batch, "s": sequence, "t": batch * sequence, "d": rope.head_dim}
        q, k = (
            np.empty([{**sizes, "h": heads}[axis] for axis in tensor_format], dtype)
            for heads in (6, 2)
        )
        axes = () if spectrum.position_axes == 1 else (spectrum.position_axes,)
        shared = np.zeros((*axes, sequence), np.int32)
        own = np.zeros((*axes, batch, sequence), np.int32)
        for ids in (own.reshape(*axes, -1),) if tensor_format == "thd" else (shared, own):
            yield spectrum, q, k, ids


def planned(rope: ropelab.Rope, call: str, **wanted: Any) -> set[Specialisation]:
    heads = {"q_heads": 6, "k_heads": 2, "dtype": "float16", "position_dtype": "int32"}
    found = specialisations_of(rope, call, **{**heads, **wanted})
    assert len(found) == len(set(found)) <= 30
    return set(found)


@pytest.mark.parametrize(("tensor_format", "in_place"), PLACES)
@pytest.mark.parametrize("name", PLAIN)
def test_xpos_needs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, name: str, tensor_format: str, in_place: bool
) -> None:
    rope = ROPES[name]
    function = ropelab_cuda.apply_xpos_qk_ if in_place else ropelab_cuda.apply_xpos_qk
    options: dict[str, Any] = {"layout": rope.layout, "tensor_format": tensor_format}
    options["scale_base"] = 1000.0
    calls: list[tuple[Any, ...]] = [
        (function, q, k, ids, spectrum, options)
        for spectrum, q, k, ids in calls_of(rope, tensor_format)
    ]
    ahead = planned(rope, "xpos", tensor_format=tensor_format, in_place=in_place)
    assert of_calls(monkeypatch, calls) <= ahead
    assert {one.kernel for one in ahead} == {"rotary_xpos"}


@pytest.mark.parametrize(("tensor_format", "in_place"), PLACES)
@pytest.mark.parametrize("name", ROPES)
@pytest.mark.parametrize("across", [False, True])
def test_a_norm_needs_nothing_else(
    monkeypatch: pytest.MonkeyPatch, name: str, tensor_format: str, across: bool, in_place: bool
) -> None:
    rope = ROPES[name]
    function = ropelab_cuda.apply_norm_rotary_qk_ if in_place else ropelab_cuda.apply_norm_rotary_qk
    options = {**options_of(rope, tensor_format), "across_heads": across, "eps": 0.5}
    told = {"tensor_format": tensor_format, "across_heads": across, "in_place": in_place}
    for weight_dtype in (None, "float16", "float32"):
        weights: list[Any] = [None, None]
        if weight_dtype is not None:
            shapes = [(heads, rope.head_dim)[not across :] for heads in (6, 2)]
            weights = [np.empty(shape, weight_dtype) for shape in shapes]
        calls: list[tuple[Any, ...]] = [
            (function, q, k, *weights, ids, spectrum, options)
            for spectrum, q, k, ids in calls_of(rope, tensor_format)
        ]
        weighted = weight_dtype is not None
        ahead = planned(rope, "norm_rotary", weight_dtype=weight_dtype, weighted=weighted, **told)
        assert of_calls(monkeypatch, calls) <= ahead
        assert {one.kernel for one in ahead} == {"norm_rotary"}


@pytest.mark.parametrize("rope", [ROPES["two axes"], ropelab.Rope(32)], ids=["two axes", "one"])
def test_short_sequences_need_a_kernel_for_positions_of_either_shape(
    monkeypatch: pytest.MonkeyPatch, rope: ropelab.Rope
) -> None:
    calls: list[tuple[Any, ...]] = [
        (ropelab_cuda.apply_rotary, q[:, :, :1].copy(), ids, spectrum, {})
        for spectrum, q, _, ids in calls_of(rope, "bshd", many=[(64, 3)])
    ]
    needed = of_calls(monkeypatch, calls)
    assert len(needed) == 2
    assert needed == planned(rope, "rotary", q_heads=1, k_heads=0, tokens=[(64, 3)])


# What is told ahead, and the dtype of the caches, scales, channels of a value.
CACHES: tuple[tuple[dict[str, Any], str, Any, int], ...] = (
    ({}, "float16", 1.0, 0),
    ({"cache_dtype": "float8_e4m3fn", "scaled": True}, "float8_e4m3fn", 0.5, 0),
    ({"scaled": True}, "float16", np.ones((), np.float32), 0),
    ({"cache_dtype": "float32", "slot_dtype": "int32", "v_head_dim": 40}, "float32", 1.0, 40),
)


@pytest.mark.parametrize(("tensor_format", "in_place"), PLACES)
@pytest.mark.parametrize("name", ROPES)
def test_caches_need_nothing_else(
    monkeypatch: pytest.MonkeyPatch, name: str, tensor_format: str, in_place: bool
) -> None:
    rope = ROPES[name]
    function: Any = (
        ropelab_cuda.apply_rotary_kv_cache_ if in_place else ropelab_cuda.apply_rotary_kv_cache
    )
    for told, stored, scale, width in CACHES:
        kind: Any = RAW.get(stored, stored)
        options = {**options_of(rope, tensor_format), "k_scale": scale, "v_scale": scale}
        calls: list[tuple[Any, ...]] = []
        for spectrum, q, k, ids in calls_of(rope, tensor_format):
            widths = (rope.head_dim, width or rope.head_dim)
            v = np.empty((*k.shape[:-1], widths[1]), k.dtype)
            tokens = [n for axis, n in zip(tensor_format, k.shape, strict=True) if axis in "bst"]
            tokens = tokens[::-1] if tensor_format == "sbhd" else tokens
            slots = np.empty(tokens, told.get("slot_dtype", "int64"))
            for blocks, size in ((7, 32), (5, 1)):
                caches = [np.empty((blocks, size, 2, n), kind) for n in widths]
                calls.append((function, q, k, v, ids, spectrum, *caches, slots, options))
        place = {"tensor_format": tensor_format, "in_place": in_place}
        ahead = planned(rope, "kv_cache", **place, **told)
        assert of_calls(monkeypatch, calls) <= ahead
        assert {one.kernel for one in ahead} == {"rotary_kv_cache"}


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("call", ["to_half", "to_interleaved"])
@pytest.mark.parametrize("in_place", [False, True])
def test_permutations_need_nothing_else(
    monkeypatch: pytest.MonkeyPatch, name: str, call: str, dtype: str, in_place: bool
) -> None:
    rope = ROPES[name]
    function = getattr(ropelab_cuda, f"{call}_" if in_place else call)
    calls: list[tuple[Any, ...]] = [
        (function, x, rope.rotary_dim, {})
        for _, q, k, _ in calls_of(rope, "bshd", dtype)
        for x in (q, k)
    ]
    assert of_calls(monkeypatch, calls) == planned(rope, call, dtype=dtype, in_place=in_place)
