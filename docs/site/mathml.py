"""Formulas as MathML, which browsers draw by themselves: no script, and nothing to fetch."""

from __future__ import annotations

import re
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

__all__ = ["code_host_math", "math", "setup"]


_THIN = '<mspace width="0.17em"></mspace>'
_LETTERS = re.compile(r'(?:<mi mathvariant="normal">\w</mi>){2,}')
_FUNCTION = re.compile(r"<mi>(?:cos|sin|ln)</mi>(?!<mo[^>]*>&#x00028;)")  # of a bare argument
_BEFORE = re.compile(r"(?:(?<=</mi>)|(?<=</mn>))(?=<mi>(?:cos|sin|ln)</mi>)")  # of a factor


def math(latex: str, display: str) -> str:
    """Return a formula as MathML; names of several letters are one identifier."""
    text = convert(" ".join(latex.split()), display=display)
    joined = _LETTERS.sub(lambda found: f"<mi>{re.sub('<[^>]*>', '', found[0])}</mi>", text)
    spaced = _FUNCTION.sub(rf"\g<0>{_THIN}", joined)
    return _BEFORE.sub(_THIN, spaced)


def code_host_math(_: Any, __: str, source: list[str]) -> None:
    """Turn the formulas of a code host, $`x`$, into those that MyST knows."""
    source[0] = re.sub(r"\$`([^`]*)`\$", r"$\1$", source[0])


def _inline(translator: Any, node: Any) -> None:
    translator.body.append(math(node.astext(), "inline"))
    raise SkipNode


def _block(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="formula">{math(node.astext(), "block")}</div>\n')
    raise SkipNode


def setup(app: Any) -> None:
    """Hand the renderer to Sphinx."""
    app.connect("source-read", code_host_math)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
