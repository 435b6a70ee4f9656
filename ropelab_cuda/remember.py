"""Keeping a plan that has just been launched, for calls that are like its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .launch import OUTPUT_FORMATS, Plan
from .launcher import Launch
from .overlaps import reach
from .recordings import MOST_PLANS, Key, Plans, Recording, signature, thread
from .torch_tensors import torch_framework
from .views import View

__all__ = ["remember"]

COMPLEX = ("complex64", "complex128")


def remember(
    call: Key,
    plan: Plan,
    launch: Launch | None,
    passed: Sequence[tuple[Any, View]],
    made: Sequence[tuple[Any, View]],
    written: slice,
    starts: Mapping[str, int],
    owner: object,
) -> None:
    """Keep a plan that has just been launched, if such calls can be replayed.

    Parameters
    ----------
    call : tuple
        As `replay` is given it.
    plan : Plan
        The plan.
    launch : callable or None
        Launches it again; None if there was nothing to do.
    passed, made : sequence of (tensor, View)
        The tensors that `replay` is given, and the outputs that it has to make.
    written : slice
        Which of `passed` were written.
    starts : mapping of str to int
        Where, among all of these, the kinds begin that `plan.pointers` names.
    owner : object
        What `call` names by its id.
    """
    if launch is None or not plan.pointers or "torch" not in sys.modules or _may_change(call):
        return
    if thread.mine is None:
        thread.mine = Plans(torch_framework())
    mine, tensors = thread.mine, tuple(x for x, _ in passed)
    views = [view for _, view in (*passed, *made)]
    if any(view.dtype in COMPLEX for view in views):  # the gate alone asks for a conjugation
        return
    try:
        key, pointers = signature(mine, tensors, call)
        known = mine.plans.get(key)
    except TypeError:  # not plain, or an option that cannot be a key
        return
    if pointers != tuple(view.pointer for view in views[: len(passed)]):
        return
    meetings = tuple(_meetings(views[: len(passed)], written))
    differences = [pointers[j] - pointers[i] for i, j, *_ in meetings]
    if 0 in differences:  # an output that is an input by another name has a plan of its own
        return
    if known is None:
        words = memoryview(plan.parameters).cast("B").cast("Q")
        places = [(at // 8, starts[kind] + i) for at, kind, i in plan.pointers]
        known = Recording(
            launch,
            words,
            tuple((at, i, words[at] - views[i].pointer) for at, i in places),
            tuple(at // 8 for at in plan.numbers),
            meetings,
            tuple((tuple(x.shape), tuple(x.stride()), x.dtype) for x, _ in made),
            max((i + 1 for i, (_, x) in enumerate(passed) if x.dtype in OUTPUT_FORMATS), default=0),
            written if tensors[written] else None,
            views[0].device,
            (plan.parameters, owner),
        )
        if len(mine.plans) >= MOST_PLANS:
            mine.plans.clear()
        mine.plans[key] = known
    for (*_, apart), difference in zip(known.meetings, differences, strict=True):
        apart.add(difference)


def _may_change(option: object) -> bool:
    """Return whether an option holds a tensor: it stays the same key when its value does not."""
    if isinstance(option, tuple):
        return any(map(_may_change, option))
    return hasattr(option, "__dlpack__") and not isinstance(option, type)


def _meetings(
    views: Sequence[View], written: slice
) -> Iterator[tuple[int, int, int, int, set[int]]]:
    """Yield, for each written tensor and each other one, where their ranges would meet."""
    targets = range(len(views))[written]
    for i in targets:
        for j in range(len(views)):
            if j != i and (j not in targets or j > i):
                (first, end), (other_first, other_end) = reach(views[i]), reach(views[j])
                yield i, j, first - other_end, end - other_first, set()
