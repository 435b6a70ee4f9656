"""GGUF files: their metadata and factors, and one line wherever the file breaks off."""

import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from ropelab import from_gguf
from ropelab.cli.failure import Failure
from ropelab.cli.gguf_files import is_gguf, read_gguf_file
from tests.ropelab.cli.support import document, fails, gguf_file, ropelab


def test_metadata_and_factors_are_read(tmp_path: Path) -> None:
    metadata, tensors = read_gguf_file(gguf_file(tmp_path))
    assert metadata["llama.rope.freq_base"] == 500_000.0
    assert metadata["llama.attention.head_count"] == 32
    assert not any("token" in key for key in metadata)
    factors = np.linspace(1.0, 8.0, 64, dtype=np.float32)
    np.testing.assert_array_equal(tensors["rope_freqs"], factors)


def test_the_factors_divide_the_frequencies(tmp_path: Path) -> None:
    layer = document("explain", gguf_file(tmp_path))["layers"]["every layer"]
    assert layer["layout"] == "interleaved"  # llama.cpp's, for llama
    wavelength = 2 * np.pi * 500_000.0 ** (126 / 128) * 8.0
    assert layer["longest_wavelength"] == pytest.approx(wavelength, rel=1e-12)
    without = document("explain", gguf_file(tmp_path, tensor=False))["layers"]["every layer"]
    assert without["longest_wavelength"] == pytest.approx(wavelength / 8.0, rel=1e-12)


def test_factors_are_those_of_every_length(tmp_path: Path) -> None:
    said = ropelab("explain", gguf_file(tmp_path)).stdout
    assert "rule factors given for each pair, 1 to 8 (attention_factor 1)\n" in said
    assert "length of the sequence" not in said


@pytest.mark.parametrize("factor", [np.nan, np.inf, 0.0, -1.0])
def test_a_factor_that_divides_nothing(tmp_path: Path, factor: float) -> None:
    path = gguf_file(tmp_path)
    whole = path.read_bytes()
    assert whole.count(np.float32(8.0).tobytes()) == 1
    path.write_bytes(whole.replace(np.float32(8.0).tobytes(), np.float32(factor).tobytes()))
    fails(4, "rope_freqs: ", arguments=("explain", path))


def test_the_reading_is_that_of_the_library(tmp_path: Path) -> None:
    metadata, tensors = read_gguf_file(gguf_file(tmp_path))
    rope = from_gguf(metadata, rope_freqs=tensors["rope_freqs"])
    assert rope is not None
    pairs = document("bands", gguf_file(tmp_path))["every layer"]
    assert [pair["inv_freq"] for pair in pairs] == rope.spectrum().inv_freq.tolist()


@pytest.mark.parametrize("tensor", [True, False])
def test_it_may_break_off_anywhere(tmp_path: Path, tensor: bool) -> None:
    path = gguf_file(tmp_path, tensor=tensor, last="the end of the metadata")
    whole = path.read_bytes()
    for size in range(len(whole.rstrip(b"\0"))):  # what follows is padding
        path.write_bytes(whole[:size])
        with pytest.raises(Failure) as caught:
            read_gguf_file(path)
        assert caught.value.exit_code == 3


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_it_breaks_off_with_one_line(tmp_path: Path, share: float) -> None:
    path = gguf_file(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    for command in ("explain", "lint", "bands"):
        fails(3, "model.gguf", "breaks off or is damaged", arguments=(command, path))


def test_junk_after_the_magic(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    path = tmp_path / "junk"
    for _ in range(50):
        path.write_bytes(b"GGUF\x03\x00\x00\x00" + rng.bytes(400))
        assert is_gguf(path)
        fails(3, "damaged", arguments=("explain", path))


def test_another_file_of_that_suffix(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"not a model")
    fails(3, "not a GGUF file", arguments=("explain", path))
    path.write_bytes(b"")
    fails(3, "not a GGUF file", arguments=("explain", path))


def test_it_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = gguf_file(tmp_path)
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert document("explain", path)["layers"]["every layer"]["base"] == 500_000.0


@pytest.mark.parametrize("version", [0, 1, 4, 9, 3 << 8])
def test_another_version(tmp_path: Path, version: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, 0, 0))
    fails(3, f"version {version}; expected 2 or 3", arguments=("explain", path))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [2, 3])
def test_versions_and_orders_of_bytes(tmp_path: Path, version: int, order: str) -> None:
    path = tmp_path / "model.gguf"
    architecture = text("general.architecture", order) + number(order, "I", 8) + text("gpt2", order)
    base = text("gpt2.rope.freq_base", order) + number(order, "If", 6, 70_000.0)
    path.write_bytes(b"GGUF" + number(order, "IQQ", version, 0, 2) + architecture + base)
    metadata, tensors = read_gguf_file(path)
    assert metadata == {"general.architecture": "gpt2", "gpt2.rope.freq_base": 70_000.0}
    assert tensors == {}


def test_every_type_of_value(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    values: dict[str, Any] = {"uint8": 250, "int8": -7, "uint16": 65_000, "int16": -300}
    values |= {"uint32": 2**32 - 5, "int32": -(2**30), "uint64": 2**63 + 1, "int64": -(2**60)}
    values |= {"float32": 0.375, "float64": 1.1, "bool": True, "string": "süß"}
    for name, value in values.items():
        for key in (f"llama.rope.{name}", f"llama.other.{name}"):
            getattr(writer, f"add_{name}")(key, value)
    for key in ("rope.sections", "other.sections"):
        writer.add_array(f"llama.{key}", [11, 12, 13])
        writer.add_array(f"llama.{key}.of_bool", [True, False, True])
    writer.add_array("llama.other.nested", [[1, 2], [3]])
    writer.add_array("llama.other.texts", ["a", "", "long " * 99])
    writer.add_context_length(4096)
    writer.add_custom_alignment(64)
    writer.add_tensor("token_embd.weight", np.ones((3, 5), np.float32))
    writer.add_tensor("rope_factors_short.weight", np.arange(7, dtype=np.float32))
    writer.add_tensor("rope_factors_long.weight", np.arange(9, dtype=np.float32) + 0.5)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    metadata, tensors = read_gguf_file(path)
    assert metadata == {
        "general.architecture": "llama",
        **{f"llama.rope.{name}": value for name, value in values.items()},
        "llama.rope.sections": [11, 12, 13],
        "llama.rope.sections.of_bool": [True, False, True],
        "llama.context_length": 4096,
    }
    assert metadata["llama.rope.bool"] is True
    assert sorted(tensors) == ["rope_factors_long", "rope_factors_short"]
    np.testing.assert_array_equal(tensors["rope_factors_short"], np.arange(7))
    np.testing.assert_array_equal(tensors["rope_factors_long"], np.arange(9) + 0.5)


@pytest.mark.parametrize("inner", [*range(13), 99])
@pytest.mark.parametrize("key", ["llama.rope.dimension_sections", "tokenizer.ggml.tokens"])
@pytest.mark.parametrize("count", [2**40, 2**64 - 1, 2**61])
def test_counts_that_no_file_holds(tmp_path: Path, inner: int, key: str, count: int) -> None:
    path = tmp_path / "model.gguf"
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    path.write_bytes(start + text(key) + struct.pack("<IIQ", 9, inner, count) + bytes(400))
    fails(3, "damaged", key, arguments=("explain", path))


@pytest.mark.parametrize("place", ["keys", "tensors", "key", "value", "shape", "offset"])
def test_lengths_that_no_file_has(tmp_path: Path, place: str) -> None:
    huge = {place: 2**63}
    path = tmp_path / "model.gguf"
    written = b"GGUF" + struct.pack("<IQQ", 3, huge.get("tensors", 1), huge.get("keys", 1))
    written += struct.pack("<Q", huge.get("key", 1)) + b"k"
    written += struct.pack("<IQ", 8, huge.get("value", 1)) + b"v"
    written += text("rope_freqs.weight")
    written += struct.pack("<IQIQ", 1, huge.get("shape", 2), 0, huge.get("offset", 0)) + bytes(256)
    path.write_bytes(written)
    fails(3, "damaged", arguments=("explain", path))


def test_what_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    one = struct.pack("<IB", 0, 1)
    key = "llama.rope.dimension_sections"
    texts = struct.pack("<IIQ", 9, 8, 1) + text("a")
    deep = struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 9 + struct.pack("<IQ", 0, 0)
    for words, keys in {
        "'k' is given twice": [text("k") + one, text("k") + one],
        "k has the type 13": [text("k") + struct.pack("<I", 13) + bytes(8)],
        "a power of two": [text("general.alignment") + struct.pack("<II", 4, 0)],
        "a list of numbers is expected": [text(key) + texts],
        "deeper than 4": [text("k") + deep],
        "no UTF-8": [struct.pack("<Q", 2) + b"\xff\xfe" + one],
    }.items():
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))
        fails(3, "damaged", words, arguments=("explain", path))
    tensor = text("rope_freqs.weight") + struct.pack("<IQIQ", 1, 4, 1, 0)
    for words, tensors in {"of type 1": [tensor], "is given twice": [tensor, tensor]}.items():
        start = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0)
        path.write_bytes(start + b"".join(tensors) + bytes(128))
        fails(3, "damaged", words, arguments=("explain", path))


def test_a_sparse_file_is_not_walked_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    start = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    path.write_bytes(start + text("k") + struct.pack("<IIQ", 9, 8, 2**29))
    os.truncate(path, 2**33)
    fails(3, "damaged", "entries", arguments=("explain", path))


def test_a_vocabulary_takes_no_time(tmp_path: Path) -> None:
    path = gguf_file(tmp_path, tokens=[f"token {n}" for n in range(200_000)])
    begun = time.process_time()
    read_gguf_file(path)
    assert time.process_time() - begun < 2.0  # the package takes ten seconds


def text(value: str, order: str = "<") -> bytes:
    """Return a text as the format has it."""
    return number(order, "Q", len(value.encode())) + value.encode()


def number(order: str, form: str, *values: float) -> bytes:
    """Return numbers without padding."""
    return struct.pack(order + form, *values)
