"""A model's rotary embedding: its dimensions, base, rule and layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .arrays import as_integers
from .checks import check_layout, check_rotary_offset, finite_real, positive_int
from .scaling import Default, Scaling
from .spectrum import Spectrum

__all__ = ["Rope"]


@dataclass(frozen=True, init=False)
class Rope:
    """One rotary embedding, described completely.

    Parameters
    ----------
    head_dim : int
        Channels of a head, D.
    base : float, default 10000.0
        Base b of the frequencies, called rope_theta in configs.
    rotary_dim : int, optional
        Rotated channels d of each head; even, by default head_dim.
    scaling : Scaling, optional
        The frequency rule; by default `ropelab.scaling.Default`.
    layout : {"half", "interleaved"}, default "half"
        Which two channels form a pair.
    max_position_embeddings : int, optional
        Length that the model is made for, in tokens.
    axes : sequence of int, shape (d/2,), optional
        Which position axis turns each pair, as `ropelab.positions` makes them; by default the rule
        says it, and most rules turn all pairs by axis 0.
    output_layout : {"half", "interleaved"}, optional
        Where the rotated members of a pair are put; by default `layout`.
    rotary_offset : int, default 0
        The first rotated channel.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    Examples
    --------
    >>> rope = Rope(128, base=500_000.0)
    >>> round(float(rope.spectrum().wavelengths[-1]))
    2559196
    """

    head_dim: int
    base: float
    rotary_dim: int
    scaling: Scaling
    layout: str
    max_position_embeddings: int | None
    axes: tuple[int, ...] | None
    output_layout: str | None  # never None; dataclasses.replace takes what __init__ takes
    rotary_offset: int

    def __init__(
        self,
        head_dim: int,
        *,
        base: float = 10_000.0,
        rotary_dim: int | None = None,
        scaling: Scaling | None = None,
        layout: str = "half",
        max_position_embeddings: int | None = None,
        axes: Sequence[int] | None = None,
        output_layout: str | None = None,
        rotary_offset: int = 0,
    ) -> None:
        width = positive_int(head_dim, "head_dim")
        if rotary_dim is None and width % 2:
            msg = f"head_dim: expected an even number; got {width}; or pass an even rotary_dim"
            raise ValueError(msg)
        d = width if rotary_dim is None else positive_int(rotary_dim, "rotary_dim", even=True)
        if d > width:
            msg = f"rotary_dim: expected at most head_dim = {width}; got {d}"
            raise ValueError(msg)
        check_layout(layout)
        if output_layout is not None:
            check_layout(output_layout, "output_layout")
        first = check_rotary_offset(rotary_offset, d, width)
        if max_position_embeddings is not None:
            max_position_embeddings = positive_int(
                max_position_embeddings, "max_position_embeddings"
            )
        fields = {
            "head_dim": width,
            "base": finite_real(base, "base", above=0.0),
            "rotary_dim": d,
            "scaling": Default() if scaling is None else _rule(scaling),
            "layout": layout,
            "max_position_embeddings": max_position_embeddings,
            "axes": None if axes is None else _axes(axes, d // 2),
            "output_layout": layout if output_layout is None else output_layout,
            "rotary_offset": first,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def spectrum(self, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies and amplitudes.

        Parameters
        ----------
        seq_len : int, optional
            Current length in tokens, for rules that depend on it; they say what they do without.

        Returns
        -------
        Spectrum
            The numbers of the rule, d/2 frequencies.

        Raises
        ------
        ValueError
            If the rule needs something that the rope does not have.

        Examples
        --------
        >>> Rope(4).spectrum().inv_freq.tolist()
        [1.0, 0.01]
        """
        if seq_len is not None:
            seq_len = positive_int(seq_len, "seq_len")
        with np.errstate(all="ignore"):  # Spectrum refuses what is not finite, by name
            spectrum = self.scaling.spectrum(self, seq_len)
        return spectrum if self.axes is None else replace(spectrum, axes=np.array(self.axes))


def _axes(axes: Sequence[int], pairs: int) -> tuple[int, ...]:
    given = as_integers(axes, "axes")
    if given.shape != (pairs,) or given.min() < 0:
        msg = f"axes: expected one position axis >= 0 for each of {pairs} pairs; got {axes!r}"
        raise ValueError(msg)
    return tuple(given.tolist())


def _rule(scaling: object) -> Scaling:
    if not isinstance(scaling, Scaling):
        msg = (
            f"scaling: expected a rule such as ropelab.scaling.Linear(2.0), or None; "
            f"got {scaling!r}; a config's dictionary goes through ropelab.from_transformers"
        )
        raise TypeError(msg)
    return scaling
