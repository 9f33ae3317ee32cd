"""Random programs, run on gradcore and on PyTorch, which must agree after every line.

    python tests/fuzz.py --seed 0 --programs 5000 [--jobs 2]

A program is a list of lines of Python in which `lib` is one library or the other: what is printed
of a failure can be pasted. Lines are made while the program runs on PyTorch, so that most of them
are valid; those that raise must raise in both, with the same class and the same key words, and the
program goes on. Compared are values, shapes, dtypes, flags, versions and gradients of all that has
a name. A failing program is shrunk by leaving lines out.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    ROOT = Path(__file__).parent.parent
    sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]

import gradcore

KEY_WORDS = (
    "a leaf Variable that requires grad is being used in an in-place operation",
    "a view of a leaf Variable that requires grad is being used in an in-place operation",
    "has been modified by an inplace operation",
    "Trying to backward through the graph a second time",
    "does not require grad and does not have a grad_fn",
    "appears to not have been used in the graph",
    "One of the differentiated Tensors does not require grad",
    "grad can be implicitly created only for scalar outputs",
    "more than one element of the written-to tensor refers to a single memory location",
    "is being modified inplace",
    "doesn't match the broadcast shape",
    "you can only change requires_grad flags of leaf variables",
)
"""What the messages of both must have if one has it."""

OVERLAP = "some elements of the input tensor and the written-to tensor refer to a single memory"
"""PyTorch refuses where gradcore computes as if the memory were not shared."""

NEEDED = (
    "has been modified by an inplace operation",
    "Trying to backward through the graph a second time",
    "Trying to use a saved tensor that has been detached in-place",
    "Can't detach views in-place",
)
"""What PyTorch may raise alone, or one for the other: nodes of gradcore save less than PyTorch's,
and what PyTorch computes through views of its own is none here."""

GONE = "its base or another view of its base has been modified inplace"
"""PyTorch refuses to look at some views after a write to their base. gradcore makes them anew."""

SHAPES = ((), (3,), (2, 3), (3, 2), (1, 3), (2, 1), (2, 3, 2), (3, 3), (0,), (2, 0))
LARGEST = 1e6


# making programs -------------------------------------------------------------------------------


class Maker:
    """Makes one program, line by line, on PyTorch."""

    def __init__(self, torch, seed):
        self.random = random.Random(seed)
        self.state = {"lib": torch}
        self.lines = []
        self.count = 0
        self.leaves = []
        self.gradients = set()  # in PyTorch some are views of what was made without recording

    def program(self):
        for number in range(self.random.randint(1, 3)):
            shape = self.random.choice(SHAPES)
            n = math.prod(shape)
            numbers = [round(self.random.uniform(-1.5, 1.5), 3) for _ in range(n)]
            needs = number == 0 or self.random.random() < 0.7
            self.leaves.append(f"x{number}")
            self.add(
                f"x{number} = lib.tensor({numbers}, dtype=lib.float64).reshape({shape})"
                f".detach().requires_grad_({needs})"
            )
        for _ in range(self.random.randint(5, 40)):
            for _ in range(10):
                line = self.line()
                if line is not None and self.add(line):
                    break
        return self.lines

    def add(self, line):
        """Run a line on PyTorch and keep it; False if it is not one to compare."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = set(self.state)
            try:
                exec(line, self.state)
            except Exception as error:
                if GONE in str(error) or OVERLAP in str(error):
                    return False
                # Not too many, or nothing else happens.
                if self.random.random() < 0.5:
                    return False
            for name in set(self.state) - before - {"__builtins__"}:
                t = self.state[name]
                if not is_tensor(t) or (t.numel() and not float(t.detach().abs().max()) < LARGEST):
                    del self.state[name]
                    return False
        self.lines.append(line)
        return True

    def names(self, condition=lambda t: True):
        found = []
        for name, t in self.state.items():
            if name in ("lib", "__builtins__") or not is_tensor(t) or not is_known(t):
                continue
            if t.dtype == self.state["lib"].float64 and condition(t):
                found.append(name)
        return found

    def pick(self, condition=lambda t: True):
        found = self.names(condition)
        if not found:
            return None
        # The newest are used more, so that programs become deep.
        return found[max(self.random.randrange(len(found)) for _ in range(2))]

    def new(self):
        self.count += 1
        return f"v{self.count}"

    def line(self):
        kinds = {
            self.pointwise: 5,
            self.pair: 5,
            self.reduction: 2,
            self.view: 6,
            self.rearranged: 2,
            self.written: 7,
            self.written_part: 4,
            self.walked: 3,
            self.flagged: 1,
        }
        make = self.random.choices(list(kinds), list(kinds.values()))[0]
        return make()

    def quiet(self, line, chance=0.06):
        return f"with lib.no_grad(): {line}" if self.random.random() < chance else line

    def number(self):
        return self.random.choice((0.0, 1.0, -1.0, 2.0, 0.5, -0.3, 1.7, 2))

    def pointwise(self):
        a = self.pick()
        form = self.random.choice(
            (
                *(f"{{a}}.{f}()" for f in ("sin", "cos", "tanh", "sigmoid", "neg", "abs", "relu")),
                *("{a}.square()", "{a}.clamp(-2, 2).exp()", "(1 + {a} * {a}).log()", "{a} ** 3"),
                *("(0.1 + {a} * {a}).sqrt()", "{a} * {n}", "{a} + {n}", "{n} - {a}", "{a} / 1.5"),
                *(
                    "{a}.clamp(-0.5, 0.5)",
                    "{a}.clone()",
                    "{a} ** 2",
                    "lib.where({a} > 0, {a}, {n})",
                ),
                *(
                    "{a}.masked_fill({a} > 0.5, {n})",
                    "{a} * 1",
                    "{a}.detach()",
                    "{a}.detach() * {a}",
                ),
            )
        )
        return self.quiet_value(form.format(a=a, n=self.number()))

    def quiet_value(self, value):
        """A line for a new value; under no_grad only of what is no view."""
        return (
            self.quiet(f"{self.new()} = {value} * 1.0")
            if self.random.random() < 0.06
            else (f"{self.new()} = {value}")
        )

    def broadcasting(self, a):
        """Another value that broadcasts with `a`; sometimes one that does not."""
        shape = self.state[a].shape

        def fits(t):
            try:
                return math.prod(np.broadcast_shapes(tuple(t.shape), tuple(shape))) < 200
            except ValueError:
                return False

        return self.pick(fits if self.random.random() < 0.97 else lambda t: True)

    def pair(self):
        a = self.pick()
        b = self.broadcasting(a)
        form = self.random.choice(
            (
                *("{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} * {b}", "{a} / (1 + {b} * {b})"),
                *("lib.maximum({a}, {b})", "lib.where({a} > {b}, {a}, {b} * 2)", "{a} + {b} * {a}"),
                *("lib.add({a}, {b}, alpha={n})", "lib.atan2({a}, 2 + {b} * {b})"),
                *("{a}.matmul({b})", "lib.cat([{a}, {b}])", "lib.stack([{a}, {b}])"),
            )
        )
        if "matmul" in form:
            a = self.pick(lambda t: t.ndim in (1, 2))
            b = a and self.pick(
                lambda t: t.ndim in (1, 2) and t.shape[0] == self.state[a].shape[-1]
            )
        if "cat" in form:
            a = self.pick(lambda t: t.ndim)
            b = a and self.pick(
                lambda t: t.ndim and t.shape[1:] == self.state[a].shape[1:] and len(t) < 9
            )
        if "stack" in form:
            b = self.pick(lambda t: t.shape == self.state[a].shape and t.ndim < 4)
        if not a or not b:
            return None
        return f"{self.new()} = {form.format(a=a, b=b, n=self.number())}"

    def reduction(self):
        a = self.pick(lambda t: t.numel())
        if a is None:
            return None
        t = self.state[a]
        name = self.random.choice(("sum", "mean", "amax", "prod", "logsumexp", "var", "norm"))
        if name == "var" and t.numel() < 2:
            name = "sum"
        if t.ndim and (name == "logsumexp" or self.random.random() < 0.6):
            dim = self.random.randrange(-t.ndim, t.ndim)
            if name == "var" and t.shape[dim] < 2:
                name = "mean"
            keep = self.random.random() < 0.3
            dim_name = "dim=" if name == "norm" else ""
            # What is near zero by rounding alone would be compared with zero.
            more = " + 0.5" if name == "var" else ""
            return f"{self.new()} = {a}.{name}({dim_name}{dim}, keepdim={keep}){more}"
        if t.ndim and self.random.random() < 0.5:
            dim = self.random.randrange(t.ndim)
            name = self.random.choice(("cumsum", "softmax", "log_softmax"))
            return f"{self.new()} = {a}.{name}({dim})"
        more = " + 0.5" if name == "var" else ""
        return None if name == "logsumexp" else f"{self.new()} = {a}.{name}(){more}"

    def index(self, shape):
        """A basic index into a shape."""
        items = []
        for n in shape:
            kind = self.random.random()
            if kind < 0.35 and n:
                items.append(str(self.random.randrange(-n, n)))
            elif kind < 0.7:
                start = self.random.randint(0, max(n - 1, 0))
                stop = self.random.choice(("", str(n), str(max(n - 1, 1))))
                step = self.random.choice(("", "", ":2"))
                items.append(f"{start or ''}:{stop}{step}")
            else:
                items.append(":")
            if self.random.random() < 0.3:
                break
        if self.random.random() < 0.1:
            items.append("None")
        if self.random.random() < 0.1:
            items.insert(0, "...")
            items = items[:2]
        return ", ".join(items) or "..."

    def view(self):
        a = self.pick()
        t = self.state[a]
        forms = [f"{a}[{self.index(t.shape)}]", f"{a}.reshape(-1)", f"{a}.unsqueeze(0)"]
        forms += [f"{a}.view(-1)", f"{a}.squeeze()", f"{a}.view({tuple(t.shape)})"]
        if t.ndim >= 1:
            d = self.random.randrange(t.ndim)
            n = t.shape[d]
            forms += [f"{a}.unsqueeze(-1)", f"{a}.flatten()", f"{a}.unflatten({d}, (1, {n}))"]
            if n:
                i = self.random.randrange(n)
                forms += [f"{a}.select({d}, {i})", f"{a}.narrow({d}, {i}, {n - i})"]
                forms += [
                    f"{a}.unbind({d})[{i}]",
                    f"{a}.split(1, {d})[{i}]",
                    f"{a}.chunk(2, {d})[0]",
                ]
            forms += [f"{a}.expand(2, {', '.join(str(m) for m in t.shape)})"]
        if t.ndim >= 2:
            i, j = self.random.sample(range(t.ndim), 2)
            order = self.random.sample(range(t.ndim), t.ndim)
            forms += [f"{a}.transpose({i}, {j})", f"{a}.permute({order})", f"{a}.mT"]
            forms += [f"{a}.diagonal(0, {i}, {j})", f"{a}.flatten(0, 1)", f"{a}.movedim({i}, {j})"]
        if t.ndim == 2:
            forms += [f"{a}.t()", f"{a}.T"]
        return f"{self.new()} = {self.random.choice(forms)}"

    def places(self, n):
        count = self.random.randint(1, 3)
        return [self.random.randrange(-n, n) for _ in range(count)]

    def rearranged(self):
        a = self.pick(lambda t: t.ndim and t.shape[0])
        if a is None:
            return None
        n = self.state[a].shape[0]
        d = self.random.randrange(self.state[a].ndim)
        form = self.random.choice(
            (
                f"{a}[lib.tensor({self.places(n)})]",
                f"{a}[{a} > 0]",
                f"{a}.flip({d})",
                f"{a}.roll(1, {d})",
                f"{a}.index_select(0, lib.tensor({[i % n for i in self.places(n)]}))",
                f"{a}.tril() if {a}.ndim > 1 else {a}.diag()",
                f"{a}.repeat({', '.join(['2'] * self.state[a].ndim)}).sum({d})",
            )
        )
        return f"{self.new()} = {form}"

    def written(self):
        """An in-place operation on a whole value."""
        a = self.pick(lambda t: t.numel()) or self.pick()
        if self.shares_gradient(a):
            return None
        shape = self.state[a].shape
        b = self.pick(
            lambda t: (
                t.ndim <= len(shape)
                and all(n in (1, m) for n, m in zip(t.shape[::-1], shape[::-1], strict=False))
            )
        )
        if b is None or self.random.random() < 0.02:
            b = self.pick()
        if b != a and self.in_one_memory(a, b):
            return None
        form = self.random.choice(
            (
                *(f"{{a}}.{f}_()" for f in ("sin", "tanh", "neg", "sigmoid", "relu", "square")),
                *("{a}.mul_({n})", "{a} *= {n}", "{a} += 1", "{a}.add_({b})", "{a} += {b}"),
                *("{a}.mul_({b})", "{a} *= {b}", "{a}.sub_({b}, alpha={n})", "{a} -= {b}"),
                *("{a}.div_(1 + {b} * {b})", "{a}.copy_({b})", "{a}.zero_()", "{a}.fill_({n})"),
                *("{a}.clamp_(-0.5, 0.5)", "{a}.masked_fill_({a} > 0, {n})", "{a}.div_(2)"),
                *("{a}.pow_(2)", "{a}.abs_()", "{a}.cos_()", "{a}.masked_fill_({b} > 0, {n})"),
                *("{a}.add_({a})", "{a}.mul_({a}.detach())", "{a}.fill_({b}.sum())", "{a} /= 2"),
            )
        )
        return self.quiet(form.format(a=a, b=b, n=self.number()), 0.25)

    def shares_gradient(self, a):
        return any(g == a or (g in self.state and self.in_one_memory(a, g)) for g in self.gradients)

    def in_one_memory(self, a, b):
        """Whether PyTorch, which reads while it writes, may not see what was there before."""
        a, b = (self.state[name].untyped_storage().data_ptr() for name in (a, b))
        return a == b != 0

    def written_part(self):
        """A write to a part of a value, through an index."""
        a = self.pick(lambda t: t.ndim and t.numel())
        if a is None or self.shares_gradient(a):
            return None
        t = self.state[a]
        index = self.index(t.shape)
        kind = self.random.random()
        if kind < 0.3:
            index = f"lib.tensor({sorted({i % t.shape[0] for i in self.places(t.shape[0])})})"
        elif kind < 0.45:
            index = f"{a}.detach() > 0"
        try:
            part = eval(f"{a}[{index}]", self.state)
        except Exception:
            return None
        value = self.number()
        if self.random.random() < 0.6:
            value = (
                self.pick(
                    lambda v: (
                        v.ndim <= part.ndim
                        and all(
                            n in (1, m)
                            for n, m in zip(v.shape[::-1], part.shape[::-1], strict=False)
                        )
                    )
                )
                or value
            )
            if isinstance(value, str) and self.in_one_memory(a, value):
                return None
        form = self.random.choice(
            ("{a}[{i}] = {v}", "{a}[{i}] = {v}", "{a}[{i}] += {v}", "{a}[{i}] *= 2")
        )
        if kind < 0.3 and self.random.random() < 0.3:
            form = "{a}.index_put_(({i},), {a}.detach()[{i}] * 0.5, accumulate=True)"
        return self.quiet(form.format(a=a, i=index, v=value), 0.2)

    def walked(self):
        """A backward pass."""
        a = self.pick(lambda t: t.requires_grad) if self.random.random() < 0.95 else self.pick()
        if a is None:
            return None
        keep = self.random.random() < 0.7
        kind = self.random.random()
        if kind < 0.3:
            form = f"{a}.backward(lib.ones_like({a}) * 0.5, retain_graph={keep})"
        elif kind < 0.4:
            form = f"{a}.sum().backward(retain_graph={keep})"
        elif kind < 0.45:
            form = f"{a}.backward()"
        else:
            whole = lambda t: t.requires_grad and not t._is_view()
            x = self.pick(whole) if self.random.random() < 0.4 else None
            x = x or self.random.choice(self.leaves)
            create = self.random.random() < 0.6
            unused = self.random.random() < 0.9
            if kind > 0.9:
                return f"({a} * {a}).sum().backward(inputs=[{x}], retain_graph=True)"
            name = self.new()
            self.gradients.add(name)
            form = (
                f"{name} = lib.autograd.grad(({a} * {a}).sum(), {x}, retain_graph=True, "
                f"create_graph={create}, allow_unused={unused})[0]"
            )
        return form

    def flagged(self):
        """A change of flags or hooks."""
        a = self.pick()
        form = self.random.choice(
            (
                "{a}.requires_grad_()",
                "{a}.retain_grad()",
                "{a}.register_hook(lambda g: g * 2)",
                "{a} = {a}.detach().clone().requires_grad_()",
                "{a}.detach_()",
                "{a}.grad = None",
            )
        )
        t = self.state[a]
        if form == "{a}.retain_grad()" and t._is_view():
            return None  # in PyTorch it retains no more after any write to the memory
        if form in ("{a}.requires_grad_()", "{a}.detach_()") and (
            t._is_view() or any(self.state[name]._base is t for name in self.names())
        ):
            return None  # in PyTorch views made before follow, where they are written to since
        return form.format(a=a)


# running them ----------------------------------------------------------------------------------


def is_tensor(value):
    return hasattr(value, "requires_grad") and hasattr(value, "numel")


def is_known(t):
    """False where PyTorch refuses to look at a Tensor, or says what is not so."""
    try:
        node = t.grad_fn
    except RuntimeError as error:
        if GONE in str(error):
            return False
        raise
    # A view requires grad as its base does, also where nothing flows to it.
    return node is not None or not (t.requires_grad and t._is_view() and t._base.requires_grad)


def described(t):
    """What is compared of a Tensor; None if it is not to be."""
    if not is_known(t):
        return None
    grad = t.grad
    return {
        "shape": tuple(t.shape),
        "dtype": str(t.dtype).rpartition(".")[2],
        "requires_grad": t.requires_grad,
        "is_leaf": t.is_leaf,
        "has a grad_fn": t.grad_fn is not None,
        "version": t._version,
        "contiguous": t.is_contiguous() or t.numel() < 2,
        "values": t.numpy(force=True).copy(),
        "grad": None if grad is None else grad.numpy(force=True).copy(),
    }


def run(lines, lib):
    """Per line the error, or None, and a description of all that has a name."""
    state = {"lib": lib}
    results = []
    made = {}  # versions at first sight: PyTorch's own operations write in place too
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for line in lines:
            error = None
            try:
                exec(line, state)
            except Exception as raised:
                error = raised
            seen = {name: described(t) for name, t in state.items() if is_tensor(t)}
            for name, what in seen.items():
                if what is not None:
                    first, held = made.setdefault(name, (what["version"], state[name]))
                    if held is not state[name]:
                        first, _ = made[name] = what["version"], state[name]
                    what["version"] -= first
            results.append((error, seen))
    return results


def same_numbers(a, b):
    if a is None or b is None:
        return a is b
    if a.shape != b.shape:
        return False
    scale = np.abs(b[np.isfinite(b)]).max(initial=1.0)
    return np.allclose(a, b, rtol=1e-9, atol=1e-9 * scale, equal_nan=True)


def compare(lines, torch):
    """What differs first, as text; None if nothing does."""
    for line, (ours, mine), (theirs, other) in zip(
        lines, run(lines, gradcore), run(lines, torch), strict=True
    ):
        if theirs is not None and (GONE in str(theirs) or OVERLAP in str(theirs)):
            return None
        if theirs is not None and ours is None:
            if any(words in str(theirs) for words in NEEDED):
                return None
            if "more than one element" in str(theirs) and "grad" in line:
                return (
                    None  # after a fill of what shares memory, which PyTorch cannot differentiate
                )
        if (ours is None) != (theirs is None):
            return f"{line}\n  gradcore: {ours!r}\n  PyTorch: {theirs!r}"
        if theirs is not None:
            base = next(c for c in type(theirs).__mro__ if c.__module__ == "builtins")
            if not isinstance(ours, base):
                return f"{line}\n  gradcore: {ours!r}\n  PyTorch: {theirs!r}"
            needed = (*NEEDED, "more than one element") if "grad" in line else NEEDED
            alike = all(any(w in str(e) for w in needed) for e in (ours, theirs))
            for words in KEY_WORDS:
                if not alike and (words in str(ours)) != (words in str(theirs)):
                    return f"{line}\n  gradcore: {ours!r}\n  PyTorch: {theirs!r}"
        failed = theirs is not None
        if set(mine) != set(other):
            return f"{line}\n  names: {set(mine) ^ set(other)}"
        for name, theirs in other.items():
            if theirs is None or mine[name] is None:
                continue
            if mine[name]["is_leaf"] != theirs["is_leaf"] and any(
                t is not None and not t["values"].size for t in other.values()
            ):
                return None  # PyTorch gives some gradients of empty values no history
            if mine[name]["contiguous"] != theirs["contiguous"]:
                return None  # of operands in different orders: what is a view is not the same then
            if np.abs(theirs["values"][np.isfinite(theirs["values"])]).max(initial=0) > 1e12:
                return None
            for key, value in theirs.items():
                ours = mine[name][key]
                same = same_numbers(ours, value) if key in ("values", "grad") else ours == value
                if not same and key == "grad" and failed:
                    return None  # PyTorch has filled some when it raises, gradcore none
                if not same:
                    return f"{line}\n  {name}: {key}\n  gradcore: {ours}\n  PyTorch: {value}"
    return None


def shrunk(lines, torch):
    """A shorter program that fails as well."""
    step = len(lines) // 2
    while step:
        start = 0
        while start < len(lines):
            shorter = lines[:start] + lines[start + step :]
            if compare(shorter, torch):
                lines = shorter
            else:
                start += step
        step //= 2
    return lines


def check(seed):
    """The report on the program of a seed; None if both libraries agree."""
    import torch

    torch.set_num_threads(1)
    lines = Maker(torch, seed).program()
    if compare(lines, torch) is None:
        return None
    lines = shrunk(lines, torch)
    program = "\n".join(lines)
    return f"seed {seed}:\n{program}\n# differs at: {compare(lines, torch)}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--most", type=int, default=10, help="reports after which to stop")
    options = parser.parse_args()
    failed = 0
    seeds = range(options.seed, options.seed + options.programs)
    with ProcessPoolExecutor(options.jobs) as pool:
        for report in pool.map(check, seeds, chunksize=10):
            if report is not None:
                failed += 1
                print(report, flush=True)
                if failed >= options.most:
                    pool.shutdown(cancel_futures=True)
                    break
    print(f"{options.programs} programs, {failed} failed")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
