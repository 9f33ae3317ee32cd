"""Complex numbers: their parts, angles and conjugates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from .. import dtypes
from ..batching.array import BatchedArray
from ..batching.namespace import batched
from ..batching.readings import leading
from ..device import BATCHED
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import common_device, explain, primitive, public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor, as_view
from .pointwise import _conj, cos, sin

__all__ = ["angle", "complex", "conj_physical", "polar", "view_as_complex", "view_as_real"]


@public(
    methods=("conj_physical",),
    in_place=True,
    samples=lambda make: [sample(make.complex(2, 3)), sample(make.real(3))],
    departs={"node": "conj"},
)
def conj_physical(input: Tensor) -> Tensor:
    """Complex conjugate of each element, in memory of its own; `input` itself if it is real."""
    return _conj(input) if input.is_complex() else input


_angle_complex = primitive(
    "angle",
    lambda xp, x: xp.arctan2(xp.imag(x), xp.real(x)),
    lambda xp, g, x: g * _turned(xp, x),
    elementwise=True,
    jvp=lambda xp, x, t_x: xp.real(t_x * xp.conj(_turned(xp, x))),
)


def _turned(xp: Any, x: Any) -> Any:
    """The gradient of the angle: 1j x / |x|^2, 0 at 0."""
    zero = x == 0
    return xp.where(zero, 0.0, x * 1j / xp.where(zero, 1.0, xp.square(xp.absolute(x))))


_angle_real = primitive(
    "angle",
    # Neither holds for nan, which stays.
    lambda xp, x: xp.where(x < 0, math.pi, xp.where(x >= 0, 0.0, x)),
    lambda xp, g: xp.zeros_like(g),
    elementwise=True,
)


@public(
    methods=("angle",),
    numpy={"angle": lambda z, deg=False: angle(z).rad2deg() if deg else angle(z)},
    kind="primitive",
    samples=lambda make: [
        sample(make.real(2, 3)),
        sample(make.complex(2, 3)),
        sample(make.complex()),
        sample(make.real(0)),
    ],
    departs={"saves less": "of real values nothing"},
)
def angle(input: Tensor) -> Tensor:
    """The angle of each complex number, in radians in (-pi, pi]; of real ones 0 or pi.

    The derivative by a real number is 0, and so is that at 0.
    """
    x = tensor_of("angle", input)
    if x.is_complex():
        return _angle_complex(x)
    return _angle_real(x if x.is_floating_point() else x.to(dtypes.get_default_dtype()))


def _joined(xp: Any, a: Any, b: Any) -> Any:
    module = xp.module
    a, b = module.broadcast_arrays(a, b)
    y = module.empty(a.shape, module.result_type(a.dtype, module.complex64))
    y.real, y.imag = a, b  # not a + 1j * b, which is nan where b is infinite
    return y


from_parts = primitive(
    "complex",
    _joined,
    lambda xp, g, a_shape: xp.sum_to(xp.real(g), a_shape),
    lambda xp, g, b_shape: xp.sum_to(xp.imag(g), b_shape),
    linear=True,
    batching=leading,
)


def _parts(name: str, one: Any, two: Any) -> tuple[Tensor, Tensor]:
    a, b = tensor_of(name, one), tensor_of(name, two)
    if not (a.is_floating_point() and b.is_floating_point()):
        raise DTypeError(
            f"{name}: Expected both inputs to be Half, Float or Double tensors but got "
            f"{a.dtype} and {b.dtype}."
        )
    if dtypes.float16 in (a.dtype, b.dtype):
        raise DTypeError(f"{name}: there are no complex numbers of half precision here.")
    if a.dtype is not b.dtype:
        raise DTypeError(
            f"{name}: Expected object of scalar type {a.dtype} but got scalar type {b.dtype} for "
            "second argument."
        )
    common_device(name, (a, b))
    return a, b


def _together(name: str, one: Any, two: Any) -> Tensor:
    a, b = _parts(name, one, two)
    try:
        return from_parts(a, b)
    except ShapeError as error:
        raise explain(name, error, (a, b)) from error


def _parts_samples(make: Any) -> list[Any]:
    return [
        sample(make.real(2, 3), make.real(3)),
        sample(make.real(), make.real()),
        sample(make.real(0), make.real(1)),
    ]


_PARTS_ERRORS: Final = lambda make: [
    bad(RuntimeError, "Expected both inputs to be", make.real(2), make.integers(0, 2, 2)),
    bad(RuntimeError, "must match the size", make.real(2), make.real(3)),
]


@public(
    samples=_parts_samples,
    errors=_PARTS_ERRORS,
    departs={
        "saves less": "both parts",
        "refuses: float16": "NumPy has no half precision complex numbers",
    },
)
def complex(real: Tensor, imag: Tensor) -> Tensor:
    """Complex numbers of their real and imaginary parts.

    Args:
        real: float32 or float64.
        imag: of the same dtype; they broadcast.

    Returns:
        complex64 or complex128.

    Raises:
        DTypeError: the dtypes differ, or are not floating point.
    """
    return _together("complex", real, imag)


@public(
    samples=lambda make: [
        sample(make.real(2, 3, low=0.1), make.real(3)),
        sample(make.real(low=0.1), make.real()),
        sample(make.real(0), make.real(1)),
    ],
    errors=_PARTS_ERRORS,
    departs={
        "node": "composite",
        "saves": "the factors, not the result",
        "refuses: float16": "NumPy has no half precision complex numbers",
    },
)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers of their absolute values and angles: abs (cos(angle) + i sin(angle)).

    Args:
        abs: float32 or float64.
        angle: in radians, of the same dtype; they broadcast.

    Returns:
        complex64 or complex128.

    Raises:
        DTypeError: the dtypes differ, or are not float32 or float64.
    """
    size, turn = _parts("polar", abs, angle)
    return _together("polar", size * cos(turn), size * sin(turn))


def _on_each(level: Any, run: Any, x: Any) -> BatchedArray:
    return BatchedArray(level, run(x.inner))


def _pairs_to_complex(xp: Any, x: Any) -> Any:
    return x.view(xp.module.result_type(x.dtype, xp.module.complex64))[..., 0]


def _complex_to_pairs(xp: Any, x: Any) -> Any:
    return x[..., None].view(x.real.dtype)


def _parts_together(level: Any, run: Any, x: Any) -> Any:
    # A batch may lie in the midst of the pairs: no view.
    return batched.apply(from_parts, x[..., 0], x[..., 1])


_view_as_real = primitive(
    "view_as_real",
    _complex_to_pairs,
    lambda xp, g: xp.apply(_to_complex, g),
    linear=True,
    batching=_on_each,
)
_view_as_complex = primitive(
    "view_as_complex",
    _pairs_to_complex,
    lambda xp, g: xp.apply(_to_pairs, g),
    linear=True,
    batching=_parts_together,
)
# Of cotangents, which may be expanded: those are no views.
_to_complex: Callable[..., Tensor] = primitive(
    "view_as_complex",
    lambda xp, x: _pairs_to_complex(xp, xp.module.ascontiguousarray(x)),
    lambda xp, g: xp.apply(_to_pairs, g),
    linear=True,
    batching=_parts_together,
)
_to_pairs: Callable[..., Tensor] = primitive(
    "view_as_real",
    lambda xp, x: xp.module.ascontiguousarray(x[..., None]).view(x.real.dtype),
    lambda xp, g: xp.apply(_to_complex, g),
    linear=True,
    batching=_on_each,
)


@public(
    kind="primitive",
    samples=lambda make: [
        sample(make.complex(2, 3)),
        sample(make.complex()),
        sample(make.complex(0)),
    ],
    errors=lambda make: [bad(RuntimeError, "only supported for complex tensors", make.real(2))],
    departs={"derivative: 2": "PyTorch's double backward fails for empty ones"},
)
def view_as_real(input: Tensor) -> Tensor:
    """The real and imaginary parts of each element beside one another.

    Args:
        input: `(*)`, complex.

    Returns:
        `(*, 2)`, a view.

    Raises:
        DTypeError: `input` is real.
    """
    x = tensor_of("view_as_real", input)
    if not x.is_complex():
        raise DTypeError("view_as_real is only supported for complex tensors")
    return as_view(_view_as_real(x), x, lambda x, none: _view_as_real(x), None)


@public(
    kind="primitive",
    samples=lambda make: [
        sample(make.real(3, 2)),
        sample(make.real(2)),
        sample(make.real(2, 3, 2)),
    ],
    errors=lambda make: [
        bad(RuntimeError, "only supported for half, float and double", make.integers(0, 2, 2)),
        bad(RuntimeError, "must have a last dimension of size 2", make.real(3)),
        bad(RuntimeError, "one or more dimensions", make.real()),
    ],
    departs={"refuses: float16": "NumPy has no half precision complex numbers"},
)
def view_as_complex(input: Tensor) -> Tensor:
    """Pairs of real and imaginary parts as complex numbers.

    Args:
        input: `(*, 2)`, float32 or float64, the last dimension contiguous in memory.

    Returns:
        `(*)`, a view.

    Raises:
        DTypeError: another dtype.
        ShapeError: the last dimension has not length 2.
        ArgumentError: the parts are not beside one another in memory.
    """
    x = tensor_of("view_as_complex", input)
    if not x.is_floating_point():
        raise DTypeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {x.dtype}"
        )
    if x.dtype is dtypes.float16:
        raise DTypeError("view_as_complex: there are no complex numbers of half precision here.")
    if not x._shape:
        raise ShapeError("Input tensor must have one or more dimensions")
    if x._shape[-1] != 2:
        raise ShapeError("Tensor must have a last dimension of size 2")
    if x._type.device.kind != BATCHED and x.numel() and x.stride(-1) != 1:
        raise ArgumentError("Tensor must have a last dimension with stride 1")
    return as_view(_view_as_complex(x), x, lambda x, none: _view_as_complex(x), None)
