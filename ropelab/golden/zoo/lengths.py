"""The length that a rule reads: ignored, off by one, remembered (M8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import accumulate

from ropelab import Rope, Spectrum

from ...scaling import DynamicNTK, LongRoPE
from ..implementation import SPECIFICATION
from .harness import with_rule
from .mutant import Entries

__all__ = ["ENTRIES"]


def _ignored(rope: Rope, _: int | None) -> Spectrum:
    return rope.spectrum(None)


def _one_too_long(rope: Rope, seq_len: int | None) -> Spectrum:
    """Count the last position twice: max + 1, plus 1."""
    return rope.spectrum(None if seq_len is None else seq_len + 1)


def _always_the_longest(rope: Rope, _: int | None) -> Spectrum:
    """Build one table, for the longest length that the factor allows."""
    assert isinstance(rope.scaling, DynamicNTK)
    assert rope.max_position_embeddings is not None
    return rope.spectrum(int(rope.max_position_embeddings * rope.scaling.factor))


@dataclass
class _NeverReset:
    """Grows with the longest sequence ever seen, and stays there."""

    longest: dict[Rope, int] = field(default_factory=dict)

    def __call__(self, rope: Rope, seq_len: int | None) -> Spectrum:
        self.longest[rope] = max(self.longest.get(rope, 1), seq_len or 1)
        return rope.spectrum(self.longest[rope])


def _calls_never_reset(original: int, calls: Iterable[int]) -> list[int]:
    return list(accumulate(calls, max, initial=original))[1:]


def _calls_as_they_come(original: int, calls: Iterable[int]) -> list[int]:
    """Take each long call at its own length, and leave a short one as the last long one was."""
    asked, current = [], original
    for length in calls:
        current = length if length > original else current
        asked.append(current)
    return asked


def _long_at_the_threshold(rope: Rope, seq_len: int | None) -> Spectrum:
    """Switch at the original length, not past it."""
    return rope.spectrum(None if seq_len is None else seq_len + 1)


def _always_long(rope: Rope, _: int | None) -> Spectrum:
    assert isinstance(rope.scaling, LongRoPE)
    return rope.spectrum(rope.scaling.original_max_position_embeddings + 1)


ENTRIES: Entries = {
    "length-ignored": (
        "M8",
        "the length never reaches the rule",
        replace(SPECIFICATION, spectrum=_ignored),
        "vllm!41301",
    ),
    "length-off-by-one": (
        "M8",
        "the length is one too long",
        replace(SPECIFICATION, spectrum=_one_too_long),
        "transformers#25104",
    ),
    "dynamic-static": (
        "M8",
        "dynamic scaling always at its longest length",
        with_rule(DynamicNTK, _always_the_longest),
        "vllm#5093",
    ),
    "growth-never-reset": (
        "M8",
        "the base grows with the longest sequence and never shrinks",
        replace(with_rule(DynamicNTK, _NeverReset()), dynamic_lengths=_calls_never_reset),
        "transformers!27227",
    ),
    "growth-not-kept": (
        "M8",
        "the base follows each long sequence and never shrinks for a short one",
        replace(SPECIFICATION, dynamic_lengths=_calls_as_they_come),  # Transformers 5.0, 5.5, 5.12
    ),
    "longrope-long-at-the-threshold": (
        "M8",
        "LongRoPE: the long list at the original length itself",
        with_rule(LongRoPE, _long_at_the_threshold),
        "unsloth!10681",
    ),
    "longrope-always-long": (
        "M8",
        "LongRoPE: the long list at every length",
        with_rule(LongRoPE, _always_long),
        "mlxcel#1358",
    ),
}
