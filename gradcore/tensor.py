"""The Tensor: an array, its device and dtype, and where it came from. No mathematics.

The operations attach themselves as methods when their modules are imported (`op.py`); their
signatures, for type checkers and readers, are listed in `methods.py`.
"""

from __future__ import annotations

import copy
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from . import dtypes, printing
from .batching.array import BatchedArray, levels
from .device import Array, Device, TensorType, type_of
from .errors import (
    ArgumentTypeError,
    DimensionError,
    DTypeError,
    GraphError,
    ShapeError,
)
from .graph import Node, function_of, watch_tensor
from .hooks import Hooks, RemovableHandle, register
from .mode import WATCHERS, is_grad_enabled, is_inference_mode_enabled
from .storage import deep_copy, owner
from .versions import version

if TYPE_CHECKING:
    from .graph import AccumulateGrad, Edge
    from .levels import Level
    from .methods import Operations
else:
    Operations = object

__all__ = ["Lifted", "Size", "Tensor"]

Shape = tuple[int, ...]


class Size(tuple[int, ...]):
    """The shape of a Tensor: a tuple of ints that prints as `gradcore.Size([2, 3])`."""

    __slots__ = ()

    def numel(self) -> int:
        """How many elements a Tensor of this shape has."""
        return int(np.prod(self, dtype=np.int64))

    def __repr__(self) -> str:
        return f"gradcore.Size({list(self)})"


class Tensor(Operations):
    """An array that can be differentiated. Made by `gradcore.tensor`, `gradcore.zeros`, ...

    Attributes:
        requires_grad: whether operations on it are recorded. Can be set on leaves.
        grad: the accumulated gradient of a leaf (or after `retain_grad`), or None.
        grad_fn: the Node that made it, or None for a leaf.
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_grad",
        "_hooks",
        "_inference",
        "_lift",
        "_node",
        "_requires_grad",
        "_role",
        "_shape",
        "_type",
        "_view",
        "_views",
    )

    _array: Array
    _type: TensorType
    _shape: Shape
    _node: Node | None
    _grad: Tensor | None
    _hooks: Hooks  # of a leaf, once something is registered; see _own_hooks
    _inference: Any  # of an inference tensor; see `inference_mode`. Empty at first, as are the next
    _lift: tuple[Any, ...]  # of a Lifted
    _requires_grad: bool
    _role: str  # of a module's parameter or buffer: "Parameter" or "Buffer"
    _view: View  # of a view: what it is a view of
    _views: Views  # of what has views: the views

    __array_priority__ = 1000

    # what it is ------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The length of each dimension."""
        return Size(self._shape)

    def size(self, dim: int | None = None, *, axis: int | None = None) -> Any:
        """The shape, or the length of dimension `dim` (`axis` in NumPy)."""
        if dim is None:
            if axis is None:
                return Size(self._shape)
            dim = axis
        return self._shape[canonical_dim(dim, self.ndim)]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self._shape)

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self._shape)

    def numel(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    nelement = numel

    @property
    def dtype(self) -> dtypes.dtype:
        """The element type."""
        return self._type.dtype

    @property
    def device(self) -> Device:
        """The device that holds the values."""
        return self._type.device.base

    @property
    def is_cuda(self) -> bool:
        """True on a CUDA device."""
        return self._type.device.base.kind == 1

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._type.dtype.itemsize

    element_size = property(lambda self: lambda: self._type.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self._array.nbytes)

    def stride(self, dim: int | None = None, *, axis: int | None = None) -> Any:
        """The step from one element to the next in each dimension, or in `dim`, in elements."""
        dim = dim if axis is None else axis
        steps = tuple(step // self.itemsize for step in self._array.strides)
        return steps if dim is None else steps[canonical_dim(dim, self.ndim)]

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """True if the elements lie in memory in row-major order without gaps."""
        return bool(self._array.flags.c_contiguous)

    def is_floating_point(self) -> bool:
        """True for float16, float32, float64."""
        return self._type.dtype.is_floating_point

    def is_complex(self) -> bool:
        """True for complex64, complex128."""
        return self._type.dtype.is_complex

    def data_ptr(self) -> int:
        """The address of the first element."""
        a = self._array
        return int(a.data.ptr if self.is_cuda else a.__array_interface__["data"][0])

    # where it came from ------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """True if operations on it are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if flag and not self._type.recordable:
            raise DTypeError(
                "only Tensors of floating point and complex dtype can require gradients, "
                f"and this one is {self.dtype}."
            )
        self._set_requires_grad(flag)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether operations on this leaf are recorded, and return the leaf.

        Raises:
            GraphError: it is not a leaf.
            DTypeError: its dtype has no gradients.
        """
        if requires_grad and not self._type.recordable:
            raise DTypeError(
                "only Tensors of floating point dtype can require gradients, "
                f"and this one is {self.dtype}."
            )
        self._set_requires_grad(requires_grad)
        return self

    def _set_requires_grad(self, flag: bool) -> None:
        if self._node is not None:
            if not flag:
                raise GraphError(
                    "you can only change requires_grad flags of leaf variables. If you want to use "
                    "a computed variable in a subgraph that doesn't require differentiation use "
                    "var_no_grad = var.detach()."
                )
            return
        if flag and WATCHERS and is_inference(self) and not is_inference_mode_enabled():
            raise GraphError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not "
                "allowed."
            )
        self._requires_grad = bool(flag)

    @property
    def is_leaf(self) -> bool:
        """True if the user made it, or if nothing was recorded."""
        return self._node is None

    @property
    def grad_fn(self) -> Node | AccumulateGrad | None:
        """The function that made it, or None for a leaf."""
        return None if self._node is None else function_of(self._node)[0]

    @property
    def output_nr(self) -> int:
        """Which output of `grad_fn` it is."""
        return 0 if self._node is None else function_of(self._node)[1]

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has accumulated, or None."""
        if self._grad is None and self._node is not None and not self.retains_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
                ".grad attribute won't be populated during autograd.backward(). If you indeed want "
                "the .grad field to be populated for a non-leaf Tensor, use .retain_grad() on the "
                "non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            self._check_grad(value)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def _check_grad(self, value: object) -> None:
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(value).__module__}.{type(value).__qualname__}."
            )
        if value is self:
            raise GraphError("can't assign Variable as its own grad.")
        if value._shape != self._shape:
            raise ShapeError(
                f"attempting to assign a gradient of size '{list(value._shape)}' to a tensor of "
                f"size '{list(self._shape)}'. Please ensure that the gradient and the tensor are "
                "the same size."
            )
        if value._type is not self._type:
            raise DTypeError(
                f"attempting to assign a gradient with dtype {value.dtype} on {value.device} to a "
                f"tensor with dtype {self.dtype} on {self.device}. Please ensure that the gradient "
                "and the tensor have the same dtype and device."
            )

    def retain_grad(self) -> None:
        """Fill `.grad` of this non-leaf Tensor too. Of a leaf: nothing to do.

        Raises:
            GraphError: it does not require grad.
        """
        if not self._requires_grad:
            raise GraphError("can't retain_grad on Tensor that has requires_grad=False.")
        if self._node is not None and not self.retains_grad:
            self._node.hooks.retained.append(ref(self))

    @property
    def retains_grad(self) -> bool:
        """True after `retain_grad` on a non-leaf Tensor."""
        hooks = None if self._node is None else self._node.pullback.hooks
        return hooks is not None and any(held() is self for held in hooks.retained)

    def detach(self) -> Tensor:
        """The same values without their history: a new leaf that shares memory and version."""
        t = new_tensor(self._array, self._type, self._shape)
        if getattr(self, "_view", None) is not None:
            alone = getattr(root_of(self), "_view", None)
            if alone is not None:  # what `data` gave, which counts its own writes: this one too
                t._view = alone
        if WATCHERS:
            inherit_inference(t, self)
        return t

    @property
    def data(self) -> Tensor:
        """The same values without their history: a new leaf that shares memory. Can be set.

        What is written to it does not count for the version of this Tensor, so that a backward
        which needs the old values does not notice: `detach` is safer.
        """
        t = self.detach()
        t._view = view = View()
        view.parent = view.function = view.argument = view.creation = None
        view.writes = 0
        return t

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(
                f"Variable data has to be a tensor, but got {type(value).__qualname__}."
            )
        if self._requires_grad and not value._type.recordable:
            raise DTypeError(
                "data set to a tensor that requires gradients must be floating point or complex "
                f"dtype, not {value.dtype}."
            )
        self._array, self._type, self._shape = value._array, value._type, value._shape
        if WATCHERS:
            inherit_inference(self, value)

    @property
    def _version(self) -> int:
        """How often the memory was written to by in-place operations.

        Raises:
            GraphError: it is an inference tensor.
        """
        if WATCHERS and is_inference(self):
            raise GraphError("Inference tensors do not track version counter.")
        root = root_of(self)
        own = getattr(root, "_view", None)
        return version(self._array) if own is None else own.writes

    @property
    def _base(self) -> Tensor | None:
        """What this is a view of, or None."""
        root = root_of(self)
        return None if root is self else root

    def _is_view(self) -> bool:
        """True if another Tensor is the base of this one."""
        return root_of(self) is not self

    def is_inference(self) -> bool:
        """True if it was made in `inference_mode`."""
        return is_inference(self)

    def _own_hooks(self) -> Hooks:
        """What is registered on this leaf."""
        hooks = getattr(self, "_hooks", None)  # the slot is empty at first: to fill it costs time
        if hooks is None:
            hooks = self._hooks = Hooks()
            Hooks.on_leaves = True
        return hooks

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(grad)` each time that a gradient with respect to this Tensor is computed.

        Args:
            hook: may return a gradient of the same shape and type, which then takes its place.

        Returns:
            A handle, whose `remove()` takes the hook away.

        Raises:
            GraphError: the Tensor does not require grad.
        """
        if not self._requires_grad:
            raise GraphError("cannot register a hook on a tensor that doesn't require gradient")
        hooks = self._own_hooks() if self._node is None else self._node.hooks
        return register(hooks.tensor, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook(leaf)` each time after a gradient was added to `leaf.grad`.

        Args:
            hook: returns None; it may set `.grad`.

        Returns:
            A handle, whose `remove()` takes the hook away.

        Raises:
            GraphError: the Tensor does not require grad, or is no leaf.
        """
        if not self._requires_grad:
            raise GraphError("cannot register a hook on a tensor that doesn't require gradient")
        if self._node is not None:
            raise GraphError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        return register(self._own_hooks().accumulated, hook)

    # its values --------------------------------------------------------------------------------

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:
        """The values as a NumPy array that shares memory.

        Args:
            force: detach and copy to the CPU first where that is needed.

        Raises:
            GraphError: it requires grad (and `force` is not given).
            ArgumentTypeError: it is on a CUDA device (and `force` is not given).
        """
        if self._requires_grad and not force:
            raise GraphError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        if self.is_cuda and not force:
            raise ArgumentTypeError(
                f"can't convert {self.device} device type tensor to numpy. "
                "Use Tensor.cpu() to copy the tensor to host memory first."
            )
        return self._fetch()

    def _fetch(self) -> np.ndarray[Any, Any]:
        return self._type.device.backend.fetch(self._array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The value of a Tensor with one element, as a Python number. Waits for the device.

        Raises:
            ShapeError: it has more elements, or none.
        """
        if self._array.size != 1:
            raise ShapeError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar."
            )
        return self._array.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; of a 0-d Tensor, the number."""
        return self._fetch().tolist()

    def _scalar(self) -> Any:
        if self._array.size != 1:
            raise ShapeError("only one element tensors can be converted to Python scalars.")
        if self._requires_grad:
            warnings.warn(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected "
                "behavior. Consider using tensor.detach() first.",
                UserWarning,
                stacklevel=3,
            )
        return self._array.item()

    def __bool__(self) -> bool:
        if self._array.size == 1:
            array = self._array
            return bool(array if array.__class__ is BatchedArray else array.item())
        values = "no values" if self._array.size == 0 else "more than one value"
        raise ShapeError(f"Boolean value of Tensor with {values} is ambiguous.")

    def __float__(self) -> float:
        return float(self._scalar())

    def __int__(self) -> int:
        return int(self._scalar())

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def __index__(self) -> int:
        if self._array.size != 1 or self._type.dtype.is_inexact:
            raise ArgumentTypeError(
                "only integer tensors of a single element can be converted to an index."
            )
        return int(self._array.item())

    def __len__(self) -> int:
        if not self._shape:
            raise ArgumentTypeError("len() of a 0-d tensor.")
        return self._shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self._shape:
            raise ArgumentTypeError("iteration over a 0-d tensor.")
        return iter(self.unbind(0))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        of_parameter = getattr(self, "_role", None) == "Parameter"
        return f"Parameter containing:\n{text(self)}" if of_parameter else text(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self._shape else format(str(self), spec)

    def __copy__(self) -> Tensor:
        twin = new_tensor(self._array, self._type, self._shape, self._requires_grad)
        return self._as(twin)

    def _as(self, twin: Tensor) -> Tensor:
        """`twin`, a parameter or a buffer of modules if this is one."""
        role = getattr(self, "_role", None)
        if role is not None:
            twin._role = role
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._node is not None:
            raise GraphError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment. Use tensor.detach() first."
            )
        device = self._type.device
        array = device.backend.on(device, lambda _: deep_copy(self._array, memo))
        twin = new_tensor(array, self._type, self._shape, self._requires_grad)
        memo[id(self)] = twin
        twin._grad = copy.deepcopy(self._grad, memo)
        return self._as(twin)

    def __reduce__(self) -> Any:
        state = self._fetch(), str(self.device), self._requires_grad
        role = getattr(self, "_role", None)
        return _rebuild, state if role is None else (*state, role)


class Lifted(Tensor):
    """Base of the Tensors that a transform follows through operations (`levels.py`).

    The array, type and shape are those of what it wraps. In `_lift` stand first the Tensor that it
    wraps, and last its Level. An operation asks `x.__class__ is Tensor` and hands all else to
    `outermost(...)`, which gives it to the method for operations of its kind.
    """

    __slots__ = ()

    def _elementwise(self, op: Any, inputs: Sequence[Any]) -> Any:
        """The elementwise operation `op` (of `op.py`) on `inputs`, Tensors and numbers."""
        raise NotImplementedError

    def _primitive(self, op: Any, inputs: Sequence[Tensor], metadata: tuple[Any, ...]) -> Any:
        """The primitive `op` (of `op.py`) on `inputs`."""
        raise NotImplementedError

    def _linear(self, name: str, function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
        """A rearrangement of the elements of `inputs`, with one result or a tuple of results."""
        raise NotImplementedError

    def _function(self, function: Any, args: tuple[Any, ...]) -> Any:
        """A user's `Function` on `args`."""
        raise NotImplementedError

    def _write(
        self,
        write: Callable[..., Tensor],
        t: Tensor,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> Tensor:
        """`write(t, function, args, kwargs)` of `inplace.py`, where one of them is lifted."""
        raise NotImplementedError

    def _rearrange(
        self, rearrange: Callable[..., Tensor], function: Callable[..., Any], args: tuple[Any, ...]
    ) -> Tensor:
        """`rearrange(self, function, args)` of `inplace.py`."""
        raise NotImplementedError

    def _detach(self) -> None:
        """Become a leaf that nothing follows."""
        raise NotImplementedError

    def _described(self) -> list[str]:
        """What `print` adds."""
        return []

    def _end(self, level: Level) -> None:
        """The level has ended."""


def outermost(values: Iterable[Any]) -> Lifted | None:
    """The one of the deepest level among `values`, or None if none is lifted."""
    found: Lifted | None = None
    for v in values:
        if isinstance(v, Lifted) and (found is None or v._lift[-1].depth > found._lift[-1].depth):
            found = v
    return found


def _rebuild(
    array: np.ndarray[Any, Any], device: str, requires_grad: bool, role: str = ""
) -> Tensor:
    target = Device(device).open()
    t = wrap(target.backend.send(array, target), requires_grad)
    if role:
        t._role = role
    return t


def new_tensor(
    array: Array,
    type: TensorType,
    shape: Shape,
    requires_grad: bool = False,
    node: Node | None = None,
) -> Tensor:
    """A Tensor around `array`, which has that type and shape."""
    t = Tensor()
    t._array = array
    t._type = type
    t._shape = shape
    t._node = node
    t._grad = None
    t._requires_grad = requires_grad
    if WATCHERS:
        watch_tensor(t)
    return t


def wrap(array: Array, requires_grad: bool = False) -> Tensor:
    """A leaf around a raw array, whose memory it shares."""
    if array.__class__ is not np.ndarray and isinstance(array, np.ndarray):
        array = np.asarray(array)  # numpy.matrix and masked arrays compute otherwise
    return new_tensor(array, type_of(array), array.shape, requires_grad)


class View:
    """How a Tensor is a view of another one.

    Attributes:
        parent: what it is a view of, perhaps a view itself. None for what `Tensor.data` gives,
            which counts its own writes.
        function: `function(parent, argument)` makes it again.
        argument: see there.
        creation: why its history cannot follow a write: "no_grad", "inference", or the name of the
            function that gave it, with its number and "several" for one of several views or
            "function" for an output of a custom Function. None if it can.
        writes: counted where there is no parent.
    """

    __slots__ = ("argument", "creation", "function", "parent", "writes")

    parent: Tensor | None
    function: Callable[[Tensor, Any], Tensor] | None
    argument: Any
    creation: str | tuple[str, int, str] | None
    writes: int


class Views(list["ref[Tensor]"]):
    """The views of a Tensor, among them some that are gone.

    Attributes:
        limit: the length at which those are taken out.
    """

    __slots__ = ("limit",)

    def __init__(self) -> None:
        self.limit = 16


def as_view(
    y: Tensor,
    x: Tensor,
    function: Callable[[Tensor, Any], Tensor],
    argument: Any,
    creation: str | tuple[str, int, str] | None = None,
) -> Tensor:
    """Note of `y`, which is `function(x, argument)`, that it is a view, if it shares memory."""
    base = getattr(y._array, "base", None)  # a traced array has none
    if base is None:
        return y
    if x.__class__ is not Tensor and isinstance(x, Lifted):
        if not isinstance(y, Lifted):
            return as_view(y, x._lift[0], function, argument, creation)
        as_view(y._lift[0], x._lift[0], function, argument, creation)
    a = x._array
    if base is not a and base is not a.base and owner(base) is not owner(a):
        return y
    if WATCHERS:
        inherit_inference(y, x)
    view = View()
    view.parent = x
    view.function = function
    view.argument = argument
    if not is_grad_enabled():
        creation = "inference" if is_inference_mode_enabled() else "no_grad"
    elif creation is None:
        outer = getattr(x, "_view", None)
        creation = None if outer is None else outer.creation
    view.creation = creation
    y._view = view
    views = getattr(x, "_views", None)
    if views is None:
        views = x._views = Views()
    elif len(views) >= views.limit:
        views[:] = [held for held in views if held() is not None]
        views.limit = 2 * len(views) + 16
    views.append(ref(y))
    return y


def is_inference(input: Tensor) -> bool:
    """True if `input` was made in `inference_mode`."""
    return getattr(input, "_inference", None) is not None


def inherit_inference(t: Tensor, source: Tensor) -> None:
    """Let `t`, which shares memory with `source`, be an inference tensor if that is one."""
    t._inference = getattr(source, "_inference", None)


def root_of(t: Tensor) -> Tensor:
    """What `t` is a view of in the end; itself, if it is none."""
    while True:
        view = getattr(t, "_view", None)
        if view is None or view.parent is None:
            return t
        t = view.parent


def edge_of(t: Tensor) -> Edge:
    """Where the gradient of a Tensor that requires grad goes."""
    return t._node or t


def canonical_dim(dim: int, ndim: int) -> int:
    """`dim` counted from the front; a 0-d Tensor is taken to have one dimension.

    Raises:
        DimensionError: it is out of range.
    """
    n = max(ndim, 1)
    if not isinstance(dim, int | np.integer):
        raise ArgumentTypeError(f"a dimension must be an int, not {type(dim).__qualname__}.")
    if not -n <= dim < n:
        raise DimensionError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})"
        )
    return int(dim) % n


def text(t: Tensor) -> str:
    """The text of `print(t)`."""
    if t._type.device.kind == 2:  # a function is traced: there are no values
        return f"tensor({t._array!r}, size={t._shape}, dtype={t.dtype})"
    if t._array.__class__ is BatchedArray:
        running = levels()
        level = t._array.level
        number = running.index(level) + 1 if level in running else 0
        value = textwrap.indent(text(wrap(t._array.inner)), "    ")
        return f"BatchedTensor(lvl={number}, bdim=0, value=\n{value}\n)"
    suffixes = []
    default = dtypes.get_default_dtype()
    if t.is_cuda:
        suffixes.append(f"device='{t.device}'")
    empty = t._array.size == 0
    if empty and t.ndim != 1:
        suffixes.append(f"size={t._shape}")
    usual = (default,) if empty else (default, default.to_complex(), dtypes.int64, dtypes.bool_)
    if t.dtype not in usual:
        suffixes.append(f"dtype={t.dtype}")
    if t._node is not None:
        suffixes.append(f"grad_fn=<{function_of(t._node)[0].name()}>")
    elif t._requires_grad:
        suffixes.append("requires_grad=True")
    if isinstance(t, Lifted):
        suffixes += t._described()
    shown = t._type.device.backend.fetch(printing.summarize(t._array))
    return printing.format_tensor(shown, shape=t._shape, suffixes=suffixes)
