"""Rotation against Transformers' own function, complex numbers, and bits that must not change."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from ropelab import Rope, Spectrum, apply_rotary, apply_rotary_qk, bfloat16, rotate
from ropelab.precision import eps, narrow, widen
from ropelab.scaling import DynamicNTK
from tests.ropelab.support import (
    POSITIONS,
    bits,
    exact_cos_sin,
    numbers,
    pair_norms,
    refuses,
    turn_rounding,
)

B, S, H, D = 2, 3, 5, 8
IDS = np.array(POSITIONS[2:8]).reshape(B, S)  # shuffled, large, odd, of both signs
SPECTRUM = Rope(D, base=10_000.0).spectrum()


def transformers_half(x: NDArray[np.float64], *, inverse: bool = False) -> NDArray[np.float64]:
    """Rotate (B, S, H, D) by Transformers' Llama code, in float64 by exact cosines."""
    cos, sin = exact_cos_sin(IDS, SPECTRUM.inv_freq.tolist())
    tables = [np.concatenate([table, table], -1) for table in (cos, -sin if inverse else sin)]
    q = torch.from_numpy(x).transpose(1, 2)
    rotated, _ = apply_rotary_pos_emb(q, q, *map(torch.from_numpy, tables))
    return np.asarray(rotated.transpose(1, 2))


def complex_interleaved(x: NDArray[np.float64], *, inverse: bool = False) -> NDArray[np.float64]:
    """Rotate (B, S, H, D) as Meta does: pairs as complex numbers, times cos + i sin."""
    cos, sin = exact_cos_sin(IDS, SPECTRUM.inv_freq.tolist())
    turn = (cos + 1j * sin).conj() if inverse else cos + 1j * sin
    z = (x[..., 0::2] + 1j * x[..., 1::2]) * turn[:, :, np.newaxis, :]
    return np.stack([z.real, z.imag], axis=-1).reshape(x.shape)


TRUTHS = {"half": transformers_half, "interleaved": complex_interleaved}


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("layout", TRUTHS)
def test_float64_is_the_truth_to_the_rounding_of_the_turns(layout: str, inverse: bool) -> None:
    x = numbers(B, S, H, D)
    got = apply_rotary(x, IDS, SPECTRUM, layout=layout, inverse=inverse)
    error = np.abs(got - TRUTHS[layout](x, inverse=inverse)) / pair_norms(x, layout)
    # Cosine, products and sum round on both sides: 2 eps each, beside the turns.
    assert (error <= turn_rounding(IDS)[:, :, None, None] + 4 * eps("float64")).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", TRUTHS)
def test_narrower_formats_are_the_truth_rounded_once(layout: str, dtype: str) -> None:
    x = numbers(B, S, H, D)
    got = apply_rotary(narrow(x, dtype), IDS, SPECTRUM, layout=layout)
    truth = TRUTHS[layout](x)
    half_a_unit = eps(dtype) / 2 * 2.0 ** (np.frexp(truth)[1] - 1)
    before_rounding = (turn_rounding(IDS)[:, :, None, None] + 4 * eps("float64")) * pair_norms(
        x, layout
    )
    assert (np.abs(widen(got) - truth) <= half_a_unit + before_rounding).all()


def test_both_spellings_of_bfloat16_give_the_same_bits_in_their_own_dtype() -> None:
    raw = narrow(numbers(B, S, H, D), bfloat16)
    ours = apply_rotary(raw, IDS, SPECTRUM)
    theirs = apply_rotary(raw.view(np.uint16).view(ml_dtypes.bfloat16), IDS, SPECTRUM)
    tensor = torch.from_numpy(raw.view(np.uint16).copy()).view(torch.bfloat16)
    assert (ours.dtype, theirs.dtype) == (bfloat16, np.dtype(ml_dtypes.bfloat16))
    assert bits(ours) == bits(theirs) == bits(apply_rotary(tensor, IDS, SPECTRUM))


@pytest.mark.parametrize("tensor_format", ["bshd", "bhsd", "sbhd", "thd"])
@pytest.mark.parametrize("layout", TRUTHS)
def test_every_format_is_a_transposition(tensor_format: str, layout: str) -> None:
    x = numbers(B, S, H, D)
    truth = apply_rotary(x, IDS, SPECTRUM, layout=layout)
    if tensor_format == "thd":
        packed = x.reshape(B * S, H, D)
        got = apply_rotary(packed, IDS.ravel(), SPECTRUM, layout=layout, tensor_format="thd")
        assert bits(got) == bits(truth)
        return
    order = [("bshd").index(letter) for letter in tensor_format]
    # A transposed view and its copy in memory order must both be read as the format says.
    for tensor in (x.transpose(order), x.transpose(order).copy()):
        got = apply_rotary(tensor, IDS, SPECTRUM, layout=layout, tensor_format=tensor_format)
        assert bits(got.transpose(np.argsort(order))) == bits(truth)


@pytest.mark.parametrize("layout", TRUTHS)
@pytest.mark.parametrize("channel", range(10))
def test_a_channel_moves_its_partner_and_no_other(layout: str, channel: int) -> None:
    x = np.zeros((1, 1, 1, 10))
    x[..., channel] = 1.0
    moved = np.flatnonzero(apply_rotary(x, [1], SPECTRUM, layout=layout)).tolist()
    partners = {"half": (channel + 4) % 8, "interleaved": channel ^ 1}
    assert moved == ([channel] if channel >= 8 else sorted([channel, partners[layout]]))


@pytest.mark.parametrize("shape", [(), (S,), (1, S), (B, 1), (1, 1), (B, S)])
def test_positions_broadcast_as_numpy_says(shape: tuple[int, ...]) -> None:
    x, ids = numbers(B, S, H, D), np.resize(IDS, shape)
    whole = np.broadcast_to(ids, (B, S))
    assert bits(apply_rotary(x, ids, SPECTRUM)) == bits(apply_rotary(x, whole, SPECTRUM))
    alone = [[apply_rotary(x[b, s][None], int(whole[b, s]), SPECTRUM, tensor_format="thd")
              for s in range(S)] for b in range(B)]  # fmt: skip
    assert bits(apply_rotary(x, ids, SPECTRUM)) == bits(np.array(alone)[:, :, 0])


@pytest.mark.parametrize(
    ("dtype", "pattern"),
    [
        (np.float64, 0x7FF0_0000_DEAD_BEEF),
        (np.float32, 0x7F80_1234),
        (np.float16, 0x7C55),
        (bfloat16, 0x7F81),
    ],
    ids=["float64", "float32", "float16", "bfloat16"],
)
@pytest.mark.parametrize("layout", TRUTHS)
def test_channels_past_the_rotary_width_keep_every_bit(
    layout: str, dtype: Any, pattern: int
) -> None:
    width = np.dtype(f"u{np.dtype(dtype).itemsize}")
    x = np.full((B, S, H, 5), 3, width)
    # A signalling NaN, the same with its sign, -0.0: what a multiplication by one would alter.
    sign = 1 << (8 * width.itemsize - 1)
    x[..., 2:] = [pattern, pattern | sign, sign]
    got = apply_rotary(x.view(dtype), IDS, Spectrum([0.3]), layout=layout)
    assert bits(got[..., 2:]) == bits(x[..., 2:])
    assert bits(got[..., :2]) != bits(x[..., :2])


def test_the_input_is_never_written_and_never_returned() -> None:
    x = numbers(B, S, H, D)
    x.flags.writeable = False
    y = apply_rotary(x, 0, SPECTRUM)
    assert not np.shares_memory(x, y)
    assert y.flags.writeable
    tensor = torch.from_numpy(numbers(B, S, H, D))
    before = tensor.clone()
    apply_rotary(tensor, IDS, SPECTRUM)[:] = 0.0
    assert torch.equal(tensor, before)


@pytest.mark.parametrize("heads", [1, 2])
def test_qk_rotates_grouped_queries_and_keys_each_as_alone(heads: int) -> None:
    q, k = numbers(B, S, H, D), numbers(B, S, heads, D, seed=1)
    options = {"layout": "interleaved", "angles": "float32", "inverse": True}
    both = apply_rotary_qk(q, k.astype(np.float16), IDS, SPECTRUM, **options)  # type: ignore[arg-type]
    alone = [apply_rotary(x, IDS, SPECTRUM, **options) for x in (q, k.astype(np.float16))]  # type: ignore[arg-type]
    assert [x.dtype for x in both] == [np.float64, np.float16]
    assert [bits(x) for x in both] == [bits(x) for x in alone]


def test_the_attention_factor_multiplies_both_directions() -> None:
    x, scaled = numbers(B, S, H, D), Spectrum(SPECTRUM.inv_freq, attention_factor=1.5)
    for inverse in (False, True):
        got = apply_rotary(x, IDS, scaled, inverse=inverse)
        error = np.abs(got - 1.5 * transformers_half(x, inverse=inverse)) / pair_norms(x, "half")
        assert (error <= 1.5 * turn_rounding(IDS)[:, :, None, None] + 6 * eps("float64")).all()


def test_rotate_uses_the_ropes_own_layouts_channels_and_length() -> None:
    rope = Rope(
        D,
        rotary_dim=6,
        layout="interleaved",
        output_layout="half",
        rotary_offset=1,
        scaling=DynamicNTK(2.0),
        max_position_embeddings=100,
    )
    q, k = numbers(B, S, H, D), numbers(B, S, 1, D, seed=1)
    for seq_len, length in ((None, int(IDS.max()) + 1), (777, 777)):
        got = rotate(rope, q, k, IDS, seq_len=seq_len)
        expected = apply_rotary_qk(
            q,
            k,
            IDS,
            rope.spectrum(length),
            layout="interleaved",
            output_layout="half",
            rotary_offset=1,
        )
        assert [bits(x) for x in got] == [bits(x) for x in expected]


@pytest.mark.parametrize("ids", [[-5], []])
def test_rotate_of_no_or_negative_positions_scales_nothing(ids: list[int]) -> None:
    rope = Rope(D, scaling=DynamicNTK(2.0), max_position_embeddings=2)
    q = numbers(1, len(ids), 2, D)
    assert bits(rotate(rope, q, q, ids)[0]) == bits(apply_rotary(q, ids, SPECTRUM))


@pytest.mark.parametrize("shape", [(0, S, H, D), (B, 0, H, D), (B, S, 0, D)])
def test_empty_tensors_come_back_empty(shape: tuple[int, ...]) -> None:
    y = apply_rotary(np.zeros(shape, np.float16), 7, SPECTRUM)
    assert y.shape == shape
    assert y.dtype == np.float16


def test_infinity_and_nan_spread_within_their_pair_alone() -> None:
    x = numbers(1, 1, 1, D)
    x[..., 0], x[..., 5] = np.inf, np.nan
    got = apply_rotary(x, [3], SPECTRUM)[0, 0, 0]
    assert np.isfinite(got).tolist() == [False, False, True, True] * 2


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_result_beyond_the_range_is_infinite_without_a_warning(dtype: str) -> None:
    largest = np.nextafter(2.0 ** {"float16": 16, "bfloat16": 128}.get(dtype, 128), 0)
    largest = np.finfo(np.float64).max if dtype == "float64" else largest * (1 - eps(dtype) / 2)
    x = narrow(np.full((1, 1, 1, 2), largest), dtype)
    got = widen(apply_rotary(x, [1], Spectrum([np.pi / 4])))
    assert np.isfinite(got).ravel().tolist() == [True, False]


X = np.ones((B, S, H, D))
WRONG: list[tuple[str, object, type[Exception]]] = [
    ("x", None, TypeError),
    ("x", X.astype(np.int64), TypeError),
    ("x", X.astype(np.complex64), TypeError),
    ("x", X.astype(">f4"), TypeError),
    ("x", X[0], ValueError),
    ("x", X[..., :6], ValueError),
    ("x", 1.0, ValueError),
    ("position_ids", None, TypeError),
    ("position_ids", [0.0, 1.0, 2.0], TypeError),
    ("position_ids", True, TypeError),
    ("position_ids", [0, 1], ValueError),
    ("position_ids", np.zeros((1, B, S), int), ValueError),
    ("spectrum", None, TypeError),
    ("spectrum", Rope(D), TypeError),
    ("layout", "neox", ValueError),
    ("tensor_format", "BSHD", ValueError),
    ("angles", "float64", ValueError),
    ("inverse", "no", TypeError),
    ("inverse", None, TypeError),
    ("output_layout", "neox", ValueError),
    ("output_layout", 0, ValueError),
    ("rotary_offset", 1, ValueError),
    ("rotary_offset", -1, ValueError),
    ("rotary_offset", 0.0, TypeError),
    ("rotary_offset", None, TypeError),
]
GOOD = {"x": X, "position_ids": IDS, "spectrum": SPECTRUM}


@pytest.mark.parametrize(("name", "value", "kind"), WRONG)
def test_apply_rotary_refuses(name: str, value: object, kind: type[Exception]) -> None:
    with refuses(kind, name):
        apply_rotary(**{**GOOD, name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value", "kind"), WRONG)
def test_apply_rotary_qk_refuses(name: str, value: object, kind: type[Exception]) -> None:
    good = {"q": X, "k": X, "position_ids": IDS, "spectrum": SPECTRUM}
    wrong = {"q": value, "k": value} if name == "x" else {name: value}
    with refuses(kind, "q" if name == "x" else name):
        apply_rotary_qk(**{**good, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (X.astype(np.int64), TypeError),
        (X[0], ValueError),
        (X[:, :2], ValueError),
        (X[..., :6], ValueError),
    ],
)
def test_apply_rotary_qk_refuses_keys(value: object, kind: type[Exception]) -> None:
    with refuses(kind, "k"):
        apply_rotary_qk(X, value, IDS, SPECTRUM)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("rope", SPECTRUM, TypeError),
        ("q", X.astype(int), TypeError),
        ("q", np.ones((B, S, H, 10)), ValueError),
        ("k", np.ones((B, S, H, 10)), ValueError),
        ("k", np.ones((B, S + 1, H, D)), ValueError),
        ("position_ids", [0.5, 1.0, 2.0], TypeError),
        ("seq_len", 4.0, TypeError),
        ("seq_len", 0, ValueError),
    ],
)
def test_rotate_refuses(name: str, value: object, kind: type[Exception]) -> None:
    good = {"rope": Rope(D), "q": X, "k": X, "position_ids": IDS}
    with refuses(kind, name):
        rotate(**{**good, name: value})  # type: ignore[arg-type]


def test_a_layer_without_a_rope_is_told_what_to_do() -> None:
    with refuses(TypeError, "rope", "NoneType", "None stands for", "leave its q and k as they are"):
        rotate(None, X, X, IDS)  # type: ignore[arg-type]


def test_positions_of_text_are_not_taken_for_those_of_three_axes() -> None:
    rope, x, text = Rope(D, axes=[0, 1, 2, 0]), numbers(B, 3, H, D), np.arange(5, 8)
    with refuses(ValueError, "position_ids", "(3,)", "np.broadcast_to(position_ids, (3,"):
        rotate(rope, x, x, text)
    q, _ = rotate(rope, x, x, np.broadcast_to(text, (3, *text.shape)))
    np.testing.assert_array_equal(q, rotate(Rope(D), x, x, text)[0])


def test_the_rotated_part_of_a_latent_head_is_named() -> None:
    wide = np.ones((B, S, H, 192))
    with refuses(ValueError, "q", "head_dim 64", "pass q[..., 128:]"):
        rotate(Rope(64), wide, wide, IDS)


@pytest.mark.parametrize("position", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_rule_without_length_turns_to_the_last_position(position: int) -> None:
    x, ids, rope = np.ones((1, 1, 1, 8)), np.array([position], np.uint64), Rope(8)
    for rotated in rotate(rope, x, x, ids):
        assert rotated.tobytes() == apply_rotary(x, ids, rope.spectrum()).tobytes()
