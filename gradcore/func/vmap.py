"""vmap: a function of single samples, run on a whole batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..batches import common_size, enter, is_batched, leave
from ..batching.array import Level, new_level
from ..errors import ArgumentError
from ..ops.shape import cat
from ..random import fork_rng
from ..tensor import Tensor, canonical_dim
from .trees import Structure, flatten, spread, unflatten

__all__ = ["vmap"]

_RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """`func` for all samples of a batch at once: a function of Tensors with one dimension more.

    Args:
        func: takes and gives Tensors, in nested containers if need be.
        in_dims: which dimension of the inputs holds the samples: an int, or a tuple of ints with
            one per argument, in containers as the arguments are. None for what is no Tensor, or is
            the same for all samples.
        out_dims: where the dimension stands in the outputs: an int, or containers of ints as the
            outputs are. None for an output that is the same for all samples, or no Tensor.
        randomness: `"different"` draws new random numbers for each sample, `"same"` those of one
            for all; with `"error"` drawing any raises.
        chunk_size: how many samples to take at a time, to save memory; None takes all.

    Returns:
        A function of the arguments of `func`. Keyword arguments are the same for all samples.

    Raises:
        ArgumentError: an argument has no such value; later, inputs or outputs do not fit them.
    """
    if randomness not in _RANDOMNESS:
        raise ArgumentError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. "
            f"Got {randomness}"
        )
    if not (chunk_size is None or chunk_size > 0):
        raise ArgumentError(
            f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})"
        )

    @functools.wraps(func)
    def over_batch(*args: Any, **kwargs: Any) -> Any:
        _check_out_dims(func, out_dims)
        size, dims, leaves, structure = _inputs(func, in_dims, args)
        if chunk_size is None or chunk_size >= size:
            return _run(func, size, dims, leaves, structure, out_dims, randomness, kwargs)
        parts: list[tuple[list[Any], Structure]] = []
        for chunk in _chunks(leaves, dims, size, chunk_size):
            length = min(chunk_size, size - len(parts) * chunk_size)
            more = len(parts) * chunk_size + length < size
            with fork_rng(enabled=randomness == "same" and more):
                found = _run(func, length, dims, chunk, structure, out_dims, randomness, kwargs)
            parts.append(flatten(found))
        return _joined(parts, out_dims)

    return over_batch


def _name(func: Any) -> str:
    if hasattr(func, "__name__"):
        return str(func.__name__)
    if isinstance(func, functools.partial):
        return f"functools.partial({_name(func.func)}, ...)"
    return repr(func)


def _check_out_dims(func: Any, out_dims: Any) -> None:
    for dim in flatten(out_dims)[0]:
        if dim is not None and not isinstance(dim, int):
            raise ArgumentError(
                f"vmap({_name(func)}, ..., out_dims={out_dims}): `out_dims` must be an int, None "
                "or a python collection of ints representing where in the outputs the vmapped "
                "dimension should appear."
            )


def _inputs(
    func: Any, in_dims: Any, args: tuple[Any, ...]
) -> tuple[int, list[int | None], list[Any], Structure]:
    """The size of the batch, and the flattened arguments, each with its dimension."""
    name = _name(func)
    if not isinstance(in_dims, int | tuple):
        raise ArgumentError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a "
            f"(potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ArgumentError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, structure = flatten(args)
    dims = spread(in_dims, structure)
    if dims is None:
        raise ArgumentError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the "
            f"structure of `inputs`. in_dims has structure {flatten(in_dims)[1]} but inputs has "
            f"structure {structure}."
        )
    where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim="
    for number, (leaf, dim) in enumerate(zip(leaves, dims, strict=True)):
        if dim is None:
            continue
        if not isinstance(dim, int):
            raise ArgumentError(
                f"{where}{dim} for an input but in_dim must be either an integer dimension or None."
            )
        if not isinstance(leaf, Tensor):
            raise ArgumentError(
                f"{where}{dim} for an input but the input is of type {type(leaf)}. We cannot vmap "
                "over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -leaf.ndim <= dim < leaf.ndim:
            raise ArgumentError(
                f"{where}{dim} for some input, but that input is a Tensor of dimensionality "
                f"{leaf.ndim} so expected in_dim to satisfy -{leaf.ndim} <= in_dim < {leaf.ndim}."
            )
        dims[number] = dim % leaf.ndim
    sizes = [leaf.shape[dim] for leaf, dim in zip(leaves, dims, strict=True) if dim is not None]
    return common_size(sizes), dims, leaves, structure


def _run(
    func: Callable[..., Any],
    size: int,
    dims: Sequence[int | None],
    leaves: Sequence[Any],
    structure: Structure,
    out_dims: Any,
    randomness: str,
    kwargs: dict[str, Any],
) -> Any:
    with new_level(size, randomness) as level:
        inputs = [
            leaf if dim is None else enter(leaf, level, dim)
            for leaf, dim in zip(leaves, dims, strict=True)
        ]
        result = func(*unflatten(inputs, structure), **kwargs)
        found, outer = flatten(result)
        places = _out_dims(func, out_dims, result, outer)
        outputs = [
            _output(func, value, level, place) for value, place in zip(found, places, strict=True)
        ]
    return unflatten(outputs, outer)


def _output(func: Any, value: Any, level: Level, dim: int | None) -> Any:
    """An output with the batch as its dimension `dim`."""
    name = _name(func)
    if dim is None:
        if isinstance(value, Tensor) and is_batched(value, level):
            raise ArgumentError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return value
    if not isinstance(value, Tensor):
        raise ArgumentError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(value)}. Did "
            "you mean to set out_dims= to None for output?"
        )
    return leave(value, level, canonical_dim(dim, value.ndim + 1))


def _out_dims(func: Any, out_dims: Any, found: Any, structure: Structure) -> list[int | None]:
    """The place of the batch's dimension in each output."""
    if isinstance(found, Tensor) and isinstance(out_dims, tuple) and len(out_dims) == 1:
        return list(out_dims)
    places = spread(out_dims, structure)
    if places is None:
        raise ArgumentError(
            f"vmap({_name(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible "
            f"with the structure of `outputs`. out_dims has structure {flatten(out_dims)[1]} but "
            f"outputs has structure {structure}."
        )
    return places


# chunks ----------------------------------------------------------------------------------------


def _chunks(
    leaves: Sequence[Any], dims: Sequence[int | None], size: int, length: int
) -> Iterator[list[Any]]:
    """The arguments for `length` samples at a time."""
    for start in range(0, size, length):
        count = min(length, size - start)
        yield [
            leaf if dim is None else leaf.narrow(dim, start, count)
            for leaf, dim in zip(leaves, dims, strict=True)
        ]


def _joined(parts: list[tuple[list[Any], Structure]], out_dims: Any) -> Any:
    """The outputs of all chunks as one."""
    structure = parts[0][1]
    if structure.kind is None and isinstance(out_dims, tuple):
        places: Any = list(out_dims)
    else:
        places = spread(out_dims, structure)
    columns = zip(*[leaves for leaves, _ in parts], strict=True)
    joined = [
        column[0] if dim is None else cat(list(column), dim)
        for column, dim in zip(columns, places, strict=True)
    ]
    return unflatten(joined, structure)
