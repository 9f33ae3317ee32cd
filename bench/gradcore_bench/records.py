"""The calls that an operation's record gives, as gradcore takes them and as PyTorch does."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

import gradcore as gd
from gradcore.samples import Sample

__all__ = ["COMPOSED", "KEYWORDS", "RENAMED", "mapped", "ours", "theirs", "torch_function"]

KEYWORDS: Final = {"axis": "dim", "keepdims": "keepdim"}
"""NumPy's keywords, which not all of PyTorch's functions take."""

RENAMED: Final = {
    "_add": "add",
    "_sub": "sub",
    "_round": "round",
    "_conj": "conj_physical",
    "_real": "real",
    "_imag": "imag",
    "_clamp_min": "clamp_min",
    "_clamp_max": "clamp_max",
    "_silu": "nn.functional.silu",
    "nn.functional.layer_norm": "layer_norm",
}
"""Private building blocks of gradcore, by what they are in PyTorch."""

COMPOSED: Final[dict[str, Callable[[Any], Callable[..., Any]]]] = {
    "_div_trunc": lambda torch: lambda a, b: torch.div(a, b, rounding_mode="trunc"),
    "_div_floor": lambda torch: lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "_gelu": lambda torch: torch.nn.functional.gelu,
    "_gelu_tanh": lambda torch: lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "mul_mean": lambda torch: (
        lambda a, b, dim=None, keepdim=False: torch.mul(a, b).mean(dim=dim, keepdim=keepdim)
    ),
}
"""What PyTorch has under no single name."""


def torch_function(torch: Any, path: str) -> Any:
    """PyTorch's function for an operation of gradcore, or None if it has none."""
    if path in COMPOSED:
        return COMPOSED[path](torch)
    found = torch
    for name in RENAMED.get(path, path).split("."):
        found = getattr(found, name, None)
        if found is None:
            return None
    return found


def mapped(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """`value` with `leaf` applied to all that is no list, tuple or dict."""
    if isinstance(value, list | tuple):
        return type(value)([mapped(v, leaf) for v in value])
    if isinstance(value, dict):
        return {name: mapped(v, leaf) for name, v in value.items()}
    return leaf(value)


def ours(sample: Sample, requires_grad: bool = True) -> tuple[Any, Any, list[Any]]:
    """The arguments as gradcore takes them, and the Tensors in them."""
    tensors: list[Any] = []

    def leaf(v: Any) -> Any:
        if not isinstance(v, np.ndarray):
            return v
        t = gd.tensor(v, requires_grad=requires_grad and v.dtype.kind in "fc")
        tensors.append(t)
        return t

    return mapped(sample.args, leaf), mapped(sample.kwargs, leaf), tensors


def theirs(torch: Any, sample: Sample, requires_grad: bool = True) -> tuple[Any, Any, list[Any]]:
    """The arguments as PyTorch takes them, and the tensors in them."""
    tensors: list[Any] = []

    def leaf(v: Any) -> Any:
        if isinstance(v, gd.dtype):
            return getattr(torch, v.name)
        if isinstance(v, str):
            if v.endswith("_format"):
                return getattr(torch, v)
            return v.replace("gradcore", "torch")
        if not isinstance(v, np.ndarray):
            return v
        t = torch.tensor(v, requires_grad=requires_grad and v.dtype.kind in "fc")
        tensors.append(t)
        return t

    kwargs = {KEYWORDS.get(name, name): v for name, v in sample.kwargs.items()}
    return mapped(sample.args, leaf), mapped(kwargs, leaf), tensors
