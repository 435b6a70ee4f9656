"""No rule without its witnesses: an oracle's formula, a tolerance, a card, a source, an example."""

from __future__ import annotations

import inspect

import pytest

from ropelab.golden.oracle.frequencies import FORMULAS
from ropelab.golden.ropes import CARDS, CONFIGS, LENGTHS
from ropelab.golden.tolerances import frequencies
from ropelab.scaling import RULES


@pytest.mark.parametrize("rope_type", RULES)
def test_every_rule_is_attested_and_documented(rope_type: str) -> None:
    assert rope_type in FORMULAS, "write its formula from the source: golden/oracle/frequencies.py"
    assert rope_type in {card["rope_type"] for card in CARDS.values()}, (
        "add a card: golden/ropes.py"
    )
    assert frequencies(rope_type).why
    text = inspect.getdoc(RULES[rope_type]) or ""
    assert "\nReferences\n" in text
    assert "\n>>> " in text


def test_cards_and_configs_name_what_exists() -> None:
    assert {card["rope_type"] for card in CARDS.values()} <= set(RULES)
    assert {card for card, _ in CONFIGS.values()} <= set(CARDS)
    assert {name for name, card in CARDS.items() if RULES[card["rope_type"]].depends_on_length} == (
        set(LENGTHS)
    )
