"""Taking in a config: a mapping, an object or a JSON file, at its text, under present names."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..rope import Rope
from .findings import Findings
from .transformers_models import LEGACY_NAMES

__all__ = [
    "LARGEST",
    "SIGNS",
    "check_keys",
    "first_given",
    "note_layer_bases",
    "optional_text",
    "parse_config",
    "read_config",
    "renamed",
    "text_part",
]

# Keys of a config that say it is a RoPE model's, be their value null.
SIGNS = frozenset(
    {
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
        "rope_local_base_freq",
        "global_rope_theta",
        "local_rope_theta",
        "partial_rotary_factor",
        "rotary_dim",
    }
)

_DIGITS = 640  # of a whole number, which every setting of Python's reads

LARGEST = 2**26
"""Bytes of a config.json that are read; none has a thousandth of them."""

_LONGEST_ECHO = 240  # characters of a path in a message


def read_config(config: object) -> Mapping[str, Any]:
    """Return the keys and values of a config, or raise TypeError or ValueError naming it.

    Parameters
    ----------
    config : mapping, path or object
        As in `ropelab.from_transformers`.

    Returns
    -------
    mapping
        The config's own keys.
    """
    if isinstance(config, (str, os.PathLike)):
        _check_path(os.fsdecode(config))
        return _read_json(Path(config))
    return _mapping(config, "config")


def parse_config(raw: bytes, place: str) -> Mapping[str, Any]:
    """Return the keys and values of a config.json's bytes, or raise naming where they are from.

    Parameters
    ----------
    raw : bytes
        All of them, or at least one more than `LARGEST`.
    place : str
        What messages call their origin.

    Returns
    -------
    mapping
        The config's own keys.

    Raises
    ------
    TypeError
        If the JSON is of no object.
    ValueError
        If it is no JSON, where the message has the line, or too large.
    """
    if len(raw) > LARGEST:
        msg = f"config: {place} is larger than any config.json: more than {LARGEST >> 20} MiB"
        raise ValueError(msg)
    _check_width(raw, place)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"config: {place} is not JSON (it starts with {raw[:4]!r}): {error.reason}"
        raise ValueError(msg) from error
    try:
        config = json.loads(text, object_pairs_hook=_without_repetition, parse_int=_whole_number)
    except RecursionError:
        msg = f"config: {place} is no sound JSON: it nests too deep to be a config"
        raise ValueError(msg) from None
    except ValueError as error:
        msg = f"config: {place} is no sound JSON: {error}"
        raise ValueError(msg) from error
    if not isinstance(config, Mapping):
        msg = f"config: expected a file that holds a JSON object; got {_kind(config)}"
        raise TypeError(msg)
    return config


def text_part(config: Mapping[str, Any], findings: Findings) -> Mapping[str, Any]:
    """Return the part of a multimodal config that speaks of text."""
    if config.get("text_config") is None:
        return config
    text = _mapping(config["text_config"], "text_config")
    if "num_attention_heads" in config:
        findings.add(
            "text_config",
            "text_config is not read: the config has num_attention_heads beside it",
            "outside-text-config",
        )
        return config
    outside = sorted(
        key
        for key in SIGNS & set(config)
        if config[key] is not None and config[key] != text.get(key)
    )
    if outside:
        findings.add(
            outside[0],
            f"{', '.join(outside)} beside text_config is not read; text_config is",
            "outside-text-config",
        )
    return text


def renamed(config: Mapping[str, Any], findings: Findings) -> Mapping[str, Any]:
    """Return the config with the keys of older models under their present names."""
    values = dict(config)
    for old, new in LEGACY_NAMES.items():
        if config.get(old) is not None:
            values[new] = first_given(
                new, [("", config.get(new)), (f" as {old}", config[old])], findings
            )
    return values


def first_given(key: str, places: list[tuple[str, Any]], findings: Findings) -> Any:
    """Return the first value that is not None, and find another that disagrees with it."""
    given = [(place, value) for place, value in places if value is not None]
    for place, value in given[1:]:
        if np.any(value != given[0][1]):  # an object's value may be an array
            findings.add(
                key,
                f"{key} = {given[0][1]!r}{given[0][0]} is used, as in Transformers; "
                f"{value!r}{place} disagrees with it",
                "two-bases" if key == "rope_theta" else "two-values",
            )
    return given[0][1] if given else None


def note_layer_bases(values: Mapping[str, Any], instead: str, findings: Findings) -> None:
    """Find each base of single layers, for a reader that has one base for all."""
    for key in ("rope_local_base_freq", "global_rope_theta", "local_rope_theta"):
        if values.get(key) is not None:
            findings.add(key, f"{key}: {values[key]!r} is not read; {instead}")


def optional_text(value: object, name: str) -> str | None:
    """Return a name or None, or raise; an empty name is no name."""
    if value is None or (isinstance(value, str) and value):
        return value
    msg = f"{name}: expected a name or None; got {value!r} of type {type(value).__name__}"
    raise ValueError(msg) if isinstance(value, str) else TypeError(msg)


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    """Return a mapping as it is and an object as its attributes, or raise TypeError."""
    found = value
    if not isinstance(value, (Mapping, Rope)) and not callable(value):
        if hasattr(value, "to_dict"):
            found = value.to_dict()
        elif hasattr(value, "__dict__"):
            found = vars(value)
    if not isinstance(found, Mapping):
        msg = (
            f"{name}: expected a mapping, the path of a config.json or a config object; "
            f"got {type(value).__name__}"
        )
        raise TypeError(msg)
    return check_keys(found, name)


def check_keys(values: Mapping[Any, Any], name: str) -> Mapping[str, Any]:
    """Return a mapping of names, or raise TypeError.

    Parameters
    ----------
    values : mapping
        Of anything.
    name : str
        What the message calls it.

    Returns
    -------
    mapping
        The same.
    """
    for key in values:
        if not isinstance(key, str):
            msg = f"{name}: expected names as keys; got {key!r} of type {type(key).__name__}"
            raise TypeError(msg)
    return values


def _read_json(path: Path) -> Mapping[str, Any]:
    place = repr(_short(str(path)))
    try:
        with path.open("rb") as file:
            start = file.read(64)
            _check_width(start, place)
            if b"\x00" in start or start.startswith((b"GGUF", b"\x80", b"PK\x03\x04")):
                msg = (
                    f"config: {place} is not JSON (it starts with {start[:4]!r}); read its "
                    f"metadata with the reader of its format, and give them as a mapping"
                )
                raise ValueError(msg)
            raw = start + file.read(LARGEST + 1 - len(start))
    except OSError as error:
        msg = f"config: expected the path of a config.json; got {place}: {error.strerror}"
        if isinstance(error, (IsADirectoryError, PermissionError)) and path.is_dir():
            inside = path / "config.json"
            mend = f"give {str(inside)!r}" if inside.is_file() else "it holds no config.json"
            msg = f"{msg}; {mend}"
        elif isinstance(error, FileNotFoundError) and path.suffix != ".json":
            msg = (
                f"{msg}; nothing is downloaded by a model's name: give the path of its "
                f"config.json, or look for the model in ropelab.models"
            )
        raise ValueError(msg) from error
    return parse_config(raw, place)


def _check_width(start: bytes, place: str) -> None:
    """Raise ValueError if a text is of two bytes a letter, as Windows' editors may save it."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"{\x00", b"\x00{")):
        msg = f"config: {place} is not JSON in UTF-8: it is UTF-16; save it as UTF-8"
        raise ValueError(msg)


def _kind(value: object) -> str:
    """Return the type of a value of JSON, with an article."""
    name = type(value).__name__
    return "null" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _check_path(path: str) -> None:
    """Raise ValueError if the text is a config itself, or cannot name a file."""
    if path.lstrip().startswith("{"):
        msg = (
            f"config: expected a path; got {len(path)} characters of what looks like JSON; "
            f"give json.loads of them"
        )
        raise ValueError(msg)
    if "\0" in path:
        msg = f"config: expected a path; got {_short(path)!r}, which has a null character"
        raise ValueError(msg)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_ECHO else f"{text[:100]}...{text[-100:]}"


def _whole_number(digits: str) -> int:
    """Return a number, before Python refuses one of many digits in words that help nobody."""
    count = len(digits.removeprefix("-"))
    if count > _DIGITS:
        msg = f"a whole number of {count} digits, {digits[:8]}...; expected at most {_DIGITS}"
        raise ValueError(msg)
    return int(digits)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary of the pairs; of two equal keys Python would keep the last in silence."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            first, second = (_short(repr(each)) for each in (found[key], value))
            msg = f"the key {_short(key)!r} is given twice, as {first} and as {second}; keep one"
            raise ValueError(msg)
        found[key] = value
    return found
