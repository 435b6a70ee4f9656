"""The page of one frequency rule, from its docstring and from what else is known of it."""

from __future__ import annotations

from collections.abc import Mapping

from docs.difference_rows import size
from docs.differences import COLUMNS
from docs.differences import line as line_of_difference
from docs.rule_facts import COMMON, bugs, differences, models
from docs.rule_figures import draw, example, seen, told
from docs.rule_text import line, markdown, parameters, references, sections, summary
from ropelab import SCALINGS
from ropelab.golden.zoo import MUTANTS, Mutant
from ropelab.golden.zoo.threads import link
from ropelab.scaling import Scaling

__all__ = ["bug_table", "rule_page"]


def rule_page(rope_type: str) -> str:
    """Return the page of one rule; what nothing is known of has no heading."""
    rule = SCALINGS[rope_type]
    _, _, definition = sections(rule)[""].partition("\n")
    parts = {
        "Formula": markdown(definition),
        "Parameters": _parameters(rule),
        "Example": _example(rule),
        "Models": _models(rope_type),
        "Differences between implementations": _differences(rope_type),
        "Bugs that it attracts": _bugs(rope_type),
        "Sources": "".join(f"- {source}\n" for source in references(rule)),
    }
    body = "".join(f"\n## {title}\n\n{text.strip()}\n" for title, text in parts.items() if text)
    return f"""\
# `{rope_type}`: {rule.__name__}

{markdown(summary(rule))} One of [all rules](../rules.md); in `ropelab.scaling`.

{_picture(rope_type)}
{body}"""


def _picture(rope_type: str) -> str:
    name, card, length = example(rope_type)
    alt = f"{SCALINGS[rope_type].__name__} of {name}: {seen(draw(rope_type))}"
    asked = "" if length is None else f", at {length:,} tokens"
    return f"![{alt}](../images/rules/{rope_type}.png)\n\nPictured{asked}: {told(card)}."


def _parameters(rule: type[Scaling]) -> str:
    rows = "".join(
        f"| {', '.join(f'`{one}`' for one in names.split(', '))} | {line(kind)} | {line(text)} |\n"
        for names, kind, text in parameters(rule)
    )
    return f"| parameter | type | |\n| --- | --- | --- |\n{rows}" if rows else ""


def _example(rule: type[Scaling]) -> str:
    lines = sections(rule).get("Examples", "").strip()
    return f"```pycon\n{lines}\n```" if lines else ""


def _models(rope_type: str) -> str:
    names = models().get(rope_type, ())
    if rope_type == "default":
        return f"{len(names)} models of the registry have it in some layer at least."
    return f"In the registry, `ropelab.models.MODELS`: {', '.join(names)}." if names else ""


def _differences(rope_type: str) -> str:
    rows = "".join(
        line_of_difference(number, row, size(row)) for number, row in differences(rope_type)
    )
    told = "What the columns mean, and how to get A and B: [differences](../differences.md)."
    return f"{told}\n\n{COLUMNS}{rows}" if rows else ""


def _bugs(rope_type: str) -> str:
    own = {name for name, rules in bugs().items() if rope_type in rules and len(rules) <= COMMON}
    table = bug_table({name: MUTANTS[name] for name in MUTANTS if name in own})
    others = "those that [any rule attracts](../rules.md#bugs-that-any-rule-attracts)"
    return f"{table}\nBeside them, {others}." if own else f"None of its own is known; {others}."


def bug_table(mutants: Mapping[str, Mutant]) -> str:
    """Return a table of known bugs, each with the thread where it was reported."""
    rows = "".join(
        f"| {one.mechanism} | {one.description} | {link(one.thread) if one.thread else ''} |\n"
        for one in mutants.values()
    )
    return f"| | bug | thread |\n| --- | --- | --- |\n{rows}"
