"""What the readers of several dialects share: rules from dictionaries, shares, sections."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from ..checks import finite_real, integer, positive_int
from ..positions import mrope_axes
from ..scaling import Scaling
from .findings import Findings

__all__ = [
    "check_kinds",
    "layer_count",
    "note_unread",
    "rule_from",
    "section_axes",
    "share_of",
    "yarn_amplitude",
]

_MOST_LAYERS = 2**20  # no model has as many; a slip here would ask for gigabytes

_MOST_KINDS = 64  # of layers; no model has ten


def check_kinds(count: int, name: str) -> None:
    """Raise ValueError naming a key if it tells more kinds of layers apart than any model has."""
    if count > _MOST_KINDS:
        msg = f"{name}: expected at most {_MOST_KINDS} kinds of layers; got {count}"
        raise ValueError(msg)


def layer_count(value: object, name: str) -> int:
    """Return a number of layers as an int, or raise TypeError or ValueError naming its key."""
    layers = positive_int(value, name)
    if layers > _MOST_LAYERS:
        msg = f"{name}: expected at most {_MOST_LAYERS} layers; got {layers}"
        raise ValueError(msg)
    return layers


def note_unread(given: Iterable[str], read: Iterable[str], where: str, findings: Findings) -> None:
    """Add a finding for every key that is not read.

    Parameters
    ----------
    given : iterable of str
        The keys of a config.
    read : iterable of str
        Those that need no finding.
    where : str
        What does not read the others, after "under".
    findings : Findings
        Is added to.
    """
    for key in sorted(set(given) - set(read)):
        findings.add(key, f"{key} is not read under {where}")


def rule_from(
    rule: type[Scaling],
    given: Mapping[str, Any],
    place: str,
    findings: Findings | None = None,
    known: Sequence[str] = (),
) -> Scaling:
    """Return a rule of those keys of a dictionary that it reads.

    Parameters
    ----------
    rule : type of Scaling
        Its fields are the keys read.
    given : mapping
        The dictionary.
    place : str
        What messages call it.
    findings : Findings, optional
        Is told of every other key.
    known : sequence of str
        Other keys, which need no finding.

    Returns
    -------
    Scaling
        The rule.

    Raises
    ------
    ValueError
        If a key is missing that the rule needs.
    """
    wanted = {field.name: field.default is MISSING for field in fields(rule)}  # type: ignore[arg-type]
    missing = sorted(name for name, needed in wanted.items() if needed and name not in given)
    if missing:
        msg = f"{place}: {rule.rope_type} needs {', '.join(missing)}; got {dict(given)}"
        raise ValueError(msg)
    if findings is not None:
        note_unread(given, (*wanted, *known), f"{rule.rope_type} in {place}", findings)
    return rule(**{key: value for key, value in given.items() if key in wanted})


def share_of(head_dim: int, share: object, name: str) -> int:
    """Return the channels that a share of a head is, truncated as every dialect does; or raise."""
    part = finite_real(share, name, above=0.0)
    turned = int(head_dim * min(part, 1.0))
    if turned == 0 or turned % 2 or part > 1.0:
        number = "" if part > 1.0 else f", which is {turned}"
        msg = (
            f"{name}: expected a share of {head_dim} channels, at most 1, that is a positive even "
            f"number of them; got {part}{number}"
        )
        raise ValueError(msg)
    return turned


def section_axes(
    sections: object, pairs: int, name: str, *, order: str = "chunked"
) -> tuple[int, ...]:
    """Return the position axis of each pair that a config's sections name.

    Parameters
    ----------
    sections : list of int
        Pairs turned by time, height, width and so on.
    pairs : int
        How many there are.
    name : str
        The config's key, which messages name.
    order : {"chunked", "interleaved", "alternating"}
        As for `ropelab.positions.mrope_axes`.

    Returns
    -------
    tuple of int
        One axis a pair.

    Raises
    ------
    TypeError, ValueError
        If the sections are no list of integers, or as `ropelab.positions.mrope_axes` does.
    """
    if not isinstance(sections, (list, tuple)):
        msg = f"{name}: expected a list of numbers of pairs; got {sections!r}"
        raise TypeError(msg)
    counts = [integer(count, name) for count in sections]
    try:
        return mrope_axes(2 * pairs, counts, order=order)
    except ValueError as error:
        msg = f"{name}: {str(error).removeprefix('sections: ')}"
        raise ValueError(msg) from None


def yarn_amplitude(
    factor: object, mscale: float | None, mscale_all_dim: float | None
) -> dict[str, float]:
    """Return the fields that give YaRN the amplitude g(s, mscale) / g(s, mscale_all_dim).

    Transformers takes this quotient only if neither is 0 or absent, and else g(s, 1); vLLM and
    Megatron take it of zeros too, so theirs may have to be given as a number.

    Parameters
    ----------
    factor : float
        The stretch s.
    mscale, mscale_all_dim : float or None
        The weights; None for absent.

    Returns
    -------
    dict of str to float
        Fields for a rule like `ropelab.scaling.YaRN`.
    """
    if mscale is None or mscale_all_dim is None:
        return {}
    weights = [finite_real(mscale, "mscale"), finite_real(mscale_all_dim, "mscale_all_dim")]
    if all(weights):
        return {"mscale": weights[0], "mscale_all_dim": weights[1]}
    if weights == [1.0, 0.0]:
        return {}
    stretch = finite_real(factor, "factor", above=0.0)
    over, under = (1.0 + 0.1 * w * math.log(max(stretch, 1.0)) for w in weights)
    return {"attention_factor": over / under}
