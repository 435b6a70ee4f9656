"""Curves over distances show the numbers of `ropelab.bands`, and where they cross."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from ropelab import Rope, apply_rotary
from ropelab.bands import pair_products, peak_phases
from ropelab.plots import cosine_sums, decay, scores, similarity
from ropelab.positions import mrope_axes
from ropelab.scaling import Llama3, Proportional
from tests.ropelab.support import printed, refuses

LLAMA_3_1 = Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192))


def test_the_sum_of_cosines_is_marked_where_it_breaks(ax: Axes) -> None:
    ropes = {"Llama-2": Rope(128), "p": Rope(128, scaling=Proportional(0.5))}
    cosine_sums(ropes, [1, 100, 1706, 1707, 4000], ax=ax)
    curve, mark, other = ax.get_lines()[:3]
    heights = np.asarray(curve.get_ydata())
    assert printed(64 * float(heights[3]), "-0.49893")
    assert (heights[:3] > 0).all()
    assert np.asarray(mark.get_xdata()).tolist() == [1707]
    assert curve.get_label() == "Llama-2: below 0 from 1,707"
    assert other.get_label() == "p: never below 0 to 4,000"
    assert ax.get_xlabel() == "distance (tokens)"
    assert ax.get_ylabel() == "mean cosine of the pairs"
    assert ax.get_xscale() == "log"


def test_a_breach_between_the_distances_is_found(ax: Axes) -> None:
    cosine_sums({"": Rope(128)}, [1, 4000], ax=ax)
    assert np.asarray(ax.get_lines()[1].get_xdata()).tolist() == [1707]


def test_channels_that_are_not_rotated_lift_the_mean(ax: Axes) -> None:
    cosine_sums({"half": Rope(256, rotary_dim=128)}, [1, 1707, 4000], ax=ax)
    (curve,) = ax.get_lines()[:1]
    heights = np.asarray(curve.get_ydata())
    assert printed(128 * float(heights[1]) - 64, "-0.49893")
    assert curve.get_label() == "half: never below 0 to 4,000"


def test_decay_is_roformers(ax: Axes) -> None:
    decay({"RoFormer": Rope(128)}, [1, 16, 64, 256, 1024, 4096], ax=ax)
    told = ["31.538", "15.775", "10.090", "6.543", "4.024", "4.883"]
    heights = np.asarray(ax.get_lines()[0].get_ydata())
    assert [f"{height:.3f}" for height in heights] == told
    assert ax.get_ylabel() == "mean length of the partial sums (pairs)"
    assert ax.get_ylim()[0] == 0.0


def test_similarity_is_that_of_the_published_case(ax: Axes) -> None:
    readings = {"without the rule": (Rope(128, base=5e5), LLAMA_3_1)}
    similarity(readings, [0, 1000, 8192, 20_000, 60_000], ax=ax)
    heights = np.asarray(ax.get_lines()[0].get_ydata())
    assert [f"{height:.3f}" for height in heights] == ["1.000", "0.963", "0.769", "0.627", "0.539"]
    assert ax.get_xlabel() == "position (tokens)"
    assert ax.get_ylabel() == "cosine similarity"
    assert ax.get_xscale() == "linear"


@pytest.mark.parametrize("draw", [cosine_sums, decay])
def test_several_axes_have_the_distance_of_text(draw: Any, ax: Axes) -> None:
    twin = Rope(128, axes=mrope_axes(128, (16, 24, 24)))
    draw({"one axis": Rope(128), "three": twin}, np.arange(50), ax=ax)
    curves = [line for line in ax.get_lines() if len(np.asarray(line.get_xdata())) == 50]
    one, three = (np.asarray(line.get_ydata()) for line in curves)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("readings", [{"one": Rope(8)}, [Rope(8)], {"three": (Rope(8),) * 3}])
def test_readings_come_in_pairs(readings: Any, ax: Axes) -> None:
    with refuses(TypeError, "readings"):
        similarity(readings, [0, 1], ax=ax)


def test_there_are_a_few_readings(ax: Axes) -> None:
    with refuses(ValueError, "readings", "0"):
        similarity({}, [0, 1], ax=ax)


def test_scores_are_those_of_rotated_vectors(ax: Axes) -> None:
    rope, rng = Rope(8, base=100.0), np.random.default_rng(0)
    q, k = rng.standard_normal((2, 8))
    keys = {"like the query": (None, None), "some key": pair_products(q, k)}
    scores(rope, keys, [0, 3, 7], ax=ax)
    like, some = (np.asarray(line.get_ydata()) for line in ax.get_lines()[:2])
    turned = apply_rotary(np.tile(q, (1, 3, 1, 1)), [0, 3, 7], rope.spectrum())[0, :, 0]
    np.testing.assert_allclose(some, turned @ k, rtol=1e-12)
    angles = np.outer([0, 3, 7], 100.0 ** (-np.arange(4) / 4))
    np.testing.assert_allclose(like, np.cos(angles).sum(axis=1), rtol=1e-12)
    assert ax.get_xlabel() == "distance (tokens)"
    assert ax.get_ylabel() == "score (before the softmax scale)"


def test_a_key_peaks_where_it_is_told_to(ax: Axes) -> None:
    keys = {"peak": (None, peak_phases(Rope(128), 500))}
    scores(Rope(128), keys, [0, 499, 500, 501], ax=ax)
    found = np.asarray(ax.get_lines()[0].get_ydata())
    assert int(found.argmax()) == 2
    assert round(float(found.max()), 9) == 64.0


@pytest.mark.parametrize("keys", [{"one": np.ones(4)}, [(None, None)]])
def test_keys_have_amplitudes_and_phases(keys: Any, ax: Axes) -> None:
    with refuses(TypeError, "keys"):
        scores(Rope(8), keys, [0, 1], ax=ax)
