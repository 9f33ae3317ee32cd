"""Functions of parameters: `functional_call`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import ArgumentError, GraphError
from ..tensor import Tensor

__all__ = ["functional_call"]


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call `module` with other Tensors in the places of its parameters.

    Args:
        module: a callable. Of one with `named_parameters()` (and perhaps `named_buffers()`), the
            attributes of these names (`"layer.0.weight"`) are exchanged while it runs, and put back
            then. Any other is called with the parameters for its first argument.
        parameter_and_buffer_dicts: Tensors by name, as a dict or as several with distinct names;
            for a callable without parameters, any nested containers.
        args: its arguments: a tuple, or a single one.
        kwargs: its keyword arguments.
        tie_weights: a Tensor that has several names is exchanged under all of them.
        strict: refuse names that `module` has not, or that are missing.

    Returns:
        What `module` returns.

    Raises:
        ArgumentError: names appear twice, or several values are given for a Tensor.
        GraphError: `strict`, and the names differ.
    """
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    kwargs = kwargs or {}
    if not hasattr(module, "named_parameters"):
        return module(parameter_and_buffer_dicts, *args, **kwargs)
    values = _merged(parameter_and_buffer_dicts)
    own = _named_tensors(module)
    if tie_weights:
        values = _tied(own, values)
    if strict:
        _check_names(type(module).__name__, set(own), set(values))
    with _exchanged(module, values):
        return module(*args, **kwargs)


def _merged(dicts: Any) -> dict[str, Any]:
    if isinstance(dicts, dict):
        return dict(dicts)
    if not isinstance(dicts, Sequence) or isinstance(dicts, str):
        raise ArgumentError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(dicts)}"
        )
    if not all(isinstance(d, dict) for d in dicts):
        raise ArgumentError(
            "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
        )
    names = [name for d in dicts for name in d]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ArgumentError(
            f"{repeated} appeared in multiple dictionaries; behavior of functional call is "
            "ambiguous"
        )
    return {name: value for d in dicts for name, value in d.items()}


def _named_tensors(module: Any) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for method in ("named_parameters", "named_buffers"):
        names = getattr(module, method, None)
        if names is not None:
            try:
                found.update(names(remove_duplicate=False))
            except TypeError:  # it is not PyTorch's
                found.update(names())
    return found


def _tied(own: dict[str, Tensor], values: dict[str, Any]) -> dict[str, Any]:
    """`values` for all names of the Tensors whose names are among them."""
    names: dict[int, list[str]] = {}
    for name, t in own.items():
        names.setdefault(id(t), []).append(name)
    found = dict(values)
    for same in names.values():
        given = [name for name in same if name in values]
        if len({id(values[name]) for name in given}) > 1:
            raise ArgumentError(
                f"functional_call got multiple values for keys {sorted(same)}, which are tied. "
                "Consider using tie_weights=False"
            )
        for name in same if given else ():
            found[name] = values[given[0]]
    return found


def _check_names(what: str, own: set[str], given: set[str]) -> None:
    problems = [
        f"{kind} key(s): {', '.join(map(repr, sorted(names)))}."
        for kind, names in (("Unexpected", given - own), ("Missing", own - given))
        if names
    ]
    if problems:
        lines = "\n\t".join(problems)
        raise GraphError(f"Error(s) in reparametrizing for {what}:\n\t{lines}")


def _holder(module: Any, path: str) -> tuple[Any, str]:
    """What holds the Tensor of that name, and its name or place there."""
    *outer, last = path.split(".")
    for name in outer:
        module = _get(module, name)
    return module, last


def _get(holder: Any, name: str) -> Any:
    if isinstance(holder, dict):
        return holder[name]
    if isinstance(holder, list | tuple):
        return holder[int(name)]
    if hasattr(holder, name):
        return getattr(holder, name)
    return holder[int(name)]


def _set(holder: Any, name: str, value: Any) -> None:
    registered = vars(holder).get("_parameters") if hasattr(holder, "__dict__") else None
    if isinstance(holder, dict):
        holder[name] = value
    elif registered is not None and name in registered:  # a Module: it takes Parameters alone
        registered[name] = value
    elif isinstance(holder, list):
        holder[int(name)] = value
    else:
        setattr(holder, name, value)


@contextmanager
def _exchanged(module: Any, values: dict[str, Any]) -> Iterator[None]:
    before: list[tuple[Any, str, Any]] = []
    try:
        for path, value in values.items():
            try:
                holder, name = _holder(module, path)
                old = _get(holder, name)
            except (AttributeError, KeyError, IndexError, ValueError, TypeError):
                continue  # as PyTorch: a name that is not there has no effect
            before.append((holder, name, old))
            _set(holder, name, value)
        yield
    finally:
        for holder, name, old in reversed(before):
            _set(holder, name, old)
