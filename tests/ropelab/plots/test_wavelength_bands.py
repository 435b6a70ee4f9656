"""The picture shows the numbers of `ropelab.bands`, reads without colour, and names its axes."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ropelab import Rope
from ropelab.plots import wavelengths
from ropelab.scaling import (
    Axial,
    ExplicitFrequencies,
    Linear,
    Llama3,
    LongRoPE,
    NTKAware,
    Proportional,
)
from tests.ropelab.support import refuses

RULE = Llama3(
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)
LLAMA_3_1 = Rope(128, base=500_000.0, scaling=RULE, max_position_embeddings=131_072)


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


def test_stated_lengths_are_lines() -> None:
    ax = Figure(figsize=(7.6, 4.5), layout="constrained").subplots()
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
    assert [kept.get_label(), still.get_label()] == [
        "2 pairs kept",
        "6 pairs standing still, of infinite wavelength",
    ]
    assert np.asarray(still.get_xdata()).tolist() == [2, 3, 4, 5, 6, 7]
    # Within the axes, so that no picture cuts them off; of 480 pixels of height, above all else.
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    height = still.get_transform().transform([(2.0, float(np.asarray(still.get_ydata())[0]))])[0][1]
    last = float(np.asarray(unscaled.get_ydata())[-1])
    highest = ax.transData.transform([(7.0, last)])[0][1]
    assert highest + 6 < height < ax.bbox.ymax - 6


LISTS = [1.0, 1.5, 2.0, 2.5], [1.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize(
    ("rope", "labels"),
    [
        (Rope(8, scaling=Linear(4.0)), ["4 pairs stretched ×4"]),
        (Rope(8, scaling=NTKAware(4.0)), ["1 pair kept", "3 pairs changed, ×1.587 to ×4"]),
        (
            Rope(8, scaling=LongRoPE(*LISTS, 4096), max_position_embeddings=8192),
            ["1 pair kept", "3 pairs changed, ×1.5 to ×2.5"],
        ),
    ],
    ids=["linear", "ntk", "longrope"],
)
def test_pairs_changed_each_by_another_amount_are_one_group(
    rope: Rope, labels: list[str], ax: Axes
) -> None:
    wavelengths(rope, ax=ax)
    assert [line.get_label() for line in ax.get_lines() if line.get_marker() != "None"] == labels
    drawn = np.concatenate(
        [np.asarray(line.get_ydata()) for line in ax.get_lines() if line.get_marker() != "None"]
    )
    np.testing.assert_array_equal(drawn, rope.spectrum().wavelengths)


def test_a_progression_of_its_own_has_no_line_to_compare_with(ax: Axes) -> None:
    wavelengths(Rope(4, scaling=ExplicitFrequencies([3.0, 0.5])), ax=ax)
    assert [line.get_label() for line in ax.get_lines()] == ["2 pairs given"]
    assert ax.get_ylabel() == "wavelength (tokens per turn)"


def test_patches_are_the_unit_of_axial(ax: Axes) -> None:
    wavelengths(Rope(8, scaling=Axial()), ax=ax)
    labels = [line.get_label() for line in ax.get_lines()]
    assert labels == ["2 pairs turned by axis 0", "2 pairs turned by axis 1"]
    assert ax.get_ylabel() == "wavelength (patches per turn)"


@pytest.mark.parametrize("length", [32, 512, 8192, 65536])
@pytest.mark.parametrize("factor", [1.0, 8.0, 200.0])
def test_no_marker_lies_under_the_text_of_a_line(length: int, factor: float) -> None:
    ax = Figure(figsize=(7.6, 4.5), layout="constrained").subplots()
    wavelengths(Rope(128, scaling=Linear(factor), max_position_embeddings=length), ax=ax)
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    (text,) = ax.texts
    box = text.get_window_extent()
    for line in ax.get_lines()[:2]:
        points = ax.transData.transform(line.get_xydata())
        inside = [point for point in points if box.contains(*point)]
        assert inside == [], text.get_text()


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


@pytest.mark.parametrize(("length", "done"), [(8192, 32), (131_072, 39)])
def test_a_length_asked_about_has_a_line_and_its_count(ax: Axes, length: int, done: int) -> None:
    wavelengths(LLAMA_3_1, context_length=length, ax=ax)
    (line,) = [line for line in ax.get_lines() if "turn in" in str(line.get_label())]
    # Unscaled pair 38, of 15,200 tokens, takes 8 times as many; pair 39 takes 150,000.
    assert line.get_label() == f"{done} pairs turn in {length:,} tokens"
    assert np.asarray(line.get_ydata()).tolist() == [length, length]
    assert len(ax.texts) == 2  # of the lengths that it states


def test_a_length_asked_about_is_positive(ax: Axes) -> None:
    with refuses(ValueError, "context_length", "positive", "0"):
        wavelengths(LLAMA_3_1, context_length=0, ax=ax)
