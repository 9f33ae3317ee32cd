"""Checks of derivatives: `gradcheck`, `gradgradcheck`, and the checks every operation passes.

A derivative is compared with central differences in float64. `check_op` does so along one random
direction, which costs two evaluations however large the inputs are; where that fails, and always in
`gradcheck`, the full Jacobians are computed.
"""

from __future__ import annotations

import heapq
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import numpy as np

from . import dtypes, levels
from .device import CPU, Array, Device, type_of
from .engine import _restore, grad
from .errors import ArgumentError, GradcoreError
from .forward import alias, dual, tangent_of
from .graph import Cotangents, Node
from .mode import no_grad
from .namespace import NUMPY_NAMES, OWN_NAMES
from .op import Op
from .samples import Bad, Sample
from .tensor import Lifted, Tensor, edge_of, wrap

__all__ = [
    "GradcheckError",
    "Outcome",
    "check_derivatives",
    "check_error",
    "check_forward_mode",
    "check_layouts",
    "check_op",
    "check_precision",
    "check_same",
    "check_values",
    "evaluate",
    "gradcheck",
    "gradgradcheck",
]

Host: TypeAlias = np.ndarray[Any, Any]
Differentiated = Callable[..., Any]


class GradcheckError(GradcoreError, RuntimeError):
    """A derivative differs from the finite difference."""


# gradcheck -----------------------------------------------------------------------------------


def gradcheck(
    func: Differentiated,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the derivatives of `func` with central differences.

    Args:
        func: takes `inputs`, returns a Tensor or a sequence of them.
        inputs: its arguments. Those that are Tensors and require grad are varied; they should be
            float64 or complex128.
        eps: half the step of the differences.
        atol: allowed absolute difference.
        rtol: allowed difference relative to the numerical value.
        raise_exception: raise on a failure; else return False.
        nondet_tol: how far two backward passes over the same values may differ.
        check_undefined_grad: check that a zero cotangent gives zero gradients.
        check_grad_dtypes: check that a gradient has the dtype of its input.
        check_batched_grad: check that the gradients of several cotangents at once, with `vmap`,
            are those of one after the other.
        check_batched_forward_grad: not implemented yet.
        check_forward_ad: check the tangents of forward mode too.
        check_backward_ad: check the gradients of reverse mode.
        fast_mode: compare along one random direction per input and output only.
        masked: not implemented yet.

    Returns:
        True if all agree.

    Raises:
        GradcheckError: they do not; the text shows both Jacobians.
        ArgumentError: no input requires grad.
    """
    _not_implemented(
        "gradcheck",
        check_batched_forward_grad=check_batched_forward_grad,
        masked=masked,
    )
    if not (check_backward_ad or check_forward_ad):
        raise ArgumentError(
            "gradcheck: Expected at least one of check_forward_ad or check_backward_ad to be True"
        )
    if check_undefined_grad and not check_backward_ad:
        raise ArgumentError(
            "Setting check_undefined_grad=True requires check_backward_ad to be True"
        )
    arguments = _arguments(inputs)
    varied = _varied("gradcheck", arguments)
    try:
        outputs = _tensors_in(func(*arguments))
        if check_forward_ad:
            _check_tangents(
                func, arguments, varied, outputs, eps, atol, rtol, fast_mode, check_grad_dtypes
            )
            if check_undefined_grad:
                _check_zero_tangents(func, arguments, varied)
        if not check_backward_ad:
            return True
        differentiable = [i for i, y in enumerate(outputs) if y._requires_grad]
        if not differentiable:
            _check_all_zero(func, arguments, varied, eps)
            return True
        if fast_mode:
            _check_fast(func, arguments, varied, outputs, eps, atol, rtol)
        else:
            _check_jacobians(func, arguments, varied, outputs, eps, atol, rtol)
        for i in differentiable:
            _check_repeats(outputs[i], arguments, varied, nondet_tol, check_grad_dtypes)
            if check_undefined_grad:
                _check_zero_cotangent(outputs[i], arguments, varied)
            if check_batched_grad:
                _check_batched(outputs[i], arguments, varied, i)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Differentiated,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compare second derivatives of `func` with central differences of the first ones.

    Args:
        func: as for `gradcheck`.
        inputs: as for `gradcheck`.
        grad_outputs: the cotangents at which the first derivative is taken, one per output that
            requires grad; random ones by default. They are varied too.
        eps: half the step of the differences.
        atol: allowed absolute difference.
        rtol: allowed difference relative to the numerical value.
        gen_non_contig_grad_outputs: make the random cotangents non-contiguous.
        raise_exception: raise on a failure; else return False.
        nondet_tol: how far two backward passes over the same values may differ.
        check_undefined_grad: check that a zero cotangent gives zero gradients.
        check_grad_dtypes: check that a gradient has the dtype of its input.
        check_batched_grad: as for `gradcheck`, of the second derivatives.
        check_fwd_over_rev: check the gradients' tangents, by forward mode over reverse mode.
        check_rev_over_rev: check the gradients' gradients, by reverse mode over itself.
        fast_mode: compare along one random direction per input and output only.
        masked: not implemented yet.

    Returns:
        True if all agree.

    Raises:
        GradcheckError: they do not agree; the text shows both Jacobians.
        ArgumentError: no input requires grad.
    """
    _not_implemented(
        "gradgradcheck",
        masked=masked,
    )
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise ArgumentError(
            "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
        )
    if check_undefined_grad and not check_rev_over_rev:
        raise ArgumentError(
            "Setting check_undefined_grad=True requires check_rev_over_rev to be True"
        )
    arguments = _arguments(inputs)
    if grad_outputs is None:
        random = np.random.default_rng(0)
        outputs = [y for y in _tensors_in(func(*arguments)) if y._requires_grad]
        cotangents = []
        for y in outputs:
            v = _random_like(random, y._fetch())
            if gen_non_contig_grad_outputs:
                v = _strided(v)
            cotangents.append(_placed(v, y, True))
    else:
        cotangents = [g for g in _arguments(grad_outputs) if g is not None]
        for g in cotangents:
            g.requires_grad_()
    count = len(cotangents)

    def gradients(*values: Any) -> tuple[Tensor, ...]:
        primals, vs = values[: len(values) - count], values[len(values) - count :]
        ys = [y for y in _tensors_in(func(*primals)) if y._requires_grad]
        wanted = [x for x in primals if isinstance(x, Tensor) and x._requires_grad]
        found = grad(ys, wanted, vs, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients,
        (*arguments, *cotangents),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
    )


def _not_implemented(name: str, **flags: Any) -> None:
    for flag, value in flags.items():
        if value:
            raise NotImplementedError(f"{name}: {flag}={value} is not implemented yet.")


def _arguments(inputs: Any) -> tuple[Any, ...]:
    return (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)


def _varied(name: str, arguments: tuple[Any, ...]) -> list[int]:
    """The positions of the arguments that require grad."""
    found = []
    for position, x in enumerate(arguments):
        if isinstance(x, Tensor) and x._requires_grad:
            found.append(position)
            if x.dtype not in (dtypes.float64, dtypes.complex128):
                warnings.warn(
                    f"Input #{position} requires gradient and is not a double precision floating "
                    "point or complex. This check will likely fail if all the inputs are not of "
                    "double precision floating point or complex.",
                    UserWarning,
                    stacklevel=3,
                )
    if not found:
        raise ArgumentError(
            f"{name} expects at least one input tensor to require gradient, "
            "but none of the them have requires_grad=True."
        )
    return found


def _tensors_in(values: Any) -> list[Tensor]:
    """The Tensors in nested sequences."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, tuple | list):
        return [t for value in values for t in _tensors_in(value)]
    return []


def _placed(array: Host, like: Tensor, requires_grad: bool) -> Tensor:
    """A leaf of these values on the device of `like`."""
    return wrap(like._type.device.backend.send(array, like._type.device), requires_grad)


def _evaluate(func: Differentiated, arguments: tuple[Any, ...], changed: dict[int, Host]) -> Any:
    """The outputs of `func` as host arrays, with some arguments in other values."""
    values = [
        _placed(changed[i], x, x._requires_grad) if i in changed else x
        for i, x in enumerate(arguments)
    ]
    return [np.array(y._fetch()) for y in _tensors_in(func(*values))]


def _difference(
    func: Differentiated, arguments: tuple[Any, ...], directions: dict[int, Host], eps: float
) -> list[Host]:
    """The derivatives of the outputs along `directions`, by a central difference."""
    start = {i: np.array(arguments[i]._fetch()) for i in directions}
    after = _evaluate(func, arguments, {i: start[i] + eps * u for i, u in directions.items()})
    before = _evaluate(func, arguments, {i: start[i] - eps * u for i, u in directions.items()})
    return [
        (a - b) / (2 * eps) if a.dtype.kind in "fc" else np.zeros(a.shape)
        for a, b in zip(after, before, strict=True)
    ]


def _directions(x: Tensor) -> Iterator[tuple[int, Host, complex]]:
    """Per element the unit direction, and for complex elements the imaginary one too."""
    dtype = np.complex128 if x.is_complex() else np.float64
    for unit in (1, 1j) if x.is_complex() else (1,):
        for index in range(x.numel()):
            u = np.zeros(x.numel(), dtype)
            u[index] = unit
            yield index, u.reshape(x._shape), unit


_Jacobians = dict[tuple[int, int, str], Host]
"""By output, input and part (`""`, or `"real"` and `"imag"` of a complex output): (input, output)
matrices, for complex inputs dL/dRe + i dL/dIm."""


def _numerical(
    func: Differentiated,
    arguments: tuple[Any, ...],
    varied: list[int],
    outputs: list[Tensor],
    eps: float,
) -> _Jacobians:
    found: _Jacobians = {}
    for j in varied:
        x = arguments[j]
        for i, y in enumerate(outputs):
            for part, _ in _parts(y):
                dtype = np.complex128 if x.is_complex() else np.float64
                found[i, j, part] = np.zeros((x.numel(), y.numel()), dtype)
        for row, u, unit in _directions(x):
            for i, dy in enumerate(_difference(func, arguments, {j: u}, eps)):
                for part, _ in _parts(outputs[i]):
                    column = np.ravel(dy.imag if part == "imag" else dy.real)
                    found[i, j, part][row] += unit * column if unit == 1j else column
    return found


def _parts(y: Tensor) -> tuple[tuple[str, complex], ...]:
    """The real functions that an output is made of, each with the cotangent that picks it."""
    return (("real", 1), ("imag", 1j)) if y.is_complex() else (("", 1),)


def _analytical(arguments: tuple[Any, ...], varied: list[int], outputs: list[Tensor]) -> _Jacobians:
    inputs = [arguments[j] for j in varied]
    found: _Jacobians = {}
    for i, y in enumerate(outputs):
        for part, unit in _parts(y):
            for j, x in zip(varied, inputs, strict=True):
                dtype = np.complex128 if x.is_complex() else np.float64
                found[i, j, part] = np.zeros((x.numel(), y.numel()), dtype)
            if not y._requires_grad:
                continue
            for column in range(y.numel()):
                v = np.zeros(y.numel(), y._type.numpy)
                v[column] = unit
                cotangent = _placed(v.reshape(y._shape), y, False)
                gradients = grad([y], inputs, [cotangent], retain_graph=True, allow_unused=True)
                for j, g in zip(varied, gradients, strict=True):
                    if g is not None:
                        found[i, j, part][:, column] = np.ravel(g._fetch())
    return found


def _mismatch(i: int, j: int, part: str, numerical: Host, analytical: Host) -> GradcheckError:
    considering = {
        "": "",
        "real": "While considering the real part of complex outputs only, ",
        "imag": "While considering the imaginary part of complex outputs only, ",
    }[part]
    return GradcheckError(
        f"{considering}Jacobian mismatch for output {i} with respect to input {j},\n"
        f"numerical:{wrap(numerical)}\nanalytical:{wrap(analytical)}\n"
    )


def _check_jacobians(
    func: Differentiated,
    arguments: tuple[Any, ...],
    varied: list[int],
    outputs: list[Tensor],
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    numerical = _numerical(func, arguments, varied, outputs, eps)
    analytical = _analytical(arguments, varied, outputs)
    for key, expected in numerical.items():
        if not np.allclose(analytical[key], expected, rtol, atol):
            raise _mismatch(*key, expected, analytical[key])


def _check_fast(
    func: Differentiated,
    arguments: tuple[Any, ...],
    varied: list[int],
    outputs: list[Tensor],
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    random = np.random.default_rng(0)
    us = {j: _random_unit(random, arguments[j]) for j in varied}
    vs = [_random_unit(random, y) for y in outputs]
    slopes = {j: _difference(func, arguments, {j: us[j]}, eps) for j in varied}
    inputs = [arguments[j] for j in varied]
    for i, (y, v) in enumerate(zip(outputs, vs, strict=True)):
        gradients: Sequence[Tensor | None] = [None] * len(inputs)
        if y._requires_grad:
            cotangent = _placed(v.astype(y._type.numpy), y, False)
            gradients = grad([y], inputs, [cotangent], retain_graph=True, allow_unused=True)
        for j, g in zip(varied, gradients, strict=True):
            numerical = _inner(v, slopes[j][i])
            analytical = 0.0 if g is None else _inner(g._fetch(), us[j])
            allowed = atol * float(np.abs(v).sum() * np.abs(us[j]).sum())
            if not np.allclose(analytical, numerical, rtol, allowed):
                _check_jacobians(func, arguments, varied, outputs, eps, atol, rtol)
                raise GradcheckError(
                    f"Jacobian mismatch for output {i} with respect to input {j} along a random "
                    f"direction,\nnumerical:{numerical}\nanalytical:{analytical}\n"
                    "The full Jacobians agree within the tolerances."
                )


def _random_unit(random: np.random.Generator, like: Tensor) -> Host:
    """A random direction of length 1 with positive components."""
    v = random.uniform(0.1, 1.0, like._shape)
    if like.is_complex():
        v = v + 1j * random.uniform(0.1, 1.0, like._shape)
    return np.asarray(v / max(float(np.linalg.norm(np.ravel(v))), 1e-300))


def _inner(a: Host, b: Host) -> float:
    """The real inner product: complex numbers count as pairs of real ones."""
    return float(np.sum(np.real(np.conj(a) * b)))


def _check_all_zero(
    func: Differentiated, arguments: tuple[Any, ...], varied: list[int], eps: float
) -> None:
    for j in varied:
        for _, u, _ in _directions(arguments[j]):
            for i, dy in enumerate(_difference(func, arguments, {j: u}, eps)):
                if np.any(dy != 0):
                    raise GradcheckError(
                        "Numerical gradient for function expected to be zero: no output requires "
                        f"grad, but output {i} depends on input {j}."
                    )


def _check_repeats(
    y: Tensor, arguments: tuple[Any, ...], varied: list[int], nondet_tol: float, types: bool
) -> None:
    inputs = [arguments[j] for j in varied]
    v = _placed(np.ones(y._shape, y._type.numpy), y, False)
    first = grad([y], inputs, [v], retain_graph=True, allow_unused=True)
    second = grad([y], inputs, [v], retain_graph=True, allow_unused=True)
    for x, a, b in zip(inputs, first, second, strict=True):
        if a is None or b is None:
            continue
        if types and a.dtype is not x.dtype:
            raise GradcheckError(f"the gradient of a {x.dtype} input has dtype {a.dtype}.")
        if not np.allclose(a._fetch(), b._fetch(), 0.0, nondet_tol, equal_nan=True):
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output "
                "multiple times gives different values, although analytical gradient matches "
                f"numerical gradient. The tolerance for nondeterminism was {nondet_tol}."
            )


def _check_zero_cotangent(y: Tensor, arguments: tuple[Any, ...], varied: list[int]) -> None:
    inputs = [arguments[j] for j in varied]
    v = _placed(np.zeros(y._shape, y._type.numpy), y, False)
    for g in grad([y], inputs, [v], retain_graph=True, allow_unused=True):
        if g is not None and np.any(g._fetch() != 0):
            raise GradcheckError("backward not multiplied by grad_output.")


def _check_batched(y: Tensor, arguments: tuple[Any, ...], varied: list[int], position: int) -> None:
    """Compare the gradients of two cotangents at once with those of one and then the other."""
    inputs = [arguments[j] for j in varied]
    random = np.random.default_rng(0)
    rows = [_random_like(random, y._fetch()) for _ in range(2)]

    def gradients(v: Host, batched: bool) -> Sequence[Tensor | None]:
        return grad(
            [y],
            inputs,
            [_placed(v, y, False)],
            retain_graph=True,
            allow_unused=True,
            is_grads_batched=batched,
        )

    expected = [gradients(row, False) for row in rows]
    try:
        found = gradients(np.stack(rows), True)
    except Exception as error:
        raise GradcheckError(
            f"While computing batched gradients, got: {error}\n\ngradcheck or gradgradcheck failed "
            "while testing batched gradient computation."
        ) from error
    for j, g, alone in zip(varied, found, zip(*expected, strict=True), strict=True):
        if g is None:
            continue
        wanted = np.stack([one._fetch() for one in alone if one is not None])
        if not np.allclose(g._fetch(), wanted, equal_nan=True):
            raise GradcheckError(
                f"For output {position} and input {j}:\n\ngradcheck or gradgradcheck failed while "
                f"testing batched gradient computation.\n\nGot:\n{g._fetch()}\n\nExpected:\n"
                f"{wanted}"
            )


# forward mode --------------------------------------------------------------------------------


def _tangents(
    func: Differentiated, arguments: tuple[Any, ...], directions: dict[int, Host]
) -> list[Tensor | None]:
    """The tangents of the outputs of `func`, where the arguments have these."""
    level = levels.enter()
    try:
        values = [
            dual(alias(x), _placed(directions[i].astype(x._type.numpy), x, False), level)
            if i in directions
            else x
            for i, x in enumerate(arguments)
        ]
        return [tangent_of(y, level)[1] for y in _tensors_in(func(*values))]
    finally:
        levels.exit(level)


def _host(t: Tensor | None, like: Tensor) -> Host:
    if t is None:
        return np.zeros(like._shape, np.complex128 if like.is_complex() else np.float64)
    return t.detach()._fetch()


_PARTS: Final = {1: "", 1j: "While considering the imaginary part of complex inputs only, "}


def _check_tangents(
    func: Differentiated,
    arguments: tuple[Any, ...],
    varied: list[int],
    outputs: list[Tensor],
    eps: float,
    atol: float,
    rtol: float,
    fast: bool,
    types: bool,
) -> None:
    """Compare the tangents of forward mode with central differences."""
    random = np.random.default_rng(0)
    weights = [_random_unit(random, y) for y in outputs]
    for j in varied:
        x = arguments[j]
        directions = [(u, unit) for _, u, unit in _directions(x)]
        if fast:
            directions = [(_random_unit(random, x), 1)]
        for unit in (1, 1j) if x.is_complex() and not fast else (1,):
            rows: list[tuple[list[Host], list[Host]]] = []
            for u, kind in directions:
                if kind != unit:
                    continue
                slopes = _difference(func, arguments, {j: u}, eps)
                found = _tangents(func, arguments, {j: u})
                if types and any(
                    t is not None and t.is_complex() is not y.is_complex()
                    for t, y in zip(found, outputs, strict=True)
                ):
                    raise GradcheckError("Forward AD gradient has dtype mismatch.")
                rows.append((slopes, [_host(t, y) for t, y in zip(found, outputs, strict=True)]))
            for i in range(len(outputs)):
                pairs = [(slopes[i], found[i]) for slopes, found in rows]
                if fast:
                    pairs = [
                        tuple(np.asarray(_inner(weights[i], d)) for d in pair)  # type: ignore[misc]
                        for pair in pairs
                    ]
                numerical, analytical = [
                    np.array([np.ravel(pair[side]) for pair in pairs]) for side in (0, 1)
                ]
                allowed = atol * (float(np.abs(weights[i]).sum()) if fast else 1.0)
                if not np.allclose(analytical, numerical, rtol, allowed):
                    raise GradcheckError(
                        f"{_PARTS[unit]}Jacobian computed with forward mode mismatch for output "
                        f"{i} with respect to input {j},\nnumerical:{wrap(numerical)}\n"
                        f"analytical:{wrap(analytical)}\n"
                    )


def _check_zero_tangents(
    func: Differentiated, arguments: tuple[Any, ...], varied: list[int]
) -> None:
    """A tangent of zeros gives what no tangent gives."""
    random = np.random.default_rng(0)
    us = {j: _random_unit(random, arguments[j]) for j in varied}
    for j in varied:
        zero = _tangents(func, arguments, {**us, j: np.zeros_like(us[j])})
        absent = _tangents(func, arguments, {i: u for i, u in us.items() if i != j})
        for number, (a, b) in enumerate(zip(zero, absent, strict=True)):
            if a is None or b is None:
                continue
            if not np.allclose(a.detach()._fetch(), b.detach()._fetch(), equal_nan=True):
                raise GradcheckError(
                    f"Mismatch in tangent values for output with index: {number} when input: "
                    f"{j} has an undefined tangent value. Got: {a} but expected: {b}"
                )


# operations ----------------------------------------------------------------------------------


def check_op(op: Op, sample: Sample) -> None:
    """Run one sample of an operation through every check.

    Raises:
        AssertionError: a check failed; the text says which, and shows the Jacobians.
        GradcheckError: a derivative differs from the finite difference.
    """
    check_values(op, sample)
    check_layouts(op, sample)
    check_precision(op, sample)
    check_derivatives(op, sample)
    check_forward_mode(op, sample)


def check_values(op: Op, sample: Sample) -> None:
    """The forward: consistent results, NumPy's values, inputs left alone, method = function."""
    call = _Call(op, sample)
    arrays = [t._array for t in call.tensors]
    before = [a.copy() for a in arrays]
    with no_grad():
        plain = call.run(call.tensors)
    recorded_run = call.run(call.leaves())
    _same(op, "the value recorded and not recorded", recorded_run, plain)
    for y in recorded_run:
        if isinstance(y, Tensor):
            assert type_of(y._array) is y._type, f"{op.path}: {y._type} holds {y._array.dtype}."
            assert y._array.shape == y._shape, f"{op.path}: shape {y._shape} is {y._array.shape}."
            if not op.differentiable:
                assert not y._requires_grad, f"{op.path}: is declared without derivatives."
    leaves = call.leaves()
    _plain_gradients(op, call, leaves)
    for values in (arrays, [t._array for t in leaves]):
        for a, b in zip(values, before, strict=True):
            assert np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"), (
                f"{op.path}: input modified: it was\n{b}\nand is\n{a}"
            )
    for method in op.methods:
        found = getattr(Tensor, method)
        assert op.call in (found, getattr(found, "__wrapped__", None)), (
            f"{op.path}: Tensor.{method} is another function."
        )
    _check_numpy(op, sample, plain)


def check_layouts(op: Op, sample: Sample) -> None:
    """Non-contiguous inputs give the same; elementwise operations take 0-d and empty ones."""
    call = _Call(op, sample)
    expected = call.run(call.leaves())
    expected_grads = _plain_gradients(op, call, call.leaves())
    layouts = () if op.name in _CONTIGUOUS else (_strided, _fortran)
    for layout in layouts:
        name = layout.__name__.strip("_")
        arrays = [layout(t._array) for t in call.tensors]
        leaves = call.leaves(arrays)
        found = call.run(leaves)
        _same(op, f"the value of non-contiguous inputs ({name})", found, expected, 1e-9)
        grads = _plain_gradients(op, call, leaves)
        _same(op, f"the gradient of non-contiguous inputs ({name})", grads, expected_grads, 1e-9)
    if op.kind in ("unary", "binary", "comparison"):
        for shape in ((), (0,), (2, 0, 3)):
            size = int(np.prod(shape))
            if any(t.numel() == 0 for t in call.tensors) and size:
                continue
            arrays = [np.ravel(t._array)[:size].reshape(shape) for t in call.tensors]
            leaves = call.leaves(arrays)
            for y in call.run(leaves):
                assert y.shape == shape, f"{op.path}: {shape} gives {tuple(y.shape)}."
            for t, g in zip(leaves, _plain_gradients(op, call, leaves), strict=True):
                assert g is None or g.shape == t.shape, f"{op.path}: gradient of shape {g.shape}."


def check_precision(op: Op, sample: Sample) -> None:
    """float32 stays float32, for values and gradients."""
    names = inspect.getfullargspec(inspect.unwrap(op.call)).args
    positional = dict(zip(names, sample.args, strict=False))
    if {**positional, **sample.kwargs}.get("dtype") is not None or op.name in _CASTS:
        return
    call = _Call(op, sample)
    wide = call.run(call.leaves())
    arrays = [
        t._array.astype(_SINGLE.get(t._array.dtype.str[1:], t._array.dtype)) for t in call.tensors
    ]
    if all(a.dtype == t._array.dtype for a, t in zip(arrays, call.tensors, strict=True)):
        return
    leaves = call.leaves(arrays)
    narrow = call.run(leaves)
    for y, y64 in zip(narrow, wide, strict=True):
        if isinstance(y, Tensor):
            expected = np.dtype(_SINGLE.get(y64._array.dtype.str[1:], y64._array.dtype))
            assert y._array.dtype == expected, (
                f"{op.path}: float32 gives {y.dtype}, expected {expected}."
            )
    for t, g in zip(leaves, _plain_gradients(op, call, leaves), strict=True):
        if g is not None:
            assert g._array.dtype == t._array.dtype, (
                f"{op.path}: the gradient of {t.dtype} is {g._array.dtype}."
            )


def check_derivatives(op: Op, sample: Sample, *, second: bool = True) -> None:
    """First and second derivatives against central differences along one random direction.

    The rules are also read over arrays that can do nothing but what the grammar of rules allows,
    and over Tensors, which must give the same.
    """
    call = _Call(op, sample)
    leaves = call.leaves()
    if not op.differentiable or not any(t._requires_grad for t in leaves):
        return
    with np.errstate(all="ignore"):
        ys = call.differentiable(leaves)
        outputs = [y for y in call.run(leaves) if isinstance(y, Tensor) and y._type.recordable]
        if outputs and any(y.numel() for y in outputs):
            assert ys, f"{op.path}: no output requires grad."
        if not ys:
            return
        random = np.random.default_rng(0)
        vs = [wrap(_random_like(random, y._array), True) for y in ys]
        for v, y in zip(vs, ys, strict=True):
            v._array[~np.isfinite(y._array)] = 0
        us = [
            _random_like(random, t._array) if t._requires_grad else np.zeros(t._shape)
            for t in leaves
        ]

        def first(values: list[Tensor]) -> list[Tensor]:
            return call.differentiable(values)

        try:
            gradients = _gradients(op, ys, leaves, [v.detach() for v in vs])
        except NotImplementedError as error:
            if _says_not_differentiable(error):
                return
            raise
        _check_direction(op, "first", first, leaves, us, ys, vs, gradients)

        strict = _strict_gradients(first(leaves), leaves, [v._array for v in vs])
        _same(op, "the gradient by a rule that only uses the Namespace", strict, gradients, 1e-9)
        if not second:
            return
        count = len(leaves)

        def gradient(values: list[Tensor], record: bool) -> list[Tensor]:
            primals, cotangents = values[:count], values[count:]
            return [
                g
                for g in _gradients(op, first(primals), primals, cotangents, record)
                if g is not None
            ]

        recorded_gradients = gradient([*leaves, *vs], True)
        _same(
            op,
            "the gradient recorded (create_graph) and not recorded",
            recorded_gradients,
            [g for g in gradients if g is not None],
            1e-9,
        )
        again = [g for g in recorded_gradients if g._requires_grad]
        at = [i for i, g in enumerate(recorded_gradients) if g._requires_grad]
        if not again:
            return
        ws = [wrap(_random_like(random, g._array)) for g in again]
        for w, g in zip(ws, again, strict=True):
            w._array[~np.isfinite(g._array)] = 0
        inputs = [*leaves, *vs]
        directions = [*us, *(_random_like(random, v._array) for v in vs)]
        found = _gradients(op, again, inputs, ws)

        def differences(values: list[Tensor]) -> list[Tensor]:
            gs = gradient(values, False)
            return [gs[i] for i in at]

        _check_direction(
            op,
            "second",
            differences,
            inputs,
            directions,
            again,
            ws,
            found,
            lambda values: [gradient(values, True)[i] for i in at],
        )


def check_forward_mode(op: Op, sample: Sample) -> None:
    """Tangents: of the primal's shape and dtype, adjoint to the gradients, in views as views.

    Forward mode over reverse mode must give the same as reverse mode over forward mode.

    Raises:
        AssertionError: they are not.
    """
    call = _Call(op, sample)
    leaves = call.leaves()
    if not op.differentiable or not any(t._requires_grad for t in leaves):
        return
    with np.errstate(all="ignore"):
        try:
            ys = [y for y in call.run(leaves) if isinstance(y, Tensor)]
            wanted = [t for t in leaves if t._requires_grad]
            random = np.random.default_rng(0)
            us = [wrap(_random_like(random, t._array)) for t in wanted]
            level = levels.enter()
            try:
                _check_tangents_of(op, call, leaves, ys, us, random, level)
            finally:
                levels.exit(level)
        except NotImplementedError as error:
            if not _says_not_differentiable(error):
                raise


def _check_tangents_of(
    op: Op,
    call: _Call,
    leaves: list[Tensor],
    ys: list[Tensor],
    us: list[Tensor],
    random: np.random.Generator,
    level: levels.Level,
) -> None:
    rest = iter(us)
    duals = [dual(alias(t), next(rest), level) if t._requires_grad else t for t in leaves]
    found = [tangent_of(y, level) for y in call.run(duals) if isinstance(y, Tensor)]
    _same(op, "the primal of forward mode", [y for y, _ in found], ys, 1e-12)
    pairs = []
    for y, (_, t) in zip(ys, found, strict=True):
        if t is None:
            continue
        assert t._type is y._type, f"{op.path}: the tangent of {y.dtype} is {t.dtype}."
        assert t._shape == y._shape, f"{op.path}: {y.shape} has a tangent of {t.shape}."
        pairs.append((y, t))
    flowing = [y for y in ys if y._requires_grad]
    vs = [wrap(_random_like(random, y._array)) for y in flowing]
    for v, y in zip(vs, flowing, strict=True):
        v._array[~np.isfinite(y._array)] = 0
    wanted = [t for t in leaves if t._requires_grad]
    if not flowing:
        assert not pairs, f"{op.path}: no gradient, but a tangent."
        return
    gradients = grad(flowing, wanted, vs, retain_graph=True, allow_unused=True)
    by_output = {id(y): t for y, t in pairs}
    forward = backward = 0.0
    for v, y in zip(vs, flowing, strict=True):
        t = by_output.get(id(y))
        if t is not None:
            chosen = np.isfinite(y._array)
            forward += _inner(v._array[chosen], t._array[chosen])
    for g, u in zip(gradients, us, strict=True):
        if g is not None:
            backward += _inner(g._array, u._array)
    if call.cuts():
        return
    assert np.allclose(forward, backward, 1e-9, 1e-9, equal_nan=True), (
        f"{op.path}: <v, J u> is {forward}, and <J^T v, u> is {backward}."
    )
    _check_mixed(op, duals, found, ys, vs, wanted, us, level)


def _check_mixed(
    op: Op,
    duals: list[Tensor],
    found: list[tuple[Tensor, Tensor | None]],
    ys: list[Tensor],
    vs: list[Tensor],
    wanted: list[Tensor],
    us: list[Tensor],
    level: levels.Level,
) -> None:
    """The derivative of <J^T v, u>, along u and as a gradient: both are u^T H u."""
    rest = iter(vs)
    seeds = [next(rest) if y._requires_grad else None for y in ys]
    primals = [
        (y, t, v)
        for (y, t), v in zip(found, seeds, strict=True)
        if v is not None and np.isfinite(y._array).all()
    ]
    if len(primals) != len(vs):
        return
    gradients = grad(
        [y for y, _, _ in primals],
        [d for d in duals if isinstance(d, Lifted)],
        [v for _, _, v in primals],
        retain_graph=True,
        allow_unused=True,
    )
    over = 0.0
    for g, u in zip(gradients, us, strict=True):
        slope = None if g is None else tangent_of(g, level)[1]
        if slope is not None:
            over += _inner(slope._array, u._array)
    roots = [(t, v) for _, t, v in primals if t is not None and t._requires_grad]
    under = 0.0
    if roots:
        again = grad([t for t, _ in roots], wanted, [v for _, v in roots], allow_unused=True)
        for g, u in zip(again, us, strict=True):
            if g is not None:
                under += _inner(g._array, u._array)
    assert np.allclose(over, under, 1e-7, 1e-9, equal_nan=True), (
        f"{op.path}: u H u is {over} by forward over reverse mode, {under} by reverse over forward."
    )


def check_error(op: Op, wrong: Bad, device: Device = CPU) -> None:
    """A call that must raise does, with the right class and words.

    Raises:
        AssertionError: it did not, or otherwise.
    """
    call = _Call(op, wrong.call, device)
    raised: Exception | None = None
    try:
        call.run(call.leaves(), as_tested=False)
    except Exception as error:
        raised = error
    assert isinstance(raised, wrong.error), (
        f"{op.path}: raised {raised!r} where {wrong.error.__name__} ({wrong.match!r}) is due."
    )
    assert re.search(wrong.match, str(raised)), f"{op.path}: no {wrong.match!r} in {str(raised)!r}."
    assert isinstance(raised, GradcoreError | NotImplementedError), (
        f"{op.path}: {type(raised).__name__} is not one of gradcore's errors."
    )


# one device and another ------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a call gave: its values and gradients, or the error it raised.

    Attributes:
        values: the outputs, flattened.
        gradients: those of the inputs for fixed cotangents, None where there is none; then those
            of the sum of their squares, if they were asked for.
        error: the exception, or None.
    """

    values: tuple[Any, ...] = ()
    gradients: tuple[Tensor | None, ...] = ()
    error: Exception | None = None


def evaluate(
    op: Op,
    sample: Sample,
    device: Device,
    change: Callable[[Host], Host] | None = None,
    *,
    strided: bool = False,
    second: bool = False,
) -> Outcome:
    """Call `op` on a sample on `device`, and differentiate it.

    Args:
        op: the operation.
        sample: its arguments.
        device: where its arrays are sent first.
        change: applied to each array before that.
        strided: the arrays are then views that skip every second element.
        second: also differentiate the sum of the squares of the gradients' sizes.
    """
    call = _Call(op, sample, device, change)
    leaves = call.leaves([_strided(t._array) for t in call.tensors] if strided else None)
    try:
        values = call.run(leaves)
        ys = [y for y in values if isinstance(y, Tensor) and y._requires_grad]
        gradients: list[Tensor | None] = []
        if ys:
            gradients = _gradients(op, ys, leaves, call.cotangents(ys), second)
        again = [g for g in gradients if g is not None and g._requires_grad]
        if second and again:
            sizes = [g.abs() if g.is_complex() else g for g in again]
            totals = [(size * size).sum() for size in sizes]
            ones = [wrap(call._sent(np.ones((), t._type.numpy))) for t in totals]
            gradients += _gradients(op, totals, leaves, ones)
    except Exception as error:
        return Outcome(error=error)
    return Outcome(tuple(values), tuple(gradients))


def check_same(op: Op, expected: Outcome, found: Outcome, *, tolerance: float = 0.0) -> None:
    """Two outcomes, on two devices, are the same: values, shapes, dtypes, gradients, errors.

    Values may differ by what the precision of their dtype makes of another order of operations; of
    an error that NumPy or CuPy raised first only the class is compared.

    Args:
        op: the operation.
        expected: the one outcome.
        found: the other.
        tolerance: the least difference to allow, relative to the largest value.

    Raises:
        AssertionError: they differ.
    """
    if expected.error is not None or found.error is not None:
        texts = [_without_device(outcome.error) for outcome in (expected, found)]
        if type(expected.error) is not type(found.error) or texts[0] != texts[1]:
            raise AssertionError(
                f"{op.path}: errors: {expected.error!r} and {found.error!r}"
            ) from found.error
        return
    for what in ("values", "gradients"):
        left, right = getattr(expected, what), getattr(found, what)
        assert len(left) == len(right), f"{op.path}: {len(left)} and {len(right)} {what}."
        for number, (a, b) in enumerate(zip(left, right, strict=True)):
            _check_close(f"{op.path}: {what}[{number}]", a, b, tolerance)


def _without_device(error: Exception | None) -> str:
    if error is None or error.__cause__ is not None:
        return ""
    return re.sub(r"cuda(:\d+)?|cpu", "DEVICE", str(error)).replace("gradcore.DEVICE", "gradcore")


def _check_close(what: str, a: Any, b: Any, tolerance: float) -> None:
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        assert type(a) is type(b), f"{what}: {a!r} and {b!r}."
        assert isinstance(a, Device | str) or a == b, f"{what}: {a!r} and {b!r}."
        return
    for t in (a, b):
        assert type_of(t._array) is t._type, f"{what}: {t._type} holds {t._array.dtype}."
        assert t._array.shape == t._shape, f"{what}: shape {t._shape} is {t._array.shape}."
    left, right = a.detach()._fetch(), b.detach()._fetch()
    assert left.dtype == right.dtype, f"{what}: {left.dtype} and {right.dtype}."
    assert left.shape == right.shape, f"{what}: {left.shape} and {right.shape}."
    if left.dtype.kind in "fc":
        tolerance = max(tolerance, _PRECISION[left.dtype.name])
        scale = np.abs(left[np.isfinite(left)]).max(initial=1.0)
        close = np.allclose(left, right, tolerance, tolerance * scale, equal_nan=True)
    else:
        close = np.array_equal(left, right)
    assert close, f"{what}:\n{left}\nand\n{right}"


_PRECISION: Final = {
    "float16": 4e-3,
    "float32": 2e-5,
    "float64": 1e-11,
    "complex64": 2e-5,
    "complex128": 1e-11,
}
"""The differences that `check_same` allows, relative to the largest value."""

_CASTS: Final = {
    *("to", "type", "type_as", "view", "view_as", "astype", "half", "float", "double", "cfloat"),
    *("cdouble", "float_power", "bool", "byte", "char", "short", "int", "long", "bfloat16"),
}
"""Operations whose purpose is another dtype."""

_CONTIGUOUS: Final = {
    "as_strided",
    "as_strided_scatter",
    "view",
    "view_as",
    "view_as_complex",
}
"""Operations that take no other layout than their samples'."""

_SINGLE: Final = {"f8": np.dtype(np.float32), "c16": np.dtype(np.complex64)}


class _Call:
    """A sample of an operation: its arrays as Tensors, and the call with other values in them."""

    def __init__(
        self,
        op: Op,
        sample: Sample,
        device: Device = CPU,
        change: Callable[[Host], Host] | None = None,
    ) -> None:
        self.op = op
        self.sample = sample
        self.device = device.open()
        self.change = change
        self.tensors: list[Tensor] = []
        self._each(sample.args)
        self._each(list(sample.kwargs.values()))

    def _each(self, values: Any) -> None:
        for value in values:
            if isinstance(value, np.ndarray):
                array = value.copy()
                if self.change is not None:
                    array = self.change(array)
                self.tensors.append(wrap(self._sent(array)))
            elif isinstance(value, tuple | list):
                self._each(value)

    def _sent(self, array: Host) -> Array:
        return self.device.backend.send(array, self.device)

    def cuts(self) -> bool:
        """Whether the gradient is on purpose not that of the value: `embedding` has options."""
        options = ("padding_idx", "scale_grad_by_freq")
        return any(self.sample.kwargs.get(name) is not None for name in options)

    def leaves(self, arrays: Sequence[Array] | None = None) -> list[Tensor]:
        """The arrays as Tensors that require grad where their dtype can."""
        values = [t._array for t in self.tensors] if arrays is None else arrays
        return [wrap(a, a.dtype.kind in "fc") for a in values]

    def cotangents(self, ys: Sequence[Tensor]) -> list[Tensor]:
        """The same random numbers in every run, one Tensor for each of the outputs `ys`."""
        random = np.random.default_rng(0)
        return [wrap(self._sent(_random_like(random, y._array))) for y in ys]

    def run(self, values: Sequence[Tensor], *, as_tested: bool = True) -> list[Any]:
        """Call with these Tensors in place of the arrays. Returns what came, flattened.

        Args:
            values: the Tensors.
            as_tested: by what the record says is tested, not by the operation itself.
        """
        supply = iter(values)

        def filled(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return next(supply)
            if type(value) in (tuple, list):
                return type(value)([filled(v) for v in value])
            return value

        args = [filled(v) for v in self.sample.args]
        kwargs = {name: filled(v) for name, v in self.sample.kwargs.items()}
        seed = getattr(sys.modules["gradcore"], "manual_seed", None)
        if seed is not None:
            seed(0)
        with np.errstate(all="ignore"):
            call = self.op.tested(self.op.call) if as_tested else self.op.call
            result = call(*args, **kwargs)
        return _flattened(result)

    def differentiable(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The outputs that require grad."""
        return [y for y in self.run(values) if isinstance(y, Tensor) and y._requires_grad]


def _flattened(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [leaf for v in value for leaf in _flattened(v)]
    return [value]


def _random_like(random: np.random.Generator, array: Array) -> Host:
    """Random numbers in [-1, 1), away from 0, in the shape and dtype of `array`."""

    def real() -> Any:
        return random.uniform(0.2, 1.0, array.shape) * random.choice([-1.0, 1.0], array.shape)

    values = real() + 1j * real() if array.dtype.kind == "c" else real()
    return np.asarray(values, dtype=array.dtype)


def _strided(array: Array) -> Array:
    """The same values, every second element of a larger array."""
    if array.ndim == 0:
        return array.copy()
    wide = type_of(array).device.backend.module.zeros(
        (*array.shape[:-1], 2 * array.shape[-1]), array.dtype
    )
    wide[..., ::2] = array
    return wide[..., ::2]


def _fortran(array: Array) -> Array:
    return array.copy(order="F")


def _gradients(
    op: Op,
    ys: Sequence[Tensor],
    inputs: Sequence[Tensor],
    vs: Sequence[Tensor],
    record: bool = False,
) -> list[Tensor | None]:
    """Per input the gradient, or None where there is none."""
    wanted = [t for t in inputs if t._requires_grad]
    found = iter(grad(ys, wanted, vs, create_graph=record, retain_graph=True, allow_unused=True))
    return [next(found) if t._requires_grad else None for t in inputs]


def _plain_gradients(op: Op, call: _Call, leaves: list[Tensor]) -> list[Tensor | None]:
    """The gradients for fixed cotangents; None where there are none."""
    ys = call.differentiable(leaves)
    if not op.differentiable or not ys:
        return [None] * len(leaves)
    random = np.random.default_rng(0)
    before = [_random_like(random, y._array) for y in ys]
    vs = [wrap(v.copy()) for v in before]
    try:
        gradients = _gradients(op, ys, leaves, vs)
    except NotImplementedError as error:
        if _says_not_differentiable(error):
            return [None] * len(leaves)
        raise
    for v, b in zip(vs, before, strict=True):
        assert np.array_equal(v._array, b), f"{op.path}: backward modified its cotangent."
    return gradients


def _says_not_differentiable(error: Exception) -> bool:
    """Whether this is the error of an operation that records, but has no derivative."""
    return re.match(r"(the )?derivative for .* is not implemented", str(error)) is not None


def _same(
    op: Op, what: str, found: Sequence[Any], expected: Sequence[Any], tolerance: float = 1e-12
) -> None:
    """Raise AssertionError where two lists of results differ."""
    assert len(found) == len(expected), f"{op.path}: {what}: {len(found)} and {len(expected)}."
    for a, b in zip(found, expected, strict=True):
        if a is None or b is None or not isinstance(a, Tensor | np.ndarray):
            assert (a is None) == (b is None), f"{op.path}: {what}: {a} and {b}."
            continue
        left = a._fetch() if isinstance(a, Tensor) else a
        right = b._fetch() if isinstance(b, Tensor) else b
        assert left.shape == right.shape, f"{op.path}: {what}: {left.shape} and {right.shape}."
        assert left.dtype == right.dtype, f"{op.path}: {what}: {left.dtype} and {right.dtype}."
        if left.dtype.kind in "fc":
            close = np.allclose(left, right, tolerance, tolerance, equal_nan=True)
        else:
            close = np.array_equal(left, right)
        assert close, f"{op.path}: {what} differ:\n{left}\n{right}"


def _check_direction(
    op: Op,
    order: str,
    func: Callable[[list[Tensor]], list[Tensor]],
    inputs: list[Tensor],
    us: list[Host],
    ys: list[Tensor],
    vs: list[Tensor],
    gradients: list[Tensor | None],
    recording: Callable[[list[Tensor]], list[Tensor]] | None = None,
    eps: float = 1e-6,
) -> None:
    """Compare <v, J u> by a central difference with <J^T v, u>; if they differ, show J."""

    def at(step: float) -> list[Host]:
        values = [
            wrap(np.asarray(t._array + step * u), True) if t._requires_grad else t
            for t, u in zip(inputs, us, strict=True)
        ]
        return [y._array for y in func(values)]

    numerical = scale = 0.0
    compared = False
    for v, y, after, before in zip(vs, ys, at(eps), at(-eps), strict=True):
        picked = v._array != 0
        compared = compared or bool(picked.any())
        slope = (after - before)[picked] / (2 * eps)
        numerical += _inner(v._array[picked], slope)
        scale += float(np.abs(v._array[picked] * slope).sum())
        # What rounding leaves of a difference of values of this size.
        scale += 1e-4 * float(np.abs(v._array[picked] * y._array[picked]).sum())
    analytical = sum(
        _inner(g._array, u) for g, u in zip(gradients, us, strict=True) if g is not None
    )
    if not compared or abs(analytical - numerical) <= 2e-6 * (scale + abs(analytical)) + 1e-9:
        return
    found = _full_mismatch(recording or func, inputs, us)
    raise GradcheckError(
        f"{op.path}: {order} derivative along a random direction: numerical {numerical}, "
        f"analytical {analytical}.\n{found}"
    )


def _full_mismatch(
    func: Callable[[list[Tensor]], list[Tensor]], inputs: list[Tensor], us: list[Host]
) -> str:
    """The Jacobians of `func` that differ, as text."""
    varied = [j for j, t in enumerate(inputs) if t._requires_grad and t.numel()]

    def call(*values: Tensor) -> tuple[Tensor, ...]:
        return tuple(func(list(values)))

    arguments = tuple(inputs)
    outputs = list(call(*arguments))
    numerical = _numerical(call, arguments, varied, outputs, 1e-6)
    analytical = _analytical(arguments, varied, outputs)
    return "".join(
        str(_mismatch(*key, expected, analytical[key]))
        for key, expected in numerical.items()
        if not np.allclose(analytical[key], expected, 1e-5, 1e-7, equal_nan=True)
    )


_ALIASES: Final = {"dim": "axis", "dims": "axis", "keepdim": "keepdims"}


def _check_numpy(op: Op, sample: Sample, plain: list[Any]) -> None:
    """The NumPy faces give what NumPy gives, for the arguments that NumPy has too."""
    for face, adapter in op.numpy.items():
        function = getattr(np, face, None)
        if face in OWN_NAMES or function is None:
            continue
        args, kwargs = sample.args, dict(sample.kwargs)
        if op.kind not in ("unary", "binary", "comparison"):
            translated = _translated(op, function, sample)
            if translated is None:
                continue
            args, kwargs = (), translated
        elif kwargs:
            continue
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's "mean of empty slice"
            try:
                expected = _flattened(function(*args, **kwargs))
            except Exception:
                continue  # PyTorch takes more than NumPy: a dimension of 0-d, a squeeze of 2
            face_op = Op(face, adapter, face, (), {}, None, op.kind, False, False, None, None)
            call = _Call(face_op, Sample(args, kwargs))
            found = call.run(call.tensors)
        assert len(found) == len(expected), f"{op.path}: {len(found)} results for np.{face}."
        for a, b in zip(found, expected, strict=True):
            left = a._fetch() if isinstance(a, Tensor) else np.asarray(a)
            right = np.asarray(b)
            if left.shape == () and right.shape == (1,):
                right = right.reshape(())  # as in the array API, 0-d stays 0-d
            assert left.shape == right.shape, (
                f"{op.path}: np.{face} gives shape {right.shape}, gradcore {left.shape}."
            )
            assert np.allclose(left, right, 1e-6, 1e-9, equal_nan=True), (
                f"{op.path}: np.{face} gives\n{right}\ngradcore\n{left}"
            )


def _translated(op: Op, function: Any, sample: Sample) -> dict[str, Any] | None:
    """The arguments of a sample under NumPy's names, or None where NumPy lacks one."""
    try:
        ours = inspect.signature(op.call)
        theirs = inspect.signature(function)
        bound = ours.bind(*sample.args, **sample.kwargs).arguments
    except (TypeError, ValueError):
        return None
    names = list(theirs.parameters)
    found: dict[str, Any] = {}
    for position, (name, value) in enumerate(bound.items()):
        alias = _ALIASES.get(name, name)
        if position == 0 and name not in names:
            alias = names[0]
        if alias not in names or not isinstance(value, np.ndarray | int | float | tuple | list):
            return None
        if theirs.parameters[alias].kind not in (
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            inspect.Parameter.KEYWORD_ONLY,
        ):
            return None
        found[alias] = tuple(value) if alias == "axis" and isinstance(value, list) else value
    return found


# the grammar of rules --------------------------------------------------------------------------


class _Strict:
    """An array that has nothing but operators (and shape, dtype and ndim, which are metadata)."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    @property
    def shape(self) -> Any:
        return self._value.shape

    @property
    def ndim(self) -> Any:
        return self._value.ndim

    @property
    def dtype(self) -> Any:
        return self._value.dtype

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a rule uses .{name} of an array: rules use Namespace functions.")

    def __bool__(self) -> bool:
        raise AssertionError("a rule branches on the value of an array: use xp.where.")

    def __iter__(self) -> Any:
        raise AssertionError("a rule iterates over an array.")

    __hash__ = None  # type: ignore[assignment]


def _operator(name: str) -> Any:
    def operate(self: _Strict, *others: Any) -> Any:
        result = getattr(self._value, name)(*_unwrapped(others))
        return result if result is NotImplemented else _Strict(np.asarray(result))

    operate.__name__ = name
    return operate


def _refused(name: str) -> Any:
    def refuse(self: _Strict, *others: Any) -> Any:
        raise AssertionError(f"a rule uses {name}: rules change nothing in place.")

    refuse.__name__ = name
    return refuse


for _name in (
    *("add", "sub", "mul", "truediv", "floordiv", "mod"),
    *("pow", "matmul", "and", "or", "xor"),
):
    setattr(_Strict, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(_Strict, f"__r{_name}__", _operator(f"__r{_name}__"))
    setattr(_Strict, f"__i{_name}__", _refused(f"__i{_name}__"))
for _name in ("neg", "pos", "invert", "lt", "le", "gt", "ge", "eq", "ne"):
    setattr(_Strict, f"__{_name}__", _operator(f"__{_name}__"))


def _wrapped(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _Strict(np.asarray(value))
    if isinstance(value, Cotangents):
        return Cotangents((number, _wrapped(v)) for number, v in value.items())
    if type(value) in (tuple, list):
        return type(value)(_wrapped(v) for v in value)
    return value


def _unwrapped(value: Any) -> Any:
    if isinstance(value, _Strict):
        return value._value
    if isinstance(value, Cotangents):
        return Cotangents((number, _unwrapped(v)) for number, v in value.items())
    if type(value) in (tuple, list):
        return type(value)(_unwrapped(v) for v in value)
    if isinstance(value, slice):
        return value
    return value


class _StrictSpecial:
    """The functions of `scipy.special` over strict arrays."""

    def __init__(self, special: Any) -> None:
        self._special = special

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return _StrictNamespace._strict(getattr(self._special, name))


class _StrictNamespace:
    """A Namespace of exactly the functions that the Protocol lists, over strict arrays."""

    def __init__(self, xp: Any) -> None:
        for name in NUMPY_NAMES | OWN_NAMES:
            setattr(self, name, self._strict(getattr(xp, name)))
        self.special = _StrictSpecial(xp.special)

    @staticmethod
    def _strict(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            named = {name: _unwrapped(value) for name, value in kwargs.items()}
            return _wrapped(function(*_unwrapped(args), **named))

        return call


def _strict_gradients(
    ys: Sequence[Tensor], inputs: Sequence[Tensor], vs: Sequence[Host]
) -> list[Host | None]:
    """The gradients by the rules read over strict arrays; the walk is written out once more."""
    pending: dict[Any, Any] = {}
    heap: list[tuple[int, Node]] = []

    def add(edge: Any, g: Any) -> None:
        if edge in pending:
            pending[edge] = pending[edge] + g
            return
        pending[edge] = g
        if isinstance(edge, Node):
            heapq.heappush(heap, (edge.sequence, edge))

    for y, v in zip(ys, vs, strict=True):
        add(edge_of(y), v)
    while heap:
        node = heapq.heappop(heap)[1]
        g = _wrapped(pending.pop(node))
        xp = cast(Any, _StrictNamespace(node.type.xp))
        assert node.saved is not None
        saved = tuple(_wrapped(value) for value in node.saved)
        pullback = node.pullback
        if pullback.joint is not None:
            g = pullback.joint(xp, g, saved)
        for number, (edge, rule) in enumerate(zip(node.edges, pullback.rules, strict=False)):
            d = _unwrapped(rule(xp, g, saved))
            if d is None:
                continue
            if node.restore is not None:
                d = _restore(node.type.xp, d, node.type, *node.restore[number])
            add(edge, d)
    return [None if (g := pending.get(t)) is None else np.asarray(g) for t in inputs]
