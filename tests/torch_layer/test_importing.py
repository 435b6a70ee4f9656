"""Who imports torch, and when; each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ropelab_cuda


def runs(code: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize("package", ["ropelab", "ropelab_cuda"])
def test_importing_the_packages_does_not_import_torch(package: str) -> None:
    runs(f"import sys, {package}; sys.exit('torch' in sys.modules)")


def test_importing_the_torch_layer_does_not_import_cupy() -> None:
    runs("import sys, ropelab_cuda.torch; sys.exit('cupy' in sys.modules)")


def test_the_torch_layer_is_imported_when_it_is_named() -> None:
    runs(
        "import sys, ropelab_cuda\n"
        "assert 'torch' in dir(ropelab_cuda)\n"
        "assert 'torch' not in sys.modules\n"
        "layer = ropelab_cuda.torch\n"
        "assert callable(layer.apply_rotary)\n"
        "assert 'ropelab_cuda.torch.sharding' not in sys.modules\n"
        "import ropelab_cuda.torch\n"
        "assert layer is ropelab_cuda.torch\n"
    )


def test_without_torch_its_absence_is_said() -> None:
    runs(
        "import sys; sys.modules['torch'] = None\n"
        "import ropelab_cuda\n"
        "ropelab_cuda.apply_rotary\n"
        "try:\n"
        "    ropelab_cuda.torch\n"
        "except ModuleNotFoundError as error:\n"
        "    assert error.name == 'torch'\n"
        "else:\n"
        "    sys.exit(1)\n"
    )


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="'ropelab_cuda' has no attribute 'torhc'"):
        _ = ropelab_cuda.torhc  # type: ignore[attr-defined]
    assert not hasattr(ropelab_cuda, "jax")
    assert set(ropelab_cuda.__all__) <= set(dir(ropelab_cuda))
