"""Grids of patches against Transformers' own positions."""

import numpy as np
import pytest
import torch
from transformers.models.dinov3_vit.modeling_dinov3_vit import get_patches_center_coordinates
from transformers.vision_utils import get_vision_position_ids

from ropelab.positions import centred_grid, image_grid, llama4_grid, video_grid
from tests.ropelab.support import refuses

SIDES = [(6, 12), (12, 6), (18, 6)]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("merge", [1, 2, 3])
def test_patches_are_in_transformers_order(sides: tuple[int, int], merge: int) -> None:
    theirs = get_vision_position_ids(torch.tensor([[1, *sides]]), merge)
    ours = image_grid(*sides, spatial_merge_size=merge)
    assert ours.dtype == np.int64
    assert ours.tolist() == theirs.T.tolist()
    theirs = get_vision_position_ids(torch.tensor([[5, *sides]]), merge, include_temporal=True)
    ours = video_grid(5, *sides, spatial_merge_size=merge)
    assert ours.dtype == np.int64
    assert ours.tolist() == theirs.T.tolist()


def test_patches_of_pixtral_go_row_by_row() -> None:
    # Position of a patch in Pixtral's table of 64 by 64: 64 * row + column
    rows, columns = image_grid(3, 5)
    assert (64 * rows + columns).tolist() == [64 * i + j for i in range(3) for j in range(5)]


def test_llama4_counts_from_one_and_ends_with_the_class_token() -> None:
    # Transformers' index of a patch, and -2 for the class token: column i % n, row i // n
    n = 34
    ours = llama4_grid(n)
    assert ours.shape == (2, n * n + 1)
    assert ours[:, -1].tolist() == [0, 0]
    index = np.arange(n * n)
    assert ours[:, :-1].tolist() == [(index // n + 1).tolist(), (index % n + 1).tolist()]


@pytest.mark.parametrize("sides", [(1, 1), (14, 20), (9, 7)])
def test_centres_are_dinov3s_times_the_side(sides: tuple[int, int]) -> None:
    theirs = get_patches_center_coordinates(*sides, dtype=torch.float64, device=torch.device("cpu"))
    ours = centred_grid(*sides)
    assert ours.dtype == np.int64
    scaled = theirs.numpy().T * np.array(sides)[:, np.newaxis]
    np.testing.assert_allclose(scaled, ours, atol=1e-13)  # theirs rounds thrice


@pytest.mark.parametrize(
    ("function", "given", "kind", "name"),
    [
        (image_grid, (-2, 4), ValueError, "height"),
        (image_grid, (2, 0), ValueError, "width"),
        (image_grid, (2, 4.0), TypeError, "width"),
        (video_grid, (0, 2, 4), ValueError, "frames"),
        (centred_grid, (True, 4), TypeError, "height"),
        (llama4_grid, (0,), ValueError, "side"),
    ],
)
def test_what_is_no_grid_is_refused(
    function: object, given: tuple[object, ...], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        function(*given)  # type: ignore[operator]


def test_a_grid_must_merge_evenly() -> None:
    with refuses(ValueError, "height", "5", "spatial_merge_size 2"):
        image_grid(5, 4, spatial_merge_size=2)
    with refuses(ValueError, "spatial_merge_size", "0"):
        image_grid(4, 4, spatial_merge_size=0)
