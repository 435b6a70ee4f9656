"""Giving one module of a model other methods, and taking them back.

Transformers looks up ``apply_rotary_pos_emb`` among the globals of a model's source file, which all
models of that class share. So neither the file nor the class is touched: a module becomes an
instance of a subclass whose methods are the old ones, with other globals (see `rebinding`).
It stays where it is in the model, with its parameters, buffers, hooks and name, and it is still an
instance of its class. What becomes of it is a property of its type alone, so copies and pickles
of the module keep it; and it is undone by giving back the type. What else is put into the source
file's globals after that, as by a test, such a module does not see; one that is swapped later does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any

from torch.nn import Module

__all__ = [
    "check_swappable",
    "maker_of",
    "methods_of",
    "recipe_of",
    "restore",
    "subclass",
    "swap",
    "swapped_from",
    "was_swapped_below",
]

_ORIGINAL, _RECIPE = "_ropelab_original", "_ropelab_recipe"


def methods_of(kind: type[Module]) -> Iterator[tuple[str, FunctionType]]:
    """Yield the methods of a class of modules, by name, but for those that all modules have.

    Parameters
    ----------
    kind : type
        The class.

    Yields
    ------
    str, function
        The method that instances have under that name.
    """
    seen: set[str] = set()
    for base in kind.__mro__:
        if base is Module:
            return
        for name, value in vars(base).items():
            if name not in seen and isinstance(value, FunctionType):
                yield name, value
            seen.add(name)


@dataclass(frozen=True)
class _Kind:
    """A class by `subclass`: copies keep it, and pickles make it anew."""

    kind: type[Module]
    recipe: tuple[Any, ...]

    def __deepcopy__(self, _: object) -> _Kind:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _kind_by, self.recipe


def _kind_by(maker: Callable[..., type[Module]], *arguments: Any) -> _Kind:
    return _Kind(maker(*arguments), (maker, *arguments))


def subclass(
    kind: type[Module],
    methods: Mapping[str, Callable[..., Any]],
    recipe: tuple[Any, ...],
    *,
    copied: type[Module] | None = None,
) -> type[Module]:
    """Return a subclass that has other methods and goes by the same name.

    Parameters
    ----------
    kind : type
        A class of modules.
    methods : mapping of str to function
        By name.
    recipe : tuple
        A function and its arguments, all of which can be pickled, that make this class. By it
        pickles of an instance come to their class, in a process that may have other sources.
    copied : type, optional
        The class of copies of an instance; by default the subclass.

    Returns
    -------
    type
        The subclass.
    """

    def __reduce_ex__(self: Any, _: object) -> tuple[Any, ...]:  # noqa: N807
        return _without_state, (_Kind(copied or made, recipe),), self.__getstate__()

    names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    own = {_ORIGINAL: kind, _RECIPE: recipe, "__reduce_ex__": __reduce_ex__}
    made: type[Module] = type(kind.__name__, (kind,), {**names, **own, **methods})
    return made


def _without_state(kind: Any, *arguments: Any) -> Module:
    """Return an instance of a class, given as older pickles do if there are arguments."""
    held = _kind_by(kind, *arguments) if arguments else kind
    made: Module = Module.__new__(held.kind)
    return made


def swapped_from(module: Module) -> type[Module] | None:
    """Return the class that a module had before it was swapped, or None if it was not."""
    original: type[Module] | None = vars(type(module)).get(_ORIGINAL)
    return original


def was_swapped_below(module: Module) -> bool:
    """Say whether somebody has changed the class of a module after it was swapped."""
    kind, *bases = type(module).__mro__
    return _ORIGINAL not in vars(kind) and any(_ORIGINAL in vars(base) for base in bases)


def recipe_of(kind: type[Module]) -> tuple[Any, ...]:
    """Return the recipe of a class that `subclass` has made, or no more than another class."""
    recipe: tuple[Any, ...] = vars(kind).get(_RECIPE, (kind,))
    return recipe


def maker_of(module: Module) -> Callable[..., type[Module]]:
    """Return the function that has made the class of a swapped module."""
    maker: Callable[..., type[Module]] = recipe_of(type(module))[0]
    return maker


def check_swappable(module: Module) -> None:
    """Raise ValueError if somebody has given a module a forward that does not call its class's."""
    if "forward" in vars(module) and not _bound(module):
        msg = (
            f"model: expected each {type(module).__name__} to have the forward of its class; got "
            f"one whose own is {vars(module)['forward']!r}; undo that, and patch first"
        )
        raise ValueError(msg)


def swap(module: Module, kind: type[Module]) -> None:
    """Make a module an instance of a class that `subclass` has made of its own.

    Parameters
    ----------
    module : torch.nn.Module
        Is changed, and so is what hooks of Accelerate have kept of it: the method of its class,
        in place of which they have put theirs.
    kind : type
        The class.
    """
    for name in _bound(module):
        vars(module)[name] = MethodType(kind.forward, module)
    module.__class__ = kind


def _bound(module: Module) -> list[str]:
    """Name the attributes of a module in which its class's forward is kept."""
    methods = {n: value for n, value in vars(module).items() if isinstance(value, MethodType)}
    forward = type(module).forward
    return [n for n, m in methods.items() if m.__func__ is forward and m.__self__ is module]


def restore(module: Module) -> None:
    """Undo `swap`."""
    original = swapped_from(module)
    assert original is not None
    swap(module, original)
