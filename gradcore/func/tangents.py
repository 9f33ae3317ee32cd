"""Forward mode as transforms of functions: `jvp` and `linearize`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import levels
from ..autograd.forward_ad import _set_fwd_grad_enabled, make_dual
from ..engine import grad as gradients
from ..errors import DTypeError, GraphError, ShapeError
from ..forward import tangent_of, zeros_of
from ..mode import enable_grad, is_grad_enabled
from ..tensor import Tensor
from .reverse import Pulled, tensors_of, without_aux
from .trees import flatten, mapped, unflatten

__all__ = ["jvp", "linearize"]


def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of `func`, and its Jacobian-vector product, in one pass.

    Args:
        func: takes `primals`, returns Tensors in nested containers.
        primals: the tuple of its arguments: Tensors in nested containers.
        tangents: of the same structure and shapes.
        strict: refuse outputs that do not depend on the inputs.
        has_aux: `func` returns a pair, of which the second is handed through.

    Returns:
        `(output, tangent)`, or `(output, tangent, aux)`: Tensors as `func` returns them.

    Raises:
        GraphError: primals and tangents differ in structure; something is no Tensor.
        ShapeError: a tangent has another shape than its primal.
    """
    what = "jvp(f, primals, tangents)"
    if not isinstance(primals, tuple):
        raise GraphError(
            f"{what}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    flat, structure = flatten(primals)
    given, form = flatten(tangents)
    if form != structure:
        raise GraphError(
            f"{what}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {structure} and tangents with structure {form}"
        )
    _only_tensors(what, "primals", flat)
    _only_tensors(what, "tangents", given)
    level = levels.enter()
    try:
        with _set_fwd_grad_enabled(True):
            duals = [make_dual(p, t) for p, t in zip(flat, given, strict=True)]
            result = func(*unflatten(duals, structure))
        result, aux = without_aux(what, result, has_aux)
        if has_aux:
            aux = mapped(lambda v: tangent_of(v, level)[0] if isinstance(v, Tensor) else v, aux)
        outputs, shape = tensors_of(what, result)
        values, slopes = [], []
        for y in outputs:
            value, slope = tangent_of(y, level)
            if slope is None and strict:
                raise GraphError(
                    "jvp(f, primals, tangents, strict=True): The output of f is independent of the "
                    "inputs. This is not allowed with strict=True."
                )
            values.append(value)
            slopes.append(zeros_of(value) if slope is None else slope)
    finally:
        levels.exit(level)
    found = unflatten(values, shape), unflatten(slopes, shape)
    return (*found, aux) if has_aux else found


def _only_tensors(what: str, name: str, values: list[Any]) -> None:
    if not values:
        raise GraphError(f"{what}: Expected {name} to contain at least one Tensor.")
    for v in values:
        if not isinstance(v, Tensor):
            raise GraphError(f"{what}: Expected {name} to only contain Tensors, got {type(v)}")


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of `func`, and its Jacobian-vector product there, for many tangents.

    `func` runs once. Its derivative is recorded as a linear function of the tangents.

    Args:
        func: takes `primals`, returns Tensors in nested containers.
        primals: its arguments: Tensors in nested containers.

    Returns:
        `(output, jvp_fn)`. `jvp_fn(*tangents)` takes tangents as the primals are, and returns the
        tangent of the output.

    Raises:
        GraphError: `func` returns no Tensors; later, tangents of another structure.
        ShapeError: later, if a tangent has another shape than its primal.
    """
    leaves, structure = flatten(primals)
    pulled = Pulled(lambda xs: func(*unflatten(xs, structure)), leaves)
    pulled.take("linearize(f, *primals)", pulled.result)
    ys = [y for y in pulled.outputs if y._requires_grad]
    us = [zeros_of(y) for y in ys]
    for u in us:
        u._requires_grad = True
        pulled.own(u)
    slopes: list[Tensor | None] = [None] * len(leaves)
    if ys:
        with enable_grad():
            slopes = list(gradients(ys, pulled.inputs, us, create_graph=True, allow_unused=True))

    def pushforward(*tangents: Any) -> Any:
        given, form = flatten(tangents)
        if form != structure:
            raise GraphError(
                f"Expected the tangents {form} to have the same argspec as the primals {structure}"
            )
        for number, (t, x) in enumerate(zip(given, leaves, strict=True)):
            _check_tangent(number, t, x)
        roots = [
            (d, t) for d, t in zip(slopes, given, strict=True) if d is not None and d._requires_grad
        ]
        found: tuple[Tensor | None, ...] = (None,) * len(us)
        if roots:
            record = is_grad_enabled() and pulled.has_outer([v for pair in roots for v in pair])
            found = gradients(
                [d for d, _ in roots],
                us,
                [t for _, t in roots],
                retain_graph=True,
                create_graph=record,
                allow_unused=True,
            )
        rest = iter(found)
        parts = [next(rest) if y._requires_grad else None for y in pulled.outputs]
        return unflatten(
            [
                zeros_of(y) if t is None else pulled.released(t)
                for y, t in zip(pulled.outputs, parts, strict=True)
            ],
            pulled.structure,
        )

    outputs = unflatten([pulled.released(y) for y in pulled.outputs], pulled.structure)
    return outputs, pushforward


def _check_tangent(number: int, t: Any, x: Tensor) -> None:
    if not isinstance(t, Tensor):
        raise GraphError(f"linearize: expected tangents to be Tensors, got {type(t)}")
    for what, kind, mine, theirs in (
        ("shape", ShapeError, t.shape, x.shape),
        ("device", GraphError, t.device, x.device),
        ("dtype", DTypeError, t.dtype, x.dtype),
    ):
        if mine != theirs:
            raise kind(
                f"tangent:{number} with {what} {mine} in flattened pytree doesn't match the {what} "
                f"{theirs} of the corresponding primal."
            )
