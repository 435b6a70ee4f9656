"""Pictures of positions show each pair's axis, each patch's place and each rank's tokens."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from ropelab import Rope
from ropelab.plots import grid, ownership, position_axes, token_positions
from ropelab.positions import image_grid, mrope_axes, mrope_positions
from tests.ropelab.support import refuses

TIMES = ("time", "row", "column")


def cells(ax: Axes) -> list[tuple[float, float, float]]:
    """Return left, right and middle height of every bar."""
    found = []
    for bars in ax.collections:
        assert isinstance(bars, PolyCollection)
        for path in bars.get_paths():
            (left, low), (right, high) = path.vertices.min(axis=0), path.vertices.max(axis=0)
            found.append((float(left), float(right), float(low + high) / 2))
    return sorted(found, key=lambda cell: (round(cell[2]), cell[0]))


def test_each_pair_has_a_cell_in_the_strip_of_its_rope(ax: Axes) -> None:
    orders = {"chunked": (2, 3, 3), "interleaved": (4, 2, 2)}
    ropes = {o: Rope(16, axes=mrope_axes(16, s, order=o)) for o, s in orders.items()}
    position_axes(ropes, names=TIMES, ax=ax)
    assert len(cells(ax)) == 16
    assert [len(bars.get_paths()) for bars in ax.collections] == [2, 3, 3, 4, 2, 2]
    # Interleaved: t h w t h w t t.
    rows = [sorted(p.vertices[:, 0].min() + 0.5 for p in b.get_paths()) for b in ax.collections[3:]]
    assert rows == [[0, 3, 6, 7], [1, 4], [2, 5]]
    looks = {(str(b.get_facecolor()), b.get_hatch()) for b in ax.collections}
    assert len(looks) == len({hatch for _, hatch in looks}) == 3
    assert [label.get_text() for label in ax.get_yticklabels()] == list(orders)
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == list(TIMES)
    assert ax.get_xlabel() == "pair index"


def test_every_axis_has_a_name(ax: Axes) -> None:
    with refuses(ValueError, "names", "2"):
        position_axes({"": Rope(12, axes=mrope_axes(12, (2, 2, 2)))}, names=("a", "b"), ax=ax)
    with refuses(ValueError, "names", "4"):
        position_axes({"": Rope(10, axes=range(5))}, ax=ax)


def test_positions_of_a_prompt_by_axis(ax: Axes) -> None:
    positions = mrope_positions([2, (1, 4, 6), 1])
    token_positions(positions, ax=ax)
    for line, row, name in zip(ax.get_lines(), positions, TIMES, strict=True):
        assert np.asarray(line.get_ydata()).tolist() == row.tolist()
        assert line.get_label() == name
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("token index", "position")


def test_patches_are_numbered_at_their_place(ax: Axes) -> None:
    positions = image_grid(2, 4, spatial_merge_size=2)
    grid(positions, ax=ax)
    places = {text.get_text(): text.xy for text in ax.texts}  # type: ignore[attr-defined]
    assert places["4"] == (2, 0)
    assert places["3"] == (1, 1)
    assert len(places) == 8
    low, high = ax.get_ylim()
    assert low > high  # rows count downwards
    assert ax.get_xlabel() == "column position (patches)"


def test_large_grids_have_no_numbers(ax: Axes) -> None:
    grid(image_grid(30, 30), ax=ax)
    assert not ax.texts


def test_ranks_hold_the_published_shards(ax: Axes) -> None:
    # Megatron-LM!5243: rank 0 of two holds the tokens 0, 3, 4, 7 of two sequences of four.
    ownership([0, 4, 8], 2, ax=ax)
    held = [(left, right, round(row)) for left, right, row in cells(ax)]
    assert held == [(0, 1, 0), (3, 4, 0), (4, 5, 0), (7, 8, 0), (1, 3, 1), (5, 7, 1)]
    texts = [text.get_text() for text in ax.texts]
    assert texts[:6] == ["0", "3", "0", "3", "1–2", "1–2"]
    assert texts[6:] == ["sequence 0", "sequence 1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rank 0", "rank 1"]


def test_a_text_wider_than_its_bar_is_turned(ax: Axes) -> None:
    ownership([0, 8, 512], 1, ax=ax)
    assert [text.get_rotation() for text in ax.texts[:2]] == [90.0, 0.0]


def test_a_pack_alone_and_empty_sequences(ax: Axes) -> None:
    ownership([0, 3, 3, 5], 1, shards="contiguous", ax=ax)
    assert [text.get_text() for text in ax.texts] == ["0–2", "0–1", "sequence 0", "sequence 2"]


@pytest.mark.parametrize("shape", [(3, 4), (2,), (2, 0)])
def test_a_grid_has_rows_and_columns(shape: tuple[int, ...], ax: Axes) -> None:
    with refuses(ValueError, "position_ids", str(shape)):
        grid(np.zeros(shape, np.int64), ax=ax)


def test_bad_positions_and_packs_are_refused(ax: Axes) -> None:
    with refuses(ValueError, "position_ids", "(4, 2)"):
        token_positions(np.zeros((4, 2), np.int64), ax=ax)
    with refuses(TypeError, "position_ids", "float64"):
        grid(np.zeros((2, 2)), ax=ax)
    with refuses(ValueError, "cp_size", "0"):
        ownership([0, 4], 0, ax=ax)
    with refuses(ValueError, "cu_seqlens", "4"):
        ownership([0, 4], 4, ax=ax)
    with refuses(ValueError, "shards", "striped"):
        ownership([0, 4], 2, shards="striped", ax=ax)


def test_a_new_figure_is_made_for_each(monkeypatch: Any) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    first, second = grid(image_grid(2, 2)), ownership([0, 4], 2)
    assert first.figure is not second.figure
    plt.close("all")
