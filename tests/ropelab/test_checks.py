"""Checks accept what they promise; every refusal names the argument, the wish and what came."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from ropelab.checks import (
    TENSOR_FORMATS,
    check_choice,
    check_flag,
    check_head_dim,
    check_layout,
    check_positions,
    check_rotary_offset,
    check_same_tokens,
    check_width,
    finite_real,
    heads,
    positive_int,
    token_shape,
)
from tests.ropelab.support import refuses

B, S, H, D = 2, 3, 5, 8


@pytest.mark.parametrize(
    ("tensor_format", "shape", "tokens"),
    [
        ("bshd", (B, S, H, D), (B, S)),
        ("bhsd", (B, H, S, D), (B, S)),
        ("sbhd", (S, B, H, D), (B, S)),
        ("thd", (S, H, D), (S,)),
    ],
)
def test_the_axes_of_a_format_are_the_letters_of_its_name(
    tensor_format: str, shape: tuple[int, ...], tokens: tuple[int, ...]
) -> None:
    assert token_shape(shape, tensor_format, "x") == tokens
    assert heads(shape, tensor_format) == H
    assert TENSOR_FORMATS[tensor_format].ndim == len(tensor_format)


@pytest.mark.parametrize("tensor_format", TENSOR_FORMATS)
@pytest.mark.parametrize("shape", [(), (D,), (S, D), (1, B, S, H, D)])
def test_a_tensor_of_other_axes_is_refused(tensor_format: str, shape: tuple[int, ...]) -> None:
    with refuses(ValueError, "k", str(shape), tensor_format, str(len(tensor_format)), "head_dim"):
        token_shape(shape, tensor_format, "k")


@pytest.mark.parametrize("value", ["BSHD", "bsh", None, 0, ["bshd"], b"bshd"])
def test_an_unknown_choice_is_refused_with_the_choices(value: object) -> None:
    with refuses(ValueError, "tensor_format", repr(value), "'bshd', 'bhsd', 'sbhd', 'thd'"):
        check_choice(value, TENSOR_FORMATS, "tensor_format")


def test_the_table_of_formats_is_read_only() -> None:
    with pytest.raises(TypeError):
        TENSOR_FORMATS["bsd"] = TENSOR_FORMATS["thd"]  # type: ignore[index]


@pytest.mark.parametrize("shape", [(), (1,), (S,), (1, 1), (1, S), (B, 1), (B, S)])
def test_positions_may_broadcast_to_the_tokens(shape: tuple[int, ...]) -> None:
    check_positions(shape, (B, S))
    if shape:
        check_positions((3, *shape), (B, S), axes=3)


@pytest.mark.parametrize("shape", [(B,), (S, 1), (S, B), (0,), (B, S, 1), (1, B, S), (4,)])
def test_positions_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with refuses(ValueError, "position_ids", str(shape), str((B, S)), "(batch, sequence)"):
        check_positions(shape, (B, S))


@pytest.mark.parametrize("shape", [(), (2, B, S), (B, S), (3,)])
def test_positions_without_the_axes_of_the_spectrum_are_refused(shape: tuple[int, ...]) -> None:
    mend = "for text alone: np.broadcast_to(position_ids, (3, *position_ids.shape))"
    with refuses(ValueError, "position_ids", "3 position axes", str(shape), str((3, B, S)), mend):
        check_positions(shape, (B, S), axes=3)


def test_positions_of_packed_tokens_have_one_axis() -> None:
    with refuses(ValueError, "cos", "(tokens,)", "(7,)", "(1, 7)"):
        check_positions((1, 7), (7,), name="cos")


def test_a_head_narrower_than_the_rotation_is_refused() -> None:
    check_width(8, 8, "x")
    with refuses(ValueError, "x", "6", "8"):
        check_width(8, 6, "x")


@pytest.mark.parametrize(
    ("k_shape", "came"),
    [((B, S + 1, H, D), "(2, 4, 5, 8)"), ((1, S, H, D), "(1, 3, 5, 8)"), ((B, S, H, D + 2), "10")],
)
def test_keys_of_other_tokens_or_another_width_are_refused(
    k_shape: tuple[int, ...], came: str
) -> None:
    check_same_tokens((B, S, H, D), (B, S, 1, D), "bshd")
    with refuses(ValueError, "k", came):
        check_same_tokens((B, S, H, D), k_shape, "bshd")


@pytest.mark.parametrize("value", [6, np.int8(6), np.uint64(6), np.array(6)])
def test_any_integer_type_is_an_int(value: object) -> None:
    assert type(positive_int(value, "n", even=True)) is int
    assert positive_int(value, "n") == 6


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, TypeError),
        (np.bool_(True), TypeError),
        (6.0, TypeError),
        ("6", TypeError),
        (None, TypeError),
        (np.array([6]), TypeError),
        (Fraction(6), TypeError),
        (0, ValueError),
        (-6, ValueError),
        (7, ValueError),
    ],
)
def test_what_is_no_positive_even_integer_is_refused(value: object, kind: type[Exception]) -> None:
    with refuses(kind, "n", "a positive even integer", str(value)):
        positive_int(value, "n", even=True)


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float16(2), np.int64(2), np.array(2.0), Fraction(2), Decimal(2)]
)
def test_any_real_type_is_a_float(value: object) -> None:
    assert type(finite_real(value, "s", above=0.0)) is float
    assert finite_real(value, "s") == 2.0


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, TypeError),
        (np.bool_(True), TypeError),
        ("2", TypeError),
        (b"0x2", TypeError),
        (None, TypeError),
        (2j, TypeError),
        ([2.0], TypeError),
        (np.array([2.0]), TypeError),
        (np.array([1.0, 2.0]), TypeError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (-math.inf, ValueError),
        (0.0, ValueError),
        (-1, ValueError),
        pytest.param(10**400, ValueError, id="huge"),
        pytest.param(Decimal("1e999"), ValueError, id="huge decimal"),
    ],
)
def test_what_is_no_finite_number_above_the_limit_is_refused(
    value: object, kind: type[Exception]
) -> None:
    with refuses(kind, "s", "number"):
        finite_real(value, "s", above=0.0)


@pytest.mark.parametrize("value", [True, False, np.bool_(True)])
def test_a_truth_value_is_a_flag(value: bool) -> None:
    assert check_flag(value, "inverse") is bool(value)


@pytest.mark.parametrize("value", [None, 0, 1, "no", [], np.array([True])])
def test_what_is_no_truth_value_is_refused(value: object) -> None:
    with refuses(TypeError, "inverse", repr(value), "True or False"):
        check_flag(value, "inverse")


def test_a_count_that_numpy_cannot_hold_is_refused() -> None:
    assert positive_int(2**63 - 1, "n") == 2**63 - 1
    for number in (2**63, 10**5000):
        with refuses(ValueError, "n", "below 2**63", f"{number.bit_length()} bits"):
            positive_int(number, "n")


@pytest.mark.parametrize("value", [np.array(True), np.complex64(1), np.complex128(1)])
def test_neither_truth_values_nor_complex_numbers_are_real(value: object) -> None:
    with refuses(TypeError, "s", "real number"):
        finite_real(value, "s")


def test_an_offset_leaves_room_for_the_rotated_channels() -> None:
    assert [check_rotary_offset(first, 6, 10) for first in (0, np.int8(3), 4)] == [0, 3, 4]
    for value, kind in ((5, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)):
        with refuses(kind, "rotary_offset", str(value)):
            check_rotary_offset(value, 6, 10)


@pytest.mark.parametrize(
    ("value", "called"),
    [
        ("neox", "half"),
        ("NeoX", "half"),
        ("GPT-NeoX", "half"),
        ("rotate_half", "half"),
        ("gptj", "interleaved"),
        ("GPT-J", "interleaved"),
        ("norm", "interleaved"),
        ("complex", "interleaved"),
    ],
)
def test_a_layout_of_another_name_is_refused_with_its_name_here(value: str, called: str) -> None:
    mend = f"{value!r} is called {called!r} here"
    with refuses(ValueError, "output_layout", "'half', 'interleaved'", repr(value), mend):
        check_layout(value, "output_layout")


@pytest.mark.parametrize("value", ["Half", "", None, 3, b"neox", ["neox"]])
def test_what_is_no_layout_at_all_is_called_nothing(value: object) -> None:
    with pytest.raises(ValueError, match=r"^layout: .*; got [^;]*$"):
        check_layout(value)


def test_a_wider_head_is_refused_with_its_last_channels() -> None:
    check_head_dim((B, S, H, 64), 64)
    with refuses(ValueError, "q", "head_dim 64", "(2, 3, 5, 192)", "pass q[..., 128:]"):
        check_head_dim((B, S, H, 192), 64)
    with pytest.raises(ValueError, match=r"got shape \(2, 3, 5, 32\)$"):
        check_head_dim((B, S, H, 32), 64)
