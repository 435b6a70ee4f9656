"""Transformer Engine's application of angles, against complex numbers token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from ropelab.positions import shard_positions, shard_tokens
from ropelab_cuda.compat.transformer_engine import (
    RotaryPositionEmbedding,
    apply_fused_qkv_rotary_pos_emb,
    apply_rotary_pos_emb,
)
from tests.compat.pair_errors import rotated, worst_error

TABLES = {
    layout: RotaryPositionEmbedding(12, rotary_base=50.0, interleaved=layout == "interleaved")(40)
    for layout in ("half", "interleaved")
}


def operand(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def by_token(x: torch.Tensor, rows: Sequence[int], layout: str) -> torch.Tensor:
    """Turn x (tokens, heads, channels) by rows of a table."""
    table = TABLES[layout][:, 0, 0].double()
    pairs = table[:, :6] if layout == "half" else table[:, ::2]
    turned = [rotated(x[n, :, :12], pairs[row], layout) for n, row in enumerate(rows)]
    return torch.cat((torch.stack(turned), x[..., 12:].double()), dim=-1)


def check(found: torch.Tensor, exact: torch.Tensor, layout: str) -> None:
    assert found.shape == exact.shape
    # float32: cos and sin too, and float64's own rounding to it. Else one rounding of each member.
    bound = 2.0 if found.dtype == torch.float32 else 0.72
    assert worst_error(found[..., :12], exact[..., :12], layout) <= bound
    assert torch.equal(found[..., 12:].double(), exact[..., 12:])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tensor_format", ["sbhd", "bshd"])
def test_tokens_are_turned_by_the_first_rows(
    tensor_format: str, dtype: torch.dtype, layout: str, fused: bool
) -> None:
    x = operand(2, 7, 3, 16, dtype=dtype)
    exact = torch.stack([by_token(each, range(7), layout) for each in x])
    if tensor_format == "sbhd":
        x, exact = x.transpose(0, 1), exact.transpose(0, 1)
    options: dict[str, Any] = {"interleaved": layout == "interleaved", "fused": fused}
    found = apply_rotary_pos_emb(x, TABLES[layout], tensor_format, **options)
    assert found.dtype == dtype
    check(found, exact, layout)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
@pytest.mark.parametrize("started", [False, True])
def test_each_rank_turns_two_pieces(ranks: int, layout: str, started: bool) -> None:
    whole = operand(2, 12, 3, 16)
    starts = [5, 21] if started else [0, 0]
    options: dict[str, Any] = {
        "start_positions": torch.tensor(starts, dtype=torch.int32) if started else None,
        "interleaved": layout == "interleaved",
    }
    unsharded = apply_rotary_pos_emb(whole, TABLES[layout], "bshd", **options)
    for rank in range(ranks):
        # Pieces r and 2R - 1 - r of 2R; with one rank, the whole.
        length = 12 // (2 * ranks)
        pieces = (rank, 2 * ranks - 1 - rank)
        held = [n for piece in pieces for n in range(piece * length, (piece + 1) * length)]
        local = whole[:, held].transpose(0, 1)
        found = apply_rotary_pos_emb(
            local, TABLES[layout], cp_size=ranks, cp_rank=rank, **options
        ).transpose(0, 1)
        assert torch.equal(found, unsharded[:, held])
        for batch, start in enumerate(starts):
            rows = [start + n for n in held]
            check(found[batch], by_token(whole[batch, held], rows, layout), layout)


CU = [0, 4, 4, 16, 20]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("started", [False, True])
def test_packed_sequences_start_anew_on_each_rank(ranks: int, started: bool, fused: bool) -> None:
    whole = operand(20, 3, 16)
    starts = [3, 1, 20, 7] if started else None
    cu_seqlens = torch.tensor(CU, dtype=torch.int32)
    for rank in range(ranks):
        held = shard_tokens(CU, ranks, rank).tolist() if ranks > 1 else range(20)
        if ranks > 1:
            rows = shard_positions(CU, ranks, rank, offsets=starts).tolist()
        else:
            first = starts or [0, 0, 0, 0]
            rows = [
                n + s for length, s in zip((4, 0, 12, 4), first, strict=True) for n in range(length)
            ]
        found = apply_rotary_pos_emb(
            *(whole[list(held)], TABLES["half"], "thd"),
            torch.tensor(starts) if starts else None,
            fused=fused,
            cu_seqlens=cu_seqlens,
            cp_size=ranks,
            cp_rank=rank,
        )
        check(found, by_token(whole[list(held)], rows, "half"), "half")


def test_the_second_of_two_packed_sequences_starts_anew_under_context_parallelism() -> None:
    # Megatron-LM!5243 and TransformerEngine#1930: each sequence is cut by itself.
    x = operand(4, 1, 16)
    for rank, rows in ((0, [0, 3, 0, 3]), (1, [1, 2, 1, 2])):
        found = apply_rotary_pos_emb(
            *(x, TABLES["half"], "thd"),
            cu_seqlens=torch.tensor([0, 4, 8]),
            cp_size=2,
            cp_rank=rank,
        )
        check(found, by_token(x, rows, "half"), "half")


def test_a_table_may_be_each_batch_entrys_own_or_half_precise() -> None:
    x = operand(7, 2, 3, 16)
    both = torch.cat((TABLES["half"][3:20], TABLES["half"][11:28]), dim=1)
    found = apply_rotary_pos_emb(x, both)
    for batch, start in enumerate((3, 11)):
        rows = range(start, start + 7)
        check(found[:, batch], by_token(x[:, batch], rows, "half"), "half")
    half = apply_rotary_pos_emb(x, TABLES["half"].bfloat16())
    assert torch.equal(half, apply_rotary_pos_emb(x, TABLES["half"].bfloat16().float()))


@pytest.mark.parametrize("packs", [None, [0, 2, 7]])
@pytest.mark.parametrize("starts", [None, [2, 0]])
def test_gradients_flow_to_tensor_and_angles(
    packs: list[int] | None, starts: list[int] | None
) -> None:
    x = operand(7, 2, 3, 16).double() if packs is None else operand(7, 3, 16).double()
    x.requires_grad_()
    angles = torch.rand(9, 1, 1, 6, dtype=torch.float64, requires_grad=True)
    given: dict[str, Any] = {
        "tensor_format": "sbhd" if packs is None else "thd",
        "cu_seqlens": None if packs is None else torch.tensor(packs),
        "start_positions": None if starts is None else torch.tensor(starts),
    }

    def turned(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        return apply_rotary_pos_emb(x, torch.cat((angles, angles), dim=-1), **given)

    assert torch.autograd.gradcheck(turned, (x, angles))


# Queries, keys and values together


@pytest.mark.parametrize("tensor_format", ["sbhd", "bshd"])
@pytest.mark.parametrize("alike", [True, False])
def test_queries_keys_and_values_are_taken_apart(tensor_format: str, alike: bool) -> None:
    qkv = operand(2, 6, 3, 2 * 16 + 16 + 20)  # 3 groups of two queries, a key and a wider value
    starts = torch.tensor([4, 9])
    q_freqs = TABLES["half"]
    k_freqs = q_freqs if alike else q_freqs[2:]
    given = qkv if tensor_format == "bshd" else qkv.transpose(0, 1)
    outputs = apply_fused_qkv_rotary_pos_emb(
        given, q_freqs, k_freqs, [32, 16, 20], tensor_format, starts
    )
    q, k, v = (x if tensor_format == "bshd" else x.transpose(0, 1) for x in outputs)
    assert (q.shape, k.shape, v.shape) == ((2, 6, 6, 16), (2, 6, 3, 16), (2, 6, 3, 20))
    for batch, start in enumerate((4, 9)):
        rows = range(start, start + 6)
        queries = torch.stack(
            [qkv[batch, :, h // 2, 16 * (h % 2) : 16 * (h % 2) + 16] for h in range(6)], dim=1
        )
        check(q[batch], by_token(queries, rows, "half"), "half")
        later = rows if alike else range(start + 2, start + 8)
        check(k[batch], by_token(qkv[batch, ..., 32:48], later, "half"), "half")
    assert torch.equal(v, qkv[..., 48:])
    assert outputs[2].is_contiguous()
    v.zero_()
    assert qkv[..., 48:].any()


def test_queries_keys_and_values_have_gradients() -> None:
    qkv = operand(4, 1, 2, 20).double().requires_grad_()
    table = torch.rand(5, 1, 1, 2, dtype=torch.float64).repeat(1, 1, 1, 2)

    def apart(qkv: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return apply_fused_qkv_rotary_pos_emb(
            *(qkv, table, table, [12, 4, 4]), cp_size=1, interleaved=False
        )

    assert torch.autograd.gradcheck(apart, (qkv,))


# What cannot be

NONE: Any = None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tensor_format": "bhsd"}, "tensor_format: expected"),
        ({"tensor_format": "thd"}, "cu_seqlens: expected cumulative lengths"),
        ({"freqs": TABLES["half"][:6]}, "freqs: expected a row for each token; got 6 rows"),
        ({"freqs": TABLES["half"][:, 0]}, "freqs: expected angles of shape"),
        ({"freqs": TABLES["half"][..., :11]}, "freqs: expected angles of shape"),
        ({"freqs": TABLES["half"].expand(40, 3, 1, 12)}, "cos: "),
        ({"freqs": TABLES["half"].expand(40, 1, 3, 12)}, "which serve all heads; got shape"),
        ({"freqs": TABLES["half"].expand(40, 2, 3, 12)}, "which serve all heads; got shape"),
        ({"start_positions": torch.tensor([0, 34])}, "a token of row 40"),
        ({"start_positions": torch.tensor([-1, 0])}, "a token of row -1"),
        ({"start_positions": torch.tensor([0])}, "start_positions: expected integers"),
        ({"start_positions": torch.tensor([0.0, 1.0])}, "start_positions: expected integers"),
        ({"cp_size": 2}, "t: expected an even number of tokens"),
        ({"cp_size": 0}, "cp_size: "),
        ({"cp_size": 2, "cp_rank": 2}, "cp_rank: expected 0 to 1"),
        ({"cp_rank": -1}, "cp_rank: expected 0 to 0"),
        ({"interleaved": 1}, "interleaved: "),
        ({"fused": None}, "fused: "),
        ({"t": [1.0]}, "t: expected a torch.Tensor; got list"),
        ({"freqs": None}, "freqs: expected a torch.Tensor; got NoneType"),
    ],
)
def test_bad_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    given = {"t": operand(7, 2, 3, 16), "freqs": TABLES["half"], **changes}
    if given.get("tensor_format") == "thd":
        given["t"] = given["t"][:, 0]
    with pytest.raises((TypeError, ValueError), match=message):
        apply_rotary_pos_emb(**given)


@pytest.mark.parametrize(
    ("cu_seqlens", "ranks", "message"),
    [
        ([0, 3, 6], 1, "cu_seqlens: expected 8 last"),
        ([0, 9], 1, "cu_seqlens: expected 8 last"),
        ([1, 8], 1, "cu_seqlens: expected 0 first"),
        ([0, 5, 3, 8], 1, "cu_seqlens: expected numbers that never decrease"),
        ([0, 6, 16], 2, "cu_seqlens: expected every length to be a multiple of the 4 pieces"),
        ([0, 8], 2, "cu_seqlens: expected 16 last"),
    ],
)
def test_bad_packs_are_named(cu_seqlens: list[int], ranks: int, message: str) -> None:
    x = operand(8, 3, 16)
    with pytest.raises(ValueError, match=message):
        apply_rotary_pos_emb(
            x, TABLES["half"], "thd", cu_seqlens=torch.tensor(cu_seqlens), cp_size=ranks
        )


@pytest.mark.parametrize("sizes", [[32, 16], [32, 16, 21], [30, 18, 20], [48, 0, 20]])
def test_bad_splits_are_named(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="qkv_split_arg_list: expected the widths"):
        apply_fused_qkv_rotary_pos_emb(operand(4, 2, 3, 68), TABLES["half"], TABLES["half"], sizes)
    with pytest.raises(ValueError, match="tensor_format: expected 'sbhd' or 'bshd'"):
        apply_fused_qkv_rotary_pos_emb(
            operand(4, 2, 3, 68), TABLES["half"], TABLES["half"], [32, 16, 20], "thd"
        )


@pytest.mark.parametrize("packs", [None, [0, 2, 6, 8]])
def test_it_compiles_whole(packs: list[int] | None) -> None:
    module = RotaryPositionEmbedding(16, 1.0, 3, 4)
    x = operand(8, 2, 3, 16) if packs is None else operand(8, 3, 16)
    cu_seqlens = None if packs is None else torch.tensor(packs)

    def model(x: torch.Tensor) -> torch.Tensor:
        words: dict[str, Any] = {"cu_seqlens": cu_seqlens}
        return apply_rotary_pos_emb(x, module(20), "sbhd" if packs is None else "thd", **words)

    compiled: Any = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x), rtol=0.0, atol=1e-6)


def test_values_are_a_copy_even_where_they_lie_in_a_row() -> None:
    qkv = operand(1, 1, 1, 40)
    *_, v = apply_fused_qkv_rotary_pos_emb(qkv, TABLES["half"], TABLES["half"], [16, 16, 8])
    v.zero_()
    assert qkv[..., 32:].all()


def test_what_is_no_tensor_is_named() -> None:
    table = TABLES["half"]
    with pytest.raises(TypeError, match=r"k_freqs: expected a torch.Tensor; got NoneType"):
        apply_fused_qkv_rotary_pos_emb(operand(4, 2, 3, 68), table, NONE, [32, 16, 20])
    with pytest.raises(TypeError, match=r"qkv: expected a torch.Tensor; got NoneType"):
        apply_fused_qkv_rotary_pos_emb(NONE, table, table, [32, 16, 20])


def test_a_module_made_while_models_are_outlined_has_its_numbers() -> None:
    wanted = RotaryPositionEmbedding(12)(7, offset=70_001)
    with torch.device("meta"):
        module = RotaryPositionEmbedding(12)
        assert torch.equal(module(7, offset=70_001), wanted)
    module.load_state_dict(RotaryPositionEmbedding(12).state_dict())
    assert module.to("meta")(7).is_meta
