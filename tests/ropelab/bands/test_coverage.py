"""Turns within a length, against the counts that papers print and against counting by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.bands import completes_turn, turning, turns_within, unseen_angles
from ropelab.scaling import HoPE, Linear, Llama3, Proportional, YaRN
from tests.ropelab.support import refuses

LLAMA_3_1 = Rope(128, base=500_000.0, scaling=Llama3(8.0, 1.0, 4.0, 8192))


@pytest.mark.parametrize(
    ("rope", "context_length", "turning"),
    [
        pytest.param(Rope(128, base=1e4), 4_096, 46, id="Llama-2 4k"),
        pytest.param(Rope(128, base=5e5), 8_192, 35, id="Llama-3 8k"),
        pytest.param(Rope(128, base=5e5), 131_072, 49, id="Llama-3 base 128k"),
        pytest.param(Rope(128, base=1e6), 32_768, 40, id="Qwen2.5 32k"),
        pytest.param(Rope(256, base=1e4), 8_192, 100, id="Gemma-7B 8k"),
    ],
)
def test_the_published_number_of_pairs_completes_a_turn(
    rope: Rope, context_length: int, turning: int
) -> None:
    assert completes_turn(rope, context_length).sum() == turning


def test_scaling_leaves_ten_pairs_fewer_turning_within_llama_3_1s_context() -> None:
    assert completes_turn(LLAMA_3_1, 131_072).sum() == 39


def test_turns_are_positions_on_the_circle_counted_up() -> None:
    # Walk token by token and count how often the angle passes a whole turn.
    rope, length = Rope(10, base=50.0), 1000
    for frequency, turns in zip(
        rope.spectrum().inv_freq.tolist(), turns_within(rope, length).tolist(), strict=True
    ):
        walked = sum(
            math.floor((m + 1) * frequency / math.tau) > math.floor(m * frequency / math.tau)
            for m in range(length)
        )
        assert math.floor(turns) == walked


def test_ten_periods_end_where_longrope2_has_it() -> None:
    assert int((turns_within(Rope(96, base=1e4), 2048) >= 10).sum()) == 19
    assert int((turns_within(Rope(128, base=5e5), 8192) >= 10).sum()) == 24


def test_pairs_that_stand_still_make_no_turn() -> None:
    rope = Rope(16, scaling=Proportional(0.25))
    assert turning(rope).tolist() == [True] * 2 + [False] * 6
    assert (turns_within(rope, 10**9)[2:] == 0.0).all()
    assert not turning(Rope(16, scaling=Proportional(0.0))).any()  # NoPE
    assert int(turning(Rope(128, scaling=HoPE(4096))).sum()) == 46


def test_llama_2_beyond_its_length_meets_angles_by_all_pairs_that_never_turned() -> None:
    late = ~completes_turn(Rope(128), 4096)
    np.testing.assert_array_equal(unseen_angles(Rope(128), 4096, 4097), late)
    assert not unseen_angles(Rope(128), 4096, 4096).any()


@pytest.mark.parametrize("factor", [2.0, 3.0, 7.3])
def test_linear_scaling_meets_no_new_angle_up_to_its_factor(factor: float) -> None:
    rope = Rope(128, scaling=Linear(factor))
    assert not unseen_angles(rope, 4096, int(4096 * factor)).any()
    assert unseen_angles(rope, 4096, int(4096 * factor) + 2).sum() == 18


def test_yarn_meets_new_angles_in_the_blend_alone() -> None:
    # Qwen2.5: pair 40 is the first that does not turn once in 32768 tokens. There the ramp ends, so
    # that it is divided by all of the factor; a ramp down to half a turn ends past pair 42 (42.86).
    plain = Rope(128, base=1e6)
    assert np.flatnonzero(unseen_angles(plain, 32_768, 131_072)).tolist() == [*range(40, 64)]
    rope = Rope(128, base=1e6, scaling=YaRN(4.0, 32_768))
    assert not unseen_angles(rope, 32_768, 131_072).any()
    blended = Rope(128, base=1e6, scaling=YaRN(4.0, 32_768, beta_slow=0.5))
    assert np.flatnonzero(unseen_angles(blended, 32_768, 131_072)).tolist() == [40, 41, 42]


@pytest.mark.parametrize("length", [0, -1])
@pytest.mark.parametrize("function", [completes_turn, turns_within])
def test_a_context_length_that_is_not_positive_is_refused(
    function: Callable[..., Any], length: int
) -> None:
    with refuses(ValueError, "context_length", str(length)):
        function(Rope(4), length)


@pytest.mark.parametrize(
    ("lengths", "name"), [((0, 1), "trained_length"), ((1, 0), "context_length")]
)
def test_unseen_angles_names_the_length_it_refuses(lengths: tuple[int, int], name: str) -> None:
    with refuses(ValueError, name, "0"):
        unseen_angles(Rope(4), *lengths)


@pytest.mark.parametrize("length", [4096.0, "4096", None, True])
def test_a_context_length_is_an_integer(length: Any) -> None:
    with refuses(TypeError, "context_length"):
        turns_within(Rope(4), length)
