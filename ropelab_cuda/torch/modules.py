"""A rotary embedding as a module."""

from __future__ import annotations

import torch

from ropelab import Rope
from ropelab.checks import ANGLES, TENSOR_FORMATS, check_choice, check_head_dim, check_rope
from ropelab.positions import Packed

from .again import rotated_again
from .plain import check_tensors
from .positions import PositionIds, listed
from .spectrum_for import fixed_spectrum, spectrum_for
from .turning import Turning

__all__ = ["RotaryEmbedding"]


class RotaryEmbedding(torch.nn.Module):
    """A model's rotary embedding: rotates queries and keys by their positions.

    It has no parameter and no buffer, nothing that a cast, a device or a checkpoint could change:
    the frequencies are those of the rope after ``.to(torch.bfloat16)``, on the meta device and
    behind ``to_empty`` alike. There is no table either, and so no longest sequence.

    Parameters
    ----------
    rope : Rope
        From `ropelab.from_transformers` for instance.
    tensor_format : {"bshd", "bhsd", "sbhd", "thd"}, default "bshd"
        Order of the axes: b batch, s sequence, h heads, d head_dim, t packed tokens.
    angles : {"exact", "float32"}, default "exact"
        The angle pipeline; see `ropelab.cos_sin`.

    Raises
    ------
    TypeError
        If `rope` is no Rope.
    ValueError
        If an option is unknown.

    Examples
    --------
    >>> import torch
    >>> embedding = RotaryEmbedding(Rope(4))
    >>> q = torch.tensor([[[[1.0, 0.0, 0.0, 0.0]]]])  # one token, one head
    >>> embedding(q, q, torch.tensor([1]))[0].flatten().tolist()
    [0.5403022766113281, 0.0, 0.8414709568023682, 0.0]
    """

    def __init__(self, rope: Rope, *, tensor_format: str = "bshd", angles: str = "exact") -> None:
        check_rope(rope)
        check_choice(tensor_format, TENSOR_FORMATS, "tensor_format")
        check_choice(angles, ANGLES, "angles")
        super().__init__()
        self.rope = rope
        self.tensor_format = tensor_format
        self.angles = angles

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, position_ids: PositionIds
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotate queries and keys of the same tokens; their head counts may differ.

        Parameters
        ----------
        q, k : torch.Tensor of float
            Their last axis is the rope's head_dim.
        position_ids : torch.Tensor of int, Consecutive or Packed
            Position of each token, as in `ropelab.apply_rotary`. A rule that depends on the
            current length takes the largest of them plus one, without waiting for the device.

        Returns
        -------
        q, k : torch.Tensor
            The rotated tensors.

        Raises
        ------
        TypeError
            If a dtype is not supported.
        ValueError
            If a shape does not fit.
        """
        rope = self.rope
        if getattr(q, "is_nested", True):  # or no tensor at all: neither has a shape
            check_tensors(q=q)
        check_head_dim(q.shape, rope.head_dim)
        if not torch.compiler.is_dynamo_compiling() and (fixed := fixed_spectrum(rope)):
            how = (self.tensor_format, rope.layout, rope.output_layout, rope.rotary_offset, False)
            made = rotated_again(q, k, position_ids, fixed, self.angles, how)
            if made is not None:
                return made
        check_tensors(q=q, k=k)
        ids = of_all = listed(position_ids, q, self.tensor_format)
        if isinstance(position_ids, Packed) and position_ids.cp_size > 1:
            # The length is that of whole sequences, so that ranks agree; only the shape is read.
            tokens = q.new_empty((q.shape[0] * position_ids.cp_size, 1, 1))
            of_all = listed(position_ids.whole, tokens, "thd")
        turned = Turning(rope, ids, spectrum_for(rope, of_all), self.angles)
        return turned(q, k, self.tensor_format)

    def extra_repr(self) -> str:
        """Describe the rope.

        Returns
        -------
        str
            For ``print(model)``.
        """
        return f"{self.rope}, tensor_format={self.tensor_format!r}, angles={self.angles!r}"
