"""How float32 matrices are multiplied: by the fastest road of this machine that is still float32.

`torch.set_float32_matmul_precision("medium")` permits bfloat16 inside float32 products. A CPU without units for
that computes them in float32 all the same, but by oneDNN, which on many processors is about twice as fast as torch's
usual library; on others the products really lose digits. So `auto` multiplies once and looks.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from seq2seq_lightning.training.settings import MatmulPrecision

TOLERANCE = 1e-5  # of the largest value: float32 roads differ from float64 by less than 2e-6, bfloat16 by 3e-3
WIDE = 256  # units from which the faster road pays: below, its overhead per product outweighs its speed


def set_matmul_precision(choice: MatmulPrecision, width: int, device: torch.device) -> None:
    """Set it for the whole process. width: the units of the widest layer."""
    torch.set_float32_matmul_precision(resolve(choice, width, device).value)


def resolve(choice: MatmulPrecision, width: int, device: torch.device) -> MatmulPrecision:
    """What `auto` means for a model of this width on this device; every other choice means itself."""
    if choice is not MatmulPrecision.auto:
        return choice
    fast = device.type == "cpu" and width >= WIDE and medium_is_exact()
    return MatmulPrecision.medium if fast else MatmulPrecision.highest


@cache
def medium_is_exact() -> bool:
    """Whether "medium" products on this CPU are float32 products, in each form that training uses."""
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        return max(_errors()) < TOLERANCE
    finally:
        torch.set_float32_matmul_precision(before)


@torch.no_grad()
def _errors() -> list[float]:
    """Forward product, the two of its backward pass, with bias, and batched: largest error ÷ largest value."""
    stream = torch.Generator().manual_seed(0)
    left, right = (torch.randn(shape, generator=stream) for shape in ((256, 512), (384, 512)))
    gradient, bias = torch.randn(256, 384, generator=stream), torch.randn(384, generator=stream)
    batched, others = left.view(8, 32, 512), right.view(8, 48, 512).transpose(1, 2)
    return [
        _error(left @ right.t(), left.double() @ right.double().t()),
        _error(gradient @ right, gradient.double() @ right.double()),
        _error(gradient.t() @ left, gradient.double().t() @ left.double()),
        _error(torch.addmm(bias, left, right.t()), torch.addmm(bias.double(), left.double(), right.double().t())),
        _error(torch.bmm(batched, others), torch.bmm(batched.double(), others.double())),
    ]


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).abs().max() / exact.abs().max())
