"""How the tokens of one forward pass are turned, by a rope and their positions."""

from __future__ import annotations

from typing import NoReturn

import torch

from ropelab import Rope, Spectrum

from .again import rotated_again
from .rotary import apply_rotary
from .spectra import SpectrumText
from .spectrum_for import spectrum_for

__all__ = ["Turning", "turning"]


class Turning:
    """What turns queries and keys in every layer, found once for all of them.

    In a patched model it is handed from layer to layer where cosines and sines would be. It is no
    tensor, so that whoever computes with those fails at once; its positions are integers, which no
    mixed precision rounds.

    Parameters
    ----------
    rope : Rope
        Widths and layouts.
    position_ids : torch.Tensor of int
        As in `ropelab_cuda.torch.apply_rotary`.
    spectrum : ropelab.Spectrum or SpectrumText
        By which the rope turns these positions.
    angles : {"exact", "float32"}
        The angle pipeline.
    """

    def __init__(
        self,
        rope: Rope,
        position_ids: torch.Tensor,
        spectrum: Spectrum | SpectrumText,
        angles: str,
    ) -> None:
        self.rope = rope
        self.position_ids = position_ids
        self.spectrum = spectrum
        self.angles = angles

    def __call__(
        self, q: torch.Tensor, k: torch.Tensor, tensor_format: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotate queries and keys, of whole heads or of their rotated channels alone.

        Parameters
        ----------
        q, k : torch.Tensor of float
            Their last axis is the rope's head_dim, or its rotary_dim.
        tensor_format : {"bshd", "bhsd", "sbhd", "thd"}
            Order of the axes.

        Returns
        -------
        q, k : torch.Tensor
            The rotated tensors.

        Raises
        ------
        ValueError
            If the last axis is another.
        """
        rope = self.rope
        width, widths = q.shape[-1], (rope.head_dim, rope.rotary_dim)
        for name, x in (("q", q), ("k", k)):
            if x.shape[-1] not in widths or x.shape[-1] != width:
                msg = (
                    f"{name}: expected the rope's head_dim or rotary_dim, {widths}, of q and k "
                    f"alike on the last axis; got shape {tuple(x.shape)}"
                )
                raise ValueError(msg)
        offset = rope.rotary_offset if width == rope.head_dim else 0
        how = (tensor_format, rope.layout, rope.output_layout, offset, False)
        made = rotated_again(q, k, self.position_ids, self.spectrum, self.angles, how)
        if made is not None:
            return made
        here = self.to(q.device)
        return apply_rotary(
            q,
            k,
            here.position_ids,
            here.spectrum,
            layout=rope.layout,
            tensor_format=tensor_format,
            angles=self.angles,
            output_layout=rope.output_layout,
            rotary_offset=offset,
        )

    def __getattr__(self, name: str) -> NoReturn:
        """Raise AttributeError, which tells whoever takes it for a tensor what it is."""
        msg = (
            f"{name}: expected cosines or sines; got the Turning that a patched rotary embedding "
            f"returns, for patched attentions alone; patch, or unpatch, all of the model"
        )
        raise AttributeError(msg, name=name, obj=self)

    def to(self, device: torch.device, **_: object) -> Turning:
        """Return it with its tensors on a device, as layers spread over devices need it.

        Parameters
        ----------
        device : torch.device
            Of queries and keys.
        **_ : object
            What else one may ask of ``torch.Tensor.to``; it is not read.

        Returns
        -------
        Turning
            Itself, if it is there already.
        """
        ids, spectrum = self.position_ids, self.spectrum
        if ids.device == device:
            return self
        if isinstance(spectrum, SpectrumText) and spectrum.numbers is not None:
            spectrum = SpectrumText(spectrum.text, spectrum.numbers.to(device))
        return Turning(self.rope, ids.to(device), spectrum, self.angles)


def turning(rope: Rope, position_ids: torch.Tensor, angles: str) -> Turning:
    """Return how a rope turns tokens at some positions.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    position_ids : torch.Tensor of int
        Of all tokens; a rule that depends on the length finds it here.
    angles : {"exact", "float32"}
        The angle pipeline.

    Returns
    -------
    Turning
        For one forward pass.
    """
    return Turning(rope, position_ids, spectrum_for(rope, position_ids), angles)
