"""Forward mode: Tensors that carry a tangent through a program.

Inside a level, `make_dual` gives a Tensor a tangent. Operations then give their results tangents:
the Jacobian-vector product, in one pass with the values::

    with forward_ad.dual_level():
        x = forward_ad.make_dual(primal, tangent)
        y, dy = forward_ad.unpack_dual(f(x))

`no_grad` does not stop it. Tangents are Tensors as others are: they can be recorded and
differentiated, and so can gradients be followed. Levels nest, where PyTorch has only one.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import levels
from ..errors import ArgumentError, ArgumentTypeError, DeviceError, GraphError, ShapeError
from ..forward import _enabled, alias, dual, tangent_of
from ..levels import Level
from ..mode import _GradMode
from ..tensor import Tensor

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` gives.

    Attributes:
        primal: the Tensor without its tangent.
        tangent: its tangent, or None if it has none.
    """

    primal: Tensor
    tangent: Tensor | None


def _level(number: int | None) -> Level | None:
    """The level of that number, or the innermost; None if there is none."""
    open = levels.levels()
    if number is None:
        return open[-1] if open else None
    return open[number] if 0 <= number < len(open) else None


def enter_dual_level() -> int:
    """Begin a level: a new one inside the present ones.

    Returns:
        Its number, for `exit_dual_level`.
    """
    return levels.enter().depth


def exit_dual_level(*, level: int | None = None) -> None:
    """End the innermost level: all tangents in it are dropped.

    Args:
        level: its number, which is checked; None is the innermost.

    Raises:
        GraphError: there is no level, or it is not the innermost.
    """
    innermost = _level(None)
    if innermost is None:
        raise GraphError("Dual level must be a positive number.")
    if level is not None and level != innermost.depth:
        raise GraphError(
            "Trying to exit a forward AD level that was not the last one that was created. This is "
            "not supported."
        )
    levels.exit(innermost)


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A view of `tensor` that carries `tangent`.

    Args:
        tensor: `(*)`, floating point or complex; what it was recorded from stays.
        tangent: of the same shape, floating point or complex. It is not copied.
        level: the number of the level; None is the innermost.

    Raises:
        GraphError: there is no such level; `tensor` or `tangent` has a tangent in it already.
        ShapeError: the shapes differ.
        ArgumentError: one is neither floating point nor complex.
        ArgumentTypeError: one is no Tensor.
    """
    found = _level(level)
    if found is None:
        if level is None or level < 0:
            raise GraphError(
                "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
                "enter_dual_level() first."
            )
        raise GraphError("Invalid level given to _make_dual")
    for name, t in (("primal", tensor), ("tangent", tangent)):
        if not isinstance(t, Tensor):
            raise ArgumentTypeError(f"make_dual: expected {name} to be a Tensor, not {_kind(t)}.")
        if not t._type.recordable:
            raise ArgumentError(
                f"Expected {name} to be floating point or complex, but got: {t.dtype}"
            )
    if tangent_of(tensor, found)[1] is not None:
        raise GraphError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            f"same level {found.depth} is not supported."
        )
    if tangent_of(tangent, found)[1] is not None:
        raise GraphError(
            "Setting a forward grad that itself has a forward gradient at the same level"
            f"{found.depth} is not supported."
        )
    if tensor._shape != tangent._shape:
        raise ShapeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor._shape)} while the "
            f"given forward gradient is of size {list(tangent._shape)}."
        )
    if tensor._type.device.base is not tangent._type.device.base:
        raise DeviceError(
            f"make_dual: the primal is on {tensor.device} and the tangent on {tangent.device}."
        )
    return dual(alias(tensor), tangent, found)


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The primal and the tangent of a Tensor.

    Args:
        tensor: any Tensor; one without a tangent is its own primal.
        level: the number of the level; None is the innermost.

    Returns:
        `(primal, tangent)`, a named tuple; the tangent is None where there is none, which means 0.

    Raises:
        ArgumentTypeError: it is no Tensor.
        GraphError: there is no level of that number.
    """
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(f"unpack_dual(): expected a Tensor, not {_kind(tensor)}.")
    found = _level(level)
    if found is None:
        if level is not None and level >= 0 and levels.levels():
            raise GraphError("Invalid level given to _fw_primal")
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(*tangent_of(tensor, found))


def _kind(value: object) -> str:
    return type(value).__qualname__


class dual_level:
    """A context manager: a level for its extent, as by `enter_dual_level`.

    `with dual_level() as number:` names the level by its number.
    """

    def __init__(self) -> None:
        self._open: list[Level] = []

    def __enter__(self) -> int:
        self._open.append(levels.enter())
        return self._open[-1].depth

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        levels.exit(self._open.pop())


class _set_fwd_grad_enabled(_GradMode):
    """Set at once whether operations give their results tangents; as a context manager, there."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._mode = bool(mode)
        self._outer.append(_enabled.get())
        _enabled.set(self._mode)

    def __enter__(self) -> None:
        _enabled.set(self._mode)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        _enabled.set(self._outer.pop())
