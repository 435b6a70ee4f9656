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

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch
from torch.nn import Module

from .swapping import kept, methods_of, rebound, subclass
from .turning import Turning

__all__ = [
    "REPLACEMENTS",
    "Survey",
    "applications",
    "format_of",
    "parameters_of",
    "survey",
    "unknown",
    "with_functions",
]

Pair = tuple[torch.Tensor, torch.Tensor]
Rotate = Callable[..., Pair]

_ROTATES = re.compile(r"apply\w*_rot")
# What attentions call the tables that they are given.
_TABLES = {"cos", "sin", "freqs_cis", "position_embeddings"}


def _by_tables(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: Turning,
    sin: Turning,  # noqa: ARG001
    unsqueeze_dim: int = 1,
) -> Pair:
    return cos(q, k, _format(unsqueeze_dim))


def _by_tables_or_positions(
    q: torch.Tensor,
    k: torch.Tensor,
    cos: Turning,
    sin: Turning,  # noqa: ARG001
    position_ids: torch.Tensor | None = None,  # noqa: ARG001
    unsqueeze_dim: int = 1,
) -> Pair:
    return cos(q, k, _format(unsqueeze_dim))


def _format(unsqueeze_dim: int) -> str:
    formats = {1: "bhsd", 2: "bshd"}
    if unsqueeze_dim not in formats:
        msg = f"unsqueeze_dim: expected 1 or 2, the axis of the heads; got {unsqueeze_dim}"
        raise ValueError(msg)
    return formats[unsqueeze_dim]


def _by_complex_table(xq: torch.Tensor, xk: torch.Tensor, freqs_cis: Turning) -> Pair:
    return freqs_cis(xq, xk, "bshd")


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
    embeddings: dict[str, Module] = {}
    attentions: dict[str, Module] = {}
    for name, module in model.named_modules():
        if applications(type(module)):
            attentions[name] = module
        elif "Rotary" in type(module).__name__:
            embeddings[name] = module
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


def unknown(kind: type[Module], what: str) -> NotImplementedError:
    """Return the error that names a class whose rotation is not known."""
    return NotImplementedError(
        f"model: expected modules of Transformers whose rotation is known; got {kind.__name__}, "
        f"with {what}; patch a part of the model without it, such as its language_model, or call "
        f"ropelab_cuda.torch.RotaryEmbedding in its code"
    )


@kept
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
        If one has other parameters than those known here, is a method, or does not do it alone.
    """
    found: dict[str, dict[str, Rotate]] = {}
    for method, function in methods_of(kind):
        inner: Any = inspect.unwrap(function)
        for name in filter(_ROTATES.search, inner.__code__.co_names):
            given = inner.__globals__.get(name)
            if not callable(given):
                raise unknown(kind, f"a rotation of its own, {name}")
            if parameters_of(given) not in REPLACEMENTS:
                raise unknown(kind, f"{name}({', '.join(parameters_of(given))})")
            found.setdefault(method, {})[name] = given
        if method in found:
            strays = _strays(inner, found[method].keys())
            if strays:
                raise unknown(kind, f"other uses of {', '.join(sorted(strays))}")
    return found


def with_functions(
    kind: type[Module],
    replacement: Callable[[str, Rotate], Rotate],
    recipe: tuple[Any, ...],
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

    Returns
    -------
    type
        The subclass.
    """
    methods, made = dict(methods_of(kind)), {}
    for method, functions in applications(kind).items():
        replaced = {name: replacement(name, function) for name, function in functions.items()}
        made[method] = rebound(methods[method], replaced)
    return subclass(kind, made, recipe)


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


def _strays(function: FunctionType, names: Collection[str]) -> set[str]:
    """Name the tables that a function uses for more than to rotate by them."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    known: set[ast.expr] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in names:
                arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
                known |= {_moved(argument) for argument in arguments}
        elif isinstance(node, ast.Assign):  # cos, sin = position_embeddings
            known.add(node.value)
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            known.add(node.left)  # None in a layer without rotation
    loads = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return {node.id for node in loads if node.id in _TABLES and node not in known}


def _moved(argument: ast.expr) -> ast.expr:
    """Return what an argument moves to another device, or the argument itself."""
    match argument:
        case ast.Call(func=ast.Attribute(value=inner, attr="to")):
            return inner
    return argument
