"""Cells once more, written from their papers' equations: row by row, unit by unit where it matters, nothing shared.

Each takes a cell's parameters by name, one input vector, and what it remembers; and gives the output and the memory.
Exponential gates are taken as they stand, without a stabiliser: in float64 small examples do not overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Remembered = dict[str, Any]


def sigma(value: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-value))


def normalise(values: Tensor, gain: Tensor, shift: Tensor | float = 0.0) -> Tensor:
    mean = values.sum() / len(values)
    deviation = (((values - mean) ** 2).sum() / len(values) + 1e-5) ** 0.5
    return gain * (values - mean) / deviation + shift


def bias(weights: Weights, rows: int) -> Tensor:
    return weights.get("bias", torch.zeros(rows, dtype=torch.float64))


def lnlstm(weights: Weights, x: Tensor, old: Remembered) -> tuple[Tensor, Remembered]:
    size = len(old["hidden"])
    summed = normalise(weights["weight_hh"] @ old["hidden"], weights["norm_hidden.weight"])
    summed = summed + normalise(weights["weight_ih"] @ x, weights["norm_input.weight"]) + bias(weights, 4 * size)
    i, f, g, o = (summed[gate * size : (gate + 1) * size] for gate in range(4))
    c = sigma(f) * old["cell"] + sigma(i) * torch.tanh(g)
    h = sigma(o) * torch.tanh(normalise(c, weights["norm_cell.weight"], weights.get("norm_cell.bias", 0.0)))
    return h, {"hidden": h, "cell": c}


def lngru(weights: Weights, x: Tensor, old: Remembered) -> tuple[Tensor, Remembered]:
    size, h = len(old["hidden"]), old["hidden"]
    w, u, b = weights["weight_ih"], weights["weight_hh"], bias(weights, 3 * size)
    gates = normalise(u[: 2 * size] @ h, weights["norm_hidden.weight"])
    gates = gates + normalise(w[: 2 * size] @ x, weights["norm_input.weight"]) + b[: 2 * size]
    r, z = sigma(gates[:size]), sigma(gates[size:])
    reset = normalise(u[2 * size :] @ h, weights["norm_new_hidden.weight"], weights.get("norm_new_hidden.bias", 0.0))
    n = torch.tanh(normalise(w[2 * size :] @ x, weights["norm_new_input.weight"]) + b[2 * size :] + r * reset)
    h = (1 - z) * n + z * h
    return h, {"hidden": h}


def sru(weights: Weights, x: Tensor, old: Remembered) -> tuple[Tensor, Remembered]:
    size, c = len(old["hidden"]), old["cell"]
    w, v, b = weights["weight_ih"], weights["weight_state"], bias(weights, 2 * size)
    f = sigma(w[size : 2 * size] @ x + v[:size] * c + b[:size])
    r = sigma(w[2 * size : 3 * size] @ x + v[size:] * c + b[size:])
    c = f * c + (1 - f) * (w[:size] @ x)
    h = r * c + (1 - r) * (x if len(w) == 3 * size else w[3 * size :] @ x)
    return h, {"hidden": h, "cell": c}


def g(value: float) -> float:
    return value + 0.5 if value >= 0 else 1 / (1 + math.exp(-value))


def mingru(weights: Weights, x: Tensor, old: Remembered) -> tuple[Tensor, Remembered]:
    size = len(old["hidden"])
    k = weights["weight_ih"] @ x + bias(weights, 2 * size)
    z, candidate = sigma(k[:size]), torch.tensor([g(value) for value in k[size:].tolist()], dtype=torch.float64)
    h = (1 - z) * old["hidden"] + z * candidate
    return h, {"hidden": h}


def minlstm(weights: Weights, x: Tensor, old: Remembered) -> tuple[Tensor, Remembered]:
    size = len(old["hidden"])
    k = weights["weight_ih"] @ x + bias(weights, 3 * size)
    i, f = sigma(k[:size]), sigma(k[size : 2 * size])
    candidate = torch.tensor([g(value) for value in k[2 * size :].tolist()], dtype=torch.float64)
    h = f / (f + i) * old["hidden"] + i / (f + i) * candidate
    return h, {"hidden": h}


def slstm(weights: Weights, x: Tensor, old: Remembered) -> tuple[Tensor, Remembered]:
    size, h = len(old["hidden"]), old["hidden"]
    recurrent, head = weights["weight_hh"], weights["weight_hh"].shape[1]
    read = torch.zeros(4 * size, dtype=torch.float64)
    for row in range(4 * size):
        first = row % size // head * head  # of the part of h that this row's head reads
        read[row] = recurrent[row] @ h[first : first + head]
    summed = weights["weight_ih"] @ x + read + bias(weights, 4 * size)
    i, f, z, o = (summed[gate * size : (gate + 1) * size] for gate in range(4))
    c = sigma(f) * old["c"] + torch.exp(i) * torch.tanh(z)
    n = sigma(f) * old["n"] + torch.exp(i)
    h = sigma(o) * c / n
    return h, {"hidden": h, "c": c, "n": n}


def mlstm(weights: Weights, x: Tensor, old: Remembered) -> tuple[Tensor, Remembered]:
    size, heads = len(old["hidden"]), len(weights["weight_gates"]) // 2
    width = size // heads
    q, k, v, o = (weights["weight_ih"] @ x + bias(weights, 4 * size)).view(4, heads, width)
    gates = weights["weight_gates"] @ x + weights.get("bias_gates", torch.zeros(2 * heads, dtype=torch.float64))
    memories, normalisers, outputs = [], [], []
    for head in range(heads):
        i, f = torch.exp(gates[head]), sigma(gates[heads + head])
        key = k[head] / math.sqrt(width)
        memory = f * old["C"][head] + i * torch.outer(v[head], key)
        normaliser = f * old["n"][head] + i * key
        weight = max(abs(float(normaliser @ q[head])), 1.0)
        outputs.append(sigma(o[head]) * (memory @ q[head]) / weight)
        memories.append(memory)
        normalisers.append(normaliser)
    h = torch.cat(outputs)
    return h, {"hidden": h, "C": memories, "n": normalisers}


def remembered(name: str, state: dict[str, Tensor], row: int) -> Remembered:
    """What a reference remembers where a cell is in this state."""
    own = {key: values[row].detach() for key, values in state.items()}
    if name == "slstm":
        scale = torch.exp(own["stabiliser"])
        return {"hidden": own["hidden"], "c": own["cell"] * scale, "n": own["normaliser"] * scale}
    if name == "mlstm":
        scale = torch.exp(own["stabiliser"])
        memory = [matrix.T * by for matrix, by in zip(own["memory"], scale, strict=True)]
        return {"hidden": own["hidden"], "C": memory, "n": list(own["normaliser"] * scale.unsqueeze(1))}
    return own


REFERENCES: dict[str, Callable[[Weights, Tensor, Remembered], tuple[Tensor, Remembered]]] = {
    "lnlstm": lnlstm,
    "lngru": lngru,
    "sru": sru,
    "mingru": mingru,
    "minlstm": minlstm,
    "slstm": slstm,
    "mlstm": mlstm,
}
