"""Defects of the seed systems, each a case of its own, so that nobody inherits them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .. import tolerances
from ..cards.card import card
from ..case import DTYPES, Case
from .rotation import rotation

__all__ = ["cases"]

# Not where a slice of a table by length would look, and not the same in both rows.
_FAR_APART = np.array([[70, 3, 8191], [1, 4097, 12]], np.int64)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By defect, then dtype.
    """
    for dtype in DTYPES:
        yield rotation(
            "seeds/rotalabs-odd-lanes", dtype, flags=("SeedOddLanes",), layout="interleaved"
        )
        for heads_k in (1, 2):
            yield rotation(
                f"seeds/rotalabs-{heads_k}-of-6-heads",
                dtype,
                flags=("SeedHeadsOverrun",),
                layout="interleaved",
                shape=(2, 3, 6),
                heads_k=heads_k,
            )
        for tensor_format in ("bshd", "bhsd"):
            yield rotation(
                f"seeds/nemo-fused-positions/{tensor_format}",
                dtype,
                flags=("SeedFusedPositions",),
                tensor_format=tensor_format,
                arrays={"position_ids": _FAR_APART},
            )
    yield from _one_key()


def _one_key() -> Iterator[Case]:
    """Yield Transformer Engine's arguments with one interpolation key of two."""
    for key, value in (
        ("seq_len_interpolation_factor", 4.0),
        ("pretrained_max_position_embeddings", 2048),
    ):
        options = {
            "dialect": "transformer_engine",
            "config": {"dim": 64, key: value},
            "settings": {},
            "rope": dict(card(64, 1e4)),
            "seq_len": 8192,
            "findings": [key],
        }
        bound = tolerances.frequencies("default")
        path = f"seeds/transformer-engine-one-key/{key}"
        yield Case(path, "read", {}, options, bound, ("SeedOneKey",))
