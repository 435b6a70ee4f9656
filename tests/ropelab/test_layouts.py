"""The permutation between the layouts, spelled out channel by channel."""

import ml_dtypes
import numpy as np
import pytest
import torch

from ropelab import bfloat16, permute_qk_weight, to_half, to_interleaved
from ropelab.layouts import pair_channels
from tests.ropelab.support import bits, refuses


def interleaved_from_half(d: int, width: int) -> list[int]:
    """Return, for every interleaved channel, the half channel that it comes from."""
    return [i // 2 + (i % 2) * d // 2 for i in range(d)] + list(range(d, width))


@pytest.mark.parametrize(("width", "d"), [(2, 2), (6, 6), (10, 6), (7, 4), (128, 64)])
def test_to_interleaved_moves_each_channel_to_its_place_and_back(width: int, d: int) -> None:
    x = np.arange(3 * width).reshape(3, width)
    there = to_interleaved(x, d)
    assert there.tolist() == x[:, interleaved_from_half(d, width)].tolist()
    assert to_half(there, d).tolist() == x.tolist()


def test_without_a_rotary_dim_all_channels_move() -> None:
    assert to_interleaved([0, 1, 2, 3, 4, 5]).tolist() == [0, 3, 1, 4, 2, 5]
    assert to_half([0, 1, 2, 3, 4, 5]).tolist() == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_any_axis_may_hold_the_channels(axis: int) -> None:
    x = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    order = interleaved_from_half(4, x.shape[axis])
    assert to_interleaved(x, 4, axis=axis).tolist() == np.take(x, order, axis).tolist()


def test_a_projection_is_permuted_as_transformers_conversion_of_llama_does() -> None:
    heads, head_dim, width = 3, 8, 5
    weight = torch.arange(heads * head_dim * width).reshape(heads * head_dim, width)
    # `permute` of convert_llama_weights_to_hf.py: Meta's interleaved rows to Transformers' halves.
    theirs = (
        weight.view(heads, head_dim // 2, 2, width).transpose(1, 2).reshape(heads * head_dim, width)
    )
    ours = to_half(weight.reshape(heads, head_dim, width), axis=1).reshape(heads * head_dim, width)
    assert ours.tolist() == theirs.tolist()
    assert permute_qk_weight(weight.numpy(), heads, target="half").tolist() == theirs.tolist()
    # As one wide head its heads are mixed, which the documentation of the argument warns of.
    assert to_half(weight, axis=0)[:head_dim].tolist() == weight[: 2 * head_dim : 2].tolist()
    back = to_interleaved(ours.reshape(heads, head_dim, width), axis=1)
    assert back.reshape(heads * head_dim, width).tolist() == weight.tolist()


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint64, ">f4", np.complex64, np.longdouble, bfloat16, ml_dtypes.bfloat16]
)
def test_bits_are_moved_and_not_computed_with(dtype: np.dtype[np.generic]) -> None:
    size = 6 * np.dtype(dtype).itemsize
    x = np.frombuffer(bytes(range(200, 200 + size)) if size < 56 else bytes(size), dtype)
    y = to_interleaved(x)
    assert y.dtype == x.dtype
    assert bits(y) == b"".join(bits(x[i : i + 1]) for i in (0, 3, 1, 4, 2, 5))


def test_the_result_is_a_copy() -> None:
    x = np.arange(4)
    y = to_half(x)
    y[:] = 9
    assert x.tolist() == [0, 1, 2, 3]


def test_pairs_are_the_published_ones() -> None:
    channels = list(range(12))
    for layout, pairs in {
        "half": [(0, 4), (1, 5), (2, 6), (3, 7)],
        "interleaved": [(0, 1), (2, 3), (4, 5), (6, 7)],
    }.items():
        first, second = pair_channels(layout, 8)
        assert list(zip(channels[first], channels[second], strict=True)) == pairs


@pytest.mark.parametrize("function", [to_half, to_interleaved])
@pytest.mark.parametrize(
    ("x", "options", "kind", "name"),
    [
        (None, {}, TypeError, "x"),
        ([[1, 2], [3]], {}, TypeError, "x"),
        (1.0, {}, ValueError, "axis"),
        (np.zeros((2, 4)), {"axis": 2}, ValueError, "axis"),
        (np.zeros((2, 4)), {"axis": None}, TypeError, "axis"),
        (np.zeros((2, 4)), {"axis": 1.0}, TypeError, "axis"),
        (np.zeros((2, 4)), {"rotary_dim": "4"}, TypeError, "rotary_dim"),
        (np.zeros((2, 4)), {"rotary_dim": 4.0}, TypeError, "rotary_dim"),
        (np.zeros((2, 4)), {"rotary_dim": 3}, ValueError, "rotary_dim"),
        (np.zeros((2, 4)), {"rotary_dim": 0}, ValueError, "rotary_dim"),
        (np.zeros((2, 4)), {"rotary_dim": 6}, ValueError, "x"),
        (np.zeros((4, 3)), {}, ValueError, "rotary_dim"),
    ],
)
def test_arguments_of_a_wrong_type_or_range_are_refused(
    function: object, x: object, options: dict[str, object], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        function(x, **options)  # type: ignore[operator]


def test_an_unknown_layout_is_refused() -> None:
    with refuses(ValueError, "layout", "'neox'", "'half'", "'interleaved'"):
        pair_channels("neox", 8)
    with refuses(ValueError, "rotary_dim", "7"):
        pair_channels("half", 7)
