"""No rule without its witnesses: an oracle's formula, a tolerance, a card, a source, an example."""

from __future__ import annotations

import inspect

import pytest

from ropelab.golden.cards import CARDS, CONFIGS, LENGTHS
from ropelab.golden.implementation import rope_of_card
from ropelab.golden.oracle.rules import FORMULAS
from ropelab.golden.tolerances import frequencies
from ropelab.scaling import SCALINGS


@pytest.mark.parametrize("rope_type", SCALINGS)
def test_every_rule_is_attested_and_documented(rope_type: str) -> None:
    assert rope_type in FORMULAS, "write its formula from the source: golden/oracle/rules"
    assert rope_type in {card["rope_type"] for card in CARDS.values()}, "add a card: golden/cards"
    assert frequencies(rope_type).why
    text = inspect.getdoc(SCALINGS[rope_type]) or ""
    assert "\nReferences\n" in text
    assert "\n>>> " in text


def test_cards_and_configs_name_what_exists() -> None:
    assert {card["rope_type"] for card in CARDS.values()} <= set(SCALINGS)
    assert {card for card, _ in CONFIGS.values()} <= set(CARDS)
    assert {
        name for name, card in CARDS.items() if rope_of_card(card).scaling.depends_on_length
    } == set(LENGTHS)
