"""Nested containers, as the transforms take and give them: flattened, and put together again.

Tuples (named ones too), lists, dicts, OrderedDicts, defaultdicts and deques are containers; all
else is a leaf, None among it.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

__all__ = ["Structure", "flatten", "mapped", "spread", "unflatten"]

_SEQUENCES: Final = (tuple, list, deque)
_MAPPINGS: Final = (dict, OrderedDict, defaultdict)


class Structure:
    """What is left of nested containers without their leaves.

    Attributes:
        kind: the class of the container; None for a leaf.
        context: what its elements do not say: the keys of a dict, the length of a deque.
        children: the structures of its elements.
        count: how many leaves there are in it.
    """

    __slots__ = ("children", "context", "count", "kind")

    def __init__(self, kind: Any, context: Any = None, children: Sequence[Structure] = ()) -> None:
        self.kind = kind
        self.context = context
        self.children = tuple(children)
        self.count: int = 1 if kind is None else sum(child.count for child in children)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Structure):
            return NotImplemented
        mine, theirs = (self.kind, self.context), (other.kind, other.context)
        return mine == theirs and self.children == other.children

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return self._text(2)

    def _text(self, indent: int) -> str:
        if self.kind is None:
            return "*"
        inner = f",\n{' ' * indent}".join([child._text(indent + 2) for child in self.children])
        return f"TreeSpec({self.kind.__name__}, {self.context}, [{inner}])"


_LEAF: Final = Structure(None)


def _opened(value: Any) -> tuple[Any, list[Any]] | None:
    """The context and the elements of a container; None for a leaf."""
    kind = type(value)
    if kind in _MAPPINGS:
        keys = list(value)
        context = (value.default_factory, keys) if kind is defaultdict else keys
        return context, [value[key] for key in keys]
    if kind in _SEQUENCES:
        return value.maxlen if kind is deque else None, list(value)
    if isinstance(value, tuple) and hasattr(kind, "_make"):
        return kind, list(value)
    return None


def _closed(structure: Structure, elements: list[Any]) -> Any:
    kind, context = structure.kind, structure.context
    if kind is defaultdict:
        factory, keys = context
        return defaultdict(factory, zip(keys, elements, strict=True))
    if kind in _MAPPINGS:
        return kind(zip(context, elements, strict=True))
    if kind is deque:
        return deque(elements, context)
    return kind(elements) if kind in _SEQUENCES else kind._make(elements)


# The recursive functions are no closures: those refer to themselves, and would keep the leaves.


def flatten(value: Any) -> tuple[list[Any], Structure]:
    """The leaves of nested containers, and the structure that `unflatten` needs."""
    leaves: list[Any] = []
    return leaves, _flattened(value, leaves)


def _flattened(value: Any, leaves: list[Any]) -> Structure:
    opened = _opened(value)
    if opened is None:
        leaves.append(value)
        return _LEAF
    context, elements = opened
    return Structure(type(value), context, [_flattened(element, leaves) for element in elements])


def unflatten(leaves: Sequence[Any], structure: Structure) -> Any:
    """Containers of that structure around `leaves`."""
    return _built(structure, iter(leaves))


def _built(structure: Structure, leaves: Iterator[Any]) -> Any:
    if structure.kind is None:
        return next(leaves)
    return _closed(structure, [_built(child, leaves) for child in structure.children])


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """`value` with `function` applied to its leaves."""
    leaves, structure = flatten(value)
    return unflatten([function(leaf) for leaf in leaves], structure)


def spread(prefix: Any, structure: Structure) -> list[Any] | None:
    """One value per leaf of `structure`, where a leaf of `prefix` stands for all below it.

    Returns:
        None if the containers of `prefix` are not those of `structure`.
    """
    found: list[Any] = []
    return found if _spread(prefix, structure, found) else None


def _spread(prefix: Any, structure: Structure, found: list[Any]) -> bool:
    opened = _opened(prefix)
    if opened is None:
        found.extend([prefix] * structure.count)
        return True
    context, elements = opened
    if type(prefix) is not structure.kind or len(elements) != len(structure.children):
        return False
    if isinstance(prefix, dict):
        if set(prefix) != set(_keys(structure)):
            return False
        elements = [prefix[key] for key in _keys(structure)]
    elif context != structure.context:
        return False
    return all(
        _spread(element, child, found)
        for element, child in zip(elements, structure.children, strict=True)
    )


def _keys(structure: Structure) -> list[Any]:
    keys: list[Any] = structure.context[1] if structure.kind is defaultdict else structure.context
    return keys
