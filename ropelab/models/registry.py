"""The registry: models by name, read from ``models.json`` at first use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..formats import from_transformers, layers_from_transformers
from ..rope import Rope

__all__ = ["MODELS", "Model", "model"]

_FILE = Path(__file__).with_name("models.json")


@dataclass(frozen=True)
class Model:
    """A published model's config, as far as it speaks of positions.

    Parameters
    ----------
    name : str
        What the model is called.
    kind : {"checkpoint", "preset", "script", "class default"}
        Where the numbers stand: in a copy of the checkpoint's config.json, in a runtime's preset,
        in a conversion, training or test script, or in a config class of Transformers.
    source : str
        The file that was read, as repository, path and commit, or the class and its version.
    config : mapping
        The keys that speak of positions, spelled as in a config.json.
    note : str
        What was translated, left out or added; empty if nothing was.

    Examples
    --------
    >>> from ropelab.models import model
    >>> model("Mistral-7B-v0.3").config["rope_theta"]
    1000000.0
    """

    name: str
    kind: str
    source: str
    config: Mapping[str, Any] = field(hash=False)
    note: str = ""

    def __reduce__(self) -> tuple[type[Model], tuple[Any, ...]]:
        # Through dictionaries, since what keeps a config from being written to has no copy.
        return type(self), (self.name, self.kind, self.source, _copied(self.config), self.note)

    def rope(self, layer_type: str | None = None) -> Rope | None:
        """Return the model's rotary embedding, as `ropelab.from_transformers` reads its config.

        Parameters
        ----------
        layer_type : str, optional
            Which layers, for models whose layers differ: ``"full_attention"`` for instance.

        Returns
        -------
        Rope or None
            None for layers without a rotary embedding.

        Examples
        --------
        >>> from ropelab.models import model
        >>> model("Gemma-3-1B").rope("sliding_attention").base
        10000.0
        """
        return from_transformers(self.config, layer_type)

    def ropes(self) -> dict[str, Rope | None]:
        """Return the rotary embedding of each kind of layers, by `layers_from_transformers`.

        Returns
        -------
        dict of str to Rope or None
            None for layers without a rotary embedding.

        Examples
        --------
        >>> from ropelab.models import model
        >>> {name: rope.base for name, rope in model("ModernBERT").ropes().items()}
        {'sliding_attention': 10000.0, 'full_attention': 160000.0}
        """
        return layers_from_transformers(self.config)


class _Registry(Mapping[str, Model]):
    """The models by name; the file is read when the first one is asked for."""

    def __getitem__(self, name: str) -> Model:
        return _read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_read())

    def __len__(self) -> int:
        return len(_read())

    def __repr__(self) -> str:
        return f"<{len(self)} models: {', '.join(self)}>"


MODELS: Mapping[str, Model] = _Registry()
"""Every model of the registry, by name."""


def model(name: str) -> Model:
    """Return a model of the registry.

    Parameters
    ----------
    name : str
        One of `MODELS`.

    Returns
    -------
    Model
        Its config and where it comes from.

    Raises
    ------
    TypeError
        If `name` is no text.
    ValueError
        If there is no such model; the message names the nearest ones.

    Examples
    --------
    >>> model("Llama-3.1-8B").rope().max_position_embeddings
    131072
    """
    _check_known(name)
    return MODELS[name]


def _check_known(name: object) -> None:
    if not isinstance(name, str):
        msg = f"name: expected the name of a model; got {name!r} of type {type(name).__name__}"
        raise TypeError(msg)
    if name not in MODELS:
        expected = f"one of the {len(MODELS)} models of ropelab.models.MODELS"
        msg = f"name: expected {expected}; got {name!r}; {_mend(name)}"
        raise ValueError(msg)


def _copied(config: Any) -> Any:
    """Return a config as dictionaries of its own, all the way down."""
    if not isinstance(config, Mapping):
        return config
    return {key: _copied(value) for key, value in config.items()}


def _mend(name: str) -> str:
    folded = {known.casefold(): known for known in MODELS}
    near = [folded[found] for found in get_close_matches(name.casefold(), folded, n=3)]
    if near:
        return f"the nearest names are {', '.join(map(repr, near))}"
    return "read the model's own config.json by ropelab.from_transformers"


@cache
def _read() -> Mapping[str, Model]:
    entries = json.loads(_FILE.read_text("utf-8"), object_hook=MappingProxyType)
    return MappingProxyType({entry["name"]: Model(**entry) for entry in entries})
