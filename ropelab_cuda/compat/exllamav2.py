"""ExLlamaV2's ``rope`` module: the frequencies that a loaded config asks for.

A config is any object with the attributes of ``ExLlamaV2Config``; `ropelab.from_exllamav2` reads
the file that it is loaded from.
"""

from __future__ import annotations

from typing import Any

import torch

from ropelab import Rope
from ropelab.checks import finite_real, positive_int
from ropelab.formats.dialect import share_of
from ropelab.scaling import Default, ExLlamaLongRoPE, ExLlamaYaRN, Llama3, NTKAware, Scaling
from ropelab.scaling.ntk import ntk_base

__all__ = [
    "get_rope_params",
    "get_rope_params_default",
    "get_rope_params_llama3",
    "get_rope_params_su",
    "get_rope_params_yarn",
]

Device = torch.device | str | int | None


def get_rope_params(device: Device, cfg: Any, base: float) -> tuple[torch.Tensor, float]:
    """Return the frequencies by the method that the config names.

    Parameters
    ----------
    device : torch.device
        Where the frequencies are put.
    cfg : ExLlamaV2Config
        Its ``alt_rope_method`` is ``"su"``, ``"llama3"`` or ``"yarn"``; anything else is the
        default. Its ``arch.lm.rope_freq_half`` asks for float16.
    base : float
        Base of the frequencies, before ``cfg.scale_alpha_value`` stretches it.

    Returns
    -------
    inv_freq : Tensor of float32 or float16, shape (d/2,)
        Radians per token of each pair.
    scaling_factor : float
        Multiplies cos and sin.

    Raises
    ------
    AttributeError
        If the config lacks an attribute that the method reads.
    TypeError, ValueError
        If a value has another type or range.
    """
    method = _METHODS.get(cfg.alt_rope_method, get_rope_params_default)
    inv_freq, scaling_factor = method(device, cfg, base)
    return inv_freq.half() if cfg.arch.lm.rope_freq_half else inv_freq, scaling_factor


def get_rope_params_default(device: Device, cfg: Any, base: float) -> tuple[torch.Tensor, float]:
    """Return the frequencies of a geometric series, its base stretched by alpha.

    Parameters
    ----------
    device, cfg, base : torch.device, ExLlamaV2Config, float
        As in `get_rope_params`. Here alpha stretches over the rotated channels, in the other
        methods over the whole head.

    Returns
    -------
    inv_freq, scaling_factor : Tensor of float32, float
        As in `get_rope_params`; the factor is 1.

    Raises
    ------
    AttributeError, TypeError, ValueError
        As in `get_rope_params`.
    """
    alpha = _alpha(cfg)
    return _numbers(device, cfg, base, Default() if alpha == 1.0 else NTKAware(alpha))


def get_rope_params_su(device: Device, cfg: Any, base: float) -> tuple[torch.Tensor, float]:
    """Return the frequencies of LongRoPE, its list chosen by the length that is loaded.

    Parameters
    ----------
    device, cfg, base : torch.device, ExLlamaV2Config, float
        As in `get_rope_params`.

    Returns
    -------
    inv_freq, scaling_factor : Tensor of float32, float
        As in `get_rope_params`; the factor is 1 up to ``cfg.original_max_seq_len`` tokens.

    Raises
    ------
    AttributeError, TypeError, ValueError
        As in `get_rope_params`.
    """
    rule = ExLlamaLongRoPE(cfg.scale_short_factor, cfg.scale_long_factor, cfg.original_max_seq_len)
    return _numbers(device, cfg, _stretched(base, cfg), rule, cfg.max_seq_len)


def get_rope_params_llama3(device: Device, cfg: Any, base: float) -> tuple[torch.Tensor, float]:
    """Return the frequencies of Llama 3.1: long wavelengths stretched, short ones kept.

    Parameters
    ----------
    device, cfg, base : torch.device, ExLlamaV2Config, float
        As in `get_rope_params`.

    Returns
    -------
    inv_freq, scaling_factor : Tensor of float32, float
        As in `get_rope_params`; the factor is 1.

    Raises
    ------
    AttributeError, TypeError, ValueError
        As in `get_rope_params`.
    """
    rule = Llama3(
        cfg.l3_rope_factor,
        cfg.l3_rope_low_freq_factor,
        cfg.l3_rope_high_freq_factor,
        cfg.l3_rope_original_max_position_embeddings,
    )
    return _numbers(device, cfg, _stretched(base, cfg), rule)


def get_rope_params_yarn(device: Device, cfg: Any, base: float) -> tuple[torch.Tensor, float]:
    """Return the frequencies of YaRN, its ramp laid out for the length that is loaded.

    Parameters
    ----------
    device, cfg, base : torch.device, ExLlamaV2Config, float
        As in `get_rope_params`.

    Returns
    -------
    inv_freq, scaling_factor : Tensor of float32, float
        As in `get_rope_params`; unscaled, with a factor of 1, up to
        ``cfg.yarn_rope_original_max_position_embeddings`` tokens.

    Raises
    ------
    AttributeError, TypeError, ValueError
        As in `get_rope_params`.
    """
    rule = ExLlamaYaRN(cfg.yarn_rope_factor, cfg.yarn_rope_original_max_position_embeddings)
    return _numbers(device, cfg, _stretched(base, cfg), rule, cfg.max_seq_len)


_METHODS = {
    "llama3": get_rope_params_llama3,
    "su": get_rope_params_su,
    "yarn": get_rope_params_yarn,
}


def _alpha(cfg: Any) -> float:
    """Return the NTK-aware stretch; None and 0 ask for none."""
    return finite_real(cfg.scale_alpha_value or 1.0, "scale_alpha_value", above=0.0)


def _stretched(base: float, cfg: Any) -> float:
    alpha, base = _alpha(cfg), finite_real(base, "base", above=0.0)
    return base if alpha == 1.0 else ntk_base(base, alpha, positive_int(cfg.head_dim, "head_dim"))


def _numbers(
    device: Device, cfg: Any, base: float, rule: Scaling, length: int | None = None
) -> tuple[torch.Tensor, float]:
    """Return the rule's numbers; `length` is what it is decided by, if by any."""
    width = positive_int(cfg.head_dim, "head_dim")
    turned = share_of(width, cfg.partial_rotary_factor, "partial_rotary_factor")
    rope = Rope(width, base=base, rotary_dim=turned, scaling=rule, max_position_embeddings=length)
    spectrum = rope.spectrum()
    inv_freq = torch.tensor(spectrum.inv_freq, dtype=torch.float32, device=device)
    return inv_freq, spectrum.attention_factor
