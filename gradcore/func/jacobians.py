"""Whole Jacobians and Hessians, by either mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentError, GraphError
from ..ops.creation import eye, zeros
from ..ops.shape import cat
from ..tensor import Tensor
from .reverse import Argnums, checked_argnums, chosen, named, replaced, vjp
from .tangents import jvp
from .trees import flatten, unflatten
from .vmap import vmap

__all__ = ["hessian", "jacfwd", "jacrev"]


def _refuse_complex(name: str, kind: str, values: Any) -> None:
    for number, v in enumerate(flatten(values)[0]):
        if isinstance(v, Tensor) and v.is_complex():
            raise GraphError(
                f"{name}: Expected all {kind} to be real but received complex tensor at flattened "
                f"input idx: {number}"
            )


def _basis(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Per Tensor its part of the unit vectors of all of them: `(total, *shape)`."""
    sizes = [t.numel() for t in tensors]
    total = sum(sizes)
    parts = []
    start = 0
    for t, size in zip(tensors, sizes, strict=True):
        rows = [
            zeros(start, size, dtype=t.dtype, device=t.device),
            eye(size, dtype=t.dtype, device=t.device),
            zeros(total - start - size, size, dtype=t.dtype, device=t.device),
        ]
        parts.append(cat(rows).reshape((total, *t.shape)))
        start += size
    return parts


def _mapped(
    function: Callable[[list[Tensor]], list[Tensor]],
    basis: list[Tensor],
    chunk_size: int | None,
    randomness: str = "error",
) -> list[Tensor]:
    """The results of `function` for all unit vectors, along a new first dimension."""
    run = vmap(
        lambda *row: tuple(function(list(row))), randomness=randomness, chunk_size=chunk_size
    )
    return list(run(*basis))


def _check_chunk(name: str, chunk_size: int | None) -> None:
    if not (chunk_size is None or chunk_size > 0):
        raise ArgumentError(f"{name}: `chunk_size` should be greater than 0.")


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that returns the Jacobian of `func`, by reverse mode: a pass per output element.

    Args:
        func: takes and returns Tensors of real dtype in nested containers.
        argnums: the number of the argument to differentiate by, or a tuple of several.
        has_aux: `func` returns a pair, of which the second is handed through.
        chunk_size: how many passes to run at once; None is all.
        _preallocate_and_copy: has no effect.

    Returns:
        A function of the same arguments that returns the Jacobian, or `(jacobian, aux)`: for each
        output Tensor, as the outputs are nested, for each input Tensor, as the argument is nested,
        `(*shape of the output, *shape of the input)`.

    Raises:
        ArgumentError: `chunk_size` is not positive; later, if there is no such argument.
        GraphError: later, if something is complex, or no Tensor.
    """
    _check_chunk("jacrev", chunk_size)

    def jacobian(*args: Any) -> Any:
        _refuse_complex("jacrev", "inputs", args)
        numbers = checked_argnums(argnums, len(args))
        inputs, form = flatten(chosen(args, numbers))

        def run(*xs: Any) -> Any:
            return func(*replaced(args, numbers, unflatten(xs, form)))

        output, pullback, *rest = vjp(run, *inputs, has_aux=has_aux)
        _refuse_complex("jacrev", "outputs", output)
        outputs, structure = flatten(output)
        basis = _basis(outputs)
        if len(basis[0]):
            columns = _mapped(
                lambda row: list(pullback(unflatten(row, structure))), basis, chunk_size
            )
        else:
            columns = [zeros(0, *x.shape, dtype=x.dtype, device=x.device) for x in inputs]
        found = []
        start = 0
        for y in outputs:
            end = start + y.numel()
            parts = [
                column[start:end].reshape((*y.shape, *x.shape))
                for column, x in zip(columns, inputs, strict=True)
            ]
            found.append(unflatten(parts, form))
            start = end
        result = unflatten(found, structure)
        return (result, rest[0]) if has_aux else result

    return named(jacobian, func)


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that returns the Jacobian of `func`, by forward mode: a pass per input element.

    Args:
        func: takes and returns Tensors of real dtype in nested containers.
        argnums: the number of the argument to differentiate by, or a tuple of several.
        has_aux: `func` returns a pair, of which the second is handed through.
        randomness: `"error"`, `"same"` or `"different"`: of random numbers drawn in `func`.
        chunk_size: how many passes to run at once; None is all.

    Returns:
        As `jacrev`.

    Raises:
        ArgumentError: an argument has no such value; later, if there is no such argument.
        GraphError: later, if something is complex, or no Tensor.
    """
    _check_chunk("jacfwd", chunk_size)
    if randomness not in ("error", "different", "same"):
        raise ArgumentError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )

    def jacobian(*args: Any) -> Any:
        _refuse_complex("jacfwd", "inputs", args)
        numbers = checked_argnums(argnums, len(args))
        inputs, form = flatten(chosen(args, numbers))
        known: list[Any] = []

        def run(*xs: Any) -> Any:
            return func(*replaced(args, numbers, unflatten(xs, form)))

        def push(row: list[Tensor]) -> list[Tensor]:
            output, slope, *aux = jvp(run, tuple(inputs), tuple(row), has_aux=has_aux)
            _refuse_complex("jacfwd", "outputs", output)
            if not known:
                known.append((flatten(output), aux))
            return flatten(slope)[0]

        basis = _basis(inputs)
        if len(basis[0]):
            columns = _mapped(push, basis, chunk_size, randomness)
        else:  # one pass, for the shapes
            columns = [t.expand(0, *t.shape) for t in push([x.detach() for x in inputs])]
        (outputs, structure), rest = known[0]
        found = []
        for column, y in zip(columns, outputs, strict=True):
            moved = column.movedim(0, -1)
            parts = []
            start = 0
            for x in inputs:
                end = start + x.numel()
                parts.append(moved[..., start:end].reshape((*y.shape, *x.shape)))
                start = end
            found.append(unflatten(parts, form))
        result = unflatten(found, structure)
        return (result, rest[0]) if has_aux else result

    return named(jacobian, func)


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function that returns the Hessian of `func`, by forward mode over reverse mode.

    Args:
        func: takes and returns Tensors of real dtype in nested containers.
        argnums: the number of the argument to differentiate by, or a tuple of several.

    Returns:
        A function of the same arguments: the Jacobian of the Jacobian, nested as these are.

    Raises:
        ArgumentError: later, if there is no such argument.
        GraphError: later, if something is complex, or no Tensor.
    """
    return jacfwd(jacrev(func, argnums), argnums)
