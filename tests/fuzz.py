"""Random programs, run by gradcore and by PyTorch, and compared after every step.

    python tests/fuzz.py --seed 0 --programs 5000 --jobs 2

A program is a list of steps, each one line of Python over named values, which runs in either
library (`lib`). It is made by running PyTorch, so that shapes fit and most steps are valid; those
that raise must raise in both. What is compared: whether a step raises, the class and the famous
words of its error; of every value the numbers, shape, dtype, `requires_grad`, `is_leaf`, whether it
has a `grad_fn`, `_version`, `.grad`, and with whom it shares memory.

Where gradcore differs on purpose, or PyTorch contradicts itself, programs are made that do not go
there, or the comparison ends; each such place has a comment.

A failure is printed as a script that reproduces it; `--shrink` drops the steps it does not need.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import math
import multiprocessing
import random
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    ROOT = Path(__file__).parent.parent
    sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

__all__ = ["Failure", "Program", "Step", "check", "generate", "shrink"]

RELATIVE = 1e-9

PHRASES = (
    "a leaf Variable that requires grad is being used in an in-place operation",
    "a view of a leaf Variable that requires grad is being used in an in-place operation",
    "modified by an inplace operation",
    "backward through the graph a second time",
    "is a view and is being modified inplace",
    "is a view and its base or another view of its base has been modified inplace",
    "A view was created in no_grad mode and is being modified inplace with grad mode enabled",
    "A view was created in no_grad mode and its base or another view",
    "This view is the output of a function that returns multiple views",
    "more than one element of the written-to tensor refers to a single memory location",
    "some elements of the input tensor and the written-to tensor refer to a single memory",
    "grad can be implicitly created only for scalar outputs",
    "does not require grad and does not have a grad_fn",
    "Mismatch in shape",
    "appears to not have been used in the graph",
    "One of the differentiated Tensors does not require grad",
    "you can only change requires_grad flags of leaf variables",
    "can't retain_grad on Tensor that has requires_grad=False",
    "cannot register a hook on a tensor that doesn't require gradient",
    "view size is not compatible with input tensor's size and stride",
)
"""Texts that users search for: one that is in PyTorch's message must be in gradcore's."""

CATEGORIES = (IndexError, TypeError, ValueError, RuntimeError)

# programs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One line of Python.

    Attributes:
        code: the line.
        makes: the names it binds.
    """

    code: str
    makes: tuple[str, ...] = ()

    @property
    def reads(self) -> frozenset[str]:
        """The names of values it uses."""
        names = {n.id for n in ast.walk(ast.parse(self.code)) if isinstance(n, ast.Name)}
        return frozenset(n for n in names if n[0] == "v" and n[1:].isdigit()) - set(self.makes)


Program = tuple[Step, ...]


def script(program: Iterable[Step], library: str = "gradcore") -> str:
    """The program as a script that runs by itself."""
    lines = [f"import {library} as lib", "", *(step.code for step in program)]
    return "\n".join(lines)


@dataclass(frozen=True)
class Failure:
    """Where the two libraries differ.

    Attributes:
        program: what was run.
        at: the number of the step after which it showed.
        kind: what differs: `"error"`, `"value"`, `"_version"`, ...
        text: the two sides, in words.
    """

    program: Program
    at: int
    kind: str
    text: str

    def __str__(self) -> str:
        steps = self.program[: self.at + 1]
        return f"{script(steps)}\n# {self.kind}: {self.text}"


# running -----------------------------------------------------------------------------------------


class Run:
    """A library, and the values that a program has made in it."""

    def __init__(self, lib: Any) -> None:
        self.lib = lib
        self.is_torch = lib.__name__ == "torch"
        self.values: dict[str, Any] = {"lib": lib}

    def step(self, step: Step) -> Exception | None:
        """Run one step; the error that it raised."""
        try:
            exec(_compiled(step.code), self.values)
        except Exception as error:
            return error.with_traceback(None)
        return None

    def forget(self) -> None:
        """Drop all values."""
        for name in [n for n in self.values if n[0] in "vh"]:
            del self.values[name]

    def tensors(self) -> dict[str, Any]:
        """The values by name."""
        kind = self.lib.Tensor
        return {n: v for n, v in self.values.items() if n[0] == "v" and isinstance(v, kind)}

    def memory(self, t: Any) -> Any:
        """What tells whether two values share memory; None of an empty one."""
        if not t.numel():
            return None
        if self.is_torch:
            return t.untyped_storage().data_ptr()
        return id(self.lib.storage.owner(t._array))


_cache: dict[str, Any] = {}


def _compiled(code: str) -> Any:
    found = _cache.get(code)
    if found is None:
        if len(_cache) > 10_000:
            _cache.clear()
        found = _cache[code] = compile(code, "<program>", "exec")
    return found


def category(error: Exception) -> type[Exception]:
    """The builtin class that users catch."""
    for kind in CATEGORIES:
        if isinstance(error, kind):
            return kind
    return type(error)


def walked(error: Exception, *phrases: str) -> bool:
    """Whether an error came in the middle of a backward pass."""
    return any(p in str(error) for p in phrases or PHRASES[2:4])


def stopped_a_walk(error: Exception, step: Step) -> bool:
    """Whether a step raised in the middle of a backward pass."""
    if walked(error):
        return True
    return ("backward(" in step.code or "autograd.grad(" in step.code) and walked(
        error, PHRASES[5], PHRASES[7]
    )


SAVES_LESS = ("prod(", "index_add_(", "create_graph=True")
"""Functions of whose operands and results gradcore saves fewer than PyTorch."""


def saved_otherwise(
    ours: Exception | None, theirs: Exception | None, program: Program, step: Step
) -> bool:
    """Whether an error is about what the functions of only one library have saved.

    PyTorch saves numbers that are factors, and runs the functions that made `inputs`; of operands
    of products that do not fit a matrix it saves copies.
    """
    if theirs is None:
        return ours is not None and walked(ours) and any("@" in s.code for s in program)
    if ours is not None and not walked(ours) and "appears to not have been used" not in str(ours):
        return False  # what is not used is found where the walk ends
    if walked(theirs, PHRASES[3], "has been detached in-place"):
        return True
    less = "inputs=" in step.code or any(f in s.code for f in SAVES_LESS for s in program)
    return stopped_a_walk(theirs, step) and less


def is_written_twice(error: Exception, step: Step) -> bool:
    """Whether PyTorch refuses to write back what `x[index] += y` has written already.

    It does where the index is all of a view and the first write has given it a history.
    """
    return PHRASES[0] in str(error) and "] " in step.code and "= " in step.code


def phrases(error: Exception) -> list[str]:
    """The famous texts in a message."""
    message = str(error)
    return [p for p in PHRASES if p in message]


def compared_errors(ours: Exception | None, theirs: Exception | None) -> str:
    """How two outcomes of a step differ, in words; "" if they do not."""
    if ours is None and theirs is None:
        return ""
    if theirs is None:
        return f"gradcore raises {type(ours).__name__}: {ours}"
    words = str(theirs).partition("\n")[0]
    if ours is None:
        return f"PyTorch raises {type(theirs).__name__}: {words}"
    lacking = [p for p in phrases(theirs) if p not in str(ours)]
    if PHRASES[2] in str(ours) and PHRASES[5] in lacking:
        lacking = []  # a saved view that was written to: either is said of it
    if not isinstance(ours, category(theirs)) or lacking:
        return (
            f"gradcore raises {type(ours).__name__}: {ours}\n"
            f"#   PyTorch {type(theirs).__name__}: {words}"
        )
    return ""


def _numbers(t: Any) -> Any:
    return t.detach().numpy(force=True)  # PyTorch has zeros without memory


def has_another_layout(ours: Any, theirs: Any) -> bool:
    """Whether the elements of two Tensors lie in memory in another order."""
    if not hasattr(theirs, "stride") or not hasattr(ours, "stride"):
        return False
    return any(
        n > 1 and s != t and theirs.numel()
        for n, s, t in zip(theirs.shape, ours.stride(), theirs.stride(), strict=False)
    )


def _close(ours: Any, theirs: Any) -> bool:
    if theirs.dtype != np.float64:
        return bool(np.array_equal(ours, theirs))
    finite = np.isfinite(theirs)
    scale = float(np.abs(theirs[finite]).max(initial=1.0))
    return bool(np.allclose(ours, theirs, rtol=RELATIVE, atol=RELATIVE * scale, equal_nan=True))


def _attribute(t: Any, name: str) -> Any:
    try:
        value = getattr(t, name)
        return value is not None if name == "grad_fn" else value
    except Exception as error:
        return f"raises {category(error).__name__} {phrases(error)}"


ATTRIBUTES = ("requires_grad", "is_leaf", "grad_fn", "_version")


def is_phantom(t: Any) -> bool:
    """Whether a PyTorch Tensor is a view that asks its base whether it requires grad.

    One made under no_grad says that it does, against the documentation of no_grad, and is a leaf:
    gradients end there. In gradcore it does not.
    """
    try:
        return bool(t._is_view() and t.requires_grad and t.is_leaf and t._base.requires_grad)
    except RuntimeError:
        return True


def is_poisoned(t: Any) -> bool:
    """Whether a PyTorch Tensor is a view that may not be used any more, as its base was written.

    Of views made under no_grad, or with others in one call. In gradcore the former are constants,
    and the histories of the latter follow.
    """
    try:
        t.grad_fn
    except RuntimeError:
        return True
    return False


def is_one_of_several(t: Any) -> bool:
    """Whether a PyTorch Tensor came from a function with several outputs."""
    name = type(t.grad_fn).__name__
    return name.startswith(("Unbind", "Split", "Max", "Min"))


def compared_values(name: str, ours: Any, theirs: Any, lag: int = 0) -> tuple[str, str] | None:
    """What differs of two Tensors, and how."""
    if tuple(ours.shape) != tuple(theirs.shape):
        return "shape", f"{name}.shape is {tuple(ours.shape)}, in PyTorch {tuple(theirs.shape)}"
    a, b = str(ours.dtype).split(".")[1], str(theirs.dtype).split(".")[1]
    if a != b:
        return "dtype", f"{name}.dtype is {a}, in PyTorch {b}"
    poisoned = is_poisoned(theirs)
    for attribute in ATTRIBUTES:
        if poisoned and attribute != "_version":
            continue
        if attribute == "requires_grad" and is_phantom(theirs):
            continue
        x, y = _attribute(ours, attribute), _attribute(theirs, attribute)
        if x != y and not (attribute == "_version" and x == y - lag):
            what = "bool(grad_fn)" if attribute == "grad_fn" else attribute
            return attribute, f"{name}.{what} is {x}, in PyTorch {y}"
    a, b = _numbers(ours), _numbers(theirs)
    if not _close(a, b):
        return "value", f"{name} is {a.tolist()}, in PyTorch {b.tolist()}"
    return None


def compared_grads(name: str, ours: Any, theirs: Any) -> tuple[str, str] | None:
    """How two Tensors' `.grad` differ."""
    a, b = ours.grad, theirs.grad
    if (a is None) is not (b is None):
        return "grad", f"{name}.grad is {a}, in PyTorch {b}"
    if a is None:
        return None
    found = compared_values(f"{name}.grad", a, b)
    return None if found is None or found[0] == "_version" else ("grad", found[1])


def _partners(run: Run, tensors: dict[str, Any], names: Iterable[str]) -> dict[str, list[str]]:
    memories = {n: run.memory(t) for n, t in tensors.items()}
    return {
        n: [other for other, m in memories.items() if m == memories[n]]
        for n in names
        if memories[n] is not None
    }


def compare(
    ours: Run, theirs: Run, names: Iterable[str], lags: dict[str, int], grads: bool = True
) -> tuple[str, str] | None:
    """What differs of the named values."""
    a, b = ours.tensors(), theirs.tensors()
    if a.keys() != b.keys():
        return "names", f"Tensors are {sorted(a)}, in PyTorch {sorted(b)}"
    names = [n for n in names if n in b]
    for name in names:
        found = compared_values(name, a[name], b[name], lags.get(name, 0))
        if found is None and grads:
            found = compared_grads(name, a[name], b[name])
        if found is not None:
            return found
    x, y = _partners(ours, a, names), _partners(theirs, b, names)
    for name in names:
        if x.get(name) != y.get(name):
            return "memory", f"{name} shares with {x.get(name)}, in PyTorch {y.get(name)}"
    return None


def has_other_zeros(found: tuple[str, str], theirs: Run, program: Program) -> bool:
    """Whether a difference is about the history of a gradient that is constant.

    PyTorch gives some gradients of empty values none, and those of third order of a power one.
    """
    if found[0] not in ATTRIBUTES[:3] and ".grad.requires_grad" not in found[1]:
        return False
    orders = sum("create_graph=True" in step.code for step in program)
    return orders > 1 or not all(t.numel() for t in theirs.tensors().values())


def note_lags(step: Step, ours: Run, theirs: Run, lags: dict[str, int]) -> None:
    """Note by how much PyTorch counts more: it builds some products by writes of its own."""
    product = "@" in step.code or "linear" in step.code
    memories = {n: theirs.memory(t) for n, t in theirs.tensors().items()} if lags else {}
    for name in step.makes:
        a, b = ours.values.get(name), theirs.values.get(name)
        if not (hasattr(a, "_version") and hasattr(b, "_version")):
            continue
        lag = b._version - a._version
        views_one = any(
            lags.get(n) == lag and (m == memories[name] or n in step.reads)
            for n, m in memories.items()
        )
        if lag and (product or views_one):
            lags[name] = lag
        else:
            lags.pop(name, None)


def check(program: Program, ours: Any = None, theirs: Any = None) -> Failure | None:
    """Run a program in both libraries; the first difference.

    Args:
        program: the steps. Those that use a name that is not there are left out.
        ours: gradcore, unless another is given.
        theirs: PyTorch.
    """
    if ours is None:
        import gradcore as ours
    if theirs is None:
        import torch as theirs
    a, b = Run(ours), Run(theirs)
    lags: dict[str, int] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for at, step in enumerate(program):
            if not step.reads <= b.values.keys():
                continue
            error, expected = a.step(step), b.step(step)
            if saved_otherwise(error, expected, program, step):
                a.forget()
                b.forget()
                continue
            if error is None and expected is not None and is_written_twice(expected, step):
                continue
            if expected is not None and "ZeroTensors are immutable" in str(expected):
                return None  # PyTorch cannot add to a gradient that it has made without memory
            text = compared_errors(error, expected)
            if text:
                return Failure(program, at, "error", text)
            note_lags(step, a, b, lags)
            if expected is not None and stopped_a_walk(expected, step):
                # Half the graph is freed, and in PyTorch half the leaves are filled.
                a.forget()
                b.forget()
                continue
            for name in step.makes:
                if has_another_layout(a.values.get(name), b.values.get(name)):
                    # What is a view of it then, and what a copy, is not the same either.
                    del a.values[name], b.values[name]
            last = at == len(program) - 1
            everything = expected is not None or last or not step.makes
            found = compare(a, b, list(b.tensors()) if everything else step.makes, lags, everything)
            if found is not None:
                if has_other_zeros(found, b, program[: at + 1]):
                    return None
                return Failure(program, at, *found)
    return None


# shrinking ---------------------------------------------------------------------------------------


def shrink(failure: Failure, seconds: float = 60.0) -> Failure:
    """The failure with the steps that it needs: drops them one by one while the kind remains."""
    deadline = time.monotonic() + seconds
    best = Failure(failure.program[: failure.at + 1], failure.at, failure.kind, failure.text)
    changed = True
    while changed and time.monotonic() < deadline:
        changed = False
        for candidate in _smaller(best.program):
            if time.monotonic() > deadline:
                break
            found = check(candidate)
            if found is not None and found.kind == best.kind and _same_words(found, best):
                best = Failure(candidate[: found.at + 1], found.at, found.kind, found.text)
                changed = True
                break
    return best


def _same_words(a: Failure, b: Failure) -> bool:
    return a.kind != "error" or a.text.split(":")[:1] == b.text.split(":")[:1]


def _smaller(program: Program) -> Iterator[Program]:
    """Programs without one step (and what depends on it), or with its result replaced."""
    size = len(program)
    width = size // 2
    while width > 1:
        for start in range(0, size - width, width):
            yield program[:start] + program[start + width :]
        width //= 2
    for at in reversed(range(size)):
        step, rest = program[at], program[at + 1 :]
        yield program[:at] + rest
        for made, read in itertools.product(step.makes, sorted(step.reads)):
            yield program[:at] + tuple(_renamed(s, made, read) for s in rest)
        if step.code.startswith("with ") and "): " in step.code:
            plain = Step(step.code.partition("): ")[2], step.makes)
            yield (*program[:at], plain, *rest)


def _renamed(step: Step, old: str, new: str) -> Step:
    tree = ast.parse(step.code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == old:
            node.id = new
    code = ast.unparse(tree).replace(":\n    ", ": ")
    return Step(code, tuple(new if n == old else n for n in step.makes))


# making ------------------------------------------------------------------------------------------

F64 = "dtype=lib.float64"

SMOOTH = ("neg", "sin", "cos", "tanh", "sigmoid", "atan", "erf", "asinh", "square")
KINKED = ("abs", "sign", "floor", "round", "trunc", "ceil")
GROWING = ("exp", "sinh", "cosh", "expm1", "exp2")
POSITIVE = ("log", "sqrt", "rsqrt", "log1p", "log2")
"""Unary methods, by where they are well conditioned."""

FUNCTIONAL = ("gelu", "silu", "elu")
FLAT = ("leaky_relu", "relu")
"""Whose second derivative PyTorch gives as zeros, and gradcore not at all."""


IN_PLACE_UNARY = ("tanh_", "sigmoid_", "sin_", "neg_", "abs_", "square_")
IN_PLACE_BINARY = ("add_", "sub_", "mul_", "add_", "mul_")
IN_PLACE_OPERATORS = ("+=", "-=", "*=")

REARRANGED = ("squeeze_", "transpose_", "detach_")

LARGE = 1e3


class Generator:
    """Makes a program by running it in PyTorch."""

    def __init__(self, seed: str, in_place: bool = True) -> None:
        import torch

        self.random = random.Random(seed)
        self.in_place = in_place
        self.run = Run(torch)
        self.torch = torch
        self.steps: list[Step] = []
        self.names: list[str] = []
        self.count = 0
        self.twice = self.chance(0.5)

    # choosing ------------------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.random.random() < p

    def one(self, *options: Any) -> Any:
        """One of the options."""
        return self.random.choice(options)

    def value(self, name: str) -> Any:
        """PyTorch's Tensor."""
        return self.run.values[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.value(name).shape)

    def pick(self, *wanted: Any) -> str | None:
        """A name of a float value that all functions accept; new ones and graphs are likelier."""
        found = [n for n in self.names if all(f(self.value(n)) for f in wanted)]
        if not found:
            return None
        weights = [
            (3 if self.value(n).requires_grad else 1) * (1 + at) for at, n in enumerate(found)
        ]
        return self.random.choices(found, weights)[0]

    def number(self) -> str:
        """A Python number as text."""
        return repr(
            self.one(2.0, 0.5, -1.0, 1.5, -0.25, 3, 1, 0.125, round(self.random.gauss(0, 1), 3))
        )

    def literal(self, shape: Sequence[int], grad: bool = False, positive: bool = False) -> str:
        """The text of a Tensor."""
        tail = ", requires_grad=True" if grad else ""
        if math.prod(shape) == 0:
            return f"lib.zeros({tuple(shape)!r}, {F64}{tail})"

        def entry() -> float:
            x = (
                self.random.randint(-8, 8) / 4
                if self.chance(0.4)
                else round(self.random.uniform(-2, 2), 3)
            )
            return abs(x) + 0.25 if positive else x

        def nested(rest: Sequence[int]) -> Any:
            return [nested(rest[1:]) for _ in range(rest[0])] if rest else entry()

        return f"lib.tensor({nested(shape)!r}, {F64}{tail})"

    def any_shape(self) -> tuple[int, ...]:
        """Of a new leaf: mostly small, sometimes empty."""
        rank = self.random.choices((0, 1, 2, 3), (1, 4, 5, 3))[0]
        lengths = (0, 1, 2, 3, 4) if self.chance(0.05) else (1, 2, 2, 3, 3, 4)
        return tuple(self.random.choice(lengths) for _ in range(rank))

    def dim(self, shape: Sequence[int]) -> int:
        """One of its dimensions, or the negative number of it."""
        d = self.random.randrange(len(shape))
        return d - len(shape) if self.chance(0.3) else d

    # growing -------------------------------------------------------------------------------------

    def new_name(self) -> str:
        """A name that was not used."""
        self.count += 1
        return f"v{self.count}"

    def emit(self, code: str, makes: Sequence[str] = (), keep: bool = False) -> Exception | None:
        """Add a step and run it. One that makes values is dropped if they explode."""
        step = Step(code, tuple(makes))
        error = self.run.step(step)
        bad = error is None and any(self.exploded(n) or self.singular(n, code) for n in makes)
        if (error is not None and not keep and self.chance(0.9)) or bad:
            for name in makes:
                self.run.values.pop(name, None)
            return error
        self.steps.append(step)
        phantoms = [n for n in makes if n in self.run.tensors() and is_phantom(self.value(n))]
        if phantoms:
            for name in phantoms:
                if self.in_place and self.chance(0.5):
                    self.attempt(f"{name}.{self.one('mul_(2)', 'zero_()', 'exp_()')}")
            self.attempt(f"del {', '.join(phantoms)}")
            return None
        if error is None:
            kind = self.torch.Tensor
            self.names += [
                n
                for n in makes
                if isinstance(self.run.values[n], kind) and self.value(n).is_floating_point()
            ]
        return error

    def drop_poisoned(self) -> None:
        """Drop the names of views that PyTorch does not let be used any more."""
        gone = [n for n, t in self.run.tensors().items() if is_poisoned(t) or is_phantom(t)]
        if gone:
            self.names = [n for n in self.names if n not in gone]
            self.attempt(f"del {', '.join(gone)}")

    def attempt(self, code: str) -> None:
        """Add a step that makes nothing."""
        step = Step(code)
        self.run.step(step)
        self.steps.append(step)

    def exploded(self, name: str) -> bool:
        """Whether a value is too large to go on with."""
        t = self.run.values[name]
        if not isinstance(t, self.torch.Tensor) or not t.is_floating_point() or not t.numel():
            return False
        largest = t.detach().abs().max().item()
        return not largest < LARGE

    def singular(self, name: str, code: str) -> bool:
        """Whether a value is where its second derivative is no number."""
        t = self.run.values[name]
        found = any(f"{f}(" in code for f in ("norm", "std", "hypot", "atan2"))
        return found and t.numel() > 0 and not t.detach().abs().min().item() > 1e-6

    def assign(self, expression: str) -> None:
        """A step that makes one value."""
        mode = ""
        if self.chance(0.06):
            mode = "with lib.no_grad(): "
        elif self.chance(0.02):
            mode = "with lib.enable_grad(): "
        name = self.new_name()
        self.emit(f"{mode}{name} = {expression}", [name])

    def leaf(self) -> None:
        """A new leaf."""
        name = self.new_name()
        self.emit(f"{name} = {self.literal(self.any_shape(), self.chance(0.75))}", [name])

    def unary(self) -> None:
        """An elementwise function of one value."""
        x = self.pick()
        if x is None:
            return
        t = self.value(x).detach()
        largest = t.abs().max().item() if t.numel() else 0.0
        smallest = t.min().item() if t.numel() else 1.0
        options = [*SMOOTH, *SMOOTH]
        if self.value(x).is_leaf or ((2 * t - (2 * t).round()).abs() > 1e-6).all():
            options += KINKED  # elsewhere the last bit decides
        if largest < 4:
            options += GROWING
        if smallest > 1e-2:
            options += POSITIVE * 3
        if self.chance(0.2):
            self.assign(
                f"lib.nn.functional.{self.one(*FUNCTIONAL, *(() if self.twice else FLAT))}({x})"
            )
        elif smallest > 1e-2 and self.chance(0.2):
            # Not 2 / x, of which PyTorch saves 1 / x, and gradcore x.
            self.assign(f"{x}.reciprocal()")
        elif self.chance(0.1):
            self.assign(f"{x}.clamp({self.one(-0.5, 0.0, None)}, {self.one(0.5, 1.0)})")
        elif self.chance(0.15):
            self.assign(f"{x} ** {self.one(2, 3, 2.0)}")
        else:
            self.assign(f"{x}.{self.one(*options)}()")

    def second(self, x: str) -> str:
        """An operand that broadcasts with `x`: a value, a number or a new Tensor."""
        shape = self.shape(x)
        if self.chance(0.25):
            return self.number()
        other = self.pick(lambda t: _broadcasts(tuple(t.shape), shape))
        if other is not None and self.chance(0.9):
            return other
        return self.literal(self.narrower(shape))

    def narrower(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that expands to `shape`."""
        kept = shape[self.random.randint(0, len(shape)) :] if self.chance(0.3) else shape
        return tuple(1 if self.chance(0.2) else n for n in kept)

    def binary(self) -> None:
        """An elementwise function of two."""
        x = self.pick()
        if x is None:
            return
        y = self.second(x)
        if self.chance(0.3):
            x, y = y, x
        if self.chance(0.75):
            self.assign(f"{x} {self.one('+', '-', '*', '*')} {y}")
        elif x[0] in "vl" and y[0] in "vl":
            kind = self.random.randrange(5)
            if kind == 0:
                self.assign(f"lib.{self.one('maximum', 'minimum')}({x}, {y})")
            elif kind == 1:
                self.assign(f"lib.where({x} > {y}, {x}, {y})")
            elif kind == 2:
                # Away from the cut of atan2, where the sign of zero decides.
                form = self.one("{} / ({}.square() + 0.5)", "lib.atan2({}, {}.abs() + 0.5)")
                self.assign(form.format(x, y))
            elif kind == 3:
                self.assign(f"lib.{self.one('logaddexp', 'hypot')}({x}, {y})")
            else:
                self.assign(f"lib.where({x} > {self.number()}, {x}, {self.one(y, self.number())})")

    def reduction(self) -> None:
        """A sum, product, extremum, norm, scan or softmax."""
        x = self.pick()
        if x is None:
            return
        shape = self.shape(x)
        kind = self.random.randrange(9)
        if shape and kind == 0:
            d = self.dim(shape)
            self.assign(f"{x}.{self.one('cumsum', 'cumsum', 'softmax', 'log_softmax')}({d})")
            return
        if shape and kind == 1:
            name, d = self.new_name(), self.dim(shape)
            self.emit(f"{name} = {x}.{self.one('max', 'min')}({d}).values", [name])
            return
        options = ["sum", "sum", "mean", "amax", "amin", "logsumexp", "norm", "var", "std"]
        if not self.twice:
            options.append("prod")  # PyTorch's first derivative needs the result
        which = self.one(*options)
        if not shape or (self.chance(0.3) and which != "logsumexp"):
            which = "sum" if which == "prod" and math.prod(shape) < 2 else which
            self.assign(f"{x}.{which}({'0' if which == 'logsumexp' else ''})")
            return
        dims: Any = self.dim(shape)
        if which == "prod" and shape[dims] < 2:
            which = "sum"
        if which != "prod" and self.chance(0.3):
            rank = len(shape)
            dims = tuple(self.random.sample(range(rank), self.random.randint(1, rank)))
        keep = ", keepdim=True" if self.chance(0.4) else ""
        self.assign(f"{x}.{which}(dim={dims}{keep})")

    def product(self) -> None:
        """A matrix product."""
        x = self.pick(lambda t: t.ndim >= 1)
        if x is None:
            return
        shape = self.shape(x)
        y = self.pick(lambda t: t.ndim >= 1 and _multiplies(shape, tuple(t.shape)))
        if y is None or self.chance(0.2):
            y = self.literal(
                (shape[-1], self.random.randint(1, 3)) if self.chance(0.7) else (shape[-1],)
            )
        kind = self.random.randrange(6)
        if kind == 0 and len(shape) == 1:
            other = self.pick(lambda t: t.ndim == 1)
            self.assign(f"lib.outer({x}, {other})")
        elif kind == 1:
            self.assign(f"{x} @ {x}.mT" if len(shape) > 1 else f"{x}.dot({x})")
        elif kind == 2 and len(shape) == 2:
            self.assign(f"lib.nn.functional.linear({x}, {self.literal((2, shape[1]))})")
        else:
            self.assign(f"{x} @ {y}")

    def rearranged(self) -> None:
        """A function of positions that copies."""
        x = self.pick(lambda t: t.ndim >= 1)
        if x is None:
            return
        shape = self.shape(x)
        d = self.dim(shape)
        n = shape[d]
        kind = self.random.randrange(9)
        if kind < 3:
            mates = [n for n in self.names if self.shape(n) == shape]
            picked = [self.random.choice(mates) for _ in range(self.random.randint(1, 3))]
            function = self.one("cat", "stack")
            self.assign(f"lib.{function}(({x}, {', '.join(picked)}), dim={d})")
        elif kind == 3:
            self.assign(f"{x}.flip({d})" if self.chance(0.5) else f"{x}.roll(1, {d})")
        elif kind == 4 and n:
            rows = [self.random.randrange(n) for _ in range(self.random.randint(1, 4))]
            self.assign(f"{x}.index_select({d}, lib.tensor({rows}))")
        elif kind == 5 and len(shape) > 1:
            self.assign(f"{x}.{self.one('tril', 'triu')}()")
        elif kind == 6 and 0 < math.prod(shape) < 20:
            self.assign(f"{x}.repeat({', '.join(str(self.one(1, 2)) for _ in shape)})")
        elif kind == 7:
            self.assign(f"{x}.masked_fill({x} > {self.number()}, {self.number()})")
        else:
            self.assign(f"{x}.{self.one('clone', 'contiguous')}()")

    def view(self) -> None:
        """A view, or what may be one."""
        x = self.pick()
        if x is None:
            return
        expression = self.view_of(x)
        if expression is not None:
            self.assign(expression)

    def view_of(self, x: str) -> str | None:
        """The text of a view of `x`."""
        shape = self.shape(x)
        rank, size = len(shape), math.prod(shape)
        kind = self.random.randrange(16)
        if kind == 0:
            to = self.random.choice(_factored(size)) if size else (*shape, 1)
            to = tuple(-1 if self.chance(0.2) and i == 0 and size else n for i, n in enumerate(to))
            return f"{x}.{self.one('reshape', 'view')}({to!r})"
        if kind == 1:
            # In gradcore a graph that has saved what `data` gave does not notice writes to that.
            return f"{x}.{'detach()' if self.in_place else self.one('detach()', 'data')}"
        if kind == 2:
            at = self.random.randint(-rank - 1, rank)
            return f"{x}.unsqueeze({at})" if rank < 4 else f"{x}.squeeze()"
        if kind == 3:
            return f"{x}.view_as({x})" if self.chance(0.5) else f"{x}.flatten()"
        if not rank:
            return f"{x}.expand({self.one('2', '1', '2, 3')})" if kind < 10 else f"{x}[...]"
        d = self.dim(shape)
        n = shape[d]
        if kind == 4:
            return f"{x}.transpose({d}, {self.dim(shape)})"
        if kind == 5:
            return f"{x}.permute({', '.join(map(str, self.random.sample(range(rank), rank)))})"
        if kind == 6:
            lead = (self.random.randint(1, 3),) if self.chance(0.4) and rank < 4 else ()
            to = lead + tuple(self.one(2, 3) if k == 1 and self.chance(0.7) else k for k in shape)
            return f"{x}.expand{to!r}"
        if kind == 7:
            return f"{x}.squeeze({d})"
        if kind == 8 and n:
            return f"{x}.select({d}, {self.random.randrange(n)})"
        if kind == 9:
            length = self.random.randint(min(1, n), n)
            return f"{x}.narrow({d}, {self.random.randint(0, n - length)}, {length})"
        if kind == 10 and rank >= 2:
            a, b = self.random.sample(range(rank), 2)
            return f"{x}.diagonal({self.one(0, 0, 1, -1)}, {a}, {b})"
        if kind == 11 and rank >= 2:
            return f"{x}.{self.one('mT', 'T' if rank == 2 else 'mT', 'movedim(0, -1)')}"
        if kind == 12 and n:
            return f"{x}.unbind({d})[{self.random.randrange(n)}]"
        if kind == 13 and n:
            call = self.one(f"split({self.random.randint(1, n)}, {d})", f"chunk(2, {d})")
            return f"{x}.{call}[{self.one(0, -1)}]"
        return f"{x}[{self.index(shape)}]"

    def several(self) -> None:
        """A function that returns several views, all of which get names."""
        x = self.pick(lambda t: t.ndim >= 1)
        if x is None:
            return
        shape = self.shape(x)
        d = self.dim(shape)
        call = self.one(f"unbind({d})", f"split({max(1, shape[d] // 2)}, {d})", f"chunk(2, {d})")
        results = eval(f"{x}.{call}", dict(self.run.values))
        if not 0 < len(results) <= 4:
            return
        makes = [self.new_name() for _ in results]
        mode = "with lib.no_grad(): " if self.chance(0.08) else ""
        self.emit(f"{mode}{', '.join(makes)}{',' * (len(makes) == 1)} = {x}.{call}", makes)

    def index(self, shape: Sequence[int], distinct: bool = False) -> str:
        """The text of an index."""
        if self.chance(0.15) and shape:
            return self.advanced(shape, distinct)
        parts: list[str] = []
        for n in shape[: self.random.randint(1, len(shape))] if shape else ():
            kind = self.random.randrange(6)
            if kind == 0 and n:
                parts.append(str(self.random.randrange(-n, n)))
            elif kind == 1:
                parts.append(f"{self.random.randint(0, n)}:")
            elif kind == 2:
                parts.append(f":{self.random.randint(-n, n)}")
            elif kind == 3:
                parts.append(f"::{self.one(2, 3)}")
            else:
                parts.append(":")
        if self.chance(0.1):
            parts.insert(self.random.randint(0, len(parts)), "None")
        if self.chance(0.15) or not parts:
            parts.insert(self.one(0, len(parts)), "...")
        return ", ".join(parts)

    def advanced(self, shape: Sequence[int], distinct: bool) -> str:
        """The text of an index with arrays or masks."""
        first = self.random.randrange(len(shape))
        n = shape[first]
        lead = ":, " * first
        if n == 0:
            return f"{lead}lib.tensor([], dtype=lib.int64)"
        if self.chance(0.35):
            return f"{lead}lib.tensor({[self.chance(0.5) for _ in range(n)]})"
        count = self.random.randint(1, n)
        if distinct:
            rows = self.random.sample(range(n), count)
        else:
            rows = [self.random.randrange(-n, n) for _ in range(count + 1)]
        return f"{lead}lib.tensor({rows})" if self.chance(0.7) else f"{lead}{rows}"

    # in place ------------------------------------------------------------------------------------

    def write(self) -> None:
        """An in-place operation on a leaf, a value or a view."""
        x = self.pick(lambda t: t.is_floating_point())
        if x is None:
            return
        t = self.value(x)
        leaf = t.is_leaf and t.requires_grad
        code = self.written(x)
        if code is None:
            return
        quiet = self.chance(0.9 if leaf else 0.15)
        if any(f in code for f in REARRANGED) and t.requires_grad:
            if t.retains_grad:
                return
            quiet = False  # its function would be handed a gradient of the new shape
        makes: tuple[str, ...] = ()
        if (
            not quiet
            and ".data" not in code
            and "=" not in code.replace("=True", "")
            and self.chance(0.1)
        ):
            makes = (self.new_name(),)
            code = f"{makes[0]} = {code}"
        step = f"{'with lib.no_grad(): ' if quiet else ''}{code}"
        self.emit(step, makes, keep=self.chance(0.5))

    def fitting(self, shape: Sequence[int], x: str) -> str:
        """A value that expands to `shape` and does not overlap `x`."""
        other = self.pick(lambda t: _expands(tuple(t.shape), tuple(shape)))
        if other is None or self.chance(0.3):
            return self.literal(self.narrower(shape))
        mine, its = self.run.memory(self.value(x)), self.run.memory(self.value(other))
        return f"{other}.clone()" if mine == its else other

    def written(self, x: str) -> str | None:
        """The text of an in-place operation on `x`."""
        t = self.value(x).detach()
        shape = self.shape(x)
        largest = t.abs().max().item() if t.numel() else 0.0
        kind = self.random.randrange(14)
        if any(not s and n > 1 for s, n in zip(t.stride(), shape, strict=True)):
            # PyTorch lets constants through, and fails in backward.
            return f"{x}.{self.one('add_(1.0)', 'tanh_()', f'copy_({x}.clone())')}"
        if kind < 2:
            if largest < 3 and self.chance(0.3):
                return f"{x}.exp_()"
            if t.numel() and t.min().item() > 1e-2 and self.chance(0.4):
                return f"{x}.{self.one('sqrt_', 'log_', 'reciprocal_', 'rsqrt_')}()"
            relu = () if self.twice else ("relu_",)
            return f"{x}.{self.one(*IN_PLACE_UNARY, *relu) if largest < 30 else 'tanh_'}()"
        if kind < 5:
            other = self.number() if self.chance(0.4) else self.fitting(shape, x)
            if self.chance(0.03):
                other = self.literal((*shape, 7))
            if self.chance(0.25) and largest < 30:
                return f"{x} {self.one(*IN_PLACE_OPERATORS)} {other}"
            if self.chance(0.1):
                return f"{x}.div_({self.one(2.0, -4.0)})"
            return f"{x}.{self.one(*IN_PLACE_BINARY) if largest < 30 else 'add_'}({other})"
        if kind == 5:
            return f"{x}.{self.one('zero_()', f'fill_({self.number()})')}"
        if kind == 6:
            data = ".data" if self.value(x).is_leaf and self.chance(0.2) else ""
            return f"{x}{data}.copy_({self.fitting(shape, x)})"
        if kind == 7:
            return f"{x}.masked_fill_({x} > {self.number()}, {self.number()})"
        if kind == 8:
            low, high = self.one((-0.5, 0.5), (0.0, None), (None, 1.0))
            return f"{x}.clamp_({low}, {high})"
        if kind == 9 and shape:
            return self.put(x, shape)
        if kind == 10 and shape:
            return self.one(f"{x}.cumsum_({self.dim(shape)})", f"{x}.mul_({x})", f"{x} += {x}")
        if kind == 11 and self.chance(0.3) and not self.shares(x):
            return self.rearranged_in_place(x, shape)
        index = self.index(shape, distinct=True)
        try:
            part = tuple(eval(f"{x}[{index}]", dict(self.run.values)).shape)
        except Exception:
            return None
        value = self.number() if self.chance(0.4) else self.fitting(part, x)
        return f"{x}[{index}] {'=' if self.chance(0.6) else self.one('+=', '*=')} {value}"

    def shares(self, x: str) -> bool:
        """Whether another value lies in its memory."""
        t = self.value(x)
        memory = self.run.memory(t)
        others = (o for o in self.run.tensors().values() if o is not t)
        return t._is_view() or memory is None or any(self.run.memory(o) == memory for o in others)

    def put(self, x: str, shape: Sequence[int]) -> str:
        """index_put_, index_add_ or masked writes."""
        n = shape[0]
        if n == 0:
            return f"{x}.zero_()"
        accumulate = self.chance(0.5)
        count = self.random.randint(1, n)
        if accumulate:
            rows = [self.random.randrange(n) for _ in range(count)]
            if self.chance(0.3):
                source = self.fitting((count, *shape[1:]), x)
                if self.shape_of(source) == (count, *shape[1:]):
                    return f"{x}.index_add_(0, lib.tensor({rows}), {source})"
        else:
            rows = self.random.sample(range(n), count)
        value = self.fitting((count, *shape[1:]), x)
        last = ", accumulate=True" if accumulate else ""
        return f"{x}.index_put_((lib.tensor({rows}),), {value}{last})"

    def shape_of(self, expression: str) -> tuple[int, ...]:
        """The shape of what an expression gives."""
        return tuple(eval(expression, dict(self.run.values)).shape)

    def rearranged_in_place(self, x: str, shape: Sequence[int]) -> str:
        """Metadata that changes in place: shape, history."""
        kind = self.random.randrange(4)
        if kind == 0 or not shape:
            return f"{x}.unsqueeze_(0)" if len(shape) < 4 else f"{x}.squeeze_()"
        if kind == 1:
            return f"{x}.squeeze_()"
        if kind == 2:
            return f"{x}.transpose_({self.dim(shape)}, {self.dim(shape)})"
        return f"{x}.detach_()"

    # backward ------------------------------------------------------------------------------------

    def cotangent(self, name: str) -> str:
        """The arguments of backward for a value."""
        shape = self.shape(name)
        if self.chance(0.03):
            return self.literal((*shape, 2))
        if math.prod(shape) != 1 or shape or self.chance(0.2):
            mate = self.pick(lambda t: tuple(t.shape) == shape)
            if self.chance(0.03):
                return ""
            # A copy: PyTorch may take a cotangent for the gradient itself.
            return (
                f"{mate}.clone()" if mate is not None and self.chance(0.2) else self.literal(shape)
            )
        return ""

    def targets(self) -> list[str]:
        """What gradients may be asked of.

        To reach one output of `unbind` PyTorch walks to the function, and hooks on the way run.
        After a write to its base a view has another function, so that the old one is not reached.
        """
        return [
            n
            for n in self.names
            if not is_one_of_several(self.value(n))
            and not (self.in_place and self.value(n)._is_view())
        ]

    def backward(self) -> None:
        """A backward from a value that requires grad."""
        x = self.pick(lambda t: t.requires_grad or self.chance(0.02))
        if x is None:
            return
        arguments = [self.cotangent(x)]
        if self.chance(0.8):
            arguments.append("retain_graph=True")
        if self.twice and self.chance(0.2):
            arguments.append("create_graph=True")
        if self.chance(0.15):
            leaves = [n for n in self.targets() if self.value(n).requires_grad]
            inputs = self.random.sample(leaves, min(len(leaves), self.random.randint(1, 2)))
            arguments.append(f"inputs=[{', '.join(inputs)}]")
        self.walk(f"{x}.backward({', '.join(a for a in arguments if a)})")

    def grad(self) -> None:
        """autograd.grad, and perhaps a second derivative."""
        x = self.pick(lambda t: t.requires_grad and not t.is_leaf)
        if x is None:
            return
        candidates = [n for n in self.targets() if self.value(n).requires_grad or self.chance(0.01)]
        if not candidates:
            return
        inputs = self.random.sample(candidates, min(len(candidates), self.random.randint(1, 3)))
        create = self.twice and self.chance(0.7)
        arguments = [x, f"[{', '.join(inputs)}]"]
        cotangent = self.cotangent(x)
        if cotangent:
            # Of an output itself the gradient is the cotangent, with its history in PyTorch.
            arguments.append(f"grad_outputs={cotangent}{'' if create else '.detach()'}")
        if create:
            arguments.append("create_graph=True")
        elif self.chance(0.6):
            arguments.append("retain_graph=True")
        if self.chance(0.85):
            arguments.append("allow_unused=True")
        makes = [self.new_name() for _ in inputs]
        # Copies: which of the results are views of what is not told.
        targets = f"{', '.join(makes)}{',' * (len(makes) == 1)}"
        copies = "(None if g is None else g.contiguous().clone() for g in"
        code = f"{targets} = {copies} lib.autograd.grad({', '.join(arguments)}))"
        self.walk(code, makes)

    def walk(self, code: str, makes: Sequence[str] = ()) -> None:
        """A step that runs through the graph, which is half freed where it fails: begin anew."""
        error = self.emit(code, makes, keep=True)
        if error is not None and stopped_a_walk(error, Step(code)):
            self.forget()

    def forget(self) -> None:
        """Drop all values and make new leaves."""
        self.run.forget()
        self.names.clear()
        for _ in range(2):
            self.leaf()

    def graph(self) -> None:
        """Hooks, retained gradients, flags, gradients as values."""
        kind = self.random.randrange(6)
        x = self.pick(lambda t: t.requires_grad or self.chance(0.03))
        if x is None:
            return
        if kind < 2:
            t = self.value(x)
            if is_one_of_several(t) or (self.in_place and t._is_view()):
                return
        if kind == 0:
            name = self.new_name()
            scale = self.one("g * 2", "g * 0.5", "-g", "g + 1", "None", "g.clone()")
            self.emit(f"h{name[1:]} = {x}.register_hook(lambda g: {scale})", (), keep=True)
        elif kind == 1:
            self.emit(f"{x}.retain_grad()", (), keep=True)
        elif kind == 2:
            leaf = self.pick(lambda t: t.is_leaf or self.chance(0.1))
            if leaf is not None:
                # PyTorch goes on to call the base of a view a leaf that requires grad.
                flag = "" if self.in_place else self.one("", "False")
                if (self.in_place and self.shares(leaf)) or self.twice:
                    return  # to what has saved it PyTorch says so afterwards
                self.emit(f"{leaf}.requires_grad_({flag})", (), keep=self.chance(0.3))
        elif kind == 3:
            leaf = self.pick(lambda t: t.is_leaf and t.grad is not None)
            if leaf is not None:
                if self.chance(0.5):
                    self.emit(f"{leaf}.grad = None")
                else:
                    name = self.new_name()
                    self.emit(f"{name} = {leaf}.grad.clone()", [name])
        elif kind == 4 and len(self.names) > 4:
            gone = self.random.choice(self.names)
            self.names = [n for n in self.names if n != gone]
            self.emit(f"del {gone}")
        else:
            self.assign(f"{x}.clone()")

    def program(self) -> Program:
        """The steps."""
        for _ in range(self.random.randint(2, 4)):
            self.leaf()
        length = len(self.steps) + self.random.randint(5, 40)
        makers = {
            self.unary: 14,
            self.binary: 16,
            self.reduction: 9,
            self.product: 6,
            self.rearranged: 6,
            self.view: 16,
            self.several: 3,
            self.leaf: 2,
            self.backward: 5,
            self.grad: 4,
            self.graph: 7,
        }
        if self.in_place:
            makers[self.write] = self.one(4, 16, 30)
        functions, weights = list(makers), list(makers.values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(200):
                if len(self.steps) >= length:
                    break
                before = len(self.steps)
                self.random.choices(functions, weights)[0]()
                if any("_" in s.code or "= " in s.code for s in self.steps[before:]):
                    self.drop_poisoned()
            self.backward()
        return tuple(self.steps)


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


def _expands(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return len(a) <= len(b) and all(m in (n, 1) for m, n in zip(a[::-1], b[::-1], strict=False))


def _multiplies(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[-1] == b[-2 if len(b) > 1 else -1] and _broadcasts(a[:-2], b[:-2])


def _factored(size: int) -> list[tuple[int, ...]]:
    pairs = [(n, size // n) for n in range(1, size + 1) if size % n == 0]
    return [(size,), (-1,), (1, size), *pairs, *[(a, 1, b) for a, b in pairs]]


def generate(seed: int, number: int, in_place: bool = True) -> Program:
    """Program `number` of a seed."""
    return Generator(f"{seed}:{number}", in_place).program()


# many --------------------------------------------------------------------------------------------


def _one(job: tuple[int, int, bool, bool]) -> tuple[int, int, Failure | None]:
    seed, number, in_place, small = job
    import torch

    torch.set_num_threads(1)
    program = generate(seed, number, in_place)
    failure = check(program)
    if failure is not None and small:
        failure = shrink(failure)
    return number, len(program), failure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run programs; 1 if one failed."""
    parser = argparse.ArgumentParser(description="Random programs in gradcore and in PyTorch.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first program")
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--shrink", action="store_true", help="drop the steps a failure needs not")
    parser.add_argument("--no-inplace", action="store_true", help="no writes")
    parser.add_argument("--failures", type=int, default=10, help="stop after so many")
    options = parser.parse_args(arguments)
    numbers = range(options.start, options.start + options.programs)
    jobs = [(options.seed, n, not options.no_inplace, options.shrink) for n in numbers]
    began = time.monotonic()
    failures = steps = done = 0
    pool = multiprocessing.get_context("spawn").Pool(options.jobs) if options.jobs > 1 else None
    for number, length, failure in pool.imap_unordered(_one, jobs, 8) if pool else map(_one, jobs):
        done += 1
        steps += length
        if failure is not None:
            failures += 1
            print(f"# program {number} of seed {options.seed}\n{failure}\n", flush=True)
            if failures >= options.failures:
                break
    if pool:
        pool.terminate()
    seconds = time.monotonic() - began
    print(f"{done} programs, {steps} steps, {failures} failures, {seconds:.1f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
