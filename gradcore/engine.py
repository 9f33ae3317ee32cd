"""The backward pass.

The walk visits nodes newest first, so a node's cotangent is complete when its turn comes. It knows
no operation and no device. Leaves are filled at the end, all or none.
"""

from __future__ import annotations

import heapq
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from .anomaly import (
    check_nan,
    check_roots,
    evaluated,
    explain,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
)
from .batches import common_size, enter, fit, leave
from .batching.array import BatchedArray, Level, new_level
from .batching.array import levels as batch_levels
from .batching.loop import PRODUCTS, cotangents_over_batches
from .batching.namespace import batched, fitted
from .device import CPU, Array, Device, TensorType, cast_raw, is_array, type_of
from .errors import ArgumentError, ArgumentTypeError, BatchingError, GraphError, ShapeError
from .fusible import fusible
from .generated import cotangents
from .graph import (
    CONSTANT,
    ENGINE,
    FREED,
    METADATA,
    OUTPUT,
    OUTPUTS,
    SCALAR,
    AccumulateGrad,
    Cotangents,
    Edge,
    GradientEdge,
    Node,
    PackedValues,
    Pullback,
    Rule,
    function_of,
    getframe,
    new_node,
    output_of,
    outside,
    stand_for_same,
    walk_site,
    where,
)
from .hooks import Hooks, run_after, run_before, run_each
from .levels import levels
from .mode import WATCHERS, is_grad_enabled, quiet, restore_warnings, set_grad_enabled, silence
from .op import recorded
from .tensor import Lifted, Tensor, edge_of, new_tensor, wrap
from .uniform import Uniform
from .versions import NEWEST, change, note_write

__all__ = ["backward", "grad"]

_SAME: Final = Pullback("ToCopyBackward0", (lambda xp, g, saved: g,), (), (0,))

_HOST: Final = CPU.xp

_LARGE: Final = 4096
"""Elements from which a sum is written into a buffer rather than into a new array."""


def _references() -> int:
    holder = {0: object()}
    held = holder.get(0)
    return sys.getrefcount(held)


_SOLE: Final = _references()
"""`sys.getrefcount(v)` for a local `v` that one dictionary holds beside it, and nothing else."""


def _walk_silently(
    roots: Iterable[tuple[Edge, Any]],
    retain: bool,
    only: set[Edge] | None = None,
    captured: dict[Edge, Any] | None = None,
) -> dict[Any, Any]:
    """Walk on raw arrays, without NumPy's warnings: an infinite derivative is no mistake."""
    token = silence()
    try:
        if Walk.wanted:
            with Walk(roots, only):
                return _walk(roots, retain, False, only, captured)
        return _walk(roots, retain, False, only, captured)
    finally:
        restore_warnings(token)


class Walk:
    """A backward pass under way, for those who must tell one from another.

    Attributes:
        wanted: how many `WalkWanted` there are; while there are none nothing is noted.
        current: the innermost pass in this thread or task, or None.
        notes: what is kept for the time of the pass.
    """

    wanted: ClassVar[int] = 0
    current: ClassVar[ContextVar[Walk | None]] = ContextVar("gradcore_walk", default=None)

    def __init__(self, roots: Iterable[tuple[Edge, Any]], only: set[Edge] | None) -> None:
        self._roots = [edge for edge, _ in roots]
        self._only = only
        self._reached: set[Edge] | None = None
        self.notes: dict[Any, Any] = {}

    def __enter__(self) -> Walk:
        self._outer = Walk.current.get()
        Walk.current.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        Walk.current.set(self._outer)

    @property
    def is_partial(self) -> bool:
        """Whether it goes to given inputs only."""
        return self._only is not None

    def reaches(self, edge: Edge) -> bool:
        """Whether the gradient of an edge is computed in this pass."""
        if self._reached is None:
            stack = list(self._roots)
            self._reached = set(stack)
            while stack:
                node = stack.pop()
                if isinstance(node, Node):
                    for source in node.edges:
                        if source not in self._reached:
                            self._reached.add(source)
                            stack.append(source)
        return edge in self._reached and (self._only is None or edge in self._only)


_COUNTING: Final = threading.RLock()


class WalkWanted:
    """As long as it lives `Walk.current` is set in backward passes."""

    def __init__(self) -> None:
        with _COUNTING:
            Walk.wanted += 1

    def __del__(self) -> None:
        with _COUNTING:
            Walk.wanted -= 1


def _walk(
    roots: Iterable[tuple[Edge, Any]],
    retain: bool,
    record: bool,
    only: set[Edge] | None = None,
    captured: dict[Edge, Any] | None = None,
) -> dict[Any, Any]:
    """Propagate cotangents from `roots` to the leaves.

    Args:
        roots: edges with their cotangents: Tensors if `record`, else raw arrays.
        retain: keep what the nodes have saved.
        record: read the rules over Tensors.
        only: the edges to reach; None means all.
        captured: filled in for those of its keys that are Nodes.

    Returns:
        The cotangents of the leaves reached.
    """
    pending: dict[Edge, Any] = {}
    heap: list[tuple[int, Node]] = []
    within = batch_levels()
    for edge, g in roots:
        if edge in pending:
            pending[edge] = _sum(edge, pending[edge], g, None)
        else:
            pending[edge] = g
            if edge.__class__ is Node:
                heap.append((edge.sequence, edge))
    heapq.heapify(heap)
    pop, push = heapq.heappop, heapq.heappush
    references = sys.getrefcount
    newest = NEWEST
    retained: list[Any] = []
    current: Device | None = None
    previous: Device | None = None
    node: Node | None = None
    anomaly = bool(WATCHERS) and is_anomaly_enabled()
    inducing = evaluated.get() if anomaly else None
    if anomaly:
        check_roots([g for _, g in roots])
    try:
        while heap:
            node = pop(heap)[1]
            g = pending.pop(node)
            pullback = node.pullback
            hooks = pullback.hooks
            last = False
            if captured is not None and node in captured:
                last = only is not None and not any(edge in only for edge in node.edges)
                captured[node] = g  # as in PyTorch without its hooks, if the walk goes on
            if hooks is not None:
                if hooks.tensor:
                    g = _hooked(hooks.tensor, g, node.type, record)
                if hooks.retained:
                    retained.append((hooks.retained, g))
            if last:
                assert captured is not None
                captured[node] = g
                continue
            saved = node.saved
            if saved is None:
                raise GraphError(FREED)
            if node.sequence > newest[0]:
                check_unchanged(node, saved)
            if saved.__class__ is PackedValues:
                with set_grad_enabled(record):
                    saved = saved.unpacked()
            if anomaly:
                evaluated.set(node)
            given = None
            if hooks is not None:
                if hooks.before:
                    g = _prehooked(hooks.before, g, node, record)
                given = g if hooks.after else None
            rules: tuple[Rule, ...] | None = pullback.rules
            if record:
                xp = recorded
                saved = saved_as_tensors(node, saved)
            else:
                xp = batched if within else node.type.xp
            if xp is _HOST or record or xp is fusible:
                if pullback.joint is not None:
                    g = pullback.joint(xp, g, saved)
            elif xp is batched:
                shared = _shared(node) if pullback.name in PRODUCTS else ()
                rules, g = None, cotangents_over_batches(pullback, g, saved, shared)
            else:
                if node.type.device is not current:
                    current = node.type.device
                    before = current.backend.use(current)
                    previous = previous or before
                vjp = pullback.generated.get(node.type)
                if vjp is None or g.__class__ is Uniform or _merges(node.edges):
                    rules, g = cotangents(node, g, saved)
                else:
                    over = references(g) < _SOLE and g.base is None
                    rules, g = None, vjp(g, saved, over)
            restore = node.restore
            if given is not None:
                g = _posthooked(node, rules, xp, g, saved, given, record)
                rules = restore = None
            if anomaly and is_anomaly_check_nan_enabled():
                g = _checked(node, rules, xp, g, saved, restore, only)
                rules = restore = None
            for number, edge in enumerate(node.edges):
                if only is not None and edge not in only:
                    continue
                d = g[number] if rules is None else rules[number](xp, g, saved)
                if restore is not None and d is not None:
                    d = _restore(xp, d, node.type, *restore[number])
                if xp is not _HOST:
                    if xp is batched or record:
                        d = _returned(edge, d)
                    elif (
                        restore is None and current is not None and d.__class__ is node.type.ndarray
                    ):
                        kind = edge.type if isinstance(edge, Node) else edge._type
                        if d.dtype is not kind.numpy:  # a kernel would take it for that
                            d = kind.xp.astype(d, kind.numpy)
                if edge in pending:
                    if d is None:
                        continue
                    total = pending.get(edge)
                    if (
                        total.__class__ is np.ndarray
                        and total.size >= _LARGE
                        and references(total) <= _SOLE
                        and total.base is None
                        and total.shape == d.shape
                        and d.__class__ is np.ndarray
                    ):
                        np.add(total, d, out=total)
                    elif record or d.__class__ is np.ndarray or isinstance(d, np.generic):
                        pending[edge] = total + d
                    else:
                        pending[edge] = _sum(edge, total, d, current)
                    total = None
                elif d is not None:
                    pending[edge] = d
                    if edge.__class__ is Node:
                        push(heap, (edge.sequence, edge))
            d = None
            if not retain and pullback.frees:
                node.saved = None
    except Exception as error:
        if node is not None:
            explain(error, node)
        raise
    finally:
        if previous is not None:
            previous.backend.use(previous)
        if anomaly:
            evaluated.set(inducing)
    if Hooks.on_leaves:
        leaves: dict[Any, Any] = pending
        for leaf, g in list(leaves.items()):
            hooks = getattr(leaf, "_hooks", None)
            if hooks is not None and hooks.tensor:
                leaves[leaf] = _hooked(hooks.tensor, g, leaf._type, record)
    if retained:
        with set_grad_enabled(record):
            for tensors, g in retained:
                _fill_retained(tensors, g)
    return pending


ENGINE[0] = _walk.__code__


def check_unchanged(node: Node, saved: Iterable[Any]) -> None:
    """Raise if memory that a node has saved was written to since.

    Raises:
        GraphError: it was; the message names it.
    """
    sources: Sequence[int] = node.pullback.sources
    for value, source in zip(saved, sources, strict=True):
        for part in value if isinstance(value, tuple) else (value,):
            array = part._array if isinstance(part, Tensor) else part
            versions = change(array, node.sequence) if is_array(array) else None
            if versions is not None:
                made_by = node.edges[source] if source >= 0 else None
                number = 0
                if source == OUTPUT or source <= OUTPUTS:
                    made_by, number = node, max(OUTPUTS - source, 0)
                kind = type_of(array)
                origin = ""
                if made_by is not None:
                    origin = f"which is output {number} of {_short(made_by)}, "
                raise GraphError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: [{kind} {list(array.shape)}], {origin}is at version "
                    f"{versions[0]}; expected version {versions[1]} instead. "
                    f"{node.name()}, made at {where(node)}, needs it: change a clone() of it, or "
                    "use set_saved_tensors_policy('copy')."
                )


def _short(edge: Edge) -> str:
    return function_of(edge)[0].name().removesuffix("Backward0")


def _kind(edge: Edge) -> TensorType:
    return edge.type if isinstance(edge, Node) else edge._type


def _returned(edge: Edge, d: Any) -> Any:
    """A cotangent for what `edge` came from, as a batch of the levels that that was one of."""
    if d is None or isinstance(d, Cotangents):
        return d
    wanted = _kind(edge).device.levels
    return fit(d, wanted) if isinstance(d, Tensor) else fitted(d, wanted)


def _shared(node: Node) -> list[list[Level]]:
    """Per edge the levels, which run no longer, for all of whose samples it was the same."""
    running = batch_levels()
    own = [level for level in node.type.device.levels if level not in running]
    return [
        [level for level in own if level not in _kind(edge).device.levels] for edge in node.edges
    ]


def _sum(edge: Edge, a: Any, b: Any, current: Device | None) -> Any:
    """The sum of two cotangents, which is computed where they are: on the device of `edge`."""
    device = (edge.type if isinstance(edge, Node) else edge._type).device
    return a + b if device is current else device.backend.on(device, lambda _: a + b)


def _as_tensor(g: Any, type: TensorType, record: bool) -> Any:
    """A cotangent as users see it; one of several outputs without a cotangent is None."""
    if g is None or record:
        return g
    if g.__class__ is BatchedArray:
        return wrap(g)
    array = type.asarray(g.array() if g.__class__ is Uniform else g)
    return new_tensor(array, type, array.shape)


def _raw(t: Any) -> Any:
    """The array of a Tensor that a hook has had; of Cotangents or None, itself."""
    return t._type.device.backend.shared(t._array) if isinstance(t, Tensor) else t


def _hooked(hooks: dict[int, Any], g: Any, type: TensorType, record: bool) -> Any:
    """A cotangent after the hooks of its Tensor."""
    with set_grad_enabled(record and is_grad_enabled()):
        t = run_each(hooks, _as_tensor(g, type, record))
    return t if record else _raw(t)


def _outputs(g: Any, node: Node, record: bool) -> tuple[Any, ...]:
    """The cotangents of a node's outputs, as users see them."""
    if isinstance(g, Cotangents):
        return tuple([_as_tensor(g.get(n), node.type, record) for n in range(max(g) + 1)])
    return (_as_tensor(g, node.type, record),)


def _prehooked(hooks: dict[int, Any], g: Any, node: Node, record: bool) -> Any:
    """The cotangent of a node after the hooks before it."""
    with set_grad_enabled(record and is_grad_enabled()):
        given = run_before(hooks, _outputs(g, node, record))
    raw = [t if record else _raw(t) for t in given]
    if isinstance(g, Cotangents):
        return Cotangents({n: t for n, t in enumerate(raw) if t is not None})
    return raw[0]


def _posthooked(
    node: Node,
    rules: tuple[Rule, ...] | None,
    xp: Any,
    g: Any,
    saved: tuple[Any, ...],
    given: Any,
    record: bool,
) -> list[Any]:
    """The cotangents that a node passes on, one per edge, after the hooks behind it."""
    made: list[Any] = []
    for number, edge in enumerate(node.edges):
        d = g[number] if rules is None else rules[number](xp, g, saved)
        if d is not None:
            if node.restore is not None:
                d = _restore(xp, d, node.type, *node.restore[number])
            if not isinstance(d, Cotangents):
                kind = edge.type if edge.__class__ is Node else edge._type
                d = _as_tensor(d, kind, record)
        made.append(d)
    pullback = node.pullback
    assert pullback.hooks is not None
    inputs = tuple([None if n is None else made[n] for n in pullback.inputs])
    with set_grad_enabled(record and is_grad_enabled()):
        after = run_after(pullback.hooks.after, inputs, _outputs(given, node, record))
    for n, t in zip(pullback.inputs, after, strict=True):
        if n is not None:
            made[n] = t
    return made if record else [_raw(t) for t in made]


def _checked(
    node: Node,
    rules: tuple[Rule, ...] | None,
    xp: Any,
    g: Any,
    saved: tuple[Any, ...],
    restore: Any,
    only: set[Edge] | None,
) -> list[Any]:
    """The cotangents that a node passes on, one per edge, none of which is nan."""
    made: list[Any] = []
    for number, edge in enumerate(node.edges):
        d = None
        if only is None or edge in only:
            d = g[number] if rules is None else rules[number](xp, g, saved)
            if restore is not None and d is not None:
                d = _restore(xp, d, node.type, *restore[number])
            check_nan(node, number, d)
        made.append(d)
    return made


def _merges(edges: tuple[Edge, ...]) -> bool:
    return edges[0] is edges[-1] and len(edges) == 2


def _restore(xp: Any, d: Any, source: TensorType, shape: tuple[int, ...], type: TensorType) -> Any:
    """The adjoint of broadcasting and promotion: `d` in the shape and type of the input."""
    if xp is recorded:
        if d._shape != shape:
            d = xp.sum_to(d, shape)
        return d if d._type is type else d.to(type.device, type.dtype)
    if d.__class__ is Uniform:
        d = d.restored(shape, type)
        return d if type.device.kind == 1 else d.own()
    if d.shape != shape:
        d = xp.sum_to(d, shape)
    if d.dtype != type.numpy:
        d = xp.astype(d, type.numpy)
    if source.device is not type.device:
        d = cast_raw(d, TensorType(source.device, type.dtype), type)
    return d


def saved_as_tensors(node: Node, saved: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a node has saved as Tensors, with the edges their gradients take."""
    edges = node.edges
    values = []
    for value, source in zip(saved, node.pullback.sources, strict=True):
        if source >= 0:
            values.append(with_history(value, edges[source]))
        else:
            values.append(saved_as_tensor(node, value, source))
    found = tuple(values)
    for lift in getattr(node, "lifts", ()):
        found = lift(found)
    return found


def saved_as_tensor(node: Node, value: Any, source: int) -> Any:
    """One value that a node has saved as a Tensor; metadata as it is."""
    if source == METADATA:
        return value
    if source == SCALAR:
        # On the CPU what is not an array is for a rule that takes Python numbers.
        base = node.type.device.base
        if not hasattr(value, "dtype") and base.kind == 1:
            value = TensorType(base, node.type.dtype).constant(value)
        return wrap(value) if hasattr(value, "dtype") else value
    if source == CONSTANT:
        return wrap(value)
    if source == OUTPUT:
        return new_tensor(value, node.type, value.shape, True, node)
    if source <= OUTPUTS:
        kind = type_of(value)
        if not kind.recordable:
            return wrap(value)
        edge = output_of(node, OUTPUTS - source, kind)
        return new_tensor(value, kind, value.shape, True, edge)
    return with_history(value, node.edges[source])


def with_history(value: Array, edge: Edge) -> Tensor:
    """A Tensor of an array whose gradient goes to `edge`."""
    t = wrap(value, True)
    if not isinstance(edge, Node):
        if edge._array is value:
            return edge
        # It was promoted before it was saved (or the leaf has new data since).
        t._node = new_node(_SAME, (edge,), (), t._type, ((edge._shape, edge._type),))
    elif edge.type is t._type:
        t._node = edge
    else:
        t._node = new_node(_SAME, (edge,), (), t._type, ((t._shape, edge.type),))
    return t


def _fill_retained(references: Iterable[Callable[[], Tensor | None]], g: Any) -> None:
    for reference in references:
        t = reference()
        if t is not None:
            new = g.clone() if isinstance(g, Tensor) else wrap(_own(g, t._type))
            t._grad = new if t._grad is None else t._grad + new


def _own(g: Any, type: TensorType) -> Array:
    """A contiguous copy of `g`."""
    if g.__class__ is Uniform:
        return g.own()
    copy = lambda module: module.array(g, dtype=type.numpy, order="C", copy=True)
    return type.device.backend.on(type.device, copy)


_FILLING: Final = threading.RLock()
"""Held while leaves are filled: NumPy lets other threads run inside a large addition."""


def _fill_leaves(leaves: dict[Any, Any], record: bool) -> None:
    """Add cotangents to the `.grad` of leaves; memory is shared with nothing else."""
    hooked: list[tuple[Tensor, Any]] = []
    if Hooks.on_leaves:
        with set_grad_enabled(record):
            for leaf, g in leaves.items():
                hooks = getattr(leaf, "_hooks", None) if leaf._requires_grad else None
                if hooks is None or not (hooks.before or hooks.after or hooks.accumulated):
                    continue
                (t,) = run_before(hooks.before, (_as_tensor(g, leaf._type, record),))
                leaves[leaf] = t if record else _raw(t)
                hooked.append((leaf, t))
    with _FILLING:
        if record:
            with set_grad_enabled(True):
                for leaf, g in leaves.items():
                    if not leaf._requires_grad:
                        continue
                    old = leaf._grad
                    leaf._grad = g.clone() if old is None else old + g
        else:
            _fill_raw(leaves)
    for leaf, g in hooked:
        with set_grad_enabled(record):
            for hook in list(leaf._hooks.after.values()):
                hook((), (g,))
            for hook in list(leaf._hooks.accumulated.values()):
                hook(leaf)


def _fill_raw(leaves: dict[Tensor, Any]) -> None:
    references = sys.getrefcount
    made: list[tuple[Tensor, Tensor]] = []
    for leaf in leaves:
        held = leaf._grad
        if held is not None and held._shape is not leaf._shape and held._shape != leaf._shape:
            raise ShapeError(  # before anything is filled: the leaf was rearranged in place
                f"output with shape {list(held._shape)} doesn't match the broadcast shape "
                f"{list(leaf._shape)}: the gradient held has another shape than the leaf."
            )
    while leaves:
        leaf, g = leaves.popitem()
        if not leaf._requires_grad:  # no more: it was switched off since
            continue
        type = leaf._type
        held = leaf._grad
        if held is None:
            if not (
                g.__class__ is type.ndarray
                # In `_references` a dictionary held it too: here it is one reference less.
                and references(g) < _SOLE
                and g.base is None
                and g.dtype is type.numpy
                and g.flags.c_contiguous
            ):
                g = _own(g, type)
            made.append((leaf, new_tensor(g, type, leaf._shape)))
        elif type.device is not CPU:
            held._array = _added(held, g)
        else:
            total = held._array
            if _writeable(total):
                total += g
                # Views see the sum, as in PyTorch; a graph that has saved it must notice.
                if references(total) > _SOLE or total.base is not None or held._node is not None:
                    note_write(total)
            else:
                held._array = type.asarray(total + g)
    for leaf, grad in made:  # after all that may run out of memory
        leaf._grad = grad


def _added(held: Tensor, g: Any) -> Array:
    type = held._type
    g = g.value.item() if g.__class__ is Uniform else g
    total = type.device.backend.on(type.device, lambda _: type.xp.add(held._array, g))
    return type.asarray(total)


def _writeable(array: Array) -> bool:
    """Whether `array` can be added to in place: each element has a place of its own."""
    flags = array.flags
    own = flags.forc or array.size < 2 or 0 not in array.strides
    return bool(own and flags.writeable)


# what users call -----------------------------------------------------------------------------

Differentiable: TypeAlias = Tensor | GradientEdge | Sequence[Tensor | GradientEdge]

_ONES: Final[dict[TensorType, Array]] = {}


def _one(type: TensorType) -> Array:
    """A 0-d one, which nobody may write to."""
    if type.device.kind == 1:
        return type.constant(1)
    found = _ONES.get(type)
    if found is None:
        found = type.asarray(1, dtype=type.numpy)
        if isinstance(found, np.ndarray):
            found.flags.writeable = False
        _ONES[type] = found
    return found


def _seed(t: Tensor, g: Any, number: int, record: bool) -> Any:
    """The cotangent of output `t`: `g` checked and cast, or the implicit one of a scalar."""
    if not t._requires_grad and (not isinstance(g, Tensor) or g._shape == t._shape):
        raise GraphError(
            f"element {number} of tensors does not require grad and does not have a grad_fn."
        )
    type = t._type
    if g is None:
        if t._shape is None:
            raise GraphError(
                "grad can be implicitly created only for scalar outputs, and of a GradientEdge "
                "that get_gradient_edge has not made the shape is not known: pass a gradient."
            )
        if t._array.size != 1:
            raise GraphError(
                "grad can be implicitly created only for scalar outputs, and this output has "
                f"shape {t.shape}: pass a gradient of that shape."
            )
        if type.dtype.is_complex:
            raise GraphError(
                f"grad can be implicitly created only for real scalar outputs but got {type.dtype}."
            )
        if type.device.kind == 1 and not record and not batch_levels():
            return Uniform(1, t._shape, type)
        one = _one(type)
        raw = one if not t._shape else _own(one.reshape(t._shape), type)
        return new_tensor(raw, type, t._shape) if record else raw
    if not isinstance(g, Tensor):
        raise ArgumentTypeError(
            f"gradients can be either Tensors or None, but got {g.__class__.__qualname__}."
        )
    if g._shape != t._shape and t._shape is not None:
        raise ShapeError(
            f"Mismatch in shape: grad_output[{number}] has a shape of {g.shape} and "
            f"output[{number}] has a shape of {t.shape}."
        )
    if g._type.dtype.is_complex is not type.dtype.is_complex:
        raise GraphError(
            f"For complex Tensors, both grad_output and output are required to have the same "
            f"dtype. Mismatch in dtype: grad_output[{number}] has a dtype of {g.dtype} and "
            f"output[{number}] has a dtype of {t.dtype}."
        )
    if record:
        return g if g._type is type else g.to(type.device, type.dtype)
    return cast_raw(g._array, g._type, type)


def _tuple(values: Any) -> tuple[Any, ...]:
    if isinstance(values, Tensor | GradientEdge) or values is None:
        values = (values,)
    return tuple([_tensor_of(v) if isinstance(v, GradientEdge) else v for v in values])


def _given(values: Any) -> tuple[Any, ...]:
    """As `_tuple`, with edges as they are."""
    return (values,) if isinstance(values, Tensor | GradientEdge) else tuple(values)


def _tensor_of(edge: GradientEdge) -> Tensor:
    """A Tensor that stands for an edge; its values are not those, its shape None if not known."""
    node, number, token = edge
    if isinstance(token, Tensor):
        return token
    if isinstance(node, AccumulateGrad):
        return node.variable
    if not isinstance(node, Node):
        raise ArgumentTypeError(
            f"the node of a GradientEdge must be a Node, not {type(node).__qualname__}."
        )
    if node.pullback.several:
        node = output_of(node, number, node.type)
    shape: Any = None
    return new_tensor(_one(node.type), node.type, shape, True, node)


def stand_in(t: Tensor) -> Tensor:
    """A Tensor without the values of `t`, of its shape, type and history."""
    if t._node is None:
        return t
    array = t._type.xp.broadcast_to(_one(t._type), t._shape)
    return new_tensor(array, t._type, t._shape, True, t._node)


def _roots(tensors: tuple[Tensor, ...], gradients: Any, record: bool) -> list[tuple[Edge, Any]]:
    record = record or bool(levels())
    seeds = _tuple(gradients)
    if gradients is None:
        seeds = (None,) * len(tensors)
    if len(seeds) != len(tensors):
        raise ArgumentError(f"got {len(tensors)} tensors and {len(seeds)} gradients.")
    return [
        (edge_of(t), _seed(t, g, number, record))
        for number, (t, g) in enumerate(zip(tensors, seeds, strict=True))
    ]


def _run(
    roots: list[tuple[Edge, Any]],
    retain_graph: bool | None,
    create_graph: bool,
    inputs: Sequence[Tensor] | None = None,
) -> dict[Any, Any]:
    """Walk from `roots`; with `inputs`, only to these. The cotangents by edge."""
    retain = create_graph if retain_graph is None else retain_graph
    only: set[Edge] | None = None
    captured: dict[Edge, Any] | None = None
    if inputs is not None:
        for t in inputs:
            if t._shape is None:
                _find_output(t, [edge for edge, _ in roots])
        targets = {t._node or t for t in inputs}
        only = _leading_to(targets, (edge for edge, _ in roots))
        # Of a root that leads to none of them the hooks run all the same, as in PyTorch.
        idle = [edge for edge, _ in roots if edge not in only]
        captured = dict.fromkeys([e for e in (*targets, *idle) if e.__class__ is Node])
    if create_graph or levels():  # the derivative may itself be followed
        known = walk_site.get()
        walk_site.set(outside(getframe(1))[0])
        try:
            with set_grad_enabled(create_graph), quiet(), Walk(roots, only):
                found = _walk(roots, retain, True, only, captured)
        finally:
            walk_site.set(known)
        if captured is not None:
            found.update((edge, g) for edge, g in captured.items() if g is not None)
            captured = None
        if not create_graph:
            found = {edge: _plain(g) for edge, g in found.items()}
    else:
        found = _walk_silently(roots, retain, only, captured)
    if captured is not None:
        found.update((edge, g) for edge, g in captured.items() if g is not None)
    return found


def _plain(g: Any) -> Any:
    """A cotangent as the walk on arrays gives it, if nothing follows it."""
    return g if isinstance(g, Lifted) else _raw(g)


def _find_output(t: Tensor, roots: Sequence[Edge]) -> None:
    """Have `t`, made of a GradientEdge, come from the node that stands for its output there."""
    made = t._node
    assert made is not None
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if isinstance(node, Node):
            if stand_for_same(node, made):
                t._node = node
                return
            fresh = [edge for edge in node.edges if edge not in seen]
            seen.update(fresh)
            stack += fresh


def _leading_to(targets: set[Edge], roots: Iterable[Edge]) -> set[Edge]:
    """The edges at or before `roots` from which one of `targets` is reached."""
    stack = [edge for edge in roots if edge.__class__ is Node]
    nodes = set(stack)
    while stack:
        for edge in stack.pop().edges:
            if edge.__class__ is Node and edge not in nodes:
                nodes.add(edge)
                stack.append(edge)
    found = set(targets)
    for node in sorted(nodes, key=attrgetter("sequence"), reverse=True):  # oldest first
        for edge in node.edges:
            if edge in found:
                found.add(node)
                break
    return found


def backward(
    tensors: Differentiable,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Differentiable | None = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of leaves.

    Args:
        tensors: the outputs to differentiate, or their GradientEdges.
        grad_tensors: per output the cotangent v of the vector-Jacobian product, of the output's
            shape; None for outputs with one element, where it is 1.
        retain_graph: keep what the graph has saved, for another backward. Default: create_graph.
        create_graph: record the backward pass itself, so that gradients can be differentiated.
        inputs: the Tensors (or GradientEdges of leaves) whose `.grad` to fill; default: all leaves.
            Those that are no leaves retain their grad from now on.

    Raises:
        GraphError: an output does not require grad; one has several elements and no cotangent; the
            graph has been freed by an earlier backward. No `.grad` is changed then.
        ShapeError: a cotangent has another shape than its output.
    """
    outputs = _tuple(tensors)
    wanted = None
    _check_no_vmap()
    if inputs is not None:
        wanted = _tuple(inputs)
        if not wanted:
            raise ArgumentError("'inputs' argument to backward() cannot be empty.")
    if create_graph:
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the "
            "parameter and its gradient which can cause a memory leak. Use autograd.grad when "
            "creating the graph to avoid this, or reset the .grad fields of your parameters to "
            "None after use to break the cycle.",
            UserWarning,
            stacklevel=3,
        )
    roots = _roots(outputs, grad_tensors, create_graph)
    if not roots:
        return
    if wanted is not None:
        for t in _given(inputs):
            if isinstance(t, Tensor):
                t.retain_grad()  # as PyTorch does: from then on it is filled
    found = _run(roots, retain_graph, create_graph, wanted)
    del roots
    if wanted is not None:  # those that are no leaves were filled in passing
        found = {t: found[t] for t in wanted if t._node is None and t in found}
    if not create_graph and levels():
        found = {leaf: _raw(g) for leaf, g in found.items()}  # `.grad` is detached
    _fill_leaves(found, create_graph)


def _check_no_vmap() -> None:
    if batch_levels():
        raise BatchingError(
            "backward() called inside a functorch transform. This is not supported, please use "
            "func.grad, func.vjp or autograd.grad instead, or call backward() outside of vmap."
        )


def _backward_method(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of this Tensor to the `.grad` of leaves. See `gradcore.autograd.backward`.

    Args:
        self: the output to differentiate.
        gradient: the cotangent v, of this Tensor's shape; may be left out for one element.
        retain_graph: keep what the graph has saved, for another backward. Default: create_graph.
        create_graph: record the backward pass itself, so that gradients can be differentiated.
        inputs: the Tensors whose `.grad` to fill; default: all leaves.
    """
    if create_graph or inputs is not None or levels():
        backward(self, gradient, retain_graph, create_graph, inputs)
    else:
        if batch_levels():
            _check_no_vmap()
        root = self._node or self, _seed(self, gradient, 0, False)
        _fill_leaves(_walk_silently((root,), bool(retain_graph)), False)


_backward_method.__name__ = "backward"
Tensor.backward = _backward_method  # type: ignore[assignment, method-assign]


def grad(
    outputs: Differentiable,
    inputs: Differentiable,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`; no `.grad` is touched.

    Args:
        outputs: what to differentiate: Tensors or GradientEdges.
        inputs: with respect to what: leaves or intermediate Tensors, or GradientEdges.
        grad_outputs: per output its cotangent, as for `backward`.
        retain_graph: keep what the graph has saved, for another backward. Default: create_graph.
        create_graph: record the backward pass itself, so that gradients can be differentiated.
        only_inputs: must be True.
        allow_unused: give None for an input that the outputs do not depend on, instead of raising.
        is_grads_batched: the first dimension of each of `grad_outputs` is that of a batch of
            cotangents, and of each result that of a batch of gradients, which are computed at once.
        materialize_grads: give zeros instead of None.

    Returns:
        A gradient per input. They may share memory with one another and with `grad_outputs`.

    Raises:
        GraphError: an input is unused or does not require grad; and as for `backward`.
    """
    if is_grads_batched:
        return _grads_of_batch(
            _tuple(outputs),
            grad_outputs,
            lambda cotangents: grad(
                outputs,
                inputs,
                cotangents,
                retain_graph,
                create_graph,
                only_inputs,
                allow_unused,
                materialize_grads=materialize_grads,
            ),
        )
    if not only_inputs:
        raise ArgumentError("only_inputs=False is not supported: call backward() instead.")
    if materialize_grads and allow_unused is False:
        raise ArgumentError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, "
            "but got: allow_unused=False."
        )
    wanted = _tuple(inputs)
    if not wanted:
        raise ArgumentError("grad requires non-empty inputs.")
    for t in wanted:
        if not isinstance(t, Tensor):
            raise ArgumentTypeError(
                f"all inputs have to be Tensors or GradientEdges, but got {type(t).__qualname__}."
            )
    roots = _roots(_tuple(outputs), grad_outputs, create_graph)
    if not all(t._requires_grad for t in wanted):
        raise GraphError("One of the differentiated Tensors does not require grad.")
    found = _run(roots, retain_graph, create_graph, wanted)
    results: list[Tensor | None] = []
    for number, t in enumerate(wanted):
        kind = t._type
        g = found.get(t._node or t)
        if g.__class__ is BatchedArray:
            kind = type_of(g)
        if g.__class__ is kind.ndarray and t._shape:
            result: Tensor = Tensor()
            result._array = g
            result._type = kind
            result._shape = t._shape
            result._node = result._grad = None
            result._requires_grad = False
            results.append(result)
        elif g is None:
            if not (allow_unused or materialize_grads):
                raise GraphError(
                    f"The differentiated Tensor at index {number} appears to not have been used in "
                    "the graph. Set allow_unused=True if this is the desired behavior."
                )
            if materialize_grads:
                if isinstance(_given(inputs)[number], GradientEdge):
                    raise GraphError(
                        "materialize_grads cannot be used when the given input is a GradientEdge"
                    )
                zeros = kind.xp.zeros(t._shape, t._array)
                results.append(new_tensor(zeros, kind, t._shape, create_graph))
            else:
                results.append(None)
        elif isinstance(g, Tensor):
            results.append(g)
        else:
            # The implicit cotangent is one array for all: nobody may write to it.
            shared = g is _ONES.get(kind) or g.__class__ is Uniform
            array = _own(g, kind) if shared else kind.asarray(g)
            results.append(new_tensor(array, kind, array.shape))
    return tuple(results)


def _grads_of_batch(
    outputs: tuple[Tensor, ...],
    cotangents: Any,
    run: Callable[[list[Tensor | None]], tuple[Tensor | None, ...]],
) -> tuple[Tensor | None, ...]:
    """What `run` gives for each of a batch of cotangents, as batches."""
    seeds = _tuple(cotangents)
    for number, (t, g) in enumerate(zip(outputs, seeds, strict=False)):
        if isinstance(g, Tensor) and g._shape[1:] != t._shape:
            raise ShapeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                "match the shape of corresponding output, but a mismatch was detected: "
                f"grad_output[{number}] has a shape of {g.shape} and output[{number}] has a shape "
                f"of {t.shape}. If you only want some tensors in `grad_output` to be considered "
                "batched, consider using vmap."
            )
    size = common_size([g._shape[0] for g in seeds if isinstance(g, Tensor)])
    with new_level(size) as level:
        found = run([enter(g, level, 0) if isinstance(g, Tensor) else g for g in seeds])
        return tuple([None if d is None else leave(d, level, 0) for d in found])
