"""Positions that an offset says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ropelab import Rope, Spectrum, apply_rotary, apply_rotary_qk, cos_sin, exact_phases, rotate
from ropelab.positions import Consecutive
from ropelab.scaling import DynamicNTK
from ropelab.xpos import apply_xpos_qk, xpos_scale
from tests.ropelab.support import numbers, refuses

SPECTRUM = Spectrum([1.0, 0.3, 0.07, 1e-3])
X = numbers(2, 3, 2, 8)
FAR = [[2**31 - 2, 2**31 - 1, 2**31], [-1, 0, 1]]


@pytest.mark.parametrize(
    ("offset", "tokens", "ids"),
    [
        (0, (4,), [0, 1, 2, 3]),
        (-2, (2, 3), [[-2, -1, 0]] * 2),
        ([2**31 - 2, -1], (2, 3), FAR),
        (np.array([5], np.uint8), (2, 2), [[5, 6]] * 2),
        (np.array(7, np.int16), (1, 2), [[7, 8]]),
        (torch.tensor([9, 4]), (2, 1), [[9], [4]]),
        ([], (0, 3), []),
    ],
)
def test_positions_count_on_from_the_offset(
    offset: object, tokens: tuple[int, ...], ids: list[object]
) -> None:
    listed = Consecutive(offset).ids(tokens)
    assert listed.dtype == np.int64
    assert listed.shape == tokens
    assert listed.tolist() == ids


@pytest.mark.parametrize(
    ("tensor_format", "axes"),
    [("bshd", (0, 1, 2, 3)), ("bhsd", (0, 2, 1, 3)), ("sbhd", (1, 0, 2, 3))],
)
def test_a_tensor_is_rotated_as_by_the_ids(tensor_format: str, axes: tuple[int, ...]) -> None:
    x, place = X.transpose(axes), Consecutive([2**31 - 2, -1])
    said = apply_rotary(x, place, SPECTRUM, tensor_format=tensor_format)
    listed = apply_rotary(x, np.array(FAR), SPECTRUM, tensor_format=tensor_format)
    assert said.tobytes() == listed.tobytes()


def test_every_rotation_takes_them() -> None:
    place, ids = Consecutive([40, 7]), np.array([[40, 41, 42], [7, 8, 9]])
    keys = X[:, :, :1]
    for said, listed in (
        (apply_rotary_qk(X, keys, place, SPECTRUM), apply_rotary_qk(X, keys, ids, SPECTRUM)),
        (apply_xpos_qk(X, keys, place, SPECTRUM), apply_xpos_qk(X, keys, ids, SPECTRUM)),
        (rotate(Rope(8), X, keys, place), rotate(Rope(8), X, keys, ids)),
    ):
        assert [x.tobytes() for x in said] == [x.tobytes() for x in listed]


def test_packed_tokens_count_from_one_offset() -> None:
    x = numbers(5, 2, 8)
    said = apply_rotary(x, Consecutive(131_071), SPECTRUM, tensor_format="thd")
    listed = apply_rotary(x, np.arange(131_071, 131_076), SPECTRUM, tensor_format="thd")
    assert said.tobytes() == listed.tobytes()


def test_text_has_one_position_on_every_axis() -> None:
    many = Spectrum(SPECTRUM.inv_freq, axes=np.array([0, 1, 2, 0]))
    said = apply_rotary(X, Consecutive([3, 99]), many)
    assert said.tobytes() == apply_rotary(X, Consecutive([3, 99]), SPECTRUM).tobytes()


def test_the_length_that_a_rule_sees_is_that_behind_the_offset() -> None:
    rope = Rope(8, scaling=DynamicNTK(2.0), max_position_embeddings=16)
    long = rotate(rope, X, X, Consecutive([3, 998]))[0]
    assert long.tobytes() == rotate(rope, X, X, Consecutive([3, 998]), seq_len=1001)[0].tobytes()
    assert long.tobytes() != rotate(rope, X, X, Consecutive([3, 998]), seq_len=1000)[0].tobytes()


@pytest.mark.parametrize(
    ("offset", "kind", "came"),
    [
        (1.0, TypeError, "float"),
        (True, TypeError, "bool"),
        (None, TypeError, "NoneType"),
        ("3", TypeError, "U1"),
        ([0.5], TypeError, "float64"),
        (np.ones(2, np.float32), TypeError, "float32"),
        ([[1], [2]], ValueError, "(2, 1)"),
        (torch.ones(2, 2, dtype=torch.int64), ValueError, "(2, 2)"),
        (2**63, ValueError, "64 bits"),
        (-(2**63) - 1, ValueError, "64 bits"),
    ],
)
def test_an_offset_that_is_none_is_refused_at_once(
    offset: object, kind: type[Exception], came: str
) -> None:
    with refuses(kind, "offset", came):
        Consecutive(offset)


@pytest.mark.parametrize(
    ("offset", "tokens", "came"),
    [
        ([1, 2, 3], (2, 4), "each of 2 sequences"),
        ([1, 2], (4,), "each of 1 sequences"),
        (2**63 - 2, (2, 2), "2**63 - 1"),
        ([0, 2**63 - 2], (2, 2), "2**63 - 1"),
    ],
)
def test_an_offset_that_does_not_fit_the_tokens(
    offset: object, tokens: tuple[int, ...], came: str
) -> None:
    with refuses(ValueError, "offset", came):
        Consecutive(offset).ids(tokens)


def test_a_device_tensor_is_not_read() -> None:
    class OnDevice:
        """A tensor of which nothing may be read but its shape."""

        shape = (2,)

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

        def __dlpack__(self, **_: object) -> object:
            raise AssertionError

    offset = OnDevice()
    assert Consecutive(offset).offset is offset
    with refuses(ValueError, "offset", "ropelab_cuda"):
        Consecutive(offset).ids((2, 3))


def test_two_are_equal_only_if_they_are_one() -> None:
    one = Consecutive(np.array([1, 2]))
    other = Consecutive(np.array([1, 2]))
    assert one != other
    assert [one, other].index(other) == 1
    assert len({one, other, one}) == 2


def test_where_no_tensor_counts_the_tokens_they_are_refused() -> None:
    for call in (
        lambda ids: cos_sin(ids, SPECTRUM),
        lambda ids: exact_phases(ids, SPECTRUM),
        lambda ids: xpos_scale(ids, 8),
    ):
        with refuses(TypeError, "position_ids", "Consecutive", ".ids(tokens)"):
            call(Consecutive(3))
