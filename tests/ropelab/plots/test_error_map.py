"""The heat map shows errors by lightness, and hatches what a format does not hold."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from ropelab import Rope, bands
from ropelab.plots import angle_errors
from ropelab.positions import mrope_axes
from tests.ropelab.support import refuses


def mesh(ax: Axes) -> QuadMesh:
    (found,) = ax.collections
    assert isinstance(found, QuadMesh)
    return found


def test_cells_are_errors_position_by_pair(ax: Axes) -> None:
    positions = [1, 4096, 131_072]
    angle_errors(Rope(128), positions, ax=ax)
    shown = np.asarray(mesh(ax).get_array())
    assert shown.shape == (3, 64)
    assert f"{shown[2].max():.1e}" == "3.9e-03"
    errors = bands.angle_errors(Rope(128), positions)
    np.testing.assert_array_equal(shown, np.maximum(errors, 1e-9))
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "pair index"
    assert ax.get_ylabel() == "position (tokens)"
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "error of the angle (radians)"


def test_tones_rise_in_lightness_throughout(ax: Axes) -> None:
    angle_errors(Rope(8), [1, 2], ax=ax)
    tones = mesh(ax).get_cmap()(np.linspace(0, 1, 256))[:, :3]
    assert mesh(ax).get_cmap().name in colormaps
    lightness = tones @ [0.2126, 0.7152, 0.0722]
    # A step of the 256 may be even, but none falls by more than a rounding of 8 bits.
    assert np.diff(lightness).min() > -0.004
    assert lightness[-1] - lightness[0] > 0.6


def test_positions_in_bfloat16_err_where_they_collapse(ax: Axes) -> None:
    angle_errors(Rope(128), [255, 256, 257, 258], positions_in="bfloat16", ax=ax)
    fastest = np.asarray(mesh(ax).get_array())[:, 0]
    assert (fastest > 0.5).tolist() == [False, False, True, False]
    assert ax.get_yscale() == "linear"


def test_what_a_format_does_not_hold_is_hatched(ax: Axes) -> None:
    angle_errors(Rope(4), [100, 70_000], angles_in="float16", ax=ax)
    masked = np.ma.getmaskarray(np.ma.asarray(mesh(ax).get_array()))
    assert masked.tolist() == [[False, False], [True, False]]
    assert ax.patch.get_hatch()


def test_several_axes_have_the_position_of_text(ax: Axes) -> None:
    rope = Rope(12, axes=mrope_axes(12, (2, 2, 2)))
    angle_errors(rope, [0, 9, 99], ax=ax)
    np.testing.assert_array_equal(
        np.asarray(mesh(ax).get_array()),
        np.maximum(bands.angle_errors(Rope(12), [0, 9, 99]), 1e-9),
    )


def test_positions_ascend(ax: Axes) -> None:
    with refuses(ValueError, "positions", "ascend"):
        angle_errors(Rope(8), [3, 2], ax=ax)
    with refuses(ValueError, "positions", "(1,)"):
        angle_errors(Rope(8), [3], ax=ax)
