"""What a cache holds afterwards, against a loop over tokens and complex numbers."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import ropelab
from ropelab import Spectrum, apply_rotary_kv_cache, bfloat16
from ropelab.checks import TENSOR_FORMATS
from ropelab.positions import Consecutive, Packed
from ropelab.precision import eps, narrow, widen
from tests.ropelab.counted import COUNTED
from tests.ropelab.support import bits, exact_cos_sin, numbers, refuses

Array = NDArray[Any]

B, S, H, KV, D, DV = 2, 3, 6, 2, 12, 5
BLOCKS, SIZE = 4, 5
IDS = np.array([[131_071, 7, 0], [2**31 - 1, 40_961, -3]])
SLOTS = np.array([[17, -1, 4], [0, 9, 12]])  # scattered; the last slot, 19, is nobody's
SPECTRUM = Spectrum([1.0, 0.3, 0.01])  # six of twelve channels
POISON = 0xC5


def write(*given: Any, **options: Any) -> Array:
    rotated: Array = apply_rotary_kv_cache(*given, **options)
    return rotated


def shaped(heads: int, width: int, tensor_format: str, seed: int) -> Array:
    sizes = {"b": B, "s": S, "t": B * S, "h": heads, "d": width}
    return numbers(*(sizes[axis] for axis in tensor_format), seed=seed)


def cache(width: int, dtype: Any = np.float64) -> Array:
    size = BLOCKS * SIZE * KV * width * np.dtype(dtype).itemsize
    memory = np.full(size, POISON, np.uint8)
    array: Array = memory.view(dtype).reshape(BLOCKS, SIZE, KV, width)
    return array


def by_token(x: Array, tensor_format: str) -> Array:
    """Return (tokens, heads, width), sequence after sequence."""
    axes = TENSOR_FORMATS[tensor_format]
    moved = np.moveaxis(x, (*axes.token_axes, axes.head_axis), range(x.ndim - 1))
    return moved.reshape(B * S, *moved.shape[-2:])


def turned(x: Array, layout: str, output_layout: str, first: int) -> Array:
    """Rotate (tokens, heads, width) as complex numbers, by exact cosines."""
    cos, sin = exact_cos_sin(IDS.reshape(-1), SPECTRUM.inv_freq.tolist())
    result = x.copy()
    for i in range(3):
        ends = {
            "half": (first + i, first + i + 3),
            "interleaved": (first + 2 * i, first + 2 * i + 1),
        }
        old, new = ends[layout], ends[output_layout]
        z = (x[..., old[0]] + 1j * x[..., old[1]]) * (cos[:, i] + 1j * sin[:, i])[:, np.newaxis]
        result[..., new[0]], result[..., new[1]] = z.real, z.imag
    return result


@pytest.mark.parametrize("tensor_format", TENSOR_FORMATS)
@pytest.mark.parametrize(
    ("layout", "output_layout", "first"),
    [("half", None, 0), ("interleaved", None, 6), ("interleaved", "half", 3)],
)
def test_each_token_lies_where_its_slot_says_and_nothing_else_has_changed(
    tensor_format: str, layout: str, output_layout: str | None, first: int
) -> None:
    q, k, v = (
        shaped(heads, width, tensor_format, seed)
        for seed, (heads, width) in enumerate([(H, D), (KV, D), (KV, DV)])
    )
    k_cache, v_cache = cache(D), cache(DV)
    tokens = TENSOR_FORMATS[tensor_format].token_axes
    ids, slots = (x if len(tokens) == 2 else x.reshape(-1) for x in (IDS, SLOTS))
    options: dict[str, Any] = {"layout": layout, "output_layout": output_layout}
    options |= {"rotary_offset": first, "tensor_format": tensor_format}
    rotated = write(q, k, v, ids, SPECTRUM, k_cache, v_cache, slots, **options)

    ends = (layout, output_layout or layout)
    wanted = turned(by_token(q, tensor_format), *ends, first)
    assert np.abs(by_token(rotated, tensor_format) - wanted).max() < 1e-7  # turns of 64 bits
    keys = turned(by_token(k, tensor_format), *ends, first)
    values = by_token(v, tensor_format)
    poison = bits(cache(D)[0, 0])
    for slot in range(BLOCKS * SIZE):
        held_key, held_value = (
            k_cache[slot // SIZE, slot % SIZE],
            v_cache[slot // SIZE, slot % SIZE],
        )
        writers = np.flatnonzero(SLOTS.reshape(-1) == slot)
        if not writers.size:
            assert bits(held_key) == poison
            assert bits(held_value) == bits(cache(DV)[0, 0])
            continue
        assert np.abs(held_key - keys[writers[0]]).max() < 1e-7
        outside = [c for c in range(D) if not first <= c < first + 6]
        assert bits(held_key[:, outside]) == bits(
            by_token(k, tensor_format)[writers[0]][:, outside]
        )
        assert bits(held_value) == bits(values[writers[0]])


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_queries_and_keys_are_those_of_a_rotation(dtype: str) -> None:
    q, k, v = (narrow(shaped(n, D, "bshd", n), dtype) for n in (H, KV, KV))
    k_cache, v_cache = cache(D, k.dtype), cache(D, k.dtype)
    rotated = write(q, k, v, IDS, SPECTRUM, k_cache, v_cache, SLOTS)
    expected = ropelab.apply_rotary_qk(q, k, IDS, SPECTRUM)
    assert bits(rotated) == bits(expected[0])
    assert (rotated.dtype, rotated.shape) == (q.dtype, q.shape)
    for (b, s), slot in np.ndenumerate(SLOTS):
        if slot >= 0:
            assert bits(k_cache[slot // SIZE, slot % SIZE]) == bits(expected[1][b, s])
            assert bits(v_cache[slot // SIZE, slot % SIZE]) == bits(v[b, s])


def test_a_cache_of_any_strides() -> None:
    q, k, v = (shaped(n, D, "bshd", n) for n in (H, KV, KV))
    straight = [cache(D), cache(D)]
    write(q, k, v, IDS, SPECTRUM, *straight, SLOTS)
    # FlashInfer keeps both in one tensor, and heads before rows.
    both = np.full((BLOCKS, 2, KV, SIZE, D), cache(1).ravel()[0])
    views = [both[:, i].transpose(0, 2, 1, 3) for i in range(2)]
    write(q, k, v, IDS, SPECTRUM, *views, SLOTS)
    for view, array in zip(views, straight, strict=True):
        assert bits(view) == bits(array)


@pytest.mark.parametrize(("place", "ids"), COUNTED)
def test_positions_that_are_said(place: Any, ids: list[Any]) -> None:
    tensor_format = "thd" if isinstance(place, Packed) else "bshd"
    slots = SLOTS.reshape(-1) if isinstance(place, Packed) else SLOTS
    q, k, v = (shaped(n, D, tensor_format, n) for n in (H, KV, KV))
    results = []
    for positions in (place, ids):
        caches = [cache(D), cache(D)]
        rotated = write(q, k, v, positions, SPECTRUM, *caches, slots, tensor_format=tensor_format)
        results.append([bits(x) for x in (rotated, *caches)])
    assert results[0] == results[1]


@pytest.mark.parametrize("stored", ["float8_e4m3fn", "float8_e5m2", "bfloat16", "float32"])
@pytest.mark.parametrize("k_scale", [1.0, 0.37])
def test_a_cache_of_another_format_holds_quotients(stored: str, k_scale: float) -> None:
    q, k, v = (narrow(shaped(n, D, "bshd", n) / 64, "float32") for n in (H, KV, KV))
    target = narrow(np.zeros(1), stored).dtype
    k_cache, v_cache = cache(D, target), cache(D, target)
    scales = {"k_scale": k_scale, "v_scale": 2.5}
    write(q, k, v, IDS, SPECTRUM, k_cache, v_cache, SLOTS, **scales)
    keys = turned(by_token(widen(k), "bshd"), "half", "half", 0) / k_scale
    values = by_token(widen(v), "bshd") / 2.5
    for token, slot in enumerate(SLOTS.reshape(-1)):
        if slot < 0:
            continue
        for held, true in ((k_cache, keys), (v_cache, values)):
            got = widen(held[slot // SIZE, slot % SIZE])
            room = np.maximum(np.abs(true[token]) * eps(stored) / 2, 2.0**-10)
            assert (np.abs(got - true[token]) <= room * 1.0001).all()
    untouched = k_cache.reshape(-1, KV, D)[19], v_cache.reshape(-1, KV, D)[19]
    assert all(set(bits(row)) == {POISON} for row in untouched)


def test_values_too_large_for_eight_bits_saturate() -> None:
    x = np.full((1, 1, D), 1e4)
    caches = [cache(D, ropelab.float8_e4m3fn)[:, :, :1] for _ in range(2)]
    options: dict[str, Any] = {"tensor_format": "thd", "v_scale": 2.0}
    write(x, x, x, 0, SPECTRUM, *caches, 3, **options)
    assert (widen(caches[1][0, 3]) == 448.0).all()


def test_both_spellings_of_bfloat16_are_taken() -> None:
    raw = [narrow(shaped(n, D, "bshd", n), "bfloat16") for n in (H, KV, KV)]
    ours, theirs = (
        [cache(D, bfloat16) for _ in range(2)],
        [cache(D, ml_dtypes.bfloat16) for _ in "kv"],
    )
    write(*raw, IDS, SPECTRUM, *ours, SLOTS)
    write(*raw, IDS, SPECTRUM, *theirs, SLOTS)
    assert [bits(x) for x in ours] == [bits(x) for x in theirs]


def test_the_signalling_nan_of_a_value_keeps_its_bits() -> None:
    x = np.full((1, KV, D), 0x7F801234, np.uint32).view(np.float32)
    caches = [cache(D, np.float32) for _ in range(2)]
    write(x, x, x, 5, SPECTRUM, *caches, 7, tensor_format="thd")
    assert (caches[1][1, 2].view(np.uint32) == 0x7F801234).all()
    assert (caches[0][1, 2, :, 6:].view(np.uint32) == 0x7F801234).all()


# ------------------------------------------------------------------------------------------------


def good() -> dict[str, Any]:
    q, k, v = (shaped(n, D, "bshd", n) for n in (H, KV, KV))
    return {
        "q": q,
        "k": k,
        "v": v,
        "position_ids": IDS,
        "spectrum": SPECTRUM,
        "k_cache": cache(D),
        "v_cache": cache(D),
        "slots": SLOTS,
    }


def frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


REFUSED: dict[str, tuple[type[Exception], str, str, dict[str, Any]]] = {
    "slot past the cache": (ValueError, "slots", "20", {"slots": SLOTS + 3}),
    "slot of two tokens": (ValueError, "slots", "got 0 for", {"slots": np.zeros((B, S), int)}),
    "slots of too many": (ValueError, "slots", "(2, 4)", {"slots": np.zeros((2, 4), int)}),
    "slots transposed": (ValueError, "slots", "(3, 2)", {"slots": SLOTS.T}),
    "slots not whole": (TypeError, "slots", "float64", {"slots": SLOTS * 1.0}),
    "cache of other heads": (
        ValueError,
        "k_cache",
        "(4, 5, 1, 12)",
        {"k_cache": cache(D)[:, :, :1]},
    ),
    "cache of other width": (ValueError, "v_cache", "(4, 5, 2, 5)", {"v_cache": cache(DV)}),
    "cache of three axes": (ValueError, "k_cache", "(5, 2, 12)", {"k_cache": cache(D)[0]}),
    "caches of two sizes": (ValueError, "v_cache", "(3, 5)", {"v_cache": cache(D)[:3].copy()}),
    "cache of integers": (TypeError, "k_cache", "int64", {"k_cache": cache(D, np.int64)}),
    "cache of lists": (TypeError, "v_cache", "list", {"v_cache": cache(D).tolist()}),
    "cache read-only": (ValueError, "v_cache", "read-only", {"v_cache": frozen(cache(D))}),
    "values of other heads": (ValueError, "v", "(2, 3, 1, 12)", {"v": shaped(1, D, "bshd", 0)}),
    "values of other tokens": (
        ValueError,
        "v",
        "(2, 2, 2, 12)",
        {"v": shaped(KV, D, "bshd", 0)[:, :2]},
    ),
    "keys of other tokens": (
        ValueError,
        "k",
        "(2, 2, 2, 12)",
        {"k": shaped(KV, D, "bshd", 0)[:, :2]},
    ),
    "scale zero": (ValueError, "k_scale", "0.0", {"k_scale": 0.0}),
    "scale of text": (TypeError, "v_scale", "'1'", {"v_scale": "1"}),
    "layout": (ValueError, "layout", "'neox'", {"layout": "neox"}),
    "offset": (ValueError, "rotary_offset", "7", {"rotary_offset": 7}),
    "a pack of rows": (ValueError, "position_ids", "'thd'", {"position_ids": Packed([0, 6])}),
    "offsets of three": (ValueError, "offset", "(3,)", {"position_ids": Consecutive([1, 2, 3])}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_bad_input_is_refused_before_anything_is_written(reason: str) -> None:
    error, name, came, change = REFUSED[reason]
    given = good() | change
    with refuses(error, name, came):
        write(**given)
    for untouched in (given["k_cache"], given["v_cache"]):
        assert set(bits(np.asarray(untouched))) == {POISON}


def test_memory_that_is_read_or_written_twice_is_refused() -> None:
    given, both = good(), cache(D)
    with refuses(ValueError, "v_cache", "k_cache"):
        write(**given | {"k_cache": both, "v_cache": both})
    keys = both.reshape(-1)[: B * S * KV * D].reshape(B, S, KV, D)
    with refuses(ValueError, "k_cache", "k does"):
        write(**given | {"k": keys, "k_cache": both})
    with refuses(ValueError, "v_cache", "k does"):
        write(**given | {"k": keys, "v_cache": both})
    memory = both.reshape(-1).view(np.int64)
    with refuses(ValueError, "k_cache", "offset does"):
        write(**given | {"position_ids": Consecutive(memory[:1]), "k_cache": both})
    packed = {x: given[x].reshape(B * S, -1, D) for x in "qkv"} | {"slots": SLOTS.reshape(-1)}
    with refuses(ValueError, "v_cache", "cu_seqlens does"):
        place = Packed(memory[:4])
        write(**given | packed | {"position_ids": place, "v_cache": both, "tensor_format": "thd"})
    assert set(bits(both)) == {POISON}


def test_no_tokens_are_no_mistake() -> None:
    q, k = np.ones((0, H, D)), np.ones((0, KV, D))
    caches, nothing = (cache(D), cache(D)), np.zeros(0, int)
    rotated = write(q, k, k, nothing, SPECTRUM, *caches, nothing, tensor_format="thd")
    assert rotated.shape == q.shape
    assert all(set(bits(x)) == {POISON} for x in caches)
