"""Graphs as pictures: `draw`."""

from __future__ import annotations

import importlib
import os
import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from ..errors import ArgumentError, MissingPackageError
from ..graph import CONSTANT, OUTPUT, Edge, Node, function_of, where
from ..tensor import Tensor, edge_of
from .function import FunctionCtx
from .inspection import (
    Names,
    is_pick,
    kind_of,
    names_of,
    saved_by,
    tensors_of,
    type_text,
)

__all__ = ["Drawing", "draw"]

Shape = tuple[int, ...]

_NODE: Final = "fillcolor=white"
_LEAF: Final = 'shape=box, fillcolor="#cfe2f3"'
_OUTPUT: Final = 'shape=box, fillcolor="#d9ead3"'
_SAVED: Final = 'shape=note, fillcolor="#fff2cc"'
_NOTE: Final = "shape=plaintext, style=solid"


class Drawing:
    """A graph as text in the language DOT of Graphviz. Jupyter shows it as a picture.

    Attributes:
        dot: the text.
    """

    def __init__(self, dot: str) -> None:
        self.dot = dot

    def __str__(self) -> str:
        return self.dot

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, in the format that its name ends in.

        Args:
            path: `.dot` and `.gv` are the text; `.svg`, `.png`, `.pdf` and others are drawn by
                Graphviz.

        Raises:
            ArgumentError: the name has no ending.
            MissingPackageError: Graphviz is to draw, and is not installed.
        """
        ending = os.path.splitext(path)[1][1:].lower()
        if not ending:
            raise ArgumentError(
                f"the name of the file, {os.fspath(path)!r}, must end in its format, such as .svg."
            )
        data = self.dot.encode() if ending in ("dot", "gv") else self._drawn(ending)
        with open(path, "wb") as file:
            file.write(data)

    def _drawn(self, form: str) -> bytes:
        try:
            graphviz = importlib.import_module("graphviz")
        except ImportError as error:
            raise MissingPackageError(
                "to draw a graph the package graphviz is needed: pip install "
                '"gradcore[graph]". Without it there is its text: print it, or save it as .dot.'
            ) from error
        try:
            data: bytes = graphviz.Source(self.dot).pipe(format=form)
        except graphviz.ExecutableNotFound as error:
            raise MissingPackageError(
                "to draw a graph the program `dot` of Graphviz is needed, and it was not found: "
                "install it with the system's package manager (https://graphviz.org/download/). "
                "Without it there is the text of the graph: print it, or save it as .dot."
            ) from error
        return data

    def _repr_svg_(self) -> str:
        return self._drawn("svg").decode()


def draw(
    tensors: Tensor | Sequence[Tensor],
    *,
    params: Names = None,
    show_shapes: bool = True,
    show_saved: bool = False,
    show_lines: bool = False,
    max_nodes: int = 500,
) -> Drawing:
    """The graph of some Tensors as a picture: leaves are boxes, operations ellipses.

    Args:
        tensors: the outputs.
        params: names for leaves, or for other Tensors: Tensors by name, as a dict or as pairs.
        show_shapes: write shapes and dtypes. Nodes do not know the shape of their output; it is
            written where it follows from what they have saved, or from those around them.
        show_saved: draw what the nodes have saved, too.
        show_lines: write the lines of the user's program that recorded the nodes.
        max_nodes: at most so many nodes and leaves, those closest to the outputs.

    Returns:
        An object with the text `dot`, which it also prints as, and `save(path)`.

    Raises:
        ArgumentTypeError: an output is no Tensor.
        ArgumentError: `max_nodes` is less than 1.
    """
    if max_nodes < 1:
        raise ArgumentError(f"draw: max_nodes must be at least 1, but is {max_nodes}.")
    outputs = tensors_of("draw", tensors)
    names = names_of("draw", params)
    roots = [edge_of(t) for t in outputs if t._requires_grad]
    everything = _by_distance(roots)
    shown = {edge: f"n{number}" for number, edge in enumerate(everything[:max_nodes])}
    shapes = _shapes(outputs, everything) if show_shapes else {}
    lines = [
        "digraph {",
        '  graph [rankdir="TB", ranksep="0.3", nodesep="0.2"];',
        '  node [fontname="Helvetica", fontsize="11", style="filled", height="0.2"];',
        '  edge [fontname="Helvetica", fontsize="9", arrowsize="0.6"];',
    ]
    for edge, place in shown.items():
        is_output = any(edge is edge_of(t) for t in outputs)
        name = None if is_output and isinstance(edge, Node) else names.get(edge)
        kind = _LEAF if isinstance(edge, Tensor) else _NODE
        text = _label(edge, name, shapes)
        if show_lines and (line := where(edge)):
            text.append(line)
        lines.append(f"  {place} [label={_quoted(text)}, {kind}];")
    cut = []
    for edge, place in shown.items():
        if isinstance(edge, Node):
            lines += [
                _arrow(shown, shapes, source, place)
                for source in edge.edges
                if _maker(source)[0] in shown
            ]
            if any(_maker(source)[0] not in shown for source in edge.edges):
                cut.append(place)
            if show_saved:
                lines += _saved_lines(edge, place)
    for number, t in enumerate(outputs):
        place = f"out{number}"
        text = [names.get(edge_of(t), "output" if len(outputs) == 1 else f"output {number}")]
        if show_shapes:
            text.append(type_text(t._shape, t.dtype, t.device))
        lines.append(f"  {place} [label={_quoted(text)}, {_OUTPUT}];")
        if _maker(edge_of(t))[0] in shown:
            lines.append(_arrow(shown, shapes, edge_of(t), place))
    if cut:
        text = [f"… {len(everything) - len(shown):,} more", f"(max_nodes={max_nodes})"]
        lines.append(f"  more [label={_quoted(text)}, {_NOTE}];")
        lines += [f'  more -> {place} [style="dashed"];' for place in cut]
    return Drawing("\n".join([*lines, "}", ""]))


def _arrow(shown: dict[Edge, str], shapes: dict[Edge, Shape], edge: Edge, target: str) -> str:
    """The line for a value that goes to `target`."""
    maker, number = _maker(edge)
    arrow = f"  {shown[maker]} -> {target}"
    if not (isinstance(edge, Node) and is_pick(edge)):
        return f"{arrow};"
    text = [f"output {number}"]
    if edge in shapes:
        text.append(type_text(shapes[edge], edge.type.dtype, edge.type.device))
    return f"{arrow} [label={_quoted(text)}];"


def _maker(edge: Edge) -> tuple[Edge, int]:
    """The node or leaf that a value came from, and which of its outputs it is."""
    if not isinstance(edge, Node):
        return edge, 0
    node, place = function_of(edge)
    assert isinstance(node, Node)
    return node, place


def _by_distance(roots: Iterable[Edge]) -> list[Edge]:
    """All nodes and leaves, those first that are the fewest steps from the roots."""
    found: dict[Edge, None] = {}
    waiting = deque(_maker(root)[0] for root in roots)
    while waiting:
        edge = waiting.popleft()
        if edge not in found:
            found[edge] = None
            if isinstance(edge, Node):
                waiting += [_maker(source)[0] for source in edge.edges]
    return list(found)


# labels ------------------------------------------------------------------------------------------


def _quoted(lines: Iterable[str]) -> str:
    """Lines of text as a string of DOT."""
    text = "\n".join(lines)
    text = re.sub(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]", "\ufffd", text)
    # Graphviz replaces \N and the like, and entities such as &amp;.
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return '"' + text.replace("\n", "\\n") + '"'


def _label(edge: Edge, name: str | None, shapes: dict[Edge, Shape]) -> list[str]:
    """The lines on a node or a leaf."""
    if isinstance(edge, Tensor):
        lines = ["leaf" if name is None else name]
        type = edge._type
    else:
        lines = [re.sub(r"Backward\d*$", "", edge.pullback.name) or edge.pullback.name]
        type = edge.type
        if name is not None:
            lines.insert(0, name)
    if edge in shapes:
        lines.append(type_text(shapes[edge], type.dtype, type.device))
    return lines


def _saved_lines(node: Node, place: str) -> list[str]:
    """What a node has saved, as boxes beside it."""
    if node.saved is None:
        saved = [["freed by backward"]]
    else:
        saved = []
        for role, value in saved_by(node):
            array = value._array if isinstance(value, Tensor) else value
            saved.append([role, type_text(array.shape, *kind_of(array))])
    lines = []
    for i, text in enumerate(saved):
        lines.append(f"  {place}_{i} [label={_quoted(text)}, {_SAVED}];")
        lines.append(f'  {place}_{i} -> {place} [style="dotted", arrowhead="none"];')
    return lines


# shapes ------------------------------------------------------------------------------------------


class _Shapes:
    """Shapes of values, some of which are known to be the same."""

    def __init__(self) -> None:
        self._same: dict[Edge, Edge] = {}
        self._known: dict[Edge, Shape] = {}

    def _first(self, edge: Edge) -> Edge:
        while (other := self._same.get(edge, edge)) is not edge:
            self._same[edge] = self._same.get(other, other)
            edge = other
        return edge

    def same(self, a: Edge, b: Edge) -> None:
        a, b = self._first(a), self._first(b)
        if a is not b:
            self._same[a] = b
            if a in self._known:
                self._known.setdefault(b, self._known.pop(a))

    def put(self, edge: Edge, shape: Shape) -> None:
        self._known[self._first(edge)] = tuple(shape)

    def get(self, edge: Edge) -> Shape | None:
        return self._known.get(self._first(edge))


def _shapes(outputs: Iterable[Tensor], everything: Iterable[Edge]) -> dict[Edge, Shape]:
    """The shapes of leaves and of the outputs of nodes, as far as they can be told."""
    found = _Shapes()
    edges: dict[Edge, None] = {}
    for t in outputs:
        edges[edge_of(t)] = None
        found.put(edge_of(t), t._shape)
    for node in everything:
        edges[node] = None
        if isinstance(node, Tensor):
            found.put(node, node._shape)
            continue
        pullback = node.pullback
        edges.update(dict.fromkeys(node.edges))
        saved = () if node.saved is None else tuple(zip(node.saved, pullback.sources, strict=True))
        for value, place in saved:
            if place >= 0:
                found.put(node.edges[place], value.shape)
            elif place == OUTPUT:
                found.put(node, value.shape)
            elif isinstance(value, FunctionCtx):
                _put_of_function(found, node, value)
        if node.restore is not None:
            given = [shape for shape, _ in node.restore]
            for source, shape in zip(node.edges, given, strict=True):
                found.put(source, shape)
            given += [value.shape for value, place in saved if place == CONSTANT]
            if pullback.elementwise and len(given) >= len(pullback.inputs):
                found.put(node, np.broadcast_shapes(*given))
        elif pullback.elementwise:
            for source in node.edges:
                found.same(source, node)
    shapes = {edge: found.get(edge) for edge in edges}
    return {edge: shape for edge, shape in shapes.items() if shape is not None}


def _put_of_function(found: _Shapes, node: Node, ctx: FunctionCtx) -> None:
    inputs = zip(ctx._inputs, ctx.needs_input_grad, strict=True)
    differentiable = [described for described, need in inputs if need]
    for source, described in zip(node.edges, differentiable, strict=True):
        if described is not None:
            found.put(source, described[0])
    if len(ctx._outputs) == 1 and ctx._outputs[0] is not None:
        found.put(node, ctx._outputs[0][0])
