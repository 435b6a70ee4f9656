"""What the source text of a method does with the cosines and sines that it is given."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Collection, Iterator
from functools import cache
from types import CodeType, FunctionType

__all__ = ["strays"]

# What Transformers calls them, together and one by one.
PAIR, TABLES = "position_embeddings", {"cos", "sin", "freqs_cis", "position_embeddings"}


def strays(function: FunctionType, names: Collection[str]) -> list[str]:
    """Name the tables that a method uses for more than is known here.

    Parameters
    ----------
    function : function
        The method.
    names : collection of str
        The functions by which it rotates. If there is one, it may unpack the tables, move them to
        another device and rotate by them; if there is none, it may hand them on. It may always ask
        whether it has any.

    Returns
    -------
    list of str
        By the names that they have there.

    Raises
    ------
    OSError
        If there is no source text.
    """
    code = function.__code__
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return _strays(code, frozenset(names)) if names or PAIR in parameters else []


@cache
def _strays(code: CodeType, names: frozenset[str]) -> list[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    known = set(_known(tree, names))
    found = (node for node in ast.walk(tree) if _is_table(node) and node not in known)
    return sorted({node.id for node in found if isinstance(node, ast.Name)})


def _is_table(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in TABLES


def _known(tree: ast.AST, names: Collection[str]) -> Iterator[ast.AST]:
    """Yield every expression that uses a table as is known."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in names:
                yield from map(_moved, _arguments(node))
            case ast.Call() if not names:
                yield from _arguments(node)
            case ast.Assign(targets=[target], value=value) if names and _holds_tables(target):
                yield value  # cos, sin = position_embeddings
            case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()]):
                yield left  # None in a layer without rotation


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _moved(argument: ast.expr) -> ast.expr:
    """Return what an argument moves to another device, or the argument itself."""
    match argument:
        case ast.Call(func=ast.Attribute(value=inner, attr="to")):
            return inner
    return argument


def _holds_tables(target: ast.expr) -> bool:
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    return all(isinstance(part, ast.Name) and part.id in TABLES for part in parts)
