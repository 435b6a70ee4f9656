"""NeMo Automodel's ``llama.rope_utils``: cosines and sines by the values of the positions.

Angles are float32 products of position and frequency, as in the code that models were trained
with, in the plain path and in the fused one alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ropelab import Rope, Spectrum
from ropelab.checks import check_flag
from ropelab.formats.findings import warn_of
from ropelab.formats.nemo_automodel import read_nemo_automodel

from ..torch import apply_rotary_cached
from .tables import cos_sin

__all__ = [
    "LlamaRotaryEmbedding",
    "Qwen2RotaryEmbedding",
    "RotaryEmbedding",
    "apply_rotary_pos_emb",
    "apply_rotary_pos_emb_fused",
    "rotate_half",
]

# The attributes of a config that `ropelab.formats.nemo_automodel` looks at.
_READ = (
    *("head_dim", "hidden_size", "num_attention_heads", "partial_rotary_factor"),
    *("rope_theta", "rope_scaling", "rope_parameters"),
    *("rope_local_base_freq", "global_rope_theta", "local_rope_theta"),
    *("max_position_embeddings", "original_max_position_embeddings"),
)
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
    tables = (_first_half(table, name) for table, name in ((cos, "cos"), (sin, "sin")))
    return apply_rotary_cached(q, k, *tables, tensor_format="thd" if q.dim() == 3 else "bhsd")


def apply_rotary_pos_emb_fused(
    q: torch.Tensor, k: torch.Tensor, freqs_cis: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate queries and keys by the angles of their tokens.

    Parameters
    ----------
    q, k : Tensor of float, shape (batch, heads, sequence, head_dim)
        Queries and keys; k may have fewer heads.
    freqs_cis : Tensor of float, shape (sequence, 1, 1, d) or (sequence, batch, 1, d)
        Angles in radians, each twice, for both channels of its pair; the first is read. Rows past
        the sequence are not.

    Returns
    -------
    q, k : Tensor
        Rotated, each in its own dtype. Gradients flow to all three arguments.

    Raises
    ------
    TypeError, ValueError
        If a dtype or a shape does not fit.
    """
    shape, tokens = tuple(freqs_cis.shape), q.shape[-2]
    if q.dim() != 4 or len(shape) != 4 or shape[1] not in (1, len(q)) or shape[2] != 1:
        msg = (
            f"freqs_cis: expected (sequence, 1 or batch, 1, d), for q of (batch, heads, sequence, "
            f"head_dim); got {shape}, for q of {tuple(q.shape)}"
        )
        raise ValueError(msg)
    if shape[0] < tokens:
        msg = f"freqs_cis: expected a row for each of {tokens} tokens; got {shape[0]}"
        raise ValueError(msg)
    angles = _first_half(freqs_cis[:tokens, :, 0], "freqs_cis").float().transpose(0, 1)
    return apply_rotary_cached(q, k, angles.cos(), angles.sin(), tensor_format="bhsd")


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
        self.dtype = _dtype(config)
        self.max_seq_len_cached = 0
        values = _values(config)
        # Only the fused path, which has angles alone, cannot multiply by the attention factor.
        mended = _MENDED if self.rope_fusion else (*_MENDED, "attention_factor")
        findings = read_nemo_automodel(values, rope_fusion=True).findings
        warn_of(finding for finding in findings if finding.key not in mended)
        self._spectrum = _spectrum(values)
        self.attention_scaling = self._spectrum.attention_factor
        self._device = device
        self._cos_cache: torch.Tensor | None = None
        self._sin_cache: torch.Tensor | None = None

    @property
    def inv_freq(self) -> torch.Tensor:
        """Radians per token of each pair, float32, always afresh."""
        device = self._device if self._cos_cache is None else self._cos_cache.device
        return _frequencies(self._spectrum, device)

    def forward(
        self, x: torch.Tensor, position_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return cosines and sines of positions, and their angles if `rope_fusion` is set.

        Parameters
        ----------
        x : Tensor
            Hidden states, which say on which device.
        position_ids : Tensor of int, shape (batch, sequence)
            Position of each token. Negative ones, which no table has, need `rope_fusion`.

        Returns
        -------
        cos, sin : Tensor of the config's dtype, shape (batch, sequence, d)
            Each value twice, for both channels of its pair.
        freqs_cis : Tensor of float32, shape (sequence, 1, 1, d) or (sequence, batch, 1, d)
            Only with `rope_fusion`: angles in radians; the former shape if the batch has one row,
            or one expanded.

        Raises
        ------
        TypeError, ValueError
            If the positions are not integers, or out of range.
        """
        with torch.no_grad():
            ids = _integers(position_ids, x.device)
            if self.rope_fusion:
                return (*self._cos_sin(ids), self._angles(ids))
            smallest, largest = (int(end) for end in ids.aminmax()) if ids.numel() else (0, -1)
            if smallest < 0:
                msg = f"position_ids: expected positions >= 0; got {smallest}"
                raise ValueError(msg)
            self._ensure_cache(max(largest + 1, ids.shape[-1]), x.device)
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
        products = rows.float().unsqueeze(-1) * _frequencies(self._spectrum, ids.device)
        return _doubled(products).transpose(0, 1).unsqueeze(2).contiguous()


RotaryEmbedding = LlamaRotaryEmbedding
Qwen2RotaryEmbedding = LlamaRotaryEmbedding


def _get_rope_config(config: Any) -> tuple[float, Mapping[str, Any]]:
    """Return the base and the dictionary of the rule: rope_parameters, else rope_scaling."""
    values = _values(config)
    given = values.get("rope_parameters")
    if given:
        return given.get("rope_theta", 10000.0), given
    return values.get("rope_theta", 10000.0), values.get("rope_scaling") or {}


def _compute_default_inv_freq(
    config: Any, device: torch.device | None = None
) -> tuple[torch.Tensor, float]:
    """Return the unscaled frequencies, whatever rule the config names, and a factor of 1."""
    return _by_rule(config, device, {})


def _compute_llama3_inv_freq(
    config: Any, device: torch.device | None = None
) -> tuple[torch.Tensor, float]:
    """Return the frequencies of Llama 3's rule, whatever rule is named, and a factor of 1."""
    return _by_rule(config, device, {**_get_rope_config(config)[1], "rope_type": "llama3"})


def _by_rule(
    config: Any, device: torch.device | None, parameters: Mapping[str, Any]
) -> tuple[torch.Tensor, float]:
    base, _ = _get_rope_config(config)
    given = {"rope_scaling": None, "rope_parameters": {**parameters, "rope_theta": base}}
    spectrum = _spectrum({**_values(config), **given})
    return _frequencies(spectrum, device), spectrum.attention_factor


def _values(config: Any) -> Mapping[str, Any]:
    """Return what is read of a config, also where its class has it."""
    if isinstance(config, Mapping):
        return config
    return {name: getattr(config, name) for name in _READ if hasattr(config, name)}


def _spectrum(values: Mapping[str, Any]) -> Spectrum:
    rope = read_nemo_automodel(values).rope
    assert isinstance(rope, Rope)  # no config of Automodel's goes without
    return rope.spectrum()


def _dtype(config: Any) -> torch.dtype:
    """Return the dtype that a config names, by default float32."""
    named = config.get("torch_dtype") if isinstance(config, Mapping) else None
    found = getattr(config, "torch_dtype", named) or torch.float32
    found = getattr(torch, found, found) if isinstance(found, str) else found
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        msg = f"torch_dtype: expected a floating-point dtype; got {found!r}"
        raise TypeError(msg)
    return found


def _frequencies(spectrum: Spectrum, device: torch.device | None) -> torch.Tensor:
    return torch.tensor(spectrum.inv_freq, dtype=torch.float32, device=device)


def _doubled(values: torch.Tensor) -> torch.Tensor:
    return torch.cat((values, values), dim=-1)


def _first_half(table: torch.Tensor, name: str) -> torch.Tensor:
    """Return a table's first columns, one a pair."""
    half, odd = divmod(table.shape[-1], 2)
    if odd:
        msg = f"{name}: expected an even width, each value twice; got {table.shape[-1]}"
        raise ValueError(msg)
    return table[..., :half]


def _integers(position_ids: torch.Tensor, device: torch.device) -> torch.Tensor:
    dtype = position_ids.dtype
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        msg = f"position_ids: expected integers, since a position is exact; got {dtype}"
        raise TypeError(msg)
    return position_ids.to(device)
