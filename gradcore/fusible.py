"""What a fused function may be made of: the Namespace over Symbols that have shapes.

To the elementwise functions of `symbols.py` come reductions (`sum`, `prod`, `max`, `min`, `any`,
`all` and what is made of them), and rearrangements of the same elements. `module` stands for NumPy
where a forward makes arrays, and Symbols get the methods of arrays, so that what is written for raw
arrays runs on Symbols too. All else raises NotElementwise.

A reduction is a Symbol of that function whose `detail` is the axes; these stay, with length 1. A
view is a Symbol `"reshape"`, `"transpose"` (its `detail` the axes), `"getitem"` (an index, see
`basic_index`) or `"broadcast_to"`. The `detail` of what is OPAQUE are the further arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, NoReturn, cast

import numpy as np

from .namespace import Namespace
from .symbols import NotElementwise, Shape, Symbol, Symbolic, symbolic

__all__ = ["FORWARD", "OPAQUE", "REDUCTIONS", "VIEWS", "basic_index", "fusible", "module"]

REDUCTIONS: Final = frozenset({"sum", "prod", "max", "min", "any", "all"})
VIEWS: Final = frozenset({"reshape", "transpose", "getitem", "broadcast_to"})
OPAQUE: Final = frozenset({"put", "concatenate", "cumsum", "cumprod"})
"""What is computed by the functions of raw arrays, between kernels; the gradients of views and of
products need it."""

_HALF: Final = np.dtype(np.float16)
_SINGLE: Final = np.dtype(np.float32)


# reductions ------------------------------------------------------------------------------------


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    if any(not -ndim <= d < ndim for d in axes):
        raise IndexError(f"axes {axis} of an array with {ndim} dimensions")
    return tuple(sorted(d % ndim for d in axes))


def _reduce(name: str, x: Any, axis: Any, keepdims: bool) -> Any:
    axes = _axes(axis, x.ndim)
    if not axes:
        return _copy(x)
    if name in ("max", "min") and any(x.shape[d] == 0 for d in axes):
        raise ValueError(f"zero-size array to reduction operation {name} which has no identity")
    kept = tuple([1 if d in axes else n for d, n in enumerate(x.shape)])
    y = Symbol(name, (x,), x.dtype, kept, detail=axes)
    return y if keepdims else _reshape(y, [n for d, n in enumerate(x.shape) if d not in axes])


def _accumulated(name: str) -> Callable[..., Any]:
    """`sum` or `prod`, with NumPy's dtypes."""

    def call(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        if dtype is None:
            dtype = {"b": np.int64, "i": np.int64, "u": np.uint64}.get(x.dtype.kind, x.dtype)
        return _reduce(name, symbolic.astype(x, dtype), axis, keepdims)

    return call


def _extreme(name: str) -> Callable[..., Any]:
    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if x.dtype.kind == "c":
            raise NotElementwise(f"{name} of complex numbers is not defined")
        return _reduce(name, x, axis, keepdims)

    return call


def _truth(name: str) -> Callable[..., Any]:
    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        x = x if x.dtype.kind == "b" else symbolic.not_equal(x, 0)
        return _reduce(name, x, axis, keepdims)

    return call


_sum: Final = _accumulated("sum")


def _mean(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    count = math.prod([x.shape[d] for d in _axes(axis, x.ndim)])
    return _sum(x, axis, dtype, keepdims) / (count or math.nan)


def _dot_over(a: Any, b: Any, axis: Any, keepdims: bool) -> Any:
    product = (symbolic.conj(a) if a.dtype.kind == "c" else a) * b
    return _sum(product, axis, _SINGLE if product.dtype == _HALF else None, keepdims)


def _sum_to(x: Any, shape: Shape) -> Any:
    lead = x.ndim - len(shape)
    axes = [d for d, n in enumerate(x.shape) if d < lead or (shape[d - lead] == 1 and n != 1)]
    return _reshape(_reduce("sum", x, tuple(axes), True), shape) if axes else x


# views -----------------------------------------------------------------------------------------


def _copy(x: Any, order: Any = None) -> Any:
    return Symbol("astype", (x,), x.dtype, x.shape)


def _reshape(x: Any, *shape: Any) -> Any:
    wanted = shape[0] if len(shape) == 1 else shape
    wanted = tuple(wanted) if isinstance(wanted, tuple | list) else (wanted,)
    if wanted.count(-1) == 1:
        rest = math.prod([n for n in wanted if n != -1])
        if rest and x.size % rest == 0:
            wanted = tuple([x.size // rest if n == -1 else n for n in wanted])
    if min(wanted, default=0) < 0 or math.prod(wanted) != x.size:
        raise ValueError(f"cannot reshape array of size {x.size} into shape {wanted}")
    return x if wanted == x.shape else Symbol("reshape", (x,), x.dtype, wanted)


def _transpose(x: Any, *axes: Any) -> Any:
    if not axes or axes[0] is None:
        order = tuple(range(x.ndim))[::-1]
    else:
        given = axes[0] if isinstance(axes[0], tuple | list) else axes
        order = tuple([d % x.ndim if -x.ndim <= d < x.ndim else -1 for d in given])
    if sorted(order) != list(range(x.ndim)):
        raise ValueError("axes don't match array")
    if order == tuple(range(x.ndim)):
        return x
    return Symbol("transpose", (x,), x.dtype, tuple([x.shape[d] for d in order]), detail=order)


def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return _transpose(x, order)


def _squeeze(x: Any, axis: Any = None) -> Any:
    axes = [d for d, n in enumerate(x.shape) if n == 1] if axis is None else _axes(axis, x.ndim)
    if any(x.shape[d] != 1 for d in axes):
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return _reshape(x, [n for d, n in enumerate(x.shape) if d not in axes])


def _expand_dims(x: Any, axis: Any) -> Any:
    count = len(axis) if isinstance(axis, tuple | list) else 1
    axes = _axes(axis, x.ndim + count)
    lengths = iter(x.shape)
    return _reshape(x, [1 if d in axes else next(lengths) for d in range(x.ndim + count)])


def _broadcast_to(x: Any, shape: Shape) -> Any:
    if np.broadcast_shapes(x.shape, shape) != tuple(shape):
        raise ValueError(f"shape {x.shape} cannot be broadcast to {tuple(shape)}")
    return x if x.shape == shape else Symbol("broadcast_to", (x,), x.dtype, tuple(shape))


def basic_index(index: Any, shape: Shape) -> tuple[Any, ...]:
    """An index in full: per axis an int or a slice, both counted from the front, and Nones.

    Raises:
        NotElementwise: there are arrays or bools in it.
        IndexError: it does not fit the shape.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    for item in items:
        if isinstance(item, bool) or not (
            item is None or item is Ellipsis or isinstance(item, int | slice | np.integer)
        ):
            raise NotElementwise("indexing with arrays is neither elementwise nor a reduction")
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > len(shape):
        raise IndexError("too many indices for array")
    rest = [slice(None)] * (len(shape) - used)
    if Ellipsis not in items:
        items.append(Ellipsis)
    at = items.index(Ellipsis)
    found: list[Any] = []
    lengths = iter(enumerate(shape))
    for item in [*items[:at], *rest, *items[at + 1 :]]:
        if item is None:
            found.append(None)
            continue
        axis, n = next(lengths)
        if isinstance(item, slice):
            start, stop, step = item.indices(n)
            count = len(range(start, stop, step))
            stop = start + count * step
            found.append(slice(start, stop if stop >= 0 else None, step) if count else slice(0, 0))
        elif -n <= item < n:
            found.append(int(item) % n)
        else:
            raise IndexError(f"index {item} is out of bounds for axis {axis} with size {n}")
    return tuple(found)


def _getitem(x: Any, index: Any) -> Any:
    items = basic_index(index, x.shape)
    shape = np.broadcast_to(np.empty(()), x.shape)[items].shape
    if shape == x.shape and all(i == slice(0, n, 1) for i, n in zip(items, shape, strict=True)):
        return x
    return Symbol("getitem", (x,), x.dtype, shape, detail=items)


def _put(v: Any, index: Any, shape: Shape) -> Any:
    items = basic_index(index, shape)
    return Symbol("put", (v,), v.dtype, tuple(shape), detail=(items, tuple(shape)))


def _concatenate(arrays: Any, axis: int = 0) -> Any:
    first = arrays[0]
    axis %= max(first.ndim, 1)
    rest = {v.shape[:axis] + v.shape[axis + 1 :] for v in arrays}
    if len(rest) > 1 or not first.ndim:
        raise ValueError("all the input array dimensions must match exactly, except for one")
    length = sum(v.shape[axis] for v in arrays)
    dtype = np.result_type(*[v.dtype for v in arrays])
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    operands = tuple([symbolic.astype(v, dtype) for v in arrays])
    return Symbol("concatenate", operands, dtype, shape, detail=axis)


def _stack(arrays: Any, axis: int = 0) -> Any:
    if len({v.shape for v in arrays}) > 1:
        raise ValueError("all input arrays must have the same shape")
    return _concatenate([_expand_dims(v, axis) for v in arrays], axis)


def _running(name: str) -> Callable[..., Any]:
    def call(x: Any, axis: int, dtype: Any = None) -> Any:
        if dtype is None and x.dtype.kind in "bi":
            dtype = np.int64
        x = x if dtype is None else symbolic.astype(x, dtype)
        return Symbol(name, (x,), x.dtype, x.shape, detail=axis)

    return call


def _flip(x: Any, axis: Any = None) -> Any:
    axes = _axes(axis, x.ndim)
    back = slice(None, None, -1)
    return _getitem(x, tuple([back if d in axes else slice(None) for d in range(x.ndim)]))


# the Namespace ---------------------------------------------------------------------------------


def _refuse(name: str) -> NoReturn:
    raise NotElementwise(f"{name} is neither elementwise nor a reduction")


class _Fusible(Symbolic):
    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            return super().__getattr__(name)
        except NotElementwise:
            _refuse(name)

    sum = staticmethod(_sum)
    prod = staticmethod(_accumulated("prod"))
    max = staticmethod(_extreme("max"))
    min = staticmethod(_extreme("min"))
    any = staticmethod(_truth("any"))
    all = staticmethod(_truth("all"))
    mean = staticmethod(_mean)
    dot_over = staticmethod(_dot_over)
    sum_to = staticmethod(_sum_to)
    reshape = staticmethod(_reshape)
    transpose = staticmethod(_transpose)
    swapaxes = staticmethod(_swapaxes)
    squeeze = staticmethod(_squeeze)
    expand_dims = staticmethod(_expand_dims)
    broadcast_to = staticmethod(_broadcast_to)
    getitem = staticmethod(_getitem)
    put = staticmethod(_put)
    concatenate = staticmethod(_concatenate)
    stack = staticmethod(_stack)
    cumsum = staticmethod(_running("cumsum"))
    cumprod = staticmethod(_running("cumprod"))
    flip = staticmethod(_flip)

    @staticmethod
    def count_nonzero(x: Any, axis: Any = None) -> Any:
        return _sum(symbolic.not_equal(x, 0), axis)

    @staticmethod
    def matrix_transpose(x: Any) -> Any:
        return _swapaxes(x, -1, -2)

    @staticmethod
    def conj(x: Any) -> Any:
        return symbolic.conj(x) if x.dtype.kind == "c" else x

    @staticmethod
    def result_type(*operands: Any) -> Any:
        return np.result_type(*[v.dtype if isinstance(v, Symbol) else v for v in operands])

    @staticmethod
    def zeros(shape: Shape, like: Any) -> Any:
        return _full(shape, 0, like.dtype)

    @staticmethod
    def send(x: Any, source: Any, target: Any, non_blocking: bool = False) -> Any:
        if source.device is not target.device:
            raise NotElementwise("it copies a Tensor to another device")
        return symbolic.astype(x, target.numpy)


fusible: Final = cast(Namespace, _Fusible())
"""The Namespace of what may be fused."""


# where raw arrays are made ------------------------------------------------------------------------


def _full(shape: Any, value: Any, dtype: Any = None) -> Symbol:
    shape = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    dtype = np.dtype(dtype) if dtype is not None else np.asarray(value).dtype
    return Symbol("astype", (value,), dtype, shape)


def _asarray(x: Any, dtype: Any = None) -> Symbol:
    if isinstance(x, Symbol):
        return x if dtype is None and not x.weak else symbolic.astype(x, dtype or x.dtype)
    if isinstance(x, np.generic):
        return _full((), x.item(), x.dtype if dtype is None else dtype)
    if isinstance(x, bool | int | float | complex):
        return _full((), x, dtype)
    raise NotElementwise("it computes with an array that is no argument; pass it to the function")


module: Final = SimpleNamespace(
    ndarray=Symbol,
    asarray=_asarray,
    array=lambda x, dtype=None, order=None, copy=True: _copy(_asarray(x, dtype)),
    full=_full,
    zeros=lambda shape, dtype=None: _full(shape, 0, dtype or np.float64),
    ones=lambda shape, dtype=None: _full(shape, 1, dtype or np.float64),
    empty=lambda shape, dtype=None: _full(shape, 0, dtype or np.float64),
)
"""In the place of `numpy`: what makes arrays."""


# the methods of arrays ---------------------------------------------------------------------------


_FLAGS: Final = SimpleNamespace(c_contiguous=True, f_contiguous=False, forc=True)

_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "__getitem__": _getitem,
    "astype": symbolic.astype,
    "conj": fusible.conj,
    "copy": _copy,
    "cumprod": fusible.cumprod,
    "cumsum": fusible.cumsum,
    "item": lambda x: x._refuse("the value"),
    "mean": _mean,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "swapaxes": _swapaxes,
    "tolist": lambda x: x._refuse("the value"),
    "transpose": _transpose,
    "view": lambda x: x,
    **{name: getattr(fusible, name) for name in REDUCTIONS},
}
_PROPERTIES: Final[dict[str, Callable[..., Any]]] = {
    "T": _transpose,
    "flags": lambda x: _FLAGS,
    "imag": fusible.imag,
    "itemsize": lambda x: x.dtype.itemsize,
    "nbytes": lambda x: x.size * x.dtype.itemsize,
    "real": fusible.real,
}


def _method(function: Callable[..., Any]) -> Any:
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


for _name, _function in _METHODS.items():
    setattr(Symbol, _name, _method(_function))
for _name, _function in _PROPERTIES.items():
    setattr(Symbol, _name, property(_function))


# forwards that work in place on raw arrays -------------------------------------------------------


def _softmax(x: Any, dim: int | None) -> Any:
    if dim is None:
        return _reshape(_softmax(_reshape(x, 1), 0), ())
    powers = symbolic.exp(x - _top(x, dim))
    return powers / _sum(powers, dim, None, True)


def _log_softmax(x: Any, dim: int | None) -> Any:
    if dim is None:
        return _reshape(_log_softmax(_reshape(x, 1), 0), ())
    shifted = x - _top(x, dim)
    return shifted - symbolic.log(_sum(symbolic.exp(shifted), dim, None, True))


def _top(x: Any, dim: Any) -> Any:
    return _reduce("max", x, dim, True) if x.size else x


def _logsumexp(x: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    if not math.prod([x.shape[d] for d in dim]):
        return _sum(x, dim, None, keepdim) - math.inf
    wide = symbolic.astype(x, _SINGLE) if x.dtype == _HALF else x
    top = _top(fusible.real(wide), dim)
    top = symbolic.where(symbolic.isfinite(top), top, 0.0)
    with np.errstate(all="ignore"):
        y = symbolic.log(_sum(symbolic.exp(wide - top), dim, None, True)) + top
    if not keepdim:
        y = _reshape(y, [n for d, n in enumerate(x.shape) if d not in dim])
    return symbolic.astype(y, x.dtype)


def _row_norm(x: Any, weight: Any, bias: Any, axes: tuple[int, ...], eps: float, kept: Any) -> Any:
    """Layer norm; without a `bias`, RMS norm."""
    wide = symbolic.astype(x, _SINGLE) if x.dtype == _HALF else x
    mean = None
    if bias is not None:
        mean = _mean(wide, axes, None, True)
        wide = wide - mean
    factor = 1 / symbolic.sqrt(_mean(wide * wide, axes, None, True) + eps)
    kept.append((mean, factor))
    y = wide * factor * weight
    return symbolic.astype(y + bias if bias is not None and bias.ndim else y, x.dtype)


FORWARD: Final[dict[str, Callable[..., Any]]] = {
    "layer_norm": _row_norm,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "rms_norm": lambda x, weight, axes, eps, kept: _row_norm(x, weight, None, axes, eps, kept),
    "softmax": _softmax,
}
"""By name of the primitive, what stands in for its forward on Symbols."""
