"""Several position axes, each with a progression of its own: images and videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, finite_real, positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric

__all__ = ["ARRANGEMENTS", "Axial"]

ARRANGEMENTS = ("blocks", "woven", "dealt")
_AXES = ("hw", "thw", "thwl")


@dataclass(frozen=True)
class Axial(Scaling):
    r"""The pairs shared out among position axes.

    Axis a turns :math:`w_a` channels, by default an equal part of d, and pair k of it by

    .. math:: \omega_{a,k} = \sigma_a\, b^{-2k/w_a}, \qquad k = 0, \dots, w_a/2 - 1

    with axes put one after the other (``"blocks"``) or in turn, pair by pair (``"woven"``).
    ``"dealt"`` puts them one after the other as well, but deals out one progression of all d
    channels among the n axes: :math:`\omega_{a,k} = \sigma_a\, b^{-2(nk + a)/d}`.

    =====================================  =============  =========  ==========================
    model                                  layout         order      other parameters
    =====================================  =============  =========  ==========================
    Qwen2-VL, 2.5, 3; GLM-4V; ERNIE VL     half           hw
    Pixtral, Mistral 3 vision              half           hw         dealt
    Kimi K2.5 vision                       half           wh         woven
    Step 3.7 vision                        half           wh
    MiniMax M3 VL                          half           thw        d = 6 (D // 6) of D
    SAM 2 and 3 video                      interleaved    hw
    Llama 4 vision, Inkling 2              interleaved    wh
    EVA-02                                 interleaved    hw         scale 16 / n
    DINOv3, base 100                       half           hw         scale (2 pi/h, 2 pi/w)
    Flux, Qwen-Image; HunyuanVideo         interleaved    thw        widths (16, 56, 56)
    Wan, D = 128                           interleaved    thw        widths (44, 42, 42)
    Flux.2, base 2000                      interleaved    thwl       widths (32, 32, 32, 32)
    =====================================  =============  =========  ==========================

    Gemma 4's vision tower turns the halves of a head apart, each in half layout: two ropes of
    ``rotary_dim = D // 2``, the second with ``rotary_offset = D // 2``, at rows and at columns.

    Parameters
    ----------
    order : str, default "hw"
        The axes in the order of their channels: a permutation of "hw", "thw" or "thwl" (frame,
        row, column, and one more such as Flux.2's text axis). Position ids come in the order
        t, h, w, l whatever `order` is, as `ropelab.positions` makes them.
    arrangement : {"blocks", "woven", "dealt"}, default "blocks"
        Which frequency stands where.
    widths : sequence of int, optional
        Channels of each axis, in that order; even, with sum d. For blocks alone.
    scale : float or sequence of float, default 1.0
        Factor sigma of the frequencies, of all axes or of each in that order: what a normalised
        coordinate is per integer step of the grid.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range, or the rope's width does not divide.

    References
    ----------
    .. [1] Transformers 5.24, ``compute_axial_rope_parameters`` and ``recomposition_frequencies``
       of models qwen2_vl, pixtral, kimi_k25, step3p7, minimax_m3_vl, sam2_video, inkling2.
    .. [2] diffusers 0.42, ``FluxPosEmbed``, ``WanRotaryPosEmbed``; EVA-02, arXiv:2303.11331.

    Examples
    --------
    >>> from ropelab import Rope
    >>> spectrum = Rope(8, scaling=Axial()).spectrum()
    >>> spectrum.inv_freq.tolist(), spectrum.axes.tolist()
    ([1.0, 0.01, 1.0, 0.01], [0, 0, 1, 1])
    >>> spectrum = Rope(8, scaling=Axial("wh", "woven")).spectrum()
    >>> spectrum.inv_freq.tolist(), spectrum.axes.tolist()
    ([1.0, 1.0, 0.01, 0.01], [1, 0, 1, 0])
    """

    rope_type: ClassVar[str] = "axial"

    order: str = "hw"
    arrangement: str = "blocks"
    widths: Sequence[int] | None = None
    scale: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        """Validate."""
        _check_order(self.order)
        check_choice(self.arrangement, ARRANGEMENTS, "arrangement")
        if self.widths is not None:
            given = self._each(self.widths, "widths")
            widths = tuple(positive_int(width, "widths", even=True) for width in given)
            if self.arrangement != "blocks":
                msg = (
                    f"widths: expected None, since axes that are {self.arrangement} share the "
                    f"channels evenly; got {widths}"
                )
                raise ValueError(msg)
            object.__setattr__(self, "widths", widths)
        if isinstance(self.scale, (tuple, list)):
            given = self._each(self.scale, "scale")
            scales = tuple(finite_real(scale, "scale", above=0.0) for scale in given)
            object.__setattr__(self, "scale", scales)
        else:
            object.__setattr__(self, "scale", finite_real(self.scale, "scale", above=0.0))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies with the axis of each pair; `seq_len` is not read."""
        widths = self._widths(rope.rotary_dim)
        if self.arrangement == "dealt":
            whole = geometric(rope.rotary_dim, rope.base)
            parts = [whole[a :: len(widths)] for a in range(len(widths))]
        else:
            parts = [geometric(width, rope.base) for width in widths]
        scales = np.broadcast_to(np.asarray(self.scale), len(widths))
        speeds = [part * scale for part, scale in zip(parts, scales, strict=True)]
        names = [letter for letter in "thwl" if letter in self.order]
        axes = [
            np.full(width // 2, names.index(letter))
            for width, letter in zip(widths, self.order, strict=True)
        ]
        return Spectrum(self._arranged(speeds), axes=self._arranged(axes))

    def _arranged(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.stack(parts, -1).ravel() if self.arrangement == "woven" else np.concatenate(parts)

    def _each(self, values: object, name: str) -> tuple[object, ...]:
        """Return one value an axis, or raise."""
        if isinstance(values, (tuple, list)) and len(values) == len(self.order):
            return tuple(values)
        msg = f"{name}: expected one number for each axis of {self.order!r}; got {values!r}"
        raise ValueError(msg)

    def _widths(self, rotary_dim: int) -> tuple[int, ...]:
        axes = len(self.order)
        if self.widths is None:
            if rotary_dim % (2 * axes):
                msg = (
                    f"rotary_dim: expected a multiple of {2 * axes}, a pair for each of {axes} "
                    f"axes; got {rotary_dim}; pass a smaller rotary_dim, or widths"
                )
                raise ValueError(msg)
            return (rotary_dim // axes,) * axes
        if sum(self.widths) != rotary_dim:
            msg = (
                f"widths: expected a sum of rotary_dim = {rotary_dim}; got {sum(self.widths)} "
                f"from {self.widths}"
            )
            raise ValueError(msg)
        return tuple(self.widths)


def _check_order(order: object) -> None:
    if not isinstance(order, str) or sorted(order) not in [sorted(axes) for axes in _AXES]:
        msg = f"order: expected a permutation of 'hw', 'thw' or 'thwl'; got {order!r}"
        raise ValueError(msg)
