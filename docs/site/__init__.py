"""What the site has beside Sphinx: its table of contents, and formulas without JavaScript."""
