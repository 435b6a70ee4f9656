"""A config taken in for the linter: its keys, its ropes, and what its reader said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..checks import positive_int
from ..formats.findings import Finding, Findings
from ..formats.sources import read_config, text_part
from ..formats.transformers.config import Config, config_of
from ..formats.transformers.layers import ropes_of
from ..formats.transformers.parameters import RopeParameters, all_parameters
from ..formats.transformers.rope import NO_ROPE
from ..rope import Rope

__all__ = ["LENGTH", "MAXIMUM", "Subject", "subject_of"]

LENGTH, MAXIMUM = "original_max_position_embeddings", "max_position_embeddings"


@dataclass(frozen=True)
class Subject:
    """A config, and what Transformers makes of it.

    Parameters
    ----------
    given : mapping
        The whole config.
    values : mapping
        Its text part, as it is spelled.
    dictionaries : tuple of RopeParameters
        Its rope parameters: one, or one for each layer type; none if they cannot be told.
    ropes : mapping
        The rotary embedding of each kind of layers that has one; empty if the config is refused.
    notes : tuple of ropelab.formats.Finding
        What its reader found.
    refusal : ValueError or None
        Why it is refused.
    """

    given: Mapping[str, Any]
    values: Mapping[str, Any]
    dictionaries: tuple[RopeParameters, ...]
    ropes: Mapping[str, Rope]
    notes: tuple[Finding, ...]
    refusal: ValueError | None

    @property
    def model_type(self) -> str | None:
        """The model_type of the text part."""
        return self.values.get("model_type")

    @property
    def limit(self) -> int | None:
        """The advertised length, in tokens."""
        value = self.values.get(MAXIMUM, self.values.get("n_positions"))
        return None if value is None else positive_int(value, MAXIMUM)

    def noted(self, kind: str) -> list[Finding]:
        """Return what the reader found of a kind.

        Parameters
        ----------
        kind : str
            One of `ropelab.lint.KINDS`.

        Returns
        -------
        list of Finding
            The reader's.
        """
        return [note for note in self.notes if note.kind == kind]

    def refused(self, *starts: str) -> str | None:
        """Return why the config is refused, if that begins with one of some words.

        Parameters
        ----------
        *starts : str
            A key and a colon, as errors begin; or more words of one.

        Returns
        -------
        str or None
            The reader's message.
        """
        message = "" if self.refusal is None else str(self.refusal)
        return message if message.startswith(starts) else None

    def place_of(self, key: str) -> str:
        """Return where a key stands: the name of a dictionary, or the top level.

        Parameters
        ----------
        key : str
            Of the config.

        Returns
        -------
        str
            For a message, after "in" or "from".
        """
        for name, values, _ in self.dictionaries:
            if key in values:
                return name
        return "the config" if key in self.values or not self.dictionaries else self.home

    @property
    def home(self) -> str:
        """The dictionary that a new parameter of a rule is best put into."""
        written = [one.name for one in self.dictionaries if one.values]
        return written[0] if written else "rope_parameters"

    def different_ropes(self) -> Iterator[tuple[str, Rope]]:
        """Yield each rotary embedding once, and the kind of layers that has it first."""
        seen: list[Rope] = []
        for layer, rope in self.ropes.items():
            if rope not in seen:
                seen.append(rope)
                yield layer, rope

    def reach(self, layer: str) -> int | None:
        """Return the largest distance between two tokens of a kind of layers, in tokens.

        Parameters
        ----------
        layer : str
            The kind of layers.

        Returns
        -------
        int or None
            None if the config does not tell.
        """
        limit = self.limit
        windowed = "sliding" in layer
        if windowed or self.model_type in ("llama4_text", "llama4"):
            window = self.values.get("sliding_window" if windowed else "attention_chunk_size")
            if limit is None or window is None:
                return None
            return min(limit, positive_int(window, "sliding_window"))
        return limit

    def spans(self) -> Iterator[tuple[str, Rope, int]]:
        """Yield each rotary embedding with the largest distance that it must tell apart.

        Yields
        ------
        layer : str
            The kind of layers that has that reach.
        rope : Rope
            Once each, if the config tells a reach for it.
        reach : int
            In tokens.
        """
        for _, rope in self.different_ropes():
            alike = [layer for layer, other in self.ropes.items() if other == rope]
            reaches = {layer: self.reach(layer) or 0 for layer in alike}
            widest = max(reaches, key=reaches.__getitem__)
            if reaches[widest]:
                yield widest, rope, reaches[widest]

    def of_layer(self, layer: str) -> str:
        """Return words for a kind of layers where there are several, to begin a message with.

        Parameters
        ----------
        layer : str
            The kind of layers.

        Returns
        -------
        str
            Empty if there is one kind alone.
        """
        return f"{layer}: " if sum(1 for _ in self.different_ropes()) > 1 else ""


def subject_of(config: object) -> Subject:
    """Take in a config.

    Parameters
    ----------
    config : mapping, path or object
        As for `ropelab.from_transformers`.

    Returns
    -------
    Subject
        Its keys and ropes.

    Raises
    ------
    TypeError
        If it is no config, or a value has another type.
    ValueError
        If it has no rotary embedding.
    """
    given, findings = read_config(config), Findings()
    ropes: Mapping[str, Rope] = {}
    refusal = None
    try:
        taken = config_of(given, findings)
        ropes = _ropes(taken, given, findings)
    except ValueError as error:
        if str(error).startswith("config:"):
            raise
        refusal = error
    values = text_part(given, Findings())
    return Subject(given, values, _dictionaries(values), ropes, tuple(findings), refusal)


def _ropes(
    taken: Config | None, given: Mapping[str, Any], findings: Findings
) -> Mapping[str, Rope]:
    layers = {} if taken is None else ropes_of(taken, findings)
    ropes = {layer: rope for layer, rope in layers.items() if rope is not None}
    if not ropes or any(note.kind == NO_ROPE for note in findings):
        msg = (
            f"config: expected a model with a rotary embedding; got model_type "
            f"{given.get('model_type')!r} and no key that speaks of any; "
            f"give rope_theta, or rope_parameters, if it has some"
        )
        raise ValueError(msg)
    return ropes


def _dictionaries(values: Mapping[str, Any]) -> tuple[RopeParameters, ...]:
    try:
        found = all_parameters(values, Findings())
    except ValueError:  # mixed; the reader has refused it too
        return ()
    if isinstance(found, RopeParameters):
        return (found,)
    return tuple(one for one in found.values() if one is not None)
