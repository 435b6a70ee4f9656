"""What CONFIG may be, and one line for everything that it may not be."""

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ropelab.cli.sources import source_of
from tests.ropelab.cli.support import (
    LLAMA_3_1,
    ROOT,
    config_file,
    document,
    fails,
    gguf_file,
    ropelab,
)


def test_a_file_a_folder_a_name_and_stdin_are_the_same(tmp_path: Path) -> None:
    path = config_file(tmp_path, LLAMA_3_1)
    layers = [
        document("explain", path)["layers"],
        document("explain", tmp_path)["layers"],
        document("explain", "-", given=json.dumps(LLAMA_3_1))["layers"],
        document("explain", "llama-3.1-8b")["layers"],
    ]
    assert all(each == layers[0] for each in layers)
    assert layers[0]["full_attention"]["base"] == 500_000.0


def test_a_file_goes_before_a_model_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config_file(tmp_path, {**LLAMA_3_1, "rope_theta": 7.0}, "Llama-3.1-8B")
    assert source_of("Llama-3.1-8B").values["rope_theta"] == 7.0


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = Thread(target=path.write_text, args=(json.dumps(LLAMA_3_1),), daemon=True)
    writer.start()
    assert document("explain", path)["layers"]["full_attention"]["base"] == 500_000.0
    writer.join(timeout=10.0)


def test_a_pipe_that_nobody_writes_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with subprocess.Popen(
        [sys.executable, "-m", "ropelab", "explain", str(path), "--no-plot"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        told = running.stderr.readline()
        assert told == f"ropelab: {path}: waiting for somebody to write to it\n"
        path.write_text(json.dumps(LLAMA_3_1))
        said, told = running.communicate(timeout=60.0)
    assert (running.returncode, told) == (0, "")
    assert "29 stretched 8×" in said


def test_a_missing_path(tmp_path: Path) -> None:
    fails(3, "neither a file nor", arguments=("explain", tmp_path / "config.json"))


def test_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    fails(3, "No such file", arguments=("explain", tmp_path / "link"))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Llama-3.1-7B", "Llama-3.1-8B"),
        ("mistralai/Mistral-7B-v0.4", "Mistral-7B-v0.3"),
        ("qwen2.5-7b-2m", "Qwen2.5-7B-1M"),
    ],
)
def test_an_unknown_name_is_told_its_neighbours(name: str, near: str) -> None:
    fails(3, "the nearest names are", near, arguments=("explain", name))


def test_a_name_without_neighbours() -> None:
    fails(3, "ropelab models", arguments=("lint", "zzzzzzzzzzzz"))


def test_broken_json_is_shown_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{\n  "head_dim": 128,\n  "rope_theta" 10000.0\n}\n')
    for command in ("explain", "lint", "bands"):
        fails(3, "line 3 column 16", "config.json", arguments=(command, path))
    fails(3, "line 3", "stdin", arguments=("explain", "-"), given=path.read_bytes())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no sound JSON"),
        (b"[1, 2]", "a JSON object; got a list"),
        (b"7", "a JSON object; got an int"),
        (b"null", "a JSON object; got null"),
        ('{"head_dim": 64}'.encode("utf-16"), "it is UTF-16; save it as UTF-8"),
        ('{"head_dim": 64}'.encode("utf-16-le"), "it is UTF-16; save it as UTF-8"),
        ('{"head_dim": 64}'.encode("utf-16-be"), "it is UTF-16; save it as UTF-8"),
        (b"\xff\xfe\x00\x01" * 40, "is not JSON"),
        (bytes(range(128, 256)), "is not JSON"),
        (b"\x00" * 100, "is not JSON"),
        (b"PK\x03\x04zip", "is not JSON"),
        (b"[" * 100_000, "nests too deep"),
        (b'{"head_dim": 64, "head_dim": 128}', "given twice"),
        (b'{"head_dim": ' + b"9" * 5000 + b"}", "5000 digits, 99999999...; expected at most 640"),
        (b'{"head_dim": -' + b"9" * 641 + b"}", "641 digits, -9999999..."),
    ],
)
def test_what_is_no_config(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    fails(3, words, arguments=("explain", path))


def test_junk_on_stdin() -> None:
    fails(3, "stdin", "not JSON", arguments=("explain", "-"), given=b"\x80\x81junk")


def test_what_has_no_end(tmp_path: Path) -> None:
    told = "larger than any config.json: more than 64 MiB"
    path = tmp_path / "config.json"
    path.write_bytes(b"[" * 100)
    os.truncate(path, 2**33)
    fails(3, told, "config.json", arguments=("explain", path))
    fails(3, arguments=("lint", "/dev/urandom"))
    run = subprocess.run(
        f"yes '[' | {sys.executable} -m ropelab explain -",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60.0,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (3, "", 1)
    assert told in run.stderr


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    fails(3, "a folder without a config.json", arguments=("explain", tmp_path))


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = config_file(tmp_path, LLAMA_3_1)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    fails(3, "Permission denied", arguments=("explain", path))


def test_names_that_a_terminal_cannot_show(tmp_path: Path) -> None:
    fails(3, r"'a\nb\x1b[31m': neither a file", arguments=("explain", "a\nb\x1b[31m"))
    fails(3, r"'a\x00b': ", arguments=("explain", "a\0b"))
    fails(3, "'': an empty CONFIG", arguments=("explain", ""))
    path = config_file(tmp_path, LLAMA_3_1, "a\x1b[31mb")
    said = ropelab("explain", path, "--no-plot").stdout
    assert said.startswith(f"{str(path)!r}, as transformers reads it\n")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "a\nb\x1b[31m", ""])
def test_names_that_no_file_can_have(name: str) -> None:
    line = fails(3, arguments=("explain", name))
    assert len(line) < 800


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "gpt2", "n_embd": 768, "n_head": 12}, "no rotary embedding"),
        ({"model_type": "bert", "hidden_size": 768}, "no rotary embedding"),
        ({"hidden_size": 768, "num_attention_heads": 12}, "no rotary embedding"),
        ({}, "hidden_size"),
        ({**LLAMA_3_1, "rope_scaling": {"rope_type": "spiral"}}, "spiral"),
        ({**LLAMA_3_1, "rope_scaling": {"rope_type": "yarn"}}, "yarn"),
        ({**LLAMA_3_1, "rope_theta": -1.0}, "rope_theta"),
        ({**LLAMA_3_1, "rope_theta": "a\nb\x1b[31m"}, "rope_theta"),
        ({**LLAMA_3_1, "rope_theta": float("nan")}, "rope_theta"),
    ],
)
def test_configs_that_are_refused(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    for command in ("explain", "bands"):
        fails(4, words, arguments=(command, config_file(tmp_path, config)))


def test_a_dialect_reads_its_own_format_alone(tmp_path: Path) -> None:
    path = config_file(tmp_path, LLAMA_3_1)
    fails(4, "gguf does not read", arguments=("explain", path, "--as", "gguf"))
    fails(4, "dim is missing", arguments=("explain", path, "--as", "transformer_engine"))
    binary = gguf_file(tmp_path)
    fails(4, "vllm does not read", arguments=("explain", binary, "--as", "vllm"))


@pytest.mark.parametrize(
    ("dialect", "config", "base"),
    [
        ("transformers", LLAMA_3_1, 500_000.0),
        ("vllm", LLAMA_3_1, 500_000.0),
        ("exllamav2", {**LLAMA_3_1, "architectures": ["LlamaForCausalLM"]}, 500_000.0),
        ("nemo_automodel", LLAMA_3_1, 500_000.0),
        (
            "megatron",
            {"position_embedding_type": "rope", "kv_channels": 128, "rotary_base": 70_000},
            70_000.0,
        ),
        ("transformer_engine", {"dim": 128, "rotary_base": 80_000.0}, 80_000.0),
    ],
)
def test_every_dialect_of_json(
    tmp_path: Path, dialect: str, config: dict[str, Any], base: float
) -> None:
    found = document("explain", config_file(tmp_path, config), "--as", dialect)
    assert found["dialect"] == dialect
    assert [layer["base"] for layer in found["layers"].values()] == [base]
