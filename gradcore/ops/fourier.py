"""Discrete Fourier transforms; their public place is `gradcore.fft`.

There is one primitive for each kind of transform: complex to complex, real to complex, and from
half of a spectrum to real numbers. In each `forward` is the sign of the exponent, and `norm` what
NumPy means by it for a transform in that direction. Half of a spectrum are the frequencies from 0
to n // 2 of the last dimension that is transformed: the others are their conjugates.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np

from .. import dtypes
from ..batching.array import BatchedArray, Level
from ..device import Array
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DimensionError,
    DTypeError,
    ShapeError,
)
from ..namespace import Namespace
from ..op import primitive, public, tensor_of
from ..samples import Bad, Maker, Sample, bad, sample
from ..tensor import Tensor, canonical_dim
from .padding import pad

__all__: list[str] = []

Dims = tuple[int, ...]
F = TypeVar("F", bound=Callable[..., Any])

_SWAPPED: Final = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The norm of the transform in the other direction that is scaled alike."""


# the transforms --------------------------------------------------------------------------------


@functools.cache
def _on_the_host() -> Any:
    """SciPy's transforms where it is installed: of float32 they take a third of NumPy's time."""
    try:
        import scipy.fft
    except ImportError:
        return np.fft
    return scipy.fft


def _module(xp: Namespace) -> Any:
    return _on_the_host() if xp.module is np else xp.module.fft


def _shifted(level: Level, run: Callable[..., Any], x: Any, dims: Dims, *more: Any) -> Any:
    """A transform of a batch: the same of its samples' dimensions."""
    return BatchedArray(level, run(x.inner, tuple([d + 1 for d in dims]), *more))


def _transformed(xp: Namespace, x: Array, dims: Dims, norm: str, forward: bool) -> Array:
    """All frequencies of `x`, real or complex."""
    if not dims or not x.size:
        return x.astype(np.result_type(x.dtype, np.complex64))  # a copy
    fft = _module(xp)
    return (fft.fftn if forward else fft.ifftn)(x, axes=dims, norm=norm)


def _between(x: Array, n: int, dim: int) -> Array:
    """A view of half of the spectrum of n numbers: the frequencies that stand for two."""
    return x[(*(slice(None),) * dim, slice(1, (n + 1) // 2))]


def _half(xp: Namespace, x: Array, dims: Dims, norm: str, forward: bool, weight: float) -> Array:
    """Half of the spectrum of `x`, times `weight` where a frequency stands for two."""
    *others, last = dims
    y = _module(xp).rfft(x, axis=last, norm=norm if forward else _SWAPPED[norm])
    if not forward:
        xp.module.conjugate(y, y)
    if weight != 1:
        twice = _between(y, x.shape[last], last)
        xp.multiply(twice, weight, twice)
    return _transformed(xp, y, tuple(others), norm, forward) if others else y


def _real(
    xp: Namespace, x: Array, dims: Dims, norm: str, n: int, forward: bool, weight: float
) -> Array:
    """The n real numbers of half of their spectrum, of which `weight` is half taken at 0.5."""
    *others, last = dims
    if others:
        x = _transformed(xp, x, tuple(others), norm, forward)
    if weight != 1:
        x = x if others else x.copy()
        twice = _between(x, n, last)
        xp.multiply(twice, weight, twice)
    if forward:
        x, norm = xp.conj(x), _SWAPPED[norm]
    return _module(xp).irfft(x, n, axis=last, norm=norm)


_c2c = primitive(
    "fft_c2c",
    _transformed,
    lambda xp, g, dims, norm, forward: xp.apply(_c2c, g, dims, _SWAPPED[norm], not forward),
    graph="FftC2CBackward0",
    linear=True,
    batching=_shifted,
)
_full_r2c = primitive(
    "fft_r2c",
    _transformed,
    lambda xp, g, dims, norm, forward: xp.real(
        xp.apply(_c2c, g, dims, _SWAPPED[norm], not forward)
    ),
    graph="FftR2CBackward0",
    linear=True,
    batching=_shifted,
)
# The adjoint of half a spectrum takes each frequency once, the inverse transform takes those that
# stand for two twice: hence the weights.
_r2c = primitive(
    "fft_r2c",
    _half,
    lambda xp, g, x_shape, dims, norm, forward, weight: xp.apply(
        _c2r, g, dims, _SWAPPED[norm], x_shape[dims[-1]], not forward, weight / 2
    ),
    graph="FftR2CBackward0",
    linear=True,
    batching=_shifted,
)
_c2r = primitive(
    "fft_c2r",
    _real,
    lambda xp, g, dims, norm, forward, weight: xp.apply(
        _r2c, g, dims, _SWAPPED[norm], not forward, 2 * weight
    ),
    graph="FftC2RBackward0",
    linear=True,
    batching=_shifted,
)


# arguments -------------------------------------------------------------------------------------


def _norm(norm: Any) -> str:
    if norm is None:
        return "backward"
    if norm not in _SWAPPED:
        raise ArgumentError(f'Invalid normalization mode: "{norm}".')
    return str(norm)


def _signal(name: str, input: Any) -> Tensor:
    """The operand: floating point or complex."""
    x = tensor_of(f"fft_{name}", input)
    dtype = x._type.dtype
    if not dtype.is_inexact:
        y: Tensor = x.to(dtypes.get_default_dtype())
        return y
    if dtype is dtypes.float16:
        raise DTypeError(
            f"fft_{name}: Unsupported dtype Half: there are no complex numbers of half precision; "
            "use x.to(gradcore.float32)."
        )
    return x


def _real_signal(name: str, input: Any) -> Tensor:
    x = _signal(name, input)
    if x._type.dtype.is_complex:
        raise DTypeError(
            f"{name} expects a real input tensor, but got {x._type.dtype.label}; use x.real."
        )
    return x


def _spectrum(name: str, input: Any) -> Tensor:
    """The operand as complex numbers."""
    x = _signal(name, input)
    dtype = x._type.dtype
    y: Tensor = x if dtype.is_complex else x.to(dtype.to_complex())
    return y


def integer(name: str, argument: str, n: Any) -> int:
    try:
        return operator.index(n)
    except TypeError:
        raise ArgumentTypeError(
            f"{name}(): argument '{argument}' must be int, not {type(n).__qualname__}."
        ) from None


def integers(name: str, argument: str, values: Any) -> Dims:
    """An int, or a sequence of them, as a tuple."""
    if not isinstance(values, tuple | list):
        values = (values,)
    return tuple([integer(name, argument, n) for n in values])


def _one_dim(name: str, x: Tensor, n: Any, dim: Any) -> tuple[Dims, int | None]:
    """The dimension of a transform of one, and the length it is to have."""
    dim = integer(f"fft_{name}", "dim", dim)
    if not x._shape:
        raise DimensionError(f"Dimension specified as {dim} but tensor has no dimensions.")
    return (canonical_dim(dim, len(x._shape)),), None if n is None else integer(
        f"fft_{name}", "n", n
    )


def _dims(name: str, x: Tensor, s: Any, dim: Any, least: int) -> tuple[Dims, list[int | None]]:
    """The dimensions of a transform, and the lengths they are to have; None for their own."""
    ndim = len(x._shape)
    lengths = None if s is None else integers(f"fft_{name}", "s", s)
    if dim is not None:
        given = integers(f"fft_{name}", "dim", dim)
        if given and not ndim:
            raise DimensionError(f"Dimension specified as {given[0]} but tensor has no dimensions.")
        dims = tuple([canonical_dim(d, ndim) for d in given])
        if len(set(dims)) != len(dims):
            raise ArgumentError(f"{name}: FFT dims must be unique, but got {given}.")
        if lengths is not None and len(lengths) != len(dims):
            raise ShapeError(
                f"{name}: When given, dim and shape arguments must have the same length, "
                f"but got {given} and {lengths}."
            )
    else:
        count = ndim if lengths is None else len(lengths)
        if count > ndim:
            raise ShapeError(
                f"{name}: Got shape with {count} values but input tensor only has {ndim} "
                "dimensions."
            )
        dims = tuple(range(ndim - count, ndim))
    if len(dims) < least:
        raise ArgumentError(f"{name} must transform at least one axis.")
    return dims, [None if n == -1 else n for n in lengths or (-1,) * len(dims)]


def _resized(x: Tensor, dims: Dims, lengths: Sequence[int | None]) -> Tensor:
    """`x` cut, or filled up with zeros, at the end of each of the dimensions.

    Raises:
        ArgumentError: a length is below 1.
    """
    missing = [0] * len(x._shape)
    for d, n in zip(dims, lengths, strict=True):
        here = x._shape[d]
        n = here if n is None else n
        if n < 1:
            raise ArgumentError(f"Invalid number of data points ({n}) specified.")
        missing[d] = n - here
    if not any(missing):
        return x
    return pad(x, [width for n in reversed(missing) for width in (0, n)])


# what the functions are made of ----------------------------------------------------------------


def _to_all(
    x: Tensor, dims: Dims, lengths: Sequence[int | None], norm: Any, forward: bool
) -> Tensor:
    x = _resized(x, dims, lengths)
    transform = _c2c if x._type.dtype.is_complex else _full_r2c
    return transform(x, dims, _norm(norm), forward)


def _to_half(
    x: Tensor, dims: Dims, lengths: Sequence[int | None], norm: Any, forward: bool
) -> Tensor:
    return _r2c(_resized(x, dims, lengths), dims, _norm(norm), forward, 1)


def _to_real(
    x: Tensor, dims: Dims, lengths: Sequence[int | None], norm: Any, forward: bool
) -> Tensor:
    *others, n = lengths
    if n is None:
        n = 2 * (x._shape[dims[-1]] - 1)
    if n < 1:
        raise ArgumentError(f"Invalid number of data points ({n}) specified.")
    x = _resized(x, dims, (*others, n // 2 + 1))
    return _c2r(x, dims, _norm(norm), n, forward, 1)


# records ---------------------------------------------------------------------------------------

Samples = Callable[[Maker], Sequence[Sample]]


def record(
    name: str,
    face: Callable[..., Any] | None,
    samples: Samples,
    errors: Callable[[Maker], Sequence[Bad]],
    node: str = "",
) -> Callable[[F], F]:
    departs = {"saves less": "the operand, of a linear function"}
    return public(
        path=f"fft.{name}",
        numpy={f"fft.{name}": face},
        array_api=f"fft.{name}",
        samples=samples,
        errors=errors,
        departs={**departs, "node": node} if node else departs,
    )


def _of_one_dim(name: str, operand: str = "complex", node: str = "") -> Callable[[F], F]:
    """Declare a transform of one dimension.

    Args:
        name: of the function.
        operand: what `Maker` makes under that name.
        node: why its node is not PyTorch's.
    """

    def samples(make: Maker) -> list[Sample]:
        of = getattr(make, operand)
        return [
            sample(make.real(2, 4)) if operand == "complex" else sample(of(4)),
            sample(of(2, 5)),
            sample(of(2, 4), 3),
            sample(of(3, 2), n=6, dim=0, norm="ortho"),
            sample(of(2, 3, 2), 5, axis=-2, norm="forward"),
            sample(of(2, 2), norm="backward"),
        ]

    def errors(make: Maker) -> list[Bad]:
        found = [
            bad(RuntimeError, 'Invalid normalization mode: "bad"', make.real(4), norm="bad"),
            bad(RuntimeError, r"Invalid number of data points \(0\)", make.real(4), 0),
            bad(RuntimeError, r"Invalid number of data points \(-1\)", make.real(4), -1),
            bad(IndexError, r"expected to be in range of \[-2, 1\]", make.real(2, 3), dim=2),
            bad(IndexError, "but tensor has no dimensions", make.real()),
            bad(TypeError, "argument 'n' must be int, not float", make.real(4), 2.5),
            bad(TypeError, "'input'.*must be Tensor, not int", 3),
            bad(RuntimeError, "Unsupported dtype Half", make.real(4).astype(np.float16)),
        ]
        if operand == "real":
            found.append(bad(RuntimeError, "expects a real input tensor", make.complex(4)))
        return found

    return record(name, None, samples, errors, node)


def _of_two_dims(
    name: str, face: Callable[..., Any], operand: str = "complex", node: str = ""
) -> Callable[[F], F]:
    """Declare a transform of the last two dimensions."""

    def samples(make: Maker) -> list[Sample]:
        of = getattr(make, operand)
        return [
            sample(of(3, 4)),
            sample(of(2, 3, 3), (2, 5), norm="ortho"),
            sample(of(3, 2, 2), s=(4, -1), dim=(0, 1), norm="forward"),
        ]

    def errors(make: Maker) -> list[Bad]:
        return [
            bad(IndexError, "Dimension out of range", make.real(3)),
            bad(RuntimeError, "must have the same length", make.real(3, 3), (2,)),
        ]

    return record(name, face, samples, errors, node)


def _of_all_dims(
    name: str, face: Callable[..., Any], operand: str = "complex", least: int = 1, node: str = ""
) -> Callable[[F], F]:
    """Declare a transform of any dimensions."""

    def samples(make: Maker) -> list[Sample]:
        of = getattr(make, operand)
        found = [
            sample(of(2, 3, 2)),
            sample(of(2, 3), (4,)),
            sample(of(2, 3, 3), s=(4, 2), dim=(2, 0), norm="ortho"),
            sample(of(2, 4), dim=-1, norm="forward"),
            sample(of(3, 2, 2), axis=(0, 1)),
        ]
        if operand == "complex":
            found.append(sample(make.real(2, 4)))
        if not least:
            found += [sample(of(2, 3), dim=()), sample(of())]
        return found

    def errors(make: Maker) -> list[Bad]:
        found = [
            bad(RuntimeError, 'Invalid normalization mode: "bad"', make.real(4), norm="bad"),
            bad(RuntimeError, r"Invalid number of data points \(0\)", make.real(4), (0,)),
            bad(
                RuntimeError, "Got shape with 2 values but input tensor only", make.real(4), (2, 2)
            ),
            bad(RuntimeError, "must have the same length", make.real(2, 3), (2,), (0, 1)),
            bad(RuntimeError, "FFT dims must be unique", make.real(2, 3), dim=(0, -2)),
            bad(IndexError, "Dimension out of range", make.real(3), dim=(1,)),
        ]
        if least:
            found.append(bad(RuntimeError, "must transform at least one axis", make.real()))
        if operand == "real":
            found.append(bad(RuntimeError, "expects a real", make.complex(4)))
        return found

    return record(name, face, samples, errors, node)


# transforms of one dimension -------------------------------------------------------------------


@_of_one_dim("fft")
def fft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """Fourier transform: y_k = sum_j x_j exp(-2 pi i j k / n) along a dimension.

    Args:
        input: `(*)`, floating point or complex; integers become the default dtype.
        n: the length to which `input` is cut or filled up with zeros first; its own by default.
        dim: which dimension.
        norm: `"backward"` (None), `"ortho"`, `"forward"`: the sum is divided by 1, sqrt(n), n.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)` with length n, complex.

    Raises:
        ArgumentError: `n` is below 1, or no such `norm`.
        DimensionError: `dim` is out of range.
        DTypeError: float16.
    """
    x = _signal("fft", input)
    dims, length = _one_dim("fft", x, n, dim if axis is None else axis)
    return _to_all(x, dims, (length,), norm, True)


@_of_one_dim("ifft", node="one node for real input")
def ifft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """Inverse Fourier transform: y_j = 1/n sum_k x_k exp(2 pi i j k / n) along a dimension.

    The arguments are those of `fft`; the norms divide the sum by n, sqrt(n), 1.

    Returns:
        `(*)` with length n, complex.
    """
    x = _signal("ifft", input)
    dims, length = _one_dim("ifft", x, n, dim if axis is None else axis)
    return _to_all(x, dims, (length,), norm, False)


@_of_one_dim("rfft", "real")
def rfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """Fourier transform of real numbers: the frequencies 0 to n // 2 of `fft` along a dimension.

    The arguments are those of `fft`.

    Returns:
        `(*)` with length n // 2 + 1, complex.

    Raises:
        DTypeError: a complex `input`.
    """
    x = _real_signal("rfft", input)
    dims, length = _one_dim("rfft", x, n, dim if axis is None else axis)
    return _to_half(x, dims, (length,), norm, True)


@_of_one_dim("irfft")
def irfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """Inverse of `rfft`: the real numbers that have these frequencies along a dimension.

    Args:
        input: `(*)`, floating point or complex; integers become the default dtype.
        n: the length of the result, by default 2 (m - 1) of m frequencies.
        dim: which dimension.
        norm: `"backward"` (None), `"ortho"`, `"forward"`: the sum is divided by n, sqrt(n), 1.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)` with length n, real. The imaginary parts that no real numbers can have are ignored.

    Raises:
        ArgumentError: `n` is below 1, or no such `norm`.
        DimensionError: `dim` is out of range.
        DTypeError: float16.
    """
    x = _spectrum("irfft", input)
    dims, length = _one_dim("irfft", x, n, dim if axis is None else axis)
    return _to_real(x, dims, (length,), norm, False)


@_of_one_dim("hfft")
def hfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """Fourier transform of numbers with x_-j = conj(x_j), which is real, from half of them.

    The arguments are those of `irfft`; the norms divide the sum by 1, sqrt(n), n.

    Returns:
        `(*)` with length n, real. The imaginary parts that would break the symmetry are ignored.
    """
    x = _spectrum("hfft", input)
    dims, length = _one_dim("hfft", x, n, dim if axis is None else axis)
    return _to_real(x, dims, (length,), norm, True)


@_of_one_dim("ihfft", "real", "one node, where PyTorch conjugates")
def ihfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    axis: int | None = None,
) -> Tensor:
    """Inverse of `hfft`: half of the numbers whose transform is real along a dimension.

    The arguments are those of `rfft`; the norms divide the sum by n, sqrt(n), 1.

    Returns:
        `(*)` with length n // 2 + 1, complex.
    """
    x = _real_signal("ihfft", input)
    dims, length = _one_dim("ihfft", x, n, dim if axis is None else axis)
    return _to_half(x, dims, (length,), norm, False)


# transforms of two dimensions ------------------------------------------------------------------


@_of_two_dims("fft2", lambda a, s=None, axes=(-2, -1), norm=None: fft2(a, s, axes, norm))
def fft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """`fftn` over two dimensions, by default the last; the arguments are the same."""
    x = _signal("fft2", input)
    dims, lengths = _dims("fft2", x, s, dim if axis is None else axis, 0)
    return _to_all(x, dims, lengths, norm, True)


@_of_two_dims("ifft2", lambda a, s=None, axes=(-2, -1), norm=None: ifft2(a, s, axes, norm))
def ifft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """`ifftn` over two dimensions, by default the last; the arguments are the same."""
    x = _signal("ifft2", input)
    dims, lengths = _dims("ifft2", x, s, dim if axis is None else axis, 0)
    return _to_all(x, dims, lengths, norm, False)


@_of_two_dims("rfft2", lambda a, s=None, axes=(-2, -1), norm=None: rfft2(a, s, axes, norm), "real")
def rfft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """`rfftn` over two dimensions, by default the last; the arguments are the same."""
    x = _real_signal("rfft2", input)
    dims, lengths = _dims("rfft2", x, s, dim if axis is None else axis, 1)
    return _to_half(x, dims, lengths, norm, True)


@_of_two_dims("irfft2", lambda a, s=None, axes=(-2, -1), norm=None: irfft2(a, s, axes, norm))
def irfft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """`irfftn` over two dimensions, by default the last; the arguments are the same."""
    x = _spectrum("irfft2", input)
    dims, lengths = _dims("irfft2", x, s, dim if axis is None else axis, 1)
    return _to_real(x, dims, lengths, norm, False)


@_of_two_dims("hfft2", lambda a, s=None, axes=(-2, -1), norm=None: hfft2(a, s, axes, norm))
def hfft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """`hfftn` over two dimensions, by default the last; the arguments are the same."""
    x = _spectrum("hfft2", input)
    dims, lengths = _dims("hfft2", x, s, dim if axis is None else axis, 1)
    return _to_real(x, dims, lengths, norm, True)


@_of_two_dims(
    "ihfft2",
    lambda a, s=None, axes=(-2, -1), norm=None: ihfft2(a, s, axes, norm),
    "real",
    "one node, where PyTorch conjugates",
)
def ihfft2(
    input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """`ihfftn` over two dimensions, by default the last; the arguments are the same."""
    x = _real_signal("ihfft2", input)
    dims, lengths = _dims("ihfft2", x, s, dim if axis is None else axis, 1)
    return _to_half(x, dims, lengths, norm, False)


# transforms of any dimensions ------------------------------------------------------------------


@_of_all_dims(
    "fftn",
    lambda a, s=None, axes=None, norm=None: fftn(a, s, axes, norm),
    least=0,
    node="real input is not made complex first",
)
def fftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """Fourier transform over several dimensions.

    Args:
        input: `(*)`, floating point or complex; integers become the default dtype.
        s: the lengths to which `input` is cut or filled up with zeros first; -1 for its own.
        dim: which dimensions.
        norm: `"backward"` (None), `"ortho"`, `"forward"`: the sum is divided by 1, sqrt(n), n.
            n is the product of the lengths.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)` with lengths `s`, complex.

    Raises:
        ArgumentError: a length is below 1, no such `norm`, a dimension is there twice.
        ShapeError: not one length per dimension.
        DimensionError: a dimension is out of range.
        DTypeError: float16.
    """
    x = _signal("fftn", input)
    dims, lengths = _dims("fftn", x, s, dim if axis is None else axis, 0)
    return _to_all(x, dims, lengths, norm, True)


@_of_all_dims(
    "ifftn",
    lambda a, s=None, axes=None, norm=None: ifftn(a, s, axes, norm),
    least=0,
    node="real input is not made complex first",
)
def ifftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """Inverse Fourier transform over several dimensions.

    The arguments are those of `fftn`; the norms divide the sum by n, sqrt(n), 1.

    Returns:
        `(*)` with lengths `s`, complex.
    """
    x = _signal("ifftn", input)
    dims, lengths = _dims("ifftn", x, s, dim if axis is None else axis, 0)
    return _to_all(x, dims, lengths, norm, False)


@_of_all_dims("rfftn", lambda a, s=None, axes=None, norm=None: rfftn(a, s, axes, norm), "real")
def rfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """Fourier transform of real numbers over several dimensions, at least one.

    The arguments are those of `fftn`; half of a spectrum is of the last dimension.

    Returns:
        `(*)` with lengths `s`, the last n // 2 + 1, complex.

    Raises:
        DTypeError: a complex `input`.
    """
    x = _real_signal("rfftn", input)
    dims, lengths = _dims("rfftn", x, s, dim if axis is None else axis, 1)
    return _to_half(x, dims, lengths, norm, True)


@_of_all_dims("irfftn", lambda a, s=None, axes=None, norm=None: irfftn(a, s, axes, norm))
def irfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """Inverse of `rfftn`, which is real, over several dimensions.

    Args:
        input: `(*)`, floating point or complex; integers become the default dtype.
        s: the lengths of the result, -1 for that of `input`; by default the last is 2 (m - 1) of m.
        dim: which dimensions; half of a spectrum is of the last one.
        norm: `"backward"` (None), `"ortho"`, `"forward"`: the sum is divided by n, sqrt(n), 1.
            n is the product of the lengths.
        axis: NumPy's name for `dim`.

    Returns:
        `(*)` with lengths `s`, real. The imaginary parts that no real numbers can have are ignored.

    Raises:
        ArgumentError: a length is below 1, no such `norm`, a dimension is there twice or none is.
        ShapeError: not one length per dimension.
        DimensionError: a dimension is out of range.
        DTypeError: float16.
    """
    x = _spectrum("irfftn", input)
    dims, lengths = _dims("irfftn", x, s, dim if axis is None else axis, 1)
    return _to_real(x, dims, lengths, norm, False)


@_of_all_dims("hfftn", lambda a, s=None, axes=None, norm=None: hfftn(a, s, axes, norm))
def hfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """Fourier transform, which is real, of numbers with x_-j = conj(x_j), over several dimensions.

    The arguments are those of `irfftn`; the norms divide the sum by 1, sqrt(n), n.

    Returns:
        `(*)` with lengths `s`, real. The imaginary parts that would break the symmetry are ignored.
    """
    x = _spectrum("hfftn", input)
    dims, lengths = _dims("hfftn", x, s, dim if axis is None else axis, 1)
    return _to_real(x, dims, lengths, norm, True)


@_of_all_dims(
    "ihfftn",
    lambda a, s=None, axes=None, norm=None: ihfftn(a, s, axes, norm),
    "real",
    node="one node, where PyTorch conjugates",
)
def ihfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *, axis: Any = None
) -> Tensor:
    """Inverse of `hfftn` over several dimensions.

    The arguments are those of `rfftn`; the norms divide the sum by n, sqrt(n), 1.

    Returns:
        `(*)` with lengths `s`, the last n // 2 + 1, complex.
    """
    x = _real_signal("ihfftn", input)
    dims, lengths = _dims("ihfftn", x, s, dim if axis is None else axis, 1)
    return _to_half(x, dims, lengths, norm, False)
