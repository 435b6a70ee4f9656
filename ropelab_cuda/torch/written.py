"""Tensors that torch's own copy overwrites, checked as a kernel's outputs are."""

from __future__ import annotations

import torch

from .._memory import check_elements_apart
from ..overlaps import check_overlaps
from ..views import View

__all__ = ["check_written_apart", "view_of"]


def check_written_apart(q: torch.Tensor, k: torch.Tensor) -> None:
    """Raise ValueError if queries or keys share memory, with each other or within themselves."""
    views = [("q", view_of(q)), ("k", view_of(k))]
    for name, view in views:
        check_elements_apart(view, name)
    check_overlaps(views, views, [])


def view_of(x: torch.Tensor) -> View:
    """Return a tensor's memory."""
    name = str(x.dtype).removeprefix("torch.")
    return View(x.data_ptr(), tuple(x.shape), x.stride(), name)
