"""NeMo Automodel's face: positions by value in both paths, tables that grow and do not rot."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from types import SimpleNamespace
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

B, S, H, K, D = 2, 5, 6, 3, 32
# Packed documents, a context-parallel shard, a draft model's depth: never arange.
IDS = torch.tensor([[0, 1, 2, 0, 1], [8190, 3, 4096, 3, 7]])
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
# float32 of a number that float64 has within a few of its own eps.
ROUNDED: dict[str, Any] = {"rtol": 2.0**-24 + 1e-14, "atol": 0.0}
X = torch.zeros(1)


def config(**given: Any) -> SimpleNamespace:
    values = {
        "head_dim": D,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "max_position_embeddings": 16384,
        "rope_theta": 1e4,
        "rope_scaling": None,
    }
    return SimpleNamespace(**(values | given))


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
        LlamaRotaryEmbedding.forward: ["self", "x", "position_ids"],
        apply_rotary_pos_emb: ["q", "k", "cos", "sin"],
        apply_rotary_pos_emb_fused: ["q", "k", "freqs_cis"],
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
    ("given", "wanted"),
    [
        ({}, (1e4, {})),
        ({"rope_scaling": LLAMA3, "rope_theta": 5e5}, (5e5, LLAMA3)),
        ({"rope_parameters": {**LLAMA3, "rope_theta": 1e6}}, (1e6, {**LLAMA3, "rope_theta": 1e6})),
        ({"rope_parameters": LLAMA3, "rope_theta": 5e5}, (1e4, LLAMA3)),
        ({"rope_parameters": {}, "rope_theta": 5e5}, (5e5, {})),
    ],
    ids=["bare", "Llama", "Qwen2", "no base inside", "empty"],
)
def test_where_base_and_rule_are_found(given: dict[str, Any], wanted: tuple[float, Any]) -> None:
    assert face._get_rope_config(config(**given)) == wanted


def test_attributes_of_a_class_count() -> None:
    class Config:
        head_dim = D
        max_position_embeddings = 64
        rope_theta = 5e5

    inv_freq, factor = face._compute_default_inv_freq(Config())
    torch.testing.assert_close(inv_freq.double(), geometric(D, 5e5), **ROUNDED)
    assert (inv_freq.dtype, factor) == (torch.float32, 1.0)


def test_default_frequencies_do_not_look_at_the_rule() -> None:
    given = config(rope_scaling=LLAMA3, partial_rotary_factor=0.5, head_dim=None)
    inv_freq, factor = face._compute_default_inv_freq(given, torch.device("cpu"))
    torch.testing.assert_close(inv_freq.double(), geometric(64, 1e4), **ROUNDED)
    assert factor == 1.0


def test_long_wavelengths_are_stretched_and_short_ones_kept() -> None:
    given = config(head_dim=128, rope_theta=5e5, rope_scaling=LLAMA3)
    inv_freq, factor = face._compute_llama3_inv_freq(given)
    ratio = inv_freq.double() / geometric(128, 5e5)
    assert ((ratio[:29] - 1.0).abs() < 1e-6).all()
    assert ((ratio[35:] - 0.125).abs() < 1e-6).all()
    assert ((ratio[29:35] < 1.0) & (ratio[29:35] > 0.125)).all()
    assert (ratio.diff() < 1e-6).all()
    assert factor == 1.0
    assert torch.equal(LlamaRotaryEmbedding(given).inv_freq, inv_freq)


def test_llama3_without_its_keys_has_automodels_defaults() -> None:
    with pytest.warns(UserWarning, match="missing; "):
        LlamaRotaryEmbedding(config(rope_scaling={"type": "llama3", "factor": 2.0}))
    bare, _ = face._compute_llama3_inv_freq(config(rope_scaling={}))
    torch.testing.assert_close(bare.double(), geometric(D, 1e4), **ROUNDED)  # a factor of 1


def test_yarn_scales_cosines_and_says_what_the_fused_path_lacks() -> None:
    given = config(rope_scaling=YARN)
    rope = LlamaRotaryEmbedding(given)
    amplitude = 0.1 * math.log(4.0) + 1.0
    assert rope.attention_scaling == pytest.approx(amplitude, rel=1e-15)
    cos, sin = rope(X, IDS)
    torch.testing.assert_close(torch.hypot(cos, sin), torch.full_like(cos, amplitude))
    with pytest.warns(UserWarning, match="attention_factor: 1.13863 is not applied"):
        LlamaRotaryEmbedding(given, rope_fusion=True)


def test_dynamic_never_scales_and_says_so() -> None:
    with pytest.warns(UserWarning, match="never scales"):
        rope = LlamaRotaryEmbedding(config(rope_scaling={"rope_type": "dynamic", "factor": 4.0}))
    torch.testing.assert_close(rope.inv_freq.double(), geometric(D, 1e4), **ROUNDED)


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
WIDE = torch.zeros(S, 1, 1, D)


def by_tables(*shape: int) -> object:
    return apply_rotary_pos_emb(QUERIES, KEYS, torch.ones(shape), torch.ones(shape))


def by_angles(freqs_cis: torch.Tensor) -> object:
    return apply_rotary_pos_emb_fused(QUERIES, KEYS, freqs_cis)


def called(ids: torch.Tensor, *, fusion: bool = False) -> object:
    return LlamaRotaryEmbedding(config(), rope_fusion=fusion)(X, ids)


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
    "packed": (
        *(ValueError, "freqs_cis"),
        lambda: apply_rotary_pos_emb_fused(QUERIES[0], KEYS[0], WIDE),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused(name: str) -> None:
    error, argument, call = REFUSED[name]
    with refuses(error, argument):
        call()
