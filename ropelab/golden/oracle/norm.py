"""The root mean square of arXiv:1910.07467, number by number."""

from __future__ import annotations

from collections import defaultdict

from .numbers import Real, exactly, mp

__all__ = ["normed"]

Index = tuple[int, ...]


def normed(
    x: dict[Index, Real],
    weight: dict[Index, Real] | None,
    *,
    eps: float,
    weight_offset: float,
    head_axis: int | None,
) -> dict[Index, Real]:
    """Norm a tensor given as {index: number}.

    Parameters
    ----------
    x : dict
        Numbers by index; the last entry of an index is the channel.
    weight : dict, optional
        Numbers by (channel,), or by (head, channel) if heads are normed together.
    eps, weight_offset : float
        What is added to the mean square, and to each weight.
    head_axis : int, optional
        Where an index names the head, if the heads of a token are normed together.

    Returns
    -------
    dict
        The numbers by the same indices.
    """

    def _group(index: Index) -> Index:
        return tuple(i for axis, i in enumerate(index[:-1]) if axis != head_axis)

    def _factor(index: Index) -> Real:
        if weight is None:
            return mp.mpf(1)
        head = () if head_axis is None else (index[head_axis],)
        return weight[(*head, index[-1])] + exactly(weight_offset)

    squares: dict[Index, list[Real]] = defaultdict(list)
    for index, value in x.items():
        squares[_group(index)].append(value * value)
    root = {
        name: mp.sqrt(mp.fsum(members) / len(members) + exactly(eps))
        for name, members in squares.items()
    }
    return {index: value / root[_group(index)] * _factor(index) for index, value in x.items()}
