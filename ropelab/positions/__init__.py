"""Where tokens are: functions from shapes to integer positions, shared by both packages.

========================  ======================================================================
`offset_positions`        behind a KV cache, whose length may differ between sequences
`masked_positions`        behind left padding
`packed_positions`        packed sequences, from cu_seqlens
`shard_positions`         the part of a pack that a context-parallel rank holds
`mrope_positions`         text, images and video on three axes
`image_grid`, ...         patches of images and videos
`self_extend_positions`   groups of positions; with ReRoPE and dual chunk attention
========================  ======================================================================

`Consecutive` and `Packed` say positions instead of listing them, and are taken wherever a tensor's
position ids are: on a GPU the kernels count for themselves, by offsets that the host never reads.
Where a model has several position axes, the first axis of a result counts them.
"""

from __future__ import annotations

from .consecutive import Consecutive
from .context_parallel import shard_positions, shard_tokens
from .coordinates import coordinate_angles, patch_centres
from .dual_chunk import DualChunk, dual_chunk_positions
from .grids import centred_grid, image_grid, llama4_grid, video_grid
from .mrope import mrope_delta, mrope_positions
from .mrope_axes import mrope_axes, row_column_axes
from .offsets import masked_positions, offset_positions
from .packed import packed_positions
from .packs import Packed
from .self_extend import rerope_distances, self_extend_distances, self_extend_positions

__all__ = [
    "Consecutive",
    "DualChunk",
    "Packed",
    "centred_grid",
    "coordinate_angles",
    "dual_chunk_positions",
    "image_grid",
    "llama4_grid",
    "masked_positions",
    "mrope_axes",
    "mrope_delta",
    "mrope_positions",
    "offset_positions",
    "packed_positions",
    "patch_centres",
    "rerope_distances",
    "row_column_axes",
    "self_extend_distances",
    "self_extend_positions",
    "shard_positions",
    "shard_tokens",
    "video_grid",
]
