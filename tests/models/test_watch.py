"""Every rotation of a running model is compared with the specification."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
from typing import Any

import pytest
import torch

from ropelab.scaling import ExplicitFrequencies
from ropelab_cuda.torch import patch, unpatch, watch
from ropelab_cuda.torch.embeddings import held_turner
from ropelab_cuda.torch.swapping import swapped_from
from tests.models.patched_models import TOKENS, disturbed, generated, logits, make_batch
from tests.models.small_models import ARCHITECTURES, LAYERS, build, rotating_part

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

ROUNDED_ONCE = 0.5 * (1.0 + 1e-3)  # eps of the norm of a pair; and the double before it was rounded
AN_ULP = 1.0  # of a frequency near 1, in eps: an angle of as much a token
AN_EPS_OFF = 3.0  # what the float32 arithmetic of Transformers may err by; see test_llama


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_patched_models_round_once(architecture: str, dtype: torch.dtype) -> None:
    model = build(architecture, dtype)
    part = rotating_part(model)
    for kind in ("left-padded", "far"):
        batch = make_batch(architecture, kind)
        patch(part)
        with watch(part) as errors:
            logits(model, batch)
        unpatch(part)
        rotating = [layer for layer in errors.layers.values() if layer.applications]
        assert len(rotating) == (LAYERS - 1 if architecture == "Llama 4" else LAYERS)
        assert all(0.1 < layer.worst <= ROUNDED_ONCE for layer in rotating)
        assert {layer.dtype for layer in rotating} == {str(dtype).removeprefix("torch.")}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_models_that_are_not_patched_can_be_watched(architecture: str) -> None:
    model = build(architecture)
    own = logits(model, make_batch(architecture, "plain"))
    with watch(rotating_part(model)) as errors:
        watched = logits(model, make_batch(architecture, "plain"))
    assert torch.equal(watched, own)
    by_length = architecture == "Phi-3"  # whose frequencies are compared with those of the rule
    assert 0.5 < errors.worst < AN_EPS_OFF + (TOKENS * AN_ULP if by_length else 0.0)


def test_each_layer_is_reported_by_its_name() -> None:
    model = build("Llama 4")
    with watch(model) as errors:
        assert str(errors).splitlines()[0] == "model.layers.0.self_attn: no rotation"
        logits(model, make_batch("Llama 4", "plain"))
    first, second, _ = str(errors).splitlines()
    assert first.startswith("model.layers.0.self_attn: 0.")
    assert first.endswith(" eps of float32 in 1 rotation")
    assert second == "model.layers.1.self_attn: no rotation"
    with watch(model) as errors:
        logits(model, make_batch("Llama 4", "plain"))
        logits(model, make_batch("Llama 4", "plain"))
    assert str(errors).splitlines()[0].endswith(" eps of float32 in 2 rotations")


def test_every_step_of_a_generation_is_compared() -> None:
    model, batch = build("Llama"), make_batch("Llama", "left-padded")
    patch(model)
    with watch(model) as errors:
        words, _ = generated(model, batch)
    assert {layer.applications for layer in errors.layers.values()} == {words.shape[1]}
    assert errors.worst <= ROUNDED_ONCE


def test_an_error_is_seen_where_it_is() -> None:
    model, batch = build("Llama"), make_batch("Llama", "plain")
    size = 1e-3
    with disturbed(model, size), watch(model) as errors:
        logits(model, batch)
    found = errors.worst * torch.finfo(torch.float32).eps
    assert found == pytest.approx(size, rel=0.1)


def test_wrong_frequencies_are_seen() -> None:
    model, batch = build("Llama"), make_batch("Llama", "plain")
    patch(model)
    turner = held_turner(model.model.rotary_emb)
    assert turner is not None
    rope = turner.ropes[None]
    slower = ExplicitFrequencies([0.999 * f for f in rope.spectrum().inv_freq.tolist()])
    unpatch(model)
    with watch(model) as errors:  # which has asked the model before it is tampered with
        own = model.model.rotary_emb.inv_freq
        own.copy_(torch.tensor(slower.inv_freq))
        logits(model, batch)
    assert errors.worst * torch.finfo(torch.float32).eps == pytest.approx(0.023, rel=0.05)


def test_channels_that_are_not_rotated_must_stay() -> None:
    model, batch = build("GPT-NeoX"), make_batch("GPT-NeoX", "plain")
    with disturbed(model, 1e-3), watch(model) as errors:  # disturbs them as well
        logits(model, batch)
    assert math.isinf(errors.worst)


def test_a_nan_is_seen() -> None:
    model, batch = build("Llama"), make_batch("Llama", "plain")
    with disturbed(model, float("nan")), watch(model) as errors, pytest.raises(AssertionError):
        logits(model, batch)  # which are to be finite
    assert math.isinf(errors.worst)


def test_a_nan_that_was_there_is_no_error() -> None:
    model, batch = build("Llama"), make_batch("Llama", "plain")
    model.model.embed_tokens.weight.data[batch.input_ids[0, 3]] = float("nan")
    patch(model)
    with watch(model) as errors, pytest.raises(AssertionError):
        logits(model, batch)
    assert 0.0 < errors.worst <= ROUNDED_ONCE


def test_the_pipeline_to_compare_with_can_be_chosen() -> None:
    model, batch = build("Llama"), make_batch("Llama", "far")
    patch(model)
    with watch(model, angles="exact") as errors:
        logits(model, batch)
    assert errors.worst > 1e3  # float32 angles near position 100,000


def test_nothing_is_left_of_it() -> None:
    model, batch = build("Llama"), make_batch("Llama", "plain")
    patch(model)
    types = [type(module) for module in model.modules()]
    ours = logits(model, batch)
    with contextlib.suppress(KeyError), watch(model):
        assert torch.equal(logits(copy.deepcopy(model), batch), ours)
        raise KeyError
    assert [type(module) for module in model.modules()] == types
    assert not model.model.rotary_emb._forward_hooks
    unpatch(model)
    with watch(model):
        copied = copy.deepcopy(model)
    assert not any(swapped_from(module) for module in copied.modules())


def test_it_is_patched_and_unpatched_outside() -> None:
    model = build("Llama")
    with watch(model), pytest.raises(ValueError, match="not patched"):
        patch(model)
    patch(model)
    with watch(model), pytest.raises(ValueError, match=r"inside of watch\(model\)"):
        unpatch(model)
    unpatch(model)


@pytest.mark.parametrize("patched", [False, True])
def test_it_is_watched_once(patched: bool) -> None:
    model, batch = build("Llama"), make_batch("Llama", "plain")
    if patched:
        patch(model)
    types = [type(module) for module in model.modules()]
    for part in (model, model.model):
        with watch(part) as errors, pytest.raises(ValueError, match="that nobody watches"):
            watch(model).__enter__()
        with watch(part) as errors:
            logits(model, batch)
        assert {layer.applications for layer in errors.layers.values()} == {1}
    assert [type(module) for module in model.modules()] == types
    assert not model.model.rotary_emb._forward_hooks


def test_two_models_are_watched_in_any_order() -> None:
    models, batch = [build("Llama"), build("Llama")], make_batch("Llama", "plain")
    watches = [watch(model) for model in models]
    first, second = (each.__enter__() for each in watches)
    logits(models[0], batch)
    watches[0].__exit__(None, None, None)
    for model in models:
        logits(model, batch)
    watches[1].__exit__(None, None, None)
    for errors in (first, second):
        assert {layer.applications for layer in errors.layers.values()} == {1}
    assert not any(swapped_from(module) for model in models for module in model.modules())


@pytest.mark.parametrize("patched", [False, True])
def test_copies_are_not_watched(patched: bool) -> None:
    model, batch = build("Llama"), make_batch("Llama", "plain")
    own = logits(model, batch)
    if patched:
        patch(model)
    wanted = logits(model, batch)
    with watch(model) as errors:
        copied = copy.deepcopy(model)
        pickled = pickle.loads(pickle.dumps(model))
        for other in (copied, pickled):
            assert torch.equal(logits(other, batch), wanted)
        assert {layer.applications for layer in errors.layers.values()} == {0}
    for other in (copied, pickled):
        assert torch.equal(logits(pickle.loads(pickle.dumps(other)), batch), wanted)
        with watch(other) as errors:
            logits(other, batch)
        assert {layer.applications for layer in errors.layers.values()} == {1}
        if patched:
            unpatch(other)
        assert torch.equal(logits(other, batch), own)
        assert not any(swapped_from(module) for module in other.modules())


@pytest.mark.parametrize(("patched", "before"), [(False, True), (True, False), (True, True)])
def test_a_compiled_model_can_be_watched(patched: bool, before: bool) -> None:
    torch._dynamo.reset()
    model, batch = build("Llama"), make_batch("Llama", "left-padded")
    if patched:
        patch(model)
    compiled: Any = torch.compile(model, backend="aot_eager")
    wanted = logits(compiled if before else model, batch)
    with watch(compiled) as errors:
        found = logits(compiled, batch)
    assert torch.equal(found, wanted)
    assert {layer.applications for layer in errors.layers.values()} == {1}
    assert 0.1 < errors.worst < (ROUNDED_ONCE if patched else AN_EPS_OFF)
    assert torch.equal(logits(compiled, batch), wanted)
    assert {layer.applications for layer in errors.layers.values()} == {1}


def test_one_graph_cannot_be_watched() -> None:
    torch._dynamo.reset()
    model, batch = build("Llama"), make_batch("Llama", "plain")
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with watch(model), pytest.raises(torch._dynamo.exc.Unsupported, match=r"compiler\.disable"):
        compiled(batch.input_ids)


def test_a_class_that_is_changed_inside_is_named() -> None:
    model, batch = build("Llama"), make_batch("Llama", "plain")
    own, attention = logits(model, batch), model.model.layers[1].self_attn

    def enter_and_change() -> None:
        with watch(model):
            attention.__class__ = type("Wrapped", (type(attention),), {})  # as FSDP does

    with pytest.raises(ValueError, match="got a Wrapped whose class was changed inside"):
        enter_and_change()
    assert torch.equal(logits(model, batch), own)  # and nobody watches any longer


def test_tables_of_others_are_refused() -> None:
    model = build("Llama")
    states, positions = torch.ones(1, 2, 64), torch.arange(2)[None]
    foreign = model.model.rotary_emb(states, positions)
    with watch(model), pytest.raises(RuntimeError, match=r"layers.0.self_attn: expected tables"):
        model.model.layers[0](states, position_embeddings=foreign)


def test_unknown_pipelines_are_refused() -> None:
    with pytest.raises(ValueError, match="angles"), watch(build("Llama"), angles="float64"):
        pass
