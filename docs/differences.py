"""Writes ``differences.md``: where implementations part, and by how much.

    python -m docs.differences

Every number of that page is computed here, by the library, from the expressions that the page
shows.
"""

from __future__ import annotations

import math
from pathlib import Path

from docs.difference_roundings import ROUNDINGS
from docs.difference_rows import ROWS, Row, Size, size

__all__ = ["COLUMNS", "PAGE", "line", "page"]

PAGE = Path(__file__).with_name("differences.md")

_HEAD = """# Differences between implementations

The same config does not give the same numbers everywhere. Where it does not, `ropelab` has both
by name; this page says how to get each and how far they are apart. `python -m docs.differences`
writes it: the expressions are evaluated and the numbers computed then. In them, `long` and `short`
are the lists of Phi-3.5-mini, and rules come from `ropelab.scaling`.

*Frequency* is the largest quotient of two frequencies, either way, and the pair that has it;
*pairs* how many differ; *phase* the largest difference of angles at the position named, in radians,
not reduced to a turn; *cos, sin* and *scores* what B's amplitudes are as multiples of A's, on the
tables and on q · k.

"""

COLUMNS = """\
| | what | A | B | frequency | pairs | phase | cos, sin | scores |
| --: | --- | --- | --- | --- | --- | --- | --- | --- |
"""

_MIDDLE = """
## How to get each

By the number of the row above.

| | A | B |
| --: | --- | --- |
"""

_TAIL = """
## Rounding on the way

Head of 128 channels; the largest difference from the exact number.

| what | where | size |
| --- | --- | --- |
"""


_REST = """
## Without a size

- Layers without rotary embedding: a 1 in Transformers' `no_rope_layers` marks a layer *with* one, a
  1 in Megatron's `no_rope_freq` a layer *without*. `layers_from_megatron` reads the latter.
- Pairs: llama.cpp turns interleaved channels for "llama", "glm4" or "deepseek2" and halves for
  "qwen2" or "phi3"; a converted file's weights are permuted to suit. `from_gguf` gives the layout.
- Woven M-RoPE: with sections 24, 20, 20 the last pairs, 61 and 62, belong to no section.
  Transformers turns them by time; llama.cpp by its fourth position, which is 0 for text, so that
  they stand still. `from_gguf` gives them axis 3.
- Partial width: NeMo Automodel reads it at the top level of a config alone, ExLlamaV2 too, vLLM
  in both places, and Megatron's YaRN nowhere.
"""


def page() -> str:
    """Return the page's text."""
    table = "".join(line(number, row, size(row)) for number, row in enumerate(ROWS, start=1))
    codes = "".join(
        f"| {number} | `{row.a.code}` | `{row.b.code}` |\n"
        for number, row in enumerate(ROWS, start=1)
    )
    roundings = "".join(
        f"| {each.what} | {each.who} | {_figure(each.compute())} {each.unit} |\n"
        for each in ROUNDINGS
    )
    return _HEAD + COLUMNS + table + _MIDDLE + codes + _TAIL + roundings + _REST


def line(number: int, row: Row, found: Size) -> str:
    """Return a row of the table of differences."""
    same = found.differing == 0
    cells = (
        str(number),
        row.what,
        row.a.who,
        row.b.who,
        "same" if same else f"{_times(found.ratio)} at {found.pair}",
        f"{found.differing} of {found.pairs}",
        "0" if same else f"{_figure(found.radians)} at {row.position}",
        _times(found.amplitude),
        _times(found.logits),
    )
    return f"| {' | '.join(cells)} |\n"


def _times(quotient: float) -> str:
    if math.isclose(quotient, 1.0, rel_tol=1e-12):
        return "same"
    excess = quotient - 1.0
    return f"1 + {excess:.1e}" if 0.0 < excess < 0.01 else f"×{_figure(quotient)}"


def _figure(value: float) -> str:
    """Return four digits; the last of a double's would not be the same on every processor."""
    return f"{value:.4g}" if 1e-2 <= value < 1e6 else f"{value:.1e}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
