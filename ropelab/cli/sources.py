"""What CONFIG names: a file, a folder, a model of the registry, or stdin."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from ..formats import LayersReading, read_layers
from ..formats.sources import LARGEST, parse_config, read_config
from ..formats.transformers.rope import NO_ROPE
from ..lint.subject import subject_of
from ..models import MODELS
from ..rope import Rope
from . import exits
from .failure import Failure, refusals, shown
from .gguf_files import is_gguf, read_gguf_file
from .pipes import read_pipe

__all__ = ["Source", "reaches_of", "reading_of", "source_of"]

_STDIN = "-"


@dataclass(frozen=True)
class Source:
    """A config that CONFIG names.

    Parameters
    ----------
    name : str
        As it was given, quoted if it cannot be shown; of a model, as the registry has it.
    values : mapping
        Keys and values.
    dialect : str
        Whose format it is in, where nobody says otherwise.
    origin : str
        Where it is from, in words.
    tensors : mapping of str to array-like
        Of a GGUF file, those that matter.
    """

    name: str
    values: Mapping[str, Any]
    dialect: str
    origin: str
    tensors: Mapping[str, ArrayLike] = field(default_factory=dict)


def source_of(name: str) -> Source:
    """Return what CONFIG names.

    Parameters
    ----------
    name : str
        The argument.

    Returns
    -------
    Source
        The config, parsed but not read yet.

    Raises
    ------
    Failure
        If there is no such thing, or it cannot be parsed.
    """
    if name == _STDIN:
        if sys.stdin is None:
            raise Failure(exits.UNREADABLE, "stdin is closed; give a config.json on it")
        with refusals("", exits.UNREADABLE):
            values = parse_config(sys.stdin.buffer.read(LARGEST + 1), "the text on stdin")
        return Source(name, values, "transformers", "stdin")
    if not name:
        line = "'': an empty CONFIG; give a path, the name of a model, or - for stdin"
        raise Failure(exits.UNREADABLE, line)
    path = _path(name)
    if path is None:
        return _model(name)
    title = shown(name)
    if is_gguf(path):
        metadata, tensors = read_gguf_file(path)
        return Source(title, metadata, "gguf", f"the metadata of {shown(path)}", tensors)
    with refusals("", exits.UNREADABLE):
        piped = path.is_fifo()
        values = parse_config(read_pipe(path), shown(path)) if piped else read_config(path)
    return Source(title, values, "transformers", shown(path))


def reading_of(source: Source, dialect: str | None = None) -> LayersReading:
    """Return the ropes that an implementation makes of a config.

    Parameters
    ----------
    source : Source
        The config.
    dialect : str, optional
        Whose reading; by default that of its own format.

    Returns
    -------
    LayersReading
        At least one of its ropes is one.

    Raises
    ------
    Failure
        If the implementation refuses it, or none of its layers has a rotary embedding.
    """
    chosen = dialect or source.dialect
    if (chosen == "gguf") != (source.dialect == "gguf"):
        held = "a GGUF file's metadata" if source.dialect == "gguf" else "a JSON config"
        line = f"{source.name}: {chosen} does not read {held}"
        raise Failure(exits.REFUSED, f"{line}; choose another implementation or another file")
    with refusals(source.name):
        reading = read_layers(source.values, chosen, tensors=source.tensors)
    if any(finding.kind == NO_ROPE for finding in reading.findings):
        line = f"{source.name}: no rotary embedding: neither a key nor the model_type speaks of one"
        raise Failure(exits.REFUSED, line)
    if not any(reading.ropes.values()):
        line = f"{source.name}: no rotary embedding in any layer, as {chosen} reads it"
        raise Failure(exits.REFUSED, line)
    return reading


def reaches_of(
    source: Source, dialect: str | None, reading: LayersReading
) -> Mapping[Rope, int | None]:
    """Return the largest distance of two tokens for each rope.

    Parameters
    ----------
    source : Source
        The config.
    dialect : str or None
        Whose reading it is; None for that of its own format.
    reading : LayersReading
        The reading.

    Returns
    -------
    mapping of Rope to int or None
        In tokens; less than max_position_embeddings in layers with a window. None, or not there,
        where nothing tells it.
    """
    if (dialect or source.dialect) == "transformers":
        return {rope: reach for _, rope, reach in subject_of(source.values).spans()}
    ropes = [rope for rope in reading.ropes.values() if rope is not None]
    return {rope: rope.max_position_embeddings for rope in ropes}


def _path(name: str) -> Path | None:
    """Return the path that a name is, a folder's config.json in its place; None for no path."""
    path = Path(name)
    try:
        if path.is_dir():
            inside = path / "config.json"
            if not inside.is_file():
                line = f"{shown(name)}: a folder without a config.json; give the path of a config"
                raise Failure(exits.UNREADABLE, line)
            return inside
        return path if path.exists() or path.is_symlink() else None
    except (OSError, ValueError) as error:  # a name too long, not permitted, with a null character
        reason = getattr(error, "strerror", None) or error
        raise Failure(exits.UNREADABLE, f"{shown(name)}: {reason}") from error


def _model(name: str) -> Source:
    folded = {known.casefold(): known for known in MODELS}
    if name.casefold() in folded:
        model = MODELS[folded[name.casefold()]]
        origin = f"the registry: {model.source}"
        return Source(model.name, model.config, "transformers", origin)
    last = name.rstrip("/").rpartition("/")[2].casefold()  # of owner/model, the model
    near = [folded[each] for each in get_close_matches(last, folded, n=3)]
    mend = f"the nearest names are {', '.join(near)}" if near else "see `ropelab models`"
    line = (
        f"{shown(name)}: neither a file nor one of the {len(MODELS)} models of the registry; {mend}"
    )
    raise Failure(exits.UNREADABLE, line)
