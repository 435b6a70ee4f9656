"""Transformer Engine's ``pytorch.attention.rope``: tables of angles, and their application."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from ropelab import Rope, from_transformer_engine
from ropelab.checks import check_flag, integer
from ropelab.positions.common import count

from ..torch import apply_rotary_cached
from ..torch.constants import constant_by_identity
from ..torch.plain import check_tensors
from ._angle_rows import cos_sin_of_rows, rows_of_tokens

__all__ = [
    "RotaryPositionEmbedding",
    "apply_fused_qkv_rotary_pos_emb",
    "apply_rotary_pos_emb",
]


class RotaryPositionEmbedding(torch.nn.Module):
    """Make the table of angles that `apply_rotary_pos_emb` turns by.

    Parameters
    ----------
    dim : int
        Channels of a head.
    rotary_percent : float, default 1.0
        Share of them that turns.
    seq_len_interpolation_factor : int, optional
        Divides positions, if `pretrained_max_position_embeddings` is given too.
    pretrained_max_position_embeddings : int, optional
        Length of the pre-training context; in a table longer than it times the factor, positions
        are divided by how often it is longer instead.
    rotary_base : float, default 10000.0
        Base of the frequencies.
    interleaved : bool, default False
        Whether channels 2i and 2i + 1 form a pair.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    Warns
    -----
    UserWarning
        For arguments that have no effect, there as here.

    Examples
    --------
    >>> RotaryPositionEmbedding(4)(3, offset=5).shape
    torch.Size([3, 1, 1, 4])
    """

    inv_freq: torch.Tensor

    def __init__(
        self,
        dim: int,
        rotary_percent: float = 1.0,
        seq_len_interpolation_factor: int | None = None,
        pretrained_max_position_embeddings: int | None = None,
        rotary_base: float = 10_000.0,
        interleaved: bool = False,
    ) -> None:
        super().__init__()
        rope = from_transformer_engine(
            dim,
            rotary_percent,
            seq_len_interpolation_factor,
            pretrained_max_position_embeddings,
            rotary_base,
            interleaved,
        )
        assert rope is not None
        self.rope = rope
        self.rotary_base = rotary_base
        self.seq_len_interpolation_factor = seq_len_interpolation_factor
        self.pretrained_max_position_embeddings = pretrained_max_position_embeddings
        self.interleaved = interleaved
        # For checkpoints alone: angles come from the rope, whatever a cast makes of this.
        self.register_buffer("inv_freq", self._plain().to(_device(), torch.float32))

    def forward(self, max_seq_len: int, offset: int = 0) -> torch.Tensor:
        """Return the angle of each channel at each position.

        Parameters
        ----------
        max_seq_len : int
            Rows of the table, and the length that an interpolation looks at.
        offset : int, default 0
            Position of the first row.

        Returns
        -------
        Tensor of float32, shape (max_seq_len, 1, 1, d)
            Radians, not reduced; both channels of a pair have the same.

        Raises
        ------
        TypeError, ValueError
            If an argument is no integer, or `max_seq_len` negative.
        """
        length, first = count(max_seq_len, "max_seq_len"), integer(offset, "offset")
        seen = length if self.rope.scaling.depends_on_length and length else None
        device = self.inv_freq.device
        inv_freq = _inv_freq(self.rope, seen, device)
        positions = torch.arange(length, dtype=torch.float64, device=device) + first
        angles = (positions[:, None] * inv_freq).float()  # one rounding
        if self.interleaved:
            repeated = angles.repeat_interleave(2, dim=-1)
        else:
            repeated = torch.cat((angles, angles), dim=-1)
        return repeated[:, None, None]

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **more: Any
    ) -> None:
        """Refuse frequencies of other arguments, which would have no effect."""
        super()._load_from_state_dict(state_dict, prefix, *rest, **more)
        key = f"{prefix}inv_freq"
        given = state_dict.get(key)
        if given is None or given.is_meta or given.shape != self.inv_freq.shape:
            return
        # A checkpoint in bfloat16 has frequencies of 8 bits.
        exact, found = self._plain(), given.detach().to("cpu", torch.float64)
        if not torch.allclose(found, exact, rtol=2**-7, atol=0.0):
            rest[-1].append(
                f"{key}: expected the frequencies of rotary_base = {self.rotary_base}, which the "
                f"angles are made of; got others; construct the module with their base"
            )

    def _plain(self) -> torch.Tensor:
        """Return the frequencies before any interpolation, in float64."""
        spectrum = Rope(self.rope.rotary_dim, base=self.rope.base).spectrum()
        return torch.tensor(spectrum.inv_freq, device="cpu")  # whatever torch.device surrounds it


def apply_rotary_pos_emb(
    t: torch.Tensor,
    freqs: torch.Tensor,
    tensor_format: str = "sbhd",
    start_positions: torch.Tensor | None = None,
    interleaved: bool = False,
    fused: bool = False,
    cu_seqlens: torch.Tensor | None = None,
    cp_size: int = 1,
    cp_rank: int = 0,
) -> torch.Tensor:
    """Rotate queries or keys by rows of a table of angles.

    Parameters
    ----------
    t : Tensor of float, shape (s, b, h, D), (b, s, h, D) or (t, h, D)
        As `tensor_format` says.
    freqs : Tensor of float, shape (rows, 1, 1, d) or (rows, b, 1, d)
        Radians, both channels of a pair the same; d may be smaller than D.
    tensor_format : {"sbhd", "bshd", "thd"}, default "sbhd"
        Order of the axes.
    start_positions : Tensor of int, shape (sequences,), optional
        Row of the first token of each sequence.
    interleaved : bool, default False
        Whether channels 2i and 2i + 1 form a pair; that of the table.
    fused : bool, default False
        Makes no difference: there is one kernel, and one rounding.
    cu_seqlens : Tensor of int, shape (sequences + 1,), optional
        Where each sequence of a pack begins, before it is divided among ranks; needed, and read,
        under ``"thd"`` alone.
    cp_size : int, default 1
        Ranks that hold parts of the sequences.
    cp_rank : int, default 0
        The rank of `t`: of 2 `cp_size` pieces of each sequence it holds number `cp_rank`, counted
        from the front, and the one that has the same number from the back.

    Returns
    -------
    Tensor, shape and dtype of `t`
        The rotated tensor.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, or a token has no row.

    Examples
    --------
    >>> angles = RotaryPositionEmbedding(4)(7)
    >>> apply_rotary_pos_emb(torch.ones(7, 2, 3, 8), angles).shape
    torch.Size([7, 2, 3, 8])
    """
    check_tensors(t=t, freqs=freqs)
    check_flag(fused, "fused")
    shape = tuple(t.shape)
    rows = rows_of_tokens(
        *(shape, tensor_format, start_positions, cu_seqlens, cp_size, cp_rank, t.device)
    )
    layout = _layout(interleaved)
    cos, sin = cos_sin_of_rows(freqs, rows, layout, "freqs")
    return _turned(t, cos, sin, layout, tensor_format)


def apply_fused_qkv_rotary_pos_emb(
    qkv: torch.Tensor,
    q_freqs: torch.Tensor,
    k_freqs: torch.Tensor,
    qkv_split_arg_list: Sequence[int],
    tensor_format: str = "sbhd",
    start_positions: torch.Tensor | None = None,
    interleaved: bool = False,
    cu_seqlens: torch.Tensor | None = None,
    cp_size: int = 1,
    cp_rank: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Take queries, keys and values apart, and rotate the first two.

    Parameters
    ----------
    qkv : Tensor of float, shape (s, b, g, n D + D + V) or (b, s, g, n D + D + V)
        In each of g groups n queries, one key and one value.
    q_freqs, k_freqs : Tensor of float
        As `freqs` in `apply_rotary_pos_emb`.
    qkv_split_arg_list : sequence of int
        n D, D and V.
    tensor_format : {"sbhd", "bshd"}, default "sbhd"
        Order of the axes.
    start_positions : Tensor of int, shape (b,), optional
        As in `apply_rotary_pos_emb`.
    interleaved : bool, default False
        As in `apply_rotary_pos_emb`.
    cu_seqlens : Tensor of int, optional
        Not read, there as here.
    cp_size, cp_rank : int
        As in `apply_rotary_pos_emb`.

    Returns
    -------
    q : Tensor, shape (s, b, g n, D) or (b, s, g n, D)
        Rotated queries.
    k : Tensor, shape (s, b, g, D) or (b, s, g, D)
        Rotated keys.
    v : Tensor, shape (s, b, g, V) or (b, s, g, V)
        A copy of the values.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range, or a token has no row.
    """
    if tensor_format == "thd":
        msg = (
            "tensor_format: expected 'sbhd' or 'bshd'; got 'thd', which apply_rotary_pos_emb takes"
        )
        raise ValueError(msg)
    check_tensors(qkv=qkv, q_freqs=q_freqs, k_freqs=k_freqs)
    shape = tuple(qkv.shape)
    rows = rows_of_tokens(
        *(shape, tensor_format, start_positions, cu_seqlens, cp_size, cp_rank, qkv.device)
    )
    sizes = _sizes(qkv_split_arg_list, qkv.shape[-1])
    queries, k, v = torch.split(qkv, sizes, dim=-1)
    q = queries.reshape(*shape[:2], -1, sizes[1])
    values = v.clone(memory_format=torch.contiguous_format)
    layout = _layout(interleaved)
    tables = cos_sin_of_rows(q_freqs, rows, layout, "q_freqs")
    if k_freqs is q_freqs:
        words: dict[str, Any] = {"layout": layout, "tensor_format": tensor_format}
        return (*apply_rotary_cached(q, k, *tables, **words), values)
    others = cos_sin_of_rows(k_freqs, rows, layout, "k_freqs")
    q, k = (_turned(x, *each, layout, tensor_format) for x, each in ((q, tables), (k, others)))
    return q, k, values


def _device() -> torch.device:
    """Return the current CUDA device, as there, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def _listed(rope: Rope, seq_len: int | None) -> list[float]:
    inv_freq: list[float] = rope.spectrum(seq_len).inv_freq.tolist()
    return inv_freq


_frequencies = constant_by_identity(_listed)


@lru_cache(maxsize=64)
def _kept(rope: Rope, seq_len: int | None, device: torch.device) -> torch.Tensor:
    with torch.inference_mode(False):
        return torch.tensor(_listed(rope, seq_len), dtype=torch.float64, device=device)


def _inv_freq(rope: Rope, seq_len: int | None, device: torch.device) -> torch.Tensor:
    """Return frequencies on a device; a second call copies nothing, so that it can be captured."""
    if torch.compiler.is_compiling():
        return torch.tensor(_frequencies(rope, seq_len), dtype=torch.float64, device=device)
    return _kept(rope, seq_len, device)


def _layout(interleaved: bool) -> str:
    return "interleaved" if check_flag(interleaved, "interleaved") else "half"


def _turned(
    t: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, layout: str, tensor_format: str
) -> torch.Tensor:
    no_keys = t.narrow(-2, 0, 0)  # the heads' axis stands before the channels in each format
    turned, _ = apply_rotary_cached(
        t, no_keys, cos, sin, layout=layout, tensor_format=tensor_format
    )
    return turned


def _sizes(given: Sequence[int], width: int) -> list[int]:
    name = "qkv_split_arg_list"
    sizes = [count(size, name) for size in given]
    if len(sizes) != 3 or sum(sizes) != width or sizes[1] == 0 or sizes[0] % sizes[1]:
        msg = (
            f"{name}: expected the widths of queries, a key and a value, which sum up to the "
            f"{width} channels of qkv, the first a multiple of the second; got {list(given)}"
        )
        raise ValueError(msg)
    return sizes
