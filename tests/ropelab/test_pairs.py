"""Where pairs are taken from and put, one channel at a time."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.models.deepseek_v3.modeling_deepseek_v3 import apply_rotary_pos_emb_interleave
from transformers.models.deepseek_v4.modeling_deepseek_v4 import apply_rotary_pos_emb

from ropelab import (
    Rope,
    Spectrum,
    apply_rotary,
    apply_rotary_cached,
    apply_rotary_qk,
    cos_sin,
    to_half,
    to_interleaved,
)
from ropelab.pairs import Placement, Storage, cos_sin_by_token, turned
from ropelab.precision import eps, narrow, widen
from tests.ropelab.support import (
    POSITIONS,
    bits,
    exact_cos_sin,
    numbers,
    pair_norms,
    refuses,
    turn_rounding,
)

LAYOUTS = ("half", "interleaved")
B, S, H, D = 2, 3, 5, 8
IDS = np.array(POSITIONS[2:8]).reshape(B, S)
SPECTRUM = Rope(D).spectrum()

QUARTER = (np.zeros((1, 3)), np.ones((1, 3)))  # every one of three pairs turns by 90 degrees


# For each input channel of the pairs (0, 3), (1, 4), (2, 5) or (0, 1), (2, 3), (4, 5): the channel
# where it arrives after a quarter turn. The first member goes to the second's place.
ARRIVALS = {
    ("half", "half"): [3, 4, 5, 0, 1, 2],
    ("interleaved", "interleaved"): [1, 0, 3, 2, 5, 4],
    ("half", "interleaved"): [1, 3, 5, 0, 2, 4],
    ("interleaved", "half"): [3, 0, 4, 1, 5, 2],
}


@pytest.mark.parametrize("offset", [0, 1, 2])
@pytest.mark.parametrize(("source", "target"), ARRIVALS)
def test_a_unit_vector_arrives_where_the_layouts_say(source: str, target: str, offset: int) -> None:
    for channel, arrival in enumerate(ARRIVALS[source, target]):
        x = np.zeros((1, 1, 8))
        x[..., offset + channel] = 1.0
        y = turned(x, *QUARTER, Placement("thd", source, target, offset))
        assert np.flatnonzero(y).tolist() == [offset + arrival]
        assert y.sum() == (1.0 if channel in first_members(source) else -1.0)
        back = turned(y, *QUARTER, Placement("thd", source, target, offset, inverse=True))
        np.testing.assert_array_equal(back, x)


def first_members(layout: str) -> set[int]:
    return {0, 1, 2} if layout == "half" else {0, 2, 4}


def test_channels_around_the_rotated_ones_keep_every_bit() -> None:
    # Signalling NaNs of both signs and -0.0: what a multiplication by one would alter.
    words = np.array([0x7FF0_0000_DEAD_BEEF, 0xFFF0_0000_DEAD_BEEF, 1 << 63], np.uint64)
    x = np.concatenate([words.view(float), np.ones(6), words.view(float)]).reshape(1, 1, 12)
    y = turned(x, *QUARTER, Placement("thd", "half", "interleaved", 3))
    assert bits(y[..., :3]) == bits(x[..., :3])
    assert bits(y[..., 9:]) == bits(x[..., 9:])


def test_tables_are_the_truth_at_every_token() -> None:
    ids, speeds = np.array([[131_071, -7, 2**20 + 1]]), [1.0, 0.03]
    cos, sin = cos_sin_by_token((2, 3, 5, 9), "q", ids, Spectrum(speeds), "bshd", "exact")
    assert cos.shape == sin.shape == (2, 3, 2)
    for got, truth in zip((cos, sin), exact_cos_sin(ids, speeds), strict=True):
        np.testing.assert_allclose(got, np.broadcast_to(truth, got.shape), rtol=0, atol=1e-12)


def test_deepseek_v3_takes_interleaved_pairs_and_leaves_halves() -> None:
    q, k = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1)
    cos, sin = (np.tile(table, 2) for table in exact_cos_sin(IDS, SPECTRUM.inv_freq.tolist()))
    x, y, c, s = map(torch.from_numpy, (q, k, cos, sin))
    theirs = apply_rotary_pos_emb_interleave(x, y, c, s, None, 2)  # type: ignore[no-untyped-call]
    ours = apply_rotary_qk(q, k, IDS, SPECTRUM, layout="interleaved", output_layout="half")
    for given, got, truth in zip((q, k), ours, theirs, strict=True):
        norms = pair_norms(given, "interleaved")  # in the order of the input
        error = np.abs(got - truth.numpy()) / np.concatenate([norms[..., ::2]] * 2, -1)
        assert (error <= turn_rounding(IDS)[:, :, None, None] + 4 * eps("float64")).all()


def test_deepseek_v4_rotates_the_last_channels_and_turns_the_output_back() -> None:
    x, offset = numbers(B, S, H, D + 5).astype(np.float32), 5
    # Its arithmetic is float32 on float32 tables: the same tables go in on both sides.
    tables = [table.astype(np.float32) for table in exact_cos_sin(IDS, SPECTRUM.inv_freq.tolist())]
    cos, sin = map(torch.from_numpy, tables)
    for inverse in (False, True):
        theirs = apply_rotary_pos_emb(torch.from_numpy(x), cos, -sin if inverse else sin, 2)
        ours = apply_rotary_cached(
            x, *tables, layout="interleaved", rotary_offset=offset, inverse=inverse
        )
        assert bits(ours[..., :offset]) == bits(x[..., :offset])
        size = pair_norms(x[..., offset:].astype(np.float64), "interleaved")
        error = np.abs(ours[..., offset:] - theirs.numpy()[..., offset:]) / size
        assert (error <= 2 * eps("float32")).all()  # two products, their sum, and our rounding


@pytest.mark.parametrize("tensor_format", ["bshd", "bhsd", "sbhd", "thd"])
@pytest.mark.parametrize(("source", "target"), [*product(LAYOUTS, LAYOUTS)])
@pytest.mark.parametrize("offset", [0, 3, 7])
def test_offset_and_layouts_are_a_slice_and_a_permutation(
    tensor_format: str, source: str, target: str, offset: int
) -> None:
    sizes = {"b": B, "s": S, "t": S, "h": H, "d": D + 7}
    x = numbers(*(sizes[letter] for letter in tensor_format)).astype(np.float16)
    ids = IDS[0] if tensor_format == "thd" else IDS
    options: dict[str, Any] = {"layout": source, "tensor_format": tensor_format}
    placed = {**options, "output_layout": target, "rotary_offset": offset}
    ours = apply_rotary(x, ids, SPECTRUM, **placed)
    inner = slice(offset, offset + D)
    moved = apply_rotary(np.ascontiguousarray(x[..., inner]), ids, SPECTRUM, **options)
    if source != target:
        moved = {"half": to_half, "interleaved": to_interleaved}[target](moved)
    expected = x.copy()
    expected[..., inner] = moved
    assert bits(ours) == bits(expected)
    back = apply_rotary(ours, ids, SPECTRUM, **placed, inverse=True)
    assert bits(back[..., :offset]) == bits(x[..., :offset])
    assert bits(back[..., offset + D :]) == bits(x[..., offset + D :])
    # Two stores of half a unit each, relative to the largest of a pair's norms, 127 * sqrt(2).
    assert np.abs(widen(back) - widen(x)).max() <= eps("float16") * 127 * np.sqrt(2)


@pytest.mark.parametrize(
    ("place", "kind", "name"),
    [
        (Placement("thd", "neox"), ValueError, "layout"),
        (Placement("thd", "half", "neox"), ValueError, "output_layout"),
        (Placement("thd", "half", None, 3), ValueError, "rotary_offset"),
        (Placement("thd", "half", None, -1), ValueError, "rotary_offset"),
        (Placement("thd", "half", inverse=1), TypeError, "inverse"),  # type: ignore[arg-type]
    ],
)
def test_a_placement_that_does_not_fit_is_refused(
    place: Placement, kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        turned(np.zeros((1, 1, 8)), *QUARTER, place)


FORMATS = ("float64", "float32", "float16", "bfloat16")
STORED = (*FORMATS, "float8_e4m3fn", "float8_e5m2")


@pytest.mark.parametrize("scale", [None, 1.0, 0.37, 3.0e4])
@pytest.mark.parametrize("target", STORED)
@pytest.mark.parametrize("source", FORMATS)
def test_what_is_stored_is_the_quotient_rounded_once(
    source: str, target: str, scale: float | None
) -> None:
    x = narrow(np.random.default_rng(0).standard_normal((2, 3, 9)) * 50.0, source)
    place, storage = Placement("thd", "interleaved", rotary_offset=2), Storage(target, scale)
    got = turned(x, *QUARTER, place, storage)
    exact = widen(x).copy()
    exact[..., 2:8:2], exact[..., 3:8:2] = -exact[..., 3:8:2], exact[..., 2:8:2].copy()
    expected = narrow(exact / (scale or 1.0), target)
    assert got.dtype == expected.dtype
    assert bits(got) == bits(expected)


def test_without_a_word_about_storage_bits_stay() -> None:
    words = np.array([0x7FF0_0000_DEAD_BEEF, 1 << 63], np.uint64).view(float)
    x = np.concatenate([words, np.ones(6)]).reshape(1, 1, 8)
    place = Placement("thd", "half", rotary_offset=2)
    for storage in (Storage(), Storage("float64"), Storage(np.float64)):
        assert bits(turned(x, *QUARTER, place, storage)[..., :2]) == bits(x[..., :2])


def test_nan_stays_nan_and_infinities_are_stored_as_the_format_can() -> None:
    x = np.array([[[np.nan, 1.0, np.inf, 5e4, -np.inf]]])
    place, quarter = Placement("thd", "half", rotary_offset=1), (np.zeros((1, 1)), np.ones((1, 1)))
    for name, largest in (("float8_e4m3fn", 448.0), ("float8_e5m2", 57344.0), ("bfloat16", np.inf)):
        y = widen(turned(x, *quarter, place, Storage(name)))[0, 0]
        assert np.isnan(y[0])
        assert y[1] == y[4] == -largest
        assert np.isnan(y[2])  # infinity times a cosine of zero
    scaled = turned(x[..., 3:4].repeat(3, -1), *quarter, place, Storage("float8_e4m3fn", 200.0))
    assert widen(scaled).ravel().tolist() == [256.0, -256.0, 256.0]


@pytest.mark.parametrize(
    ("storage", "kind", "name", "came"),
    [
        (Storage("int8"), TypeError, "dtype", "int8"),
        (Storage("float8_e4m3fnuz"), TypeError, "dtype", "float8_e4m3fnuz"),
        (Storage(None, 0.0), ValueError, "scale", "0.0"),
        (Storage(None, -1), ValueError, "scale", "-1.0"),
        (Storage(None, np.inf), ValueError, "scale", "inf"),
        (Storage(None, np.nan), ValueError, "scale", "nan"),
        (Storage(None, 1e-39), ValueError, "scale", "1e-39"),
        (Storage(None, 1e38), ValueError, "scale", "1e+38"),
        (Storage(None, "1"), TypeError, "scale", "'1'"),
        (Storage(None, np.ones(2), "scale[1]"), TypeError, "scale[1]", "ndarray"),
    ],
)
def test_a_storage_that_is_none_is_refused(
    storage: Storage, kind: type[Exception], name: str, came: str
) -> None:
    with refuses(kind, name, came):
        turned(np.zeros((1, 1, 8)), *QUARTER, Placement("thd", "half"), storage)


def test_every_function_stores_as_it_is_told() -> None:
    """Where the result goes is said alike; q and k may have scales of their own."""
    q, k = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1)
    options: dict[str, Any] = {"dtype": "float8_e4m3fn", "layout": "interleaved"}
    plain = [apply_rotary(x, IDS, SPECTRUM, layout="interleaved") for x in (q, k)]

    def stored(x: NDArray[Any], scale: float) -> bytes:
        return bits(narrow(x / scale, "float8_e4m3fn"))

    assert bits(apply_rotary(q, IDS, SPECTRUM, scale=0.7, **options)) == stored(plain[0], 0.7)
    for scale, each in ((0.7, (0.7, 0.7)), ((0.25, 3.0), (0.25, 3.0)), (None, (1.0, 1.0))):
        both = apply_rotary_qk(q, k, IDS, SPECTRUM, scale=scale, **options)
        assert [bits(y) for y in both] == [stored(*pair) for pair in zip(plain, each, strict=True)]
    cos, sin = cos_sin(IDS, SPECTRUM, dtype=np.float64)
    cached = apply_rotary_cached(q, cos, sin, scale=0.7, **options)
    assert bits(cached) == stored(plain[0], 0.7)


@pytest.mark.parametrize(
    ("scale", "kind", "name"),
    [
        ((1.0,), ValueError, "scale"),
        ((1.0, 0.0), ValueError, "scale[1]"),
        (("1", 1.0), TypeError, "scale[0]"),
        (-2.0, ValueError, "scale"),
    ],
)
def test_a_pair_of_scales_that_is_none(scale: Any, kind: type[Exception], name: str) -> None:
    with refuses(kind, name):
        apply_rotary_qk(numbers(B, S, H, D), numbers(B, S, 1, D), IDS, SPECTRUM, scale=scale)
