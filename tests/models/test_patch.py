"""Patching changes the modules of one model, and nothing else; unpatching leaves no trace."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any

import pytest
import torch
from torch.nn import Module

from ropelab_cuda.torch import patch, unpatch, watch
from ropelab_cuda.torch.swapping import swapped_from
from tests.models.patched_models import TOKENS, Batch, gradients, logits, make_batch, patched
from tests.models.small_models import LAYERS, Model, build, rotating_part

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

FEW = 32 * torch.finfo(torch.float32).eps  # of the largest logit; wrong rotations move it by 0.1


def near(ours: torch.Tensor, own: torch.Tensor) -> bool:
    return bool((ours - own).abs().max() <= FEW * own.abs().max())


@pytest.fixture
def model() -> Model:
    return build("Llama")


@pytest.fixture(scope="module")
def batch() -> Batch:
    return make_batch("Llama", "left-padded")


def types_of(model: Model) -> dict[str, type[Module]]:
    return {name: type(module) for name, module in model.named_modules()}


def rotations(model: Model, batch: Batch) -> set[int]:
    """Return how often each layer rotates in a forward pass."""
    with watch(model) as errors:
        logits(model, batch)
    return {layer.applications for layer in errors.layers.values()}


# ------------------------------------------------------------------------------------------------


def test_it_reports_what_it_replaced(model: Model) -> None:
    embedding, *attentions = patch(model)
    assert (embedding.name, embedding.class_name) == ("model.rotary_emb", "LlamaRotaryEmbedding")
    assert "Llama3(factor=8.0" in embedding.what
    assert [line.name for line in attentions] == [
        f"model.layers.{i}.self_attn" for i in range(LAYERS)
    ]
    assert str(attentions[0]) == (
        "model.layers.0.self_attn (LlamaAttention): "
        "rotates by ropelab in place of apply_rotary_pos_emb"
    )


def test_layers_of_different_types_are_reported_with_their_ropes() -> None:
    embedding = patch(build("Gemma 3"))[0]
    assert "sliding_attention: Rope(head_dim=16, base=10000.0" in embedding.what
    assert "full_attention: Rope(head_dim=16, base=1000000.0" in embedding.what


def test_other_models_and_source_files_are_untouched(model: Model, batch: Batch) -> None:
    from transformers.models.llama import modeling_llama

    other, before = build("Llama"), dict(vars(modeling_llama))
    own = logits(other, batch)
    forward = modeling_llama.LlamaAttention.forward
    patch(model)
    assert dict(vars(modeling_llama)) == before
    assert modeling_llama.LlamaAttention.forward is forward
    assert not any(swapped_from(module) for module in other.modules())
    assert torch.equal(logits(other, batch), own)
    assert near(logits(model, batch), own)


def test_a_patched_model_keeps_its_names_weights_and_classes(model: Model) -> None:
    before, buffers = model.state_dict(), dict(model.named_buffers())
    types = types_of(model)
    patch(model)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(after[name].data_ptr() == before[name].data_ptr() for name in before)
    assert dict(model.named_buffers()).keys() == buffers.keys()
    for name, module in model.named_modules():
        assert isinstance(module, types[name])
        assert type(module).__name__ == types[name].__name__


def test_unpatch_leaves_no_trace(model: Model, batch: Batch) -> None:
    own, types = logits(model, batch), types_of(model)
    attributes = {name: set(vars(module)) for name, module in model.named_modules()}
    patch(model)
    unpatch(model)
    assert types_of(model) == types
    assert {name: set(vars(module)) for name, module in model.named_modules()} == attributes
    assert torch.equal(logits(model, batch), own)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["copy", "pickle"],
)
def test_copies_are_patched_and_unpatched_on_their_own(
    model: Model, batch: Batch, copied: Callable[[Model], Model]
) -> None:
    own = logits(model, batch)
    patch(model)
    ours = logits(model, batch)
    other = copied(model)
    assert torch.equal(logits(other, batch), ours)
    unpatch(model)
    assert torch.equal(logits(other, batch), ours)
    assert not torch.equal(ours, own)  # else there is nothing to tell them apart by
    with pytest.raises(ValueError, match="patched"):
        patch(other)
    unpatch(other)
    assert types_of(other) == types_of(model)
    assert torch.equal(logits(other, batch), own)


def test_copies_of_an_unpatched_model_are_as_ever(model: Model, batch: Batch) -> None:
    own = logits(model, batch)
    patch(model)
    unpatch(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert types_of(other) == types_of(model)
        assert torch.equal(logits(other, batch), own)


def test_frequencies_do_not_rot(batch: Batch) -> None:
    own = logits(build("Llama", torch.bfloat16), batch)
    rounded = build("Llama").to(torch.bfloat16)  # rounds inv_freq as well
    assert not near(logits(rounded, batch), own)
    patch(rounded)
    assert (logits(rounded, batch) - own).abs().max() <= 0.1 * own.abs().max()
    reference = build("Llama", torch.bfloat16)
    patch(reference)
    assert torch.equal(logits(rounded, batch), logits(reference, batch))


@pytest.mark.parametrize("surroundings", ["plain", "meta", "bfloat16"])
def test_a_model_is_patched_before_it_has_memory(batch: Batch, surroundings: str) -> None:
    own = build("Llama")
    with torch.device("meta"):
        empty = build("Llama")
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.bfloat16 if surroundings == "bfloat16" else before)
        with torch.device("meta" if surroundings == "meta" else "cpu"):
            patch(empty)
    finally:
        torch.set_default_dtype(before)
    empty.to_empty(device="cpu")  # inv_freq is whatever was there
    for name, buffer in empty.named_buffers():
        if "inv_freq" in name:
            buffer.fill_(float("nan"))
    empty.load_state_dict(own.state_dict())
    assert near(logits(empty, batch), logits(own, batch))


def test_the_angle_pipeline_can_be_chosen(model: Model) -> None:
    far = make_batch("Llama", "far")
    own = logits(model, far)
    with patched(model):
        assert near(logits(model, far), own)
    with patched(model, angles="exact"):
        moved = (logits(model, far) - own).abs().max()
    assert 1e-4 < moved / own.abs().max() < 0.1


def test_text_has_the_same_position_on_each_axis() -> None:
    model = build("Qwen2-VL")
    part, batch = rotating_part(model), make_batch("Qwen2-VL", "plain")
    given = {"input_ids": batch.input_ids, "position_ids": 7 + torch.arange(24).expand(2, -1)}
    with torch.no_grad():
        own = part(**given).last_hidden_state
        patch(part)
        assert near(part(**given).last_hidden_state, own)


def test_hooks_and_checkpoints_stay(model: Model, batch: Batch) -> None:
    called = []
    model.model.layers[1].self_attn.register_forward_hook(lambda *_: called.append("hook"))
    own = gradients(model, batch)
    patch(model)
    model.gradient_checkpointing_enable()
    model.train()
    ours = gradients(model, batch)
    assert called == ["hook"] * 3  # once, and twice with a checkpoint
    assert all(torch.allclose(ours[name], own[name], atol=1e-5) for name in own)


def test_a_forward_that_calls_the_class_s_is_kept(model: Model, batch: Batch) -> None:
    called = []

    def as_accelerate_does(module: Any) -> None:
        module._old_forward = module.forward

        def new(module: Any, *args: Any, **kwargs: Any) -> Any:
            called.append("before")
            return module._old_forward(*args, **kwargs)

        module.forward = update_wrapper(partial(new, module), module._old_forward)

    own = logits(model, batch)
    as_accelerate_does(model.model.layers[0].self_attn)
    patch(model)
    assert rotations(model, batch) == {1}
    assert near(logits(model, batch), own)
    assert called == ["before"] * 2
    unpatch(model)
    assert torch.equal(logits(model, batch), own)


def test_it_compiles_into_one_graph(model: Model, batch: Batch) -> None:
    own = logits(model, batch)
    patch(model)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    with torch.no_grad():
        for again in (False, True):
            with torch._dynamo.config.patch(error_on_recompile=again):
                ours = compiled(batch.input_ids, position_ids=batch.position_ids, use_cache=False)
            assert near(ours.logits[1].double(), own[-TOKENS:])
        shorter = batch.input_ids[:, :11], None, batch.position_ids[:, :11]
        ours = compiled(*shorter, use_cache=False)
    assert near(ours.logits[1].double(), own[-TOKENS:][:11])
