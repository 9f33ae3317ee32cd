"""Fused functions: `fuse` turns a function of Tensors into one kernel per stage.

A call looks its signature up: the dtypes, shapes and devices of the Tensors, which of them require
grad, and all other arguments. For a new one the function is traced (`trace.py`), put in normal form
(`graph.py`) and made into a program (`host.py`, `cuda.py`). A call that is recorded makes one Node,
which keeps the inputs; its VJP is a program of its own, which computes again what it needs.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, overload

import numpy as np

from .. import dtypes
from ..device import SYMBOLIC, Device, TensorType, is_array
from ..errors import ArgumentError, ArgumentTypeError, FusionError, GradcoreError
from ..graph import CONSTANT, METADATA, Cotangents, Node, Pullback, new_node, output_of
from ..mode import is_grad_enabled
from ..op import common_device, recorded
from ..symbols import NotElementwise, Symbol
from ..tensor import Lifted, Tensor, new_tensor, wrap
from . import cuda, host
from .trace import Trace, leaf, listed, refused, traced

__all__ = ["CacheInfo", "Fused", "fuse"]


class CacheInfo(NamedTuple):
    """What a fused function has done: calls, and how many of them had to be traced.

    Attributes:
        hits: calls whose signature was known.
        misses: calls that were traced.
        maxsize: how many signatures are kept.
        currsize: how many there are.
    """

    hits: int
    misses: int
    maxsize: int
    currsize: int


def _program(
    name: str, device: Device, trace: Trace, silenced: bool, saved: Sequence[Symbol] = ()
) -> Any:
    """What computes the outputs of a trace that are not None, and then `saved`.

    See `Graph` for `silenced`.
    """
    inputs = [x._array for x in trace.inputs]
    outputs = [y._array for y in trace.outputs if y is not None] + list(saved)
    if device.kind:
        return cuda.Program(name, device, inputs, trace.numbers, outputs)
    return host.Program(inputs, trace.numbers, outputs, silenced)


def _picker(number: int) -> Any:
    return lambda xp, g, saved: g[number]


class Call:
    """A traced function on one device, as it is called and recorded.

    Args:
        name: of the function.
        trace: of it.
        device: of the arrays.
        silenced: NumPy's warnings are off whenever it is called.
    """

    def __init__(self, name: str, trace: Trace, device: Device, silenced: bool = False) -> None:
        self._name = name
        self._trace = trace
        self._device = device
        self._kinds = [
            None if y is None else TensorType(device, y._type.dtype) for y in trace.outputs
        ]
        self._flows = [y is not None and y._requires_grad for y in trace.outputs]
        # An output that is an input is that Tensor itself.
        places = {id(x): i for i, x in enumerate(trace.inputs)}
        self._given = [places.get(id(y)) for y in trace.outputs]
        self._wanted = [i for i, x in enumerate(trace.inputs) if x._requires_grad]
        self._records = any(
            flows and given is None for flows, given in zip(self._flows, self._given, strict=True)
        )
        # One output, which is no input: the usual case.
        self._is_plain = self._given == [None] and None not in self._kinds
        self._vjps: dict[Any, Any] = {}
        self._lock = threading.RLock()
        self._saved: list[Symbol] = []
        if self._records and not device.kind:
            self._save()
        self._program = _program(name, device, trace, silenced, self._saved)
        if self._records:
            self._pullback = self._made_pullback()

    def _save(self) -> None:
        """Find what to keep for the usual backward, and make that."""
        trace = self._trace
        try:
            vjp = traced(self._name, lambda: trace.vjp(self._flows, None), False)
        except Exception:
            return  # backward will say what is wrong
        gradients = [d._array for d in vjp.outputs if d is not None]
        self._saved = host.worth_saving(
            [y._array for y in trace.outputs if y is not None], gradients
        )
        if self._saved:
            given = {
                id(s): Symbol.input(f"y{i}", s.dtype, s.shape) for i, s in enumerate(self._saved)
            }
            inputs = [x._array for x in vjp.inputs] + list(given.values())
            self._backward = host.Program(inputs, vjp.numbers, gradients, True, given)
            self._is_zero = [d is None for d in vjp.outputs]

    @property
    def text(self) -> str:
        """The program."""
        return str(self._program.text)

    @property
    def backward_texts(self) -> list[str]:
        """The program of the backward, if there is one."""
        if not self._records:
            return []
        if self._saved:
            return [self._backward.text]
        return [self.vjp(tuple(self._flows), None).text]

    def __call__(self, tensors: Sequence[Tensor], numbers: tuple[float, ...]) -> list[Any]:
        """The outputs; None where the trace has None."""
        arrays = [t._array for t in tensors]
        found = self._program(arrays, numbers)
        node = None
        if self._records:
            saved = found[len(found) - len(self._saved) :]
            node = self._node(tensors, (*arrays, *saved, numbers))
        if self._is_plain:
            (first, *_), (only,) = found, self._kinds
            assert only is not None
            return [new_tensor(first, only, first.shape, node is not None, node)]
        results: list[Any] = []
        computed = iter(found)
        for number, kind in enumerate(self._kinds):
            array: Any = None if kind is None else next(computed)
            place = self._given[number]
            if kind is None:
                results.append(None)
            elif place is not None:
                results.append(tensors[place])
            elif node is not None and self._flows[number]:
                edge = node if len(self._kinds) == 1 else output_of(node, number, kind)
                results.append(new_tensor(array, kind, array.shape, True, edge))
            else:
                results.append(new_tensor(array, kind, array.shape))
        return results

    def _node(self, tensors: Sequence[Tensor], saved: tuple[Any, ...]) -> Node:
        inputs = [tensors[i] for i in self._wanted]
        first = self._kinds[self._flows.index(True)]
        assert first is not None
        edges = tuple([t._node or t for t in inputs])
        return new_node(self._pullback, edges, saved, first, None, tuple(inputs))

    def _made_pullback(self) -> Pullback:
        inputs = self._trace.inputs
        order = {place: number for number, place in enumerate(self._wanted)}
        return Pullback(
            self._name.title().replace("_", "") + "Backward0",
            tuple([_picker(number) for number in range(len(order))]),
            (
                *(order.get(i, CONSTANT) for i in range(len(inputs))),
                *[METADATA] * (len(self._saved) + 1),
            ),
            tuple([order.get(i) for i in range(len(inputs))]),
            self._joint,
            pure=True,
        )

    def _joint(self, xp: Any, g: Any, saved: tuple[Any, ...]) -> list[Any]:
        """The gradients of the inputs that require grad."""
        count = len(self._trace.inputs)
        inputs, kept, numbers = saved[:count], saved[count:-1], saved[-1]
        by_number = g if isinstance(g, Cotangents) else {0: g}
        present = tuple([n in by_number for n in range(len(self._kinds))])
        cotangents = [by_number[n] for n, there in enumerate(present) if there]
        if xp is recorded:
            flags = tuple([t._requires_grad for t in cotangents])
            return self.vjp(present, flags)([*inputs, *cotangents], numbers)
        if kept and present == tuple(self._flows):
            found = iter(self._backward([*inputs, *cotangents, *kept], numbers))
            return [None if zero else next(found) for zero in self._is_zero]
        call = self.vjp(present, None)
        found = iter(call._program([*inputs, *cotangents], numbers))
        return [None if kind is None else next(found) for kind in call._kinds]

    def vjp(self, present: tuple[bool, ...], flags: tuple[bool, ...] | None) -> Call:
        """The VJP as a call; see `Trace.vjp`."""
        key = present, flags
        found = self._vjps.get(key)
        if found is None:
            with self._lock:
                found = self._vjps.get(key)
                if found is None:
                    found = self._vjps[key] = self._made_vjp(present, flags)
        return found

    def _made_vjp(self, present: tuple[bool, ...], flags: tuple[bool, ...] | None) -> Call:
        what = f"the gradient of {self._name}"
        try:
            trace = traced(what, lambda: self._trace.vjp(present, flags), flags is not None)
        except (GradcoreError, NotImplementedError):
            raise
        except Exception as error:
            raise refused(what, error) from error
        return Call(f"{self._name}_backward", trace, self._device, True)


class _ByValue:
    """In the place of a Call: the function depends on the values of its Python floats."""


_BY_VALUE: Final = _ByValue()


class _Arguments:
    """The arguments of a call, taken apart.

    Attributes:
        key: what a trace depends on.
        tensors: all Tensors, in order.
        numbers: all Python floats.
    """

    __slots__ = ("inline", "key", "numbers", "tensors")

    def __init__(self) -> None:
        self.key: list[Any] = []
        self.tensors: list[Tensor] = []
        self.numbers: list[float] = []
        self.inline = False

    def take(self, name: str, value: Any) -> None:
        """Add one argument, or what is in it."""
        if isinstance(value, Tensor):
            if value._type.device.kind > 1 or isinstance(value, Lifted):
                # It is traced, within vmap, or has a tangent.
                self.inline = True
            self.tensors.append(value)
            self.key += [value._type, value._shape, value._requires_grad]
        elif isinstance(value, Symbol):
            self.inline = True
        elif isinstance(value, np.generic) or value.__class__ is float:
            value = _plain(value)
            if value.__class__ is float:
                self.numbers.append(value)
                self.key.append(float)
            else:
                self.key += [value.__class__, value]
        elif isinstance(value, tuple | list):
            self.key += [value.__class__, len(value)]
            for item in value:
                self.take(name, item)
        elif isinstance(value, slice):  # has no hash
            self.take(name, (slice.__name__, value.start, value.stop, value.step))
        elif isinstance(value, dict):
            self.key += [dict, *value]
            for item in value.values():
                self.take(name, item)
        elif is_array(value):
            self.take(name, wrap(value))
        else:
            try:
                hash(value)
            except TypeError:
                raise ArgumentTypeError(
                    f"{name}(): an argument of a fused function must be a Tensor, an array, a "
                    f"number or another hashable value, not {type(value).__qualname__}."
                ) from None
            self.key += [value.__class__, value]


def _plain(value: Any) -> Any:
    """NumPy's scalars count as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _replaced(value: Any, tensors: Any, numbers: Any) -> Any:
    """An argument with the next of `tensors` and `numbers` in the places of its own."""
    if isinstance(value, Tensor) or is_array(value):
        return next(tensors)
    value = _plain(value)
    if value.__class__ is float:
        return next(numbers)
    if isinstance(value, tuple | list):
        items = [_replaced(item, tensors, numbers) for item in value]
        if isinstance(value, list):
            return items
        return value._make(items) if hasattr(value, "_make") else tuple(items)
    if isinstance(value, dict):
        return {k: _replaced(item, tensors, numbers) for k, item in value.items()}
    return value


class Fused:
    """A fused function; made by `fuse`, which see.

    Args:
        function: of Tensors.
        name: of the kernels.
        maxsize: how many signatures are kept.
    """

    def __init__(self, function: Callable[..., Any], name: str, maxsize: int) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._label = name
        self._maxsize = maxsize
        self._calls: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.RLock()
        self._hits = self._misses = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result."""
        arguments = self._taken(args, kwargs)
        if arguments.inline:  # it is called by a function that is being traced
            return self._function(*args, **kwargs)
        call, rebuild = self._call(arguments, args, kwargs)
        tensors = arguments.tensors
        device = call._device
        if device.kind and any(t._type.device is not device for t in tensors):
            tensors = [t.to(device) for t in tensors]  # 0-d Tensors of the CPU
        return rebuild(call(tensors, tuple(arguments.numbers)))

    def _taken(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Arguments:
        arguments = _Arguments()
        key, tensors = arguments.key, arguments.tensors
        for value in args:
            if value.__class__ is Tensor and value._type.device.kind < 2:
                tensors.append(value)
                key += (value._type, value._shape, value._requires_grad)
            else:
                arguments.take(self._label, value)
        if kwargs:
            for name in sorted(kwargs):
                key.append(name)
                arguments.take(self._label, kwargs[name])
        return arguments

    def _call(
        self, arguments: _Arguments, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Call, Any]:
        """The traced function for these arguments, and what puts its results together."""
        key = (*arguments.key, is_grad_enabled(), dtypes.get_default_dtype().code)
        found = self._found(key, arguments, args, kwargs, bool(arguments.numbers))
        if found is _BY_VALUE:
            key = (*key, *map(repr, arguments.numbers))
            found = self._found(key, arguments, args, kwargs, False)
            arguments.numbers = []
        return found  # type: ignore[no-any-return]

    def _found(
        self,
        key: Any,
        arguments: _Arguments,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        symbolic: bool,
    ) -> Any:
        """What is known for a key; else the function is traced.

        If `symbolic`, without the values of its Python floats. It may need them: then _BY_VALUE.
        """
        found = self._known(key)
        if found is not None:
            return found
        with self._lock:
            found = self._known(key)
            if found is None:
                found = self._traced(arguments, args, kwargs, symbolic)
                self._remember(key, found)
        return found

    def _known(self, key: Any) -> Any:
        found = self._calls.get(key)
        if found is not None:
            self._hits += found is not _BY_VALUE
            with contextlib.suppress(KeyError):  # another thread has just removed it
                self._calls.move_to_end(key)
        return found

    def _remember(self, key: Any, found: Any) -> None:
        self._misses += found is not _BY_VALUE
        self._calls[key] = found
        while len(self._calls) > self._maxsize:
            self._calls.popitem(last=False)

    def _traced(
        self,
        arguments: _Arguments,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        symbolic: bool,
    ) -> Any:
        if not arguments.tensors:
            raise ArgumentTypeError(f"{self._label}(): at least one argument must be a Tensor.")
        device = common_device(self._label, arguments.tensors)
        try:
            trace, rebuild = self._trace(arguments, args, kwargs, symbolic)
        except FusionError:
            if symbolic:
                return _BY_VALUE
            raise
        except Exception as error:
            if symbolic:
                return _BY_VALUE
            self._function(*args, **kwargs)  # says what is wrong with the arguments
            raise refused(self._label, error) from error
        try:
            return Call(self._label, trace, device), rebuild
        except NotElementwise:
            if symbolic:
                return _BY_VALUE
            raise

    def _trace(
        self,
        arguments: _Arguments,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        symbolic: bool,
    ) -> tuple[Trace, Any]:
        record = is_grad_enabled()
        inputs = [
            leaf(f"x{i}", t._type, t._shape, record and t._requires_grad)
            for i, t in enumerate(arguments.tensors)
        ]
        names = [f"s{i}" for i in range(len(arguments.numbers))] if symbolic else []
        tensors = iter(inputs)
        numbers = iter([Symbol.number(n) for n in names] if symbolic else arguments.numbers)
        given = [_replaced(a, tensors, numbers) for a in args]
        named = {k: _replaced(kwargs[k], tensors, numbers) for k in sorted(kwargs)}
        found = traced(self._label, lambda: self._function(*given, **named), record)
        outputs, rebuild = listed(self._label, found)
        if not all(y._type.device is SYMBOLIC for y in outputs):
            raise FusionError(f"{self._label}: a result does not depend on the arguments.")
        return Trace(inputs, names, outputs), rebuild

    def cache_info(self) -> CacheInfo:
        """How often it was called and traced."""
        return CacheInfo(self._hits, self._misses, self._maxsize, len(self._calls))

    def cache_clear(self) -> None:
        """Forget all traces."""
        with self._lock:
            self._calls.clear()
            self._hits = self._misses = 0

    def source(self, *args: Any, **kwargs: Any) -> str:
        """What a call with these arguments runs, forward and backward: CUDA C, or Python."""
        arguments = self._taken(args, kwargs)
        call, _ = self._call(arguments, args, kwargs)
        return "\n".join([call.text, *call.backward_texts])

    def __repr__(self) -> str:
        return f"<fused function {self._label}>"


@overload
def fuse(function: Callable[..., Any], *, name: str | None = None, maxsize: int = 128) -> Fused: ...


@overload
def fuse(
    function: None = None, *, name: str | None = None, maxsize: int = 128
) -> Callable[[Callable[..., Any]], Fused]: ...


def fuse(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    maxsize: int = 128,
) -> Any:
    """Fuse a function of Tensors: all its elementwise operations run as one kernel.

    The function is written with gradcore's or NumPy's functions and operators. It may be made of
    elementwise operations, reductions (`sum`, `mean`, `amax`, `var`, `norm`, `softmax` ...) and
    views of Tensors (`reshape`, `permute`, slices ...). It is run once for each signature, with
    Tensors that have no values, and what it did is compiled: on CUDA to one kernel for all
    elementwise operations, and one for each reduction; on the CPU to a loop over blocks that stay
    in the cache. It is differentiable to any order; the backward is fused in the same way, and
    keeps only the arguments.

    A decorator, with or without arguments::

        @gradcore.fuse
        def loss(x, target, beta=1.0):
            d = abs(x - target)
            return gradcore.where(d < beta, d * d / (2 * beta), d - beta / 2).mean()

    A signature is the dtype, shape, device and `requires_grad` of each Tensor, and the value of all
    other arguments, but for Python floats: these are passed to the kernel, unless the function
    needs to know them (`if beta > 0`). Tensors may be in tuples, lists and dicts. Other Python code
    in the function, such as `print`, runs while it is traced only.

    Args:
        function: returns a Tensor, or a tuple or list of them. It must not depend on the values of
            Tensors (`if x.sum() > 0`), nor on Tensors that are no arguments, nor draw random
            numbers.
        name: of the kernels; by default that of the function.
        maxsize: how many signatures are kept; those not used for the longest time are dropped.

    Returns:
        A function with the same arguments and results. Its `cache_info()` tells how often it was
        traced, `cache_clear()` forgets all, `source(*args)` is what a call would run.

    Raises:
        FusionError: at the first call, where the function does something else.
    """
    if maxsize < 1:
        raise ArgumentError(f"fuse: maxsize must be positive, but got {maxsize}.")
    if function is None:
        return lambda function: fuse(function, name=name, maxsize=maxsize)
    if not callable(function):
        raise ArgumentTypeError(f"fuse: expected a function, but got {function!r}.")
    label = str(name or getattr(function, "__name__", "function"))
    return Fused(function, re.sub(r"\W+", "_", label).strip("_") or "function", maxsize)
