"""The golden files: a JSON manifest, raw little-endian arrays, and checksums of them all.

``manifest.json`` lists the cases, one a line. An array in it is ``{"file", "offset", "dtype",
"shape"}``: row-major, little-endian, at that byte of that file. Formats that NumPy lacks are stored
as their bits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .case import STORED_DTYPES, Array, Case, Tolerance, dtype_name
from .flags import FLAGS
from .oracle import PRECISION_BITS

__all__ = ["DIRECTORY", "Golden", "integrity", "load", "manifest_of", "packed", "write"]

DIRECTORY = Path(__file__).resolve().parents[2] / "golden"
MANIFEST, SUMS, README = "manifest.json", "SHA256SUMS", "README.md"
_ALIGNMENT = 8

FORMAT = {
    "format": "ropelab golden 1",
    "byte_order": "little",
    "order": "row-major",
    "oracle": f"mpmath, {PRECISION_BITS} bits, rounded once to nearest, ties to even",
    "dtypes": "as in NumPy; bfloat16 is the upper half of a float32, float8_e5m2 that of a "
    "float16; float8_e4m3fn is E4M3 of arXiv:2209.05433; bool is a byte",
    "licence": "Apache-2.0",
}


@dataclass(frozen=True)
class Golden:
    """A case with its expected arrays."""

    case: Case
    expected: Mapping[str, Array]


@dataclass
class _Pool:
    """The arrays of one file; equal bytes are stored once."""

    name: str
    data: bytearray = field(default_factory=bytearray)
    places: dict[bytes, int] = field(default_factory=dict)

    def add(self, array: Array) -> dict[str, Any]:
        stored = np.ascontiguousarray(array)
        if stored.dtype.fields is None:
            stored = stored.astype(stored.dtype.newbyteorder("<"))
        raw = stored.tobytes()
        if raw not in self.places:
            self.data += bytes(-len(self.data) % _ALIGNMENT)
            self.places[raw] = len(self.data)
            self.data += raw
        return {
            "file": self.name,
            "offset": self.places[raw],
            "dtype": dtype_name(array.dtype),
            "shape": list(array.shape),
        }


def packed(goldens: Iterable[Golden], provenance: list[Any]) -> dict[str, bytes]:
    """Return the files that hold some goldens, in the order given.

    Parameters
    ----------
    goldens : iterable of Golden
        New ones at the end, so that everything before keeps its bytes.
    provenance : list
        JSON: what made them.

    Returns
    -------
    dict of str to bytes
        Contents by file name, without checksums.
    """
    pools: dict[str, _Pool] = {}
    rows = []
    for golden in goldens:
        case = golden.case
        name = f"{case.id.partition('/')[0]}.bin"
        pool = pools.setdefault(name, _Pool(name))
        row = {
            "id": case.id,
            "op": case.op,
            "flags": list(case.flags),
            "options": case.options,
            "arguments": {key: pool.add(array) for key, array in case.arguments.items()},
            "expected": {key: pool.add(array) for key, array in golden.expected.items()},
            "tolerance": asdict(case.tolerance),
        }
        rows.append(json.dumps(row, default=dict))
    head = {**FORMAT, "flags": dict(FLAGS), "provenance": provenance, "count": len(rows)}
    text = json.dumps(head, indent=1)[:-2] + ',\n "cases": [\n' + ",\n".join(rows) + "\n ]\n}\n"
    files = {name: bytes(pool.data) for name, pool in sorted(pools.items()) if pool.data}
    return {MANIFEST: text.encode(), **files}


def sums(files: Mapping[str, bytes]) -> bytes:
    """Return the text of SHA256SUMS, as ``sha256sum -c`` reads it."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()


def write(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write the files and the checksums of everything in the directory."""
    for name, content in files.items():
        (directory / name).write_bytes(content)
    there = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != SUMS}
    (directory / SUMS).write_bytes(sums(there))


def integrity(directory: Path) -> list[str]:
    """Return what is wrong with the files as files: changed, missing or foreign ones.

    Parameters
    ----------
    directory : Path
        Where the goldens are.

    Returns
    -------
    list of str
        One line a problem; empty if every byte is as it was frozen.
    """
    if not (directory / SUMS).is_file():
        return [f"{SUMS}: missing from {directory}"]
    there = {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != SUMS
    }
    recorded, actual = (directory / SUMS).read_bytes(), sums(there)
    if recorded == actual:
        return [] if MANIFEST in there else [f"{MANIFEST}: missing"]
    known = {line[66:]: line[:64] for line in recorded.decode("utf-8", "replace").splitlines()}
    problems = [f"{name}: not in {SUMS}" for name in there if name not in known]
    problems += [f"{name}: listed in {SUMS}, but missing" for name in known if name not in there]
    problems += [
        f"{name}: changed since it was frozen"
        for name in there
        if name in known and known[name] != hashlib.sha256(there[name]).hexdigest()
    ]
    return problems or [f"{SUMS}: not as it was written"]


def manifest_of(directory: Path) -> dict[str, Any]:
    """Return the parsed manifest; an empty one if there is none yet."""
    path = directory / MANIFEST
    if not path.is_file():
        return {"provenance": [], "cases": []}
    parsed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return parsed


def load(directory: Path = DIRECTORY) -> list[Golden]:
    """Return every golden as the files have it; needs neither the oracle nor the catalogue.

    Parameters
    ----------
    directory : Path
        Where the goldens are.

    Returns
    -------
    list of Golden
        In the order of the manifest.

    Raises
    ------
    FileNotFoundError
        If there is no manifest: the goldens are in a clone of the repository alone.
    """
    if not (directory / MANIFEST).is_file():
        msg = (
            f"directory: expected a folder with {MANIFEST}; got {str(directory)!r}; the goldens "
            f"are in a clone of the repository, in its folder golden"
        )
        raise FileNotFoundError(msg)
    memory: dict[str, bytes] = {}

    def _array(place: Mapping[str, Any]) -> Array:
        if place["file"] not in memory:
            memory[place["file"]] = (directory / place["file"]).read_bytes()
        name = place["dtype"]
        dtype = STORED_DTYPES[name] if name in STORED_DTYPES else np.dtype(name)
        shape = tuple(place["shape"])
        raw = memory[place["file"]]
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(raw, dtype, count, place["offset"]).reshape(shape)

    goldens = []
    for row in manifest_of(directory)["cases"]:
        arguments = {key: _array(place) for key, place in row["arguments"].items()}
        expected = {key: _array(place) for key, place in row["expected"].items()}
        bound = Tolerance(**row["tolerance"])
        case = Case(row["id"], row["op"], arguments, row["options"], bound, tuple(row["flags"]))
        goldens.append(Golden(case, expected))
    return goldens
