"""Operations that are declared when the first of them is asked for, so that importing stays quick.

Those are the modules of `gradcore.ops` that the package does not import itself. Until then Tensor
has a placeholder for each of their methods (their names are in `methods.py`), and the package looks
for a name that it lacks among them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from . import ops
from .methods import Operations
from .op import LATE, declare_all
from .ops.assign import give_in_place_forms
from .tensor import Tensor

__all__: list[str] = []


def _declare() -> None:
    import pkgutil  # a millisecond

    package = sys.modules[__package__ or ""]
    for found in pkgutil.iter_modules(ops.__path__):
        module = importlib.import_module(f"{ops.__name__}.{found.name}")
        for name in module.__all__:
            setattr(package, name, getattr(module, name))
    importlib.import_module(f"{package.__name__}.streams")  # for Tensor.record_stream
    give_in_place_forms()
    for name, value in list(vars(Tensor).items()):
        if isinstance(value, _Placeholder):
            delattr(Tensor, name)


class _Placeholder:
    """A method of an operation that is not declared yet; to look at it declares them all."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Tensor | None, owner: type[Tensor]) -> Callable[..., Any]:
        declare_all()
        method: Callable[..., Any] = getattr(owner if instance is None else instance, self.name)
        return method


LATE.append(_declare)
for _name in vars(Operations):
    if not hasattr(Tensor, _name):
        setattr(Tensor, _name, _Placeholder(_name))
