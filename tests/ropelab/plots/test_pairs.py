"""The circle shows where a pair is turned to, the strips which channels form it."""

import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.text import Annotation
from numpy.typing import NDArray

from ropelab import Rope
from ropelab.plots import layouts, rotations
from ropelab.scaling import Linear, YaRN
from tests.ropelab.support import refuses


def points(ax: Axes) -> NDArray[np.float64]:
    dots = ax.get_lines()[-1]
    return np.stack([np.asarray(dots.get_xdata()), np.asarray(dots.get_ydata())], axis=-1)


def test_points_are_turned_by_position_times_frequency(ax: Axes) -> None:
    rotations(Rope(8, scaling=Linear(4.0)), 1, [0, 8, 70], ax=ax)
    angles = [position * 0.1 / 4 for position in (0, 8, 70)]
    told = [(math.cos(angle), math.sin(angle)) for angle in angles]
    np.testing.assert_allclose(points(ax), told, atol=1e-12)
    assert [text.get_text() for text in ax.texts] == ["0", "8", "70"]
    assert ax.get_title() == "pair 1: a turn in 251.3 tokens"
    assert ax.get_aspect() == 1.0


def test_an_amplitude_does_not_leave_the_circle(ax: Axes) -> None:
    rotations(Rope(8, scaling=YaRN(4.0, 4096)), 0, [1, 2], ax=ax)
    np.testing.assert_allclose(np.hypot(*points(ax).T), 1.0, atol=1e-12)


def test_numbers_that_would_touch_are_left_out(ax: Axes) -> None:
    rotations(Rope(8), 3, range(400), ax=ax)  # 0.001 radians a token
    assert [text.get_text() for text in ax.texts] == ["0", "150", "300"]
    assert len(points(ax)) == 400


def test_strips_show_the_pair_of_each_channel(ax: Axes) -> None:
    layouts(6, ax=ax)
    places = [(text.get_text(), *text.xy) for text in ax.texts if isinstance(text, Annotation)]
    texts = [(round(row), round(channel), pair) for pair, channel, row in places]
    rows = [[pair for row, _, pair in sorted(texts) if row == here] for here in (0, 1)]
    assert rows == [list("012012"), list("001122")]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["half", "interleaved"]


def test_second_channels_are_darker(ax: Axes) -> None:
    layouts(4, names=("interleaved",), ax=ax)
    tones = {}
    for cell in ax.collections:
        assert isinstance(cell, PolyCollection)
        (path,) = cell.get_paths()
        channel = round(float(np.asarray(path.vertices)[:, 0].mean() + 0.2))
        tones[channel] = float(np.asarray(cell.get_facecolor())[0, :3].sum())
    assert tones[0] == tones[2] > tones[1] == tones[3]


@pytest.mark.parametrize("pair", [4, -1])
def test_a_pair_that_is_not_there(ax: Axes, pair: int) -> None:
    with refuses(ValueError, "pair", "0 to 3", str(pair)):
        rotations(Rope(8), pair, [0, 1], ax=ax)


def test_strips_refuse_what_cannot_be_read(ax: Axes) -> None:
    with refuses(ValueError, "rotary_dim", "at most 32", "34"):
        layouts(34, ax=ax)
    with refuses(ValueError, "names", "half", "neox"):
        layouts(4, names=("neox",), ax=ax)
