"""The map of a grid shows the mean cosine by the rows and columns between two patches."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.contour import QuadContourSet

from ropelab import Rope
from ropelab.plots import grid_cosines
from ropelab.scaling import Axial
from tests.ropelab.support import refuses


def test_rows_turn_the_first_half_and_columns_the_second(ax: Axes) -> None:
    # Rows at the whole speed and columns at a third of it, so that they cannot be exchanged.
    grid_cosines(Rope(16, scaling=Axial(scale=(1.0, 1 / 3))), 2, ax=ax)
    mesh = ax.collections[0]
    assert isinstance(mesh, QuadMesh)
    shown = np.asarray(mesh.get_array())
    speeds = 10_000.0 ** (-np.arange(4) / 4)
    for row, column in ((0, 0), (-2, 1), (1, 2)):
        mean = np.cos(np.concatenate([row * speeds, column * speeds / 3])).mean()
        assert shown[row + 2, column + 2] == pytest.approx(mean, abs=1e-12)
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "columns between (patches)"
    assert ax.get_ylabel() == "rows between (patches)"
    assert ax.figure.axes[1].get_ylabel() == "mean cosine of the pairs"


def test_channels_that_are_not_rotated_lift_the_mean(ax: Axes) -> None:
    rope = Rope(24, rotary_dim=16, scaling=Axial())
    grid_cosines(rope, 2, ax=ax)
    shown = np.asarray(ax.collections[0].get_array())
    speeds = 10_000.0 ** (-np.arange(4) / 4)
    rotated = np.cos(np.concatenate([speeds, 2 * speeds])).sum()
    assert shown[3, 4] == pytest.approx((rotated + 4) / 12, abs=1e-12)
    assert shown[2, 2] == 1.0


def test_one_axis_has_no_map(ax: Axes) -> None:
    with refuses(ValueError, "rope", "1"):
        grid_cosines(Rope(16), 2, ax=ax)


def test_a_line_parts_patches_that_attract_from_those_that_do_not(ax: Axes) -> None:
    # All pairs turn by 1 or 0.7 a patch, so that three patches away cosines are below 0.
    grid_cosines(Rope(8, base=2.0, scaling=Axial()), 4, ax=ax)
    mesh, line = ax.collections
    shown = np.asarray(mesh.get_array())
    assert shown.min() < 0.0
    assert mesh.get_clim() == (shown.min(), 1.0)
    assert isinstance(line, QuadContourSet)
    assert np.asarray(line.levels).tolist() == [0.0]
