"""Writes rules.md and draws its pictures, from the rules' own docstrings: ``nox -s figures``."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from textwrap import dedent
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from ropelab import SCALINGS, plots
from ropelab.bands import stretches
from ropelab.golden.cards import CARDS, LENGTHS, Card
from ropelab.golden.implementation import rope_of_card
from ropelab.models import MODELS
from ropelab.plots.style import FAINT, INK
from ropelab.scaling import Scaling

PAGE = Path(__file__).parent / "rules.md"
IMAGES = Path(__file__).parent / "images" / "rules"

HEAD = """\
# Every frequency rule

{count} rules, by the name that `ropelab.SCALINGS` has for them. What stands here is taken from the
docstrings of `ropelab/scaling/` by `docs/rules.py`. In the formulas $`b`$ is the base, $`d`$ the
number of rotated channels, $`D`$ that of all channels of a head, $`L`$ a length and $`s`$ a
stretch, and $`\\omega_i`$ the frequency of pair $`i`$ in radians per token. A picture shows the
wavelength $`2\\pi / \\omega_i`$ of each pair before and after scaling.

"""

MODELS_HEAD = """\
## The rules of published models

Of the {count} models of `ropelab.models.MODELS`, {plain} have `default` in all layers; the others:

| rule | models |
| --- | --- |
"""

# Every rule is in one family; a rule that only one runtime has stands with the runtimes.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "The progression, and interpolation": (
        "default",
        "linear",
        "dynamic_linear",
        "te_interpolation",
        "inv_freq",
    ),
    "NTK: slow pairs more than fast ones": ("ntk_alpha", "dynamic", "ntk_by_parts", "llama3"),
    "YaRN": ("yarn", "deepseek_yarn", "yarn_paper", "dynamic_yarn"),
    "LongRoPE": ("longrope",),
    "A share of the head": ("proportional", "hope"),
    "Several position axes": ("axial",),
    "Around another rule": ("resonance", "rounded", "stretched"),
    "Single runtimes": (
        "exllamav2_yarn",
        "exllamav2_su",
        "llama_cpp",
        "vllm_ntk",
        "vllm_dynamic",
        "sglang_dynamic",
    ),
}

# Pictured where the rule still is what it is named for; at the longest length it is dynamic_linear.
WITHIN_REACH = {"te-4": 16384}


def sections(rule: type[Scaling]) -> dict[str, str]:
    """Return a docstring's sections by heading; "" is what stands before the first."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(rule) or "", flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def _table(match: re.Match[str]) -> str:
    """Turn a simple table into one of Markdown; its cells begin where the first line's do."""
    ruler, head, _, *body = match[0].splitlines()
    starts = [found.start() for found in re.finditer("=+", ruler)]
    ends = [*starts[1:], None]
    rows = [head, *(row for row in body if not row.startswith("=="))]
    cells = [[row[a:b].strip() for a, b in zip(starts, ends, strict=True)] for row in rows]
    cells.insert(1, ["---"] * len(starts))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def markdown(text: str) -> str:
    """Turn reStructuredText, as far as the docstrings use it, into Markdown."""

    def _block(match: re.Match[str]) -> str:
        formula = " ".join(line.strip() for line in match[1].strip().splitlines())
        return f"```math\n{formula}\n```\n"

    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = re.sub(r"^=+ [= ]*=\n(?:.*\S.*\n)+", _table, text, flags=re.MULTILINE)
    text = re.sub(r"^\.\. math:: ?(.*(?:\n[ \t]+.*)*)\n?", _block, text, flags=re.MULTILINE)
    # Within $` `$ Markdown leaves a backslash alone; within bare dollars it takes \_ and \, away.
    return re.sub(r":math:`([^`]*)`", r"$`\1`$", text).strip()


def line(text: str) -> str:
    """Turn text into one line of a table."""
    return " ".join(markdown(text).split()).replace("|", "\\|")


def parameters(rule: type[Scaling]) -> list[tuple[str, str, str]]:
    """Return names, types with defaults, and descriptions; of a parent if there are none."""
    told = next(
        (found["Parameters"] for one in rule.__mro__ if "Parameters" in (found := sections(one))),
        "",
    )
    entries = re.split(r"^(?=\w)", told, flags=re.MULTILINE)[1:]
    rows = []
    for entry in entries:
        heading, _, description = entry.partition("\n")
        names, _, kind = heading.partition(" : ")
        rows.append((names, kind, dedent(description)))
    return rows


def references(rule: type[Scaling]) -> list[str]:
    """Return the sources, each one line."""
    return [
        line(text) for text in re.split(r"\.\. \[\d+\]", sections(rule).get("References", ""))[1:]
    ]


def example(rope_type: str) -> tuple[str, Card, int | None]:
    """Return the golden card of a rule's picture, and the longest length it is asked at."""
    cards = {name: card for name, card in CARDS.items() if card["rope_type"] == rope_type}
    longest = {name: max((n for n in LENGTHS.get(name, ()) if n), default=None) for name in cards}
    longest |= {name: length for name, length in WITHIN_REACH.items() if name in cards}
    for name, card in cards.items():  # the first whose rule changes anything
        if (stretches(rope_of_card(card), seq_len=longest[name]) != 1.0).any():
            break
    else:
        name = next(iter(cards))
    return name, cards[name], longest[name]


def told(card: Mapping[str, Any]) -> str:
    """Return a card's own parameters, long lists by their ends."""

    def _value(value: Any) -> str:
        if isinstance(value, Mapping):
            return f"({told(value)})"
        if isinstance(value, list | tuple) and len(value) > 4:
            return f"[{value[0]:g}, …, {value[-1]:g}]"
        return str(value)

    left_out = (
        ("layout", "rotary_dim") if card.get("rotary_dim") == card.get("head_dim") else ("layout",)
    )
    return ", ".join(
        f"{name} {_value(value)}"
        for name, value in card.items()
        if name not in left_out and value is not None
    )


def entry(rope_type: str, rule: type[Scaling]) -> str:
    """Return the section of one rule."""
    summary, _, rest = sections(rule)[""].partition("\n")
    name, card, length = example(rope_type)
    alt = f"{rule.__name__} of {name}: {seen(draw(rope_type))}"
    asked = "" if length is None else f", at {length:,} tokens"
    rows = "".join(
        f"| {', '.join(f'`{one}`' for one in names.split(', '))} | {line(kind)} | {line(text)} |\n"
        for names, kind, text in parameters(rule)
    )
    table = f"| parameter | type | |\n| --- | --- | --- |\n{rows}\n" if rows else ""
    sources = "".join(f"- {source}\n" for source in references(rule))
    return f"""\
### `{rope_type}`: {rule.__name__}

{markdown(summary)}

{markdown(rest)}

{table}Sources:

{sources}
![{alt}](images/rules/{rope_type}.png)

Pictured{asked}: {told(card)}.
"""


def models() -> str:
    """Return which rules the models of the registry have, but for the default."""
    used: dict[str, list[str]] = {}
    for name, model in MODELS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a config leaves out
            ropes = [rope for rope in model.ropes().values() if rope is not None]
        for rope_type in {rope.scaling.rope_type for rope in ropes} - {"default"}:
            used.setdefault(rope_type, []).append(name)
    plain = len(MODELS) - len({name for names in used.values() for name in names})
    rows = (
        f"| [`{one}`]({anchor(one)}) | {', '.join(used[one])} |\n"
        for family in FAMILIES.values()
        for one in family
        if one in used
    )
    return MODELS_HEAD.format(count=len(MODELS), plain=plain) + "".join(rows)


def index(family: tuple[str, ...]) -> str:
    """Return the table of one family's rules."""
    summaries = (sections(SCALINGS[name])[""].partition("\n")[0] for name in family)
    rows = "".join(
        f"| [`{name}`]({anchor(name)}) | {line(summary)} | {reads_length(name)} |\n"
        for name, summary in zip(family, summaries, strict=True)
    )
    return f"| rule | in one line | reads the length |\n| --- | --- | --- |\n{rows}"


def anchor(rope_type: str) -> str:
    """Return the address of a rule's section."""
    return f"#{rope_type}-{SCALINGS[rope_type].__name__.lower()}"


def page() -> str:
    """Return the whole page."""
    parts = [HEAD.format(count=len(SCALINGS))]
    parts += [f"**{title}**\n\n{index(family)}\n" for title, family in FAMILIES.items()]
    parts += [models()]
    for title, family in FAMILIES.items():
        parts += [f"\n## {title}\n", *(f"\n{entry(one, SCALINGS[one])}" for one in family)]
    return "".join(parts)


def reads_length(rope_type: str) -> str:
    """Return whether a rule depends on the current length; one around another may or may not."""
    cards = [card for card in CARDS.values() if card["rope_type"] == rope_type]
    answers = {rope_of_card(card).scaling.depends_on_length for card in cards}
    return "as the inner rule" if len(answers) > 1 else "yes" if True in answers else ""


def draw_stretches(ax: Axes, stretch: NDArray[np.float64]) -> None:
    """Draw how many times longer each pair's wavelength is."""
    turning = np.isfinite(stretch)
    ax.plot(np.flatnonzero(turning), stretch[turning], ".", color=INK, markersize=4)
    ax.axhline(1.0, color=FAINT, linewidth=0.9, linestyle=(0, (5, 3)), zorder=0)
    ax.set_xlim(-1, stretch.size)
    ax.set_xlabel("pair index")
    ax.set_ylabel("times the unscaled wavelength")
    ax.spines[["top", "right"]].set_visible(False)


def draw(rope_type: str) -> Figure:
    """Draw a rule's picture: wavelengths, and beside them how far each is stretched."""
    _, card, length = example(rope_type)
    rope = rope_of_card(card)
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    stretch = stretches(rope, seq_len=length)
    own = rope_type in ("axial", "inv_freq")
    if own or np.isin(stretch, (1.0, np.inf)).all():  # nothing to be said of a stretch
        plots.wavelengths(rope, ax=figure.subplots(), seq_len=length)
    else:
        left, right = figure.subplots(1, 2, width_ratios=[2.5, 1.0])
        plots.wavelengths(rope, ax=left, seq_len=length)
        draw_stretches(right, stretch)
    return figure


def seen(figure: Figure) -> str:
    """Return what the markers of a picture show, as its legend says it."""
    legend = figure.axes[0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    return "; ".join(label for label in labels if label != "without scaling")


def save(figure: Figure, path: Path) -> None:
    """Write a picture of twice the pixels that it is shown in."""
    drawn = BytesIO()
    figure.savefig(drawn, dpi=176)
    # A palette of few colours makes it a third as large; and nothing differs between two runs.
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)


def main() -> None:
    """Write the page and draw every picture."""
    mpl.rcParams.update({"font.size": 9})
    IMAGES.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    for rope_type in SCALINGS:
        save(draw(rope_type), IMAGES / f"{rope_type}.png")


if __name__ == "__main__":
    main()
