"""Shards of packs: whose token is whose, and where it is."""

import numpy as np
import pytest

from ropelab import Rope, apply_rotary
from ropelab.positions import packed_positions, shard_positions, shard_tokens
from tests.ropelab.support import refuses

PACK = [0, 24, 24, 36, 96]


def transformer_engine(freqs: list[int], cp_size: int, cp_rank: int, length: int) -> list[int]:
    """Take a rank's rows of a table, for a local length, as Transformer Engine's unfused path."""
    segment, full = length // 2, cp_size * length
    first = freqs[cp_rank * segment : (cp_rank + 1) * segment]
    return first + freqs[full - (cp_rank + 1) * segment : full - cp_rank * segment]


def test_the_published_example() -> None:
    # Megatron-LM#5243: the second sequence must not read the rows of the first
    assert shard_tokens([0, 4, 8], 2, 0).tolist() == [0, 3, 4, 7]
    assert shard_tokens([0, 4, 8], 2, 1).tolist() == [1, 2, 5, 6]
    assert shard_positions([0, 4, 8], 2, 0).tolist() == [0, 3, 0, 3]


@pytest.mark.parametrize("cp_size", [2, 3, 4])
@pytest.mark.parametrize("length", [24, 48])
def test_a_zigzag_shard_is_transformer_engines(cp_size: int, length: int) -> None:
    for rank in range(cp_size):
        theirs = transformer_engine(list(range(length)), cp_size, rank, length // cp_size)
        assert shard_tokens([0, length], cp_size, rank).tolist() == theirs


def test_contiguous_shards_of_each_sequence() -> None:
    assert shard_tokens([0, 3, 9], 3, 1, shards="contiguous").tolist() == [1, 5, 6]
    assert shard_positions([0, 3, 9], 3, 2, shards="contiguous").tolist() == [2, 4, 5]


@pytest.mark.parametrize("shards", ["zigzag", "contiguous"])
@pytest.mark.parametrize("cp_size", [1, 2, 3, 6])
def test_all_ranks_together_hold_every_token_once(shards: str, cp_size: int) -> None:
    held = [shard_tokens(PACK, cp_size, rank, shards=shards) for rank in range(cp_size)]
    assert {part.size for part in held} == {PACK[-1] // cp_size}
    assert sorted(np.concatenate(held).tolist()) == list(range(PACK[-1]))
    offsets = [5, 0, 131_071, 2]
    whole = packed_positions(PACK, offsets=offsets)
    for rank, tokens in enumerate(held):
        ids = shard_positions(PACK, cp_size, rank, shards=shards, offsets=offsets)
        assert ids.dtype == np.int64
        assert ids.tolist() == whole[tokens].tolist()


@pytest.mark.parametrize("shards", ["zigzag", "contiguous"])
def test_rotated_shards_are_shards_of_the_rotated(shards: str) -> None:
    x = np.random.default_rng(1).standard_normal((PACK[-1], 2, 8))
    spectrum = Rope(8, layout="interleaved").spectrum()
    whole = apply_rotary(x, packed_positions(PACK), spectrum, tensor_format="thd")
    for rank in range(3):
        mine = shard_tokens(PACK, 3, rank, shards=shards)
        ids = shard_positions(PACK, 3, rank, shards=shards)
        part = apply_rotary(x[mine], ids, spectrum, tensor_format="thd")
        assert part.tobytes() == whole[mine].tobytes()


@pytest.mark.parametrize(
    ("given", "kind", "name", "came"),
    [
        (([0, 8, 14], 2, 0), ValueError, "cu_seqlens", ("6", "sequence 1", "pad it to 8")),
        (([0, 8], 2**62, 0), ValueError, "cu_seqlens", ("8", "sequence 0")),
        (([0, 8], 2, 2), ValueError, "cp_rank", ("2", "0 to 1")),
        (([0, 8], 2, -1), ValueError, "cp_rank", ("-1",)),
        (([0, 8], 0, 0), ValueError, "cp_size", ("0",)),
        (([0, 8], 2.0, 0), TypeError, "cp_size", ("2.0",)),
        (([0, 8], 2, "0"), TypeError, "cp_rank", ("'0'",)),
        (([8, 0], 2, 0), ValueError, "cu_seqlens", ("8",)),
    ],
)
def test_what_is_no_shard_is_refused(
    given: tuple[object, ...], kind: type[Exception], name: str, came: tuple[str, ...]
) -> None:
    with refuses(kind, name, *came):
        shard_tokens(*given)  # type: ignore[arg-type]


def test_contiguous_shards_need_one_piece_a_rank() -> None:
    assert shard_tokens([0, 6], 2, 1, shards="contiguous").tolist() == [3, 4, 5]
    with refuses(ValueError, "cu_seqlens", "7", "pad it to 8"):
        shard_tokens([0, 7], 2, 0, shards="contiguous")
    with refuses(ValueError, "shards", "'striped'"):
        shard_tokens([0, 8], 2, 0, shards="striped")
