"""The faces of other systems on a GPU give what they give on the CPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ropelab.layouts import pair_channels
from ropelab.precision import eps, widen
from tests.gpu.devices import Torch
from tests.gpu.waiting import without_synchronising

pytestmark = pytest.mark.gpu

DTYPES = ("float32", "bfloat16")
# eps of the output a pair may err. float32 of the CPU errs by one, with tables of float32; the
# kernel's own by three, as in the goldens; a narrow result is rounded once on either side.
BOUNDS = {"float32": 4.0, "bfloat16": 1.01}
B, S, H, K, D = 2, 67, 6, 3, 64


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def check_pairs(found: Any, wanted: Any, layout: str) -> None:
    """Check a result on the GPU against one on the CPU, pair by pair."""
    assert found.is_cuda
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    got, want = Torch().take(found.detach()), Torch().take(wanted.detach())
    channels = pair_channels(layout, got.shape[-1])
    a, b = ([widen(side[..., c]) for c in channels] for side in (got, want))
    error, norm = np.hypot(a[0] - b[0], a[1] - b[1]), np.hypot(*b)
    assert np.isfinite(error).all()
    assert not error[norm == 0].any()  # torch's bfloat16 noise holds pairs of zeros
    error = error[norm > 0] / norm[norm > 0]
    assert error.max() / eps(got.dtype) <= BOUNDS[str(found.dtype).removeprefix("torch.")]


def queries_and_keys(torch: Any, order: str, dtype: str) -> tuple[Any, Any]:
    shapes = [(B, S, n, D) if order == "bshd" else (B, n, S, D) for n in (H, K)]
    q, k = (torch.randn(shape).to(getattr(torch, dtype)) for shape in shapes)
    return q, k


def check_with_gradients(torch: Any, rotate: Any, q: Any, k: Any, layout: str) -> None:
    """Check rotated queries and keys, and what comes back to them."""
    upstream = torch.randn_like(q), torch.randn_like(k)
    sides = []
    for device in ("cpu", "cuda"):
        given = [x.to(device).requires_grad_() for x in (q, k)]
        results = rotate(device, *given)
        back = torch.autograd.grad(results, given, [g.to(device) for g in upstream])
        sides.append([*results, *back])
    for wanted, found in zip(*sides, strict=True):
        check_pairs(found, wanted, layout)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fusion", [False, True])
def test_nemo_automodel(torch: Any, fusion: bool, dtype: str) -> None:
    from ropelab_cuda.compat import nemo_automodel as face

    config = SimpleNamespace(head_dim=D, max_position_embeddings=131_072, rope_theta=5e5)
    rope = face.RotaryEmbedding(config, rope_fusion=fusion)
    ids = torch.randint(0, 100_003, (B, S))
    apply = face.apply_rotary_pos_emb_fused if fusion else face.apply_rotary_pos_emb

    def rotate(device: str, q: Any, k: Any) -> Any:
        # The same tables on both sides: a float32 cosine may be an ulp from the other's.
        made = rope(torch.zeros(1), ids)
        return apply(q, k, *(table.to(device) for table in (made[2:] if fusion else made)))

    check_with_gradients(torch, rotate, *queries_and_keys(torch, "bhsd", dtype), "half")


@pytest.mark.parametrize("fusion", [False, True])
def test_tables_of_nemo_automodel_follow_the_model(torch: Any, fusion: bool) -> None:
    from ropelab_cuda.compat import nemo_automodel as face

    config = SimpleNamespace(head_dim=D, max_position_embeddings=131_072, rope_theta=5e5)
    rope = face.RotaryEmbedding(config, rope_fusion=fusion)
    ids = torch.randint(0, 100_003, (B, S))
    on_cpu = rope(torch.zeros(1), ids)
    on_gpu = rope(torch.zeros(1, device="cuda"), ids.cuda())
    assert rope.inv_freq.is_cuda or fusion
    for found, wanted in zip(on_gpu[:2], on_cpu[:2], strict=True):
        assert found.is_cuda
        assert (found.cpu() - wanted).abs().max() <= 2 * 2.0**-23  # both within an ulp
    for found, wanted in zip(on_gpu[2:], on_cpu[2:], strict=True):
        assert torch.equal(found.cpu(), wanted)  # one product in float32


def test_the_fused_path_of_nemo_automodel_does_not_wait(torch: Any) -> None:
    from ropelab_cuda.compat import nemo_automodel as face

    config = SimpleNamespace(head_dim=D, max_position_embeddings=131_072, rope_theta=5e5)
    rope = face.RotaryEmbedding(config, rope_fusion=True)
    x, ids = torch.zeros(1, device="cuda"), torch.randint(0, 100_003, (B, S), device="cuda")
    q, k = (each.cuda() for each in queries_and_keys(torch, "bhsd", "bfloat16"))

    def step() -> Any:
        return face.apply_rotary_pos_emb_fused(q, k, rope(x, ids)[2])

    wanted = [each.clone() for each in step()]  # compiles the kernels
    with without_synchronising(torch):
        found = step()
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("source", ["ids", "offset", "tables"])
def test_rotalabs_accel(torch: Any, source: str, dtype: str) -> None:
    from ropelab_cuda.compat import rotalabs_accel as face

    rope = face.RotaryEmbedding(D, base=5e5)
    ids = torch.randint(0, 2**24, (B, S))
    cos, sin = face.build_rope_cache(S + 5, D, 5e5)

    def rotate(device: str, q: Any, k: Any) -> Any:
        if source == "tables":
            return face.apply_rope(q, k, cos.to(device), sin.to(device))
        given = {"position_ids": ids.to(device)} if source == "ids" else {"offset": 100_003}
        return rope(q, k, **given)

    check_with_gradients(torch, rotate, *queries_and_keys(torch, "bshd", dtype), "interleaved")


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_tables_of_rotalabs_accel(torch: Any, dtype: str) -> None:
    from ropelab_cuda.compat import rotalabs_accel as face

    format_ = getattr(torch, dtype)
    made = [face.build_rope_cache(8192, D, 5e5, device, format_) for device in ("cpu", "cuda")]
    # Within an eps of each other: at a tie, or by the kernel's ulp.
    for wanted, found in zip(*made, strict=True):
        assert found.is_cuda
        assert (found.cpu().double() - wanted.double()).abs().max() <= 4 * torch.finfo(format_).eps


@pytest.mark.peer("liger_kernel")
@pytest.mark.filterwarnings("ignore")  # of others
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batches", [1, B])
def test_liger_rotates_as_the_face_of_transformers(torch: Any, batches: int, dtype: str) -> None:
    from ropelab_cuda.bench.third_party import _module
    from ropelab_cuda.compat.transformers_rope import apply_rotary_pos_emb

    liger = _module("liger_kernel", "ops/rope.py").LigerRopeFunction
    angles = (torch.rand(batches, S, D // 2, dtype=torch.float64) * 1e5).repeat(1, 1, 2).cuda()
    tables = angles.cos().float(), angles.sin().float()  # float32, so that Liger rounds once, too
    given = [x.transpose(1, 2).cuda() for x in queries_and_keys(torch, "bshd", dtype)]
    upstream = [torch.randn_like(x) for x in given]

    def ours(q: Any, k: Any, cos: Any, sin: Any) -> Any:
        return [y.to(q.dtype) for y in apply_rotary_pos_emb(q, k, cos, sin)]

    sides = []
    for rotate in (liger.apply, ours):
        q, k = (x.clone().requires_grad_() for x in given)
        made = rotate(q * 1, k * 1, *tables)  # Liger overwrites what it is given
        back = torch.autograd.grad(made, (q, k), [grad.clone() for grad in upstream])
        sides.append([*made, *back])
    for wanted, found in zip(*sides, strict=True):
        check_pairs(found, wanted, "half")


def test_exllamav2(torch: Any) -> None:
    from ropelab_cuda.compat.exllamav2 import get_rope_params

    cfg = SimpleNamespace(
        head_dim=128,
        partial_rotary_factor=1.0,
        scale_alpha_value=2.6,
        alt_rope_method=None,
        arch=SimpleNamespace(lm=SimpleNamespace(rope_freq_half=True)),
    )
    on_cpu, on_gpu = (get_rope_params(torch.device(name), cfg, 1e4)[0] for name in ("cpu", "cuda"))
    assert on_gpu.is_cuda
    assert torch.equal(on_gpu.cpu(), on_cpu)
