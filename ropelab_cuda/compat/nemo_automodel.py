"""NeMo Automodel's ``llama.rope_utils``: cosines and sines by the values of the positions.

Angles are float32 products of position and frequency, as in the code that models were trained
with, in the plain path and in the fused one alike.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ropelab.checks import check_choice, check_flag, positive_int
from ropelab.formats.findings import warn_of
from ropelab.formats.nemo_automodel import read_nemo_automodel
from ropelab.positions import Packed

from ..torch import apply_rotary_cached
from ..torch.plain import check_tensors
from ..torch.positions import listed
from ._nemo_frequencies import (
    compute_default_inv_freq,
    compute_llama3_inv_freq,
    dtype_of,
    frequencies,
    get_rope_config,
    spectrum_of,
    values_of,
)
from ._tables import cos_sin

__all__ = [
    "LlamaRotaryEmbedding",
    "Qwen2RotaryEmbedding",
    "RotaryEmbedding",
    "apply_rotary_pos_emb",
    "apply_rotary_pos_emb_fused",
    "rotate_half",
]

# Where Automodel's fused path falls short and this one does not.
_MENDED = ("rope_fusion", "torch_dtype")


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    """Return the second half of the channels, negated, before the first."""
    half = x.shape[-1] // 2
    return torch.cat((x[..., half:].neg(), x[..., :half]), dim=-1)


def apply_rotary_pos_emb(
    q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by the cosines and sines of their tokens.

    Parameters
    ----------
    q, k : Tensor of float, shape (batch, heads, sequence, head_dim) or (tokens, heads, head_dim)
        Queries and keys; k may have fewer heads.
    cos, sin : Tensor of float, shape (batch, sequence, d) or (tokens, d)
        Each value twice, for both channels of its pair; the first is read. Channels from d on
        pass through.

    Returns
    -------
    q, k : Tensor
        Rotated, each in its own dtype. Gradients flow to all four arguments.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit.
    """
    check_tensors(q=q, cos=cos, sin=sin)
    tables = _first_half(cos, "cos"), _first_half(sin, "sin")
    return apply_rotary_cached(q, k, *tables, tensor_format="thd" if q.dim() == 3 else "bhsd")


def apply_rotary_pos_emb_fused(
    q: torch.Tensor,
    k: torch.Tensor,
    freqs_cis: torch.Tensor,
    *,
    cu_seqlens: torch.Tensor | None = None,
    cp_size: int = 1,
    cp_rank: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by the angles of their tokens, or of packed tokens' positions.

    Parameters
    ----------
    q, k : Tensor of float, shape (batch, heads, sequence, head_dim) or (tokens, heads, head_dim)
        Queries and keys; k may have fewer heads.
    freqs_cis : Tensor of float, shape (sequence, 1, 1, d) or (sequence, batch, 1, d)
        Angles in radians, each twice, for both channels of its pair; the first is read. Rows past
        the sequence are not. Of packed tokens, row m of (length, 1, 1, d) is for position m.
    cu_seqlens : Tensor of int, shape (sequences + 1,), optional
        Cumulative lengths of the whole sequences, for packed tokens alone, which need it.
    cp_size, cp_rank : int, default 1 and 0
        Of packed tokens, which part of every sequence they are. Tokens of a batch have the angles
        of their own rank already.

    Returns
    -------
    q, k : Tensor
        Rotated, each in its own dtype. Gradients flow to all three tensors of floats.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit, or `cu_seqlens` is missing or has no place.
    """
    check_tensors(q=q, k=k, freqs_cis=freqs_cis)
    shape, is_packed = tuple(freqs_cis.shape), q.dim() == 3
    rows = (1,) if is_packed else (1, len(q))
    if q.dim() not in (3, 4) or len(shape) != 4 or shape[1] not in rows or shape[2] != 1:
        msg = (
            f"freqs_cis: expected (sequence, 1 or batch, 1, d) for q of (batch, heads, sequence, "
            f"head_dim), or (length, 1, 1, d) for q of (tokens, heads, head_dim); got {shape} for "
            f"q of {tuple(q.shape)}"
        )
        raise ValueError(msg)
    if is_packed == (cu_seqlens is None):
        msg = f"cu_seqlens: expected it for packed tokens alone; q has shape {tuple(q.shape)}"
        raise ValueError(msg)
    table = _first_half(freqs_cis[:, :, 0], "freqs_cis")
    table = table.to(torch.promote_types(table.dtype, torch.float32))
    if is_packed:
        ids = listed(Packed(cu_seqlens, cp_size=cp_size, cp_rank=cp_rank), q, "thd")
        angles = table[ids, 0]
    else:
        angles = table[: q.shape[2]].transpose(0, 1)
        if angles.shape[1] < q.shape[2]:
            msg = f"freqs_cis: expected a row for each of {q.shape[2]} tokens; got {shape[0]}"
            raise ValueError(msg)
    tensor_format = "thd" if is_packed else "bhsd"
    return apply_rotary_cached(q, k, angles.cos(), angles.sin(), tensor_format=tensor_format)


class LlamaRotaryEmbedding(nn.Module):
    """Cosines and sines for the models of Llama and Qwen2, in the dtype of their config.

    Tables are built when they are needed, and again where a model has moved; no ``.to`` or
    ``to_empty`` can spoil them, nor the frequencies.

    Parameters
    ----------
    config : object or mapping
        The model's config, such as a ``LlamaConfig`` or a ``Qwen2Config``.
    device : torch.device, optional
        Where `inv_freq` is, until tables are built.
    rope_fusion : bool, default False
        Whether `forward` gives angles too, for `apply_rotary_pos_emb_fused`.

    Raises
    ------
    TypeError, ValueError
        If a key is missing, or a value has another type or range.

    Warns
    -----
    UserWarning
        For everything that Transformers reads otherwise than Automodel.
    """

    def __init__(
        self, config: Any, device: torch.device | None = None, rope_fusion: bool = False
    ) -> None:
        super().__init__()
        self.rope_fusion = check_flag(rope_fusion, "rope_fusion")
        self.dtype = dtype_of(config)
        self.max_seq_len_cached = 0
        values = values_of(config)
        # Only the fused path, which has angles alone, cannot multiply by the attention factor.
        mended = _MENDED if self.rope_fusion else (*_MENDED, "attention_factor")
        findings = read_nemo_automodel(values, rope_fusion=True).findings
        warn_of(finding for finding in findings if finding.key not in mended)
        self._spectrum = spectrum_of(values)
        self._inv_freq = tuple(self._spectrum.inv_freq.tolist())  # which Dynamo can trace
        self.attention_scaling = self._spectrum.attention_factor
        self._device = device
        self._cos_cache: torch.Tensor | None = None
        self._sin_cache: torch.Tensor | None = None
        self._speeds: torch.Tensor | None = None

    @property
    def inv_freq(self) -> torch.Tensor:
        """Radians per token of each pair, float32, always afresh."""
        device = self._device if self._cos_cache is None else self._cos_cache.device
        return frequencies(self._inv_freq, device)

    def forward(
        self,
        x: torch.Tensor,
        position_ids: torch.Tensor,
        *,
        qkv_format: str = "bshd",
        cp_size: int = 1,
    ) -> tuple[torch.Tensor, torch.Tensor] | tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return cosines and sines of positions, and angles too if `rope_fusion` is set.

        Parameters
        ----------
        x : Tensor
            Hidden states, which say on which device.
        position_ids : Tensor of int, shape (batch, sequence) or (tokens,)
            Position of each token. Negative ones, which no table has, need `rope_fusion`.
        qkv_format : {"bshd", "thd"}, default "bshd"
            With `rope_fusion`, ``"thd"`` asks for the angles of packed tokens.
        cp_size : int, default 1
            Context-parallel ranks that share the packed tokens.

        Returns
        -------
        cos, sin : Tensor of the config's dtype, shape (batch, sequence, d) or (tokens, d)
            Each value twice, for both channels of its pair.
        freqs_cis : Tensor of float32, shape (sequence, 1, 1, d) or (sequence, batch, 1, d)
            Only with `rope_fusion`: angles in radians; the former shape if the batch has one row,
            or one expanded. For ``"thd"``, those of positions 0, 1, ... for all ranks' tokens.

        Raises
        ------
        TypeError, ValueError
            If the positions are not integers or out of range, or an option does not fit.
        """
        check_choice(qkv_format, ("bshd", "thd"), "qkv_format")
        ranks = positive_int(cp_size, "cp_size")
        check_tensors(x=x, position_ids=position_ids)
        with torch.no_grad():
            ids = _integers(position_ids, x.device)
            if not self.rope_fusion:
                return self._gathered(ids)
            if qkv_format == "bshd":
                return (*self._cos_sin(ids), self._angles(ids))
            ids = ids.reshape(-1)
            every = torch.arange(ranks * len(ids), device=ids.device)
            return (*self._cos_sin(ids), self._angles(every.unsqueeze(0)))

    def _gathered(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return rows of tables that reach as far as the largest position."""
        smallest, largest = (int(end) for end in ids.aminmax()) if ids.numel() else (0, -1)
        if smallest < 0:
            msg = f"position_ids: expected positions >= 0; got {smallest}"
            raise ValueError(msg)
        self._ensure_cache(max(largest + 1, ids.shape[-1]), ids.device)
        assert self._cos_cache is not None
        assert self._sin_cache is not None
        return self._cos_cache[ids], self._sin_cache[ids]

    def _ensure_cache(self, seq_len: int, device: torch.device) -> None:
        """Build tables of exactly `seq_len` positions, unless there are longer ones already."""
        built = self._cos_cache
        if built is None or built.device != device or seq_len > self.max_seq_len_cached:
            self._build_cache(max(seq_len, self.max_seq_len_cached), device)

    def _build_cache(self, seq_len: int, device: torch.device) -> None:
        """Build the tables of the first `seq_len` positions."""
        ids = torch.arange(seq_len, device=device)
        self._cos_cache, self._sin_cache = self._cos_sin(ids)
        self.max_seq_len_cached = seq_len

    def _cos_sin(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cos, sin = cos_sin(ids, self._spectrum, self.dtype, angles="float32")
        return _doubled(cos), _doubled(sin)

    def _angles(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the angles, with the batch at the second axis unless one row serves all."""
        if ids.dim() != 2:
            msg = f"position_ids: expected (batch, sequence); got {tuple(ids.shape)}"
            raise ValueError(msg)
        rows = ids[:1] if ids.stride(0) == 0 else ids
        if self._speeds is None or self._speeds.device != ids.device:  # copying them waits
            self._speeds = frequencies(self._inv_freq, ids.device)
        products = rows.float().unsqueeze(-1) * self._speeds
        return _doubled(products).transpose(0, 1).unsqueeze(2).contiguous()


RotaryEmbedding = LlamaRotaryEmbedding
Qwen2RotaryEmbedding = LlamaRotaryEmbedding
_compute_default_inv_freq = compute_default_inv_freq
_compute_llama3_inv_freq = compute_llama3_inv_freq
_get_rope_config = get_rope_config


def _doubled(values: torch.Tensor) -> torch.Tensor:
    return torch.cat((values, values), dim=-1)


def _first_half(table: torch.Tensor, name: str) -> torch.Tensor:
    """Return a table's first columns, one a pair."""
    width = table.shape[-1]
    if width % 2:
        msg = f"{name}: expected an even width, each value twice; got {width}"
        raise ValueError(msg)
    return table[..., : width // 2]


def _integers(position_ids: torch.Tensor, device: torch.device) -> torch.Tensor:
    dtype = position_ids.dtype
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        msg = f"position_ids: expected integers, which are exact; got {dtype}"
        raise TypeError(msg)
    return position_ids.to(device)
