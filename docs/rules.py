"""Writes rules.md and a page of each rule, and draws their pictures: ``nox -s figures``.

python -m docs.rules
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from docs.rule_facts import COMMON, bugs, depends_on_length, models
from docs.rule_families import FAMILIES
from docs.rule_figures import draw, save
from docs.rule_page import bug_table, rule_page
from docs.rule_text import line, summary
from ropelab import SCALINGS
from ropelab.golden.zoo import MUTANTS
from ropelab.models import MODELS

__all__ = ["index_page", "pages"]

HERE = Path(__file__).parent

_HEAD = """\
# Every frequency rule

{count} rules, by the name that `ropelab.SCALINGS` has for them; a page of each has its formula,
parameters, picture, models, bugs and sources. `docs/rules.py` takes all of it from the docstrings
of `ropelab/scaling/`, the registry of models, the differences and the goldens.

In the formulas $`b`$ is the base, $`d`$ the number of rotated channels, $`D`$ that of all channels
of a head, $`L`$ a length and $`s`$ a stretch, and $`\\omega_i`$ the frequency of pair $`i`$ in
radians per token. A picture shows the wavelength $`2\\pi / \\omega_i`$ of each pair before and
after scaling.
"""

_MODELS = """
## The rules of published models

Of the {count} models of `ropelab.models.MODELS`, {plain} have `default` in all layers; the others:

| rule | models |
| --- | --- |
"""

_BUGS = """
## Bugs that any rule attracts

Each is a [mutant](kill-matrix.md) of the specification that changes the numbers of more than
{common} rules. A rule's own are on its page.

"""


def index_page() -> str:
    """Return the page that leads to all rules."""
    parts = [_HEAD.format(count=len(SCALINGS))]
    parts += [f"\n## {title}\n\n{_family(names)}" for title, names in FAMILIES.items()]
    common = [name for name, rules in bugs().items() if len(rules) > COMMON]
    table = bug_table({name: MUTANTS[name] for name in common})
    return "".join([*parts, _models(), _BUGS.format(common=COMMON), table])


def pages() -> dict[str, str]:
    """Return every page by its path inside this folder."""
    rules = {f"rules/{name}.md": rule_page(name) for name in SCALINGS}
    return {"rules.md": index_page(), **rules}


def _family(names: tuple[str, ...]) -> str:
    """Return the table of one family's rules."""
    rows = "".join(
        f"| {_link(name)} | {line(summary(SCALINGS[name]))} | {_reads_length(name)} |\n"
        for name in names
    )
    return f"| rule | in one line | reads the length |\n| --- | --- | --- |\n{rows}"


def _models() -> str:
    """Return which rules the models of the registry have, but for the default."""
    used = {name: of for name, of in models().items() if name != "default"}
    plain = len(MODELS) - len({name for names in used.values() for name in names})
    order = (name for family in FAMILIES.values() for name in family if name in used)
    rows = (f"| {_link(name)} | {', '.join(used[name])} |\n" for name in order)
    return _MODELS.format(count=len(MODELS), plain=plain) + "".join(rows)


def _link(rope_type: str) -> str:
    return f"[`{rope_type}`](rules/{rope_type}.md)"


def _reads_length(rope_type: str) -> str:
    """Return whether a rule depends on the current length; one around another may or may not."""
    answers = depends_on_length(rope_type)
    return "as the inner rule" if len(answers) > 1 else "yes" if True in answers else ""


def main() -> None:
    """Write the pages and draw every picture."""
    mpl.rcParams.update({"font.size": 9})
    images = HERE / "images" / "rules"
    for folder in (images, HERE / "rules"):
        folder.mkdir(parents=True, exist_ok=True)
    for path, text in pages().items():
        (HERE / path).write_text(text, encoding="utf-8")
    for rope_type in SCALINGS:
        save(draw(rope_type), images / f"{rope_type}.png")


if __name__ == "__main__":
    main()
