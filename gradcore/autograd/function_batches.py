"""How a Function runs within vmap that says so itself, with a static method `vmap`."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..batches import enter, is_batched, leave
from ..batching.array import Level, deepest, running_below
from ..errors import GraphError
from ..tensor import Tensor

__all__ = ["VmapInfo", "over_batch"]


class VmapInfo(NamedTuple):
    """What the static method `vmap` of a Function is told.

    Attributes:
        batch_size: how many samples there are.
        randomness: what was asked of the vmap: `"error"`, `"same"` or `"different"`.
    """

    batch_size: int
    randomness: str


def over_batch(cls: Any, args: tuple[Any, ...]) -> tuple[Any] | None:
    """What the `vmap` of a Function gives for batched arguments, as a tuple of one.

    None if no argument is batched: then forward runs.

    Raises:
        GraphError: `generate_vmap_rule` asks for the contrary; or `vmap` gives something else than
            outputs and their dimensions.
    """
    level = deepest([a._array for a in args if isinstance(a, Tensor)])
    if level is None:
        return None
    if cls.generate_vmap_rule:
        raise GraphError(
            f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and "
            "an overridden vmap staticmethod. Please set generate_vmap_rule=False or delete the "
            "overridden vmap staticmethod to avoid ambiguity."
        )
    batched = [isinstance(a, Tensor) and is_batched(a, level) for a in args]
    dims = tuple([0 if some else None for some in batched])
    with running_below(level):
        whole = [leave(a, level, 0) if some else a for a, some in zip(args, batched, strict=True)]
        info = VmapInfo(level.size, level.randomness)
        result = cls.vmap(info, dims, *whole)
        expected = (
            "Expected the vmap staticmethod to have two returns, an output and out_dims with "
            "pytree structure compatible with the output. "
        )
        if not isinstance(result, tuple):
            raise GraphError(f"{expected}Got a {type(result)} instead.")
        if len(result) != 2:
            raise GraphError(f"{expected}Got {len(result)} returns instead.")
        return (_entered(*result, level),)


def _entered(output: Any, dims: Any, level: Level) -> Any:
    """Outputs whose dimensions `dims` are those of the batch, as batches."""
    if isinstance(output, tuple | list):
        if not isinstance(dims, tuple | list):
            dims = (dims,) * len(output)
        elif type(dims) is not type(output) or len(dims) != len(output):
            raise _misfit(output, dims)
        return type(output)([_entered(o, d, level) for o, d in zip(output, dims, strict=True)])
    if dims is None:
        return output
    if not isinstance(dims, int) or not isinstance(output, Tensor):
        raise _misfit(output, dims)
    return enter(output, level, dims % output.ndim)


def _misfit(output: Any, dims: Any) -> GraphError:
    return GraphError(
        "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) "
        f"tuple. Expected out_dims={dims} to be compatible with the structure of `output`, "
        f"{type(output).__qualname__}."
    )
