"""The recorded graph: nodes, what they save, and how their cotangents reach their inputs.

An *edge* points at what a value came from: the Node that made it, or, for a leaf that requires
grad, the leaf Tensor itself. A Tensor refers to its Node and a Node to its edges and to raw arrays,
never to the Tensor it made: there is no reference cycle, and graphs need no cycle collector.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from copy import copy
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol, TypeAlias

from .device import TensorType
from .errors import ArgumentTypeError, GraphError, ShapeError
from .hooks import Hooks, RemovableHandle, register
from .mode import WATCHERS
from .namespace import Namespace

if TYPE_CHECKING:
    from .levels import Level
    from .tensor import Tensor

__all__ = ["AccumulateGrad", "Cotangents", "GradientEdge", "Node", "Pullback", "where"]

Edge: TypeAlias = "Node | Tensor"
Rule: TypeAlias = Callable[[Namespace, Any, tuple[Any, ...]], Any]
"""`rule(xp, g, saved)`: the cotangent of one input, from `g`, that of the output."""

OUTPUT: Final = -1
CONSTANT: Final = -2
METADATA: Final = -3
SCALAR: Final = -4
OUTPUTS: Final = -5
"""Where a saved value stands, if it is not an edge's primal: see `Pullback.sources`."""

FREED: Final = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)

SEQUENCE: Final = itertools.count(0, -1)
"""Falls, so that a heap gives the newest node first."""


# the user's line ---------------------------------------------------------------------------------


_ROOTS: Final = tuple(
    os.path.join(os.path.dirname(os.path.abspath(sys.modules[name].__file__ or "")), "")
    for name in (__package__ or "", "numpy")
)


class _Inner(dict[str, bool]):
    """By source file, whether it is one of gradcore's own or of NumPy's."""

    def __missing__(self, filename: str) -> bool:
        found = self[filename] = filename.startswith(_ROOTS)
        return found


INNER: Final = _Inner()

getframe: Final = sys._getframe


_last: CodeType | None = None
"""The user's function that was found last: it is often met again."""


def outside(frame: FrameType) -> tuple[FrameType, CodeType]:
    """The innermost frame of the user's that leads to `frame`, and its code."""
    global _last
    code = frame.f_code
    while code is not _last:
        if not INNER[code.co_filename]:
            _last = code
            break
        if code is ENGINE[0]:
            known = walk_site.get()
            if known is not None:
                return known, known.f_code
        outer = frame.f_back
        if outer is None:
            break
        frame = outer
        code = frame.f_code
    return frame, code


ENGINE: Final[list[CodeType | None]] = [None]
"""The code of the engine's loop. What rules record within it has the line that called backward."""

walk_site: ContextVar[FrameType | None] = ContextVar("gradcore_walk_site", default=None)
"""The user's frame that called backward, while a pass is recorded: it need not be found again."""


def where(node: object) -> str:
    """The user's line that made a Node, as `"train.py:12 in loss"`; "" if it is not known."""
    if not isinstance(node, Node):
        return ""
    code, at = node.code, node.at
    number = code.co_firstlineno
    for start, end, line in code.co_lines():
        if start <= at < end and line is not None:
            number = line
            break
    directory = os.path.join(os.getcwd(), "")
    return f"{code.co_filename.removeprefix(directory)}:{number} in {code.co_qualname}"


class Pullback:
    """What all nodes of one op have in common, for one choice of inputs that require grad.

    Attributes:
        name: `"MulBackward0"`.
        rules: one per edge.
        joint: if not None, called first as `joint(xp, g, saved)`; the rules then pick from its
            result. For ops whose gradients share work, and for several outputs.
        sources: per saved value the number of the edge whose primal it is, or OUTPUT, CONSTANT
            (an array nothing flows to), METADATA (no array) or SCALAR (a Python number, perhaps
            as a 0-d array); OUTPUTS - n is output n of several.
        frees: whether a saved value is an array, so that a second backward cannot run.
        inputs: per input of the op the number of its edge, or None.
        of_op: the rules are those of an op: mathematics that can be read over any namespace.
        pure: likewise, and there is no joint.
        elementwise: pure, and the dtype of the output tells those of all that is saved.
        generated: on a device that compiles, what was made of the rules (`generated.py`).
        context: whether the first saved value is the context of a custom Function.
        several: whether nodes of it were seen to have several outputs.
        names: per saved value PyTorch's name for it, `"self"` of `grad_fn._saved_self`, if known.
        letters: per saved value its name in the rules of an op; () where they have none.
        hooks: what users registered. Not None only in a Pullback that one node has for itself.
    """

    __slots__ = (
        "context",
        "elementwise",
        "frees",
        "generated",
        "hooks",
        "inputs",
        "joint",
        "letters",
        "name",
        "names",
        "of_op",
        "pure",
        "rules",
        "several",
        "sources",
    )

    generated: dict[Any, Any]
    hooks: Hooks | None

    def __init__(
        self,
        name: str,
        rules: tuple[Rule, ...],
        sources: tuple[int, ...],
        inputs: tuple[int | None, ...],
        joint: Callable[[Namespace, Any, tuple[Any, ...]], Any] | None = None,
        *,
        pure: bool = False,
        elementwise: bool = False,
        names: tuple[str, ...] = (),
        letters: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.names = names
        self.letters = letters
        self.several = self.context = False
        self.rules = rules
        self.joint = joint
        self.sources = sources
        self.frees = any(s not in (METADATA, SCALAR) for s in sources)
        self.inputs = inputs
        self.of_op = pure
        self.pure = pure and joint is None
        self.elementwise = elementwise
        self.generated = {}
        self.hooks = None


class Lift(Protocol):
    """What a transform adds to the saved values of a node while its level lasts."""

    level: Level

    def __call__(self, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        """The saved values as the transform knows them."""


class Node:
    """A recorded operation: the `grad_fn` of its output.

    Attributes:
        pullback: the part that is common to all nodes of the op.
        edges: where the cotangents go, one per input that requires grad.
        saved: raw arrays and metadata for the rules; None once freed.
        restore: None if every input had the output's shape and type; else (shape, type) per edge,
            to which the engine sums and casts.
        type: dtype and device of the output.
        sequence: falls with every node made.
        lifts: not set at first; what transforms add to the saved values where these are read as
            Tensors: functions of the tuple of them.
        code: of the user's function that made it, and
        at: the place in that, which together are the line; see `where`.
    """

    __slots__ = (
        "__weakref__",
        "at",
        "code",
        "edges",
        "lifts",
        "pullback",
        "restore",
        "saved",
        "sequence",
        "type",
    )

    pullback: Pullback
    edges: tuple[Edge, ...]
    saved: tuple[Any, ...] | None
    restore: tuple[tuple[tuple[int, ...], TensorType], ...] | None
    type: TensorType
    sequence: int
    lifts: tuple[Lift, ...]
    code: CodeType
    at: int

    def name(self) -> str:
        """The name of the function, for example `"MulBackward0"`."""
        return self.pullback.name

    def __repr__(self) -> str:
        return f"<{self.pullback.name} object at {id(self):#x}>"

    def _end(self, level: Level) -> None:
        """Drop what a transform has added, whose level has ended."""
        self.lifts = tuple([lift for lift in self.lifts if lift.level is not level])

    @property
    def line(self) -> str:
        """The user's line that recorded it, as `"train.py:12 in loss"`."""
        return where(self)

    def _sequence_nr(self) -> int:
        """A number that rises with every node made: backward takes the highest first."""
        return -self.sequence

    @property
    def hooks(self) -> Hooks:
        """What is registered on this node."""
        hooks = self.pullback.hooks
        if hooks is None:
            self.pullback = copy(self.pullback)
            hooks = self.pullback.hooks = Hooks()
        return hooks

    @property
    def next_functions(self) -> tuple[tuple[Node | AccumulateGrad | None, int], ...]:
        """Per input of the operation the function its gradient goes to, and which output of it."""
        return tuple(
            (None, 0) if number is None else function_of(self.edges[number])
            for number in self.pullback.inputs
        )

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not there: `_saved_self`, `_raw_saved_self` and the like.
        if name in Node.__slots__ or name.startswith("__"):
            raise AttributeError(name)
        kind, _, which = name.partition("saved_")
        if kind in ("_", "_raw_") and which in self.pullback.names:
            return Node.saved_value(self, self.pullback.names.index(which), kind == "_raw_")
        if self.pullback.context:  # PyTorch's node of a custom Function is its context
            if self.saved:
                return getattr(self.saved[0], name)
            if name == "saved_tensors":
                raise GraphError(FREED)
        raise AttributeError(f"{self.pullback.name!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        names = self.pullback.names
        return [*super().__dir__(), *(f"_saved_{n}" for n in names if n)]

    saved_value: ClassVar[Callable[[Node, int, bool], Any]]
    """What the node has saved at a place, as users see it; `packing.py` puts it here."""

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dict that is kept with the node, for any use."""
        return self.hooks.metadata

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call `fn(grad_inputs, grad_outputs)` after each backward pass through this node.

        Both are tuples, with None where no gradient flows. `fn` may return a tuple that replaces
        `grad_inputs`.
        """
        return register(self.hooks.after, fn)

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call `fn(grad_outputs)`, with a tuple, before each backward pass through this node.

        `fn` may return a tuple that replaces it.
        """
        return register(self.hooks.before, fn)


def new_node(
    pullback: Pullback,
    edges: tuple[Edge, ...],
    saved: tuple[Any, ...],
    type: TensorType,
    restore: tuple[tuple[tuple[int, ...], TensorType], ...] | None = None,
    inputs: tuple[Any, ...] = (),
) -> Node:
    """A Node. The class has no __init__: hot paths make it and set the slots in half the time."""
    node = Node()
    node.pullback = pullback
    node.edges = edges
    node.saved = saved
    node.type = type
    node.restore = restore
    node.sequence = next(SEQUENCE)
    frame, node.code = outside(getframe(1))
    node.at = frame.f_lasti
    if WATCHERS:
        watch_node(node, inputs)
    return node


_held: ContextVar[list[tuple[Node, tuple[Any, ...]]] | None] = ContextVar(
    "gradcore_held_nodes", default=None
)


@contextlib.contextmanager
def nodes_held() -> Iterator[None]:
    """Show special modes the nodes that are made within it at its end, with what is saved then."""
    outer = _held.get()
    held: list[tuple[Node, tuple[Any, ...]]] = []
    _held.set(held)
    try:
        yield
    finally:
        _held.set(outer)
    for node, inputs in held:
        watch_node(node, inputs)


def watch_node(node: Node, inputs: tuple[Any, ...]) -> None:
    """Show the special modes that are on a new node, and the Tensors that were operated on."""
    held = _held.get()
    if held is not None:
        held.append((node, inputs))
        return
    try:
        for watcher in tuple(WATCHERS):
            watcher.recorded(node, inputs)
    except Exception as error:
        error.raised_by_mode = True  # type: ignore[attr-defined]  # so that no operation explains it
        raise


def watch_tensor(t: Tensor) -> None:
    """Show the special modes that are on a new Tensor."""
    for watcher in tuple(WATCHERS):
        watcher.made(t)


def watch(t: Tensor, *inputs: Any) -> None:
    """`watch_tensor` for the output of an operation, after `watch_node` for its node."""
    if t._node is not None:
        watch_node(t._node, inputs)
    watch_tensor(t)


class Packed:
    """What stands for a saved array that a user's hook has packed.

    Attributes:
        content: what the hook gave for it.
        unpack: the function that makes a Tensor of that.
        shape: of the array, and
        type: its dtype and device, which the Tensor must have again.
    """

    __slots__ = ("content", "shape", "type", "unpack")

    def __init__(
        self,
        content: Any,
        unpack: Callable[[Any], Any],
        shape: tuple[int, ...],
        type: TensorType,
    ) -> None:
        self.content = content
        self.unpack = unpack
        self.shape = shape
        self.type = type

    def tensor(self) -> Tensor:
        """What was packed.

        Raises:
            ArgumentTypeError: the hook gave no Tensor.
            ShapeError: or one of another shape.
        """
        t: Any = self.unpack(self.content)
        if not hasattr(t, "_array"):
            raise ArgumentTypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(t).__qualname__}."
            )
        if t._shape != self.shape:
            raise ShapeError(
                f"the unpack_hook of a saved tensor of size {list(self.shape)} gave one of size "
                f"{list(t._shape)}."
            )
        found: Tensor = t if t._type is self.type else t.to(self.type.device, self.type.dtype)
        return found


class PackedValues(tuple[Any, ...]):
    """What a node has saved, of which some is packed; also a tuple within that."""

    __slots__ = ()

    def unpacked(self) -> tuple[Any, ...]:
        """The arrays themselves."""
        return tuple([_unpacked(value) for value in self])


class PackedList(list[Any]):
    """A list that a node has saved, of which some is packed."""

    __slots__ = ()


def _unpacked(value: Any) -> Any:
    if isinstance(value, Packed):
        return value.tensor()._array
    if isinstance(value, PackedList):
        return [_unpacked(part) for part in value]
    return value.unpacked() if isinstance(value, PackedValues) else value


class AccumulateGrad:
    """What stands at the end of the graph for a leaf: it adds to the leaf's `.grad`.

    Attributes:
        variable: the leaf.
    """

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def name(self) -> str:
        """The name of the function."""
        return "AccumulateGrad"

    @property
    def next_functions(self) -> tuple[()]:
        """Nothing comes before a leaf."""
        return ()

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dict that is kept with the leaf, for any use."""
        return self.variable._own_hooks().metadata

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call `fn((), grad_outputs)` after each time that the leaf's `.grad` was added to."""
        return register(self.variable._own_hooks().after, fn)

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Call `fn(grad_outputs)`, with a tuple of one, before the leaf's `.grad` is added to.

        `fn` may return a tuple that replaces it.
        """
        return register(self.variable._own_hooks().before, fn)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return hash((AccumulateGrad, id(self.variable)))

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


class Cotangents(dict[int, Any]):
    """The cotangents of a node with several outputs, by output number; those absent are zero."""

    __slots__ = ()

    def __add__(self, other: Cotangents) -> Cotangents:
        """The sum, in the first operand: a copy for each of n outputs would cost n**2."""
        for number, g in other.items():
            self[number] = self[number] + g if number in self else g
        return self


_OUTPUT_OF: Final = Pullback(
    "OutputOf", (lambda xp, g, saved: Cotangents({saved[0]: g}),), (METADATA,), (0,)
)


def output_of(node: Node, number: int, type: TensorType) -> Node:
    """The node that stands for output `number` of a `node` with several."""
    node.pullback.several = True
    output = Node()
    output.pullback = _OUTPUT_OF
    output.edges = (node,)
    output.saved = (number,)
    output.type = type
    output.restore = None
    output.sequence = next(SEQUENCE)
    output.code, output.at = node.code, node.at
    return output


class GradientEdge(NamedTuple):
    """The place in a graph where the gradient of a Tensor is computed.

    `get_gradient_edge` makes it; `backward` and `grad` take it in place of the Tensor, which need
    not be kept for that.

    Attributes:
        node: the function that made the Tensor; `AccumulateGrad` of a leaf.
        output_nr: which output of it the Tensor was.
        ownership_token: what `backward` and `grad` know of the Tensor: its shape and type.
    """

    node: Any
    output_nr: int
    ownership_token: Any = None


def stand_for_same(a: Node, b: Node) -> bool:
    """Whether two nodes stand for the same one of several outputs of a node."""
    both = a.pullback.rules is b.pullback.rules is _OUTPUT_OF.rules
    return both and a.edges[0] is b.edges[0] and a.saved == b.saved


def function_of(edge: Edge) -> tuple[Node | AccumulateGrad, int]:
    """The function an edge stands for, and the number of the output it is."""
    if isinstance(edge, Node):
        if edge.pullback.rules is _OUTPUT_OF.rules:
            assert edge.saved is not None
            parent = edge.edges[0]
            assert isinstance(parent, Node)
            return parent, int(edge.saved[0])
        return edge, 0
    return AccumulateGrad(edge), 0
