"""How Sphinx builds the site: ``nox -s docs``.

The source folder is the root of the repository, so that links between pages are the same here and
on a code host; nothing is fetched at build time, nor by the pages themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.site import contents, mathml  # noqa: E402  # found by the path above

project = "ropelab"
author = "the ropelab authors"
project_copyright = "the ropelab authors, Apache-2.0"
language = "en-GB"

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc"]
include_patterns = ["docs/**", "golden/README.md", "notebooks/*.ipynb", "CONTRIBUTING.md"]
exclude_patterns = [".*", "docs/_build", "ropelab", "ropelab_cuda", "tests", "**.ipynb_checkpoints"]
root_doc = "docs/index"

default_role = "code"
smartquotes = False  # what is quoted is code
nitpicky = True

# Markdown, as a code host reads it; outputs of notebooks are those that they hold.
myst_enable_extensions = ["deflist", "dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_default_options = {
    "members": True,
    "imported-members": True,
    "inherited-members": "ABC, Exception, Module, Protocol, dict, object, str, tuple",
}
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "ropelab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "front.html"}
templates_path = ["_templates"]
html_sidebars: dict[str, list[str]] = {
    page: [] for page in ("docs/index", *contents.without_children())
}
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_theme_options = {
    "header_links_before_dropdown": 10,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app: object) -> None:
    """Hand the site's own parts to Sphinx."""
    contents.setup(app)
    mathml.setup(app)
