"""What a patched rotary embedding does in place of computing cosines and sines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import Module

from ropelab import Rope, layers_from_transformers

from .architectures import parameters_of, unknown
from .probing import returns_pair, with_own_frequencies
from .turning import Turning, turning

__all__ = ["Ropes", "Turner", "held_turner", "hold_turner", "ropes_of", "turner_of"]

Ropes = Mapping[str | None, Rope]
"""By type of layers; None if one rope serves all."""

_TURNER = "_ropelab_turner"


@dataclass(frozen=True)
class Turner:
    """What an embedding knows of its model.

    Parameters
    ----------
    ropes : mapping of str or None to Rope
        By which the layers of each type are turned.
    axes : int
        Of positions; 3 for M-RoPE.
    pair : bool
        Whether the model expects cosines and sines, rather than one complex table.
    angles : {"float32", "exact"}
        The angle pipeline.
    """

    ropes: Ropes
    axes: int
    pair: bool
    angles: str

    def turning(self, position_ids: torch.Tensor, layer_type: str | None) -> Turning:
        """Return how tokens are turned in one forward pass.

        Parameters
        ----------
        position_ids : torch.Tensor of int, shape (batch, sequence) or (axes, batch, sequence)
            As the model passes them.
        layer_type : str, optional
            For which layers.

        Returns
        -------
        Turning
            For all layers of that type.
        """
        if self.axes > 1:  # text has the same position on each
            position_ids = position_ids.expand(self.axes, -1, -1)
        return turning(self.ropes[layer_type], position_ids, self.angles)

    def __call__(
        self, position_ids: torch.Tensor, layer_type: str | None
    ) -> Turning | tuple[Turning, Turning]:
        """Return what stands for cosines and sines, in their place."""
        made = self.turning(position_ids, layer_type)
        return (made, made) if self.pair else made


def held_turner(embedding: Module) -> Turner | None:
    """Return the turner of a patched embedding, or None."""
    turner: Turner | None = vars(embedding).get(_TURNER)
    return turner


def hold_turner(embedding: Module, turner: Turner | None) -> None:
    """Give an embedding a turner, or take it away; copies and pickles of the embedding have it."""
    if turner is None:
        vars(embedding).pop(_TURNER, None)
    else:
        vars(embedding)[_TURNER] = turner


def ropes_of(embedding: Any) -> Ropes:
    """Return what the config of an embedding says of each type of layers that it serves.

    Parameters
    ----------
    embedding : torch.nn.Module
        Of a model that is not patched.

    Returns
    -------
    mapping of str or None to Rope
        At least one.

    Raises
    ------
    TypeError, ValueError
        If the config is refused; the class of the embedding is named.
    NotImplementedError
        If the embedding does not tell layers apart that the config does, or there are none.
    """
    kind = type(embedding)
    try:
        layers = layers_from_transformers(embedding.config)
    except (TypeError, ValueError) as error:
        msg = f"model: expected configs that can be read; got that of a {kind.__name__}: {error}"
        raise (TypeError if isinstance(error, TypeError) else ValueError)(msg) from error
    ropes = {name: rope for name, rope in layers.items() if rope is not None}
    by_layer = "layer_type" in parameters_of(kind.forward)
    if by_layer:
        ropes = {
            name: rope for name, rope in ropes.items() if hasattr(embedding, f"{name}_inv_freq")
        }
    elif len(set(ropes.values())) > 1:
        raise unknown(kind, f"one rotation for {', '.join(ropes)}, of which its config has several")
    if not ropes:
        raise unknown(kind, "a config that says of no rotation")
    return {name if by_layer else None: rope for name, rope in ropes.items()}


def turner_of(embedding: Module, ropes: Ropes, angles: str) -> Turner:
    """Return what an embedding is to do.

    Parameters
    ----------
    embedding : torch.nn.Module
        Of a model that is not patched.
    ropes : mapping of str or None to Rope
        As its config says.
    angles : {"float32", "exact"}
        The angle pipeline; with the first, the frequencies are the embedding's own.

    Returns
    -------
    Turner
        To be held by it.
    """
    axes = max(rope.spectrum().position_axes for rope in ropes.values())
    pair = returns_pair(embedding, next(iter(ropes)))
    if angles == "float32":
        ropes = {name: with_own_frequencies(embedding, name, rope) for name, rope in ropes.items()}
    return Turner(ropes, axes, pair, angles)
