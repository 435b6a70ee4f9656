"""The program as a process: pipes, terminals, encodings, and what ends it."""

import os
import pty
import subprocess
import sys

import pytest

from ropelab.cli import exits, main
from ropelab.cli.app import ropelab as commands
from tests.ropelab.cli.support import COLOUR, ROOT, document, process, ropelab

MODEL = "Llama-3.1-8B"


def test_help_lists_commands_and_exit_codes() -> None:
    for arguments in ((), ("--help",), ("-h",)):
        result = ropelab(*arguments)
        assert result.exit_code == 0
        for name in ("explain", "lint", "diff", "bands", "models", "golden", "bench"):
            assert f"  {name} " in result.stdout
        for code in exits.EXITS:
            assert f"\n  {code} " in result.stdout


def test_the_page_lists_the_exit_codes() -> None:
    page = (ROOT / "docs/command-line.md").read_text("utf-8")
    for code, meaning in exits.EXITS.items():
        assert f"| {code} | {meaning} |" in page


def test_the_page_names_every_command_and_option() -> None:
    page = (ROOT / "docs/command-line.md").read_text("utf-8")
    for name, command in commands.commands.items():
        parts = getattr(command, "commands", {"": command})
        for part, each in parts.items():
            assert f"ropelab {name} {part}".rstrip() in page
            for parameter in each.params:
                assert all(f"`{flag}" in page for flag in parameter.opts if flag[0] == "-")


def test_every_command_has_json() -> None:
    for command in commands.commands.values():
        for each in getattr(command, "commands", {"": command}).values():
            assert "--json" in {flag for parameter in each.params for flag in parameter.opts}


def test_a_command_that_there_is_not() -> None:
    result = ropelab("explian", MODEL)
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "'explian'" in line


def test_an_error_of_our_own_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        msg = f"no {name}\nat all"
        raise RuntimeError(msg)

    monkeypatch.setattr("ropelab.cli.explain.source_of", fail)
    result = ropelab("explain", MODEL)
    assert result.exit_code == exits.INTERNAL
    assert result.stderr.splitlines() == [
        f"ropelab: internal error, please report it: RuntimeError: no {MODEL} at all"
    ]


def test_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ropelab.cli.explain.source_of", interrupt)
    assert ropelab("explain", MODEL).exit_code == exits.INTERRUPTED


def test_an_interruption_while_it_starts() -> None:
    script = """
import sys
import ropelab
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from ropelab.cli import main
sys.exit(main(["models"]))
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (exits.INTERRUPTED, b"", b"")


def test_main_returns_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "gorilla"]) == 1
    assert main(["explain", "gorilla-9B"]) == 3
    assert main(["explain", MODEL, "--no-plot"]) == 0
    assert "29 pairs untouched" in capsys.readouterr().out


def test_a_process_and_its_exit_code() -> None:
    run = process("explain", MODEL)
    assert (run.returncode, run.stderr) == (0, "")
    assert "29 stretched 8×" in run.stdout
    assert "□" in run.stdout
    assert not COLOUR.search(run.stdout)
    run = process("explain", "gorilla")
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (3, "", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        (),
        ("--version",),
        ("golden", "--help"),
        ("models", "--json"),
        ("bands", MODEL),
        ("explain", MODEL),
    ],
)
def test_a_reader_that_goes_away(arguments: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "ropelab", *arguments]
    run = subprocess.run(
        command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (run.returncode, run.stderr) == (exits.PIPE, "")


def test_a_full_disk_and_a_closed_stdin() -> None:
    command = f"{sys.executable} -m ropelab"
    for line in (f"{command} models > /dev/full", f"{command} lint - <&-"):
        run = subprocess.run(
            line, shell=True, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr.count("\n")) == (exits.UNREADABLE, 1)
        assert ("the output: No space left on device" in run.stderr) == ("full" in line)
        assert "Errno" not in run.stderr


def test_a_failure_that_nobody_can_be_told() -> None:
    command = f"{sys.executable} -m ropelab"
    for line, code in (
        (f"{command} explain gorilla 2> /dev/full", exits.UNREADABLE),
        (f"{command} explian 2> /dev/full", exits.USAGE),
        (f"{command} explain gorilla 2>&-", exits.UNREADABLE),
    ):
        run = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, check=False)
        assert (run.returncode, run.stdout, run.stderr) == (code, b"", b"")


def test_an_encoding_without_the_signs() -> None:
    for encoding in ("ascii", "latin-1", "cp437"):
        env = {**os.environ, "PYTHONIOENCODING": encoding}
        run = process("explain", MODEL, env=env, encoding=encoding)
        assert (run.returncode, run.stderr) == (0, ""), encoding
        assert "#" in run.stdout
        assert "29 pairs untouched, 6 blended, 29 stretched 8" in run.stdout
        assert ("29 stretched 8x" in run.stdout) == (encoding != "latin-1")


def test_terminals() -> None:
    plain = in_a_terminal(TERM="xterm-256color", NO_COLOR="1")
    assert not COLOUR.search(plain)
    assert not COLOUR.search(in_a_terminal(TERM="dumb"))
    coloured = in_a_terminal(TERM="xterm-256color")
    assert COLOUR.search(coloured)
    assert COLOUR.split(coloured)[0] in plain
    narrow = in_a_terminal(TERM="dumb", COLUMNS="20")
    assert max(map(len, narrow.splitlines())) <= 20
    assert "29 pairs" in narrow


def in_a_terminal(**settings: str) -> str:
    """Return what `explain` prints on a terminal."""
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    master, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "ropelab", "explain", MODEL],
        cwd=ROOT,
        env={**kept, **settings},
        stdout=terminal,
        stderr=terminal,
        stdin=subprocess.DEVNULL,
    ) as running:
        os.close(terminal)
        written = b""
        try:
            while part := os.read(master, 65536):
                written += part
        except OSError:  # the terminal's other end is closed
            pass
        assert running.wait() == 0
    os.close(master)
    return written.decode("utf-8").replace("\r\n", "\n")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_click_or_rich(missing: str) -> None:
    script = (
        f"import sys; sys.modules[{missing!r}] = None; import ropelab; "
        f"from ropelab.cli import main; sys.exit(main(['models']))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == exits.MISSING
    assert run.stderr == (
        f'ropelab: the command line needs {missing}; pip install "ropelab[cli]"\n'
    )
    assert run.stdout == ""


def test_what_is_infinite_is_null() -> None:
    found = document("bands", "Gemma-4-31B")
    stretches = [pair["stretch"] for pairs in found.values() for pair in pairs]
    assert None in stretches  # of pairs that stand still
