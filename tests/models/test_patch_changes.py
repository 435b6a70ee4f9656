"""What has changed in a model's source file since another was patched is not overlooked."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import pytest
import torch

from ropelab_cuda.torch import patch, unpatch, watch
from ropelab_cuda.torch.swapping import recipe_of, swapped_from
from tests.models.patched_models import logits, make_batch
from tests.models.small_models import Model, build

# Warnings here are those of Transformers and torch.
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

FEW = 32 * torch.finfo(torch.float32).eps  # as in test_patch
BATCH = make_batch("Llama", "left-padded")

Change = Callable[[ModuleType, pytest.MonkeyPatch], None]


def near(ours: torch.Tensor, own: torch.Tensor) -> bool:
    return bool((ours - own).abs().max() <= FEW * own.abs().max())


@pytest.fixture
def source() -> ModuleType:
    from transformers.models.llama import modeling_llama

    return modeling_llama


@pytest.fixture
def patched() -> Model:
    """Return a model that was patched before anything changes, so that all is kept."""
    model = build("Llama")
    patch(model)
    return model


def halved(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def half(*args: Any, **kwargs: Any) -> Any:
        first, *others = function(*args, **kwargs)
        return (first / 2, *others)

    return half


class Halving:
    """A registry of attentions, each with half of its output."""

    def __init__(self, functions: Any) -> None:
        self.functions = functions

    def get_interface(self, *args: Any) -> Any:
        return halved(self.functions.get_interface(*args))


def another_function(source: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = halved(source.eager_attention_forward)
    monkeypatch.setattr(source, "eager_attention_forward", changed)


def another_registry(source: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "ALL_ATTENTION_FUNCTIONS", Halving(source.ALL_ATTENTION_FUNCTIONS))


def another_method(source: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source.LlamaAttention, "forward", halved(source.LlamaAttention.forward))


CHANGES: list[Change] = [another_function, another_registry, another_method]


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_patched_later_does_what_its_source_says_by_then(
    patched: Model, source: ModuleType, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    before = logits(patched, BATCH)
    with monkeypatch.context() as within:
        change(source, within)
        model = build("Llama")
        own = logits(model, BATCH)
        assert not near(own, before)
        patch(model)
        assert near(logits(model, BATCH), own)
        unpatch(patched)
        assert near(logits(patched, BATCH), own)
        patch(patched)
        assert near(logits(patched, BATCH), own)
    for each in (model, patched):
        unpatch(each)
        patch(each)
        assert torch.equal(logits(each, BATCH), before)


@pytest.mark.parametrize("change", CHANGES)
def test_a_class_derived_from_what_changes_changes(
    source: ModuleType, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    class Derived(source.LlamaAttention):  # type: ignore[name-defined,misc]
        pass

    model = build("Llama")
    model.model.layers[1].self_attn.__class__ = Derived
    patch(model)
    unpatch(model)
    change(source, monkeypatch)
    own = logits(model, BATCH)
    patch(model)
    assert near(logits(model, BATCH), own)


@pytest.mark.parametrize("change", CHANGES)
def test_copies_do_what_their_original_does(
    patched: Model, source: ModuleType, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    before, earlier = logits(patched, BATCH), copy.deepcopy(patched)
    change(source, monkeypatch)
    own = logits(build("Llama"), BATCH)
    later = build("Llama")
    patch(later)
    for model in (patched, earlier, copy.deepcopy(patched), copy.deepcopy(earlier)):
        assert torch.equal(logits(model, BATCH), before)
    with watch(patched):
        watched = copy.deepcopy(patched)
    assert torch.equal(logits(watched, BATCH), before)
    assert near(logits(copy.deepcopy(later), BATCH), own)
    for model in (earlier, watched):
        unpatch(model)
        assert near(logits(model, BATCH), own)


@pytest.mark.parametrize("change", CHANGES)
def test_pickles_do_what_the_source_says_where_they_are_read(
    patched: Model, source: ModuleType, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    pickles = [pickle.dumps(patched), pickle.dumps(copy.deepcopy(patched))]
    with watch(patched):
        pickles.append(pickle.dumps(patched))
    change(source, monkeypatch)
    own = logits(build("Llama"), BATCH)
    for pickled in pickles:
        model = pickle.loads(pickled)
        assert near(logits(model, BATCH), own)
        unpatch(model)
        assert not any(swapped_from(module) for module in model.modules())


def test_pickles_of_earlier_releases_are_read(patched: Model) -> None:
    from ropelab_cuda.torch.swapping import _without_state

    attention = patched.model.layers[0].self_attn
    made = _without_state(*recipe_of(type(attention)))
    assert type(made) is type(attention)


def test_another_rotation_is_refused(
    patched: Model, source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate = source.apply_rotary_pos_emb

    def backwards(q: Any, k: Any, cos: Any, sin: Any, unsqueeze_dim: int = 1) -> Any:
        return rotate(q, k, cos, -sin, unsqueeze_dim)

    unpatch(patched)
    monkeypatch.setattr(source, "apply_rotary_pos_emb", backwards)
    with pytest.raises(NotImplementedError, match=r"LlamaAttention, with an apply_rotary_pos_emb"):
        patch(patched)


def test_another_function_of_the_same_rotation_is_watched(
    patched: Model, source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def noted(q: Any, k: Any, cos: Any, sin: Any, unsqueeze_dim: int = 1) -> Any:
        called.append(q.shape)
        return rotate(q, k, cos, sin, unsqueeze_dim)

    rotate = source.apply_rotary_pos_emb
    unpatch(patched)
    monkeypatch.setattr(source, "apply_rotary_pos_emb", noted)
    with watch(patched) as errors:
        logits(patched, BATCH)
    assert len(called) == len(errors.layers)


def test_a_forward_that_calls_another_out_of_reach_is_refused(
    patched: Model, source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = [source.LlamaAttention.forward]

    @wraps(elsewhere[0])
    def forward(*args: Any, **kwargs: Any) -> Any:
        return elsewhere[0](*args, **kwargs)

    unpatch(patched)
    monkeypatch.setattr(source.LlamaAttention, "forward", forward)
    types = [type(module) for module in patched.modules()]
    with pytest.raises(NotImplementedError, match=r"LlamaAttention, with a forward around one"):
        patch(patched)
    assert [type(module) for module in patched.modules()] == types


def test_a_forward_without_source_text_is_refused(
    patched: Model, source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = dict(vars(source))
    exec("def forward(self, position_embeddings, x): return x", names)
    unpatch(patched)
    monkeypatch.setattr(source.LlamaAttention, "forward", names["forward"])
    with pytest.raises(NotImplementedError, match=r"LlamaAttention, with a forward without source"):
        patch(patched)


def test_models_share_their_classes_while_nothing_changes(
    patched: Model, source: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def classes(model: Model) -> list[type]:
        return [type(module) for module in model.modules()]

    monkeypatch.setattr(source, "nobody_names_this", 1, raising=False)
    other = build("Llama")
    patch(other)
    assert classes(other) == classes(patched)
    assert classes(copy.deepcopy(other)) == classes(patched)
    assert classes(pickle.loads(pickle.dumps(other))) == classes(patched)
