"""Derivatives of sampled functions, by differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from ..op import public, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor, canonical_dim
from .shape import cat, reshape

__all__ = ["gradient"]


def _part(x: Tensor, dim: int, start: int, stop: int | None) -> Tensor:
    """A view of `x` from `start` to `stop` along a dimension."""
    y: Tensor = x[(*(slice(None),) * dim, slice(start, stop))]
    return y


def _by_distance(x: Tensor, dim: int, h: Any, edge_order: int) -> list[Tensor]:
    """First edge, middle and last edge, of points at a distance h."""

    def part(start: int, stop: int | None) -> Tensor:
        return _part(x, dim, start, stop)

    middle = (part(2, None) - part(0, -2)) / (2 * h)
    if edge_order == 1:
        return [(part(1, 2) - part(0, 1)) / h, middle, (part(-1, None) - part(-2, -1)) / h]
    first = (4 * part(1, 2) - 3 * part(0, 1) - part(2, 3)) / (2 * h)
    last = (3 * part(-1, None) - 4 * part(-2, -1) + part(-3, -2)) / (2 * h)
    return [first, middle, last]


def _by_place(x: Tensor, dim: int, places: Tensor, edge_order: int) -> list[Tensor]:
    """The same, of points at these places: the slopes on both sides, weighted by the other's."""
    n = x._shape[dim]
    steps = reshape(places[1:] - places[:-1], (n - 1,) + (1,) * (len(x._shape) - dim - 1))
    slopes = (_part(x, dim, 1, None) - _part(x, dim, 0, -1)) / steps
    left, right = _part(slopes, dim, 0, -1), _part(slopes, dim, 1, None)
    before, after = steps[:-1], steps[1:]
    middle = (after * left + before * right) / (before + after)
    first, last = _part(slopes, dim, 0, 1), _part(slopes, dim, -1, None)
    if edge_order == 2:
        second, last_but_one = _part(slopes, dim, 1, 2), _part(slopes, dim, -2, -1)
        first = first + (first - second) * before[:1] / (before[:1] + after[:1])
        last = last + (last - last_but_one) * after[-1:] / (before[-1:] + after[-1:])
    return [first, middle, last]


def _spacings(spacing: Any, dims: Sequence[int], named: bool) -> list[Any]:
    """The spacing of each dimension: a number, or a Tensor of places."""
    if isinstance(spacing, Tensor):
        if spacing._shape:
            raise ArgumentTypeError(
                "gradient(): argument 'spacing' must be a number, or a sequence of numbers or of "
                f"one-dimensional Tensors, but got a Tensor of shape {spacing._shape}."
            )
        spacing = spacing.item()
    if spacing is None:
        spacing = 1
    if isinstance(spacing, int | float | complex):
        return [spacing] * len(dims)
    if not isinstance(spacing, tuple | list):
        raise ArgumentTypeError(
            "gradient(): argument 'spacing' must be a number, or a sequence of numbers or of "
            f"one-dimensional Tensors, not {type(spacing).__qualname__}."
        )
    if len(spacing) != len(dims):
        if named:
            raise ArgumentError(
                "gradient expected spacing to be unspecified, a scalar or it's spacing and dim "
                "arguments to have the same length, but got a spacing argument of length "
                f"{len(spacing)} and a dim argument of length {len(dims)}."
            )
        raise ArgumentError(
            "gradient expected spacing to be unspecified, a scalar, or a list of length equal to "
            f"'self.dim() = {len(dims)}', since dim argument was not given, but got a list of "
            f"length {len(spacing)}."
        )
    for each in spacing:
        if isinstance(each, Tensor) and len(each._shape) != 1:
            raise ShapeError(
                "gradient expected each element of spacing to have one dimension, but got an "
                f"element with {len(each._shape)} dimensions!"
            )
    return list(spacing)


def _numpy_gradient(f: Tensor, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    found = gradient(
        f,
        spacing=varargs[0] if len(varargs) == 1 and not _is_places(varargs[0]) else varargs or 1,
        dim=axis,
        edge_order=edge_order,
    )
    return found[0] if len(found) == 1 else tuple(found)


def _is_places(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


@public(
    numpy={"gradient": _numpy_gradient},
    samples=lambda make: [
        sample(make.real(5)),
        sample(make.real(3, 4), spacing=0.5, edge_order=2),
        sample(make.real(3, 4), spacing=(0.5, 2.0)),
        sample(make.real(2, 3, 2), dim=1),
        sample(make.real(3, 3), spacing=2.0, dim=(-1, 0)),
        sample(make.real(4, 2), spacing=[make.real(4, low=0.5).cumsum()], dim=0),
        sample(
            make.real(3, 4),
            spacing=[make.real(3, low=0.5).cumsum(), make.real(4)],
            edge_order=2,
        ),
        sample(make.real(3, 2), axis=(0, 1)),
    ],
    errors=lambda make: [
        bad(
            RuntimeError, "only supports edge_order=1 and edge_order=2", make.real(4), edge_order=3
        ),
        bad(RuntimeError, "at least edge_order.1", make.real(2), edge_order=2),
        bad(
            RuntimeError,
            "spacing argument of length 1 and a dim",
            make.real(2, 2),
            spacing=(1.0,),
            dim=(0, 1),
        ),
        bad(RuntimeError, "since dim argument was not given", make.real(2, 2), spacing=(1.0,)),
        bad(RuntimeError, "to have one dimension", make.real(2), spacing=[make.real(2, 1)]),
        bad(RuntimeError, "as many places", make.real(3), spacing=[make.real(2)]),
        bad(RuntimeError, "appears multiple times", make.real(2, 2), dim=(0, -2)),
        bad(IndexError, "Dimension out of range", make.real(2, 2), dim=2),
        bad(TypeError, "'spacing' must be a number", make.real(2), spacing="a"),
    ],
)
def gradient(
    input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1, axis: Any = None
) -> list[Tensor]:
    """The partial derivatives of a function of which `input` has the values on a grid.

    Inside, the derivative of the parabola through three neighbouring points; at the edges the
    slope between two points, or with `edge_order` 2 the derivative of the parabola there.

    Args:
        input: `(*)`, any dtype but bool and uint8.
        spacing: the distance of the points, 1 by default; or one for each dimension of `dim`, or
            for each the places of its points, as a Tensor of one dimension.
        dim: by which dimensions; all by default.
        edge_order: 1 or 2.
        axis: NumPy's name for `dim`.

    Returns:
        A list: for each of the dimensions a Tensor like `input`, floating point or complex.

    Raises:
        ArgumentError: another `edge_order`; not one spacing per dimension.
        ShapeError: a dimension is shorter than `edge_order` + 1, or is there twice; there are not
            as many places as points.
        DimensionError: a dimension is out of range.
    """
    x = tensor_of("gradient", input)
    if axis is not None:
        dim = axis
    ndim = len(x._shape)
    if edge_order not in (1, 2):
        raise ArgumentError("gradient only supports edge_order=1 and edge_order=2.")
    if x._type.dtype.name == "uint8":
        raise DTypeError("gradient does not support uint8 input.")
    given = range(ndim) if dim is None else dim if isinstance(dim, tuple | list) else (dim,)
    dims = [canonical_dim(d, ndim) for d in given]
    for d in dims:
        if dims.count(d) > 1:
            raise ShapeError(f"dim {d} appears multiple times in the list of dims.")
    spacings = _spacings(spacing, dims, dim is not None)
    found = []
    for d, each in zip(dims, spacings, strict=True):
        n = x._shape[d] if x._shape else 1
        if n < edge_order + 1:
            raise ShapeError("gradient expected each dimension size to be at least edge_order+1.")
        if isinstance(each, Tensor):
            if each._shape != (n,):
                raise ShapeError(
                    f"gradient expected as many places as points along dimension {d}, {n}, "
                    f"but got {each._shape[0]}."
                )
            parts = _by_place(x, d, each, edge_order)
        else:
            parts = _by_distance(x, d, each, edge_order)
        found.append(cat(parts, d))
    return found
