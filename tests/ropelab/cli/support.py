"""Asking the command line as a user does, and files to ask about."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from click.testing import CliRunner, Result
from numpy.typing import ArrayLike

from ropelab.cli.app import ropelab as commands

ROOT = Path(__file__).parents[3]
COLOUR = re.compile(r"\x1b\[")

LLAMA_3_1: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}


def ropelab(
    *arguments: object,
    given: str | bytes | None = None,
    env: Mapping[str, str | None] | None = None,
) -> Result:
    """Run a command in this process; an error that nobody expected is exit code 70."""
    return CliRunner().invoke(commands, list(map(str, arguments)), input=given, env=env)


def document(*arguments: object, code: int = 0, given: str | bytes | None = None) -> Any:
    """Run a command with ``--json``; its output must be one document, as strict JSON has it."""
    result = ropelab(*arguments, "--json", given=given)
    assert (result.exit_code, result.stderr) == (code, "")
    return json.loads(result.stdout, parse_constant=_not_json)


def _not_json(name: str) -> None:
    msg = f"{name} is no JSON"
    raise AssertionError(msg)


def fails(code: int, *words: str, arguments: tuple[object, ...], given: bytes | None = None) -> str:
    """Check that a command fails with a code and one line on stderr that has the words in it."""
    result = ropelab(*arguments, given=given)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("ropelab: ")
    assert not COLOUR.search(line)
    for word in words:
        assert word in line
    return line


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ropelab`` as a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "ropelab", *arguments]
    settings = {"cwd": ROOT, "capture_output": True, "encoding": "utf-8", **options}
    return subprocess.run(command, check=False, **settings)


def config_file(folder: Path, config: Mapping[str, Any], name: str = "config.json") -> Path:
    """Write a config.json."""
    path = folder / name
    path.write_text(json.dumps(config), "utf-8")
    return path


def gguf_file(
    folder: Path,
    *,
    tensor: bool = True,
    factors: ArrayLike | None = None,
    last: str | None = None,
    tokens: Sequence[str] = ("a", "bc", "def"),
) -> Path:
    """Write a GGUF file of Llama 3.1's metadata, with or without its tensor of factors."""
    path = folder / "model.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(131_072)
    writer.add_embedding_length(4096)
    writer.add_head_count(32)
    writer.add_rope_freq_base(500_000.0)
    writer.add_token_list(tokens)
    if last is not None:
        writer.add_string("llama.last", last)
    if tensor:
        given = np.linspace(1.0, 8.0, 64) if factors is None else factors
        writer.add_tensor("rope_freqs.weight", np.asarray(given, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
