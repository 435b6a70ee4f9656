"""Comparing every rotation of a model with the specification, while the model runs.

The errors are those of single rotations on the model's own activations; they do not add up from
layer to layer.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import Module

import ropelab
from ropelab.checks import ANGLES, check_choice
from ropelab.layouts import pair_channels
from ropelab.positions.token_positions import current_length

from .architectures import format_of, parameters_of, survey, with_functions
from .embeddings import Turner, held_turner, ropes_of, turner_of
from .swapping import check_swappable, maker_of, recipe_of, restore, swap, swapped_from
from .turning import Turning

__all__ = ["LayerErrors", "RotaryErrors", "watch"]

# Tables that are remembered: those of the layer types of several passes.
_TABLES = 32


@dataclass
class LayerErrors:
    """What has been seen of one layer.

    Parameters
    ----------
    worst : float
        The largest error of a pair over the norm of the pair, in eps of its dtype; infinite if a
        channel that is not rotated has changed, or a NaN has come in or gone.
    dtype : str
        Of queries and keys.
    applications : int
        Rotations of queries and keys that were compared.
    """

    worst: float = 0.0
    dtype: str = ""
    applications: int = 0


@dataclass
class RotaryErrors:
    """What `watch` has seen.

    Parameters
    ----------
    layers : dict of str to LayerErrors
        By the names of the attentions.
    """

    layers: dict[str, LayerErrors] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The largest error of all layers, in eps."""
        return max((layer.worst for layer in self.layers.values()), default=0.0)

    def __str__(self) -> str:
        """Return one line a layer."""
        lines = (
            f"{name}: {layer.worst:.3g} eps of {layer.dtype} in {layer.applications} "
            f"{'rotation' if layer.applications == 1 else 'rotations'}"
            if layer.applications
            else f"{name}: no rotation"
            for name, layer in self.layers.items()
        )
        return "\n".join(lines)


@contextmanager
def watch(model: Module, *, angles: str | None = None) -> Iterator[RotaryErrors]:
    """Compare every rotation of a model with the specification, as long as the context lasts.

    Each is computed a second time on the host, which takes time, and is not compiled: graphs of
    torch.compile break where a layer rotates, and with ``fullgraph=True`` it refuses. Copies of the
    model, made inside or after, are not watched.

    Parameters
    ----------
    model : torch.nn.Module
        A model that `patch` takes, patched or not.
    angles : {"float32", "exact"}, optional
        The angle pipeline to compare with; by default that of a patched model, and ``"float32"``
        for others.

    Yields
    ------
    RotaryErrors
        Filled while the model runs.

    Raises
    ------
    NotImplementedError
        As `patch` does.
    ValueError
        If somebody watches it already; or at the end, if the class of a layer was changed inside.
    RuntimeError
        In the forward pass, if a layer rotates by tables that no embedding of the model has made.

    Examples
    --------
    >>> with watch(model) as errors:  # doctest: +SKIP
    ...     model(input_ids)
    >>> print(errors)  # doctest: +SKIP
    model.layers.0.self_attn: 0.742 eps of bfloat16 in 1 rotation
    """
    if angles is not None:
        check_choice(angles, ANGLES, "angles")
    _check_unwatched(model)
    found = survey(model)
    errors = RotaryErrors({name: LayerErrors() for name in found.attentions})
    watched = _Watched()
    turners = {module: _turner(module, angles) for module in found.embeddings.values()}
    for module in found.attentions.values():
        check_swappable(module)
    hooks = [
        module.register_forward_hook(_Remembering(turner, watched), with_kwargs=True)
        for module, turner in turners.items()
    ]
    given = {}
    for name, module in found.attentions.items():
        compare, kind = _comparing(name, errors.layers[name], watched), type(module)
        recipe = (_itself, *recipe_of(kind))
        given[module] = with_functions(kind, compare, recipe, copied=kind)
        swap(module, given[module])
    try:
        yield errors
    finally:
        watched.ends = True
        for hook in hooks:
            hook.remove()
        for module, kind in given.items():
            if type(module) is kind:
                restore(module)
        _check_restored(given)


@dataclass
class _Watched:
    """Which tables a model's embeddings have made lately, for which positions."""

    tables: deque[tuple[object, Turning]] = field(default_factory=lambda: deque(maxlen=_TABLES))
    ends: bool = False


def _itself(kind: Callable[..., type[Module]], *arguments: Any) -> Any:
    """Return the class that pickles of a watched module have: they are not watched."""
    return kind(*arguments) if arguments else kind


def _check_unwatched(model: Module) -> None:
    if any(swapped_from(module) and maker_of(module) is _itself for module in model.modules()):
        msg = "model: expected one that nobody watches; got one inside of watch(model); leave it"
        raise ValueError(msg)


def _check_restored(given: dict[Module, type[Module]]) -> None:
    for module, kind in given.items():
        if issubclass(type(module), kind):
            msg = (
                f"model: expected the classes that watch has given it; got a "
                f"{type(module).__name__} whose class was changed inside; do that before"
            )
            raise ValueError(msg)


def _turner(embedding: Module, angles: str | None) -> Turner:
    held = held_turner(embedding)
    if held is None:
        return turner_of(embedding, ropes_of(embedding), angles or "float32")
    return Turner(held.ropes, held.axes, held.pair, angles or held.angles)


class _Remembering:
    """A hook that remembers which positions an embedding's tables are for."""

    def __init__(self, turner: Turner | None, watched: _Watched) -> None:
        self.turner = turner
        self.watched = watched

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def __call__(self, module: Module, args: Any, kwargs: Any, output: Any) -> None:
        if self.turner is None:
            return
        given = inspect.signature(type(module).forward).bind(module, *args, **kwargs).arguments
        made = self.turner.turning(given["position_ids"], given.get("layer_type"))
        table = output[0] if isinstance(output, tuple) else output
        self.watched.tables.append((table, made))

    def __reduce__(self) -> tuple[Any, ...]:
        """Have copies and pickles remember nothing."""
        return _Remembering, (None, _Watched(ends=True))


def _comparing(
    name: str, layer: LayerErrors, watched: _Watched
) -> Callable[[str, Callable[..., Any]], Callable[..., Any]]:
    """Return what wraps a layer's functions, so that their results are compared."""

    def wrapped(_: str, function: Callable[..., Any]) -> Any:
        signature, third = inspect.signature(function), parameters_of(function)[2]

        @torch.compiler.disable  # type: ignore[untyped-decorator]
        @wraps(function)
        def compared(*args: Any, **kwargs: Any) -> Any:
            if watched.ends:
                return function(*args, **kwargs)
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            given = call.arguments
            turnings = [made for table, made in watched.tables if table is given[third]]
            if not turnings:
                msg = f"{name}: expected tables of the model's embeddings; got others, not to watch"
                raise RuntimeError(msg)
            rotated = function(*args, **kwargs)
            for x, y in zip(list(given.values())[:2], rotated, strict=True):
                error = _worst_error(x, y, turnings[-1], format_of(given))
                layer.worst, layer.dtype = max(layer.worst, error), _name(x)
            layer.applications += 1
            return rotated

        return compared

    return wrapped


def _worst_error(x: torch.Tensor, y: torch.Tensor, turned: Turning, tensor_format: str) -> float:
    """Return the worst error of a pair over its norm, in eps."""
    rope = turned.rope
    ids = turned.position_ids.cpu()
    first = rope.rotary_offset if x.shape[-1] == rope.head_dim else 0
    expected = ropelab.apply_rotary(
        x.detach().cpu(),
        ids,
        rope.spectrum(current_length(ids, tuple(ids.shape))),
        layout=rope.layout,
        tensor_format=tensor_format,
        angles=turned.angles,
        output_layout=rope.output_layout,
        rotary_offset=first,
        dtype=np.float64,
    )
    actual = y.detach().cpu().double().numpy()
    rotated = slice(first, first + rope.rotary_dim)
    for rest in (slice(0, first), slice(rotated.stop, None)):
        if not np.array_equal(actual[..., rest], expected[..., rest], equal_nan=True):
            return float("inf")
    stays = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore", divide="ignore"):
        off = _pair_norms(np.where(stays, 0.0, actual - expected), rotated, rope)
        errors = np.where(off == 0.0, 0.0, off / _pair_norms(expected, rotated, rope))
    errors[np.isnan(errors)] = np.inf
    return float(errors.max(initial=0.0)) / ropelab.precision.eps(_name(x))


def _pair_norms(x: NDArray[Any], rotated: slice, rope: ropelab.Rope) -> NDArray[Any]:
    one, other = pair_channels(rope.output_layout or rope.layout, rope.rotary_dim)
    channels = x[..., rotated]
    norms: NDArray[Any] = np.hypot(channels[..., one], channels[..., other])
    return norms


def _name(x: torch.Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
