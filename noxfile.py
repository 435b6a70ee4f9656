#!/usr/bin/env python3
# /// script
# dependencies = ["nox>=2025.10.16"]
# ///
"""Every check and every chore of the project, each as one session.

``nox`` runs the checks that need neither a GPU nor a CUDA toolkit; ``nox -l`` lists all sessions.
"""

from pathlib import Path

import nox

nox.needs_version = ">=2025.10.16"
nox.options.default_venv_backend = "virtualenv"

# Two processes, for two cores; a file's tests stay together, so that what it builds is built once.
PARALLEL = ("-n", "2", "--dist", "loadfile")
PACKAGES = ("ropelab", "ropelab_cuda")
PROJECT = nox.project.load_toml("pyproject.toml")


def _groups(*names: str) -> list[str]:
    return list(nox.project.dependency_groups(PROJECT, *names))


@nox.session(default=True)
def tests(session: nox.Session) -> None:
    """Run the tests that need no GPU; arguments go to pytest."""
    session.install(*_groups("test", "torch"), "--editable", ".")
    session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)


@nox.session(default=True)
def lint(session: nox.Session) -> None:
    """Check style, formatting and docstrings."""
    session.install(*_groups("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    sources = [str(file) for package in PACKAGES for file in sorted(Path(package).rglob("*.py"))]
    session.run("python", "-m", "numpydoc", "lint", *sources)


@nox.session(default=True)
def types(session: nox.Session) -> None:
    """Check the types of both packages, the tests and the tools."""
    session.install(*_groups("types"))
    session.run("mypy", *session.posargs)


@nox.session(default=True)
def golden(session: nox.Session) -> None:
    """Verify every golden against the specification and the oracle."""
    session.install("--editable", ".[golden]")
    session.run("python", "-m", "ropelab.golden", *session.posargs)


@nox.session(default=False)
def compile(session: nox.Session) -> None:
    """Compile every kernel with NVRTC for every architecture, and run it on the CPU; no GPU."""
    session.install(*_groups("test", "torch", "nvrtc"), "--editable", ".")
    session.run("python", "-m", "pytest", *PARALLEL, "-m", "nvrtc or shim", *session.posargs)


@nox.session(default=False)
@nox.parametrize("transformers", ["5.24.0", "4.57.6"])
def parity(session: nox.Session, transformers: str) -> None:
    """Compare the Transformers dialect with two versions of Transformers, and patch its models."""
    needed = ("pytest>=9", f"transformers=={transformers}")
    session.install(*_groups("torch"), *needed, "--editable", ".[golden]")
    folders = ("tests/parity", "tests/models") if transformers == "5.24.0" else ("tests/parity",)
    session.run("python", "-m", "pytest", "-m", "parity", *folders, *session.posargs)


@nox.session(default=False, venv_backend="none")
def gpu(session: nox.Session) -> None:
    """Run the GPU suite in the current environment; there a skip is a failure."""
    session.run(
        "python3", "-m", "pytest", "-m", "gpu", *session.posargs, env={"ROPELAB_REQUIRE_GPU": "1"}
    )


@nox.session(default=False, venv_backend="none")
def bench(session: nox.Session) -> None:
    """Measure the kernels in the current environment beside a device copy and torch."""
    session.run("python3", "-m", "ropelab_cuda.bench", *session.posargs)


@nox.session(default=False)
def notebooks(session: nox.Session) -> None:
    """Run every notebook without a GPU and compare what is stored; `-- --write` stores outputs."""
    session.install(*_groups("notebooks", "torch"), "--editable", ".")
    session.run("python", "-m", "notebooks.execute", *session.posargs)


@nox.session(default=False)
def figures(session: nox.Session) -> None:
    """Draw the pictures of the documentation again, and write the pages that are derived."""
    session.install("--editable", ".[plot,golden]")
    session.run("python", "-m", "docs.figures")
    session.run("python", "-m", "docs.rules")
    session.run("python", "-m", "docs.lint")
    session.run("python", "-m", "docs.performance")
    session.run("python", "-m", "docs.differences")
    check = ("python", "-m", "ropelab.golden", "--no-write", "--no-oracle")
    session.run(*check, "--kill-matrix", "docs/kill-matrix.md")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the site, every warning an error; it lands in docs/_build/html."""
    session.install(*_groups("docs", "torch"), "--editable", ".[golden]")
    strict = ("-W", "--keep-going", "-n", "-E", "-q")
    session.run("sphinx-build", *strict, "-c", "docs", ".", "docs/_build/html", *session.posargs)


if __name__ == "__main__":
    nox.main()
