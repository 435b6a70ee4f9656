"""What `patch` and `unpatch` refuse, by name, leaving the model as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch
from torch.nn import Module

from ropelab_cuda.torch import patch, unpatch, watch
from ropelab_cuda.torch.swapping import swapped_from
from tests.models.patched_models import logits, make_batch
from tests.models.small_models import HEADS, Model, build, rotating_part

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def model() -> Model:
    return build("Llama")


REFUSED: dict[str, tuple[str, str, dict[str, int]]] = {
    "NanoChat": (
        "NanoChatForCausalLM",
        "NanoChatConfig",
        {"hidden_size": 64, "num_attention_heads": HEADS, "num_key_value_heads": 2},
    ),
    "GPT-J": ("GPTJForCausalLM", "GPTJConfig", {"n_embd": 64, "n_head": HEADS, "rotary_dim": 8}),
    "GPT-2": ("GPT2LMHeadModel", "GPT2Config", {"n_embd": 64, "n_head": HEADS}),
}


def refused(architecture: str) -> Model:
    if architecture not in REFUSED:
        return build(architecture)
    transformers: Any = import_module("transformers")
    name, config_name, values = REFUSED[architecture]
    config = getattr(transformers, config_name)(num_hidden_layers=2, vocab_size=64, **values)
    return getattr(transformers, name)(config)


@pytest.mark.parametrize(
    ("architecture", "named"),
    [
        ("NanoChat", "NanoChatAttention, with an apply_rotary_pos_emb that rotates"),  # by minus m
        ("GPT-J", r"GPTJAttention, with apply_rotary_pos_emb\(tensor, sin, cos\)"),
        ("GPT-2", "GPT2LMHeadModel, with no rotary embedding"),
        ("Qwen2-VL", r"VisionAttention, with apply_rotary_pos_emb_vision\(q, k, cos, sin\)"),
    ],
)
def test_what_is_not_known_is_refused_by_name(architecture: str, named: str) -> None:
    model = refused(architecture)
    types = [type(module) for module in model.modules()]
    with pytest.raises(NotImplementedError, match=named):
        patch(model)
    assert [type(module) for module in model.modules()] == types


def test_a_config_that_says_otherwise_is_refused(model: Model) -> None:
    class SlowerRotaryEmbedding(type(model.model.rotary_emb)):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.inv_freq *= 0.99

    model.model.rotary_emb = SlowerRotaryEmbedding(model.config)
    with pytest.raises(
        NotImplementedError, match="LlamaAttention, with an apply_rotary_pos_emb that"
    ):
        patch(model)


@pytest.mark.parametrize("name", ["inv_freq", "original_inv_freq", "attention_scaling"])
@pytest.mark.parametrize("factor", [1.02, 1.005, 1.00001, 0.996, float("nan")])
def test_an_embedding_that_was_changed_is_refused(model: Model, name: str, factor: float) -> None:
    embedding = model.model.rotary_emb
    number = getattr(embedding, name)
    setattr(embedding, name, number * factor)
    named = f"LlamaRotaryEmbedding, with {name} changed since"
    with pytest.raises(NotImplementedError, match=named):
        patch(model)
    assert not any(swapped_from(module) for module in model.modules())
    setattr(embedding, name, number)
    assert patch(model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_frequencies_are_rounded_all_alike_or_changed(model: Model, dtype: torch.dtype) -> None:
    inv_freq = model.model.rotary_emb.inv_freq
    exact, rounded = inv_freq.clone(), inv_freq.to(dtype).float()
    inv_freq[1:] = rounded[1:] * (1 + torch.finfo(dtype).eps)
    with pytest.raises(NotImplementedError, match="inv_freq changed"):
        patch(model)
    inv_freq.copy_(torch.where(torch.arange(len(exact)) == 3, exact, rounded))
    assert exact[3] != rounded[3]
    with pytest.raises(NotImplementedError, match="inv_freq changed"):
        patch(model)
    inv_freq.copy_(rounded)
    assert patch(model)


BY_LENGTH: dict[str, dict[str, Any]] = {
    "dynamic": {"factor": 4.0},
    "longrope": {
        "short_factor": [1.0] * 8,
        "long_factor": [3.0] * 8,
        "original_max_position_embeddings": 64,
    },
}


@pytest.mark.parametrize("rule", BY_LENGTH)
def test_frequencies_that_a_call_has_left_are_not_changed(rule: str) -> None:
    model = short_llama({"rope_type": rule, "rope_theta": 1e4, **BY_LENGTH[rule]})
    inv_freq = model.model.rotary_emb.inv_freq.clone()
    with torch.no_grad():
        model(torch.ones(1, 200, dtype=torch.int64))
    grown = model.model.rotary_emb.inv_freq.clone()
    assert not torch.equal(grown, inv_freq)
    patch(model)
    unpatch(model)
    model.model.rotary_emb.inv_freq.mul_(1.005)
    with pytest.raises(NotImplementedError, match="RotaryEmbedding, with inv_freq changed"):
        patch(model)


def short_llama(rope_parameters: dict[str, Any]) -> Model:
    transformers: Any = import_module("transformers")
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        max_position_embeddings=128,
        rope_parameters=rope_parameters,
    )
    return transformers.LlamaForCausalLM(config)


def watched(model: Model) -> None:
    with watch(model):
        pass


@pytest.mark.parametrize("act", [patch, watched])
def test_an_attention_that_passes_its_tables_on_is_refused(
    model: Model, act: Callable[[Any], Any]
) -> None:
    attention: Any = model.model.layers[0].self_attn

    class Delegating(type(attention)):  # type: ignore[misc]
        def forward(self, *given: Any, **options: Any) -> Any:
            return super().forward(*given, **options)

    attention.__class__ = Delegating
    with pytest.raises(NotImplementedError, match="Delegating"):
        act(model)


def test_a_refused_config_is_refused_by_the_class_of_its_embedding() -> None:
    transformers: Any = import_module("transformers")
    config = transformers.MiMoV2FlashConfig(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        head_dim=16,  # of which it rotates 0.334
        v_head_dim=16,
        n_routed_experts=4,
        moe_intermediate_size=16,
        layer_types=["full_attention", "sliding_attention"],
    )
    model = transformers.MiMoV2FlashForCausalLM(config)
    with pytest.raises(ValueError, match=r"MiMoV2FlashRotaryEmbedding: partial_rotary_factor: exp"):
        patch(model)
    assert not any(swapped_from(module) for module in model.modules())


def test_a_part_is_not_undone_alone(model: Model) -> None:
    batch = make_batch("Llama", "plain")
    own = logits(model, batch)
    patch(model)
    ours = logits(model, batch)
    parts = {
        "LlamaDecoderLayer with its attentions": model.model.layers[0],
        "ModuleList with its attentions": model.model.layers,
        "LlamaRotaryEmbedding with its rotary embedding": model.model.rotary_emb,
    }
    for named, part in parts.items():
        with pytest.raises(ValueError, match=f"got a {named} alone; unpatch all of it"):
            unpatch(part)
    assert torch.equal(logits(model, batch), ours)
    unpatch(model.model)
    assert torch.equal(logits(model, batch), own)


@pytest.mark.parametrize(
    ("architecture", "name"), [("Llama", "cos"), ("DeepSeek-V3", "cos"), ("Llama 4", "freqs_cis")]
)
def test_an_embedding_that_was_put_in_later_is_told(architecture: str, name: str) -> None:
    model, batch = build(architecture), make_batch(architecture, "plain")
    own = logits(model, batch)
    patch(model)
    patched = model.model.rotary_emb
    model.model.rotary_emb = swapped_from(patched)(model.config)  # type: ignore[misc]
    with pytest.raises(TypeError, match=f"{name}: expected the Turning that .*; got Tensor; .*unp"):
        logits(model, batch)
    unpatch(model)
    assert torch.equal(logits(model, batch), own)


def test_an_attention_that_was_put_in_later_is_told(model: Model) -> None:
    batch = make_batch("Llama", "plain")
    fresh = copy.deepcopy(model.model.layers[1].self_attn)
    patch(model)
    model.model.layers[1].self_attn = fresh
    with pytest.raises(AttributeError, match=r"unsqueeze: expected cosines .*; got the Turning"):
        logits(model, batch)


def test_a_class_that_was_changed_since_is_not_half_undone(model: Model) -> None:
    patch(model)
    attention: Any = model.model.layers[0].self_attn
    patched = type(attention)
    attention.__class__ = type("Wrapped", (patched,), {})
    with pytest.raises(ValueError, match="Wrapped whose class was changed since"):
        unpatch(model)
    attention.__class__ = patched
    unpatch(model)
    assert patched not in map(type, model.modules())


def rotated(q: Any, k: Any, cos: Any, sin: Any) -> Any:
    return q * cos + sin, k * cos + sin


def apply_rotary_pos_emb(q: Any, k: Any, cos: Any, sin: Any, unsqueeze_dim: int = 1) -> Any:
    return rotated(q, k, cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim))


class ReadsTables(Module):
    def forward(self, hidden_states: Any, position_embeddings: Any) -> Any:
        cos, sin = position_embeddings
        q, k = apply_rotary_pos_emb(hidden_states, hidden_states, cos, sin)
        return q + k * cos.mean()


class SlicesTables(Module):
    def forward(self, hidden_states: Any, position_embeddings: Any) -> Any:
        cos, sin = position_embeddings
        return apply_rotary_pos_emb(hidden_states, hidden_states, cos[..., :4], sin)


class RenamesTables(Module):
    def forward(self, hidden_states: Any, position_embeddings: Any) -> Any:
        tables = position_embeddings
        return apply_rotary_pos_emb(hidden_states, hidden_states, *tables)


class RotatesByAnotherName(Module):
    def forward(self, hidden_states: Any, position_embeddings: Any) -> Any:
        cos, sin = position_embeddings
        return rotated(hidden_states, hidden_states, cos, sin)


class RotatesByAMethod(Module):
    def forward(self, hidden_states: Any, position_embeddings: Any) -> Any:
        return self.apply_rotary(hidden_states, position_embeddings)

    def apply_rotary(self, x: Any, tables: Any) -> Any:
        return rotated(x, x, *tables)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (ReadsTables, "other uses of cos"),
        (SlicesTables, "other uses of cos"),
        (RenamesTables, "other uses of position_embeddings"),
        (RotatesByAnotherName, "other uses of position_embeddings"),
        (RotatesByAMethod, "a rotation of its own, apply_rotary"),
    ],
)
def test_what_computes_with_tables_is_refused(model: Model, kind: type[Module], why: str) -> None:
    model.model.layers[1].self_attn = kind()
    with pytest.raises(NotImplementedError, match=f"got {kind.__name__}, with {why};"):
        patch(model)
    assert not any(swapped_from(module) for module in model.modules())


def test_a_model_is_patched_once(model: Model) -> None:
    patch(model)
    with pytest.raises(ValueError, match=r"model: .*patched; .*LlamaAttention is; call unpatch"):
        patch(model)
    with pytest.raises(ValueError, match="not patched"):
        patch(model.model)
    unpatch(model)
    with pytest.raises(ValueError, match="expected a patched model"):
        unpatch(model)


def test_a_forward_of_its_own_is_refused(model: Model) -> None:
    batch = make_batch("Llama", "plain")
    own = logits(model, batch)
    attention = model.model.layers[1].self_attn
    attention.forward = partial(type(attention).forward, attention)
    with pytest.raises(ValueError, match="forward of its class"):
        patch(model)
    assert not any(swapped_from(module) for module in model.modules())
    assert torch.equal(logits(model, batch), own)


@pytest.mark.parametrize("call", [patch, unpatch])
def test_only_modules_are_taken(call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"model: expected a torch.nn.Module; got str"):
        call("model")


def test_an_unknown_pipeline_is_refused(model: Model) -> None:
    with pytest.raises(ValueError, match=r"angles: expected one of 'exact', 'float32'"):
        patch(model, angles="float64")
    assert not any(swapped_from(module) for module in model.modules())


def test_the_function_that_the_config_rules_out_is_not_called() -> None:
    model = build("DeepSeek-V3")
    *_, attention = patch(rotating_part(model))
    assert attention.what == "rotates by ropelab in place of apply_rotary_pos_emb_interleave"
    model.config.rope_interleave = False
    with pytest.raises(RuntimeError, match=r"apply_rotary_pos_emb: .*unpatch the model"):
        logits(model, make_batch("DeepSeek-V3", "plain"))
