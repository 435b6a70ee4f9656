"""The picture shows the numbers of `ropelab.bands`, reads without colour, and names its axes."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ropelab import Rope
from ropelab.plots import wavelengths
from ropelab.scaling import Llama3, Proportional

RULE = Llama3(
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)
LLAMA_3_1 = Rope(128, base=500_000.0, scaling=RULE, max_position_embeddings=131_072)


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def test_the_line_is_unscaled_and_the_markers_are_scaled(ax: Axes) -> None:
    wavelengths(LLAMA_3_1, ax=ax)
    unscaled, *markers = ax.get_lines()[:4]
    plain = Rope(128, base=500_000.0).spectrum().wavelengths
    np.testing.assert_allclose(np.asarray(unscaled.get_ydata()), plain, rtol=1e-14)
    drawn = np.concatenate([np.asarray(line.get_ydata()) for line in markers])
    np.testing.assert_array_equal(drawn, LLAMA_3_1.spectrum().wavelengths)


def test_bands_differ_in_shape_and_are_counted(ax: Axes) -> None:
    wavelengths(LLAMA_3_1, ax=ax)
    markers = ax.get_lines()[1:4]
    assert len({str(line.get_marker()) for line in markers}) == 3
    assert [line.get_label() for line in markers] == [
        "29 pairs kept",
        "6 pairs blended",
        "29 pairs stretched ×8",
    ]


def test_stated_lengths_are_lines(ax: Axes) -> None:
    wavelengths(LLAMA_3_1, ax=ax)
    labels = [text.get_text() for text in ax.texts]
    assert labels == [
        "8,192 tokens = original_max_position_embeddings",
        "131,072 tokens = max_position_embeddings",
    ]


def test_one_line_bears_both_names_of_one_length(ax: Axes) -> None:
    wavelengths(Rope(128, scaling=RULE, max_position_embeddings=8192), ax=ax)
    assert [text.get_text() for text in ax.texts] == [
        "8,192 tokens = original_max_position_embeddings\n= max_position_embeddings"
    ]


def test_pairs_that_stand_still_lie_along_the_upper_edge(ax: Axes) -> None:
    wavelengths(Rope(16, scaling=Proportional(0.25)), ax=ax)
    unscaled, kept, still = ax.get_lines()
    assert np.isfinite(np.asarray(unscaled.get_ydata())).all()
    assert [kept.get_label(), still.get_label()] == ["2 pairs kept", "6 pairs standing still"]
    assert np.asarray(still.get_xdata()).tolist() == [2, 3, 4, 5, 6, 7]
    upper_edge = still.get_transform().transform([(2.0, 1.0)])[0][1]
    assert upper_edge == pytest.approx(ax.bbox.ymax)


def test_pairs_of_several_position_axes_are_told_apart_by_axis(ax: Axes) -> None:
    rope = Rope(12, axes=[0, 0, 0, 1, 1, 2])
    wavelengths(rope, ax=ax)
    _, *markers = ax.get_lines()
    assert [np.asarray(line.get_xdata()).tolist() for line in markers] == [[0, 1, 2], [3, 4], [5]]
    assert len({str(line.get_marker()) for line in markers}) == 3
    drawn = np.concatenate([np.asarray(line.get_ydata()) for line in markers])
    np.testing.assert_array_equal(drawn, rope.spectrum().wavelengths)


def test_axes_state_their_units(ax: Axes) -> None:
    wavelengths(LLAMA_3_1, ax=ax)
    assert ax.get_xlabel() == "pair index"
    assert ax.get_ylabel() == "wavelength (tokens per turn)"
    assert ax.get_yscale() == "log"


def test_a_rope_without_scaling_shows_one_band(ax: Axes) -> None:
    wavelengths(Rope(64), ax=ax)
    assert [line.get_label() for line in ax.get_lines()] == ["without scaling", "32 pairs kept"]
    assert not ax.texts


def test_without_axes_a_new_figure_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    ax = wavelengths(LLAMA_3_1)
    assert ax.figure in [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
