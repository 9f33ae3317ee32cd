"""Functions of the user's own: a forward and its derivative, written over Tensors.

A call makes one Node. It keeps the context `ctx` and what was given to `save_for_backward`: inputs
as they are, outputs as raw arrays, so that the Node and its outputs form no reference cycle.
"""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Final, NoReturn

from ..batching.array import levels as batch_levels
from ..device import TensorType, is_array
from ..errors import ArgumentTypeError, DeviceError, GraphError, ShapeError
from ..graph import (
    FREED,
    METADATA,
    Cotangents,
    Node,
    Packed,
    Pullback,
    Rule,
    new_node,
    output_of,
)
from ..inplace import check_writable, count_write, set_history
from ..mode import INFERENCE_SAVED, WATCHERS, is_grad_enabled, no_grad
from ..op import recorded
from ..packing import hooks_are_set, pack, pack_with_history, unpacked_with_history
from ..tensor import Tensor, as_view, edge_of, is_inference, new_tensor, outermost, wrap
from .forward_function import call_with_tangents
from .function_batches import over_batch

__all__ = ["Function", "FunctionCtx", "once_differentiable"]

_AS_IT_IS: Final = -1
"""In `FunctionCtx._layout`: a Tensor kept as it is. Other numbers name the output it is."""


class _NoTensorError(ArgumentTypeError, RuntimeError):
    """Something that is no Tensor; PyTorch raises a RuntimeError."""


class _State:
    """What gradcore itself keeps in a context; the user's attributes lie in the `__dict__`."""

    __slots__ = (
        "_dirty",
        "_edges",
        "_for_forward",
        "_given",
        "_held",
        "_inputs",
        "_layout",
        "_materialize",
        "_node",
        "_non_differentiable",
        "_output_attributes",
        "_outputs",
        "_stopped",
        "_to_save",
        "needs_input_grad",
    )

    _dirty: tuple[Tensor, ...]
    _edges: tuple[Callable[[], Node | None] | None, ...]
    _for_forward: tuple[Tensor | None, ...]
    _given: tuple[Tensor | None, ...] | None
    _held: tuple[Any, ...] | None
    _inputs: tuple[tuple[tuple[int, ...], TensorType] | None, ...]
    _layout: tuple[int, ...]
    _materialize: bool
    _node: Callable[[], Node | None] | None
    _non_differentiable: tuple[Any, ...]
    _output_attributes: dict[str, tuple[int, Any]] | None
    _outputs: tuple[tuple[tuple[int, ...], TensorType] | None, ...]
    _stopped: frozenset[int]
    _to_save: tuple[Tensor | None, ...]
    needs_input_grad: tuple[bool, ...]


class FunctionCtx(_State):
    """The `ctx` of a `Function`: carries what forward keeps to backward.

    Any attribute can be set on it. Tensors go through `save_for_backward`.

    Attributes:
        needs_input_grad: a bool per argument of forward: whether it requires a gradient.
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._to_save = self._for_forward = ()
        self._given = None
        self._stopped = frozenset()
        self._layout = ()
        self._held = None
        self._materialize = True
        self._dirty = ()
        self._non_differentiable = ()
        self._output_attributes = None
        self._inputs = self._outputs = self._edges = ()
        self._node = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs, outputs or other Tensors for backward; call it once.

        Raises:
            ArgumentTypeError: one is neither a Tensor nor None.
        """
        for number, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise ArgumentTypeError(
                    f"save_for_backward can only save variables, but argument {number} is of type "
                    f"{type(t).__qualname__}. Set other values as attributes: ctx.name = value."
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep Tensors for `jvp`, which finds them in `saved_tensors`; call it once.

        Raises:
            ArgumentTypeError: one is neither a Tensor nor None.
        """
        for number, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise ArgumentTypeError(
                    f"save_for_forward can only save variables, but argument {number} is of type "
                    f"{type(t).__qualname__}. Set other values as attributes: ctx.name = value."
                )
        self._for_forward = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` was given, with the history it had.

        Raises:
            GraphError: it has been freed by an earlier backward.
        """
        if self._given is not None:
            return self._given
        if self._node is None:
            return ()
        held = self._held
        if held is None:
            node = self._node()
            if node is None or node.saved is None:
                raise GraphError(FREED)
            held = node.saved[1]
        return tuple(
            [
                value
                if place != _AS_IT_IS and isinstance(value, Tensor)
                else unpacked_with_history(value)
                if place == _AS_IT_IS
                else self._output(
                    place, value.tensor()._array if isinstance(value, Packed) else value
                )
                for place, value in zip(self._layout, held, strict=True)
            ]
        )

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that no gradient flows through these outputs; they do not require grad.

        Raises:
            ArgumentTypeError: one is not a Tensor.
        """
        for out in outputs:
            if not isinstance(out, Tensor):
                raise _NoTensorError(
                    "mark_non_differentiable only accepts variable arguments, but got "
                    f"{type(out).__qualname__}."
                )
        self._non_differentiable = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (True, the default) or None for an output nobody used."""
        self._materialize = bool(value)

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs forward has changed in place. It must return them.

        `apply` then returns these inputs themselves, with the call as their history.

        Raises:
            ArgumentTypeError: one is not a Tensor.
        """
        for number, t in enumerate(args):
            if not isinstance(t, Tensor):
                raise _NoTensorError(
                    f"mark_dirty can only accept variables, but argument {number} is of type "
                    f"{type(t).__qualname__}."
                )
        self._dirty = args

    def _output(self, number: int, array: Any) -> Tensor:
        """Output `number` of the call, which is `array`, with its history."""
        described, reference = self._outputs[number], self._edges[number]
        if described is None or reference is None:
            return wrap(array)
        shape, type = described
        edge = reference()
        if edge is None and self._node is not None:
            node = self._node()
            edge = None if node is None else output_of(node, number, type)
        return new_tensor(array, type, shape, edge is not None, edge)

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not there: an output among them was taken out by `_release`.
        attributes = None if name in _State.__slots__ else self._output_attributes
        if attributes is None or name not in attributes:
            raise AttributeError(f"ctx has no attribute {name!r}: forward did not set it.")
        return self._output(*attributes[name])

    def _release(self, outputs: dict[int, int]) -> None:
        """Keep outputs set as attributes raw: a Tensor would hold the Node that holds this."""
        found = {
            name: (outputs[id(value)], value._array)
            for name, value in self.__dict__.items()
            if id(value) in outputs
        }
        for name in found:
            del self.__dict__[name]
        if found:
            self._output_attributes = found


class _Held(tuple[Any, ...]):
    """What was given to `save_for_backward`; packed once the history of each is known."""

    __slots__ = ()


def _pack_saved(ctx: FunctionCtx, node: Node) -> None:
    """Have the hooks that are set pack what `save_for_backward` was given."""
    assert node.saved is not None
    packed: list[Any] = []
    for place, value in zip(ctx._layout, node.saved[1], strict=True):
        if value is None:
            packed.append(None)
        elif place == _AS_IT_IS:
            packed.append(pack_with_history(value))
        else:
            packed.append(pack(ctx._output(place, value)))
    node.saved = (ctx, _Held(packed))


class Function:
    """A differentiable function with a derivative of its own. Subclass it and call `apply`.

    Write static methods: either ``forward(ctx, *args)``, or ``forward(*args)`` together with
    ``setup_context(ctx, inputs, output)``; and ``backward(ctx, *grad_outputs)``, which returns a
    gradient (or None) per argument of forward. `vjp` is another name for `backward`. For forward
    mode there is `jvp(ctx, *tangents)`, which returns a tangent (or None) per output::

        class Exp(gradcore.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                y = x.exp()
                ctx.save_for_backward(y)
                return y

            @staticmethod
            def backward(ctx, grad_output):
                (y,) = ctx.saved_tensors
                return grad_output * y

        y = Exp.apply(x)

    Forward runs with recording off. Backward runs with recording on where `create_graph` asks for
    it, so that a backward of differentiable operations can be differentiated again.
    """

    generate_vmap_rule = False

    _pullbacks: ClassVar[dict[Any, Pullback]] = {}
    _signature: ClassVar[inspect.Signature | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._pullbacks = {}
        cls._signature = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise GraphError(
            f"{type(self).__name__} is not to be instantiated (legacy autograd functions with a "
            "non-static forward method are not supported): make forward and backward static "
            f"methods and call {type(self).__name__}.apply(...)."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs: a Tensor, or a tuple of Tensors and other values. Override it."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Keep in `ctx` what backward needs, if forward takes no `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return a gradient (or None) per argument of forward. Override it."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Return a tangent (or None) per output, given one per argument of forward. Override it.

        The arguments without a tangent get zeros, or None after `set_materialize_grads(False)`;
        those that are no Tensors get None. `ctx.saved_tensors` is what `save_for_forward` was
        given.
        """
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """Compute the outputs for all samples of a vmap. Override it where forward cannot.

        Without it, forward runs on Tensors that stand for those of all samples.

        Args:
            info: `batch_size` and `randomness`.
            in_dims: per argument the dimension that holds the samples; None where it is the same
                for all.
            args: the arguments of forward, with that dimension.

        Returns:
            The output, and where the dimension stands in it: an int, None, or a tuple of them.
        """
        raise NotImplementedError("vmap is not implemented.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call forward and record the call. Only Tensors among the arguments themselves count.

        Arguments may come by name; they count in the order in which forward has them. Where there
        is a `setup_context`, defaults are filled in.

        Returns:
            What forward returned, with every Tensor in it replaced by one of the same memory that
            requires grad if an argument does, its dtype can, and it was not marked otherwise. Of
            inputs marked as changed in place, themselves.

        Raises:
            GraphError: an input was marked as changed that was not returned, or whose history
                cannot follow.
        """
        split = cls.setup_context is not Function.setup_context
        if split or kwargs:
            args = _bound(cls, args, kwargs, split)
        lifted = outermost(args)
        if lifted is not None:
            return lifted._function(cls, args)
        if batch_levels() and cls.vmap is not Function.vmap:
            batch = over_batch(cls, args)
            if batch is not None:
                return batch[0]
        return cls._call(args)[0]

    @classmethod
    def _call(cls, args: tuple[Any, ...]) -> tuple[Any, FunctionCtx, tuple[Any, ...]]:
        """Call forward on `args` and record the call.

        Returns:
            The results, the context, and what forward itself returned.
        """
        needs = tuple([isinstance(a, Tensor) and a._requires_grad for a in args])
        ctx = FunctionCtx(needs)
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        single = not isinstance(output, tuple)
        outputs: tuple[Any, ...] = (output,) if single else output
        if ctx._non_differentiable:
            stopped = {id(t) for t in ctx._non_differentiable}
            ctx._stopped = frozenset([n for n, t in enumerate(outputs) if id(t) in stopped])
        recording = True in needs and is_grad_enabled()
        if ctx._dirty:
            _check_dirty(ctx, args, outputs, recording)
        if recording:
            edges = _record(cls, ctx, args, outputs)
        else:
            edges = (None,) * len(outputs)
        results = _results(cls, ctx, args, outputs, edges, recording)
        return results[0] if single else results, ctx, outputs

    _with_tangents = classmethod(call_with_tangents)


_ANOTHER: Final = (
    "If your Function modifies inplace an input that is a view of another Tensor, your Function "
    "cannot return more than one Tensor. This is not supported by the current autograd engine. You "
    "should either make sure the input is not a view (using .clone() for example) or make your "
    "Function only return one Tensor (potentially splitting it into two Functions: one doing the "
    "inplace that returns a single Tensor and a second one that does the other operations)."
)


def _check_dirty(
    ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...], recording: bool
) -> None:
    """Look at the Tensors that were marked as changed in place, and count the writes to them.

    Raises:
        GraphError: one was not returned, or its history cannot follow.
    """
    given = {id(a) for a in args}
    returned = {id(t) for t in outputs}
    dirty = []
    for t in ctx._dirty:
        if id(t) not in returned:
            raise GraphError(
                "Some elements marked as dirty during the forward method were not returned as "
                "output. The inputs that are modified inplace must all be outputs of the Function."
            )
        if id(t) not in given:
            warnings.warn(
                "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that "
                "have been mutated should be passed to ctx.mark_dirty().",
                UserWarning,
                stacklevel=4,
            )
            continue
        dirty.append(t)
        if recording:
            if t._requires_grad and t._node is None:
                raise GraphError(
                    "a leaf Variable that requires grad has been used in an in-place operation."
                )
            check_writable(t, True)
            if t._is_view() and sum(isinstance(out, Tensor) for out in outputs) > 1:
                raise GraphError(_ANOTHER)
    for t in dirty:
        count_write(t)
    ctx._dirty = tuple(dirty)


def _results(
    cls: type[Function],
    ctx: FunctionCtx,
    args: tuple[Any, ...],
    outputs: tuple[Any, ...],
    edges: tuple[Node | None, ...],
    recording: bool,
) -> tuple[Any, ...]:
    """What `apply` returns for what forward returned."""
    given = {id(a) for a in args}
    dirty = {id(t) for t in ctx._dirty}
    ctx._dirty = ()
    made: dict[int, Tensor] = {}
    results: list[Any] = []
    for number, (out, edge) in enumerate(zip(outputs, edges, strict=True)):
        if not isinstance(out, Tensor):
            results.append(out)
            continue
        if id(out) in dirty and (recording or not out._requires_grad):
            if edge is not None:
                set_history(out, edge)
            results.append(out)
            continue
        result = made.get(id(out))
        if result is None:
            array = out._array
            if id(out) in given and out._type.device.kind != 2:  # 2: a function is traced
                array = array.view()
            result = new_tensor(array, out._type, out._shape, edge is not None, edge)
            creation = cls.__name__, number, "function"
            view = getattr(out, "_view", None)
            if id(out) in given:
                as_view(result, out, _alias, None, creation)
            elif view is not None and view.parent is not None:
                as_view(result, view.parent, view.function, view.argument, creation)
        elif edge is not None:
            result._node, result._requires_grad = edge, True  # returned twice: as the last
        if id(out) not in given:
            made[id(out)] = result
        results.append(result)
    return tuple(results)


def _alias(x: Tensor, none: None) -> Tensor:
    return new_tensor(x._array, x._type, x._shape)


def _bound(
    cls: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any], split: bool
) -> tuple[Any, ...]:
    """All arguments of forward as positional ones; with its defaults, if it takes no `ctx`.

    Raises:
        ArgumentTypeError: one cannot be positional, or one before it is missing.
    """
    signature = cls._signature
    if signature is None:
        signature = inspect.signature(cls.forward)
        if not split:
            first, *rest = signature.parameters.values()
            if first.kind is not first.VAR_POSITIONAL:
                signature = signature.replace(parameters=rest)
        cls._signature = signature
    bound = signature.bind(*args, **kwargs)
    if split:
        bound.apply_defaults()
    if bound.kwargs:
        raise ArgumentTypeError(
            f"{cls.__name__}.apply(): {', '.join(bound.kwargs)} cannot be given by name, since all "
            "arguments of forward must be positional, with none left out before one that is given."
        )
    return bound.args


def _record(
    cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], outputs: tuple[Any, ...]
) -> tuple[Node | None, ...]:
    """Make the Node of a call. Returns per output the node that stands for it, or None."""
    stopped = {id(t) for t in ctx._non_differentiable}
    ctx._non_differentiable = ()
    ctx._outputs = tuple([(t._shape, t._type) if isinstance(t, Tensor) else None for t in outputs])
    differentiable = [
        isinstance(t, Tensor) and t._type.recordable and id(t) not in stopped for t in outputs
    ]
    if True not in differentiable:
        return (None,) * len(outputs)
    ctx._inputs = tuple([(a._shape, a._type) if isinstance(a, Tensor) else None for a in args])
    given = {id(a) for a in args} - {id(t) for t in ctx._dirty}
    made = {
        id(t): number
        for number, t in enumerate(outputs)
        if isinstance(t, Tensor) and id(t) not in given
    }
    held = []
    layout = []
    if WATCHERS and any(t is not None and is_inference(t) for t in ctx._to_save):
        raise GraphError(INFERENCE_SAVED)
    for t in ctx._to_save:
        number = made.get(id(t), _AS_IT_IS)
        layout.append(number)
        held.append(t if t is None or number == _AS_IT_IS else t._array)
    ctx._to_save = ()
    ctx._layout = tuple(layout)
    ctx._release(made)
    needs = ctx.needs_input_grad
    tensors = tuple([isinstance(a, Tensor) for a in args])
    key = needs, bool(held), tensors, len(outputs) > 1
    pullback = cls._pullbacks.get(key)
    if pullback is None:
        pullback = cls._pullbacks[key] = _pullback(cls, *key[:3])
    type = outputs[differentiable.index(True)]._type
    node = new_node(
        pullback,
        tuple([edge_of(a) for a, need in zip(args, needs, strict=True) if need]),
        (ctx, _Held(held)),
        type,
    )
    ctx._node = weakref.ref(node)
    if len(outputs) == 1:
        ctx._edges = (ctx._node,)
        if hooks_are_set():
            _pack_saved(ctx, node)
        return (node,)
    edges = tuple(
        [
            output_of(node, number, t._type) if flows else None
            for number, (t, flows) in enumerate(zip(outputs, differentiable, strict=True))
        ]
    )
    # Weak: each of them holds the node, which holds ctx.
    ctx._edges = tuple([None if edge is None else weakref.ref(edge) for edge in edges])
    if hooks_are_set():
        _pack_saved(ctx, node)
    return edges


def _picker(number: int) -> Rule:
    return lambda xp, g, saved: g[number]


def _pullback(
    cls: type[Function], needs: tuple[bool, ...], saves: bool, tensors: tuple[bool, ...]
) -> Pullback:
    """The Pullback of the calls of `cls` whose arguments require gradients as in `needs`."""
    count = 0
    numbers: list[int | None] = []
    for need, is_tensor in zip(needs, tensors, strict=True):
        if is_tensor:
            numbers.append(count if need else None)
        count += need
    name = cls.__name__ + "Backward"

    def joint(xp: Any, g: Any, saved: tuple[Any, ...]) -> list[Any]:
        return _backward(cls, name, xp, g, *saved)

    rules = tuple([_picker(number) for number in range(count)])
    pullback = Pullback(name, rules, (METADATA, METADATA), tuple(numbers), joint)
    pullback.frees = saves
    pullback.context = True
    return pullback


def _backward(
    cls: type[Function], name: str, xp: Any, g: Any, ctx: FunctionCtx, held: tuple[Any, ...]
) -> list[Any]:
    """The gradients of the arguments that require them: Tensors if recorded, else raw arrays."""
    record = xp is recorded
    function = cls.backward
    if cls.vjp is not Function.vjp:
        if function is not Function.backward:
            raise GraphError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                f"You should only implement one of them, and {cls.__name__} has both."
            )
        function = cls.vjp
    cotangents = _cotangents(ctx, g, record)
    ctx._held = held
    try:
        if record:
            result = function(ctx, *cotangents)
        else:
            with no_grad():
                result = function(ctx, *cotangents)
    finally:
        ctx._held = None
    gradients: tuple[Any, ...] = result if isinstance(result, tuple) else (result,)
    inputs = ctx._inputs
    if len(gradients) != len(inputs) and (
        len(gradients) < len(inputs) or any(d is not None for d in gradients[len(inputs) :])
    ):
        raise GraphError(
            f"function {name} returned an incorrect number of gradients "
            f"(expected {len(inputs)}, got {len(gradients)})."
        )
    results = []
    index = 0
    for position, (d, described) in enumerate(zip(gradients, inputs, strict=False)):
        if d is not None and not isinstance(d, Tensor):
            raise GraphError(
                f"function {name}: expected Variable or None (got {type(d).__qualname__}) as the "
                f"gradient of argument {position}."
            )
        if described is None:
            if d is not None:
                raise GraphError(
                    f"function {name} returned a gradient different than None at position "
                    f"{position + 1}, but the corresponding forward input was not a Variable."
                )
            continue
        if ctx.needs_input_grad[position]:
            if d is not None:
                d = _fitted(name, index, d, *described, record)
            results.append(d)
        index += 1
    return results


def _cotangents(ctx: FunctionCtx, g: Any, record: bool) -> list[Tensor | None]:
    """The arguments of the user's backward, one per output of forward."""
    by_number = g if isinstance(g, Cotangents) else {0: g}
    found: list[Tensor | None] = []
    for number, described in enumerate(ctx._outputs):
        d = by_number.get(number)
        if described is None or (d is None and not ctx._materialize):
            found.append(None)
        elif d is None:
            shape, type = described
            found.append(_zeros(shape, type))
        else:
            found.append(d if record else wrap(d if is_array(d) else described[1].asarray(d)))
    return found


def _zeros(shape: tuple[int, ...], type: TensorType) -> Tensor:
    make = lambda module: module.zeros(shape, type.numpy)
    return new_tensor(type.device.backend.on(type.device, make), type, shape)


def _fitted(
    name: str, index: int, d: Any, shape: tuple[int, ...], type: TensorType, record: bool
) -> Any:
    """A gradient in the shape and type of its input: what was broadcast is summed."""
    if d._shape != shape:
        lead = len(d._shape) - len(shape)
        if lead < 0 or any(n not in (1, m) for n, m in zip(shape, d._shape[lead:], strict=True)):
            raise ShapeError(
                f"Function {name} returned an invalid gradient at index {index} - got "
                f"{list(d._shape)} but expected shape compatible with {list(shape)}."
            )
    if d._type is not type:
        if d._type.device.base is not type.device.base:
            raise DeviceError(
                f"Function {name} returned an invalid gradient at index {index} - expected device "
                f"{type.device} but got {d._type.device}."
            )
        if d._type.dtype.is_complex and not type.dtype.is_complex:
            raise GraphError(
                f"Function {name} returned an invalid gradient at index {index} - got "
                f"{d._type.dtype} for an input of {type.dtype}: return its real part."
            )
    if record:
        if d._shape != shape:
            d = recorded.sum_to(d, shape)
        return d if d._type is type else d.to(type.device, type.dtype)
    kind = d._type  # of a batch of cotangents where `type` may be that of one
    array = kind.device.backend.shared(d._array)
    if d._shape != shape:
        array = kind.xp.sum_to(array, shape)
    return array if array.dtype == type.numpy else kind.xp.astype(array, type.numpy)


def _raise_once(xp: Any, g: Any, saved: tuple[Any, ...]) -> NoReturn:
    raise GraphError(
        "trying to differentiate twice a function that was marked with @once_differentiable."
    )


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `Function.backward` that is not itself made of differentiable operations.

    It runs with recording off; a second derivative through it raises GraphError.
    """

    @functools.wraps(backward)
    def once(ctx: Any, *grad_outputs: Any) -> Any:
        with no_grad():
            results = backward(ctx, *grad_outputs)
        sources = [g for g in grad_outputs if isinstance(g, Tensor) and g._requires_grad]
        if not is_grad_enabled() or not sources:
            return results
        node = ctx._node()
        edges = (*[edge_of(g) for g in sources], *(() if node is None else node.edges))
        error = Pullback("Error", (_raise_once,) * len(edges), (), tuple(range(len(edges))))
        several = results if isinstance(results, tuple) else (results,)
        guarded = tuple(
            [
                new_tensor(d._array, d._type, d._shape, True, new_node(error, edges, (), d._type))
                if isinstance(d, Tensor) and d._type.recordable
                else d
                for d in several
            ]
        )
        return guarded if isinstance(results, tuple) else guarded[0]

    return once
