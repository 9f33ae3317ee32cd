"""Kernels generated from formulas: forwards and VJPs on a device that compiles.

A formula over a namespace is run once on Symbols; if it is elementwise, what it prints becomes one
kernel, which is kept by dtypes. If it is not, it is run on raw arrays, as on a device that does not
compile.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, cast

import numpy as np

from .device import Array, Backend
from .graph import Node, Rule
from .namespace import Namespace
from .symbols import (
    ELEMENTWISE,
    NotElementwise,
    NumberNeeded,
    Symbol,
    body,
    inputs_of,
    symbolic,
)
from .uniform import NotUniform, Uniform, uniform

__all__ = ["binary", "cotangents", "forward", "unary"]

Formula = Callable[..., Any]

_MOST: Final = 64
"""Kernels that are made for particular values of the numbers in one formula."""

_MOST_SIGNATURES: Final = 256
"""Kernels that are remembered of one formula; metadata, such as shapes, may be of any number."""


class _Same:
    """The shape of the cotangent where a rule is traced: nothing else is known of it."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise NotElementwise("a rule looks at a shape.")

    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = _refuse


_SAME: Final = _Same()


class _OneKernel:
    """The Namespace of Symbols without what has no place in an elementwise kernel."""

    def __getattr__(self, name: str) -> Any:
        if name not in ELEMENTWISE:
            raise NotElementwise(f"{name} is not elementwise.")
        function = getattr(symbolic, name)
        setattr(self, name, function)
        return function

    @staticmethod
    def sum_to(x: Symbol, shape: Any) -> Symbol:
        if shape is not _SAME:
            raise NotElementwise("a sum is not elementwise.")
        return x


_one_kernel: Final = cast(Namespace, _OneKernel())


def _is_number(value: object) -> bool:
    return value.__class__ is float or value.__class__ is int


def _is_array(value: object) -> bool:
    return hasattr(value, "dtype") and not isinstance(value, np.generic | np.ndarray)


def _symbol(name: str, value: Any, by_value: bool = False) -> Any:
    """What stands for an operand while a formula is traced; itself if it is part of the formula."""
    if _is_array(value):
        return Symbol.input(name, value.dtype)
    return Symbol.number(name) if _is_number(value) and not by_value else value


def _is_shape(value: Any, shape: Any) -> bool:
    return value.__class__ is tuple and all(n.__class__ is int for n in value) and value == shape


def _signature(values: Sequence[Any], shape: Any = None) -> tuple[Any, ...]:
    """What a kernel depends on: of arrays the dtype, of numbers the type, all else itself."""
    found: list[Any] = []
    for v in values:
        if _is_array(v):
            found.append(v.dtype)
        elif isinstance(v, np.generic):
            found.append((v.dtype, v))
        elif _is_number(v):
            found.append(v.__class__)
        else:
            found.append(_SAME if _is_shape(v, shape) else v)
    return tuple(found)


class _ByValue(dict[tuple[Any, ...], Any]):
    """In the place of a kernel: one for each choice of the numbers among the operands."""


def _raw(*_: Any) -> Any:
    """In the place of a kernel: there is none, the formula is run on raw arrays."""


def _found(
    made: dict[Any, Any], key: Any, values: Sequence[Any], make: Callable[[bool], Any]
) -> Any:
    """The kernel for operands of one signature, or `_raw`.

    Args:
        made: the kernels so far.
        key: the signature.
        values: the operands.
        make: makes a kernel; its argument is whether numbers are part of the formula.
    """
    kernel = made.get(key)
    if kernel is None:
        try:
            kernel = make(False)
        except NumberNeeded:
            kernel = _ByValue()
        except NotElementwise:
            kernel = _raw
        if len(made) >= _MOST_SIGNATURES:
            made.clear()
        made[key] = kernel
    if kernel.__class__ is _ByValue:
        numbers = tuple([v for v in values if _is_number(v)])
        by_value = kernel
        kernel = by_value.get(numbers)
        if kernel is None:
            kernel = _raw
            if len(by_value) < _MOST:
                with contextlib.suppress(NotElementwise):
                    kernel = make(True)
                by_value[numbers] = kernel
    return kernel


def _kernel(
    backend: Backend,
    name: str,
    inputs: Sequence[Symbol],
    outputs: Sequence[Symbol],
    number: Symbol | None = None,
) -> Any:
    """The kernel that computes `outputs`: what makes the function of `inputs`.

    Those that are weak, and `number`, are Python numbers.

    Raises:
        NotElementwise: no input is an array.
    """
    assert backend.elementwise is not None
    dtypes = {str(x): None if x.weak or x is number else x.dtype.name for x in inputs}
    if not any(dtypes.values()):
        raise NotElementwise("no array is read.")
    names = [f"y{i}_" for i in range(len(outputs))]
    return backend.elementwise(
        f"gc_{name}",
        dtypes,
        {n: y.dtype.name for n, y in zip(names, outputs, strict=True)},
        body([(n, y, y.dtype) for n, y in zip(names, outputs, strict=True)]),
    ).function


# forwards --------------------------------------------------------------------------------------


def unary(backend: Backend, name: str, forward: Formula, dtype: Any) -> Callable[[Array], Array]:
    """The forward of an elementwise operation on arrays of `dtype`.

    Raises:
        NotElementwise: no kernel can be generated.
    """
    x = Symbol.input("x_", dtype)
    function: Callable[[Array], Array] = _kernel(backend, name, [x], [forward(_one_kernel, x)])()
    return function


def binary(
    backend: Backend, name: str, forward: Formula, dtype: Any, plain: Callable[..., Array]
) -> Callable[[Any, Any], Array]:
    """The forward of an elementwise operation on two arrays of `dtype`, or one and a Python number.

    Args:
        backend: compiles.
        name: of the operation.
        forward: `lambda xp, a, b: ...`.
        dtype: of the arrays.
        plain: the forward on raw arrays, where it depends on numbers and these are too many.

    Raises:
        NotElementwise: no kernel can be generated.
    """
    a, b = Symbol.input("a_", dtype), Symbol.input("b_", dtype)
    made: dict[Any, Any] = {}

    def with_number(a: Any, b: Any) -> Array:
        first = not _is_array(a)
        number = a if first else b

        def make(by_value: bool) -> Any:
            operands = [_symbol(n, v, by_value) for n, v in (("a_", a), ("b_", b))]
            inputs = [s for s in operands if isinstance(s, Symbol)]
            kernel = _kernel(backend, name, inputs, [forward(_one_kernel, *operands)])()
            if not by_value:
                return kernel
            return lambda a, b: kernel(b if first else a)

        kernel = _found(made, first, (number,), make)
        return plain(a, b) if kernel is _raw else kernel(a, b)

    function: Callable[[Any, Any], Array] = _kernel(
        backend, name, [a, b], [forward(_one_kernel, a, b)]
    )(with_number)
    return function


def forward(backend: Backend, name: str, formula: Formula) -> Callable[..., Array]:
    """The forward of an operation with metadata that is elementwise in all arrays it is given.

    Args:
        backend: compiles.
        name: of the operation.
        formula: `lambda xp, x, ..., m, ...: ...`; what it is run on where no kernel can be made.
    """
    made: dict[Any, Any] = {}

    def call(xp: Namespace, *values: Any) -> Array:
        def make(by_value: bool) -> Any:
            symbols = [_symbol(f"x{i}_", v, by_value) for i, v in enumerate(values)]
            if symbols[0].dtype.kind not in "fc":
                raise NotElementwise("whole numbers, which a double may not hold.")
            y = formula(_one_kernel, *symbols)
            read = inputs_of([y])
            at = [i for i, s in enumerate(symbols) if any(x is s for x in read)]
            kernel = _kernel(backend, name, [symbols[i] for i in at], [y])()
            return lambda *values: kernel(
                *[float(v) if v.__class__ is int else v for v in (values[i] for i in at)]
            )

        kernel = _found(made, _signature(values), values, make)
        return formula(xp, *values) if kernel is _raw else kernel(*values)

    return call


# VJPs ------------------------------------------------------------------------------------------


def _kernel_name(node: Node) -> str:
    """`"Log1PBackward0"` as `"log1_p_backward"`."""
    return re.sub(r"(?<=.)([A-Z])", r"_\1", node.pullback.name.rstrip("0123456789")).lower()


Vjp = Callable[[Any, tuple[Any, ...], bool], Sequence[Any]]
"""All cotangents that a node passes on, as a function of `(g, saved, over)`.

`over`: nobody else holds `g`, and a result may be written over it.
"""


def _vjp(node: Node, g: Any, saved: tuple[Any, ...], merged: bool, by_value: bool) -> Vjp:
    """The rules of a node as one kernel.

    Args:
        node: whose rules are traced.
        g: its cotangent, an array or a Uniform; the function is for others of its kind.
        saved: what it has saved; likewise.
        merged: its two edges are one, which gets the sum.
        by_value: numbers that it has saved are part of the formula.

    Raises:
        NotElementwise: no kernel can be generated.
    """
    number = g.__class__ is Uniform
    cotangent = Symbol.input("g_", g.dtype)
    symbols: list[Any] = [
        _SAME if _is_shape(v, g.shape) else _symbol(f"s{i}_", v, by_value)
        for i, v in enumerate(saved)
    ]
    found = [rule(_one_kernel, cotangent, tuple(symbols)) for rule in node.pullback.rules]
    if merged:
        found = [found[0] + found[1], None]
    outputs = [d for d in found if d is not None and d is not cotangent]
    if not all(isinstance(d, Symbol) and not d.weak for d in outputs):
        raise NotElementwise("a cotangent is a number.")
    if not outputs:
        return lambda g, saved, over: [None if d is None else g for d in found]
    read = inputs_of(outputs)
    at = [i for i, s in enumerate(symbols) if any(x is s for x in read)]
    inputs = [symbols[i] for i in at]
    with_g = any(x is cotangent for x in read)
    if with_g:
        inputs.insert(0, cotangent)
    make = _kernel(
        node.type.device.backend,
        _kernel_name(node),
        inputs,
        outputs,
        number=cotangent if number else None,
    )
    numbers = any(symbols[i].weak for i in at)
    if (
        with_g
        and not number
        and (node.pullback.elementwise or not numbers)  # whose numbers are floats already
        and len(outputs) == len(found)
        and outputs[0].dtype == cotangent.dtype
        and at == list(range(len(saved)))
    ):  # the usual case, in half the time
        kernel = make(into="g_")
        if len(found) == 1:
            return lambda g, saved, over: (kernel(g, *saved, over),)
        return lambda g, saved, over: kernel(g, *saved, over)
    kernel = make()
    order = iter(range(len(outputs)))
    picks = [None if d is None else -1 if d is cotangent else next(order) for d in found]

    def call(g: Any, saved: tuple[Any, ...], over: bool) -> Sequence[Any]:
        operands = [saved[i] for i in at]
        if numbers:
            operands = [float(v) if v.__class__ is int else v for v in operands]
        if with_g:
            operands.insert(0, g.value.item() if number else g)
        made = kernel(*operands)
        if len(outputs) == 1:
            made = (made,)
        return [None if n is None else g if n < 0 else made[n] for n in picks]

    return call


def cotangents(node: Node, g: Any, saved: tuple[Any, ...]) -> tuple[tuple[Rule, ...] | None, Any]:
    """What a node on a device that compiles passes on.

    Args:
        node: on that device.
        g: its cotangent: an array, Cotangents or a Uniform.
        saved: what the node has saved.

    Returns:
        None and the cotangents, one per edge; or the rules, and what to hand them as `g`.
    """
    pullback = node.pullback
    if not pullback.pure:
        g = _array(g)
        joint = pullback.joint
        return pullback.rules, g if joint is None else joint(node.type.xp, g, saved)
    uniform_g = g.__class__ is Uniform
    if uniform_g:
        shapes = [v.shape for v in saved if hasattr(v, "shape")]
        if not shapes:
            with contextlib.suppress(NotUniform):
                return None, [rule(uniform, g, saved) for rule in pullback.rules]
        if not shapes or g.type.dtype.is_complex or any(shape != g.shape for shape in shapes):
            g = g.array()
            uniform_g = False
    edges = node.edges
    merged = len(edges) == 2 and edges[0] is edges[1] and node.restore is None
    if pullback.hooks is not None and pullback.hooks.after:
        merged = False  # they see what goes to each edge
    key: Any = 4 * node.type.code + 2 * merged + uniform_g
    if not pullback.elementwise:
        if not all(_broadcasts(v.shape, g.shape) for v in saved if hasattr(v, "shape")):
            return pullback.rules, _array(g)
        key = (key, *_signature(saved, g.shape))
    try:
        vjp = pullback.generated.get(key)
    except TypeError:  # something that was saved has no hash
        return pullback.rules, _array(g)
    if vjp is None or vjp.__class__ is _ByValue:
        make = lambda by_value: _vjp(node, g, saved, merged, by_value)
        vjp = _found(pullback.generated, key, saved, make)
    if vjp is _raw:
        return pullback.rules, _array(g)
    if pullback.elementwise and not merged and not uniform_g and pullback.generated[key] is vjp:
        pullback.generated[node.type] = vjp  # the engine finds it there at once
    return None, vjp(g, saved, False)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of that shape broadcasts to another without enlarging it."""
    return shape == to or (
        len(shape) <= len(to)
        and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))
    )


def _array(g: Any) -> Any:
    return g.array() if g.__class__ is Uniform else g
