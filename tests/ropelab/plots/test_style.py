"""Curves that no hue is needed for, and what a picture refuses."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from ropelab import Rope, plots
from ropelab.plots import decay, frequency_ratios, similarity, spectra, stretches, turns
from ropelab.plots.style import STROKES, draw_curve, draw_dense, listed, scale_tokens, token_ticks
from tests.ropelab.support import refuses


def test_no_two_strokes_look_alike_without_hue() -> None:
    assert len({str(stroke.dashes) for stroke in STROKES}) == len(STROKES)
    assert len({stroke.marker for stroke in STROKES}) == len(STROKES)
    assert len({stroke.color for stroke in STROKES}) == len(STROKES)
    # And none is too light to be seen on white.
    weights = np.array([0.2126, 0.7152, 0.0722])
    assert max(float(np.array(to_rgb(stroke.color)) @ weights) for stroke in STROKES) < 0.7


def test_markers_of_curves_that_coincide_do_not_hide_one_another(ax: Axes) -> None:
    for order in range(len(STROKES)):
        draw_curve(ax, np.arange(64), np.zeros(64), order, str(order))
    steps: list[Any] = [line.get_markevery() for line in ax.lines]
    marked = [set(range(first, 64, step)) for first, step in steps]
    for k, places in enumerate(marked):
        assert places
        assert not places & set().union(*marked[:k])


def test_a_dense_curve_keeps_its_beginning_its_means_and_its_range(ax: Axes) -> None:
    generator = np.random.default_rng(2)
    x, y = np.arange(-5, 1195), generator.normal(size=1200)
    draw_dense(ax, x, y, 0, "noise")
    (line,), (tint,) = ax.lines, ax.collections
    drawn = np.asarray(line.get_ydata())
    assert np.asarray(line.get_xydata())[0].tolist() == [-5.0, y[0]]
    assert drawn.size < 200
    # 1199 points in 120 parts of nearly the same size
    assert drawn[1:].mean() == pytest.approx(y[1:].mean(), abs=2e-3)
    heights = np.asarray(tint.get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == (y.min(), y.max())


def test_a_dense_curve_of_a_logarithmic_axis_has_parts_that_look_as_wide(ax: Axes) -> None:
    x = np.arange(1, 10_001)
    draw_dense(ax, x, 1.0 / x, 0, "falling")
    drawn = np.asarray(ax.lines[0].get_xdata())
    assert drawn[:8].tolist() == list(range(1, 9))  # further apart than a part is wide
    # 120 parts from 1 to 10,000; their means are 1/120 of the way from one to the next
    np.testing.assert_allclose(np.diff(np.log(drawn))[-20:], np.log(10_000) / 120, rtol=0.03)
    heights = np.asarray(ax.lines[0].get_ydata())
    np.testing.assert_allclose(heights * drawn, 1.0, atol=0.01)


def test_many_points_at_one_place_are_a_stroke_there(ax: Axes) -> None:
    draw_dense(ax, np.full(300, 7), np.arange(300.0), 0, "one distance")
    assert np.asarray(ax.lines[0].get_xydata()).tolist() == [[7.0, 0.0], [7.0, 150.0]]


def test_a_curve_of_few_points_is_drawn_as_it_is(ax: Axes) -> None:
    draw_dense(ax, np.arange(3), np.array([1.0, 5.0, 2.0]), 1, "few")
    assert np.asarray(ax.lines[0].get_ydata()).tolist() == [1.0, 5.0, 2.0]
    assert not ax.collections


@pytest.mark.parametrize(
    ("values", "scale"), [([1, 1000], "log"), ([0, 1000], "linear"), ([900, 1000], "linear")]
)
def test_wide_axes_are_logarithmic(values: list[int], scale: str, ax: Axes) -> None:
    scale_tokens(ax, np.array(values))
    scale_tokens(ax, np.array(values), axis="y")
    assert (ax.get_xscale(), ax.get_yscale()) == (scale, scale)


def test_lengths_are_told_in_k(ax: Axes) -> None:
    token_ticks(ax, [1000, 4096, 131_072])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1,000", "4k", "128k"]


@pytest.mark.parametrize(
    "draw", [stretches, frequency_ratios, spectra, lambda ropes, ax: turns(ropes, 8, ax=ax)]
)
def test_ropes_come_by_name_and_are_few(draw: Any, ax: Axes) -> None:
    with refuses(TypeError, "ropes", "Rope"):
        draw(Rope(8), ax=ax)
    with refuses(TypeError, "rope", "NoneType"):
        draw({"none": None}, ax=ax)
    with refuses(ValueError, "ropes", "0"):
        draw({}, ax=ax)
    with refuses(ValueError, "ropes", "8"):
        draw({str(k): Rope(8) for k in range(8)}, ax=ax)


@pytest.mark.parametrize("values", [[], [1], [[1, 2]], 3])
def test_an_axis_needs_two_numbers(values: Any, ax: Axes) -> None:
    with refuses(ValueError, "values", "shape"):
        listed(values, "values")
    with refuses(ValueError, "distances"):
        decay({"": Rope(8)}, values, ax=ax)
    with refuses(ValueError, "positions"):
        similarity({"": (Rope(8), Rope(8))}, values, ax=ax)


ROPE, SOME = Rope(8), [1, 2, 3]
DRAWN: dict[str, Any] = {
    "angle_errors": (ROPE, SOME),
    "average_cosines": ({"a": ROPE}, 8),
    "base_bound": (SOME,),
    "cosine_sums": ({"a": ROPE}, SOME),
    "critical_bases": (1e4, 64, [64, 128]),
    "critical_dimensions": (SOME,),
    "decay": ({"a": ROPE}, SOME),
    "effective_contexts": ([1e4, 1e5], 8),
    "frequency_ratios": ({"a": ROPE, "b": ROPE},),
    "grid": ([[0, 1], [0, 1]],),
    "grid_cosines": (Rope(8, axes=[0, 1, 0, 1]), 2),
    "layouts": (8,),
    "ownership": ([0, 4], 1),
    "position_axes": ({"a": ROPE},),
    "rotations": (ROPE, 0, SOME),
    "scores": (ROPE, {"a": (None, None)}, SOME),
    "similarity": ({"a": (ROPE, ROPE)}, SOME),
    "spectra": ({"a": ROPE},),
    "stretches": ({"a": ROPE},),
    "token_positions": ([[0, 1], [0, 1]],),
    "turns": ({"a": ROPE}, 8),
    "wavelengths": (ROPE,),
}


@pytest.mark.parametrize("name", plots.__all__)
def test_every_picture_refuses_axes_that_are_none(name: str) -> None:
    with refuses(TypeError, "ax", "matplotlib Axes or None", "str"):
        getattr(plots, name)(*DRAWN[name], ax="x")


@pytest.mark.parametrize("rope", [None, "x", {}])
def test_a_picture_of_one_rope_refuses_what_is_none(rope: Any, ax: Axes) -> None:
    with refuses(TypeError, "rope", "expected a ropelab.Rope", type(rope).__name__):
        plots.wavelengths(rope, ax=ax)
    with refuses(TypeError, "rope", "expected a ropelab.Rope", type(rope).__name__):
        plots.angle_errors(rope, SOME, ax=ax)


def test_a_number_is_no_list(ax: Axes) -> None:
    with refuses(TypeError, "trained_lengths", "expected 1 to 7", "5 of type int"):
        plots.critical_dimensions(5, ax=ax)  # type: ignore[arg-type]
    draws: list[Any] = [plots.position_axes, plots.token_positions, plots.layouts]
    for draw in draws:
        for names in (5, ["a", 5], "time"):
            with refuses(TypeError, "names", "expected names in a list", repr(names)):
                draw(*DRAWN[draw.__name__], names=names, ax=ax)
    assert plots.critical_dimensions(np.array([8, 16]), ax=ax) is ax  # type: ignore[arg-type]
