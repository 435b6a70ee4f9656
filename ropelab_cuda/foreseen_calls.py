"""The plans of each kind of call, foreseen: what `warmup` compiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ropelab.checks import check_choice, check_flag
from ropelab.checks import positive_int as positive
from ropelab.norm_rotary import Norm
from ropelab.xpos import check_decay

from .decay import Decay
from .device_spectrum import AnySpectrum, DeviceSpectrum
from .foreseen import Foreseen
from .launch import FORMATS, OUTPUT_FORMATS, Plan
from .launch_kv_cache import Cached, plan_rotary_kv_cache
from .launch_lengths import plan_length_spectrum
from .launch_norm import plan_norm_rotary
from .launch_permute import plan_permute
from .launch_rotary import plan_rotary, plan_rotary_cached
from .length_rules import has_device_function
from .lengths import spectrum_to_plan
from .parameters import INTEGER_TYPES
from .views import imagined

__all__ = ["CALLS"]

# A cache of other sizes is accessed alike.
BLOCKS, BLOCK_SIZE = 8, 16


def rotary(
    calls: Foreseen,
    *,
    table_dtype: str | None = None,
    output_dtype: str | None = None,
    scaled: bool = False,
) -> Iterator[Plan]:
    """Plan `apply_rotary` and its kin.

    Parameters
    ----------
    calls : Foreseen
        What is known of them.
    table_dtype : str, optional
        Rotate by given cosines and sines of this dtype, as `apply_rotary_cached` and its kin do.
    output_dtype : str, optional
        Of the results, float8 formats included; by default that of queries and keys.
    scaled : bool, default False
        Whether results are divided by a scale, a number or a tensor.

    Returns
    -------
    iterator of Plan
        For every number of tokens.
    """
    target, scales = _storage(calls, output_dtype, scaled)
    if table_dtype is not None:
        check_choice(table_dtype, FORMATS, "table_dtype")
        return _by_tables(calls, table_dtype, target, scales)
    rope, spectra = calls.rope, list[AnySpectrum]([calls.spectrum])
    if rope.scaling.depends_on_length and has_device_function(rope.scaling):
        spectra.append(spectrum_to_plan(rope))  # what `rotate` has without a seq_len
    return _by_positions(calls, spectra, target, scales)


def _storage(
    calls: Foreseen, output_dtype: str | None, scaled: bool
) -> tuple[str, Sequence[float]]:
    """Return the format of results, and some scales if there are any."""
    target = calls.dtype if output_dtype is None else output_dtype
    check_choice(target, OUTPUT_FORMATS, "output_dtype")
    check_flag(scaled, "scaled")
    if calls.in_place and (scaled or target != calls.dtype):
        msg = "in_place: expected False with an output_dtype or a scale; got True; omit one of them"
        raise ValueError(msg)
    return target, [1.0] * len(calls.heads) if scaled else []


def _by_tables(
    calls: Foreseen, table_dtype: str, target: str, scales: Sequence[float]
) -> Iterator[Plan]:
    for tokens in calls.batches():
        operands = calls.operands(tokens, target)
        for shape in tokens.id_shapes:
            table = imagined((*shape, calls.rope.rotary_dim // 2), table_dtype)
            yield plan_rotary_cached(operands, table, table, place=calls.place, scales=scales)


def _by_positions(
    calls: Foreseen,
    spectra: Sequence[AnySpectrum],
    target: str,
    scales: Sequence[float],
    decay: Decay | None = None,
) -> Iterator[Plan]:
    for tokens in calls.batches():
        operands = calls.operands(tokens, target)
        for positions in calls.position_ids(tokens):
            for spectrum in spectra:
                if isinstance(spectrum, DeviceSpectrum):
                    yield from plan_length_spectrum(positions, spectrum.rule, spectrum.view)
                yield plan_rotary(
                    operands,
                    positions,
                    spectrum,
                    place=calls.place,
                    angles=calls.angles,
                    scales=scales,
                    decay=decay,
                )


def xpos(
    calls: Foreseen, *, output_dtype: str | None = None, scaled: bool = False
) -> Iterator[Plan]:
    """Plan `apply_xpos_qk`.

    Parameters
    ----------
    calls : Foreseen
        What is known of them.
    output_dtype : str, optional
        As in `rotary`.
    scaled : bool, default False
        As in `rotary`.

    Returns
    -------
    iterator of Plan
        For every number of tokens.
    """
    positive(calls.k_heads, "k_heads")
    rope = calls.rope
    if rope.rotary_offset or rope.output_layout != rope.layout:
        msg = (
            f"rope: expected one that rotates the first channels and keeps their layout, as "
            f"apply_xpos_qk does; got rotary_offset {rope.rotary_offset}, output_layout "
            f"{rope.output_layout!r}; warm up the calls that it is for"
        )
        raise ValueError(msg)
    decay = Decay(*check_decay(calls.spectrum, 512.0, 0))  # no number of it is compiled in
    return _by_positions(calls, [calls.spectrum], *_storage(calls, output_dtype, scaled), decay)


def norm_rotary(
    calls: Foreseen,
    *,
    weight_dtype: str | None = None,
    weighted: bool = True,
    across_heads: bool = False,
    output_dtype: str | None = None,
    scaled: bool = False,
) -> Iterator[Plan]:
    """Plan `apply_norm_rotary_qk`.

    Parameters
    ----------
    calls : Foreseen
        What is known of them.
    weight_dtype : str, optional
        Of both weights; by default that of queries and keys.
    weighted : bool, default True
        Whether there are weights, and not None for each.
    across_heads : bool, default False
        As in `apply_norm_rotary_qk`.
    output_dtype : str, optional
        As in `rotary`.
    scaled : bool, default False
        As in `rotary`.

    Yields
    ------
    Plan
        For every number of tokens.
    """
    positive(calls.k_heads, "k_heads")
    weight_dtype = calls.dtype if weight_dtype is None else weight_dtype
    check_choice(weight_dtype, FORMATS, "weight_dtype")
    check_flag(weighted, "weighted")
    norm = Norm(across_heads=across_heads).checked()
    target, scales = _storage(calls, output_dtype, scaled)
    shapes = [(heads, calls.rope.head_dim)[not across_heads :] for heads in calls.heads]
    for tokens in calls.batches():
        for positions in calls.position_ids(tokens):
            yield plan_norm_rotary(
                calls.operands(tokens, target),
                [imagined(shape, weight_dtype) if weighted else None for shape in shapes],
                positions,
                calls.spectrum,
                norm=norm,
                place=calls.place,
                angles=calls.angles,
                scales=scales,
            )


def kv_cache(
    calls: Foreseen,
    *,
    cache_dtype: str | None = None,
    scaled: bool = False,
    slot_dtype: str = "int64",
    v_head_dim: int | None = None,
) -> Iterator[Plan]:
    """Plan `apply_rotary_kv_cache`.

    Parameters
    ----------
    calls : Foreseen
        What is known of them.
    cache_dtype : str, optional
        Of both caches, float8 formats included; by default that of queries and keys.
    scaled : bool, default False
        Whether both have a scale, a number or a tensor, that is not 1.
    slot_dtype : str, default "int64"
        Of the slots: any integer dtype that is taken.
    v_head_dim : int, optional
        Channels of a value; by default those of a key.

    Yields
    ------
    Plan
        For every number of tokens.
    """
    heads = positive(calls.k_heads, "k_heads")
    cache_dtype = calls.dtype if cache_dtype is None else cache_dtype
    check_choice(cache_dtype, OUTPUT_FORMATS, "cache_dtype")
    check_flag(scaled, "scaled")
    check_choice(slot_dtype, INTEGER_TYPES, "slot_dtype")
    head_dim = calls.rope.head_dim
    v_head_dim = head_dim if v_head_dim is None else positive(v_head_dim, "v_head_dim")
    for tokens in calls.batches():
        keys, values = (
            Cached(
                tokens.tensor(heads, width, calls.dtype),
                imagined((BLOCKS, BLOCK_SIZE, heads, width), cache_dtype),
                2.0 if scaled else None,
            )
            for width in (head_dim, v_head_dim)
        )
        for positions in calls.position_ids(tokens):
            yield plan_rotary_kv_cache(
                calls.operands(tokens)[0],
                keys,
                values,
                positions,
                imagined(tokens.shape, slot_dtype),
                calls.spectrum,
                place=calls.place,
                angles=calls.angles,
            )


def to_half(calls: Foreseen) -> Iterator[Plan]:
    """Plan `to_half` of queries, and of keys if there are any.

    Parameters
    ----------
    calls : Foreseen
        What is known of them.

    Returns
    -------
    iterator of Plan
        For every number of tokens.
    """
    return _permutations(calls, ("interleaved", "half"))


def to_interleaved(calls: Foreseen) -> Iterator[Plan]:
    """Plan `to_interleaved`, likewise.

    Parameters
    ----------
    calls : Foreseen
        What is known of them.

    Returns
    -------
    iterator of Plan
        For every number of tokens.
    """
    return _permutations(calls, ("half", "interleaved"))


def _permutations(calls: Foreseen, layouts: tuple[str, str]) -> Iterator[Plan]:
    rope = calls.rope
    if rope.rotary_offset:
        msg = (
            f"rope: expected one that rotates the first channels, which alone change places; got "
            f"rotary_offset {rope.rotary_offset}; warm up the calls that it is for"
        )
        raise ValueError(msg)
    for tokens in calls.batches():
        for x, out in calls.operands(tokens):
            yield plan_permute(x, out, rope.rotary_dim // 2, layouts)


CALLS: dict[str, Callable[..., Iterator[Plan]]] = {
    plans.__name__: plans
    for plans in (rotary, xpos, norm_rotary, kv_cache, to_half, to_interleaved)
}
