"""Permuted weights: the same scores, Transformers' own permutation, and rows that must stay."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers.core_model_loading import PermuteForRope

from ropelab import (
    Rope,
    apply_rotary_qk,
    bfloat16,
    permute_qk_weight,
    permute_qkv_weight,
    to_half,
    to_interleaved,
)
from tests.ropelab.support import bits, refuses

HEADS, KEYS, HEAD_DIM, WIDTH = 6, 2, 14, 9
IDS = np.array([[0, 77, 131_071, 5]])
Array = NDArray[Any]


def projection(heads: int, seed: int) -> tuple[Array, Array]:
    """Return a weight (heads * head_dim, in) and a bias, of whole numbers."""
    generator = np.random.default_rng(seed)
    rows = heads * HEAD_DIM
    return (
        generator.integers(-9, 10, (rows, WIDTH)).astype(float),
        generator.integers(-9, 10, rows).astype(float),
    )


def scores(q: tuple[Array, Array], k: tuple[Array, Array], rope: Rope) -> NDArray[np.float64]:
    """Return q . k of grouped-query attention, of seeded activations."""
    x = np.random.default_rng(7).integers(-9, 10, (1, 4, WIDTH)).astype(float)
    queries, keys = ((x @ w.T + b).reshape(1, 4, -1, HEAD_DIM) for w, b in (q, k))
    queries, keys = apply_rotary_qk(
        queries,
        keys,
        IDS,
        rope.spectrum(),
        layout=rope.layout,
        rotary_offset=rope.rotary_offset,
    )
    groups = queries.reshape(1, 4, KEYS, HEADS // KEYS, HEAD_DIM)
    found: NDArray[np.float64] = np.einsum("bsghd,btgd->bghst", groups, keys)
    return found


@pytest.mark.parametrize(("rotary_dim", "offset"), [(14, 0), (8, 0), (8, 6), (6, 3)])
@pytest.mark.parametrize("target", ["half", "interleaved"])
def test_scores_stay_the_same(target: str, rotary_dim: int, offset: int) -> None:
    source = {"half": "interleaved", "interleaved": "half"}[target]
    q, k = projection(HEADS, 1), projection(KEYS, 2)
    told: dict[str, Any] = {"rotary_dim": rotary_dim, "rotary_offset": offset}
    before = Rope(HEAD_DIM, layout=source, **told)
    after = Rope(HEAD_DIM, layout=target, **told)
    moved = [
        tuple(permute_qk_weight(part, heads, target=target, **told) for part in pair)
        for pair, heads in ((q, HEADS), (k, KEYS))
    ]
    wanted = scores(q, k, before)
    # Each pair is the same two numbers; only the order of the sum over channels differs.
    size = float(np.abs(wanted).max())
    assert np.abs(scores(moved[0], moved[1], after) - wanted).max() <= 1e-12 * size  # type: ignore[arg-type]
    # And it matters: the weights as they were give other scores.
    assert np.abs(scores(q, k, after) - wanted).max() > 0.1 * size


@pytest.mark.parametrize("heads", [HEADS, KEYS])
def test_it_is_the_permutation_of_transformers(heads: int) -> None:
    config = SimpleNamespace(num_attention_heads=heads)
    for part in projection(heads, 3):
        tensor = torch.from_numpy(part)
        to_halves, back = PermuteForRope(), PermuteForRope(inverse=True)
        theirs = to_halves._permute_for_rope(tensor, config)
        ours = permute_qk_weight(tensor, heads, target="half")
        assert bits(ours) == bits(theirs.numpy())
        restored = permute_qk_weight(ours, heads, target="interleaved")
        assert bits(restored) == bits(back._permute_for_rope(theirs, config).numpy()) == bits(part)


def test_rows_go_where_the_formula_says() -> None:
    rows = np.arange(3 * 10)
    moved = permute_qk_weight(rows, 3, target="half")
    # New row h D + j D/2 + i is old row h D + 2i + j.
    for h, j, i in np.ndindex(3, 2, 5):
        assert moved[10 * h + 5 * j + i] == 10 * h + 2 * i + j


def rows_of(parts: dict[str, Array], arrangement: str) -> Array:
    """Fuse projections of (heads, head_dim, in) as the arrangement says."""
    q, k, v = parts["q"], parts["k"], parts["v"]
    if arrangement == "concatenated":  # Phi-3: query rows, then key rows, then value rows
        fused = np.concatenate([q, k, v])
    else:  # GPT-NeoX: (heads, [q, k, v], head_dim); Falcon: (groups, [q ..., k, v], head_dim)
        grouped = q.reshape(len(k), -1, *q.shape[1:])
        fused = np.concatenate([grouped, k[:, np.newaxis], v[:, np.newaxis]], axis=1)
    return fused.reshape(-1, q.shape[-1])


@pytest.mark.parametrize("arrangement", ["concatenated", "grouped"])
@pytest.mark.parametrize(("heads", "keys"), [(6, 2), (3, 3), (4, 1)])
@pytest.mark.parametrize("target", ["half", "interleaved"])
def test_fused_projections_are_permuted_as_their_parts(
    target: str, heads: int, keys: int, arrangement: str
) -> None:
    generator = np.random.default_rng(5)
    counts = {"q": heads, "k": keys, "v": keys}
    parts = {name: generator.random((n, 10, 3)) for name, n in counts.items()}
    move = {"half": to_half, "interleaved": to_interleaved}[target]
    wanted = {name: part if name == "v" else move(part, 6, axis=1) for name, part in parts.items()}
    options: dict[str, Any] = {"target": target, "arrangement": arrangement, "rotary_dim": 6}
    got = permute_qkv_weight(rows_of(parts, arrangement), heads, keys, **options)
    assert bits(got) == bits(rows_of(wanted, arrangement))
    bias = rows_of(parts, arrangement)[:, 0]
    assert bits(permute_qkv_weight(bias, heads, keys, **options)) == bits(got[:, 0].copy())


def test_gpt_neox_splits_each_head_in_three() -> None:
    heads, head_dim = 3, 4
    rows = np.arange(heads * 3 * head_dim)
    moved = permute_qkv_weight(rows, heads, heads, target="half", arrangement="grouped")
    # GPTNeoXAttention: a view of (heads, 3 * head_size), in three chunks along the last axis.
    before, after = (
        torch.from_numpy(x).view(heads, 3 * head_dim).chunk(3, dim=-1) for x in (rows, moved)
    )
    for old, new in zip(before[:2], after[:2], strict=True):
        assert new.tolist() == [[a, c, b, d] for a, b, c, d in old.tolist()]
    assert torch.equal(before[2], after[2])


def test_deepseek_v3s_one_rope_head_follows_the_latent() -> None:
    rank, rope = 5, 4
    weight = np.arange((rank + rope) * 2).reshape(rank + rope, 2)
    moved = permute_qk_weight(weight, 1, target="half", rotary_dim=rope, rotary_offset=rank)
    assert moved[:, 0].tolist() == [0, 2, 4, 6, 8, 10, 14, 12, 16]


@pytest.mark.parametrize("dtype", [np.int8, np.float16, bfloat16, np.complex64])
def test_any_type_and_any_strides(dtype: Any) -> None:
    size = np.dtype(dtype).itemsize
    weight = np.arange(24 * 2 * size, dtype=np.uint8).view(dtype).reshape(24, 2)
    strided = np.asfortranarray(weight)
    moved = permute_qk_weight(strided, 4, target="interleaved")
    assert moved.dtype == weight.dtype
    order = [6 * h + c for h in range(4) for c in (0, 3, 1, 4, 2, 5)]
    assert bits(moved) == bits(weight[order])
    assert bits(strided) == bits(weight)
    assert not np.shares_memory(moved, strided)


QK = {"num_heads": 4, "target": "half"}
QKV = {"num_heads": 4, "num_kv_heads": 2, "target": "half"}


@pytest.mark.parametrize(
    ("options", "kind", "name"),
    [
        ({"num_heads": 5}, ValueError, "weight"),
        ({"num_heads": 0}, ValueError, "num_heads"),
        ({"num_heads": 4.0}, TypeError, "num_heads"),
        ({"target": "neox"}, ValueError, "target"),
        ({"target": None}, ValueError, "target"),
        ({"rotary_dim": 3}, ValueError, "rotary_dim"),
        ({"rotary_dim": 14}, ValueError, "rotary_dim"),
        ({"rotary_dim": 6, "rotary_offset": 7}, ValueError, "rotary_offset"),
        ({"rotary_dim": 6, "rotary_offset": -1}, ValueError, "rotary_offset"),
        ({"rotary_offset": 1}, ValueError, "rotary_offset"),
        ({"weight": 1.0}, ValueError, "weight"),
        ({"weight": np.ones((0, 3))}, ValueError, "weight"),
        ({"weight": None}, TypeError, "weight"),
        ({"weight": np.ones((12, 2))}, ValueError, "rotary_dim"),  # heads of three
    ],
)
def test_what_does_not_fit_is_refused(
    options: dict[str, Any], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        permute_qk_weight(**{"weight": np.ones((48, 3)), **QK, **options})
    fused = {"weight": np.ones((96, 3)), **QKV, "rotary_dim": 12}
    if "num_heads" not in options and "weight" not in options:
        with refuses(kind, name):
            permute_qkv_weight(**{**fused, **options})


@pytest.mark.parametrize(
    ("options", "kind", "name"),
    [
        ({"num_kv_heads": 3}, ValueError, "num_kv_heads"),
        ({"num_kv_heads": 8}, ValueError, "num_kv_heads"),
        ({"num_kv_heads": "2"}, TypeError, "num_kv_heads"),
        ({"arrangement": "qkv"}, ValueError, "arrangement"),
        ({"weight": np.ones((100, 3))}, ValueError, "weight"),
    ],
)
def test_what_does_not_fuse_is_refused(
    options: dict[str, Any], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        permute_qkv_weight(**{"weight": np.ones((96, 3)), **QKV, **options})
