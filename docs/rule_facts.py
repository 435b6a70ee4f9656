"""What else is known of a frequency rule: its models, its differences, its bugs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from functools import cache

from docs.difference_rows import ROWS, Row
from ropelab import SCALINGS, Spectrum
from ropelab.golden.cards import CARDS, LENGTHS
from ropelab.golden.implementation import rope_of_card
from ropelab.golden.zoo import MUTANTS, Mutant
from ropelab.models import MODELS

__all__ = ["COMMON", "bugs", "depends_on_length", "differences", "models"]

COMMON = 5
"""A bug that changes more rules than this is told as one of any rule."""


@cache
def models() -> Mapping[str, tuple[str, ...]]:
    """Return, by rope_type, the models of the registry with a layer of that rule."""
    used: dict[str, list[str]] = {}
    for name, model in MODELS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a config leaves out
            ropes = [rope for rope in model.ropes().values() if rope is not None]
        for rope_type in {rope.scaling.rope_type for rope in ropes}:
            used.setdefault(rope_type, []).append(name)
    return {rope_type: tuple(names) for rope_type, names in used.items()}


def differences(rope_type: str) -> list[tuple[int, Row]]:
    """Return the numbered rows of the page of differences that name a rule's class."""
    named = re.compile(rf"\b{SCALINGS[rope_type].__name__}\(")
    rows = enumerate(ROWS, start=1)
    return [(number, row) for number, row in rows if named.search(f"{row.a.code} {row.b.code}")]


def depends_on_length(rope_type: str) -> set[bool]:
    """Return the answers of a rule's cards; one around another rule may have both."""
    cards = [card for card in CARDS.values() if card["rope_type"] == rope_type]
    return {rope_of_card(card).scaling.depends_on_length for card in cards}


@cache
def bugs() -> Mapping[str, frozenset[str]]:
    """Return, by the name of each mutant of rules, the rules whose numbers it changes."""
    suspects = {name: one for name, one in MUTANTS.items() if "spectrum" in one.changes}
    touched = {name: _touched(mutant) for name, mutant in suspects.items()}
    return {name: rules for name, rules in touched.items() if rules}


def _touched(mutant: Mutant) -> frozenset[str]:
    found = set()
    for name, card in CARDS.items():
        rope, fresh = rope_of_card(card), mutant.fresh()
        for length in 2 * LENGTHS.get(name, (None,)):  # twice, for those that remember
            try:
                wrong = _numbers(fresh.spectrum(rope, length))
            except ValueError:  # it asks for what the rule refuses
                wrong = ()
            if wrong != _numbers(rope.spectrum(length)):
                found.add(card["rope_type"])
    return frozenset(found)


def _numbers(spectrum: Spectrum) -> tuple[object, ...]:
    """Return all that a spectrum says, to be compared."""
    arrays = (spectrum.inv_freq, spectrum.axes, spectrum.periods)
    told = (None if array is None else tuple(array.tolist()) for array in arrays)
    return (*told, spectrum.attention_factor, spectrum.softmax_factor)
