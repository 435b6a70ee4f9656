"""Reading the arguments of Transformer Engine's ``RotaryPositionEmbedding``."""

from __future__ import annotations

from ..checks import check_flag, finite_real, positive_int
from ..rope import Rope
from ..scaling import Scaling, TransformerEngineInterpolation
from .dialect import share_of
from .findings import Findings, Reading, warn_of
from .heads import channels

__all__ = ["from_transformer_engine", "read_transformer_engine"]


def from_transformer_engine(
    dim: int,
    rotary_percent: float = 1.0,
    seq_len_interpolation_factor: float | None = None,
    pretrained_max_position_embeddings: int | None = None,
    rotary_base: float = 10_000.0,
    interleaved: bool = False,
) -> Rope | None:
    """Return the rotary embedding that Transformer Engine builds from its arguments.

    Parameters
    ----------
    dim : int
        Channels of a head.
    rotary_percent : float, default 1.0
        Share of them that turns. Transformer Engine ignores one above 1.
    seq_len_interpolation_factor : float, optional
        Divides positions, but only if `pretrained_max_position_embeddings` is given too.
    pretrained_max_position_embeddings : int, optional
        Length of the pre-training context; past it times the factor, the division grows.
    rotary_base : float, default 10000.0
        Base of the frequencies.
    interleaved : bool, default False
        Whether channels 2i and 2i + 1 form a pair.

    Returns
    -------
    Rope or None
        Never None; the type is that of the other dialects.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    Warns
    -----
    UserWarning
        For arguments that Transformer Engine ignores.

    References
    ----------
    .. [1] NVIDIA, TransformerEngine, ``transformer_engine/pytorch/attention/rope.py``.

    Examples
    --------
    >>> rope = from_transformer_engine(128, 1.0, 2.0, 2048)
    >>> rope.scaling
    TransformerEngineInterpolation(factor=2.0, pretrained_max_position_embeddings=2048)
    """
    reading = read_transformer_engine(
        dim,
        rotary_percent,
        seq_len_interpolation_factor,
        pretrained_max_position_embeddings,
        rotary_base,
        interleaved,
    )
    warn_of(reading.findings)
    return reading.rope


def read_transformer_engine(
    dim: int,
    rotary_percent: float = 1.0,
    seq_len_interpolation_factor: float | None = None,
    pretrained_max_position_embeddings: int | None = None,
    rotary_base: float = 10_000.0,
    interleaved: bool = False,
) -> Reading:
    """Return what `from_transformer_engine` does, with its findings instead of warnings.

    Parameters
    ----------
    dim : int
        As there.
    rotary_percent, seq_len_interpolation_factor : float
        As there.
    pretrained_max_position_embeddings : int
        As there.
    rotary_base, interleaved : float, bool
        As there.

    Returns
    -------
    Reading
        The rope and the findings.

    Examples
    --------
    >>> [finding.key for finding in read_transformer_engine(128, 1.0, 2.0).findings]
    ['seq_len_interpolation_factor']
    """
    findings = Findings()
    head_dim = channels(dim, "dim", even=True)
    share = finite_real(rotary_percent, "rotary_percent", above=0.0)
    if share > 1.0:
        findings.add(
            "rotary_percent",
            f"rotary_percent: {share} has no effect, since it is above 1; all channels turn",
        )
    rope = Rope(
        head_dim,
        base=rotary_base,
        rotary_dim=share_of(head_dim, min(share, 1.0), "rotary_percent"),
        scaling=_interpolation(
            seq_len_interpolation_factor, pretrained_max_position_embeddings, findings
        ),
        layout="interleaved" if check_flag(interleaved, "interleaved") else "half",
    )
    return Reading(rope, tuple(findings))


def _interpolation(factor: object, length: object, findings: Findings) -> Scaling | None:
    stretches, reaches = "seq_len_interpolation_factor", "pretrained_max_position_embeddings"
    stretch = None if factor is None else finite_real(factor, stretches, above=0.0)
    trained = None if length is None else positive_int(length, reaches)
    if stretch is not None and trained is not None:
        return TransformerEngineInterpolation(stretch, trained)
    if stretch is not None:
        findings.add(
            stretches,
            f"{stretches}: {stretch} has no effect without {reaches}; Megatron would divide "
            f"positions by it",
        )
    if trained is not None:
        findings.add(reaches, f"{reaches}: {trained} has no effect without {stretches}")
    return None
