"""The growth and reset of Transformers' dynamic ropes, as a pure state machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..checks import positive_int

__all__ = ["DynamicLength"]


@dataclass(frozen=True)
class DynamicLength:
    """Which length a dynamic rule is asked at, after a series of calls.

    Transformers' module keeps the frequencies of the longest sequence it has seen. A call that is
    longer makes it grow; a call shorter than the original length, strictly, resets it; any other
    call leaves it as it is. So the frequencies of a sequence depend on the calls before it, and
    this is that state: give `length` to `Rope.spectrum`.

    Such are Transformers 4.57, and 5.23 and 5.24. Versions between, of which 5.0, 5.5 and 5.12 were
    looked at, take each length past the original one as it comes, and never reset.

    Parameters
    ----------
    original : int
        The rope's max_position_embeddings, in tokens.
    seen : int, optional
        The longest length since the last reset; by default, and at least, `original`.

    Raises
    ------
    TypeError, ValueError
        If a length is no positive integer, or `seen` is below `original`.

    References
    ----------
    .. [1] Transformers 5.24, modeling_rope_utils, ``dynamic_rope_update``.

    Examples
    --------
    >>> state, lengths = DynamicLength(4096), []
    >>> for length in (4096, 8192, 6000, 4096, 4095):
    ...     state = state.after(length)
    ...     lengths.append(state.length)
    >>> lengths
    [4096, 8192, 8192, 8192, 4096]
    """

    original: int
    seen: int | None = None

    def __post_init__(self) -> None:
        """Validate."""
        original = positive_int(self.original, "original")
        seen = original if self.seen is None else positive_int(self.seen, "seen")
        if seen < original:
            msg = f"seen: expected at least original = {original}; got {seen}"
            raise ValueError(msg)
        object.__setattr__(self, "original", original)
        object.__setattr__(self, "seen", seen)

    @property
    def length(self) -> int:
        """What `Rope.spectrum` is to be given as `seq_len`."""
        assert self.seen is not None
        return self.seen

    def after(self, length: int) -> DynamicLength:
        """Return the state after a call.

        Parameters
        ----------
        length : int
            The largest position of the call, over its whole batch, plus one.

        Returns
        -------
        DynamicLength
            Grown, reset, or the same.
        """
        length = positive_int(length, "length")
        if length > self.length:
            return replace(self, seen=length)
        if length < self.original:
            return replace(self, seen=self.original)
        return self
