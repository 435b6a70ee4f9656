"""NeMo Automodel's face: positions by value in both paths, tables that grow and do not rot."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from ropelab_cuda.compat import nemo_automodel as face
from ropelab_cuda.compat.nemo_automodel import (
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
    apply_rotary_pos_emb_fused,
    rotate_half,
)
from tests.compat.nemo_configs import HEAD_DIM, LLAMA3, YARN, config
from tests.compat.truth import (
    EPS,
    ROUNDED_ONCE,
    ROUNDED_TABLES,
    geometric,
    ramp,
    turned,
    worst_pair,
)
from tests.ropelab.support import refuses

B, S, H, K, D = 2, 5, 6, 3, HEAD_DIM
# Packed documents, a context-parallel shard, a draft model's depth: never arange.
IDS = torch.tensor([[0, 1, 2, 0, 1], [8190, 3, 4096, 3, 7]])
# float32 of a number that float64 has within a few of its own eps.
ROUNDED: dict[str, Any] = {"rtol": 2.0**-24 + 1e-14, "atol": 0.0}
X = torch.zeros(1)


def queries_and_keys(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return ramp(B, H, S, D, dtype=dtype), ramp(B, K, S, D, dtype=dtype, seed=1)


def angles(ids: torch.Tensor, d: int = D) -> torch.Tensor:
    """Return float32 products of position and float32 frequency, as float64."""
    speeds = geometric(d, 1e4).float()
    return (ids.unsqueeze(-1).float() * speeds).double()


def check_turned(
    results: tuple[torch.Tensor, torch.Tensor], ids: torch.Tensor, bound: float
) -> None:
    """Check rotations of `queries_and_keys`."""
    for found, x in zip(results, queries_and_keys(results[0].dtype), strict=True):
        assert (found.dtype, found.shape) == (x.dtype, x.shape)
        truth = turned(x, angles(ids).unsqueeze(-3), "half")
        assert worst_pair(found, truth, "half") <= bound


def test_names_and_parameters_are_the_originals() -> None:
    assert face.RotaryEmbedding is face.Qwen2RotaryEmbedding is LlamaRotaryEmbedding
    wanted: dict[Callable[..., Any], list[str]] = {
        LlamaRotaryEmbedding: ["config", "device", "rope_fusion"],
        LlamaRotaryEmbedding._build_cache: ["self", "seq_len", "device"],
        LlamaRotaryEmbedding._ensure_cache: ["self", "seq_len", "device"],
        LlamaRotaryEmbedding.forward: ["self", "x", "position_ids", "qkv_format", "cp_size"],
        apply_rotary_pos_emb: ["q", "k", "cos", "sin"],
        apply_rotary_pos_emb_fused: ["q", "k", "freqs_cis", "cu_seqlens", "cp_size", "cp_rank"],
        rotate_half: ["x"],
        face._compute_default_inv_freq: ["config", "device"],
        face._compute_llama3_inv_freq: ["config", "device"],
        face._get_rope_config: ["config"],
    }
    found = {each: list(inspect.signature(each).parameters) for each in wanted}
    assert found == wanted


def test_rotate_half() -> None:
    assert rotate_half(torch.arange(1.0, 7.0)).tolist() == [-4.0, -5.0, -6.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_are_read_by_value_in_the_plain_path(dtype: torch.dtype) -> None:
    rope = LlamaRotaryEmbedding(config(torch_dtype=dtype))
    cos, sin = rope(X, IDS)
    assert (cos.shape, sin.shape, cos.dtype, sin.dtype) == (*2 * [(B, S, D)], dtype, dtype)
    for table, wanted in ((cos, angles(IDS).cos()), (sin, angles(IDS).sin())):
        assert (table.double() - torch.cat((wanted, wanted), -1)).abs().max() <= EPS[dtype] / 2
    # In bfloat16 cos and sin of a pair err by half an eps together at most: of an amplitude.
    bound = ROUNDED_TABLES if dtype == torch.float32 else ROUNDED_TABLES + 0.2
    check_turned(apply_rotary_pos_emb(*queries_and_keys(dtype), cos, sin), IDS, bound)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_are_read_by_value_in_the_fused_path(dtype: torch.dtype) -> None:
    rope = LlamaRotaryEmbedding(config(torch_dtype=dtype), rope_fusion=True)
    *tables, freqs = rope(X, IDS)
    assert (freqs.shape, freqs.dtype) == ((S, B, 1, D), torch.float32)
    bound = ROUNDED_TABLES if dtype == torch.float32 else ROUNDED_ONCE
    check_turned(apply_rotary_pos_emb_fused(*queries_and_keys(dtype), freqs), IDS, bound)
    for table, plain in zip(
        tables, LlamaRotaryEmbedding(config(torch_dtype=dtype))(X, IDS), strict=True
    ):
        assert torch.equal(table, plain)


@pytest.mark.parametrize("ids", [IDS[1:], IDS[1:].expand(B, -1)], ids=["one row", "expanded"])
def test_one_row_of_positions_has_angles_in_the_form_of_transformer_engine(
    ids: torch.Tensor,
) -> None:
    _, _, freqs = LlamaRotaryEmbedding(config(), rope_fusion=True)(X, ids)
    assert freqs.shape == (S, 1, 1, D)
    assert freqs.is_contiguous()
    assert torch.equal(freqs[:, 0, 0].double(), torch.cat(2 * [angles(IDS[1])], -1))
    check_turned(apply_rotary_pos_emb_fused(*queries_and_keys(), freqs), IDS[1:], ROUNDED_TABLES)


def test_rows_past_the_sequence_are_not_read() -> None:
    table = torch.cat(2 * [angles(torch.arange(S + 3))], -1).float().reshape(S + 3, 1, 1, D)
    table[S:] = math.nan
    results = apply_rotary_pos_emb_fused(*queries_and_keys(), table)
    check_turned(results, torch.arange(S).unsqueeze(0), ROUNDED_TABLES)


def test_tables_grow_to_what_is_asked_and_never_shrink() -> None:
    rope = LlamaRotaryEmbedding(config())
    assert (rope.max_seq_len_cached, rope._cos_cache, rope._sin_cache) == (0, None, None)

    def tables() -> tuple[torch.Tensor, torch.Tensor]:
        assert rope._cos_cache is not None
        assert rope._sin_cache is not None
        return rope._cos_cache, rope._sin_cache

    for asked, held in ((7, 7), (7, 7), (6, 7), (8, 8), (1000, 1000), (2, 1000)):
        before = rope._cos_cache
        rope._ensure_cache(asked, X.device)
        assert rope.max_seq_len_cached == held
        assert [table.shape for table in tables()] == 2 * [(held, D)]
        assert (tables()[0] is before) == (asked in (6, 2) or (asked == 7 and before is not None))
    rope(X, torch.tensor([[1500, 2]]))  # the value decides,
    assert rope.max_seq_len_cached == 1501
    rope(X, torch.zeros(1, 1600, dtype=torch.int64))  # or the length
    assert rope.max_seq_len_cached == 1600
    assert rope(X, torch.zeros(B, 0, dtype=torch.int64))[0].shape == (B, 0, D)


def test_earlier_positions_are_the_same_after_growth() -> None:
    rope = LlamaRotaryEmbedding(config())
    before = [table.clone() for table in rope(X, IDS[:1])]
    rope(X, IDS)
    for table, old in zip(rope(X, IDS[:1]), before, strict=True):
        assert torch.equal(table, old)


@pytest.mark.parametrize("fusion", [False, True])
def test_nothing_of_the_module_can_rot(fusion: bool) -> None:
    rope = LlamaRotaryEmbedding(config(), rope_fusion=fusion)
    wanted, inv_freq = [*rope(X, IDS)], rope.inv_freq
    assert (rope.state_dict(), [*rope.buffers()], [*rope.parameters()]) == ({}, [], [])
    rope.to("meta").to_empty(device="cpu").bfloat16()
    for module in (rope, copy.deepcopy(rope)):
        for table, before in zip(module(X, IDS), wanted, strict=True):
            assert torch.equal(table, before)
        assert torch.equal(module.inv_freq, inv_freq)
    assert inv_freq.dtype == torch.float32
    torch.testing.assert_close(inv_freq.double(), geometric(D, 1e4), **ROUNDED)


def test_gradients_are_rotated_back() -> None:
    q, k = (x.requires_grad_() for x in queries_and_keys(torch.float64))
    upstream = ramp(B, H, S, D, dtype=torch.float64, seed=2), ramp(B, K, S, D, dtype=torch.float64)
    back = [turned(g, -angles(IDS).unsqueeze(-3), "half") for g in upstream]
    cos, sin, freqs = LlamaRotaryEmbedding(config(), rope_fusion=True)(X, IDS)
    assert not any(table.requires_grad for table in (cos, sin, freqs))
    for results in (
        apply_rotary_pos_emb(q, k, cos, sin),
        apply_rotary_pos_emb_fused(q, k, freqs),
    ):
        for found, wanted in zip(torch.autograd.grad(results, (q, k), upstream), back, strict=True):
            assert found.dtype == torch.float64
            # cos and sin are float32; up to half of its eps each.
            assert worst_pair(found, wanted, "half") <= EPS[torch.float32] / EPS[torch.float64]


def test_gradients_reach_tables_and_angles() -> None:
    def given(*shape: int) -> torch.Tensor:
        return ramp(*shape, dtype=torch.float64).requires_grad_()

    q, k, table = given(2, 2, 3, 4), given(2, 1, 3, 4), (2, 3, 4)
    assert torch.autograd.gradcheck(apply_rotary_pos_emb, (q, k, given(*table), given(*table)))
    assert torch.autograd.gradcheck(apply_rotary_pos_emb_fused, (q, k, given(3, 2, 1, 4)))


@pytest.mark.parametrize("fusion", [False, True])
def test_a_compiled_model_gives_the_same(fusion: bool) -> None:
    rope = LlamaRotaryEmbedding(config(), rope_fusion=fusion)
    apply = apply_rotary_pos_emb_fused if fusion else apply_rotary_pos_emb
    made = rope(X, IDS)[2:] if fusion else rope(X, IDS)
    compiled = torch.compile(apply, backend="aot_eager", fullgraph=True, dynamic=True)
    q, k = (x.requires_grad_() for x in queries_and_keys())
    for found, wanted in zip(compiled(q, k, *made), apply(q, k, *made), strict=True):
        assert torch.equal(found, wanted)
    # The module breaks the graph: it looks at positions, and NumPy makes its cosines.
    again = torch.compile(LlamaRotaryEmbedding(config(), rope_fusion=fusion), backend="aot_eager")
    for found, wanted in zip(again(X, IDS), rope(X, IDS), strict=True):
        assert torch.equal(found, wanted)


def test_packed_tokens_and_a_part_of_the_width() -> None:
    q, k = ramp(S, H, D), ramp(S, K, D, seed=1)
    part = 20
    spun = torch.cat(2 * [angles(IDS[1], part)], -1)
    for found, x in zip(
        apply_rotary_pos_emb(q, k, spun.cos().float(), spun.sin().float()), (q, k), strict=True
    ):
        assert torch.equal(found[..., part:], x[..., part:])
        truth = turned(x[..., :part], spun[:, : part // 2].unsqueeze(1), "half")
        assert worst_pair(found[..., :part], truth, "half") <= ROUNDED_TABLES


@pytest.mark.parametrize(
    ("ranks", "rank", "wanted"),
    [
        (1, 0, [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]),
        (2, 0, [0, 3, 0, 1, 6, 7]),
        (2, 1, [1, 2, 2, 3, 4, 5]),
    ],
)
def test_packed_tokens_of_one_rank_in_the_fused_path(
    ranks: int, rank: int, wanted: list[int]
) -> None:
    q, k, ids = ramp(len(wanted), H, D), ramp(len(wanted), K, D, seed=1), torch.tensor(wanted)
    rope = LlamaRotaryEmbedding(config(), rope_fusion=True)
    cos, sin, freqs = rope(X, ids, qkv_format="thd", cp_size=ranks)
    assert (cos.shape, freqs.shape) == ((len(ids), D), (12, 1, 1, D))
    shared: dict[str, Any] = {
        "cu_seqlens": torch.tensor([0, 4, 12]),
        "cp_size": ranks,
        "cp_rank": rank,
    }
    for results in (
        apply_rotary_pos_emb(q, k, cos, sin),
        apply_rotary_pos_emb_fused(q, k, freqs, **shared),
    ):
        for found, x in zip(results, (q, k), strict=True):
            truth = turned(x, angles(ids).unsqueeze(-2), "half")
            assert worst_pair(found, truth, "half") <= ROUNDED_TABLES


@pytest.mark.parametrize("scaling", [None, LLAMA3, YARN], ids=["default", "llama3", "yarn"])
@pytest.mark.parametrize("name", ["Llama", "Qwen2"])
@pytest.mark.filterwarnings("ignore:::transformers")
def test_transformers_has_the_same_cosines(name: str, scaling: dict[str, Any] | None) -> None:
    rule = {**(scaling or {"rope_type": "default"}), "rope_theta": 1e4}
    given = getattr(transformers, f"{name}Config")(
        hidden_size=6 * D,
        num_attention_heads=6,
        max_position_embeddings=16384,
        rope_parameters=rule,
    )
    module = getattr(transformers.models, name.lower())
    theirs = getattr(module, f"modeling_{name.lower()}")
    ours = LlamaRotaryEmbedding(given)(X, IDS)
    # Their frequencies err by four ulp, our cosines and theirs by an ulp; yarn's factor is 1.14.
    bound = (4 * IDS.unsqueeze(-1) + 3) * EPS[torch.float32] * 1.14
    for table, other in zip(
        ours, getattr(theirs, f"{name}RotaryEmbedding")(given)(X, IDS), strict=True
    ):
        assert (table.dtype, table.shape) == (other.dtype, other.shape)
        assert ((table - other).abs() <= bound).all()
    for found, wanted in zip(
        apply_rotary_pos_emb(*queries_and_keys(), *ours),
        theirs.apply_rotary_pos_emb(*queries_and_keys(), *ours),
        strict=True,
    ):
        assert worst_pair(found, wanted.double(), "half") <= 1.8  # two products and a sum


QUERIES, KEYS = queries_and_keys()
NO_FLAG: Any = 1
BOUNDS = torch.tensor([0, 2, H])
RANK_2_OF_2: dict[str, Any] = {"cu_seqlens": BOUNDS, "cp_size": 2, "cp_rank": 2}
WIDE = torch.zeros(S, 1, 1, D)


def by_tables(*shape: int) -> object:
    return apply_rotary_pos_emb(QUERIES, KEYS, torch.ones(shape), torch.ones(shape))


NOTHING: Any = None


def by_angles(freqs_cis: torch.Tensor, *, packed: bool = False, **options: Any) -> object:
    q, k = (QUERIES[0], KEYS[0]) if packed else (QUERIES, KEYS)
    return apply_rotary_pos_emb_fused(q, k, freqs_cis, **options)


def called(ids: torch.Tensor, *, fusion: bool = False, **options: Any) -> object:
    return LlamaRotaryEmbedding(config(), rope_fusion=fusion)(X, ids, **options)


REFUSED: dict[str, tuple[type[Exception], str, Callable[[], object]]] = {
    "negative": (ValueError, "position_ids", lambda: called(IDS - 1)),
    "real": (TypeError, "position_ids", lambda: called(IDS.float())),
    "real, fused": (TypeError, "position_ids", lambda: called(IDS.float(), fusion=True)),
    "flat, fused": (ValueError, "position_ids", lambda: called(IDS[0], fusion=True)),
    "rule": (
        ValueError,
        "rope_type",
        lambda: LlamaRotaryEmbedding(config(rope_scaling={"type": "x"})),
    ),
    "dtype": (
        TypeError,
        "torch_dtype",
        lambda: LlamaRotaryEmbedding(config(torch_dtype=torch.int64)),
    ),
    "flag": (TypeError, "rope_fusion", lambda: LlamaRotaryEmbedding(config(), rope_fusion=NO_FLAG)),
    "odd": (ValueError, "cos", lambda: by_tables(B, S, 31)),
    "wide": (ValueError, "cos", lambda: by_tables(B, S, 34)),
    "long": (ValueError, "cos", lambda: by_tables(B, S + 1, D)),
    "short": (ValueError, "freqs_cis", lambda: by_angles(WIDE[1:])),
    "axes": (ValueError, "freqs_cis", lambda: by_angles(WIDE[:, 0])),
    "batch": (ValueError, "freqs_cis", lambda: by_angles(WIDE.expand(S, 3, 1, D))),
    "packed": (ValueError, "cu_seqlens", lambda: by_angles(WIDE, packed=True)),
    "not packed": (ValueError, "cu_seqlens", lambda: by_angles(WIDE, cu_seqlens=BOUNDS)),
    "rank": (ValueError, "cp_rank", lambda: by_angles(WIDE, packed=True, **RANK_2_OF_2)),
    "packed batch": (
        *(ValueError, "freqs_cis"),
        lambda: by_angles(WIDE.expand(S, B, 1, D), packed=True, cu_seqlens=BOUNDS),
    ),
    "format": (ValueError, "qkv_format", lambda: called(IDS, qkv_format="sbhd")),
    "no positions": (TypeError, "position_ids", lambda: called(NOTHING)),
    "no states": (TypeError, "x", lambda: LlamaRotaryEmbedding(config())(NOTHING, IDS)),
    "no queries": (TypeError, "q", lambda: apply_rotary_pos_emb(NOTHING, KEYS, WIDE, WIDE)),
    "no tables": (TypeError, "cos", lambda: apply_rotary_pos_emb(QUERIES, KEYS, NOTHING, WIDE)),
    "no angles": (TypeError, "freqs_cis", lambda: by_angles(NOTHING)),
    "ranks": (ValueError, "cp_size", lambda: called(IDS, cp_size=0)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused(name: str) -> None:
    error, argument, call = REFUSED[name]
    with refuses(error, argument):
        call()
