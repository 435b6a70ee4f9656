"""The site's table of contents: every page once, and an API page for what is public."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

import ropelab
from docs.site.contents import CONTENTS, children, setup

ROOT = Path(__file__).parents[1]
API = ROOT / "docs" / "api"

# Packages below ropelab that users call by their own name; the others' names are in ropelab itself.
PACKAGES = sorted(
    found.name
    for found in pkgutil.iter_modules(ropelab.__path__)
    if found.ispkg and found.name != "cli"  # its page is that of the commands
)


def pages() -> list[str]:
    found = [
        page.relative_to(ROOT)
        for kind in ("*.md", "*.rst")
        for page in (ROOT / "docs").rglob(kind)
        if "_build" not in page.parts
    ]
    return [page.with_suffix("").as_posix() for page in found]


def test_every_page_has_one_place() -> None:
    placed = Counter(child for parent in CONTENTS for child in children(parent))
    assert {page: count for page, count in placed.items() if count > 1} == {}
    assert set(pages()) - set(placed) == {"docs/index"}


def test_the_gallery_s_own_table_names_every_notebook() -> None:
    # The list that Sphinx is given is hidden, as on every page.
    text = (ROOT / "docs" / "gallery.md").read_text("utf-8")
    for page in children("docs/gallery"):
        assert text.count(f"(../{page}.ipynb)") == 1, page


@pytest.mark.parametrize("page", ["docs/gallery", "docs/guide", "docs/index", "docs/api/index"])
def test_no_list_of_pages_is_shown_beside_a_page_s_own(page: str) -> None:
    handlers = []
    setup(SimpleNamespace(connect=lambda _, handler: handlers.append(handler)))
    source = [""]
    for handler in handlers:
        handler(None, page, source)
    shown = re.search(r"toctree(?:}|::)\n\s*(\S*)\n", source[0])
    assert shown is not None
    assert shown[1] == ":hidden:"


@pytest.mark.parametrize("parent", CONTENTS)
def test_what_is_placed_is_there(parent: str) -> None:
    for page in (parent, *children(parent)):
        assert any((ROOT / f"{page}{kind}").exists() for kind in (".md", ".rst", ".ipynb")), page


@pytest.mark.parametrize("page", sorted(API.glob("ropelab*.rst")), ids=lambda page: page.stem)
def test_an_api_page_describes_the_module_that_it_is_named_for(page: Path) -> None:
    assert page.read_text("utf-8").endswith(f".. automodule:: {page.stem}\n")
    assert importlib.import_module(page.stem).__all__
    assert f":doc:`{page.stem}`" in (API / "index.rst").read_text("utf-8")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_an_api_page(package: str) -> None:
    assert (API / f"ropelab.{package}.rst").exists(), f"add docs/api/ropelab.{package}.rst"
