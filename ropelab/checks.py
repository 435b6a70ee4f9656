"""Argument checks that both packages make, on shapes and names rather than on arrays.

Every message has the same form: the argument's name, what was expected, what came, the mend.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "ANGLES",
    "LAYOUTS",
    "TENSOR_FORMATS",
    "TensorFormat",
    "check_channels",
    "check_choice",
    "check_flag",
    "check_head_dim",
    "check_layout",
    "check_norm_weight",
    "check_position_axes",
    "check_positions",
    "check_rope",
    "check_rotary_offset",
    "check_same_tokens",
    "check_scale",
    "check_slots_shape",
    "check_table",
    "check_width",
    "finite_real",
    "heads",
    "integer",
    "pair_of_scales",
    "positive_int",
    "real_within",
    "token_shape",
]

LAYOUTS = ("half", "interleaved")
# What others call them, without case, hyphens and underscores; "norm" is llama.cpp's.
_SYNONYMS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("gptneox", "neox", "rotatehalf"), "half"),
        **dict.fromkeys(("complex", "gptj", "interleave", "norm"), "interleaved"),
    }
)
ANGLES = ("exact", "float32")


class TensorFormat(NamedTuple):
    """Which axis of a query or key tensor is which; the last one is always head_dim."""

    token_axes: tuple[int, ...]
    head_axis: int

    @property
    def ndim(self) -> int:
        """Number of axes, head_dim included."""
        return len(self.token_axes) + 2


TENSOR_FORMATS: Mapping[str, TensorFormat] = MappingProxyType(
    {
        "bshd": TensorFormat(token_axes=(0, 1), head_axis=2),
        "bhsd": TensorFormat(token_axes=(0, 2), head_axis=1),
        "sbhd": TensorFormat(token_axes=(1, 0), head_axis=2),
        "thd": TensorFormat(token_axes=(0,), head_axis=1),
    }
)
_LEAST_SCALE = 2.0**-126
_TOO_MANY = 2**63  # NumPy counts in int64
_NOT_REAL = (
    *(bool, np.bool_, str, bytes, complex, np.complexfloating, type),
    *(np.datetime64, np.timedelta64, np.void),
)
AXIS_WORDS = {"b": "batch", "s": "sequence", "h": "heads", "t": "tokens", "d": "head_dim"}


def check_choice(value: object, choices: Iterable[str], name: str) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    options = tuple(choices)
    if not isinstance(value, str) or value not in options:
        expected = ", ".join(repr(option) for option in options)
        msg = f"{name}: expected one of {expected}; got {value!r}"
        raise ValueError(msg)


def check_layout(value: object, name: str = "layout") -> None:
    """Raise ValueError unless `value` is a layout; say how one of another name is called here."""
    plain = re.sub("[-_ ]", "", value.casefold()) if isinstance(value, str) else ""
    if plain in _SYNONYMS:
        msg = (
            f"{name}: expected one of {', '.join(map(repr, LAYOUTS))}; got {value!r}; "
            f"{value!r} is called {_SYNONYMS[plain]!r} here"
        )
        raise ValueError(msg)
    check_choice(value, LAYOUTS, name)


def token_shape(shape: tuple[int, ...], tensor_format: str, name: str) -> tuple[int, ...]:
    """Return (batch, sequence), or (tokens,) for ``"thd"``, of a tensor of that shape."""
    check_choice(tensor_format, TENSOR_FORMATS, "tensor_format")
    axes = TENSOR_FORMATS[tensor_format]
    if len(shape) != axes.ndim:
        words = ", ".join(AXIS_WORDS[letter] for letter in tensor_format)
        msg = (
            f"{name}: tensor_format {tensor_format!r} expects {axes.ndim} axes ({words}); "
            f"got shape {tuple(shape)}; reshape it or name its tensor_format"
        )
        raise ValueError(msg)
    return tuple(shape[axis] for axis in axes.token_axes)


def heads(shape: tuple[int, ...], tensor_format: str) -> int:
    """Return the number of heads of a tensor of that shape."""
    return shape[TENSOR_FORMATS[tensor_format].head_axis]


def check_width(rotary_dim: int, head_dim: int, name: str) -> None:
    """Raise ValueError unless `rotary_dim` channels fit into a head."""
    if rotary_dim > head_dim:
        msg = (
            f"{name}: head_dim (the last axis) is {head_dim}, smaller than the rotary_dim "
            f"{rotary_dim} = 2 * {rotary_dim // 2} frequencies; "
            f"expected head_dim >= rotary_dim; use at most {head_dim // 2} frequencies"
        )
        raise ValueError(msg)


def check_rope(rope: object) -> None:
    """Raise TypeError unless `rope` has what a rotation reads of a Rope, whose room is above."""
    read = ("head_dim", "layout", "output_layout", "rotary_offset", "scaling", "spectrum")
    if all(hasattr(rope, name) for name in read):
        return
    mend = "a config gives one by ropelab.from_transformers"
    if rope is None:
        mend = "None stands for a layer without rotary embedding: leave its q and k as they are"
    msg = f"rope: expected a ropelab.Rope; got {type(rope).__name__}; {mend}"
    raise TypeError(msg)


def check_head_dim(shape: tuple[int, ...], head_dim: int, name: str = "q") -> None:
    """Raise ValueError unless a tensor of that shape has the heads of a rope."""
    if shape and shape[-1] != head_dim:
        msg = f"{name}: expected head_dim {head_dim} as the rope says; got shape {tuple(shape)}"
        if shape[-1] > head_dim:
            first = shape[-1] - head_dim
            msg += (
                f"; if the rotated part comes last, as in DeepSeek-V3, pass {name}[..., {first}:]"
            )
        raise ValueError(msg)


def check_rotary_offset(value: object, rotary_dim: int, head_dim: int) -> int:
    """Return `value` as an int, or raise unless `rotary_dim` channels of a head follow it."""
    first = integer(value, "rotary_offset")
    if not 0 <= first <= head_dim - rotary_dim:
        msg = (
            f"rotary_offset: expected 0 to {head_dim - rotary_dim}, so that {rotary_dim} channels "
            f"follow it in a head of {head_dim}; got {first}"
        )
        raise ValueError(msg)
    return first


def check_positions(
    shape: tuple[int, ...], tokens: tuple[int, ...], *, axes: int = 1, name: str = "position_ids"
) -> None:
    """Raise ValueError unless positions of that shape broadcast to the tokens.

    Parameters
    ----------
    shape : tuple of int
        Shape of the position ids; with ``axes > 1`` its first entry counts the axes, and another
        follows, lest the positions of a few tokens be taken for those of the axes.
    tokens : tuple of int
        (batch, sequence) or (tokens,).
    axes : int, default 1
        Number of position axes that the spectrum names.
    name : str, default "position_ids"
        What the message calls them.
    """
    check_position_axes(shape, axes, tokens, name)
    given = shape if axes == 1 else shape[1:]
    if not _broadcasts(given, tokens):
        words = "(batch, sequence)" if len(tokens) == 2 else "(tokens,)"
        msg = (
            f"{name}: expected a shape that broadcasts to {words} = {tokens}; got {tuple(given)}; "
            f"pass one position a token"
        )
        raise ValueError(msg)


def check_slots_shape(shape: tuple[int, ...], tokens: tuple[int, ...]) -> None:
    """Raise ValueError unless slots of that shape broadcast to the tokens."""
    if not _broadcasts(shape, tokens):
        words = "(batch, sequence)" if len(tokens) == 2 else "(tokens,)"
        msg = (
            f"slots: expected a shape that broadcasts to {words} = {tokens}; got {tuple(shape)}; "
            f"pass one slot a token, -1 where nothing is to be written"
        )
        raise ValueError(msg)


def check_position_axes(
    shape: tuple[int, ...],
    axes: int,
    tokens: tuple[int, ...] | None = None,
    name: str = "position_ids",
) -> None:
    """Raise ValueError unless the first axis of positions counts the axes that a spectrum names.

    With `tokens` an axis of theirs must follow it.
    """
    if axes > 1 and (len(shape) < (1 if tokens is None else 2) or shape[0] != axes):
        whole = f"({axes}, ...)"
        if tokens is not None:
            whole += f" of 2 axes or more, broadcastable to {(axes, *tokens)}"
        msg = (
            f"{name}: expected shape {whole}, since the spectrum turns pairs by {axes} position "
            f"axes; got {tuple(shape)}; stack one array of positions an axis; for text alone: "
            f"np.broadcast_to(position_ids, ({axes}, *position_ids.shape))"
        )
        raise ValueError(msg)


def check_table(shape: tuple[int, ...], tokens: tuple[int, ...], head_dim: int, name: str) -> None:
    """Raise ValueError unless a table of that shape holds one value a pair for the tokens."""
    words = "(batch, sequence)" if len(tokens) == 2 else "(tokens,)"
    if not shape or shape[-1] == 0 or not _broadcasts(shape[:-1], tokens):
        msg = (
            f"{name}: expected shape (..., d/2) whose first axes broadcast to {words} = {tokens}; "
            f"got {tuple(shape)}; give it one row a token"
        )
        raise ValueError(msg)
    width = shape[-1]
    if 2 * width > head_dim:
        msg = (
            f"{name}: expected at most {head_dim // 2} columns, one a pair of {head_dim} channels; "
            f"got {width}; tables that repeat them, as Transformers' do, are taken by "
            f"repeated=True"
        )
        raise ValueError(msg)


def _broadcasts(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Return whether a shape broadcasts to another without changing it."""
    return len(given) <= len(wanted) and all(
        a in (1, b) for a, b in zip(reversed(given), reversed(wanted), strict=False)
    )


def check_channels(
    shape: tuple[int, ...], rotary_dim: object, axis: object, name: str = "x"
) -> tuple[int, int]:
    """Return the axis of the channels and how many of them are rotated, by default all.

    Parameters
    ----------
    shape : tuple of int
        Of a tensor.
    rotary_dim : int, optional
        As a caller said it; unchecked.
    axis : int
        Likewise; from the end if negative.
    name : str, default "x"
        What messages call the tensor.

    Returns
    -------
    axis, rotary_dim : int
        A nonnegative axis, and an even number of channels that it holds.
    """
    place = integer(axis, "axis")
    if not -len(shape) <= place < len(shape):
        msg = f"axis: expected an axis of {name}, whose shape is {tuple(shape)}; got {place}"
        raise ValueError(msg)
    width = shape[place] if rotary_dim is None else rotary_dim
    d = positive_int(width, "rotary_dim", even=True)
    check_width(d, shape[place], name)
    return place % len(shape), d


def check_same_tokens(
    q_shape: tuple[int, ...], k_shape: tuple[int, ...], tensor_format: str
) -> None:
    """Raise ValueError unless q and k agree in everything but their number of heads."""
    if token_shape(q_shape, tensor_format, "q") != token_shape(k_shape, tensor_format, "k"):
        msg = (
            f"k: expected the same tokens as q, whose shape is {tuple(q_shape)}; got shape "
            f"{tuple(k_shape)} (tensor_format {tensor_format!r}); only the heads may differ"
        )
        raise ValueError(msg)
    if q_shape[-1] != k_shape[-1]:
        msg = (
            f"k: expected the head_dim of q, {q_shape[-1]}; got {k_shape[-1]}; "
            f"rotate tensors of different head_dim by two calls of apply_rotary"
        )
        raise ValueError(msg)


def check_norm_weight(
    shape: tuple[int, ...], heads: int, head_dim: int, name: str, *, across_heads: bool
) -> None:
    """Raise ValueError unless weights of that shape fit the channels that a norm covers."""
    fitting = ((heads, head_dim), (heads * head_dim,)) if across_heads else ((head_dim,),)
    if tuple(shape) not in fitting:
        words = "(heads, head_dim) or (heads * head_dim,)" if across_heads else "(head_dim,)"
        mend = "norm each head" if across_heads else "norm all heads of a token together"
        msg = (
            f"{name}: expected shape {words} = {' or '.join(map(str, fitting))}; got "
            f"{tuple(shape)}; across_heads={not across_heads} would {mend}"
        )
        raise ValueError(msg)


def check_scale(value: object, name: str = "scale") -> float:
    """Return `value` as a float, or raise unless float32 holds it and its inverse, both normal."""
    scale = finite_real(value, name, above=0.0)
    if not _LEAST_SCALE <= scale <= 1.0 / _LEAST_SCALE:
        msg = f"{name}: expected a positive finite number from 2**-126 to 2**126; got {scale!r}"
        raise ValueError(msg)
    return scale


def pair_of_scales(value: object) -> tuple[tuple[str, object], tuple[str, object]]:
    """Return the names and values, unchecked, of the scales of q and k: one for both, or a pair."""
    if not isinstance(value, (tuple, list)):
        return ("scale", value), ("scale", value)
    if len(value) != 2:
        msg = f"scale: expected one number, or a pair of them for q and k; got {len(value)}"
        raise ValueError(msg)
    return ("scale[0]", value[0]), ("scale[1]", value[1])


def check_flag(value: object, name: str) -> bool:
    """Return `value` as a bool, or raise TypeError unless it is one."""
    if not isinstance(value, (bool, np.bool_)):
        msg = f"{name}: expected True or False; got {value!r} of type {type(value).__name__}"
        raise TypeError(msg)
    return bool(value)


def integer(value: object, name: str, kind: str = "an integer") -> int:
    """Return `value` as an int, or raise TypeError unless it is an integer and no bool."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        msg = f"{name}: expected {kind}; got {value!r} of type {type(value).__name__}"
        raise TypeError(msg) from None


def positive_int(value: object, name: str, *, even: bool = False) -> int:
    """Return `value` as an int, or raise unless it is a positive (even) integer."""
    kind = "a positive even integer" if even else "a positive integer"
    number = integer(value, name, kind)
    if number >= _TOO_MANY:
        msg = f"{name}: expected {kind} below 2**63; got one of {number.bit_length()} bits"
        raise ValueError(msg)
    if number <= 0 or (even and number % 2):
        msg = f"{name}: expected {kind}; got {number}"
        raise ValueError(msg)
    return number


def finite_real(value: object, name: str, *, above: float = -math.inf) -> float:
    """Return `value` as a float, or raise unless it is a finite number greater than `above`."""
    number: Any = value[()] if isinstance(value, np.ndarray) else value  # 0-d arrays are numbers
    is_number = hasattr(number, "__float__") and not isinstance(number, _NOT_REAL)
    if not is_number or getattr(number, "shape", ()) != ():
        msg = f"{name}: expected a real number; got {value!r} of type {type(value).__name__}"
        raise TypeError(msg)
    try:
        real = float(number)
    except OverflowError:  # an integer that no float64 holds
        real = math.inf
    if not math.isfinite(real) or real <= above:
        limit = "" if above == -math.inf else f" greater than {above:g}"
        msg = f"{name}: expected a finite number{limit}; got {real!r}"
        raise ValueError(msg)
    return real


def real_within(value: object, name: str, low: float, high: float = math.inf) -> float:
    """Return `value` as a float, or raise unless it is a number from `low` to `high`."""
    real = finite_real(value, name)
    if not low <= real <= high:
        limits = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        msg = f"{name}: expected a number {limits}; got {real!r}"
        raise ValueError(msg)
    return real
