"""Norms and caches by every kind of positions and spectra: numbers, replays, refusals."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicLinear, DynamicNTK
from ropelab_cuda import recordings
from tests.length_rules import ROPES
from tests.ropelab.support import refuses
from tests.ropelab_cuda.forged import Forged
from tests.ropelab_cuda.test_given_positions import never_read, objects
from tests.shim.on_cpu import on_cpu

Array = NDArray[Any]

# Their arguments come in tuples of many kinds, of which the types say nothing.
specified: Any = ropelab.apply_rotary_kv_cache
into_caches: Any = ropelab_cuda.apply_rotary_kv_cache
into_caches_: Any = ropelab_cuda.apply_rotary_kv_cache_

SPECTRUM = ropelab.Spectrum(1e4 ** (-np.arange(0, 8, 2) / 8))
ROPE = ropelab.Rope(8, scaling=DynamicNTK(2.0), max_position_embeddings=16)
TOKENS, SLOTS = (2, 5), np.array([[7, -1, 12, 0, 3], [1, 13, 5, -9, 8]])


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    """Let CPU memory pass for a device's, with no plan known."""
    recordings.thread.mine = None
    with on_cpu():
        yield
    recordings.thread.mine = None


class WholeWayError(Exception):
    """A call went the whole way."""


def only_replays() -> Any:
    return mock.patch("ropelab_cuda.exchange.Gate.__init__", side_effect=WholeWayError)


# ------------------------------------------------------------------------------------------------
# Numbers: of arrays in float64, in which positions one apart differ by far more than is allowed.


def random(tensor_format: str, heads: int, head_dim: int) -> Array:
    sizes = dict(zip("bsthd", (*TOKENS, 10, heads, head_dim), strict=True))
    shape = [sizes[axis] for axis in tensor_format]
    return np.random.default_rng(heads).standard_normal(shape)


def normed(module: Any, place: Any, numbers: Any, tensor_format: str, **options: Any) -> list[Any]:
    width = numbers.rotary_dim + 3
    q, k = (random(tensor_format, heads, width) for heads in (5, 2))
    weight = np.random.default_rng(9).standard_normal(width)
    options |= {"tensor_format": tensor_format, "rotary_offset": 2}
    return [*module.apply_norm_rotary_qk(q, k, weight, None, place, numbers, **options)]


def cached(module: Any, place: Any, numbers: Any, tensor_format: str, **options: Any) -> list[Any]:
    width = numbers.rotary_dim + 3
    q, k, v = (random(tensor_format, heads, width) for heads in (5, 2, 2))
    caches = [np.full((2, 7, 2, width), 7.0) for _ in "kv"]
    slots = SLOTS if len(tensor_format) == 4 else SLOTS.reshape(-1)
    options |= {"tensor_format": tensor_format, "rotary_offset": 2}
    given = (q, k, v, place, numbers, *caches, slots)
    return [module.apply_rotary_kv_cache(*given, **options), *caches]


CALLS: dict[str, Any] = {"norm": normed, "cache": cached}


def near(actual: list[Array], expected: list[Array]) -> bool:
    return all(np.abs(a - b).max() < 1e-8 for a, b in zip(actual, expected, strict=True))


def places() -> dict[str, tuple[Any, str]]:
    """Return positions of ten tokens, with the order of axes that they are for."""
    rows = np.array([0, 70_001, 0, 2**31 - 3])[1::2]
    first, lengths = np.array([5, 2**31 - 9, -3]), np.array([0, 99, 0, 99, 4, 99, 10])[::2]
    shards = np.array([0, 8, 8, 20], np.int32)
    return {
        "number": (Consecutive(-3), "bshd"),
        **{f"offsets, {axes}": (Consecutive(rows), axes) for axes in ("bshd", "bhsd", "sbhd")},
        "one offset": (Consecutive(np.array([9], np.int16)), "sbhd"),
        "one sequence": (Consecutive(np.array(131_071, np.uint32)), "thd"),
        "pack": (Packed(lengths, 77), "thd"),
        "pack behind caches": (Packed(lengths, first), "thd"),
        **{f"rank {r} of 2": (Packed(shards, first, 2, r), "thd") for r in range(2)},
        **{f"rank {r} of 3": (Packed(np.array([0, 6, 30]), 3, 3, r), "thd") for r in range(3)},
    }


@pytest.mark.shim
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", places())
def test_positions_that_are_counted(kind: str, call: str) -> None:
    place, tensor_format = places()[kind]
    got = CALLS[call](ropelab_cuda, place, SPECTRUM, tensor_format)
    assert near(got, CALLS[call](ropelab, place, SPECTRUM, tensor_format))


@pytest.mark.shim
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["number", "offsets, bshd", "rank 1 of 2"])
def test_text_on_several_axes_with_periods(kind: str, call: str) -> None:
    place, tensor_format = places()[kind]
    numbers = ropelab.Spectrum(
        SPECTRUM.inv_freq, axes=np.array([0, 2, 1, 0]), periods=np.array([0, 7, 6283, 6])
    )
    got = CALLS[call](ropelab_cuda, place, numbers, tensor_format)
    assert near(got, CALLS[call](ropelab, place, numbers, tensor_format))


@pytest.mark.shim
@pytest.mark.parametrize("angles", ["exact", "float32"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["longrope", "several axes", "resonant ntk"])
def test_spectra_of_the_device_by_ids(name: str, call: str, angles: str) -> None:
    rope, generator = ROPES[name], np.random.default_rng(3)
    axes = rope.spectrum(1).position_axes
    ids = generator.integers(-(2**30), 2**31, (axes, *TOKENS)[axes == 1 :])
    on_host = rope.spectrum(int(ids.max()) + 1)
    on_device = ropelab_cuda.spectrum_on_device(rope, ids)
    by_device, by_host = (
        CALLS[call](ropelab_cuda, ids, numbers, "bshd", angles=angles)
        for numbers in (on_device, on_host)
    )
    for got, wanted in zip(by_device, by_host, strict=True):
        assert got.tobytes() == wanted.tobytes()
    if angles == "exact":  # of the other one each processor has its own last bit
        assert near(by_device, CALLS[call](ropelab, ids, on_host, "bshd"))


@pytest.mark.shim
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["number", "offsets, bhsd", "pack", "rank 0 of 2"])
@pytest.mark.parametrize("name", ["several axes", "resonant ntk"])
def test_spectra_of_the_device_by_positions_that_are_counted(
    name: str, kind: str, call: str
) -> None:
    place, tensor_format = places()[kind]
    on_device = ropelab_cuda.spectrum_on_device(ROPES[name], np.array([70_000]))
    got = CALLS[call](ropelab_cuda, place, on_device, tensor_format)
    wanted = CALLS[call](ropelab, place, ROPES[name].spectrum(70_001), tensor_format)
    assert near(got, wanted)


# ------------------------------------------------------------------------------------------------
# Replays: of torch tensors; each call has new ones, and answers beside what is wanted.

Answers = list[tuple[torch.Tensor, Any]]


def new(seed: int, *heads: int, pack: bool) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*((6,) if pack else (2, 3)), n, 8, generator=generator) for n in heads]


def arrays(*tensors: torch.Tensor) -> list[Any]:
    return [x.clone().numpy() for x in tensors]


def norm_again(way: str, seed: int, place: Any, device: Any, host: Any, **options: Any) -> Answers:
    q, k = new(seed, 4, 1, pack=bool(options))
    weight = torch.randn(8, generator=torch.Generator().manual_seed(seed))
    wanted: Any = ropelab.apply_norm_rotary_qk
    true = wanted(*arrays(q, k), None, weight.numpy(), place, host, **options)
    given: Any = (q, k, None, weight, place, device)
    outs = (torch.zeros_like(q), torch.zeros_like(k))
    if way == "in place":
        got = ropelab_cuda.apply_norm_rotary_qk_(*given, **options)
        assert got[0] is q
    else:
        out = outs if way == "out" else None
        got = ropelab_cuda.apply_norm_rotary_qk(*given, out=out, **options)
        assert (got[1] is outs[1]) == (way == "out")
    return [*zip(got, true, strict=True)]


def cache_again(way: str, seed: int, place: Any, device: Any, host: Any, **options: Any) -> Answers:
    """Write into caches; with an output, by as many tensors as a call may have."""
    q, k, v = new(seed, 4, 2, 2, pack=bool(options))
    slots = torch.tensor([3, 0, -1, 9, 7, 2]) if options else torch.tensor([[3, 0, -1], [9, 7, 2]])
    caches = [torch.full((5, 2, 2, 8), 7.0) for _ in "kv"]
    scales = {"k_scale": 2.0**seed, "v_scale": 0.5} if way == "out" else {}
    known = arrays(*caches)
    rotated = specified(*arrays(q, k, v), place, host, *known, slots.numpy(), **options, **scales)
    given: Any = (q, k, v, place, device, *caches, slots)
    if way == "in place":
        got = into_caches_(*given, **options)
        assert got is q
    else:
        more: dict[str, Any] = {name: torch.tensor(scale) for name, scale in scales.items()}
        if way == "out":
            more |= {"out": torch.zeros_like(q), "overrun_flag": torch.zeros(1, dtype=torch.int32)}
        got = into_caches(*given, **options, **more)
        assert got is more.get("out", got)
    return [*zip((got, *caches), (rotated, *known), strict=True)]


AGAIN: dict[str, Any] = {"norm": norm_again, "cache": cache_again}
KINDS = {"ids": (torch.tensor([[3, 7, 131_071]]), torch.tensor([[2, 9, 0]]), {}), **objects()}


@pytest.mark.shim
@pytest.mark.parametrize("way", ["new", "out", "in place"])
@pytest.mark.parametrize("call", AGAIN)
@pytest.mark.parametrize(
    ("kind", "on_device"),
    [*((kind, False) for kind in objects()), *((kind, True) for kind in KINDS)],
)
def test_the_host_reads_nothing_and_replays_other_values(
    kind: str, on_device: bool, call: str, way: str
) -> None:
    first, second, options = KINDS[kind]
    for seed, (place, length) in enumerate(((first, 12), (second, 3000), (first, 17))):
        device: Any = SPECTRUM
        host = SPECTRUM
        with never_read():
            if on_device:
                host = ROPE.spectrum(length)
                device = ropelab_cuda.spectrum_on_device(ROPE, torch.arange(length))
            with only_replays() if seed else nullcontext():
                answers = AGAIN[call](way, seed, place, device, host, **options)
        for got, wanted in answers:
            assert np.abs(got.numpy() - wanted).max() <= 4e-6


@pytest.mark.shim
@pytest.mark.parametrize("call", [*AGAIN, "rotation"])
def test_no_plan_keeps_the_numbers_of_a_call(call: str) -> None:
    """Memory of a graph's pool must be free once the graph has run."""
    ids = torch.tensor([[3, 7, 11]])
    for seed in range(3):
        numbers = ropelab_cuda.spectrum_on_device(ROPE, ids)
        if call == "rotation":
            q, k = new(seed, 4, 2, pack=False)
            ropelab_cuda.apply_rotary_qk(q, k, ids, numbers)
        else:
            AGAIN[call]("new", seed, ids, numbers, ROPE.spectrum(12))
        memory = weakref.ref(numbers.buffer)
        del numbers
        assert memory() is None


@pytest.mark.shim
@pytest.mark.parametrize("call", AGAIN)
def test_what_differs_goes_the_whole_way(call: str) -> None:
    bounds, pack = torch.tensor([0, 8, 12]), {"tensor_format": "thd"}
    other_rope = replace(ROPE, scaling=DynamicLinear())
    of_device, of_other = (
        ropelab_cuda.spectrum_on_device(rope, torch.arange(20)) for rope in (ROPE, other_rope)
    )
    known = Packed(bounds, cp_size=2)
    for numbers in (SPECTRUM, of_device):
        AGAIN[call]("new", 0, known, numbers, SPECTRUM, **pack)
    for place, numbers in (
        (Packed(bounds, cp_size=2, cp_rank=1), SPECTRUM),
        (Packed(bounds.int(), cp_size=2), SPECTRUM),
        (Packed(bounds, torch.tensor([0, 0]), cp_size=2), of_device),
        (Consecutive(0), SPECTRUM),
        (Consecutive(bounds[:1]), of_device),
        (torch.arange(6), SPECTRUM),
        (torch.arange(6), of_device),
        (known, of_other),
        (known, ropelab.Spectrum(SPECTRUM.inv_freq)),
    ):
        with only_replays(), pytest.raises(WholeWayError):
            AGAIN[call]("new", 1, place, numbers, SPECTRUM, **pack)


@pytest.mark.shim
@pytest.mark.parametrize("call", AGAIN)
def test_a_number_that_would_leave_64_bits_is_refused_by_a_known_plan(call: str) -> None:
    AGAIN[call]("new", 0, Consecutive(5), SPECTRUM, SPECTRUM)
    q, k, v = new(0, 4, 2, 2, pack=False)
    caches, far = [torch.zeros(5, 2, 2, 8) for _ in "kv"], Consecutive(2**63 - 2)
    with refuses(ValueError, "offset", "2**63 - 1"):
        if call == "norm":
            ropelab_cuda.apply_norm_rotary_qk(q, k, None, torch.ones(8), far, SPECTRUM)
        else:
            slots = torch.zeros(2, 3, dtype=torch.int64)
            into_caches(q, k, v, far, SPECTRUM, *caches, slots)


# ------------------------------------------------------------------------------------------------
# What cannot be taken.


def both(place: Any, numbers: Any, tensors: list[torch.Tensor], **options: Any) -> list[Any]:
    """Return calls of a norm and of a cache, each in place."""
    q, k, v, k_cache, v_cache = tensors
    slots = torch.zeros(1, dtype=torch.int64) - 1
    return [
        lambda: ropelab_cuda.apply_norm_rotary_qk_(q, k, None, None, place, numbers, **options),
        lambda: into_caches_(q, k, v, place, numbers, k_cache, v_cache, slots, **options),
    ]


def good(*, pack: bool = False) -> list[torch.Tensor]:
    return [*new(0, 4, 2, 2, pack=pack), torch.zeros(5, 2, 2, 8), torch.zeros(5, 2, 2, 8)]


REFUSED: dict[str, tuple[type[Exception], str, str, Any, Any]] = {
    "a list": (TypeError, "offset", "list", Consecutive([0, 1]), SPECTRUM),
    "three": (ValueError, "offset", "(3,)", Consecutive(torch.arange(3)), SPECTRUM),
    "a pack of rows": (ValueError, "position_ids", "'thd'", Packed(torch.tensor([0])), SPECTRUM),
    "a class": (TypeError, "position_ids", "type", Consecutive, SPECTRUM),
    "a rope": (TypeError, "spectrum", "Rope", Consecutive(0), ROPE),
    "too wide": (ValueError, "q", "10", Consecutive(0), ropelab.Spectrum(np.ones(5))),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_taken_is_refused_before_anything_is_written(reason: str) -> None:
    error, name, word, place, numbers = REFUSED[reason]
    tensors = good()
    for call in both(place, numbers, tensors):
        with refuses(error, name, word):
            call()
    assert all(torch.equal(x, y) for x, y in zip(tensors, good(), strict=True))


def test_numbers_inside_of_what_is_written_are_refused() -> None:
    tensors = good(pack=True)
    inside = [tensors[i].view(torch.int64).view(-1) for i in (0, 4)]
    words = [("q", "q"), ("v_cache", "q")]
    for call, memory, (written, _) in zip((0, 1), inside, words, strict=True):
        for place, name in (
            (Consecutive(memory[:1]), "offset"),
            (Packed(memory[:2]), "cu_seqlens"),
        ):
            with refuses(ValueError, written, name):
                both(place, SPECTRUM, tensors, tensor_format="thd")[call]()
    assert all(torch.equal(x, y) for x, y in zip(tensors, good(pack=True), strict=True))


@pytest.mark.shim
def test_a_spectrum_of_another_framework_is_ordered_before_the_launch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ropelab_cuda.torch_tensors.Torch.stream", lambda _self, _device: 7)
    spectrum = ropelab_cuda.spectrum_on_device(ROPE, torch.arange(20))
    for call in both(Consecutive(3), spectrum, good()):
        call()
    for i in range(2):
        foreign = Forged(spectrum.buffer)
        both(Consecutive(3), replace(spectrum, buffer=foreign), good())[i]()
        assert foreign.streams == [7]
        elsewhere = Forged(spectrum.buffer, (2, 1))
        with refuses(ValueError, "spectrum", "cuda:1"):
            both(Consecutive(3), replace(spectrum, buffer=elsewhere), good())[i]()
