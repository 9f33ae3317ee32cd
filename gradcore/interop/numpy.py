"""NumPy's protocols: `np.sin(t)`, `np.sum(t, axis=0)` and `ndarray * t` are recorded.

So are the ufuncs of SciPy, such as `scipy.special.erf(t)`, whose faces begin with "special.".
Which operation stands for which NumPy function is said where the operation is declared (its NumPy
faces); here is only the way there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError
from ..op import face
from ..tensor import Tensor

__all__: list[str] = []

_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}


_OTHERS = frozenset({"put", "put_along_axis"})
"""NumPy's functions of these names write into an array; the Namespace's own do not."""


def _face(name: str) -> Callable[..., Any] | None:
    """The function over Tensors for NumPy's `name`."""
    return None if name in _OTHERS else face(name)


def _array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    name = ufunc.__name__
    if kwargs.get("out") is not None:
        raise ArgumentTypeError(
            f"numpy.{name}: the result for a Tensor is a new Tensor and cannot be written to an "
            "array. Leave out `out`, or use tensor.detach().numpy()."
        )
    function: Callable[..., Any] | None = None
    if getattr(np, name, None) is ufunc:
        if method == "__call__":
            function = _face(name)
        elif method == "reduce" and name in _REDUCTIONS:
            function = _face(_REDUCTIONS[name])
            kwargs.setdefault("axis", 0)
            if kwargs["axis"] is None:
                del kwargs["axis"]
    elif method == "__call__" and _is_scipys(ufunc):
        function = _face(f"special.{name}")
        if function is None:
            raise _unknown(f"special.{name}", "scipy")
    if function is None:
        what = name if method == "__call__" else f"{name}.{method}"
        raise _unknown(what)
    return function(*inputs, **kwargs)


def _array_function(
    self: Tensor, func: Callable[..., Any], types: Any, args: Sequence[Any], kwargs: dict[str, Any]
) -> Any:
    module = (func.__module__ or "").removeprefix("numpy").lstrip(".")
    name = f"{module}.{func.__name__}" if module else func.__name__
    function = _face(name)
    if function is None:
        raise _unknown(name)
    return function(*args, **kwargs)


def _is_scipys(ufunc: np.ufunc) -> bool:
    # Whoever has one of its ufuncs has imported it. Those in `_ufuncs` are behind functions.
    modules = [sys.modules.get(name) for name in ("scipy.special", "scipy.special._ufuncs")]
    return any(getattr(module, ufunc.__name__, None) is ufunc for module in modules)


def _unknown(name: str, module: str = "numpy") -> ArgumentTypeError:
    return ArgumentTypeError(
        f"{module}.{name} has no differentiable counterpart for Tensors. "
        "Use tensor.detach().numpy() to leave the graph."
    )


Tensor.__array_ufunc__ = _array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = _array_function  # type: ignore[attr-defined]
