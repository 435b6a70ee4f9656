"""Angles of coordinates that are no integers."""

import mpmath
import numpy as np
import pytest
import torch
from transformers.models.dinov3_vit.modeling_dinov3_vit import get_patches_center_coordinates

from ropelab import Rope
from ropelab.positions import coordinate_angles, patch_centres
from ropelab.scaling import Axial
from tests.ropelab.support import refuses


@pytest.mark.parametrize("sides", [(14, 20), (3, 7)])
def test_centres_are_correctly_rounded(sides: tuple[int, int]) -> None:
    height, width = sides
    ours = patch_centres(*sides)
    with mpmath.workdps(40):
        rows = [float(2 * (mpmath.mpf(2 * i + 1) / (2 * height)) - 1) for i in range(height)]
        columns = [float(2 * (mpmath.mpf(2 * j + 1) / (2 * width)) - 1) for j in range(width)]
    assert ours[0].tolist() == [row for row in rows for _ in range(width)]
    assert ours[1].tolist() == columns * height
    theirs = get_patches_center_coordinates(*sides, dtype=torch.float32, device=torch.device("cpu"))
    np.testing.assert_allclose(theirs.numpy().T, ours, atol=2**-22)


def test_the_stated_error_is_kept() -> None:
    coordinates = patch_centres(5, 9) * 1.234_567_8 + 0.01
    spectrum = Rope(16, base=100.0, scaling=Axial(scale=2.0 * np.pi)).spectrum()
    angles = coordinate_angles(coordinates, spectrum.inv_freq, spectrum.axes)
    assert angles.shape == (45, 8)
    with mpmath.workdps(40):
        for token, pair in np.ndindex(45, 8):
            axis = 0 if pair < 4 else 1
            exact = mpmath.mpf(coordinates[axis, token]) * mpmath.mpf(spectrum.inv_freq[pair])
            assert abs(mpmath.mpf(angles[token, pair]) - exact) <= abs(exact) * mpmath.mpf(2) ** -53


@pytest.mark.parametrize(
    ("coordinates", "inv_freq", "axes", "kind", "name"),
    [
        (0.5, [1.0], None, ValueError, "coordinates"),
        ([[0.5]], [[1.0]], None, ValueError, "inv_freq"),
        ([[0.5]], [1.0, 2.0], [0, 1], ValueError, "axes"),
        ([[0.5]], [1.0, 2.0], [0], ValueError, "axes"),
        ([[0.5]], [1.0], [-1], ValueError, "axes"),
        ([[0.5]], [1.0], [0.0], TypeError, "axes"),
        ([[np.nan]], [1.0], None, ValueError, "coordinates"),
        ([[0.5]], [np.inf], None, ValueError, "inv_freq"),
        ([["a"]], [1.0], None, TypeError, "coordinates"),
    ],
)
def test_what_has_no_angle_is_refused(
    coordinates: object, inv_freq: object, axes: object, kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        coordinate_angles(coordinates, inv_freq, axes)  # type: ignore[arg-type]
