"""A Rope describes one embedding completely, and refuses what describes none."""

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import Default, DynamicNTK, Linear
from tests.ropelab.support import refuses


def test_defaults_are_those_of_the_paper() -> None:
    rope = Rope(128)
    assert (rope.base, rope.rotary_dim, rope.layout) == (10_000.0, 128, "half")
    assert (rope.scaling, rope.max_position_embeddings) == (Default(), None)


@pytest.mark.parametrize("rotary_dim", [2, 64, 256])
def test_a_partial_width_divides_by_itself_and_not_by_the_head(rotary_dim: int) -> None:
    inv_freq = Rope(256, rotary_dim=rotary_dim, base=1e4).spectrum().inv_freq
    assert inv_freq.size == rotary_dim // 2
    # The last frequency is base ** -(d - 2) / d; with the head's width it would be far larger.
    assert math.log(inv_freq[-1]) / math.log(1e4) == pytest.approx(-(rotary_dim - 2) / rotary_dim)


def test_an_odd_head_may_rotate_an_even_part() -> None:
    assert Rope(7, rotary_dim=4).spectrum().rotary_dim == 4


def test_numpy_numbers_become_pythons_own() -> None:
    rope = Rope(
        np.int64(8),  # type: ignore[arg-type]
        base=np.float32(500_000.0),  # type: ignore[arg-type]
        max_position_embeddings=np.uint16(77),  # type: ignore[arg-type]
    )
    assert [type(rope.head_dim), type(rope.base)] == [int, float]
    assert rope == Rope(8, base=500_000.0, max_position_embeddings=77)


def test_ropes_are_values() -> None:
    rope = Rope(64, scaling=Linear(2.0), layout="interleaved")
    assert rope == Rope(64, scaling=Linear(2), layout="interleaved")
    assert hash(rope) == hash(Rope(64, scaling=Linear(2.0), layout="interleaved"))
    others = [
        Rope(64, scaling=Linear(2.0)),
        Rope(64, scaling=Linear(3.0), layout="interleaved"),
        Rope(64, scaling=Linear(2.0), layout="interleaved", base=9.0),
        Rope(64, scaling=Linear(2.0), layout="interleaved", rotary_dim=32),
        Rope(64, scaling=Linear(2.0), layout="interleaved", max_position_embeddings=5),
    ]
    assert all(rope != other for other in others)
    with pytest.raises(FrozenInstanceError):
        rope.base = 1.0  # type: ignore[misc]


def test_a_base_of_one_turns_every_pair_alike() -> None:
    assert Rope(8, base=1).spectrum().inv_freq.tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("head_dim", "128", TypeError),
        ("head_dim", 128.0, TypeError),
        ("head_dim", True, TypeError),
        ("head_dim", None, TypeError),
        ("head_dim", 0, ValueError),
        ("head_dim", -8, ValueError),
        ("head_dim", 127, ValueError),
        ("base", "1e4", TypeError),
        ("base", False, TypeError),
        ("base", 0.0, ValueError),
        ("base", -1.0, ValueError),
        ("base", math.inf, ValueError),
        ("base", math.nan, ValueError),
        ("rotary_dim", 4.0, TypeError),
        ("rotary_dim", 3, ValueError),
        ("rotary_dim", 0, ValueError),
        ("rotary_dim", 10, ValueError),
        ("scaling", "linear", TypeError),
        ("scaling", {"rope_type": "linear", "factor": 2.0}, TypeError),
        ("scaling", Linear, TypeError),
        ("layout", "neox", ValueError),
        ("layout", None, ValueError),
        ("max_position_embeddings", 4096.0, TypeError),
        ("max_position_embeddings", 0, ValueError),
    ],
)
def test_arguments_of_a_wrong_type_or_range_are_refused(
    name: str, value: object, kind: type[Exception]
) -> None:
    arguments = {"head_dim": 8, name: value}
    with refuses(kind, name, repr(value)):
        Rope(**arguments)  # type: ignore[arg-type]


def test_a_base_that_no_float64_holds_is_refused() -> None:
    with refuses(ValueError, "base"):
        Rope(8, base=10**400)


@pytest.mark.parametrize(("seq_len", "kind"), [("9", TypeError), (9.0, TypeError), (0, ValueError)])
def test_a_length_that_is_no_positive_integer_is_refused(
    seq_len: object, kind: type[Exception]
) -> None:
    rope = Rope(8, scaling=DynamicNTK(2.0), max_position_embeddings=4)
    with refuses(kind, "seq_len", repr(seq_len)):
        rope.spectrum(seq_len)  # type: ignore[arg-type]


def test_a_rope_may_name_axes_an_offset_and_an_output_layout() -> None:
    rope = Rope(16, rotary_dim=4, axes=[0, 1], rotary_offset=12, output_layout="half")
    assert np.array_equal(rope.spectrum().axes, [0, 1])  # type: ignore[arg-type]
    assert (rope.axes, rope.rotary_offset, rope.output_layout) == ((0, 1), 12, "half")
    assert Rope(16, layout="interleaved").output_layout == "interleaved"
    for options, words in (
        ({"axes": [0]}, "axes: expected one position axis"),
        ({"rotary_offset": 13}, "rotary_offset: expected 0 to 12"),
        ({"output_layout": "neox"}, "output_layout: expected one of"),
    ):
        with pytest.raises(ValueError, match=words):
            Rope(16, rotary_dim=4, **options)
