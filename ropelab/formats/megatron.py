"""Reading the rotary arguments of Megatron-LM and Megatron Core."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..checks import check_choice, check_flag, finite_real, integer, positive_int
from ..rope import Rope
from ..scaling import DeepSeekYaRN, Linear, Llama3, Scaling, Stretched, YaRN
from .dialect import (
    layer_count,
    note_unread,
    rule_from,
    section_axes,
    share_of,
    yarn_amplitude,
)
from .findings import Findings, Reading, warn_of
from .heads import channels
from .sources import read_config

__all__ = ["from_megatron", "layers_from_megatron", "read_megatron"]

Arguments = Mapping[str, Any] | str | os.PathLike[str] | object

_EMBEDDINGS = ("learned_absolute", "mrope", "none", "relative", "rope", "yarn")
_ROTARY = ("mrope", "rope", "yarn")
# Arguments that are Megatron's; which of them matter depends on the embedding. The rest of the
# arguments of a training script is none of this reader's business, unless it looks like these.
_PREFIXES = ("mrope_", "rope_", "rotary_", "yarn_")
_KNOWN = frozenset(
    {
        *("mrope_section", "rope_scaling_factor", "rope_type", "rotary_base"),
        *("rotary_interleaved", "rotary_percent", "rotary_scaling_factor"),
        *("rotary_seq_len_interpolation_factor", "yarn_beta_fast", "yarn_beta_slow"),
        *("yarn_correction_range_round_to_int", "yarn_mscale", "yarn_mscale_all_dim"),
        *("yarn_original_max_position_embeddings", "yarn_rotary_scaling_factor"),
    }
)


def from_megatron(arguments: Arguments) -> Rope | None:
    """Return the rotary embedding that Megatron builds from its arguments.

    Parameters
    ----------
    arguments : mapping, path of a JSON file, or argparse namespace
        Arguments of a training script, or fields of a ``TransformerConfig``, by their names with
        underscores: ``rotary_base``, ``kv_channels``, ``use_rope_scaling`` and so on.

    Returns
    -------
    Rope or None
        None if ``position_embedding_type`` is not rotary.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range, or one is missing.

    Warns
    -----
    UserWarning
        For arguments that Megatron ignores.

    References
    ----------
    .. [1] NVIDIA, Megatron-LM, ``megatron/core/models/common/embeddings``,
       ``megatron/core/transformer/transformer_config.py``.

    Examples
    --------
    >>> from_megatron(
    ...     {"position_embedding_type": "rope", "kv_channels": 128, "rotary_base": 500000,
    ...      "use_rope_scaling": True}
    ... ).scaling  # doctest: +NORMALIZE_WHITESPACE
    Llama3(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
           original_max_position_embeddings=8192)
    """
    reading = read_megatron(arguments)
    warn_of(reading.findings)
    return reading.rope


def read_megatron(arguments: Arguments) -> Reading:
    """Return what `from_megatron` does, with its findings instead of warnings.

    Parameters
    ----------
    arguments : mapping, path of a JSON file, or argparse namespace
        As there.

    Returns
    -------
    Reading
        The rope and the findings.

    Examples
    --------
    >>> read_megatron({"position_embedding_type": "none"})
    Reading(rope=None, findings=())
    """
    findings = Findings()
    given = {key: value for key, value in read_config(arguments).items() if value is not None}
    kind = _embedding(given, findings)
    rotary = [key for key in given if key.startswith(_PREFIXES)]
    note_unread(rotary, _KNOWN, "any position_embedding_type", findings)
    if kind not in _ROTARY:
        return Reading(None, tuple(findings))
    if given.get("no_rope_freq"):
        findings.add(
            "no_rope_freq",
            "no_rope_freq: this is the rope of the layers that have one; layers_from_megatron "
            "says which they are",
        )
    if check_flag(given.get("multi_latent_attention", False), "multi_latent_attention"):
        return Reading(_latent(given, findings), tuple(findings))
    width = _head_dim(given)
    if kind == "yarn":
        return Reading(_yarn(given, width, findings), tuple(findings))
    share = finite_real(given.get("rotary_percent", 1.0), "rotary_percent", above=0.0)
    if share > 1.0:
        findings.add(
            "rotary_percent", f"rotary_percent: {share} has no effect, since it is above 1"
        )
    turned = share_of(width, min(share, 1.0), "rotary_percent")
    interleaved = check_flag(given.get("rotary_interleaved", False), "rotary_interleaved")
    if kind == "mrope" and interleaved:
        msg = "rotary_interleaved: expected False beside 'mrope', whose code fails with it"
        raise ValueError(msg)
    sections = given.get("mrope_section") if kind == "mrope" else None
    if kind == "mrope" and sections is None:
        msg = "mrope_section: 'mrope' needs it, as a list of three numbers of pairs"
        raise ValueError(msg)
    rope = Rope(
        width,
        base=given.get("rotary_base", 10_000.0),
        rotary_dim=turned,
        scaling=_rule(given, kind, findings),
        layout="interleaved" if interleaved else "half",
        max_position_embeddings=given.get("max_position_embeddings"),
        axes=None if sections is None else section_axes(sections, turned // 2, "mrope_section"),
    )
    return Reading(rope, tuple(findings))


def layers_from_megatron(arguments: Arguments) -> tuple[Rope | None, ...]:
    """Return the rotary embedding of each layer, None for a layer without.

    Parameters
    ----------
    arguments : mapping, path of a JSON file, or argparse namespace
        As in `from_megatron`, with ``num_layers``. In ``no_rope_freq`` a 1 marks a layer
        *without*; Transformers' ``no_rope_layers`` has it the other way round.

    Returns
    -------
    tuple of Rope or None
        One entry a layer.

    Raises
    ------
    TypeError, ValueError
        As `from_megatron`, or if ``no_rope_freq`` does not fit ``num_layers``.

    Examples
    --------
    >>> layers = layers_from_megatron(
    ...     {"position_embedding_type": "rope", "kv_channels": 64, "num_layers": 4,
    ...      "no_rope_freq": 4}
    ... )
    >>> [layer is not None for layer in layers]
    [True, True, True, False]
    """
    given = dict(read_config(arguments))
    if given.get("num_layers") is None:
        msg = "num_layers: expected the number of layers; the arguments lack it"
        raise ValueError(msg)
    layers = layer_count(given["num_layers"], "num_layers")
    skipped = _skipped(given.pop("no_rope_freq", None), layers)
    reading = read_megatron(given)
    warn_of(reading.findings)
    return tuple(None if skip else reading.rope for skip in skipped)


def _skipped(frequency: object, layers: int) -> list[bool]:
    """Return which layers go without; 1 means skip, and N skips every N-th."""
    if not frequency:
        return [False] * layers
    if isinstance(frequency, (list, tuple)):
        marks = [integer(mark, "no_rope_freq") for mark in frequency]
        if len(marks) != layers or not set(marks) <= {0, 1}:
            msg = f"no_rope_freq: expected {layers} marks, one a layer, each 0 or 1; got {marks}"
            raise ValueError(msg)
        return [mark == 1 for mark in marks]
    every = positive_int(frequency, "no_rope_freq")
    if layers % every:
        msg = f"no_rope_freq: expected a divisor of num_layers = {layers}; got {every}"
        raise ValueError(msg)
    return [layer % every == every - 1 for layer in range(layers)]


def _embedding(given: Mapping[str, Any], findings: Findings) -> str:
    name = "position_embedding_type"
    if name in given:
        check_choice(given[name], _EMBEDDINGS, name)
        return str(given[name])
    if given.get("use_rotary_position_embeddings"):
        return "rope"
    findings.add(
        name, f"{name}: missing; Megatron's default is 'learned_absolute', which has no rope"
    )
    return "learned_absolute"


def _head_dim(given: Mapping[str, Any]) -> int:
    if "kv_channels" in given:
        return channels(given["kv_channels"], "kv_channels", even=True)
    for name in ("hidden_size", "num_attention_heads"):
        if name not in given:
            msg = f"{name}: arguments without kv_channels need it, to know the width of a head"
            raise ValueError(msg)
    heads = positive_int(given["num_attention_heads"], "num_attention_heads")
    width, rest = divmod(positive_int(given["hidden_size"], "hidden_size"), heads)
    if rest:
        msg = f"hidden_size: expected a multiple of num_attention_heads = {heads}; or kv_channels"
        raise ValueError(msg)
    return channels(width, "hidden_size")


def _rule(given: Mapping[str, Any], kind: str, findings: Findings) -> Scaling | None:
    """Llama 3's rule of the one factor that can be given, interpolation, or both."""
    name = "rotary_seq_len_interpolation_factor"
    factor = given.get(name, given.get("seq_len_interpolation_factor"))
    stretch = None if factor is None else finite_real(factor, name, above=0.0)
    if not check_flag(given.get("use_rope_scaling", False), "use_rope_scaling"):
        return None if stretch is None else Linear(stretch)
    if kind == "mrope":
        findings.add("use_rope_scaling", "use_rope_scaling: not read beside 'mrope'")
        return None if stretch is None else Linear(stretch)
    llama = Llama3(given.get("rope_scaling_factor", 8.0), 1.0, 4.0, 8192)
    return llama if stretch is None else Stretched(llama, stretch)


def _yarn(given: Mapping[str, Any], width: int, findings: Findings) -> Rope:
    if check_flag(given.get("rotary_interleaved", False), "rotary_interleaved"):
        msg = "rotary_interleaved: expected False beside 'yarn', which Megatron refuses with it"
        raise ValueError(msg)
    for key in (
        "rotary_percent",
        "rotary_seq_len_interpolation_factor",
        "seq_len_interpolation_factor",
        "use_rope_scaling",
    ):
        if given.get(key, 1.0) not in (1.0, False):
            findings.add(key, f"{key}: {given[key]!r} has no effect beside 'yarn'")
    prefix = "yarn_"
    parameters = {
        "factor": given.get(f"{prefix}rotary_scaling_factor"),
        "original_max_position_embeddings": given.get(f"{prefix}original_max_position_embeddings"),
        "beta_fast": given.get(f"{prefix}beta_fast"),
        "beta_slow": given.get(f"{prefix}beta_slow"),
        "truncate": given.get(f"{prefix}correction_range_round_to_int"),
    }
    found: dict[str, Any] = {key: value for key, value in parameters.items() if value is not None}
    weights = (given.get(f"{prefix}mscale"), given.get(f"{prefix}mscale_all_dim"))
    found |= yarn_amplitude(found.get("factor"), *weights) if "factor" in found else {}
    return Rope(
        width,
        base=given.get("rotary_base", 10_000.0),
        scaling=rule_from(YaRN, found, "the arguments with the prefix yarn_"),
        max_position_embeddings=given.get("max_position_embeddings"),
    )


def _latent(given: Mapping[str, Any], findings: Findings) -> Rope:
    """Return the separate rotary part of multi-latent attention: pairs in, halves out."""
    kind = given.get("rope_type", "yarn")
    check_choice(kind, ("rope", "yarn"), "rope_type")
    width = channels(given.get("qk_pos_emb_head_dim", 64), "qk_pos_emb_head_dim", even=True)
    turned, rule = width, None
    all_dim = given.get("mscale_all_dim", 0.0)
    if kind == "rope":
        turned = share_of(width, given.get("rotary_percent", 1.0), "rotary_percent")
        factor = finite_real(given.get("rotary_scaling_factor", 40.0), "rotary_scaling_factor")
        if finite_real(all_dim, "mscale_all_dim") and factor > 1.0:
            findings.add(
                "mscale_all_dim",
                "mscale_all_dim: under rope_type 'rope' Megatron still multiplies the softmax "
                "scale by it; the rope has no such factor",
            )
    else:
        if "rotary_scaling_factor" not in given:
            msg = (
                "rotary_scaling_factor: expected a number, since its default is 1 in Megatron's "
                "arguments but 40 in MLATransformerConfig; the arguments lack it"
            )
            raise ValueError(msg)
        factor = given["rotary_scaling_factor"]
        amplitude = yarn_amplitude(factor, given.get("mscale", 1.0), all_dim)
        rule = DeepSeekYaRN(
            factor=factor,
            original_max_position_embeddings=given.get("original_max_position_embeddings", 4096),
            beta_fast=given.get("beta_fast", 32.0),
            beta_slow=given.get("beta_slow", 1.0),
            **{"mscale_all_dim": all_dim, **amplitude},
        )
    return Rope(
        width,
        base=given.get("rotary_base", 10_000.0),
        rotary_dim=turned,
        scaling=rule,
        layout="interleaved",
        output_layout="half",
        max_position_embeddings=given.get("max_position_embeddings"),
    )
