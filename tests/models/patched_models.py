"""What the tests of patched models ask of a model, and ways to make it err on purpose."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import torch
from torch.nn import Module

from ropelab_cuda.torch import patch, unpatch
from ropelab_cuda.torch.architectures import survey, with_functions
from ropelab_cuda.torch.embeddings import held_turner, hold_turner
from ropelab_cuda.torch.swapping import restore, swap
from tests.models.small_models import VOCABULARY, Model, positions_of, rotating_part

TOKENS, NEW, PADDING, FAR = 24, 24, 7, 100_000


@dataclass(frozen=True)
class Batch:
    """What a model is given."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor

    @property
    def real(self) -> torch.Tensor:
        """Which tokens are no padding."""
        return self.attention_mask.bool()


def make_batch(architecture: str, kind: str) -> Batch:
    """Return two sequences of random tokens; the first may be padded on its left."""
    seeded = torch.Generator().manual_seed(1)
    ids = torch.randint(1, VOCABULARY, (2, TOKENS), generator=seeded)
    mask = torch.ones_like(ids)
    if kind == "left-padded":
        mask[0, :PADDING] = 0
        ids[0, :PADDING] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0) + (FAR if kind == "far" else 0)
    return Batch(ids, mask, positions_of(architecture, positions))


@torch.no_grad()
def logits(model: Model, batch: Batch) -> torch.Tensor:
    """Return the logits of every token that is no padding, as float64."""
    answer = model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        position_ids=batch.position_ids,
    )
    real: torch.Tensor = answer.logits[batch.real]
    assert real.isfinite().all()
    return real.double()


def generated(model: Model, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return words chosen greedily, with a cache of rotated keys, and the logits behind them."""
    answer = model.generate(
        batch.input_ids,
        attention_mask=batch.attention_mask,
        max_new_tokens=NEW,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    words: torch.Tensor = answer.sequences[:, TOKENS:]
    return words, torch.stack(answer.logits, 1).double()


def gradients(model: Model, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the gradient of every weight in one step of training."""
    model.zero_grad()
    labels = batch.input_ids.masked_fill(~batch.real, -100)
    model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        position_ids=batch.position_ids,
        labels=labels,
    ).loss.backward()
    named = {name: weight.grad for name, weight in model.named_parameters()}
    found = {name: grad.double().clone() for name, grad in named.items() if grad is not None}
    model.zero_grad()
    return found


def distance(some: dict[str, torch.Tensor], others: dict[str, torch.Tensor]) -> float:
    """Return how far gradients lie apart: the norm of their difference."""
    assert some.keys() == others.keys()
    return math.sqrt(sum(float((some[name] - others[name]).square().sum()) for name in some))


# ------------------------------------------------------------------------------------------------


@contextmanager
def patched(model: Model, *, angles: str = "float32") -> Iterator[None]:
    """Patch a model for a while."""
    part = rotating_part(model)
    patch(part, angles=angles)
    try:
        yield
    finally:
        unpatch(part)


@contextmanager
def disturbed(model: Model, size: float) -> Iterator[None]:
    """Let a model's own rotations err: each pair by `size` times its norm, in a random direction.

    It takes channels i and i + D/2 for pairs, whatever the layout; an error of such a size.
    """
    seeded = torch.Generator().manual_seed(0)

    def disturb(x: torch.Tensor) -> torch.Tensor:
        pairs = torch.complex(*x.float().chunk(2, dim=-1))
        turns = torch.rand(pairs.shape, generator=seeded)
        moved = pairs + size * pairs * torch.exp(2j * torch.pi * turns)
        return torch.cat([moved.real, moved.imag], -1).to(x.dtype)

    def erring(_: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def err(*args: Any, **kwargs: Any) -> Any:
            q, k = function(*args, **kwargs)
            return disturb(q), disturb(k)

        return err

    attentions = list(survey(rotating_part(model)).attentions.values())
    for attention in attentions:
        swap(attention, with_functions(type(attention), erring, (itself, type(attention))))
    try:
        yield
    finally:
        for attention in attentions:
            restore(attention)


def itself(kind: type[Module]) -> type[Module]:
    return kind


@contextmanager
def patched_in_the_other_layout(model: Model) -> Iterator[None]:
    """Patch a model as if its pairs lay otherwise; a classic mistake."""
    other = {"half": "interleaved", "interleaved": "half"}
    with patched(model):
        for embedding in survey(rotating_part(model)).embeddings.values():
            turner = held_turner(embedding)
            assert turner is not None
            ropes = {
                name: replace(
                    rope,
                    layout=other[rope.layout],
                    output_layout=other[rope.output_layout or rope.layout],
                )
                for name, rope in turner.ropes.items()
            }
            hold_turner(embedding, replace(turner, ropes=ropes))
        yield
