"""Derivatives of functions at a point: products with vectors, whole Jacobians and Hessians.

The function takes Tensors and returns a Tensor, or a tuple of them. Results follow it: where it has
several outputs or inputs they are tuples, those of the outputs outside. `gradcore.func` has the
same as transforms, which nest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from ..engine import grad
from ..errors import ArgumentError, ArgumentTypeError, GraphError, ShapeError
from ..forward import alias, zeros_of
from ..func.vmap import vmap
from ..mode import enable_grad, is_grad_enabled, set_grad_enabled
from ..ops.creation import eye, zeros
from ..ops.shape import stack
from ..tensor import Tensor
from .forward_ad import dual_level, make_dual, unpack_dual

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors: TypeAlias = "tuple[Tensor, ...]"
Function: TypeAlias = Callable[..., Any]
Some: TypeAlias = "Sequence[Tensor | None]"

_OUTPUTS = "outputs of the user-provided function"


# arguments and results ---------------------------------------------------------------------------


def _tuple(values: Any, what: str, name: str) -> tuple[bool, Tensors]:
    """Whether `values` is a tuple, and the Tensors in it.

    Raises:
        ArgumentTypeError: something is no Tensor.
    """
    several = isinstance(values, tuple)
    for number, v in enumerate(values if several else (values,)):
        if not isinstance(v, Tensor):
            which = f"value at index {number}" if several else f"given {what}"
            raise ArgumentTypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but the "
                f"{which} has type {type(v)}."
            )
    return several, values if several else (values,)


def _shaped(results: Any, several: bool) -> Any:
    return tuple(results) if several else results[0]


def _prepared(inputs: Tensors, create_graph: bool, requires_grad: bool) -> Tensors:
    """New Tensors in the place of the user's, so that those the function captures are others."""
    return tuple(
        [
            alias(x)
            if create_graph and x._requires_grad
            else x.detach().requires_grad_(requires_grad)
            for x in inputs
        ]
    )


def _finished(results: Any, create_graph: bool) -> Any:
    """Without their history, unless the user asked for it."""
    return tuple(results) if create_graph else tuple([t.detach() for t in results])


def _vector(v: Any, like: Tensors, several: bool, name: str, create_graph: bool) -> Tensors | None:
    """The argument `v`, checked against the Tensors it multiplies."""
    _, given = _tuple(v, "v", name)
    given = _prepared(given, create_graph, False)
    if len(given) != len(like):
        raise ShapeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}."
            if several
            else "The given v should contain a single Tensor."
        )
    for number, (a, b) in enumerate(zip(given, like, strict=True)):
        if a._shape != b._shape:
            entry = f"Entry {number} in " if several else ""
            raise ShapeError(f"{entry}v has invalid size: should be {b.shape} but got {a.shape}.")
    return given


def _input_vector(
    v: Any, inputs: Tensors, several: bool, name: str, create_graph: bool
) -> Tensors | None:
    if v is not None:
        return _vector(v, inputs, several, name, create_graph)
    if len(inputs) != 1 or inputs[0].numel() != 1:
        raise GraphError(
            "The vector v can only be None if the input to the user-provided function is a single "
            "Tensor with a single element."
        )
    return None


def _ran(func: Function, inputs: Tensors, name: str, strict: bool) -> tuple[bool, Tensors]:
    several, outputs = _tuple(func(*inputs), _OUTPUTS, name)
    _require(outputs, strict, _no_output)
    return several, outputs


def _scalar(several: bool, outputs: Tensors, name: str) -> None:
    if several:
        raise GraphError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise GraphError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )


@contextmanager
def _last_pass(create_graph: bool) -> Iterator[None]:
    """The mode of the pass that gives the result."""
    with set_grad_enabled(create_graph or is_grad_enabled()):
        yield


def _gradients(
    outputs: Some,
    inputs: Sequence[Tensor],
    vectors: Some | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> Some:
    """As `autograd.grad`, with None for what nothing flows to, also among the outputs."""
    seeds = (None,) * len(outputs) if vectors is None else vectors
    pairs = [
        (y, v) for y, v in zip(outputs, seeds, strict=True) if y is not None and y._requires_grad
    ]
    if not pairs:
        return (None,) * len(inputs)
    return grad(
        [y for y, _ in pairs],
        inputs,
        [v for _, v in pairs],
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=True,
    )


# strict mode -------------------------------------------------------------------------------------


def _no_output(number: int) -> str:
    return (
        f"Output {number} of the user-provided function does not require gradients. The outputs "
        "must be computed in a differentiable manner from the input when running in strict mode."
    )


def _no_gradient(number: int) -> str:
    return (
        f"The gradient with respect to input {number} is independent of the inputs of the "
        "user-provided function. This is not allowed in strict mode."
    )


def _no_jacobian(number: int) -> str:
    return (
        "While computing the hessian, found that the jacobian of the user-provided function with "
        f"respect to input {number} is independent of the input. This is not allowed in strict "
        "mode. You should ensure that your function is twice differentiable and that the jacobian "
        "depends on the inputs (this would be violated by a linear function for example)."
    )


def _require(values: Some, strict: bool, text: Callable[[int], str]) -> None:
    """In strict mode all of these must depend on the inputs."""
    for number, t in enumerate(values if strict else ()):
        if t is None:
            raise GraphError(
                f"The output of the user-provided function is independent of input {number}. This "
                "is not allowed in strict mode."
            )
        if not t._requires_grad:
            raise GraphError(text(number))


_UNUSED = {
    "back": "The output of the user-provided function is independent of input {}. This is not "
    "allowed in strict mode.",
    "back_trick": "The gradient with respect to the input is independent of entry {} in the "
    "grad_outputs when using the double backward trick to compute forward mode gradients. This is "
    "not allowed in strict mode.",
    "double_back": "The jacobian of the user-provided function is independent of input {}. This is "
    "not allowed in strict mode.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {} in "
    "the grad_jacobian. This is not allowed in strict mode as it prevents from using the double "
    "backward trick to replace forward mode AD.",
}


def _filled(found: Some, like: Tensors, strict: bool, create_graph: bool, stage: str) -> Tensors:
    """Zeros for None; in strict mode that is an error."""
    results = []
    for number, (t, x) in enumerate(zip(found, like, strict=True)):
        if t is None:
            if strict:
                raise GraphError(_UNUSED[stage].format(number))
            t = zeros_of(x)
        elif strict and create_graph and not t._requires_grad:
            what = "hessian" if "double" in stage else "jacobian"
            raise GraphError(
                f"The {what} of the user-provided function is independent of input {number}. This "
                "is not allowed in strict mode when create_graph=True."
            )
        results.append(t)
    return tuple(results)


# products with vectors ---------------------------------------------------------------------------


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The product of a vector and the Jacobian of `func`.

    Args:
        func: takes `inputs`, returns a Tensor or a tuple of Tensors.
        inputs: a Tensor or a tuple of Tensors.
        v: the vector, as the outputs are; may be left out for one output of one element.
        create_graph: record what is returned, so that it can be differentiated.
        strict: raise where an output does not depend on an input, instead of giving zeros.

    Returns:
        `(outputs of func, product)`; the product is as the inputs are.

    Raises:
        ArgumentTypeError: inputs or outputs are no Tensors.
        GraphError: `v` is missing; `strict`, and an output does not depend on an input.
        ShapeError: `v` has another shape than the outputs.
    """
    with enable_grad():
        several, given = _tuple(inputs, "inputs", "vjp")
        xs = _prepared(given, create_graph, True)
        many, ys = _ran(func, xs, "vjp", strict)
        vs: Tensors | None = None
        if v is not None:
            vs = _vector(v, ys, many, "vjp", create_graph)
        elif len(ys) != 1 or ys[0].numel() != 1:
            raise GraphError(
                "The vector v can only be None if the user-provided function returns a single "
                "Tensor with a single element."
            )
    with _last_pass(create_graph):
        found = _gradients(ys, xs, vs, create_graph=create_graph)
        product = _filled(found, xs, strict, create_graph, "back")
    return _shaped(_finished(ys, create_graph), many), _shaped(
        _finished(product, create_graph), several
    )


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The product of the Jacobian of `func` and a vector, by two backward passes.

    `gradcore.func.jvp` does it in one pass forward. The arguments are as of `vjp`, but `v` is as
    the inputs are, and so may be left out for one input of one element.

    Returns:
        `(outputs of func, product)`; the product is as the outputs are.

    Raises:
        ShapeError: `v` has another shape than the inputs.
    """
    with enable_grad():
        several, given = _tuple(inputs, "inputs", "jvp")
        xs = _prepared(given, create_graph, True)
        vs = _input_vector(v, xs, several, "jvp", create_graph)
        many, ys = _ran(func, xs, "jvp", strict)
        us = [zeros_of(y).requires_grad_() for y in ys]
        slopes = _gradients(ys, xs, us, create_graph=True)
        _require(slopes, strict, _no_gradient)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _gradients(slopes, us, vs, create_graph=create_graph)
        product = _filled(found, ys, strict, create_graph, "back_trick")
    return _shaped(_finished(ys, create_graph), many), _shaped(
        _finished(product, create_graph), many
    )


def _slopes(
    name: str, func: Function, inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[bool, Tensors, Tensors | None, Tensors, Some]:
    """Whether there are several inputs, these, the vector, the output and its gradient."""
    several, given = _tuple(inputs, "inputs", name)
    xs = _prepared(given, create_graph, True)
    vs = _input_vector(v, xs, several, name, create_graph)
    many, ys = _ran(func, xs, name, strict)
    _scalar(many, ys, name)
    slopes = _gradients(ys, xs, create_graph=True)
    _require(slopes, strict, _no_jacobian)
    return several, xs, vs, ys, slopes


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The product of a vector and the Hessian of `func`.

    Args:
        func: takes `inputs`, returns a Tensor of one element.
        inputs: a Tensor or a tuple of Tensors.
        v: the vector, as the inputs are; may be left out for one input of one element.
        create_graph: record what is returned, so that it can be differentiated.
        strict: raise where the gradient does not depend on an input, instead of giving zeros.

    Returns:
        `(output of func, product)`; the product is as the inputs are.

    Raises:
        ArgumentTypeError: inputs or outputs are no Tensors.
        GraphError: `func` returns something else; `v` is missing; `strict`, and something does not
            depend on an input.
        ShapeError: `v` has another shape than the inputs.
    """
    with enable_grad():
        several, xs, vs, ys, slopes = _slopes("vhp", func, inputs, v, create_graph, strict)
    with _last_pass(create_graph):
        found = _gradients(slopes, xs, vs, create_graph=create_graph)
        product = _filled(found, xs, strict, create_graph, "double_back")
    return _finished(ys, create_graph)[0], _shaped(_finished(product, create_graph), several)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The product of the Hessian of `func` and a vector, by three backward passes.

    Where the Hessian is symmetric `vhp` gives the same in two. The arguments, what is returned and
    what is raised are as there.
    """
    with enable_grad():
        several, xs, vs, ys, slopes = _slopes("hvp", func, inputs, v, create_graph, strict)
        us = [zeros_of(x).requires_grad_() for x in xs]
        products = _gradients(slopes, xs, us, create_graph=True)
    with _last_pass(create_graph):
        found = _gradients(products, us, vs, create_graph=create_graph)
        product = _filled(found, xs, strict, create_graph, "double_back_trick")
    return _finished(ys, create_graph)[0], _shaped(_finished(product, create_graph), several)


# Jacobians and Hessians --------------------------------------------------------------------------

_STRATEGIES = ("forward-mode", "reverse-mode")


def _units(x: Tensor) -> Iterator[Tensor]:
    """The unit vectors of the shape of `x`."""
    for number in range(x.numel()):
        row = zeros_of(x)
        row._array.reshape(-1)[number] = 1
        yield row


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of `func`.

    Args:
        func: takes `inputs`, returns a Tensor or a tuple of Tensors.
        inputs: a Tensor or a tuple of Tensors.
        create_graph: record it, so that it can be differentiated.
        strict: raise where an output does not depend on an input, instead of giving zeros.
        vectorize: run all passes at once where that is possible.
        strategy: `"reverse-mode"`, a pass per element of the outputs, or `"forward-mode"`, a pass
            per element of the inputs.

    Returns:
        Per output and input a Tensor `(*shape of the output, *shape of the input)`: one Tensor, a
        tuple over the outputs or the inputs, or a tuple over the outputs of tuples.

    Raises:
        ArgumentTypeError: inputs or outputs are no Tensors.
        ArgumentError: there is no such strategy.
        NotImplementedError: `create_graph` with `"forward-mode"`.
        GraphError: `strict` with `"forward-mode"` or `vectorize`; `strict`, and an output does not
            depend on an input.
    """
    if strategy not in _STRATEGIES:
        raise ArgumentError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        for name, flag, error in (
            ("create_graph", create_graph, NotImplementedError),
            ("strict", strict, GraphError),
        ):
            if flag:
                raise error(
                    f"gradcore.autograd.functional.jacobian: `{name}=True` and "
                    '`strategy="forward-mode"` are not supported together (yet). Please either set '
                    f'`{name}=False` or `strategy="reverse-mode"`.'
                )
        return _forward_jacobian(func, inputs, vectorize)
    with enable_grad():
        several, given = _tuple(inputs, "inputs", "jacobian")
        xs = _prepared(given, create_graph, True)
        many, ys = _ran(func, xs, "jacobian", strict)
        if vectorize and strict:
            raise GraphError(
                "gradcore.autograd.functional.jacobian: `strict=True` and `vectorized=True` are "
                "not supported together. Please either set `strict=False` or `vectorize=False`."
            )
        if vectorize:
            result = [_rows_at_once(y, xs, create_graph) for y in ys]
        else:
            result = [_rows(number, y, xs, create_graph, strict) for number, y in enumerate(ys)]
    result = [_shaped(_finished(row, create_graph), several) for row in result]
    return _shaped(result, many)


def _rows(number: int, y: Tensor, xs: Tensors, create_graph: bool, strict: bool) -> list[Tensor]:
    """The Jacobian of one output by each input."""
    rows: list[list[Tensor]] = [[] for _ in xs]
    for unit in _units(y):
        found = _gradients([y], xs, [unit], create_graph=create_graph, retain_graph=True)
        for place, (row, g, x) in enumerate(zip(rows, found, xs, strict=True)):
            if g is None and strict:
                raise GraphError(
                    f"Output {number} of the user-provided function is independent of input "
                    f"{place}. This is not allowed in strict mode."
                )
            if g is not None and strict and create_graph and not g._requires_grad:
                raise GraphError(
                    f"The jacobian of the user-provided function is independent of input {number}. "
                    "This is not allowed in strict mode when create_graph=True."
                )
            row.append(zeros_of(x) if g is None else g)
    return [_stacked(row, y, x) for row, x in zip(rows, xs, strict=True)]


def _rows_at_once(y: Tensor, xs: Tensors, create_graph: bool) -> list[Tensor]:
    """The Jacobian of one output by each input, in a single pass."""
    count = y.numel()
    found: Some = (None,) * len(xs)
    if count and y._requires_grad:
        units = eye(count, dtype=y.dtype, device=y.device).reshape((count, *y._shape))
        found = grad(
            [y],
            xs,
            [units],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=True,
        )
    shapes = [(*y._shape, *x._shape) for x in xs]
    return [
        zeros(shape, dtype=x.dtype, device=x.device) if g is None else g.reshape(shape)
        for g, x, shape in zip(found, xs, shapes, strict=True)
    ]


def _stacked(row: list[Tensor], y: Tensor, x: Tensor) -> Tensor:
    shape = (*y._shape, *x._shape)
    return stack(row).reshape(shape) if row else zeros_of(x.expand(0, *x._shape)).reshape(shape)


def _forward_jacobian(func: Function, inputs: Any, vectorize: bool) -> Any:
    several, xs = _tuple(inputs, "inputs", "jacobian")
    many = False
    outputs: Tensors = ()

    def push(place: int, unit: Tensor) -> Tensors:
        """The tangents of the outputs where one input has the tangent `unit`."""
        nonlocal many, outputs
        with dual_level():
            duals = [make_dual(p, unit if i == place else zeros_of(p)) for i, p in enumerate(xs)]
            many, outputs = _tuple(func(*duals), "outputs", "jacobian")
            pairs = [unpack_dual(y) for y in outputs]
        return tuple([zeros_of(y) if t is None else t for y, t in pairs])

    columns: list[Any] = []  # by input: for each output the tangents along its last dimension
    for place, x in enumerate(xs):
        if not x.numel():
            columns.append(None)
        elif vectorize:
            units = eye(x.numel(), dtype=x.dtype, device=x.device).reshape((-1, *x._shape))
            columns.append(vmap(partial(push, place), out_dims=-1)(units))
        else:
            rows = [push(place, unit) for unit in _units(x)]
            columns.append([stack(tangents, -1) for tangents in zip(*rows, strict=True)])
    if not outputs:
        many, outputs = _tuple(func(*xs), "outputs", "jacobian")
    result = []
    for number, y in enumerate(outputs):
        row = []
        for x, column in zip(xs, columns, strict=True):
            shape = (*y._shape, *x._shape)
            row.append(
                zeros(shape, dtype=y.dtype, device=y.device)
                if column is None
                else column[number].reshape(shape)
            )
        result.append(_shaped(row, several))
    return _shaped(result, many)


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of `func`.

    Args:
        func: takes `inputs`, returns a Tensor of one element.
        inputs: a Tensor or a tuple of Tensors.
        create_graph: record it, so that it can be differentiated.
        strict: raise where the gradient does not depend on an input, instead of giving zeros.
        vectorize: run all passes at once where that is possible.
        outer_jacobian_strategy: by which mode the gradient is differentiated; see `jacobian`.

    Returns:
        Per pair of inputs a Tensor `(*shape of the one, *shape of the other)`: one Tensor, or a
        tuple of tuples.

    Raises:
        ArgumentTypeError: inputs or outputs are no Tensors.
        ArgumentError: there is no such strategy.
        GraphError: `func` returns something else; and as `jacobian`.
    """
    several, given = _tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in _STRATEGIES:
        raise ArgumentError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def single(*xs: Tensor) -> Tensor:
        many, ys = _ran(func, xs, "hessian", strict)
        _scalar(many, ys, "hessian")
        return ys[0].reshape(())

    def gradient(*xs: Tensor) -> Any:
        if outer_jacobian_strategy == "forward-mode":
            xs = tuple([x.requires_grad_() for x in xs])
        found = jacobian(single, xs, create_graph=True)
        _require(found, strict, _no_jacobian)
        return found

    result = jacobian(
        gradient,
        given,
        create_graph=create_graph,
        strict=strict,
        vectorize=vectorize,
        strategy=outer_jacobian_strategy,
    )
    return result if several else result[0][0]
