"""The comparator: rejects what it should, and measures in the units it names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ropelab.golden import load
from ropelab.golden.case import Array, Case
from ropelab.golden.compare import distance
from ropelab.golden.tolerances import pair

GOLDENS = {golden.case.id: golden for golden in load()}
ROTARY = GOLDENS["rotary/partial/half/float32"]


def altered(change: object) -> float:
    answer = {name: array.copy() for name, array in ROTARY.expected.items()}
    result = change(answer["x"])  # type: ignore[operator]
    return distance(ROTARY.case, ROTARY.expected, {"x": answer["x"] if result is None else result})


def set_nan(x: Array) -> None:
    x[0, 0, 0, 0] = np.nan


def set_tail(x: Array) -> None:
    x[1, 2, 4, -1] = np.nextafter(x[1, 2, 4, -1], np.float32(9))


@pytest.mark.parametrize(
    "change",
    [
        set_nan,
        set_tail,
        lambda x: x.astype(np.float64),
        lambda x: x[..., :-1],
        lambda x: x.reshape(-1),
    ],
    ids=["nan", "pass-through bit", "dtype", "shape", "ndim"],
)
def test_what_no_tolerance_excuses_is_infinitely_far(change: object) -> None:
    assert math.isinf(altered(change))


def moved_case(layout: str, output_layout: str, *, inverse: bool) -> tuple[Case, Array]:
    """Return a rotation of channels 3 to 8 of a head of ten, and an answer to it."""
    options = {
        "layout": layout,
        "output_layout": output_layout,
        "rotary_offset": 3,
        "inverse": inverse,
    }
    x = np.arange(1.0, 11.0)[np.newaxis]
    return Case(
        "t", "apply_rotary", {"x": x, "inv_freq": np.ones(3)}, options, pair("float64", "exact")
    ), x


@pytest.mark.parametrize(
    ("layout", "output_layout", "inverse", "partner"),
    [
        ("interleaved", "half", False, 6),  # half: channel 3 goes with 3 + 3
        ("half", "interleaved", False, 4),  # interleaved: with the next
        ("interleaved", "half", True, 4),
        ("half", "interleaved", True, 6),
    ],
)
def test_pairs_are_looked_for_where_the_answer_has_them(
    layout: str, output_layout: str, inverse: bool, partner: int
) -> None:
    case, golden = moved_case(layout, output_layout, inverse=inverse)
    answer = golden.copy()
    answer[0, 3] += 1e-3
    norm = np.hypot(golden[0, 3], golden[0, partner])
    error = distance(case, {"x": golden}, {"x": answer})
    assert error == pytest.approx(1e-3 / norm / 2**-52, rel=1e-9)


@pytest.mark.parametrize("channel", [0, 2, 9])
def test_channels_on_both_sides_of_the_rotated_ones_keep_their_bits(channel: int) -> None:
    case, golden = moved_case("half", "half", inverse=False)
    answer = golden.copy()
    answer[0, channel] = np.nextafter(answer[0, channel], 99.0)
    assert math.isinf(distance(case, {"x": golden}, {"x": answer}))


def test_a_missing_or_renamed_answer_is_infinitely_far() -> None:
    assert math.isinf(distance(ROTARY.case, ROTARY.expected, {}))
    assert math.isinf(distance(ROTARY.case, ROTARY.expected, {"q": ROTARY.expected["x"]}))


def test_the_error_is_that_of_the_pair_over_its_norm() -> None:
    def nudge(x: Array) -> None:
        x[0, 1, 2, 3] += np.float32(1e-3)  # pair 3 of 6: channels 3 and 9

    pair = ROTARY.expected["x"][0, 1, 2, [3, 9]].astype(np.float64)
    moved = float(np.float32(pair[0]) + np.float32(1e-3)) - pair[0]
    assert altered(nudge) == pytest.approx(abs(moved) / np.hypot(*pair) / 2**-23, rel=1e-12)


def test_a_zero_pair_must_stay_zero() -> None:
    golden = GOLDENS["rotary/one-hot-default/interleaved/float64"]
    answer = {"x": golden.expected["x"].copy()}
    assert distance(golden.case, golden.expected, answer) == 0.0
    zero = np.argwhere(answer["x"] == 0.0)[-1]
    answer["x"][tuple(zero)] = 1e-300
    assert math.isinf(distance(golden.case, golden.expected, answer))
