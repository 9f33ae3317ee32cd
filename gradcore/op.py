"""How an operation is declared, and how a call of it runs and is recorded.

The grammar of a rule
---------------------
A *rule* is a lambda over a namespace `xp` (`namespace.py`) and named values::

    lambda xp, g, a: g * a

Its parameter names say what it needs, and only that is saved by the forward:

* `xp`, `g`: always the first two: the namespace, and the cotangent of the output;
* `y`: the output; the inputs by their names in the forward (`x`; `a, b`; ...);
* `x_shape`: the shape of the input `x`, without keeping `x` itself;
* any metadata of the forward by its name (`dim`, `keepdim`).

It returns the cotangent of one input, and is pure mathematics: linear in `g`, operators and
Namespace functions only; no methods, no `+=`, no `if` on values. It need not undo broadcasting or
promotion: the engine does (`Node.restore`). So that it can be read three ways: run on raw arrays,
recorded on Tensors, printed as source text.

Complex numbers: a rule is written as for real numbers. Where it is holomorphic the engine is handed
conj(rule(conj(g))), PyTorch's convention (the gradient is conj(dL/dz)). The few functions that are
not holomorphic say so and spell their conjugates out.

Declarators
-----------
`unary`, `binary`, `comparison`: elementwise operations; the decorated function gives the public
signature and the documentation, the declarator the body. `primitive`: any other rule-bearing
operation, called by a public function, which checks and normalises the arguments. `public`: what
every public function is registered with: methods, faces, samples.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, overload

import numpy as np

from . import dtypes, generated
from .batching.array import deepest
from .batching.loop import over_batches
from .batching.namespace import aligned, batched
from .device import (
    BATCHED,
    CPU,
    Array,
    Device,
    TensorType,
    cast_raw,
    is_array,
    joined,
    type_of,
)
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DTypeError,
    GradcoreError,
    ShapeError,
)
from .graph import (
    CONSTANT,
    INNER,
    METADATA,
    OUTPUT,
    OUTPUTS,
    SCALAR,
    SEQUENCE,
    Node,
    Pullback,
    Rule,
    getframe,
    new_node,
    output_of,
    outside,
    watch,
)
from .mode import WATCHERS, is_grad_enabled
from .namespace import Namespace
from .raw import LARGE, in_parts
from .samples import Bad, Maker, Sample, over, over_pairs
from .symbols import NoSuchLoop, NotElementwise, Symbol
from .tensor import Lifted, Tensor, new_tensor, outermost, wrap

__all__ = [
    "ASPECTS",
    "LATE",
    "OPS",
    "Op",
    "binary",
    "comparison",
    "declare_all",
    "face",
    "primitive",
    "promote",
    "public",
    "recorded",
    "unary",
]

F = TypeVar("F", bound=Callable[..., Any])
Formula = Callable[..., Any]

ASPECTS: Final = {
    "accepts": "dtypes that only gradcore takes",
    "refuses": "dtypes that only PyTorch takes",
    "values": "other values or dtypes for some dtypes",
    "values at": "other values for some elements",
    "ties": "other ones of equal elements",
    "float16": "more exact for float16",
    "errors": "other classes of errors",
    "copies": "the result has memory of its own",
    "new": "the result is never the operand itself",
    "signature": "other parameters",
    "differentiable": "only gradcore has a derivative",
    "derivative": "only gradcore has a derivative of all orders, or for some arguments",
    "gradient": "another gradient",
    "complex derivative": "another derivative by complex numbers for some arguments",
    "second derivative": "another second derivative for some arguments",
    "derivative at": "another derivative for some elements",
    "tangent": "other tangents for some arguments",
    "complex tangent": "other complex tangents for some arguments",
    "node": "another name of its node",
    "saves": "what is saved, so that to write to it is an error",
    "saves less": "what is not saved, so that to write to it is no error",
}
"""In what an operation may differ from PyTorch's."""


class Op(NamedTuple):
    """A public operation: what its declaration says, for dispatch, documentation and tests.

    Attributes:
        name: of the function, as in PyTorch.
        call: the function.
        path: where it stands in the library, and in PyTorch: `"exp"`, `"nn.functional.relu"`.
        methods: the names under which Tensor has it.
        numpy: NumPy's names for it, each with a function of NumPy's signature over Tensors.
        array_api: its name in the array API standard, if it has one.
        kind: `"unary"`, `"binary"`, `"comparison"`, `"primitive"` or `"composite"`.
        differentiable: False where no gradient flows through any input.
        in_place: whether Tensor has each method also in a form that writes into its first operand.
        samples: makes the arguments that the suite runs it on.
        errors: makes calls that must raise.
        rules: the elementwise rules, where it has them.
        tested: `tested(call)` is what the suite runs on the samples in the place of `call`, if that
            is not `call` itself: of matrices that must be symmetric, or of what is unique up to
            signs alone. It is given PyTorch's function too.
        waits: whether the host waits for a device, to know a value: the answer itself, the length
            of the result, or whether the operands are valid.
        batched: False where `vmap` refuses some calls, as PyTorch's does: what the values are
            decides on the shape of the result, or the numbers are random.
        departs: where it is not as PyTorch's, and why, by what differs: one of `ASPECTS`, alone or
            with the cases that it is about: `"node"`, `"refuses: int32, int64"`.
    """

    name: str
    call: Callable[..., Any]
    path: str
    methods: tuple[str, ...]
    numpy: dict[str, Callable[..., Any]]
    array_api: str | None
    kind: str
    differentiable: bool
    in_place: bool
    samples: Callable[[Maker], Sequence[Sample]] | None
    errors: Callable[[Maker], Sequence[Bad]] | None
    rules: tuple[Formula | None, ...] = ()
    tested: Callable[[Any], Callable[..., Any]] = lambda call: call
    waits: bool = False
    batched: bool = True
    departs: Mapping[str, str] = MappingProxyType({})

    def departs_in(self, aspect: str, case: Any = None) -> bool:
        """Whether `departs` has the aspect: of all cases, or of this one."""
        for key in self.departs:
            name, _, cases = key.partition(": ")
            if name == aspect and (not cases or str(case) in cases.split(", ")):
                return True
        return False


OPS: Final[dict[str, Op]] = {}
"""Every public operation by its path."""

NUMPY_FACES: Final[dict[str, Callable[..., Any]]] = {}
"""By NumPy's (or Namespace's) name: a function of that signature over Tensors."""

LATE: Final[list[Callable[[], None]]] = []
"""What declares the operations that are not declared yet; empty when all are."""

_DECLARING: Final = threading.RLock()
_declaring: Final[list[bool]] = []


def declare_all() -> None:
    """Declare every operation; `OPS` and `NUMPY_FACES` are complete then."""
    with _DECLARING:
        if not LATE or _declaring:
            return  # an operation that is being declared asked for another
        _declaring.append(True)
        try:
            for declare in LATE:
                declare()
        finally:
            _declaring.clear()
        LATE.clear()


def face(name: str) -> Callable[..., Any] | None:
    """The function over Tensors for NumPy's (or Namespace's) `name`, or None."""
    found = NUMPY_FACES.get(name)
    if found is None and LATE:
        declare_all()
        found = NUMPY_FACES.get(name)
    return found


class _Recorded:
    """The Namespace over Tensors: what a rule calls is recorded, so it can be differentiated."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = face(name)
        if function is None:
            raise AttributeError(f"no operation has the NumPy face {name!r}.")
        setattr(self, name, function)
        return function


class _RecordedSpecial:
    """The functions of `scipy.special` over Tensors."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return getattr(recorded, f"special.{name}")  # type: ignore[no-any-return]


recorded: Final[Any] = _Recorded()
recorded.special = _RecordedSpecial()
recorded.apply = lambda function, *args: function(*args)


def public(
    *,
    path: str | None = None,
    methods: Sequence[str] | None = None,
    numpy: str | dict[str, Callable[..., Any] | None] | None = None,
    array_api: str | None = None,
    kind: str = "composite",
    differentiable: bool = True,
    in_place: bool = False,
    samples: Callable[[Maker], Sequence[Sample]] | None = None,
    errors: Callable[[Maker], Sequence[Bad]] | None = None,
    rules: tuple[Formula | None, ...] = (),
    tested: Callable[[Any], Callable[..., Any]] = lambda call: call,
    waits: bool = False,
    batched: bool = True,
    departs: dict[str, str] | None = None,
) -> Callable[[F], F]:
    """Register a public function; see `Op` for the arguments. Returns the function itself."""

    def declare(function: F) -> F:
        name = function.__name__.rstrip("_")
        faces = dict.fromkeys([numpy] if isinstance(numpy, str) else numpy or ())
        if isinstance(numpy, dict):
            faces.update(numpy)
        op = Op(
            name,
            function,
            path or name,
            tuple(methods if methods is not None else ()),
            {face: adapter or function for face, adapter in faces.items()},
            array_api,
            kind,
            differentiable,
            in_place,
            samples,
            errors,
            rules,
            tested,
            waits,
            batched,
            departs or {},
        )
        assert op.path not in OPS, op.path
        OPS[op.path] = op
        NUMPY_FACES.update(op.numpy)
        for method in op.methods:
            setattr(Tensor, method, function)
        return function

    return declare


def parameters(rule: Formula) -> tuple[str, ...]:
    """The names of a rule's parameters."""
    code = rule.__code__
    return code.co_varnames[: code.co_argcount]


def saved_names(
    layout: tuple[str, ...], letters: tuple[str, ...], saved_as: dict[str, str]
) -> tuple[str, ...]:
    """PyTorch's names for the saved values that the rules call as in `layout`."""
    names = {"y": "result", **{y: f"result{y[1:]}" for y in layout if y[1:].isdigit()}}
    if letters:
        names[letters[0]] = "self"
    if letters == ("a", "b"):
        names["b"] = "other"
    names.update(saved_as)
    for letter in letters:
        names[f"{letter}_shape"] = f"{names.get(letter, letter)}_sym_sizes"
    return tuple([names.get(letter, letter) for letter in layout])


def camel(name: str) -> str:
    """`"log_softmax"` as `"LogSoftmax"`."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


# rules as the engine calls them --------------------------------------------------------------


def _adapt(rule: Formula, layout: tuple[str, ...]) -> Rule:
    """`rule` as a function of `(xp, g, saved)`, with `saved` laid out as named."""
    at = tuple(layout.index(name) for name in parameters(rule)[2:])
    if not at:
        return lambda xp, g, s: rule(xp, g)
    if len(at) == 1:
        (i,) = at
        return lambda xp, g, s: rule(xp, g, s[i])
    if len(at) == 2:
        i, j = at
        return lambda xp, g, s: rule(xp, g, s[i], s[j])
    return lambda xp, g, s: rule(xp, g, *[s[i] for i in at])


def _in_parts(rule: Rule) -> Rule:
    """`rule`, which takes several steps, by parts of large arrays of NumPy's."""

    def call(xp: Namespace, g: Any, s: tuple[Any, ...]) -> Any:
        if g.__class__ is np.ndarray and g.nbytes >= LARGE:
            return in_parts(lambda g, *s: rule(xp, g, s), g, *s)
        return rule(xp, g, s)

    return call


def _conjugated(rule: Rule) -> Rule:
    return lambda xp, g, s: xp.conj(rule(xp, xp.conj(g), s))


def _picker(number: int) -> Rule:
    return lambda xp, g, s: g[number]


def _getter(at: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A function that picks the elements `at` from a tuple, as a tuple."""
    if len(at) > 1:
        return operator.itemgetter(*at)
    if at:
        (i,) = at
        return lambda values: (values[i],)
    return lambda values: ()


# elementwise operations ----------------------------------------------------------------------

_SCALAR_A: Final[tuple[bool | None, ...]] = (None, True)
_SCALAR_B: Final[tuple[bool | None, ...]] = (True, None)
_FLOATS = tuple(t for t in dtypes.ALL if t.is_floating_point)
_NOT_COMPLEX = tuple(t for t in dtypes.ALL if not t.is_complex)


def _raiser(error: Exception) -> Callable[..., NoReturn]:
    def call(*args: Any) -> NoReturn:
        raise error

    return call


class _Elementwise:
    """What the calls of one elementwise operation share.

    Attributes:
        table: by `TensorType.code`, the implementation of the direct path; None where operands
            must go through `general` first (promotion, complex numbers, a device not yet used).
    """

    def __init__(
        self,
        name: str,
        graph: str,
        forward: str | Formula,
        rules: tuple[Formula | None, ...],
        letters: tuple[str, ...],
        result: str,
        holomorphic: bool,
        ordered: bool,
        steps: bool = False,
    ) -> None:
        self.steps = steps
        self.name = name.lstrip("_")  # as messages say it
        self.graph = graph
        self.forward = forward
        self.rules = rules
        self.letters = letters
        self.result = result
        self.holomorphic = holomorphic
        self.ordered = ordered
        self.view = False
        self.saved_as: dict[str, str] = {}
        self.call: Callable[..., Any] = self.general
        self.scalar_rule: Formula | None = rules[0]
        self.by_number = False  # scalar_rule takes a Python number
        self.scalar_graph = graph
        self.reflected_graph = graph
        self.direct = _FLOATS if result == "float" else _NOT_COMPLEX
        self.table: list[Callable[..., Any] | None] = [None] * TensorType.COUNT
        self._implementations = self.table.copy()
        self._variants: dict[tuple[tuple[bool | None, ...], bool], Pullback] = {}
        implementation = self.implementation(TensorType(CPU, dtypes.float32))
        for t in self.direct if result == "bool" else _FLOATS:
            self.table[TensorType(CPU, t).code] = implementation

    def over(self, xp: Namespace, *operands: Any) -> Any:
        """The forward, read over a namespace."""
        if isinstance(self.forward, str):
            return getattr(xp, self.forward)(*operands)
        return self.forward(xp, *operands)

    def raw(self, *operands: Any) -> Any:
        """The forward on raw arrays, for rules of other operations."""
        array = next(v for v in operands if hasattr(v, "dtype"))
        return self.over(type_of(array).device.xp, *operands)

    def over_batches(self, *operands: Any) -> Any:
        """The forward on arrays some of which are batched."""
        return aligned(self.raw)(*operands)

    def implementation(self, kind: TensorType) -> Callable[..., Any]:
        """The forward on raw arrays of one type."""
        if kind.device.kind == BATCHED:
            return aligned(functools.partial(self._at_bottom, kind.dtype))
        backend = kind.device.backend
        plain: Callable[..., Any]
        if isinstance(self.forward, str):
            plain = getattr(backend.xp, self.forward)
        else:
            plain = functools.partial(self.forward, backend.xp)
            if self.steps and backend is CPU.backend:
                whole = plain
                plain = lambda x: whole(x) if x.nbytes < LARGE else in_parts(whole, x)
        if backend.elementwise is not None and kind.dtype.is_inexact and not self.view:
            try:
                if len(self.letters) == 1:
                    plain = generated.unary(backend, self.name, self.over, kind.numpy)
                else:
                    plain = generated.binary(backend, self.name, self.over, kind.numpy, plain)
            except NoSuchLoop as error:  # CuPy would have its compiler say so
                plain = _raiser(TypeError(str(error)))
            except NotElementwise:
                pass
        return backend.guarded(plain)

    def _at_bottom(self, dtype: dtypes.dtype, *operands: Any) -> Any:
        """The forward on what is inside batches, all of one dtype."""
        array = next(v for v in operands if hasattr(v, "dtype"))
        kind = TensorType(type_of(array).device, dtype)
        f = self._implementations[kind.code]
        if f is None:
            f = self._implementations[kind.code] = self.implementation(kind)
        return f(*operands)

    def chosen(self, wanted: tuple[bool | None, ...]) -> tuple[Formula, ...]:
        """The rules of the wanted inputs."""
        if wanted == _SCALAR_B:
            return () if self.scalar_rule is None else (self.scalar_rule,)
        return tuple(r for r, want in zip(self.rules, wanted, strict=True) if want and r)

    def layout(self, wanted: tuple[bool | None, ...]) -> tuple[str, ...]:
        """The names that the rules of the wanted inputs need, in the order they are saved."""
        needed = {name for rule in self.chosen(wanted) for name in parameters(rule)[2:]}
        return tuple(name for name in ("y", *self.letters) if name in needed)

    def pullback(self, wanted: tuple[bool | None, ...], complex: bool = False) -> Pullback:
        """The Pullback where the inputs marked True require grad; None marks a Python scalar."""
        found = self._variants.get((wanted, complex))
        if found is None:
            layout = self.layout(wanted)
            numbers: list[int | None] = []
            for want in wanted:
                numbers.append(sum(n is not None for n in numbers) if want else None)
            of = {"y": OUTPUT}
            for letter, number, want in zip(self.letters, numbers, wanted, strict=True):
                constant = SCALAR if want is None else CONSTANT
                of[letter] = constant if number is None else number
            rules = [_adapt(rule, layout) for rule in self.chosen(wanted)]
            if complex and self.holomorphic:
                rules = [_conjugated(rule) for rule in rules]
            if self.steps:
                rules = [_in_parts(rule) for rule in rules]
            names = {_SCALAR_B: self.scalar_graph, _SCALAR_A: self.reflected_graph}
            found = self._variants[wanted, complex] = Pullback(
                names.get(wanted, self.graph),
                tuple(rules),
                tuple(of[n] for n in layout),
                tuple(numbers),
                pure=True,
                elementwise=True,
                names=saved_names(layout, self.letters, self.saved_as),
                letters=layout,
            )
        return found

    def general(self, *inputs: Any) -> Tensor:
        """A call with operands of any kind: promotes, runs, records."""
        top = outermost(inputs)
        if top is not None:
            return top._elementwise(self, inputs)  # type: ignore[no-any-return]
        operands = [self.operand(value, i) for i, value in enumerate(inputs)]
        device = common_device(self.name, operands)
        dtype = common_dtype(operands)
        if self.result == "float" and not dtype.is_inexact:
            dtype = dtypes.get_default_dtype()
        if self.ordered and dtype.is_complex:
            raise DTypeError(
                f"{self.name} is not implemented for complex tensors such as {dtype}: complex "
                "numbers have no order."
            )
        kind = TensorType(device, dtype)
        f = self._implementations[kind.code]
        if f is None:
            f = self._implementations[kind.code] = self.implementation(kind)
        raw = [
            cast_raw(v._array, v._type, kind) if isinstance(v, Tensor) else kind.number(v)
            for v in operands
        ]
        try:
            y = f(*raw)
        except Exception as error:
            raise self.explain(error, operands) from error
        if not isinstance(y, device.backend.ndarray):
            y = kind.asarray(y)
        y_type = kind.bool_type if self.result == "bool" else type_of(y)
        if dtype in self.direct and y_type is (kind.bool_type if self.result == "bool" else kind):
            self.table[kind.code] = f
        out = new_tensor(y, y_type, y.shape)
        tensors = [v for v in operands if isinstance(v, Tensor)]
        wanted = tuple(
            None
            if not isinstance(v, Tensor)
            else v._requires_grad and rule is not None and y_type.recordable
            for v, rule in zip(operands, self.rules, strict=True)
        )
        if any(wanted) and is_grad_enabled():
            values = dict(zip(("y", *self.letters), (y, *raw), strict=True))
            if not device.base.kind:
                array = TensorType(device.base, dtype).asarray
                for letter, v in zip(self.letters, operands, strict=True):
                    if not isinstance(v, Tensor) and not (letter == "b" and self.by_number):
                        values[letter] = array(values[letter], dtype=kind.numpy)
            recorded_inputs = [v for v in tensors if v._requires_grad]
            restore = None
            if any(v._shape != y.shape or v._type is not y_type for v in recorded_inputs):
                restore = tuple((v._shape, v._type) for v in recorded_inputs)
            out._requires_grad = True
            out._node = new_node(
                self.pullback(wanted, dtype.is_complex),
                tuple(v._node or v for v in recorded_inputs),
                tuple(values[n] for n in self.layout(wanted)),
                y_type,
                restore,
                tuple(tensors),
            )
        return out

    def general_of_operator(self, *inputs: Any) -> Any:
        """`general` for `+` and the like, where Python may ask the other operand's type."""
        if all(
            isinstance(v, Tensor | int | float | complex | np.generic | Symbol) or is_array(v)
            for v in inputs
        ):
            return self.general(*inputs)
        return NotImplemented

    def operand(self, value: Any, position: int) -> Any:
        """A Tensor or a Python scalar for `value`."""
        return operand(self.name, value, position)

    def explain(self, error: Exception, operands: Sequence[Any]) -> Exception:
        """The error to raise where NumPy or CuPy raised `error`."""
        return explain(self.name, error, operands)


def operand(name: str, value: Any, position: int = 0) -> Any:
    """A Tensor or a Python scalar for an argument of the operation `name`.

    NumPy's scalars count as Python's: they have no say in the dtype of the result.

    Raises:
        ArgumentTypeError: it is neither, nor an array.
    """
    if isinstance(value, np.generic):  # np.float64 is a float too
        return value.item()
    if isinstance(value, Tensor | bool | int | float | complex):
        return value
    if isinstance(value, Symbol):  # a function is traced
        return value if value.weak else wrap(value)
    if is_array(value):
        return wrap(value)
    raise ArgumentTypeError(
        f"{name}(): argument {position + 1} must be a Tensor, an array or a number, "
        f"not {type(value).__qualname__}."
    )


def tensor_of(name: str, value: Any) -> Tensor:
    """The argument `input` of the operation `name` as a Tensor; arrays are taken as they are.

    Raises:
        ArgumentTypeError: it is neither.
    """
    if isinstance(value, Tensor):
        return value
    if is_array(value):
        return wrap(value)
    raise ArgumentTypeError(
        f"{name}(): argument 'input' (position 1) must be Tensor, not {type(value).__qualname__}."
    )


def common_device(name: str, operands: Sequence[Any]) -> Device:
    """The device that all Tensors are on; a 0-d Tensor on the CPU may join any.

    Raises:
        DeviceError: they are on several.
        ArgumentTypeError: there is no Tensor.
    """
    found: Device | None = None
    for v in operands:
        if isinstance(v, Tensor) and (v._shape or v._type.device.kind):
            device = v._type.device
            if found is not None and found is not device:
                if found.base is device.base:
                    found = joined(found, device)
                    continue
                raise DeviceError(
                    f"{name}: Expected all tensors to be on the same device, but found at least "
                    f"two devices, {found} and {device}! Move one with .to({str(found)!r})."
                )
            found = device
    if found is None:
        if not any(isinstance(v, Tensor) for v in operands):
            raise ArgumentTypeError(f"{name}(): at least one argument must be a Tensor.")
        found = CPU
    return found


def common_dtype(operands: Sequence[Any]) -> dtypes.dtype:
    """PyTorch's result type of Tensors and Python scalars."""
    ranks: list[dtypes.dtype | None] = [None, None, None]
    for v in operands:
        if isinstance(v, Tensor):
            rank, dtype = int(not v._shape), v._type.dtype
        else:
            rank, dtype = 2, dtypes.scalar_dtype(v.dtype.type() if isinstance(v, Symbol) else v)
        so_far = ranks[rank]
        ranks[rank] = dtype if so_far is None else dtypes.promote_types(so_far, dtype)
    return dtypes.result_category(*ranks)


def typed(y: Any, kind: TensorType) -> tuple[Array, TensorType]:
    """A raw result that has not the operands' type: a scalar, or of another dtype or device."""
    if isinstance(y, np.generic):
        y = kind.asarray(y)
        if y.dtype is kind.numpy and kind.device.kind != BATCHED:
            return y, kind
    elif not is_array(y):
        y = kind.asarray(y)
    return y, type_of(y)


def explain(name: str, error: Exception, operands: Sequence[Any]) -> Exception:
    """The error to raise where NumPy or CuPy raised `error` for these operands."""
    tensors = [v for v in operands if isinstance(v, Tensor)]
    shapes = [v._shape for v in tensors]
    listed = ", ".join(map(str, shapes))
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        a, b = shapes[:2]
        for back in range(1, min(len(a), len(b)) + 1):
            if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
                return ShapeError(
                    f"{name}: The size of tensor a ({a[-back]}) must match the size of tensor b "
                    f"({b[-back]}) at non-singleton dimension {max(len(a), len(b)) - back}: "
                    f"shapes {listed} do not broadcast."
                )
        return ShapeError(f"{name}: shapes {listed} do not broadcast.")
    if isinstance(error, TypeError):
        kinds = ", ".join(v._type.dtype.name for v in tensors)
        return DTypeError(f"{name}: not implemented for {kinds} ({error}).")
    if isinstance(error, ValueError):
        return ArgumentError(f"{name}: {error}")
    return error


def promote(name: str, *values: Any) -> list[Tensor]:
    """Tensors of one dtype on one device for operands of any kind; the casts are recorded.

    Raises:
        ArgumentTypeError: one is no operand, or none is a Tensor.
        DeviceError: they are on several devices.
    """
    operands = [operand(name, value, number) for number, value in enumerate(values)]
    kind = TensorType(common_device(name, operands), common_dtype(operands))
    return [
        (v if v._type is kind else v.to(kind.device, kind.dtype))
        if isinstance(v, Tensor)
        else wrap(kind.asarray(v, dtype=kind.numpy))
        for v in operands
    ]


def _elementwise_op(
    signature: F,
    call: Callable[..., Any],
    op: _Elementwise,
    *,
    kind: str,
    numpy: str | dict[str, Callable[..., Any] | None] | None,
    methods: Sequence[str] | None,
    rules: tuple[Formula | None, ...],
    **record: Any,
) -> F:
    """Give `call` the name and documentation of `signature`, and register it."""
    call.__name__ = signature.__name__
    call.__qualname__ = signature.__qualname__
    call.__module__ = signature.__module__
    call.__doc__ = signature.__doc__
    call.__wrapped__ = signature  # type: ignore[attr-defined]  # inspect.signature reads it
    call.op = op  # type: ignore[attr-defined]  # for Namespace.apply
    if methods is None:
        methods = (signature.__name__,)
    return public(numpy=numpy, methods=methods, kind=kind, rules=rules, **record)(call)  # type: ignore[return-value]


def unary(
    forward: str | Formula,
    rule: Formula | None = None,
    *,
    result: str = "float",
    holomorphic: bool = True,
    ordered: bool = False,
    view: bool = False,
    steps: bool = False,
    graph: str | None = None,
    numpy: str | dict[str, Callable[..., Any] | None] | None = None,
    array_api: str | None = None,
    methods: Sequence[str] | None = None,
    path: str | None = None,
    in_place: bool = True,
    samples: Callable[[Maker], Sequence[Sample]] | None = None,
    errors: Callable[[Maker], Sequence[Bad]] | None = None,
    departs: dict[str, str] | None = None,
) -> Callable[[F], F]:
    """Declare an elementwise function of one Tensor.

    Args:
        forward: the name of a Namespace function, or a formula `lambda xp, x: ...`.
        rule: its VJP, in the letters `xp, g, y, x`; None if it has no derivative.
        result: dtype of the result: `"float"` (integers become the default dtype), `"same"`,
            or `"bool"`.
        holomorphic: see the module's text.
        ordered: it needs an order of the numbers, so complex ones are refused.
        view: the result shares memory with the operand.
        steps: the formulas take several steps, and NumPy takes them by parts of large arrays, so
            that what is in between stays in the cache.
        graph: the name of its node, if that is not the function's in camel case and `Backward0`.
        numpy: NumPy's name for it; or a mapping from names to functions of NumPy's signature
            (None where that is the function's own).
        array_api: its name in the array API standard.
        methods: Tensor's names for it; the function's own by default.
        path: where it stands in the library, if not at the top.
        in_place: as in `Op`.
        samples: as in `Op`; real numbers in [-2, 2) by default.
        errors: as in `Op`.
        departs: as in `Op`.
    """

    def declare(signature: F) -> F:
        name = signature.__name__
        node_name = graph or camel(name) + "Backward0"
        op = _Elementwise(
            name.strip("_"),
            node_name,
            forward,
            (rule,),
            ("x",),
            result,
            holomorphic,
            ordered,
            steps,
        )
        op.view = view
        table, general, explain = op.table, op.general, op.explain
        if rule is None:
            saves_x = saves_y = False
            pullback = None
        else:
            layout = op.layout((True,))
            saves_x, saves_y = "x" in layout, "y" in layout
            pullback = op.pullback((True,))
        to_bool = result == "bool"

        last: CodeType | None = None  # the user's function that called last: it is met again

        def call(input: Tensor) -> Tensor:
            nonlocal last
            if input.__class__ is not Tensor:
                return general(input)
            kind = input._type
            f = table[kind.code]
            if f is None:
                return general(input)
            x = input._array
            try:
                y = f(x)
            except Exception as error:
                raise explain(error, (input,)) from error
            shape = input._shape
            if not shape:
                y = kind.asarray(y)
            t: Tensor = Tensor()
            t._array = y
            t._shape = shape
            t._grad = None
            t._type = kind.bool_type if to_bool else kind
            if pullback is not None and input._requires_grad and is_grad_enabled():
                n: Node = Node()
                n.pullback = pullback
                n.edges = (input._node or input,)
                if saves_x:
                    n.saved = (y, x) if saves_y else (x,)
                else:
                    n.saved = (y,) if saves_y else ()
                n.type = kind
                n.restore = None
                n.sequence = next(SEQUENCE)
                frame = getframe(1)
                code = frame.f_code
                if code is not last:
                    if INNER[code.co_filename]:
                        frame, code = outside(frame)
                    else:
                        last = code
                n.code = code
                n.at = frame.f_lasti
                t._node = n
                t._requires_grad = True
            else:
                t._node = None
                t._requires_grad = False
            if WATCHERS:
                watch(t, input)
            return t

        op.call = call
        return _elementwise_op(
            signature,
            call,
            op,
            kind="unary",
            numpy=numpy,
            methods=methods,
            rules=(rule,),
            array_api=array_api,
            path=path,
            differentiable=rule is not None,
            in_place=in_place,
            samples=samples or over(-2.0, 2.0),
            errors=errors,
            departs=departs,
        )

    return declare


def _binary_call(op: _Elementwise, general: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The direct path of an operation of two operands; `general` takes all it does not."""
    table, explain = op.table, op.explain
    to_bool = op.result == "bool"
    as_arrays = op.scalar_rule is op.rules[0]

    def variant(a: bool | None, b: bool | None) -> tuple[Pullback, bool, bool, bool]:
        layout = op.layout((a, b))
        return op.pullback((a, b)), "y" in layout, "a" in layout, "b" in layout

    both: Any = None
    only_a, only_b, scalar_b, scalar_a = both, both, both, both
    if op.rules[0] is not None:
        both = variant(True, True)
        only_a, only_b = variant(True, False), variant(False, True)
        scalar_b, scalar_a = variant(True, None), variant(None, True)

    last: CodeType | None = None  # the user's function that called last: it is met again

    def call(input: Any, other: Any) -> Tensor:
        nonlocal last
        restore: Any = None
        if input.__class__ is Tensor:
            kind = input._type
            f = table[kind.code]
            if f is None:
                return general(input, other)
            a = input._array
            shape = input._shape
            if other.__class__ is Tensor:
                if other._type is not kind:
                    return general(input, other)
                b = other._array
                try:
                    y = f(a, b)
                except Exception as error:
                    raise explain(error, (input, other)) from error
                if shape is not other._shape and shape != other._shape:
                    shape = y.shape
                    restore = ((input._shape, kind), (other._shape, kind))
                if input._requires_grad:
                    chosen = both if other._requires_grad else only_a
                else:
                    chosen = only_b if other._requires_grad else None
            elif kind.recordable and (other.__class__ is float or other.__class__ is int):
                b = other
                if as_arrays:
                    b = kind.scalars.get(other)
                    if b is None:
                        b = kind.scalar(other)
                try:
                    y = f(a, b)
                except Exception as error:
                    raise explain(error, (input, other)) from error
                chosen = scalar_b if input._requires_grad else None
            else:
                return general(input, other)
        elif other.__class__ is Tensor and (input.__class__ is float or input.__class__ is int):
            kind = other._type
            f = table[kind.code]
            if f is None or not kind.recordable:
                return general(input, other)
            a = kind.scalars.get(input)
            if a is None:
                a = kind.scalar(input)
            b = other._array
            shape = other._shape
            try:
                y = f(a, b)
            except Exception as error:
                raise explain(error, (input, other)) from error
            chosen = scalar_a if other._requires_grad else None
        else:
            return general(input, other)
        if not shape:
            y = kind.asarray(y)
        t: Tensor = Tensor()
        t._array = y
        t._shape = shape
        t._grad = None
        t._type = kind.bool_type if to_bool else kind
        if chosen is None or not is_grad_enabled():
            t._node = None
            t._requires_grad = False
            if WATCHERS:
                watch(t, input, other)
            return t
        pullback, saves_y, saves_a, saves_b = chosen
        n: Node = Node()
        n.pullback = pullback
        if chosen is both:
            n.edges = (input._node or input, other._node or other)
        elif chosen is only_a or chosen is scalar_b:
            n.edges = (input._node or input,)
            if restore is not None:
                restore = restore[:1]
        else:
            n.edges = (other._node or other,)
            if restore is not None:
                restore = restore[1:]
        if saves_y:
            n.saved = (y, *((a,) if saves_a else ()), *((b,) if saves_b else ()))
        elif saves_a:
            n.saved = (a, b) if saves_b else (a,)
        else:
            n.saved = (b,) if saves_b else ()
        n.type = kind
        n.restore = restore
        n.sequence = next(SEQUENCE)
        frame = getframe(1)
        code = frame.f_code
        if code is not last:
            if INNER[code.co_filename]:
                frame, code = outside(frame)
            else:
                last = code
        n.code = code
        n.at = frame.f_lasti
        t._node = n
        t._requires_grad = True
        if WATCHERS:
            watch(t, input, other)
        return t

    return call


def binary(
    forward: str | Formula,
    rule_a: Formula | None,
    rule_b: Formula | None,
    *,
    result: str = "same",
    holomorphic: bool = True,
    ordered: bool = False,
    graph: str | None = None,
    numpy: str | dict[str, Callable[..., Any] | None] | None = None,
    array_api: str | None = None,
    methods: Sequence[str] | None = None,
    reflected: str | None = None,
    scalar_rule: Formula | None = None,
    scalar_graph: str | None = None,
    reflected_graph: str | None = None,
    path: str | None = None,
    in_place: bool = True,
    samples: Callable[[Maker], Sequence[Sample]] | None = None,
    errors: Callable[[Maker], Sequence[Bad]] | None = None,
    departs: dict[str, str] | None = None,
    saved_as: dict[str, str] | None = None,
) -> Callable[[F], F]:
    """Declare an elementwise function of two operands, with broadcasting and promotion.

    Args:
        forward: the name of a Namespace function, or a formula `lambda xp, a, b: ...`.
        rule_a: the VJP of the first operand, in the letters `xp, g, y, a, b`.
        rule_b: that of the second; both None if it has no derivative.
        result: dtype of the result: `"same"` as the promoted operands, `"float"`, `"bool"`.
        holomorphic: as for `unary`; so are the others that are not explained here.
        ordered: as for `unary`.
        graph: the name of its node.
        numpy: NumPy's name for it.
        array_api: its name in the array API standard.
        methods: Tensor's names for it.
        path: where it stands in the library.
        in_place: as in `Op`.
        samples: as in `Op`; all ways of broadcasting numbers in [-2, 2) by default.
        errors: as in `Op`.
        departs: as in `Op`.
        saved_as: as for `primitive`.
        reflected: Tensor's name for it with the operands exchanged, for example `"__rsub__"`.
        scalar_rule: the VJP of the first operand where the second is a Python number, which
            forward and rule then get as it is.
        scalar_graph: the name of the node there.
        reflected_graph: the name of the node where the first operand is a Python number.
    """

    def declare(signature: F) -> F:
        name = signature.__name__
        node_name = graph or camel(name) + "Backward0"
        op = _Elementwise(
            name.strip("_"),
            node_name,
            forward,
            (rule_a, rule_b),
            ("a", "b"),
            result,
            holomorphic,
            ordered,
        )
        op.saved_as = saved_as or {}
        op.scalar_rule = scalar_rule or rule_a
        op.by_number = scalar_rule is not None
        op.scalar_graph = scalar_graph or node_name
        op.reflected_graph = reflected_graph or node_name
        assert (rule_a is None) == (rule_b is None), name
        names = (name,) if methods is None else methods
        direct = op.call = _binary_call(op, op.general)
        function = _elementwise_op(
            signature,
            direct,
            op,
            kind="binary" if rule_a else "comparison",
            numpy=numpy,
            methods=names,
            rules=(rule_a, rule_b),
            array_api=array_api,
            path=path,
            differentiable=rule_a is not None,
            in_place=in_place,
            samples=samples or over_pairs(),
            errors=errors,
            departs=departs,
        )
        operation = functools.wraps(function)(_binary_call(op, op.general_of_operator))
        for method in names:
            if method.startswith("__"):
                setattr(Tensor, method, operation)
        if reflected is not None:

            def exchanged(self: Tensor, other: Any) -> Tensor:
                return operation(other, self)

            exchanged.__name__ = exchanged.__qualname__ = reflected
            setattr(Tensor, reflected, exchanged)
        return function

    return declare


def comparison(forward: str | Formula, **record: Any) -> Callable[[F], F]:
    """Declare an elementwise function of two operands that gives bool and has no derivative."""
    return binary(forward, None, None, result="bool", **record)


# all other operations ------------------------------------------------------------------------


class _Primitive:
    """A rule-bearing operation that is not elementwise; see `primitive`."""

    def __init__(
        self,
        name: str,
        forward: Formula,
        rules: tuple[Formula | None, ...],
        joint: Formula | None,
        inputs: int,
        bilinear: bool,
        elementwise: bool,
        steps: bool,
        graph: str,
        holds_arrays: bool,
        linear: bool,
        multilinear: bool,
        symmetric: bool,
        jvp: Formula | None,
        batching: Formula | None,
        outputs: int | None,
        saved_as: dict[str, str],
    ) -> None:
        names = parameters(forward)
        assert names[0] == "xp", name
        self.linear = linear
        self.multilinear = multilinear
        self.symmetric = symmetric
        self.jvp = jvp
        self.saved_as = saved_as
        self.call: Callable[..., Tensor]
        self.name = name
        self.graph = graph
        self.forward = forward
        self.rules = rules
        self.joint = joint
        self.bilinear = bilinear
        self.elementwise = elementwise
        self.steps = steps
        self.holds_arrays = holds_arrays
        self.letters = names[1 : 1 + inputs]
        self.metadata = names[1 + len(self.letters) :]
        shapes = tuple(f"{letter}_shape" for letter in self.letters)
        self.outputs = outputs
        self.results = ("y",) if outputs is None else tuple(f"y{n}" for n in range(outputs))
        self.values = (*self.results, *self.letters, *shapes, *self.metadata)
        self.differentiable = joint is not None or any(r is not None for r in rules)
        self.implementations: list[Callable[..., Any]] = [self._resolve] * 3 + [
            over_batches(self.name, forward, self.raw, batching)
        ]
        self.variants: dict[int, Any] = {}

    def _resolve(self, xp: Namespace, *args: Any) -> Any:
        """The first call on a kind of device: find its implementation, and run it."""
        device = type_of(args[0]).device
        backend = device.backend
        kernel = backend.forward.get(self.name)
        if kernel is not None:
            function = _without_namespace(kernel)
        elif self.elementwise and backend.elementwise is not None:
            function = generated.forward(backend, self.name, self.forward)
        elif self.steps:
            function = self._in_parts
        else:
            function = self.forward
        function = backend.guarded(function)
        self.implementations[device.kind] = function
        return function(xp, *args)

    def _in_parts(self, xp: Namespace, x: Any, *args: Any) -> Any:
        if x.nbytes < LARGE:
            return self.forward(xp, x, *args)
        return in_parts(functools.partial(self.forward, xp), x, *args)

    def raw(self, *args: Any) -> Any:
        """The forward on arrays none of which is batched."""
        device = type_of(args[0]).device
        return self.implementations[device.kind](device.xp, *args)

    def over_batches(self, *args: Any) -> Any:
        """The forward on arrays some of which are batched."""
        return self.implementations[BATCHED](batched, *args)

    def again(self, error: Exception, inputs: Sequence[Tensor], metadata: Sequence[Any]) -> Any:
        """The forward once more, if it failed for a batch among the metadata.

        Raises:
            Exception: what the user should read, if that is not why.
        """
        batch = any(t._type.device.kind == BATCHED for t in inputs)
        if not batch and deepest(metadata) is not None:
            try:
                return self.implementations[BATCHED](
                    batched, *[t._array for t in inputs], *metadata
                )
            except Exception as second:
                raise self.failed(second, inputs) from second
        raise self.failed(error, inputs) from error

    def variant(self, wanted: tuple[bool, ...], kind: TensorType) -> Any:
        """What a call needs to be recorded where these inputs require grad.

        Returns:
            The Pullback, the getter of its saved values (None if there are none), and per input
            whether it has an edge; None if no gradient flows to any.
        """
        key = kind.code
        for want in wanted:
            key = 2 * key + want
        if key in self.variants:
            return self.variants[key]
        if self.rules:
            flows = tuple(w and r is not None for w, r in zip(wanted, self.rules, strict=True))
        else:
            flows = wanted
        found = (*self._make_variant(flows, kind), flows) if True in flows else None
        self.variants[key] = found
        return found

    def _make_variant(self, wanted: tuple[bool, ...], kind: TensorType) -> Any:
        numbers: list[int | None] = []
        for want in wanted:
            numbers.append(sum(n is not None for n in numbers) if want else None)
        fused = kind.device.backend.backward.get(self.name)
        chosen: list[Formula]
        if self.joint is not None:
            chosen = [self.joint]
        else:
            chosen = [r for r, want in zip(self.rules, wanted, strict=True) if want and r]
        needed = {n for rule in chosen for n in parameters(rule)[2:]} - {"wanted"}
        layout = tuple(n for n in self.values if n in needed)
        of: dict[str, int] = {"y": OUTPUT}
        if self.outputs is not None:
            of = {name: OUTPUTS - n for n, name in enumerate(self.results)}
        for letter, number in zip(self.letters, numbers, strict=True):
            of[letter] = CONSTANT if number is None else number
        sources = tuple(of.get(n, METADATA) for n in layout)
        holomorphic = self.bilinear and kind.dtype.is_complex
        joint = None
        if self.joint is not None:
            joint = _adapt_joint(self.joint, layout, wanted)
            if self.outputs is not None:
                joint = _of_outputs(joint, self.outputs)
            if holomorphic:
                plain = joint
                joint = lambda xp, g, s: tuple(
                    None if d is None else xp.conj(d) for d in plain(xp, xp.conj(g), s)
                )
        else:
            rules = [_adapt(rule, layout) for rule in chosen]
            if holomorphic:
                rules = [_conjugated(rule) for rule in rules]
            if self.steps:
                rules = [_in_parts(rule) for rule in rules]
            if fused is not None:
                joint = _together(rules, wanted)
        if fused is not None:
            joint = _with_kernel(fused, joint, layout, wanted)
        if joint is not None:
            rules = [_picker(i) for i, want in enumerate(wanted) if want]
        pullback = Pullback(
            self.graph,
            tuple(rules),
            sources,
            tuple(numbers),
            joint,
            pure=True,
            names=saved_names(layout, self.letters, self.saved_as),
            letters=layout,
        )
        if self.holds_arrays and not needed.isdisjoint(self.metadata):
            pullback.frees = True
        at = [self.values.index(n) for n in layout]
        return pullback, _getter(at) if at else None

    def result(self, inputs: Sequence[Tensor], y: Any, args: tuple[Any, ...]) -> Tensor:
        """The Tensor for the raw `y`, recorded if an input requires grad."""
        kind = inputs[0]._type
        y_type = kind
        if y.__class__ is not kind.ndarray or y.dtype is not kind.numpy:
            y, y_type = typed(y, kind)
        out = new_tensor(y, y_type, y.shape)
        if y_type.recordable:
            node = self.record(inputs, y, y_type, args)
            if node is not None:
                out._node = node
                out._requires_grad = True
        return out

    def several(
        self, inputs: Sequence[Tensor], ys: Sequence[Any], args: tuple[Any, ...]
    ) -> tuple[Tensor, ...]:
        """As `result`, of an operation with several outputs."""
        kind = inputs[0]._type
        found = [typed(y, kind) for y in ys]
        arrays = tuple([y for y, _ in found])
        recordable = [y_type for _, y_type in found if y_type.recordable]
        node = self.record(inputs, arrays, recordable[0], args) if recordable else None
        outs = []
        for number, (y, y_type) in enumerate(found):
            if node is not None and y_type.recordable:
                edge = output_of(node, number, y_type)
                outs.append(new_tensor(y, y_type, y.shape, True, edge))
            else:
                outs.append(new_tensor(y, y_type, y.shape))
        return tuple(outs)

    def record(
        self, inputs: Sequence[Tensor], y: Any, y_type: TensorType, args: tuple[Any, ...]
    ) -> Node | None:
        """The Node of this call, or None if there is nothing to record."""
        wanted = tuple([t._requires_grad for t in inputs])
        if True not in wanted or not self.differentiable or not is_grad_enabled():
            return None
        found = self.variant(wanted, y_type)
        if found is None:
            return None
        pullback, getter, flows = found
        edges = tuple([t._node or t for t, flow in zip(inputs, flows, strict=True) if flow])
        if getter is None:
            return new_node(pullback, edges, (), y_type, None, tuple(inputs))
        shapes: tuple[Any, ...] = tuple([t._shape for t in inputs])
        count = len(shapes)
        ys = (y,) if self.outputs is None else y
        saved = getter((*ys, *args[:count], *shapes, *args[count:]))
        return new_node(pullback, edges, saved, y_type, None, tuple(inputs))

    def failed(self, error: Exception, inputs: Sequence[Tensor]) -> Exception:
        """The error to raise where NumPy or CuPy raised `error`."""
        if isinstance(error, ValueError | TypeError) and not isinstance(error, GradcoreError):
            listed = ", ".join(f"{t._shape} {t._type.dtype.name}" for t in inputs)
            base = ShapeError if isinstance(error, ValueError) else DTypeError
            return base(f"{self.name}: {error} (operands: {listed}).")
        return error


def _without_namespace(kernel: Formula) -> Formula:
    return lambda xp, *args: kernel(*args)


def _adapt_joint(joint: Formula, layout: tuple[str, ...], wanted: tuple[bool, ...]) -> Any:
    names = parameters(joint)[2:]

    def call(xp: Namespace, g: Any, saved: tuple[Any, ...]) -> Any:
        values = dict(zip(layout, saved, strict=True), wanted=wanted)
        return joint(xp, g, *[values[n] for n in names])

    return call


def _of_outputs(joint: Rule, count: int) -> Rule:
    """`joint`, given the cotangents of all outputs as a tuple; None for those that have none."""
    return lambda xp, g, s: joint(xp, tuple([g.get(n) for n in range(count)]), s)


def _together(rules: list[Rule], wanted: tuple[bool, ...]) -> Any:
    """The rules of the wanted inputs as one function for all of them."""

    def call(xp: Namespace, g: Any, saved: tuple[Any, ...]) -> Any:
        found = iter(rules)
        return [next(found)(xp, g, saved) if want else None for want in wanted]

    return call


def _with_kernel(
    kernel: Formula, joint: Any, layout: tuple[str, ...], wanted: tuple[bool, ...]
) -> Any:
    """One fused kernel for all gradients of raw arrays; `joint` where they are recorded."""
    names = parameters(kernel)

    def call(xp: Namespace, g: Any, saved: tuple[Any, ...]) -> Any:
        if xp is recorded or xp is batched:
            return joint(xp, g, saved)
        values = dict(zip(layout, saved, strict=True), g=g, wanted=wanted)
        return kernel(*[values.get(n) for n in names])

    return call


_ABSENT: Final = object()


@overload
def primitive(
    name: str, forward: Formula, *rules: Formula | None, outputs: int, **options: Any
) -> Callable[..., tuple[Tensor, ...]]: ...
@overload
def primitive(
    name: str, forward: Formula, *rules: Formula | None, **options: Any
) -> Callable[..., Tensor]: ...
def primitive(  # type: ignore[misc]  # the overloads leave the options to it
    name: str,
    forward: Formula,
    *rules: Formula | None,
    joint: Formula | None = None,
    inputs: int | None = None,
    bilinear: bool = False,
    elementwise: bool = False,
    steps: bool = False,
    graph: str | None = None,
    holds_arrays: bool = False,
    linear: bool = False,
    multilinear: bool = False,
    symmetric: bool = False,
    jvp: Formula | None = None,
    batching: Formula | None = None,
    outputs: int | None = None,
    saved_as: dict[str, str] | None = None,
) -> Callable[..., Any]:
    """Declare a rule-bearing operation that takes metadata, or is not elementwise.

    Args:
        name: of the operation; also the name of the kernels that may stand in for it on a device.
        forward: `lambda xp, x, dim: ...` over raw arrays: first the arrays, then the metadata.
        rules: a VJP per array (None where nothing flows), by the grammar at the top of the module.
        joint: instead of rules, one function that returns the VJPs of all arrays as a sequence;
            it may also ask for `wanted`, a bool per array.
        inputs: how many arrays there are, if that is not the number of rules.
        bilinear: the rules need conjugates on complex numbers. (Rules that are linear with real
            coefficients need none, such as those of `sum` or `reshape`.)
        elementwise: the forward is, in all arrays, those among the metadata too.
        steps: as for `unary`, of an elementwise operation.
        graph: the name of its node, with the number, if it is not that of the operation.
        holds_arrays: some of the metadata are arrays, masks or indices, which a backward frees.
        linear: the forward is linear in all arrays together: its JVP is the forward of tangents.
        multilinear: the forward is linear in each array alone.
        symmetric: the Jacobian is a symmetric matrix: the VJP is the JVP.
        jvp: the JVP itself, where none of these holds and it costs less than the transpose of the
            VJP: as a rule, with `t_x` for the tangent of the array `x`, which may be None.
        batching: the forward on batches, where it is not made of the Namespace's functions; see
            `batching/readings.py`, of which `leading` is one.
        outputs: how many there are, where the forward returns a tuple of them. The rule is a
            `joint` then; its `g` is the tuple of their cotangents, None for one that has none, and
            `y0`, `y1`, ... are the outputs. It conjugates for itself. A `jvp` or a `linear`
            forward gives a tuple of tangents.
        saved_as: PyTorch's names for saved values, by ours, where they do not follow from these.

    Returns:
        A function of the Tensors and then the metadata, all positional. They are not checked.
    """
    count = len(rules) if inputs is None else inputs
    op = _Primitive(
        name,
        forward,
        rules,
        joint,
        count,
        bilinear,
        elementwise,
        steps,
        graph or camel(name) + "Backward0",
        holds_arrays,
        linear,
        multilinear,
        symmetric,
        jvp,
        batching,
        outputs,
        saved_as or {},
    )
    implementations, variant, again = op.implementations, op.variant, op.again
    result = op.result
    differentiable = op.differentiable
    variants = op.variants
    wanted_one = (True,)

    # One or two pieces of metadata are the rule; passing them by name saves 0.1 us.
    def apply_one(x: Tensor, m: Any = _ABSENT, n: Any = _ABSENT, *more: Any) -> Any:
        if x.__class__ is not Tensor and isinstance(x, Lifted):
            return x._primitive(op, (x,), tuple([v for v in (m, n, *more) if v is not _ABSENT]))
        kind = x._type
        a = x._array
        f = implementations[kind.device.kind]
        try:
            if m is _ABSENT:
                y = f(kind.xp, a)
            elif n is _ABSENT:
                y = f(kind.xp, a, m)
            else:
                y = f(kind.xp, a, m, n, *more)
        except Exception as error:
            y = again(error, (x,), [v for v in (m, n, *more) if v is not _ABSENT])
        y_type = kind
        if y.__class__ is not kind.ndarray or y.dtype is not kind.numpy:
            y, y_type = typed(y, kind)
        out: Tensor = Tensor()
        out._array = y
        out._type = y_type
        out._shape = y.shape
        out._grad = None
        if x._requires_grad and differentiable and y_type.recordable and is_grad_enabled():
            node: Node = Node()
            found = variants.get(2 * y_type.code + 1) or variant(wanted_one, y_type)
            node.pullback = found[0]
            node.edges = (x._node or x,)
            getter = found[1]
            node.saved = getter((y, a, x._shape, m, n, *more)) if getter else ()
            node.type = y_type
            node.restore = None
            node.sequence = next(SEQUENCE)
            frame, node.code = outside(getframe(1))
            node.at = frame.f_lasti
            out._node = node
            out._requires_grad = True
        else:
            out._node = None
            out._requires_grad = False
        if WATCHERS:
            watch(out, x)
        return out

    def apply_two(a: Tensor, b: Tensor, *metadata: Any) -> Any:
        if a.__class__ is not Tensor or b.__class__ is not Tensor:
            top = outermost((a, b))
            if top is not None:
                return top._primitive(op, (a, b), metadata)
        kind = a._type
        x, z = a._array, b._array
        try:
            if b._type is not kind and b._type.device.kind == BATCHED:
                y = implementations[BATCHED](batched, x, z, *metadata)
            else:
                y = implementations[kind.device.kind](kind.xp, x, z, *metadata)
        except Exception as error:
            y = again(error, (a, b), metadata)
        y_type = kind
        if y.__class__ is not kind.ndarray or y.dtype is not kind.numpy:
            y, y_type = typed(y, kind)
        out: Tensor = Tensor()
        out._array = y
        out._type = y_type
        out._shape = y.shape
        out._grad = None
        need_a, need_b = a._requires_grad, b._requires_grad
        found = None
        if (need_a or need_b) and differentiable and y_type.recordable and is_grad_enabled():
            found = variants.get(4 * y_type.code + 2 * need_a + need_b)
            if found is None:
                found = variant((need_a, need_b), y_type)
        if found is not None:
            pullback, getter, (flow_a, flow_b) = found
            node: Node = Node()
            node.pullback = pullback
            if flow_a:
                node.edges = (a._node or a, b._node or b) if flow_b else (a._node or a,)
            else:
                node.edges = (b._node or b,)
            node.saved = getter((y, x, z, a._shape, b._shape, *metadata)) if getter else ()
            node.type = y_type
            node.restore = None
            node.sequence = next(SEQUENCE)
            frame, node.code = outside(getframe(1))
            node.at = frame.f_lasti
            out._node = node
            out._requires_grad = True
        else:
            out._node = None
            out._requires_grad = False
        if WATCHERS:
            watch(out, a, b)
        return out

    def apply_several(*args: Any) -> Any:
        tensors = args[:count]
        top = outermost(tensors)
        if top is not None:
            return top._primitive(op, tensors, args[count:])
        metadata = args[count:]
        kind = tensors[0]._type
        arrays = [t._array for t in tensors]
        xp, number = kind.xp, kind.device.kind
        for t in tensors:
            if t._type is not kind and t._type.device.kind == BATCHED:
                xp, number = batched, BATCHED
        try:
            y = implementations[number](xp, *arrays, *metadata)
        except Exception as error:
            y = again(error, tensors, metadata)
        return result(tensors, y, (*arrays, *metadata))

    if outputs is not None:
        result = op.several  # type: ignore[assignment]
    if outputs is not None or count > 2:
        op.call = apply_several
    else:
        op.call = apply_one if count == 1 else apply_two
    setattr(op.call, "op", op)  # noqa: B010  for Namespace.apply
    return op.call
