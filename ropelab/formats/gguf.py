"""Reading the metadata of GGUF files as llama.cpp does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from numpy.typing import ArrayLike

from ..arrays import as_reals
from ..checks import check_choice, check_flag, finite_real, integer, positive_int
from ..rope import Rope
from ..scaling import Default, Linear, LongRoPE, NTKAware, Scaling, Stretched
from .dialect import section_axes
from .findings import Findings, Reading, warn_of
from .gguf_architectures import (
    ARCHITECTURES,
    EITHER,
    INTERLEAVED,
    LATENT,
    SAME_BASE_IN_WINDOWS,
    SAME_IN_WINDOWS,
    SECTIONS,
    WHOLE_HEAD,
    WITHOUT_ROPE,
    WOVEN,
)
from .gguf_yarn import SETTINGS, yarn
from .heads import channels

__all__ = ["from_gguf", "read_gguf"]

_TYPES = ("linear", "longrope", "none", "yarn")
_READ = frozenset(
    {
        "dimension_count",
        "dimension_count_swa",
        "dimension_sections",
        "freq_base",
        "freq_base_swa",
        "scale_linear",
        "scaling.attn_factor",
        "scaling.factor",
        "scaling.finetuned",
        "scaling.original_context_length",
        "scaling.type",
    }
)


def from_gguf(
    metadata: Mapping[str, Any],
    *,
    rope_freqs: ArrayLike | None = None,
    rope_factors_long: ArrayLike | None = None,
    rope_factors_short: ArrayLike | None = None,
    n_ctx: int | None = None,
    sliding: bool = False,
) -> Rope | None:
    """Return the rotary embedding that llama.cpp builds from a GGUF file's metadata.

    Parameters
    ----------
    metadata : mapping
        Key/value metadata, parsed: ``"general.architecture"``, ``"llama.rope.freq_base"`` and so
        on.
    rope_freqs : array-like of float, shape (d/2,), optional
        The tensor ``rope_freqs.weight``: divisors of the frequencies.
    rope_factors_long, rope_factors_short : array-like of float, shape (d/2,), optional
        The tensors of these names, LongRoPE's lists.
    n_ctx : int, optional
        Context size that the model is run with; by default the file's. Decides between the lists,
        for all positions.
    sliding : bool, default False
        Whether layers with a sliding window are meant, which have a base of their own.

    Returns
    -------
    Rope or None
        None for an architecture without rotary embedding.

    Raises
    ------
    TypeError, ValueError
        If a key is missing, a value has another type or range, or the architecture is unknown.

    Warns
    -----
    UserWarning
        For keys that llama.cpp does not read.

    References
    ----------
    .. [1] ggml-org, llama.cpp, ``src/llama-model.cpp``, ``src/llama-context.cpp``,
       ``ggml/src/ggml-cpu/ops.cpp``, as of llama_cpp_python 0.3.36.

    Examples
    --------
    >>> rope = from_gguf(
    ...     {"general.architecture": "llama", "llama.embedding_length": 4096,
    ...      "llama.attention.head_count": 32, "llama.rope.freq_base": 1e6}
    ... )
    >>> rope.head_dim, rope.layout
    (128, 'interleaved')
    """
    reading = read_gguf(
        metadata,
        rope_freqs=rope_freqs,
        rope_factors_long=rope_factors_long,
        rope_factors_short=rope_factors_short,
        n_ctx=n_ctx,
        sliding=sliding,
    )
    warn_of(reading.findings)
    return reading.rope


def read_gguf(
    metadata: Mapping[str, Any],
    *,
    rope_freqs: ArrayLike | None = None,
    rope_factors_long: ArrayLike | None = None,
    rope_factors_short: ArrayLike | None = None,
    n_ctx: int | None = None,
    sliding: bool = False,
) -> Reading:
    """Return what `from_gguf` does, with its findings instead of warnings.

    Parameters
    ----------
    metadata : mapping
        As there.
    rope_freqs, rope_factors_long, rope_factors_short : array-like of float, optional
        As there.
    n_ctx, sliding : int, bool, optional
        As there.

    Returns
    -------
    Reading
        The rope and the findings.

    Examples
    --------
    >>> read_gguf({"general.architecture": "gptj"})
    Reading(rope=None, findings=())
    """
    _check_mapping(metadata)
    name = metadata.get("general.architecture")
    _check_architecture(name)
    if name in WITHOUT_ROPE:
        return Reading(None)
    findings = Findings()
    prefix = f"{name}."
    given = {
        key[len(prefix) :]: value
        for key, value in metadata.items()
        if str(key).startswith(prefix) and value is not None
    }
    width, turned = _widths(given, str(name))
    limit = given.get("context_length")
    if check_flag(sliding, "sliding"):
        turned = channels(given.get("rope.dimension_count_swa", turned), "dimension_count_swa")
    _note_unread(given, str(name), findings)
    lists = (rope_freqs, rope_factors_long, rope_factors_short)
    axes = _axes(given, str(name), turned // 2, findings)
    rope = Rope(
        width,
        base=_base(given, str(name), sliding=sliding),
        rotary_dim=turned,
        scaling=_rule(given, str(name), _divisors(given, lists, n_ctx), sliding, findings),
        layout="interleaved" if name in INTERLEAVED and axes is None else "half",
        max_position_embeddings=limit,
        axes=axes,
    )
    return Reading(rope, tuple(findings))


def _check_mapping(metadata: object) -> None:
    if not isinstance(metadata, Mapping):
        msg = f"metadata: expected a mapping of keys and values; got {type(metadata).__name__}"
        if isinstance(metadata, (str, os.PathLike)):
            msg += "; read the file's metadata with the gguf package's GGUFReader and give those"
        raise TypeError(msg)


def _check_architecture(name: object) -> None:
    if isinstance(name, str) and name in ARCHITECTURES:
        return
    key = "general.architecture"
    expected = (
        f"{key}: expected one of llama.cpp's {len(ARCHITECTURES)} names, 'llama' for instance"
    )
    if name is None:
        msg = f"{expected}; the key is missing; give the metadata of the whole file"
        raise ValueError(msg)
    near = get_close_matches(str(name), ARCHITECTURES, n=1)
    mend = f"; did you mean {near[0]!r}?" if near else ""
    msg = f"{expected}; got {name!r}{mend}"
    raise ValueError(msg)


def _widths(given: Mapping[str, Any], name: str) -> tuple[int, int]:
    """Return the channels of a head and those that turn."""
    if name in LATENT:
        turned = channels(_needed(given, "rope.dimension_count"), "rope.dimension_count")
        return turned, turned
    if "attention.key_length" in given:
        width = channels(given["attention.key_length"], "attention.key_length")
    else:
        heads = _first_heads(_needed(given, "attention.head_count"))
        hidden = positive_int(_needed(given, "embedding_length"), "embedding_length")
        width = channels(hidden // heads, "embedding_length")
    turned = channels(given.get("rope.dimension_count", width), "rope.dimension_count")
    if name in WHOLE_HEAD and turned != width:
        msg = f"rope.dimension_count: expected {width}, the whole head, for {name}; got {turned}"
        raise ValueError(msg)
    return width, turned


def _first_heads(given: object) -> int:
    """Return the number of heads, that of the first layer where each has one, as llama.cpp does."""
    name = "attention.head_count"
    counts = given if isinstance(given, (list, tuple)) else [given]
    heads = [integer(count, name) for count in counts]
    return positive_int(heads[0] if heads else 0, name)


def _needed(given: Mapping[str, Any], key: str) -> Any:
    if key not in given:
        msg = f"{key}: expected this key after the architecture's name; the metadata lack it"
        raise ValueError(msg)
    return given[key]


def _base(given: Mapping[str, Any], name: str, *, sliding: bool) -> Any:
    base = given.get("rope.freq_base", 10_000.0)
    if not sliding:
        return base
    return given.get("rope.freq_base_swa", base if name in SAME_BASE_IN_WINDOWS else 10_000.0)


def _divisors(
    given: Mapping[str, Any],
    lists: tuple[ArrayLike | None, ArrayLike | None, ArrayLike | None],
    n_ctx: int | None,
) -> list[float] | None:
    """Return the divisors of frequencies: rope_freqs, or the list that the context size names."""
    freqs, long, short = lists
    if freqs is not None:
        return _list(freqs, "rope_freqs")
    if long is None and short is None:
        return None
    size = positive_int(_needed(given, "context_length") if n_ctx is None else n_ctx, "n_ctx")
    which = "long" if size > _original(given) else "short"
    chosen = long if which == "long" else short
    if chosen is None:
        msg = f"rope_factors_{which}: expected this tensor for a context of {size} tokens; got None"
        raise ValueError(msg)
    return _list(chosen, f"rope_factors_{which}")


def _list(tensor: ArrayLike, name: str) -> list[float]:
    values = as_reals(tensor, name)
    if values.ndim != 1:
        msg = f"{name}: expected shape (d/2,), one number a pair; got {values.shape}"
        raise ValueError(msg)
    return [finite_real(each, name, above=0.0) for each in values.tolist()]


def _original(given: Mapping[str, Any]) -> int:
    key = "rope.scaling.original_context_length"
    return positive_int(given.get(key, given.get("context_length", 0)), key)


def _rule(
    given: Mapping[str, Any],
    name: str,
    divisors: list[float] | None,
    sliding: bool,
    findings: Findings,
) -> Scaling:
    kind = given.get("rope.scaling.type", "linear")
    check_choice(kind, _TYPES, "rope.scaling.type")
    factor = given.get("rope.scaling.factor", given.get("rope.scale_linear", 0.0)) or 1.0
    stretch = 1.0 if kind == "none" else finite_real(factor, "rope.scaling.factor", above=0.0)
    if sliding and name not in SAME_IN_WINDOWS:
        return Default()
    if kind == "yarn":
        if divisors is not None:
            msg = "rope.scaling.type: expected no yarn beside divisors of frequencies; got both"
            raise ValueError(msg)
        return yarn(given, name, stretch, _original(given), findings)
    amplitude = finite_real(given.get("rope.scaling.attn_factor", 1.0), "attn_factor", above=0.0)
    rule = _unscaled(given, name)
    if divisors is not None or amplitude != 1.0:
        pairs = _widths(given, name)[1] // 2
        factors = [1.0] * pairs if divisors is None else divisors
        if len(factors) != pairs:
            msg = f"rope_freqs: expected {pairs} numbers, one a pair; got {len(factors)}"
            raise ValueError(msg)
        rule = LongRoPE(factors, factors, _original(given), attention_factor=amplitude)
    if stretch == 1.0:
        return rule
    return Linear(stretch) if rule == Default() else Stretched(rule, stretch)


def _unscaled(given: Mapping[str, Any], name: str) -> Scaling:
    """Hunyuan-VL's loader alone enlarges the base."""
    if name != "hunyuan_vl":
        return Default()
    alpha = finite_real(given.get("rope.scaling.alpha", 0.0), "rope.scaling.alpha")
    return NTKAware(alpha) if alpha > 0.0 else Default()


def _note_unread(given: Mapping[str, Any], name: str, findings: Findings) -> None:
    stretched = given.get("rope.scaling.type") == "yarn"
    read = {f"rope.{key}" for key in _READ} | {*(SETTINGS if stretched else ())}
    if name == "hunyuan_vl" and not stretched:
        read.add("rope.scaling.alpha")
    for key in sorted(given):
        if key.startswith("rope.") and key not in read:
            kind = "with" if stretched else "without"
            findings.add(key, f"{key}: llama.cpp does not read it for {name} {kind} yarn")


def _has_two(sections: object, key: str) -> bool:
    """Return whether time and height have pairs, which tells a file of images from one of text."""
    if not isinstance(sections, (list, tuple)):
        msg = f"{key}: expected a list of numbers of pairs; got {sections!r}"
        raise TypeError(msg)
    return len(sections) > 1 and min(integer(count, key) for count in sections[:2]) > 0


def _axes(
    given: Mapping[str, Any], name: str, pairs: int, findings: Findings
) -> tuple[int, ...] | None:
    """Return the position axes; there are four: time, height, width, and one that text has at 0."""
    key = "rope.dimension_sections"
    if name not in SECTIONS | WOVEN | EITHER:
        if key in given:
            findings.add(key, f"{key}: llama.cpp does not read it for {name}")
        return None
    if name in EITHER and not _has_two(given.get(key, ()), key):
        return None
    axes = section_axes(_needed(given, key), pairs, key)
    if name in WOVEN:
        axes = _woven(axes)
    if 3 in axes:
        findings.add(
            key,
            f"{key}: {axes.count(3)} pairs turn by the fourth position, which llama.cpp sets to 0 "
            f"for text, so they stand still; Transformers turns them by time",
        )
    return axes


def _woven(axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes of chunks dealt out in turn, the fourth one's where a chunk is used up."""
    sizes = [axes.count(axis) for axis in range(3)]
    return tuple(i % 3 if i < 3 * sizes[i % 3] else 3 for i in range(len(axes)))
