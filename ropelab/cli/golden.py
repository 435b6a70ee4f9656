"""``ropelab golden check|list|show``: the frozen cases."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ..precision import format_name, widen
from . import exits
from .failure import Failure, needed, refusals
from .options import json_option
from .output import print_json, say, table

if TYPE_CHECKING:
    from ..golden import Golden

__all__ = ["golden"]

_SHOWN = 24  # numbers of an array that are printed; --json has them all

directory_option = click.option(
    "--directory", type=click.Path(path_type=Path), help="Where the golden files are."
)


@click.group(invoke_without_command=True)
@click.pass_context
def golden(context: click.Context) -> None:
    """Check, list and show the goldens, the frozen cases of `golden/`."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@golden.command()
@directory_option
@click.option("--write", is_flag=True, help="Add the cases that are defined but not frozen yet.")
@click.option("--no-oracle", is_flag=True, help="Do not derive everything anew.")
@click.option("--no-zoo", is_flag=True, help="Do not run the known bugs.")
@json_option
@click.pass_context
def check(
    context: click.Context,
    directory: Path | None,
    write: bool,
    no_oracle: bool,
    no_zoo: bool,
    as_json: bool,
) -> None:
    """Check every golden, as `python -m ropelab.golden` does."""
    needed("ropelab.golden", "golden", "golden check")
    from ..golden.__main__ import main

    chosen = {
        "--no-write": not write,
        "--no-oracle": no_oracle,
        "--no-zoo": no_zoo,
        "--json": as_json,
    }
    flags = [flag for flag, wanted in chosen.items() if wanted]
    context.exit(main(["--directory", str(_folder(directory)), *flags]))


@golden.command(name="list")
@click.argument("words", nargs=-1)
@click.option("--op", metavar="NAME", help="Of this operation.")
@click.option("--flag", metavar="NAME", help="That exist to catch this bug.")
@directory_option
@json_option
@click.pass_context
def list_(
    context: click.Context,
    words: tuple[str, ...],
    op: str | None,
    flag: str | None,
    directory: Path | None,
    as_json: bool,
) -> None:
    """List the cases whose ids have all WORDS in them."""
    goldens = _load(directory)
    _check_name("--op", op, {each.case.op for each in goldens})
    _check_name("--flag", flag, {name for each in goldens for name in each.case.flags})
    found = [
        each
        for each in goldens
        if all(word in each.case.id for word in words)
        and op in (None, each.case.op)
        and (flag is None or flag in each.case.flags)
    ]
    if as_json:
        print_json([{"id": e.case.id, "op": e.case.op, "flags": e.case.flags} for e in found])
    else:
        rows = table("id", "operation", "bugs that it catches")
        for each in found:
            rows.add_row(each.case.id, each.case.op, ", ".join(each.case.flags))
        say(*([rows] if found else []), f"{len(found)} goldens")
    if not found:
        context.exit(exits.NO)


def _check_name(option: str, name: str | None, known: set[str]) -> None:
    if name is not None and name not in known:
        line = f"expected one of {', '.join(sorted(known))}; got {name!r}."
        raise click.BadParameter(line, param_hint=f"'{option}'")


@golden.command()
@click.argument("name", metavar="ID")
@directory_option
@json_option
def show(name: str, directory: Path | None, as_json: bool) -> None:
    """Print one case: its arrays, its tolerance, the bugs that it catches."""
    goldens = {each.case.id: each for each in _load(directory)}
    if name not in goldens:
        near = (
            get_close_matches(name, goldens, n=3)
            or [known for known in goldens if name and name in known][:3]
        )
        mend = f"the nearest ids are {', '.join(near)}" if near else "see `ropelab golden list`"
        raise Failure(exits.UNREADABLE, f"{name}: not one of the {len(goldens)} goldens; {mend}")
    found = goldens[name]
    if as_json:
        print_json(_document(found))
    else:
        _print(found)


def _folder(directory: Path | None) -> Path:
    """Return where the goldens are: in the clone that is run, or that the caller stands in."""
    from ..golden import DIRECTORY

    here = Path("golden")
    beside = here if (here / "manifest.json").is_file() and not DIRECTORY.is_dir() else DIRECTORY
    folder = directory or beside
    if not folder.is_dir():
        line = f"{folder}: no such folder; the goldens are in a clone of ropelab; give --directory"
        raise Failure(exits.UNREADABLE, line)
    return folder


def _load(directory: Path | None) -> list[Golden]:
    needed("ropelab.golden", "golden", "golden")
    from ..golden import load

    folder = _folder(directory)
    try:
        with refusals(f"{folder}: the golden files are damaged", exits.UNREADABLE):
            found = load(folder)
    except FileNotFoundError as error:
        raise Failure(exits.UNREADABLE, f"{folder}: no goldens there: {error}") from error
    except (OSError, KeyError) as error:
        raise Failure(
            exits.UNREADABLE, f"{folder}: the golden files are damaged: {error}"
        ) from error
    if not found:
        raise Failure(exits.UNREADABLE, f"{folder}: no goldens there")
    return found


def _document(found: Golden) -> dict[str, Any]:
    from ..golden.flags import FLAGS

    case = found.case
    return {
        "id": case.id,
        "op": case.op,
        "options": case.options,
        "arguments": {name: _array(values) for name, values in case.arguments.items()},
        "expected": {name: _array(values) for name, values in found.expected.items()},
        "tolerance": case.tolerance,
        "flags": {flag: FLAGS[flag] for flag in case.flags},
    }


def _array(values: Any) -> dict[str, Any]:
    return {
        "dtype": format_name(values.dtype),
        "shape": values.shape,
        "values": _numbers(values),
    }


def _numbers(values: Any) -> Any:
    """Return an array's numbers; formats that NumPy lacks are stored as bits."""
    return values if values.dtype.fields is None else widen(values)


def _print(found: Golden) -> None:
    document = _document(found)
    say(f"{document['id']}: {document['op']}", *_options(document["options"]))
    for kind in ("arguments", "expected"):
        for name, array in document[kind].items():
            shape = " × ".join(map(str, array["shape"])) or "one number"
            say(
                "",
                f"{kind[:8].rstrip('s')} {name}: {array['dtype']}, {shape}",
                _head(array["values"]),
            )
    bound = document["tolerance"]
    unit = "" if bound.metric == "equal" else f" at most {bound.bound:g} in eps of {bound.unit}"
    say("", f"tolerance: {bound.metric}{unit}; {bound.why}")
    say(*(f"catches {flag}: {meaning}" for flag, meaning in document["flags"].items()))


def _options(options: Mapping[str, Any]) -> list[str]:
    return [f"  {name}: {value}" for name, value in options.items()]


def _head(values: Any) -> str:
    flat = np.asarray(values).reshape(-1)
    numbers = ", ".join(str(each) for each in flat[:_SHOWN].tolist())
    rest = f", ... {flat.size - _SHOWN} more" if flat.size > _SHOWN else ""
    return f"  {numbers}{rest}"
