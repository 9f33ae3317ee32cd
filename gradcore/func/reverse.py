"""Reverse mode as transforms of functions: `grad`, `grad_and_value` and `vjp`.

A transform runs the function on new Tensors in the place of those it differentiates by, and asks
the engine for the gradients of these. What comes back keeps the history it has outside of the
transform, and no other: so transforms nest, and the `.grad` of nothing is touched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..engine import grad as gradients
from ..errors import ArgumentError, ArgumentTypeError, DTypeError, GraphError
from ..forward import Dual, alias, dual, zeros_of
from ..graph import SEQUENCE, Edge, Node
from ..mode import enable_grad, is_grad_enabled
from ..tensor import Tensor
from .trees import Structure, flatten, mapped, unflatten

__all__ = [
    "Pulled",
    "checked_argnums",
    "chosen",
    "grad",
    "grad_and_value",
    "named",
    "replaced",
    "tensors_of",
    "vjp",
    "without_aux",
]

Argnums = int | tuple[int, ...]


# the arguments to differentiate by ---------------------------------------------------------------


def checked_argnums(argnums: Any, count: int) -> Argnums:
    """`argnums` for that many positional arguments, counted from the front.

    Raises:
        ArgumentError: an argument is not there, or is named twice.
    """
    if isinstance(argnums, bool) or not isinstance(argnums, int | tuple):
        raise ArgumentError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if isinstance(argnums, int):
        return _argnum(argnums, count)
    if not argnums:
        raise ArgumentError("argnums must be non-empty")
    if len(set(argnums)) != len(argnums):
        raise ArgumentError(f"argnums elements must be unique, got {argnums}")
    for number in argnums:
        if not isinstance(number, int):
            raise ArgumentError(f"argnums must be int or Tuple[int, ...], got: {argnums}")
    return tuple([_argnum(number, count) for number in argnums])


def _argnum(number: int, count: int) -> int:
    if not -count <= number < count:
        raise ArgumentError(f"Got argnum={number}, but only {count} positional inputs")
    return number % count


def chosen(args: tuple[Any, ...], argnums: Argnums) -> Any:
    """The arguments of these numbers: one, or a tuple."""
    if isinstance(argnums, int):
        return args[argnums]
    return tuple([args[number] for number in argnums])


def replaced(args: tuple[Any, ...], argnums: Argnums, values: Any) -> tuple[Any, ...]:
    """`args` with `values` in the places of those of these numbers."""
    found = list(args)
    if isinstance(argnums, int):
        found[argnums] = values
    else:
        for number, value in zip(argnums, values, strict=True):
            found[number] = value
    return tuple(found)


def named(transform: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`transform` with the name and the text of `function`, if it has them."""
    return functools.wraps(function)(transform)


# histories ---------------------------------------------------------------------------------------


class Pulled:
    """A function run so that it can be differentiated by some Tensors.

    Attributes:
        result: what it gave.
        inputs: the Tensors that it was run on.
        outputs: the flattened result, once `take` was called.
        structure: that of the result.
    """

    def __init__(self, function: Callable[..., Any], primals: Sequence[Any]) -> None:
        self._started = next(SEQUENCE)
        self._leaves: set[Edge] = set()
        self._outer = is_grad_enabled()
        self._primals = list(primals)
        self.inputs = [self._new(x) for x in primals]
        self.outputs: list[Tensor] = []
        self.structure = Structure(None)
        with enable_grad():
            self.result = function(self.inputs)

    def _new(self, x: Any) -> Tensor:
        """A Tensor to differentiate by, of the values, the tangents and the history of `x`."""
        if not isinstance(x, Tensor):
            raise ArgumentError(f"Thing passed to transform API must be Tensor, got {type(x)}")
        if not x._type.recordable:
            raise DTypeError("only Tensors of floating point dtype can require gradients")
        if isinstance(x, Dual):
            primal, tangent, level = x._lift
            inner = self._new(primal)
            return inner if tangent is None else dual(alias(inner), tangent, level)
        if x._requires_grad and self._outer:
            with enable_grad():
                return alias(x)
        leaf = x.detach()
        leaf._requires_grad = True
        self._leaves.add(leaf)
        return leaf

    def own(self, leaf: Tensor) -> None:
        """Count a leaf among those of the transform."""
        self._leaves.add(leaf)

    def take(self, what: str, result: Any) -> None:
        """Take the Tensors of `result` for the outputs.

        Raises:
            GraphError: there is something else in it, or nothing.
        """
        self.outputs, self.structure = tensors_of(what, result)

    def gradients(
        self, cotangents: Sequence[Tensor | None], retain: bool, record: bool
    ) -> list[Tensor]:
        """The gradients of the outputs by the inputs; zeros where nothing flows.

        Args:
            cotangents: one per output; None for the implicit one of a scalar.
            retain: keep what the graph has saved.
            record: whether gradients may have a history outside of the transform.
        """
        pairs = [(y, g) for y, g in zip(self.outputs, cotangents, strict=True) if y._requires_grad]
        if not pairs:
            return [zeros_of(x) for x in self.inputs]
        known = [v for pair in pairs for v in pair if v is not None]
        record = record and self.has_outer(known)
        found = gradients(
            [y for y, _ in pairs],
            self.inputs,
            [g for _, g in pairs],
            retain_graph=retain or record,
            create_graph=record,
            allow_unused=True,
        )
        return [
            zeros_of(x) if g is None else self.released(g)
            for x, g in zip(self.inputs, found, strict=True)
        ]

    def released(self, value: Any) -> Any:
        """A result as it is outside of the transform: without the history that it has inside."""
        if not isinstance(value, Tensor):
            return value
        for x, original in zip(self.inputs, self._primals, strict=True):
            if value is x:
                return original
        if isinstance(value, Dual):
            primal, tangent, level = value._lift
            inner = self.released(primal)
            return inner if tangent is None else dual(alias(inner), self.released(tangent), level)
        if value._requires_grad:
            node = value._node
            made_outside = node is not None and node.sequence > self._started
            if node is None:
                made_outside = value not in self._leaves
            if not made_outside and not (self._outer and self.has_outer([value])):
                return value.detach()
        return value

    def has_outer(self, values: Iterable[Tensor]) -> bool:
        """Whether one of these has a history outside of the transform."""
        stack: list[Edge] = []
        for v in values:
            while isinstance(v, Dual):
                primal, tangent, _ = v._lift
                if tangent is not None and self.has_outer([tangent]):
                    return True
                v = primal
            if v._requires_grad:
                stack.append(v._node or v)
        seen: set[Edge] = set()
        while stack:
            edge = stack.pop()
            if edge in seen:
                continue
            seen.add(edge)
            if not isinstance(edge, Node):
                if edge not in self._leaves:
                    return True
            elif edge.sequence > self._started:  # it falls
                return True
            else:
                stack += edge.edges
        return False


# what users call ---------------------------------------------------------------------------------


def without_aux(what: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    """What a function returns, and, with `has_aux`, what it hands through beside it.

    Raises:
        GraphError: with `has_aux` it is no pair.
    """
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise GraphError(
            f"{what}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return result


def tensors_of(what: str, result: Any) -> tuple[list[Tensor], Structure]:
    """The Tensors that a function returns, and the containers they are in.

    Raises:
        GraphError: there is something else in them, or nothing.
    """
    outputs, structure = flatten(result)
    for y in outputs:
        if not isinstance(y, Tensor):
            raise GraphError(
                f"{what}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(y)}"
            )
    if not outputs:
        raise GraphError(
            f"{what}: Expected f to be a function that has non-empty output (got output = [])"
        )
    return outputs, structure


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `func`, and its vector-Jacobian product there.

    Args:
        func: takes `primals`, returns Tensors in nested containers.
        primals: its arguments: Tensors of floating point or complex dtype in nested containers.
        has_aux: `func` returns a pair, of which the second is handed through.

    Returns:
        `(output, vjp_fn)`, or `(output, vjp_fn, aux)`. `vjp_fn(cotangents)` takes the structure of
        the output and returns a tuple with the gradient of each primal, zeros where nothing flows.

    Raises:
        GraphError: `func` returns something else than Tensors.
        ArgumentError: a primal is no Tensor.
    """
    leaves, structure = flatten(primals)
    pulled = Pulled(lambda xs: func(*unflatten(xs, structure)), leaves)
    what = "vjp(f, *primals)"
    result, aux = without_aux(what, pulled.result, has_aux)
    if has_aux:
        aux = mapped(pulled.released, aux)
    pulled.take(what, result)

    def pullback(
        cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None
    ) -> Any:
        given, form = flatten(cotangents)
        if form != pulled.structure:
            raise GraphError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {form}, primal output: {pulled.structure}"
            )
        for g in given:
            if not isinstance(g, Tensor):
                raise ArgumentTypeError(
                    f"vjp: cotangents must be Tensors, not {type(g).__qualname__}."
                )
        record = is_grad_enabled() if create_graph is None else create_graph
        return unflatten(pulled.gradients(given, retain_graph, record), structure)

    outputs = unflatten([pulled.released(y) for y in pulled.outputs], pulled.structure)
    return (outputs, pullback, aux) if has_aux else (outputs, pullback)


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of `func`, and its value.

    Args:
        func: returns a Tensor of one element without dimensions.
        argnums: the number of the argument to differentiate by, or a tuple of several.
        has_aux: `func` returns a pair, of which the second is handed through.

    Returns:
        A function of the same arguments that returns `(gradient, value)`, or with `has_aux`
        `(gradient, (value, aux))`. The gradient is as the argument is: Tensors in nested
        containers; for a tuple `argnums`, a tuple.

    Raises:
        GraphError: later, if `func` returns something else.
        ArgumentError: later, if there is no such argument, or it is no Tensor.
    """

    def both(*args: Any, **kwargs: Any) -> Any:
        numbers = checked_argnums(argnums, len(args))
        leaves, structure = flatten(chosen(args, numbers))
        pulled = Pulled(
            lambda xs: func(*replaced(args, numbers, unflatten(xs, structure)), **kwargs), leaves
        )
        y, aux = _scalar(pulled.result, has_aux)
        pulled.outputs = [y]
        found = unflatten(pulled.gradients([None], has_aux, is_grad_enabled()), structure)
        y = pulled.released(y)
        return found, (y, mapped(pulled.released, aux)) if has_aux else y

    return named(both, func)


def _scalar(result: Any, has_aux: bool) -> tuple[Tensor, Any]:
    what = "grad_and_value(f)(*args)"
    result, aux = without_aux(what, result, has_aux)
    if not isinstance(result, Tensor):
        raise GraphError(f"{what}: Expected f(*args) to return a Tensor, got {type(result)}")
    if result.ndim:
        raise GraphError(
            f"{what}: Expected f(*args) to return a scalar Tensor, got tensor with {result.ndim} "
            "dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
        )
    return result, aux


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of `func`; nested, it gives higher derivatives.

    Args:
        func: returns a Tensor of one element without dimensions.
        argnums: the number of the argument to differentiate by, or a tuple of several.
        has_aux: `func` returns a pair, of which the second is handed through.

    Returns:
        A function of the same arguments that returns the gradient, or `(gradient, aux)`. It is as
        the argument is: Tensors in nested containers; for a tuple `argnums`, a tuple.

    Raises:
        GraphError: later, if `func` returns something else.
        ArgumentError: later, if there is no such argument, or it is no Tensor.
    """
    both = grad_and_value(func, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return named(gradient, func)
