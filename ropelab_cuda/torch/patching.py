"""Patching a Transformers model so that it rotates by ropelab, and undoing it.

Two kinds of modules change their class, each to a subclass of its own (see `swapping`): the rotary
embedding returns a `Turning`, which holds positions and a rope, in place of cosines and sines; each
attention finds, in place of its source file's function, one that calls it. All else of the model,
its masks, caches, norms and layers without rotation, does what it did. Other models of the same
classes, and their source files, are not touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch.nn import Module

from ropelab.checks import ANGLES, check_choice

from .architectures import (
    REPLACEMENTS,
    applications,
    is_embedding,
    parameters_of,
    parts_with_functions,
    survey,
    unknown,
    with_functions,
)
from .embeddings import Ropes, held_turner, hold_turner, ropes_of, turner_of
from .probing import agrees, changed
from .rebinding import kept
from .swapping import (
    check_swappable,
    maker_of,
    restore,
    subclass,
    swap,
    swapped_from,
    was_swapped_below,
)

__all__ = ["Replacement", "patch", "unpatch"]


@dataclass(frozen=True)
class Replacement:
    """What `patch` has replaced in one module.

    Parameters
    ----------
    name : str
        Of the module in the model.
    class_name : str
        Of the module.
    what : str
        What it does from now on.
    """

    name: str
    class_name: str
    what: str

    def __str__(self) -> str:
        """Return a line."""
        return f"{self.name} ({self.class_name}): {self.what}"


def patch(model: Module, *, angles: str = "float32") -> tuple[Replacement, ...]:
    r"""Have a model of Transformers rotate its queries and keys by ropelab.

    Parameters
    ----------
    model : torch.nn.Module
        The model, or a part of it that contains both the rotary embedding and the attentions. It
        is changed in place, but for its parameters, buffers, names and hooks.
    angles : {"float32", "exact"}, default "float32"
        The angle pipeline; the default is what Transformers computes, see `ropelab.cos_sin`.

    Returns
    -------
    tuple of Replacement
        One for each module; ``print(*patch(model), sep="\n")``.

    Raises
    ------
    TypeError
        If `model` is no module.
    ValueError
        If it is patched already, its config is refused, or somebody has replaced the forward of
        one of its modules. Hooks are no such thing, nor are those of Accelerate.
    NotImplementedError
        If it contains something that rotates in a way that is not known here; the class is named.
        The model is as it was.

    Notes
    -----
    The config says how to rotate, by `ropelab.layers_from_transformers`, and before anything is
    replaced the model's own code is asked whether it rotates likewise. With ``"float32"`` the
    frequencies are those that the model was made with, so that the same tokens get the same angles;
    if a cast of the model has rounded them to 16 bits, they are taken unrounded. LongRoPE's, and
    those of other rules that depend on the length, are the rule's, within an ulp or two. A dynamic
    rule takes the length of each call, where Transformers remembers the longest one so far. Cosines
    are not rounded to the model's dtype; rotated channels are, once.

    Examples
    --------
    >>> from transformers import LlamaConfig, LlamaForCausalLM  # doctest: +SKIP
    >>> model = LlamaForCausalLM(LlamaConfig())  # doctest: +SKIP
    >>> print(*patch(model), sep="\n")  # doctest: +SKIP
    """
    check_choice(angles, ANGLES, "angles")
    _check_unswapped(model)
    found = survey(model)
    ropes = {name: ropes_of(module) for name, module in found.embeddings.items()}
    for name, embedding in found.embeddings.items():
        _check_unchanged(embedding, ropes[name])
    asked = [(found.embeddings[name], by_layer) for name, by_layer in ropes.items()]
    kinds = dict.fromkeys(map(type, found.attentions.values()))
    fitting = {kind: _fitting(kind, asked) for kind in kinds}
    turners = {name: turner_of(found.embeddings[name], ropes[name], angles) for name in ropes}
    for module in (*found.embeddings.values(), *found.attentions.values()):
        check_swappable(module)
    classes = {kind: _rotating_class(kind, functions) for kind, functions in fitting.items()}
    report = []
    for name, embedding in found.embeddings.items():
        report.append(Replacement(name, type(embedding).__name__, _described(ropes[name])))
        hold_turner(embedding, turners[name])
        swap(embedding, _turning_class(type(embedding)))
    for name, attention in found.attentions.items():
        kind = type(attention)
        what = f"rotates by ropelab in place of {' or '.join(fitting[kind])}"
        report.append(Replacement(name, kind.__name__, what))
        swap(attention, classes[kind])
    return tuple(report)


def unpatch(model: Module) -> None:
    """Undo `patch`: everything is as it was before.

    Parameters
    ----------
    model : torch.nn.Module
        A patched model, a copy of one, or a part that contains both embedding and attentions.

    Raises
    ------
    TypeError
        If `model` is no module.
    ValueError
        If it is not patched, a part whose rotary embedding or attentions are elsewhere, or somebody
        has changed the class of one of its modules since.
    """
    swapped = _swapped(model)
    if not swapped:
        msg = f"model: expected a patched model; got a {type(model).__name__} that is not"
        raise ValueError(msg)
    for module in model.modules():
        if was_swapped_below(module):
            msg = (
                f"model: expected the classes that patch has given it; got a "
                f"{type(module).__name__} whose class was changed since; undo that first"
            )
            raise ValueError(msg)
    if any(maker_of(module) not in (_turning_class, _rotating_class) for module in swapped):
        msg = "model: expected one that nobody watches; got one inside of watch(model); leave it"
        raise ValueError(msg)
    _check_whole(model)
    for module in swapped:
        restore(module)
        hold_turner(module, None)


def _check_whole(model: Module) -> None:
    """Raise ValueError if a part of a patched model has attentions or an embedding alone."""
    turning = {module for module in model.modules() if is_embedding(type(module))}
    rest = set(model.modules()) - turning
    if not turning or not any(maker_of(module) is _rotating_class for module in rest):
        alone = "attentions" if not turning else "rotary embedding"
        msg = (
            f"model: expected a patched model, or a part with both its rotary embedding and its "
            f"attentions; got a {type(model).__name__} with its {alone} alone; unpatch all of it"
        )
        raise ValueError(msg)


def _described(ropes: Ropes) -> str:
    return "; ".join(f"{name}: {rope}" if name else str(rope) for name, rope in ropes.items())


def _check_unchanged(embedding: Module, ropes: Ropes) -> None:
    """Raise NotImplementedError if an embedding computes by numbers that were changed."""
    numbers = changed(embedding, ropes)
    if numbers:
        raise unknown(type(embedding), f"{' and '.join(numbers)} changed since its config made it")


def _fitting(kind: type[Module], embeddings: list[tuple[Module, Ropes]]) -> tuple[str, ...]:
    """Name the functions by which an attention rotates as the config says; at least one."""
    functions = {name: f for called in applications(kind).values() for name, f in called.items()}
    fitting = tuple(
        name
        for name, function in functions.items()
        if all(
            agrees(embedding, layer_type, rope, function)
            for embedding, ropes in embeddings
            for layer_type, rope in ropes.items()
        )
    )
    if not fitting:
        raise unknown(kind, f"an {' or '.join(functions)} that rotates as its config does not say")
    return fitting


@kept()
def _turning_class(kind: type[Module]) -> type[Module]:
    def forward(
        self: Module,
        x: torch.Tensor,  # noqa: ARG001
        position_ids: torch.Tensor,
        layer_type: str | None = None,
    ) -> Any:
        turner = held_turner(self)
        assert turner is not None
        return turner(position_ids, layer_type)

    return subclass(kind, {"forward": forward}, (_turning_class, kind))


@kept(lambda kind, _: parts_with_functions(kind))
def _rotating_class(kind: type[Module], fitting: tuple[str, ...]) -> type[Module]:
    def replacement(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return REPLACEMENTS[parameters_of(function)] if name in fitting else _refusal(function)

    return with_functions(kind, replacement, (_rotating_class, kind, fitting))


def _refusal(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def refuse(*_: Any, **__: Any) -> Any:
        msg = (
            f"{function.__name__}: expected a call of the other function that the attention has, "
            f"as its config said when it was patched; unpatch the model, and patch it again"
        )
        raise RuntimeError(msg)

    return refuse


def _swapped(model: object) -> list[Module]:
    if not isinstance(model, Module):
        msg = f"model: expected a torch.nn.Module; got {type(model).__name__}"
        raise TypeError(msg)
    return [module for module in model.modules() if swapped_from(module) is not None]


def _check_unswapped(model: Module) -> None:
    """Raise ValueError if a module has been swapped."""
    swapped = _swapped(model)
    if swapped:
        msg = (
            f"model: expected one that is not patched; its {type(swapped[0]).__name__} is; "
            f"call unpatch(model) first"
        )
        raise ValueError(msg)
