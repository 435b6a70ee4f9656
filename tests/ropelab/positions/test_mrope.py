"""Positions of mixed sequences against Transformers' get_rope_index."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.ernie4_5_vl_moe.modeling_ernie4_5_vl_moe import Ernie4_5_VLMoeModel
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

from ropelab.positions import mrope_delta, mrope_positions
from tests.ropelab.support import refuses

Blocks = list[Any]
MERGE = 2


def transformers_index(model: Any, blocks: Blocks, **extra: Any) -> tuple[np.ndarray, int]:
    """Ask a model's own method; an image is (1, H, W), a video has more frames."""
    vision = SimpleNamespace(
        spatial_merge_size=MERGE, temporal_merge_size=2, tokens_per_second=extra.pop("rate", 4)
    )
    asked = SimpleNamespace(
        config=SimpleNamespace(vision_config=vision),
        get_vision_position_ids=partial(model.get_vision_position_ids, None),
    )
    kinds: list[int] = []
    grids: dict[int, list[list[int]]] = {1: [], 2: []}
    for block in blocks:
        if isinstance(block, int):
            kinds += [0] * block
            continue
        t, h, w = block[:3]
        kind = 1 if t == 1 else 2
        merge_t = 2 if model is Ernie4_5_VLMoeModel and kind == 2 else 1
        kinds += [kind] * (t // merge_t * h * w // MERGE**2)
        grids[kind].append([t, h, w])
    types = torch.tensor([kinds])
    images, videos = (torch.tensor(grids[kind]) if grids[kind] else None for kind in (1, 2))
    ids, delta = model.get_rope_index(
        asked, torch.zeros_like(types), types, images, videos, **extra
    )
    return ids[:, 0].numpy(), int(delta)


MIXED: list[Blocks] = [
    [9],
    [3, (1, 4, 6), 2, (1, 10, 2), 1],
    [(1, 2, 2), 5, (1, 6, 4)],
    [2, (4, 4, 6), 3, (1, 8, 4), 1, (16, 2, 4), 70],
]


@pytest.mark.parametrize("model", [Qwen2VLModel, Qwen2_5_VLModel])
@pytest.mark.parametrize("blocks", MIXED)
def test_images_and_videos_of_qwen2(model: Any, blocks: Blocks) -> None:
    theirs, delta = transformers_index(model, blocks, **({"rate": 1} if "5" in repr(model) else {}))
    ours = mrope_positions(blocks)
    assert ours.dtype == np.int64
    assert ours.tolist() == theirs.tolist()
    assert mrope_delta(ours) == delta


@pytest.mark.parametrize("seconds", [0.5, 1.0, 0.175, 1 / 3, 0.0825, 2.1])
@pytest.mark.parametrize("rate", [2, 4, 25])
def test_times_are_truncated_as_in_qwen2_5(seconds: float, rate: int) -> None:
    blocks: Blocks = [3, (48, 2, 4), 2, (1, 4, 4), 1, (7, 6, 2), 4]
    theirs, delta = transformers_index(
        Qwen2_5_VLModel, blocks, rate=rate, second_per_grid_ts=[seconds, 2 * seconds]
    )
    given = [
        (*block, rate * seconds * factor) if factor else block
        for block, factor in zip(blocks, (0, 1, 0, 0, 0, 2, 0), strict=True)
    ]
    assert mrope_positions(given).tolist() == theirs.tolist()
    assert mrope_delta(theirs) == delta


def test_a_video_of_qwen3_is_one_block_a_frame() -> None:
    model: Any = Qwen3VLModel
    blocks = [4, (1, 6, 4), 3, (1, 6, 4), 3, (1, 6, 4), 2]
    kinds = [0] * 4 + ([2] * 6 + [0] * 3) * 2 + [2] * 6 + [0] * 2
    asked = SimpleNamespace(
        config=SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=MERGE)),
        get_vision_position_ids=partial(model.get_vision_position_ids, None),
    )
    types = torch.tensor([kinds])
    theirs, delta = model.get_rope_index(
        asked, torch.zeros_like(types), types, None, torch.tensor([[3, 6, 4]])
    )
    ours = mrope_positions(blocks)
    assert ours.tolist() == theirs[:, 0].tolist()
    assert mrope_delta(ours) == int(delta)


def test_ernie_merges_time_before() -> None:
    blocks = [2, (1, 4, 4), 3, (6, 4, 8), 2]
    theirs, _ = transformers_index(Ernie4_5_VLMoeModel, blocks)
    merged = [2, (1, 4, 4), 3, (3, 4, 8), 2]
    assert mrope_positions(merged).tolist() == theirs.tolist()


def test_the_two_conventions_part_after_a_long_video() -> None:
    # Next start: s + max(H, W) / merge, against s + max(T, H / merge, W / merge).
    blocks = [2, (9, 4, 6), 1]
    assert mrope_positions(blocks)[:, -1].tolist() == [2 + 3] * 3
    assert mrope_positions(blocks, next_start="maximum")[:, -1].tolist() == [2 + 9] * 3
    spaced = [2, (9, 4, 6, 12.5), 1]
    assert mrope_positions(spaced, next_start="maximum")[:, -1].tolist() == [2 + 100 + 1] * 3
    for agreed in ([5, (1, 4, 6), 3], [5, (3, 4, 6), 3], [8], []):
        one, other = (mrope_positions(agreed, next_start=n) for n in ("side", "maximum"))
        assert one.tolist() == other.tolist()


def test_text_is_the_same_on_all_axes() -> None:
    assert mrope_positions([4, 3]).tolist() == [list(range(7))] * 3
    assert mrope_positions([]).shape == (3, 0)
    assert mrope_delta(mrope_positions([7])) == 0


def test_rows_of_a_grid_array_are_blocks() -> None:
    rows = np.array([[1, 4, 6], [3, 2, 4]], np.int32)
    assert (
        mrope_positions([1, *rows]).tolist() == mrope_positions([1, (1, 4, 6), (3, 2, 4)]).tolist()
    )


@pytest.mark.parametrize(
    ("blocks", "options", "kind", "name"),
    [
        (5, {}, TypeError, "blocks"),
        ("5", {}, TypeError, "blocks"),
        ([1.0], {}, TypeError, "blocks[0]"),
        ([1, -1], {}, ValueError, "blocks[1]"),
        ([1, (4, 4)], {}, ValueError, "blocks[1]"),
        ([(1, 4, 4, 1.0, 2)], {}, ValueError, "blocks[0]"),
        ([(1, 4, 5)], {}, ValueError, "blocks[0][2]"),
        ([(0, 4, 4)], {}, ValueError, "blocks[0][0]"),
        ([(1, 4.0, 4)], {}, TypeError, "blocks[0][1]"),
        ([(2, 4, 4, 0.0)], {}, ValueError, "blocks[0][3]"),
        ([(2, 4, 4, float("nan"))], {}, ValueError, "blocks[0][3]"),
        ([(2, 4, 4, 1e19)], {}, ValueError, "blocks[0][3]"),
        ([3, *[(2, 2, 2, 4e18)] * 3], {"next_start": "maximum"}, ValueError, "blocks[3]"),
        ({2: 3}, {}, TypeError, "blocks"),
        (np.array(3), {}, TypeError, "blocks"),
        ([1], {"next_start": "vllm"}, ValueError, "next_start"),
        ([1], {"spatial_merge_size": 0}, ValueError, "spatial_merge_size"),
    ],
)
def test_what_is_no_sequence_is_refused(
    blocks: object, options: dict[str, object], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        mrope_positions(blocks, **options)  # type: ignore[arg-type]


def test_a_batch_has_no_single_delta() -> None:
    with refuses(ValueError, "position_ids", "(3, 2, 5)"):
        mrope_delta(np.zeros((3, 2, 5), np.int64))
