"""What a graph keeps in memory: `graph_report`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from .. import dtypes
from ..device import CPU, Array, Device, is_array, type_of
from ..errors import ArgumentTypeError
from ..graph import METADATA, OUTPUT, OUTPUTS, SCALAR, Edge, Node, Packed, function_of, where
from ..memory import _readable as readable
from ..storage import owner, owner_size
from ..tensor import Tensor, edge_of
from .function import FunctionCtx

__all__ = ["GraphEntry", "GraphReport", "LeafEntry", "SavedEntry", "graph_report"]

AnyDType: TypeAlias = "dtypes.dtype | np.dtype[Any]"
Names: TypeAlias = "Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] | None"


# the nodes of a graph ----------------------------------------------------------------------------


def tensors_of(function: str, tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The argument `tensors` of a function of that name as a tuple.

    Raises:
        ArgumentTypeError: there is something else in it.
    """
    given = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    for t in given:
        if not isinstance(t, Tensor):
            raise ArgumentTypeError(f"{function}: expected Tensors, not {type(t).__qualname__}.")
    return given


def names_of(function: str, params: Names) -> dict[Edge, str]:
    """The names the user gave to Tensors, by where these came from.

    Raises:
        ArgumentTypeError: `params` is no dict of Tensors.
    """
    named = dict(params or {})
    for name, t in named.items():
        if not isinstance(t, Tensor):
            raise ArgumentTypeError(
                f"{function}: params must be Tensors by their names, but {name!r} is of type "
                f"{type(t).__qualname__}."
            )
    return {edge_of(t): str(name) for name, t in named.items()}


def is_pick(node: Node) -> bool:
    """Whether the node only stands for one of several outputs of the node before it."""
    return function_of(node)[0] is not node


def nodes_before(edges: Iterable[Edge]) -> list[Node]:
    """All nodes from which these values were made, the oldest first."""
    found: set[Node] = set()
    stack = [edge for edge in edges if isinstance(edge, Node)]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += [edge for edge in node.edges if isinstance(edge, Node)]
            if METADATA in node.pullback.sources:  # a Function keeps Tensors, with their history
                stack += [
                    value._node
                    for _, value in saved_by(node)
                    if isinstance(value, Tensor) and value._node is not None
                ]
    return sorted(found, key=lambda node: -node.sequence)


def saved_by(node: Node) -> Iterator[tuple[str, Any]]:
    """What a node has saved: arrays and Tensors, each with what it is to the node."""
    if node.saved is None:
        return
    pullback = node.pullback
    if node.saved and isinstance(node.saved[0], FunctionCtx):
        ctx, held = node.saved
        held = [value.content if isinstance(value, Packed) else value for value in held]
        yield from _inside([(f"saved_tensors[{i}]", value) for i, value in enumerate(held)])
        yield from _inside(_attributes(ctx))
        return
    for value, source in zip(node.saved, pullback.sources, strict=True):
        if source == SCALAR or value is None:
            continue
        if isinstance(value, Packed):
            yield from _inside([("packed", value.content)])
        elif source == METADATA:
            yield from _inside([("metadata", value)])
        elif source == OUTPUT or source <= OUTPUTS:
            yield "output", value
        elif source >= 0:
            yield f"input {pullback.inputs.index(source)}", value
        else:
            yield "constant", value


def _attributes(ctx: FunctionCtx) -> list[tuple[str, Any]]:
    found = [(f"ctx.{name}", value) for name, value in vars(ctx).items()]
    outputs = ctx._output_attributes or {}
    return found + [(f"ctx.{name}", array) for name, (_, array) in outputs.items()]


def _inside(values: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The arrays and Tensors among values, and in the containers among them."""
    stack = list(values)[::-1]
    seen: set[int] = set()
    while stack:
        role, value = stack.pop()
        if isinstance(value, Packed):
            stack.append((role, value.content))
        elif isinstance(value, Tensor) or is_array(value):
            yield role, value
        elif isinstance(value, dict | list | tuple | set | frozenset) and id(value) not in seen:
            seen.add(id(value))
            parts = value.values() if isinstance(value, dict) else value
            stack += [(role, part) for part in parts][::-1]


def kind_of(array: Array) -> tuple[AnyDType, Device]:
    """The element type and the device of an array, which may be one of the user's."""
    if isinstance(array, np.ndarray) and array.dtype.kind not in "biufc":
        return array.dtype, CPU
    type = type_of(array)
    return type.dtype, type.device


# the report --------------------------------------------------------------------------------------


class SavedEntry(NamedTuple):
    """An array that a node has saved.

    Attributes:
        role: what it is to the node: `"input 0"`, `"output"`, `"constant"`, `"metadata"`,
            `"packed"` (of what a hook gave for it), or the attribute of the `ctx` of a `Function`.
        shape: its shape.
        dtype: its element type; NumPy's, if gradcore has none like it.
        device: where it is.
        nbytes: of its elements.
        kept: bytes of memory that it keeps alive: more where it is a view of something larger, less
            where it is expanded; on CUDA what was allocated for it.
        counted_at: the node or leaf where that memory is counted; None if it is counted here.
    """

    role: str
    shape: tuple[int, ...]
    dtype: AnyDType
    device: Device
    nbytes: int
    kept: int
    counted_at: str | None


class GraphEntry(NamedTuple):
    """A node of a graph.

    Attributes:
        number: nodes are numbered in the order in which they were recorded, from 0.
        name: of its function: `"MulBackward0"`.
        saved: the arrays it has saved.
        nbytes: of the memory that is kept alive by these and counted here.
        freed: whether a backward pass has freed what it had saved.
        source: the line of the user's program that recorded it, `"train.py:12 in loss"`. If a
            traceback is kept under `"traceback_"` in the node's `metadata`, as anomaly mode does,
            the last line of that. None if it is not known.
    """

    number: int
    name: str
    saved: tuple[SavedEntry, ...]
    nbytes: int
    freed: bool
    source: str | None


class LeafEntry(NamedTuple):
    """A leaf that a graph holds.

    Attributes:
        name: as given, or `"leaf 0"`.
        shape: its shape.
        dtype: its element type.
        device: where it is.
        nbytes: of the memory kept alive by its values and its `.grad`, where not counted before.
        grad_nbytes: of the elements of its `.grad`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: dtypes.dtype
    device: Device
    nbytes: int
    grad_nbytes: int


_SHOWN: Final = 20


class GraphReport:
    """What a graph keeps alive. Prints as a table.

    Attributes:
        entries: the nodes, those that keep most memory first.
        leaves: the leaves, likewise. Their memory is not the graph's: it is counted apart.
        total_bytes: of all memory that the nodes have saved and that is no leaf's, each part once.
        leaf_bytes: of all memory of the leaves and their gradients.
        bytes_by_device: `total_bytes` of each device.
    """

    def __init__(self, entries: Iterable[GraphEntry], leaves: Iterable[LeafEntry]) -> None:
        self.entries = tuple(sorted(entries, key=lambda e: (-e.nbytes, e.number)))
        self.leaves = tuple(sorted(leaves, key=lambda e: -e.nbytes))
        self.total_bytes = sum(e.nbytes for e in self.entries)
        self.leaf_bytes = sum(e.nbytes for e in self.leaves)
        self.bytes_by_device: dict[Device, int] = {}
        for entry in self.entries:
            for saved in entry.saved:
                before = self.bytes_by_device.setdefault(saved.device, 0)
                if saved.counted_at is None:
                    self.bytes_by_device[saved.device] = before + saved.kept

    def _summary(self) -> str:
        devices = ", ".join(f"{readable(n)} on {d}" for d, n in self.bytes_by_device.items())
        freed = sum(e.freed for e in self.entries)
        return (
            f"kept alive: {readable(self.total_bytes)} by {_count(self.entries, 'node')}"
            + (f" ({devices})" if len(self.bytes_by_device) > 1 else "")
            + (f", of which backward has freed {freed:,}" if freed else "")
            + f"; {readable(self.leaf_bytes)} by {_count(self.leaves, 'leaf', 'leaves')}"
        )

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Per line of the table: memory, what keeps it, what it is, and the user's line."""
        rows = [("memory", "node or leaf", "saved", "line")]
        telling = [e for e in self.entries if e.saved or e.freed]
        for entry in telling[:_SHOWN]:
            first, *more = ["freed by backward"] if entry.freed else map(_described, entry.saved)
            name = f"#{entry.number} {entry.name}"
            rows.append((readable(entry.nbytes), name, first, entry.source or ""))
            rows += [("", "", line, "") for line in more]
        hidden = telling[_SHOWN:]
        if hidden:
            count = _count(hidden, "more node")
            rows.append((readable(sum(e.nbytes for e in hidden)), count, "", ""))
        without = len(self.entries) - len(telling)
        if without:
            rows.append((readable(0), _count(range(without), "node"), "nothing is saved", ""))
        for leaf in self.leaves[:_SHOWN]:
            grad = f", and .grad of {readable(leaf.grad_nbytes)}" if leaf.grad_nbytes else ""
            what = f"{type_text(leaf.shape, leaf.dtype, leaf.device)}{grad}"
            rows.append((readable(leaf.nbytes), leaf.name, what, ""))
        left = self.leaves[_SHOWN:]
        if left:
            count = _count(left, "more leaf", "more leaves")
            rows.append((readable(sum(e.nbytes for e in left)), count, "", ""))
        return rows

    def __str__(self) -> str:
        rows = self._rows()
        wide = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            f"{a:>{wide[0]}}  {b:<{wide[1]}}  {c:<{wide[2]}}  {d}".rstrip() for a, b, c, d in rows
        ]
        return "\n".join([self._summary(), "", *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *rows = self._rows()
        body = _html_row("th", head) + "".join([_html_row("td", row) for row in rows])
        return f"<table><caption>{html.escape(self._summary())}</caption>{body}</table>"


def _html_row(tag: str, row: Iterable[str]) -> str:
    return f"<tr>{''.join([f'<{tag}>{html.escape(text)}</{tag}>' for text in row])}</tr>"


def _count(values: Sequence[Any], one: str, several: str = "") -> str:
    return f"{len(values):,} {one if len(values) == 1 else several or one + 's'}"


def type_text(shape: tuple[int, ...], dtype: AnyDType, device: Device) -> str:
    return f"{shape} {dtype.name}" + (f" on {device}" if device.kind else "")


def _described(saved: SavedEntry) -> str:
    text = f"{saved.role}: {type_text(saved.shape, saved.dtype, saved.device)}"
    if saved.kept != saved.nbytes:
        text += f", in memory of {readable(saved.kept)}"
    return text if saved.counted_at is None else f"{text}, counted at {saved.counted_at}"


class _Memory:
    """Which memory has been counted, and where."""

    def __init__(self) -> None:
        self._counted: dict[int, str] = {}

    def add(self, array: Array, label: str) -> tuple[int, str | None]:
        """How many bytes an array keeps alive, and where they were counted before."""
        holder = owner(array)
        before = self._counted.get(id(holder))
        if before is None:
            self._counted[id(holder)] = label
        return owner_size(holder), before


def graph_report(tensors: Tensor | Sequence[Tensor], *, params: Names = None) -> GraphReport:
    """What the graph of some Tensors keeps in memory, node by node.

    A node saves arrays for its derivative. An array keeps the memory alive that it lies in, also
    where that is larger than itself. Memory that several nodes keep is counted at the one that was
    recorded first, and that of leaves at the leaf; where else it is kept, it says so. Python
    numbers are not counted.

    Args:
        tensors: the outputs.
        params: names for leaves: Tensors by name, as a dict or as pairs.

    Returns:
        An object with `entries`, `leaves` and `total_bytes`, that prints as a table.

    Raises:
        ArgumentTypeError: an output is no Tensor.
    """
    roots = [edge_of(t) for t in tensors_of("graph_report", tensors) if t._requires_grad]
    names = names_of("graph_report", params)
    nodes = nodes_before(roots)
    memory = _Memory()
    leaves: list[LeafEntry] = []
    for leaf in _leaves([*(e for node in nodes for e in node.edges), *roots]):
        name = names.get(leaf, f"leaf {len(leaves)}")
        arrays = [leaf._array] if leaf._grad is None else [leaf._array, leaf._grad._array]
        counted = [memory.add(array, name) for array in arrays]
        kept = sum(size for size, before in counted if before is None)
        grad = 0 if leaf._grad is None else leaf._grad.nbytes
        leaves.append(LeafEntry(name, leaf._shape, leaf.dtype, leaf.device, kept, grad))
    entries: list[GraphEntry] = []
    for node in nodes:
        if not is_pick(node):
            entries.append(_entry(len(entries), node, memory))
    return GraphReport(entries, leaves)


def _leaves(edges: Iterable[Edge]) -> Iterable[Tensor]:
    return dict.fromkeys(edge for edge in edges if isinstance(edge, Tensor))


def _entry(number: int, node: Node, memory: _Memory) -> GraphEntry:
    name = node.pullback.name
    label = f"#{number} {name}"
    saved = []
    total = 0
    for role, value in saved_by(node):
        array = value._array if isinstance(value, Tensor) else value
        kept, before = memory.add(array, label)
        dtype, device = kind_of(array)
        nbytes = int(array.nbytes)
        saved.append(SavedEntry(role, array.shape, dtype, device, nbytes, kept, before))
        if before is None:
            total += kept
    return GraphEntry(number, name, tuple(saved), total, node.saved is None, _source(node))


def _source(node: Node) -> str | None:
    """Where in the user's program a node was recorded."""
    hooks = node.pullback.hooks
    found = None if hooks is None else hooks.metadata.get("traceback_")
    return found[-1].strip() if found else where(node) or None
