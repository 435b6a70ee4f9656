"""What a model does with its rotary embedding: where it rotates, and how it calls what rotates.

Transformers' models all do it in the same way. A module of the model, called once a forward pass
(and once for each type of layers, where these differ), takes positions and returns cosines and
sines. They are handed to each attention, which rotates by a function of its source file. There are
few such functions, known by their parameters:

==================================================  ==========================================
parameters                                          models
==================================================  ==========================================
``q, k, cos, sin, unsqueeze_dim=1``                 Llama and most others
``q, k, cos, sin, position_ids=None, …``            DeepSeek-V3's second one; most, before 5.0
``xq, xk, freqs_cis``                               Llama 4: (batch, sequence, heads, head_dim)
==================================================  ==========================================

What a model does beside that is not known here, and refused: a rotation by other functions,
and an attention that computes with the cosines itself.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Module

from .rebinding import names_in, parts_of, rebound, wrapped
from .sources import strays
from .swapping import methods_of, subclass
from .turning import Turning

__all__ = [
    "REPLACEMENTS",
    "Survey",
    "applications",
    "format_of",
    "is_embedding",
    "parameters_of",
    "parts_with_functions",
    "survey",
    "unknown",
    "with_functions",
]

Pair = tuple[torch.Tensor, torch.Tensor]
Rotate = Callable[..., Pair]

_ROTATES = re.compile(r"apply\w*_rot")


def _by_tables(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: Turning,
    sin: Turning,  # noqa: ARG001
    unsqueeze_dim: int = 1,
) -> Pair:
    return _turning("cos", cos)(q, k, _format(unsqueeze_dim))


def _by_tables_or_positions(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: Turning,
    sin: Turning,  # noqa: ARG001
    position_ids: torch.Tensor | None = None,  # noqa: ARG001
    unsqueeze_dim: int = 1,
) -> Pair:
    return _turning("cos", cos)(q, k, _format(unsqueeze_dim))


def _turning(name: str, given: object) -> Turning:
    if not isinstance(given, Turning):
        msg = (
            f"{name}: expected the Turning that a patched rotary embedding returns; got "
            f"{type(given).__name__}; call a patched layer with that, or unpatch all of the model"
        )
        raise TypeError(msg)
    return given


def _format(unsqueeze_dim: int) -> str:
    formats = {1: "bhsd", 2: "bshd"}
    if unsqueeze_dim not in formats:
        msg = f"unsqueeze_dim: expected 1 or 2, the axis of the heads; got {unsqueeze_dim}"
        raise ValueError(msg)
    return formats[unsqueeze_dim]


def _by_complex_table(xq: torch.Tensor, xk: torch.Tensor, freqs_cis: Turning) -> Pair:
    return _turning("freqs_cis", freqs_cis)(xq, xk, "bshd")


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a function's parameters, by which its replacement is known."""
    return tuple(inspect.signature(function).parameters)


REPLACEMENTS: Mapping[tuple[str, ...], Rotate] = {
    parameters_of(function): function
    for function in (_by_tables, _by_tables_or_positions, _by_complex_table)
}


@dataclass(frozen=True)
class Survey:
    """The modules of a model that have to do with rotation, by their names.

    Parameters
    ----------
    embeddings : dict of str to torch.nn.Module
        Those that return cosines and sines.
    attentions : dict of str to torch.nn.Module
        Those that rotate by them.
    """

    embeddings: dict[str, Module]
    attentions: dict[str, Module]


def survey(model: Module) -> Survey:
    """Find what has to do with rotation in a model.

    Parameters
    ----------
    model : torch.nn.Module
        The model, or a part that contains both embedding and attentions.

    Returns
    -------
    Survey
        At least one of each.

    Raises
    ------
    NotImplementedError
        If there is something that rotates in a way that is not known here; its class is named.
    """
    kinds = dict.fromkeys(type(module) for module in model.modules())
    rotating = {kind for kind in kinds if applications(kind)}
    turning = {kind for kind in kinds.keys() - rotating if is_embedding(kind)}
    for kind in kinds:
        if kind not in rotating | turning and _passes_on(kind):
            raise unknown(kind, "a forward that passes its tables on to another class's")
    named = dict(model.named_modules())
    embeddings = {name: module for name, module in named.items() if type(module) in turning}
    attentions = {name: module for name, module in named.items() if type(module) in rotating}
    for module in embeddings.values():
        asked = parameters_of(type(module).forward)[1:]
        if asked[1:] not in (("position_ids",), ("position_ids", "layer_type")):
            raise unknown(type(module), f"forward({', '.join(asked)})")
        if not hasattr(module, "config"):
            raise unknown(type(module), "no config")
    if not embeddings or not attentions:
        missing = "rotary embedding" if not embeddings else "attention that rotates by it"
        raise unknown(type(model), f"no {missing}")
    return Survey(embeddings, attentions)


def is_embedding(kind: type[Module]) -> bool:
    """Say whether a class that does not rotate is that of a rotary embedding, by its name."""
    return "Rotary" in kind.__name__


def _passes_on(kind: type[Module]) -> bool:
    """Say whether a class rotates by calling the forward of a class that it derives from."""
    forward: Any = inspect.unwrap(kind.forward)
    calls_super = "__class__" in getattr(getattr(forward, "__code__", None), "co_freevars", ())
    return calls_super and any(applications(base) for base in kind.__mro__[1:])


def unknown(kind: type[Module], what: str) -> NotImplementedError:
    """Return the error that names a class whose rotation is not known."""
    return NotImplementedError(
        f"model: expected modules of Transformers whose rotation is known; got {kind.__name__}, "
        f"with {what}; patch a part of the model without it, such as its language_model, or call "
        f"ropelab_cuda.torch.RotaryEmbedding in its code"
    )


def applications(kind: type[Module]) -> Mapping[str, Mapping[str, Rotate]]:
    """Return the functions by which a class rotates.

    Parameters
    ----------
    kind : type
        A class of modules.

    Returns
    -------
    mapping of str to mapping of str to function
        By the names of the methods that call them, and then by their own.

    Raises
    ------
    NotImplementedError
        If one has other parameters than those known here, is a method, does not do it alone, or
        cannot be taken from its method.
    """
    found: dict[str, dict[str, Rotate]] = {}
    for method, function in methods_of(kind):
        inner: Any = inspect.unwrap(function)
        for name in filter(_ROTATES.search, names_in(inner.__code__)):
            given = inner.__globals__.get(name)
            if not callable(given):
                raise unknown(kind, f"a rotation of its own, {name}")
            if parameters_of(given) not in REPLACEMENTS:
                raise unknown(kind, f"{name}({', '.join(parameters_of(given))})")
            found.setdefault(method, {})[name] = given
        if method in found and inner not in wrapped(function):
            raise unknown(kind, f"a {method} around one that it does not hold itself")
        misused = _strays(kind, inner, found.get(method, {}))
        if misused:
            raise unknown(kind, f"other uses of {', '.join(misused)}")
    return found


def _strays(kind: type[Module], inner: Any, names: Mapping[str, Rotate]) -> list[str]:
    try:
        return strays(inner, names)
    except OSError as error:
        raise unknown(kind, f"a {inner.__name__} without source text") from error


def parts_with_functions(kind: type[Module]) -> Iterator[object]:
    """Yield what a class by `with_functions` is made of, and does not see changed.

    Parameters
    ----------
    kind : type
        A class of attentions.

    Yields
    ------
    object
        As by `rebinding.parts_of`.
    """
    methods = dict(methods_of(kind))
    for method, functions in applications(kind).items():
        yield from (method, *functions.values(), *parts_of(methods[method], functions))


def with_functions(
    kind: type[Module],
    replacement: Callable[[str, Rotate], Rotate],
    recipe: tuple[Any, ...],
    *,
    copied: type[Module] | None = None,
) -> type[Module]:
    """Return a subclass of a class of attentions that rotates by other functions.

    Parameters
    ----------
    kind : type
        The class.
    replacement : callable
        Of a name and the function of that name, which returns the one to take its place.
    recipe : tuple
        As in `swapping.subclass`.
    copied : type, optional
        As there.

    Returns
    -------
    type
        The subclass.
    """
    methods, made = dict(methods_of(kind)), {}
    for method, functions in applications(kind).items():
        replaced = {name: replacement(name, function) for name, function in functions.items()}
        made[method] = rebound(methods[method], replaced)
    return subclass(kind, made, recipe, copied=copied)


def format_of(arguments: Mapping[str, Any]) -> str:
    """Return the format of queries and keys in a call of one of the functions known here.

    Parameters
    ----------
    arguments : mapping of str to object
        By parameter, with its defaults.

    Returns
    -------
    str
        The ``tensor_format``.
    """
    return _format(arguments["unsqueeze_dim"]) if "unsqueeze_dim" in arguments else "bshd"
