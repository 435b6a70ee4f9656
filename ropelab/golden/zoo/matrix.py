"""The kill matrix: which family of cases rejects which known bug, and in how many cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..files import Golden
from ..flags import FLAGS
from .mutant import Mutant
from .threads import link
from .trial import Trial, family, kills, margin

__all__ = ["KillMatrix", "kill_matrix", "markdown"]

_HEAD = """\
# The kill matrix

{mutants} known bugs, each as a mutant of the specification (`ropelab.golden.zoo`), and how many
golden cases of each family reject it. {threads} of them were reported in a public issue (`#`) or
pull request (`!`) of the project named; the others were read in a source, or are their like. A
family is the first part of a case's id. There is no column for
{unreached}:
they ask for single steps, such as phases, tables and pairs, whereas the bugs here change a whole
rotation, a rule or a weight, and the families of those reject them. A bug of rotations is rejected
in every dtype.

This page is written by `python -m ropelab.golden --kill-matrix docs/kill-matrix.md`.

{mechanisms}
"""


@dataclass(frozen=True)
class KillMatrix:
    """What came of trying every mutant.

    Parameters
    ----------
    mutants : mapping of str to Mutant
        The suspects, by name.
    cases : mapping of str to int
        Number of cases of each family that rejects a mutant at all, in the order of the goldens.
    unreached : tuple of str
        The other families.
    kills : mapping of str to mapping of str to int
        For each mutant, by family, the number of cases that reject it.
    margins : mapping of str to float
        For each mutant, how clearly it is rejected, as `margin` says it.
    """

    mutants: Mapping[str, Mutant]
    cases: Mapping[str, int]
    unreached: tuple[str, ...]
    kills: Mapping[str, Mapping[str, int]]
    margins: Mapping[str, float]

    @property
    def survivors(self) -> tuple[str, ...]:
        """The mutants that the goldens do not reject."""
        return tuple(name for name, value in self.margins.items() if not value > 1.0)


def kill_matrix(
    mutants: Mapping[str, Mutant],
    goldens: Iterable[Golden],
    track: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> KillMatrix:
    """Try every mutant.

    Parameters
    ----------
    mutants : mapping of str to Mutant
        The suspects, by name.
    goldens : iterable of Golden
        All of them.
    track : callable
        Wraps the iteration over mutants, for a progress bar.

    Returns
    -------
    KillMatrix
        The outcome.
    """
    goldens = list(goldens)
    trial = Trial(goldens)
    killed, clear = {}, {}
    for name in track(list(mutants)):
        results = trial.results(mutants[name])
        killed[name] = kills(results)
        clear[name] = margin(mutants[name], results)
    sizes = Counter(family(golden.case.id) for golden in goldens)
    useful = {one for row in killed.values() for one in row}
    cases = {one: count for one, count in sizes.items() if one in useful}
    unreached = tuple(one for one in sizes if one not in useful)
    return KillMatrix(mutants, cases, unreached, killed, clear)


def markdown(matrix: KillMatrix) -> str:
    """Return the kill matrix as a page of the documentation.

    Parameters
    ----------
    matrix : KillMatrix
        The outcome; margins are left out, since their last digits differ between processors.

    Returns
    -------
    str
        Markdown.
    """
    families = list(matrix.cases)
    threads = sum(mutant.thread is not None for mutant in matrix.mutants.values())
    head = _HEAD.format(
        mutants=len(matrix.mutants),
        threads=threads,
        unreached=", ".join(f"`{one}`" for one in matrix.unreached),
        mechanisms="".join(f"- {name}: {text}\n" for name, text in _mechanisms().items()),
    )
    rows = [
        ["", "bug", "thread", *families],
        ["--", "--", "--", *(["--:"] * len(families))],
        ["", "*cases of the family*", "", *(f"*{matrix.cases[one]}*" for one in families)],
    ]
    for name, mutant in matrix.mutants.items():
        killed = matrix.kills[name]
        cells = (str(killed[one]) if killed.get(one) else "" for one in families)
        thread = link(mutant.thread) if mutant.thread else ""
        rows.append([mutant.mechanism, mutant.description, thread, *cells])
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _mechanisms() -> dict[str, str]:
    """Return what each mechanism is: the first flag that names it, without its threads."""
    told: dict[str, str] = {}
    for text in FLAGS.values():
        name, _, rest = text.partition(". ")
        if name.startswith("M") and rest:
            told.setdefault(name, rest.partition(" (")[0].rstrip(".") + ".")
    return told
