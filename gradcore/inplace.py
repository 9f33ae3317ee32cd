"""In-place operations: what they write, and what that does to histories.

An in-place operation is made of the operation itself: its result is written into the memory of the
Tensor, which takes the node of the result. Of a view the base takes a node too, `CopySlices`: its
gradient goes to what the base was, but for the part that was written, and that part to what was
written. All other views of the base are then made again, for their histories.

What a node has saved of the values before the write is copied; what others have saved is not, and
their backward raises (`versions.py`), unless the policy is "copy" (`saved.py`).
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any, Final, NoReturn

from . import dtypes
from .batching.array import IN_PLACE, BatchedArray, levels_of
from .device import Array, is_array
from .errors import (
    ArgumentError,
    BatchingError,
    DeviceError,
    DTypeError,
    FusionError,
    GraphError,
    ShapeError,
)
from .graph import METADATA, OUTPUT, SEQUENCE, Node, Pullback, new_node, nodes_held
from .levels import levels
from .mode import (
    WATCHERS,
    enable_grad,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    saved_tensors_policy,
)
from .op import primitive, recorded
from .storage import owner
from .tensor import (
    Lifted,
    Tensor,
    Views,
    as_view,
    is_inference,
    new_tensor,
    outermost,
    root_of,
    wrap,
)
from .versions import note_write

__all__ = ["check_writable", "count_write", "overwrite", "prepare_write", "rearrange", "write"]

Chain = tuple[tuple[Callable[[Tensor, Any], Tensor], Any], ...]
"""How a view is made of its base: functions, each with its argument."""


BEFORE_WRITES: Final[list[Callable[[Array], None]]] = []
"""Called with the array that is to be written to; see `saved.py`."""


# what may be written to ------------------------------------------------------------------------

_FORBIDDEN: Final = {
    "no_grad": (
        "A view was created in no_grad mode and is being modified inplace with grad mode enabled. "
        "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify "
        "your code by moving both the view and the inplace either both inside the no_grad block "
        "(if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
        "be tracked)."
    ),
    "inference": (
        "A view was created in inference mode and is being modified inplace in normal mode. Given "
        "that this use case is ambiguous and error-prone, it is forbidden. You can clarify your "
        "code by moving both the view and the inplace either both inside the inference_mode block "
        "(if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
        "be tracked)."
    ),
    "function": (
        "Output {number} of {name} is a view and is being modified inplace. This view was created "
        "inside a custom Function (or because an input was returned as-is) and the autograd logic "
        "to handle view+inplace would override the custom backward associated with the custom "
        "Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by "
        "cloning the output of the custom Function."
    ),
    "several": (
        "Output {number} of {name} is a view and is being modified inplace. This view is the "
        "output of a function that returns multiple views. Such functions do not allow the output "
        "views to be modified inplace. You should replace the inplace operation by an out-of-place "
        "one."
    ),
    "several without history": (  # PyTorch's words, whatever the mode was
        "A view was created in no_grad mode and is being modified inplace with grad mode enabled. "
        "This view is the output of a function that returns multiple views. Such functions do not "
        "allow the output views to be modified inplace. You should replace the inplace operation "
        "by an out-of-place one."
    ),
}


def check_writable(t: Tensor, recording: bool, may_overlap: bool = False) -> None:
    """Raise what a write to `t` must raise before anything is computed.

    Args:
        t: what is to be written to.
        recording: whether its history will change.
        may_overlap: all elements get one value, so that they may share memory.

    Raises:
        GraphError: it is a leaf that requires grad, a view of one, or a view whose history cannot
            follow.
        ArgumentError: several of its elements share memory, or nobody may write to it.
        FusionError: a function is being traced.
    """
    if t._type.device.kind == 2:
        raise FusionError("a fused function cannot write in place: write x = x + y for x += y.")
    if WATCHERS and is_inference(t) and not is_inference_mode_enabled():
        raise GraphError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make "
            "a clone to get a normal tensor before doing inplace update."
        )
    if recording:
        view = getattr(t, "_view", None)
        if view is not None and view.parent is not None:
            if view.creation in ("no_grad", "inference"):
                raise GraphError(_FORBIDDEN[view.creation])
            if view.creation is not None:
                name, number, kind = view.creation
                if kind == "several" and t._node is None:
                    kind = "several without history"
                raise GraphError(_FORBIDDEN[kind].format(name=name, number=number))
            root = root_of(t)
            if root._node is None and (t._requires_grad or root._requires_grad):
                raise GraphError(
                    "a view of a leaf Variable that requires grad is being used in an in-place "
                    "operation. Write under no_grad(), or to a clone()."
                )
        if t._requires_grad and t._node is None:
            raise GraphError(
                "a leaf Variable that requires grad is being used in an in-place operation. "
                "Write under no_grad(), or to a clone()."
            )
    array = t._array
    if not getattr(array.flags, "writeable", True):
        try:
            array.flags.writeable = True  # a view that NumPy has made, of writeable memory
        except ValueError as error:
            raise ArgumentError(
                "the memory of the tensor is read-only: write to a clone() of it."
            ) from error
    if (
        0 in array.strides
        and not may_overlap
        and array.size
        and any(not step and n > 1 for step, n in zip(array.strides, array.shape, strict=True))
    ):
        raise ArgumentError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )


def _castable(source: dtypes.dtype, target: dtypes.dtype) -> bool:
    """Whether a result of one dtype may be written into a Tensor of another."""
    if source.is_complex and not target.is_complex:
        return False
    if source.is_inexact and not target.is_inexact:
        return False
    return target is not dtypes.bool_ or source is dtypes.bool_


def _check_batch(y: Tensor, t: Tensor) -> None:
    """Raise where what is to be written differs from sample to sample, and the memory does not."""
    own = levels_of(t._array)
    if any(level not in own for level in levels_of(y._array)):
        raise BatchingError(IN_PLACE)


def _check_result(y: Tensor, t: Tensor) -> None:
    if y._type.device.base is not t._type.device.base:
        raise DeviceError(
            f"Expected all tensors to be on the same device, but the result is on {y.device} and "
            f"the tensor to be written to on {t.device}."
        )
    if y._shape != t._shape:
        raise ShapeError(
            f"output with shape {list(t._shape)} doesn't match the broadcast shape "
            f"{list(y._shape)}."
        )
    if not _castable(y.dtype, t.dtype):
        raise DTypeError(
            f"result type {y.dtype.label} can't be cast to the desired output type {t.dtype.label}."
        )


# the write -------------------------------------------------------------------------------------


def write(
    t: Tensor,
    function: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    direct: Callable[[Array], object] | None = None,
    *,
    may_overlap: bool = False,
) -> Tensor:
    """Write `function(t, *args, **kwargs)` into `t`.

    Args:
        t: the Tensor to write to.
        function: an operation whose result has the shape of `t`.
        args: its further arguments.
        kwargs: its arguments by name.
        direct: writes the same into an array on the CPU; called where nothing is recorded.
        may_overlap: see `check_writable`.

    Returns:
        `t`; NotImplemented if the function returned that.

    Raises:
        GraphError, ArgumentError, FusionError: as `check_writable`.
        ShapeError, DTypeError: the result does not fit. Nothing has been written then.
    """
    if levels() or t.__class__ is not Tensor:
        lifted = outermost((t, *args, *kwargs.values()) if kwargs else (t, *args))
        if lifted is not None:
            below = functools.partial(_write, may_overlap=may_overlap)
            return lifted._write(below, t, function, args, kwargs)
    if direct is not None and not WATCHERS and not t._type.device.kind:
        outer = getattr(t, "_view", None)
        if not is_grad_enabled() or not (
            t._requires_grad
            or (outer is not None and root_of(t)._requires_grad)
            or _any_requires_grad(args, kwargs)
        ):
            check_writable(t, False, may_overlap)
            try:
                direct(t._array)
            except TypeError:  # no loop for the dtype: the operation itself says what it takes
                return _write(t, function, args, kwargs, may_overlap)
            count_write(t)
            _follow_silent_write(t)
            return t
    return _write(t, function, args, kwargs, may_overlap)


def _write(
    t: Tensor,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    may_overlap: bool,
) -> Tensor:
    if WATCHERS:
        with nodes_held():  # a mode must not see what is saved until it is what it will be
            return _written(t, function, args, kwargs, may_overlap)
    return _written(t, function, args, kwargs, may_overlap)


def _written(
    t: Tensor,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
    may_overlap: bool,
) -> Tensor:
    recording = is_grad_enabled() and (
        t._requires_grad or root_of(t)._requires_grad or _any_requires_grad(args, kwargs)
    )
    check_writable(t, recording, may_overlap)
    array = t._array
    prepare_write(array)
    own = array.view()
    before = new_tensor(own, t._type, t._shape, t._requires_grad, _node_before(t, recording))
    since = next(SEQUENCE)
    y = function(before, *args, **kwargs) if kwargs else function(before, *args)
    if y is NotImplemented:
        return y  # type: ignore[no-any-return]
    if y._array.__class__ is BatchedArray:
        _check_batch(y, t)
    if y._type is not t._type or y._shape != t._shape:
        _check_result(y, t)
        if recording and y._type is not t._type:
            y = y.to(t._type.device, t._type.dtype)
    if recording and t._requires_grad and not y._requires_grad:
        y = overwrite(before, y)
    node = y._node if recording and y._node is not t._node else None
    saves_result = False if node is None else _own_what_is_saved(node, own, array, since)
    _store(t, y._array)
    if node is None:
        _follow_silent_write(t)
    else:
        if saves_result:
            node.sequence = next(SEQUENCE)  # it has saved what is there after the write
        set_history(t, node)
    return t


def _node_before(t: Tensor, recording: bool) -> Node | None:
    """What made `t`; if it is a view, without the hooks and the other views on the way to its base.

    In PyTorch a write through a view becomes part of the history of the base alone.
    """
    if not recording or t._node is None:
        return t._node
    view = getattr(t, "_view", None)
    if view is None or view.parent is None:
        return t._node
    if t._node.pullback.hooks is None and getattr(view.parent, "_view", None) is None:
        return t._node
    with enable_grad():
        return _follow(_chain_to(t), root_of(t))._node


def prepare_write(array: Array) -> None:
    """Let those who keep copies of what graphs have saved make them before `array` is changed."""
    for prepare in BEFORE_WRITES:
        prepare(array)


def _any_requires_grad(args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> bool:
    for values in (args, kwargs.values() if kwargs else ()):
        for v in values:
            if isinstance(v, Tensor) and v._requires_grad:
                return True
    return False


def _own_what_is_saved(node: Node, own: Array, array: Array, since: int) -> bool:
    """Let new nodes keep what the write changes.

    Args:
        node: of the result, not yet written.
        own: what stands for the values before the write in what it has saved.
        array: what is written to.
        since: a sequence number; nodes after it are new.

    Returns:
        Whether it saves the result, which then is what `array` holds after the write.
    """
    memory = owner(array)
    within = [edge for edge in node.edges if edge.__class__ is Node and edge.sequence < since]
    while within:  # an operation of several nodes
        inner = within.pop()
        inner.saved = tuple(
            [v.copy() if is_array(v) and owner(v) is memory else v for v in inner.saved or ()]
        )
        within += [e for e in inner.edges if e.__class__ is Node and e.sequence < since]
    saved = node.saved
    if not saved:
        return False
    sources = node.pullback.sources
    # Another operand in the same memory: the write changes it, and backward must say so.
    shares = any(
        v is not own and s not in (OUTPUT, METADATA) and is_array(v) and owner(v) is memory
        for v, s in zip(saved, sources, strict=True)
    )
    result = OUTPUT in sources and not shares
    copying = saved_tensors_policy.get() == "copy"
    node.saved = tuple(
        [
            own.copy()
            if v is own
            else array
            if result and s == OUTPUT
            else v.copy()
            if copying and is_array(v) and owner(v) is memory
            else v
            for v, s in zip(saved, sources, strict=True)
        ]
    )
    return result


def _store(t: Tensor, values: Array) -> None:
    """Write `values` into the memory of `t`, and count it."""
    array = t._array
    device = t._type.device

    def store(_: Any) -> None:
        if device.kind and values is not array and owner(values) is owner(array):
            array[...] = values.copy()  # NumPy sees to overlaps, CuPy does not
        else:
            array[...] = values

    device.backend.on(device, store)
    count_write(t)


def count_write(t: Tensor) -> None:
    """Count a write to the memory of `t` that was made, or is about to be."""
    alone = getattr(root_of(t), "_view", None)
    if alone is None:
        note_write(t._array)
    else:
        alone.writes += 1


overwrite: Final = primitive(
    "copy",
    lambda xp, a, b: b,
    lambda xp, g: xp.zeros_like(g),
    lambda xp, g: g,
    graph="CopyBackwards",
)
"""`overwrite(a, b)`: `b`, which has the shape and type of `a`; a zero gradient goes to `a`."""


def rearrange(t: Tensor, function: Callable[..., Tensor], args: tuple[Any, ...]) -> Tensor:
    """Let `t` be what `function(t, *args)` is: the same elements in another shape.

    Args:
        t: the Tensor to change.
        function: gives a view.
        args: its further arguments.
    """
    if isinstance(t, Lifted):
        return t._rearrange(rearrange, function, args)
    recording = is_grad_enabled() and (t._requires_grad or root_of(t)._requires_grad)
    check_writable(t, recording)
    before = new_tensor(t._array, t._type, t._shape, t._requires_grad, t._node)
    view = getattr(t, "_view", None)
    if view is not None:
        before._view = view
    y = function(before, *args)
    if y is not before and getattr(y, "_view", None) is None:
        as_view(y, before, lambda x, more: function(x, *more), args)
    if view is None and not _has_views(t):
        t._array, t._shape = y._array, y._shape
        note_write(t._array)
        if y._node is not None:
            _replace_node(t, y._node)
        return t
    # `before` takes its place: as the base of its views, and as a view of its base.
    if view is not None and view.parent is not None:
        views = view.parent._views
        views[:] = [weakref.ref(before) if held() is t else held for held in views]
    before._views = getattr(t, "_views", None) or Views()
    for reference in before._views:
        child = reference()
        if child is not None:
            child._view.parent = before
    t._views = Views()
    t._array, t._shape = y._array, y._shape
    note_write(t._array)
    if y._node is not None:
        _replace_node(t, y._node)
    if y is not before:
        t._view = y._view
        before._views.append(weakref.ref(t))
    return t


def _has_views(t: Tensor) -> bool:
    return any(held() is not None for held in getattr(t, "_views", ()))


# histories -------------------------------------------------------------------------------------


def set_history(t: Tensor, node: Node) -> None:
    """Let `node` be what made `t`, and all that shares memory with it follow."""
    _replace_node(t, node)
    root = root_of(t)
    if root is not t:
        edges = (node,) if root._node is None else (root._node, node)
        pullback = _SLICES_OF_CONSTANT if root._node is None else _SLICES
        saved = (_chain_to(t), root._array.strides)
        _replace_node(root, new_node(pullback, edges, saved, root._type))
    _refresh_views(root)


def _follow_silent_write(t: Tensor) -> None:
    """After a write that no history tells of: as in PyTorch views are other values then."""
    root = root_of(t)
    if root._requires_grad and hasattr(root, "_views"):
        _refresh_views(root)


def _replace_node(t: Tensor, node: Node) -> None:
    old = t._node
    if old is not None and t.retains_grad:
        retained = old.hooks.retained
        moved = [held for held in retained if held() is t]
        retained[:] = [held for held in retained if held() is not t]
        node.hooks.retained.extend(moved)
    t._node = node
    t._requires_grad = True


def _raise_overridden(xp: Any, g: Any, saved: tuple[str, int, str]) -> NoReturn:
    name, number, _ = saved
    raise GraphError(
        f"Output {number} of {name} is a view and its base or another view of its base has been "
        "modified inplace. This view was created inside a custom Function (or because an input was "
        "returned as-is) and the autograd logic to handle view+inplace would override the custom "
        "backward associated with the custom Function, leading to incorrect gradients. This "
        "behavior is forbidden. You can fix this by cloning the output of the custom Function."
    )


_OVERRIDDEN: Final = Pullback("Overridden", (_raise_overridden,), (METADATA,) * 3, (0,))


def _refresh_views(root: Tensor) -> None:
    """Make the histories of all views of `root` again, each from that of `root` itself."""
    stack: list[tuple[Tensor, Chain]] = [(root, ())]
    while stack:
        parent, chain = stack.pop()
        for reference in getattr(parent, "_views", ()):
            child = reference()
            if child is None or child._view.creation in ("no_grad", "inference"):
                continue
            view = child._view
            if view.creation is not None and view.creation[2] == "function":
                assert root._node is not None
                node = new_node(_OVERRIDDEN, (root._node,), view.creation, child._type)
                _replace_node(child, node)
                continue
            assert view.function is not None
            whole = (*chain, (view.function, view.argument))
            with enable_grad():
                again = _follow(whole, root)
            assert again._node is not None
            _replace_node(child, again._node)
            stack.append((child, whole))


def _chain_to(t: Tensor) -> Chain:
    """How `t` is made of its base."""
    chain = []
    while (view := getattr(t, "_view", None)) is not None and view.parent is not None:
        assert view.function is not None
        chain.append((view.function, view.argument))
        t = view.parent
    return tuple(chain[::-1])


def _follow(chain: Chain, t: Tensor) -> Tensor:
    for function, argument in chain:
        t = function(t, argument)
    return t


def _in_order(g: Array, strides: tuple[int, ...], xp: Any) -> Array:
    """A copy of `g` whose dimensions lie in memory as those of an array of these strides."""
    if g.__class__ is BatchedArray:
        # The samples one after the other.
        return BatchedArray(g.level, _in_order(g.inner, (sys.maxsize, *strides), xp))
    order = sorted(range(g.ndim), key=lambda dim: -abs(strides[dim]))
    copied = xp.zeros(tuple([g.shape[dim] for dim in order]), g)
    copied = copied.transpose([order.index(dim) for dim in range(g.ndim)])
    copied[...] = g
    return copied


def _outside(xp: Any, g: Any, saved: tuple[Chain, tuple[int, ...]]) -> Any:
    """The cotangent of a base: zero where a view of it was written."""
    chain, strides = saved
    if xp is not recorded:
        h = _in_order(g, strides, xp)
        _clear(chain, h)
        return h
    h = _in_order(g._array, strides, g._type.xp)
    h[...] = 1 + 1j if g._type.dtype.is_complex else 1
    _clear(chain, h)
    keep: Any = lambda part, places: xp.keep(part, wrap(g._type.asarray(places != 0)))
    if not g._type.dtype.is_complex:
        return keep(g, h)
    # A view may be of the real parts, or of the imaginary ones.
    return keep(xp.real(g), h.real) + 1j * keep(xp.imag(g), h.imag)


def _clear(chain: Chain, h: Array) -> None:
    """Write zeros into a view of `h`."""
    with no_grad():
        part = _follow(chain, wrap(h))._array
    if not getattr(part.flags, "writeable", True):
        part.flags.writeable = True
    part[...] = 0


def _inside(xp: Any, g: Any, saved: tuple[Chain, tuple[int, ...]]) -> Any:
    """The cotangent of what was written."""
    if xp is recorded:
        return _follow(saved[0], g)
    with no_grad():
        return _follow(saved[0], wrap(_in_order(g, saved[1], xp)))._array


_SLICES: Final = Pullback("CopySlices", (_outside, _inside), (METADATA, METADATA), (0, 1))
_SLICES_OF_CONSTANT: Final = Pullback("CopySlices", (_inside,), (METADATA, METADATA), (None, 0))
