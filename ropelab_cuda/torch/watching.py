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
from .swapping import check_swappable, restore, swap
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
            f"{name}: {layer.worst:.3g} eps of {layer.dtype} in {layer.applications} rotations"
            if layer.applications
            else f"{name}: no rotation"
            for name, layer in self.layers.items()
        )
        return "\n".join(lines)


@contextmanager
def watch(model: Module, *, angles: str | None = None) -> Iterator[RotaryErrors]:
    """Compare every rotation of a model with the specification, as long as the context lasts.

    Each is computed a second time on the host, which takes time, and is not to be compiled.

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
    RuntimeError
        In the forward pass, if a layer rotates by tables that no embedding of the model has made.

    Examples
    --------
    >>> with watch(model) as errors:  # doctest: +SKIP
    ...     model(input_ids)
    >>> print(errors)  # doctest: +SKIP
    model.layers.0.self_attn: 0.742 eps of bfloat16 in 1 rotations
    """
    if angles is not None:
        check_choice(angles, ANGLES, "angles")
    found = survey(model)
    errors = RotaryErrors({name: LayerErrors() for name in found.attentions})
    tables: deque[tuple[object, Turning]] = deque(maxlen=_TABLES)
    turners = {module: _turner(module, angles) for module in found.embeddings.values()}
    for module in found.attentions.values():
        check_swappable(module)
    hooks = [
        module.register_forward_hook(_remembering(turner, tables), with_kwargs=True)
        for module, turner in turners.items()
    ]
    for name, module in found.attentions.items():
        compare = _comparing(name, errors.layers[name], tables)
        swap(module, with_functions(type(module), compare, (_itself, type(module))))
    try:
        yield errors
    finally:
        for module in found.attentions.values():
            restore(module)
        for hook in hooks:
            hook.remove()


def _itself(kind: type[Module]) -> type[Module]:
    """Return the class that copies of a watched module have: they are not watched."""
    return kind


def _turner(embedding: Module, angles: str | None) -> Turner:
    held = held_turner(embedding)
    if held is None:
        return turner_of(embedding, ropes_of(embedding), angles or "float32")
    return Turner(held.ropes, held.axes, held.pair, angles or held.angles)


def _remembering(turner: Turner, tables: deque[tuple[object, Turning]]) -> Callable[..., None]:
    """Return a hook that remembers which positions an embedding's tables are for."""

    def hook(module: Module, args: Any, kwargs: Any, output: Any) -> None:
        given = inspect.signature(type(module).forward).bind(module, *args, **kwargs).arguments
        made = turner.turning(given["position_ids"], given.get("layer_type"))
        tables.append((output[0] if isinstance(output, tuple) else output, made))

    return hook


def _comparing(
    name: str, layer: LayerErrors, tables: deque[tuple[object, Turning]]
) -> Callable[[str, Callable[..., Any]], Callable[..., Any]]:
    """Return what wraps a layer's functions, so that their results are compared."""

    def wrapped(_: str, function: Callable[..., Any]) -> Callable[..., Any]:
        signature, third = inspect.signature(function), parameters_of(function)[2]

        @wraps(function)
        def compared(*args: Any, **kwargs: Any) -> Any:
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            given = call.arguments
            turnings = [made for table, made in tables if table is given[third]]
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
