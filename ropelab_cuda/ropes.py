"""The spectrum of a Rope for one call."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ropelab import Rope, Spectrum
from ropelab.checks import check_head_dim, check_rope, positive_int, token_shape
from ropelab.positions import Consecutive, Packed
from ropelab.positions.token_positions import current_length

from ._cupy import require_cupy
from .device_spectrum import AnySpectrum, DeviceSpectrum
from .exchange import Gate, find_framework
from .frameworks import Foreign
from .given_positions import on_host
from .length_rules import has_device_function, length_rule
from .lengths import spectrum_at_gate, spectrum_on_device

__all__ = ["spectrum_for"]


def spectrum_for(
    rope: Rope, q: Any, position_ids: Any, seq_len: int | None, tensor_format: str = "bshd"
) -> AnySpectrum:
    """Return the spectrum by which a rope turns these tokens.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    q : tensor
        Queries, of which the last axis must be ``rope.head_dim``.
    position_ids : tensor of int, Consecutive or Packed
        Looked through by the device if the rule depends on a length that is not given; read by the
        host, which waits, if that rule is a user's own.
    seq_len : int, optional
        Current length.
    tensor_format : str
        Of `q`.

    Returns
    -------
    Spectrum or DeviceSpectrum
        The former is the same object for the same rope and length.

    Raises
    ------
    TypeError
        If `rope` is no Rope.
    ValueError
        If the head_dim or the length does not fit.
    """
    check_rope(rope)
    check_head_dim(tuple(getattr(q, "shape", ())), rope.head_dim)
    if seq_len is not None:
        seq_len = positive_int(seq_len, "seq_len")
    if not rope.scaling.depends_on_length:
        seq_len = None
    elif seq_len is None:
        if has_device_function(rope.scaling):
            ids = position_ids
            if isinstance(ids, (Consecutive, Packed)):
                ids = _last_positions(ids, token_shape(tuple(q.shape), tensor_format, "q"))
            if ids is not None:
                return _on_device(rope, q, ids)
        seq_len = _length(position_ids, q, tensor_format)
    return _spectrum(rope, seq_len)


def _on_device(rope: Rope, q: Any, position_ids: Any) -> DeviceSpectrum:
    """Compute it on the stream of the queries, which is that of the rotation."""
    families = [getattr(find_framework(x), "family", None) for x in (q, position_ids)]
    if families[0] == families[1]:
        return spectrum_on_device(rope, position_ids)
    gate = Gate(q, "q")
    queries = gate.floats(q, "q")
    positions = gate.integers(position_ids, "position_ids")
    return spectrum_at_gate(gate, length_rule(rope), position_ids, positions, q, queries)


def _last_positions(position_ids: Consecutive | Packed, tokens: tuple[int, ...]) -> Any:
    # The last position of each sequence, on the device. None where there are no tokens, the host
    # knows the length as well, or tensors come from a framework whose arithmetic is not known here.
    arrays = dict(vars(position_ids))
    found = {name: find_framework(x) for name, x in arrays.items() if not isinstance(x, int)}
    families = {getattr(framework, "family", None) for framework in found.values()}
    if 0 in tokens or len(families) != 1:
        return None
    for name, framework in found.items():
        if framework is None or isinstance(framework, Foreign):
            return None
        arrays[name] = framework.int64(arrays[name]).reshape(-1)
    offset, sums = arrays["offset"], arrays.get("cu_seqlens")
    if sums is None:
        return offset + (tokens[-1] - 1)
    lengths = sums[1:] - sums[:-1]
    return (lengths > 0) * (offset + lengths) - 1  # an empty sequence has none


@lru_cache(maxsize=64)
def _spectrum(rope: Rope, seq_len: int | None) -> Spectrum:
    return rope.spectrum(seq_len)


def _length(position_ids: Any, q: Any, tensor_format: str) -> int | None:
    """Return the largest position plus one; leave what is no tensor to the gate's message."""
    if isinstance(position_ids, (Consecutive, Packed)):
        tokens = token_shape(tuple(q.shape), tensor_format, "q")
        return current_length(on_host(position_ids), tokens)
    framework = find_framework(position_ids)
    if framework is None or 0 in position_ids.shape:
        return None
    array = (
        require_cupy().from_dlpack(position_ids) if isinstance(framework, Foreign) else position_ids
    )
    return min(max(int(array.max()) + 1, 1), 2**63 - 1)
