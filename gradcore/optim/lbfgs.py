"""L-BFGS: a quasi-Newton method with a limited memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import ArgumentError
from ..mode import enable_grad, no_grad
from ..ops.creation import zeros
from ..ops.shape import cat, reshape, stack
from ..tensor import Tensor
from .optimizer import Optimizer, check_at_least

__all__ = ["LBFGS"]

Closure = Callable[[], Any]


class _Point(NamedTuple):
    """Where a line search has been.

    Attributes:
        at: the length of the step.
        loss: there.
        gradient: there, of all parameters in one dimension.
        slope: of the loss along the direction of the search.
    """

    at: float
    loss: float
    gradient: Tensor
    slope: float


def _lowest(a: _Point, b: _Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic with the losses and slopes of two points has its minimum, within bounds."""
    if a.at > b.at:
        a, b = b, a
    least, most = bounds or (a.at, b.at)
    mean = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.at - b.at)
    square = mean**2 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2
    root = math.sqrt(square)
    at = b.at - (b.at - a.at) * ((b.slope + root - mean) / (b.slope - a.slope + 2 * root))
    return min(max(at, least), most)


class _LineSearch:
    """A step that satisfies the strong Wolfe conditions: low enough, and flat enough.

    Args:
        evaluate: gives the loss and the gradient at a step along the direction.
        direction: of the search.
        start: the point where the step is 0.
        most: how often `evaluate` is called at most, after the first time.
        tolerance: the least change of a parameter that matters.

    Reference: Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6.
    """

    def __init__(
        self,
        evaluate: Callable[[float], tuple[float, Tensor]],
        direction: Tensor,
        start: _Point,
        most: int,
        tolerance: float,
    ) -> None:
        self._evaluate, self._direction, self._start = evaluate, direction, start
        self._most, self._tolerance = most, tolerance
        self.evaluations = 0

    def _at(self, t: float) -> _Point:
        self.evaluations += 1
        loss, gradient = self._evaluate(t)
        return _Point(t, loss, gradient, float(gradient.dot(self._direction)))

    def _too_high(self, point: _Point) -> bool:
        return point.loss > self._start.loss + 1e-4 * point.at * self._start.slope

    def _is_flat(self, point: _Point) -> bool:
        return abs(point.slope) <= -0.9 * self._start.slope

    def run(self, t: float) -> _Point:
        """The point that is found, with `t` as the first guess."""
        before, here = self._start, self._at(t)
        tried = 0
        while tried < self._most:
            if self._too_high(here) or (tried > 1 and here.loss >= before.loss):
                return self._between(before, here, tried)
            if self._is_flat(here):
                return here
            if here.slope >= 0:
                return self._between(before, here, tried)
            bounds = here.at + 0.01 * (here.at - before.at), 10 * here.at
            before, here = here, self._at(_lowest(before, here, bounds))
            tried += 1
        return self._start if self._start.loss <= here.loss else here

    def _between(self, a: _Point, b: _Point, tried: int) -> _Point:
        """The point that is found between two, of which one is too high or behind a valley."""
        low, high = (a, b) if a.loss <= b.loss else (b, a)
        width = float(self._direction.abs().max())
        slow = False
        while tried < self._most and abs(high.at - low.at) * width >= self._tolerance:
            least, most = sorted((low.at, high.at))
            t = _lowest(low, high)
            # Twice in a row close to an end, or at it: a tenth of the interval away from it.
            margin = 0.1 * (most - least)
            close = min(most - t, t - least) < margin
            if close and (slow or t >= most or t <= least):
                t = most - margin if abs(t - most) < abs(t - least) else least + margin
                slow = False
            else:
                slow = close
            here = self._at(t)
            tried += 1
            if self._too_high(here) or here.loss >= low.loss:
                high = here
                continue
            if self._is_flat(here):
                return here
            if here.slope * (high.at - low.at) >= 0:
                high = low
            low = here
        return low


class LBFGS(Optimizer):
    """L-BFGS: steps by an estimate of the inverse Hessian, made of the last steps.

    `step` needs a closure, which it calls several times. There is one group of parameters.

    Args:
        params: the Tensors to change.
        lr: the length of the step, of the first one if there is a line search.
        max_iter: how many iterations a call of `step` makes at most.
        max_eval: how often it calls the closure at most; 5 max_iter / 4 by default.
        tolerance_grad: it ends where no gradient is larger.
        tolerance_change: it ends where no parameter, or the loss, changes by more.
        history_size: how many steps are remembered.
        line_search_fn: `"strong_wolfe"`, or None for steps of length `lr`.

    Raises:
        ArgumentError: `lr` is negative; several groups.

    `state` is kept under the first parameter: `"d"`, `"t"`, `"old_dirs"`, `"old_stps"`, `"ro"`,
    `"H_diag"`, `"prev_flat_grad"`, `"prev_loss"`, `"al"`, `"n_iter"` and `"func_evals"`. The host
    reads values of the device in each iteration.

    Reference: Nocedal and Wright, "Numerical Optimization", 2006, section 7.2.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_at_least("learning rate", lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ArgumentError("LBFGS doesn't support per-parameter options (parameter groups)")

    # all parameters in one dimension -------------------------------------------------------------

    def _gradient(self) -> Tensor:
        parts = []
        for p in self.param_groups[0]["params"]:
            g = p._grad
            if g is None:
                g = zeros(p._shape, dtype=p.dtype, device=p.device)
            if p._type.dtype.is_complex:
                g = stack((g.real, g.imag), -1)
            parts.append(reshape(g.detach(), (-1,)))
        return cat(parts)

    def _move(self, direction: Tensor, by: float) -> None:
        start = 0
        for p in self.param_groups[0]["params"]:
            count = p.numel()
            if p._type.dtype.is_complex:
                both = reshape(direction[start : start + 2 * count], (*p._shape, 2))
                start += 2 * count
                p.add_(both[..., 0] + 1j * both[..., 1], alpha=by)
            else:
                p.add_(reshape(direction[start : start + count], p._shape), alpha=by)
                start += count

    # steps ---------------------------------------------------------------------------------------

    def step(self, closure: Closure | None = None) -> Any:
        """Make up to `max_iter` iterations.

        Args:
            closure: computes the loss again, with its gradients.

        Returns:
            What `closure` returned the first time.

        Raises:
            ArgumentError: there is no closure, or no such `line_search_fn`.
        """
        if closure is None:
            raise ArgumentError("LBFGS: step() needs a closure, which computes the loss again.")
        self._has_stepped = True
        with no_grad():
            return self._iterate(closure)

    def _iterate(self, closure: Closure) -> Any:
        group = self.param_groups[0]
        lr, most = float(group["lr"]), group["max_eval"]
        little, search = group["tolerance_change"], group["line_search_fn"]
        state = self.state[group["params"][0]]

        def evaluate() -> Any:
            with enable_grad():
                return closure()

        first = evaluate()
        loss, g = _number(first), self._gradient()
        state["func_evals"] = state.get("func_evals", 0) + 1
        state.setdefault("n_iter", 0)
        used = 1
        if _largest(g) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d = self._direction(state, g, group["history_size"])
            before = loss
            state["prev_flat_grad"], state["prev_loss"] = g, loss
            t = lr
            if state["n_iter"] == 1:
                t *= min(1.0, 1 / float(g.abs().sum()))
            state["d"], state["t"] = d, t
            slope = float(g.dot(d))
            if slope > -little:
                break
            if search is None:
                self._move(d, t)
                if iteration == group["max_iter"]:
                    break  # no use in the loss there
                loss, g = _number(evaluate()), self._gradient()
                calls = 1
            elif search == "strong_wolfe":
                start = _Point(0.0, loss, g, slope)
                line = _LineSearch(self._evaluator(evaluate, d), d, start, most - used, little)
                found = line.run(t)
                loss, g, t, calls = found.loss, found.gradient, found.at, line.evaluations
                state["t"] = t
                self._move(d, t)
            else:
                raise ArgumentError("only 'strong_wolfe' is supported as line_search_fn.")
            used += calls
            state["func_evals"] += calls
            if (
                iteration == group["max_iter"]
                or used >= most
                or _largest(g) <= group["tolerance_grad"]
                or _largest(d * t) <= little
                or abs(loss - before) < little
            ):
                break
        return first

    def _evaluator(
        self, evaluate: Closure, direction: Tensor
    ) -> Callable[[float], tuple[float, Tensor]]:
        """The loss and the gradient at a step, after which the parameters are as they were."""
        parameters = self.param_groups[0]["params"]
        kept = [p.detach().clone() for p in parameters]

        def at(t: float) -> tuple[float, Tensor]:
            self._move(direction, t)
            loss = _number(evaluate())
            gradient = self._gradient()
            for p, value in zip(parameters, kept, strict=True):
                p.copy_(value)
            return loss, gradient

        return at

    @staticmethod
    def _direction(state: dict[str, Any], g: Tensor, size: int) -> Tensor:
        """The gradient, downhill, times the estimate of the inverse Hessian."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -g
        changes, steps, ratios = state["old_dirs"], state["old_stps"], state["ro"]
        change, step = g - state["prev_flat_grad"], state["d"] * float(state["t"])
        curvature = change.dot(step)
        if float(curvature) > 1e-10:
            if len(changes) == size:
                for memory in (changes, steps, ratios):
                    memory.pop(0)
            changes.append(change)
            steps.append(step)
            ratios.append(1 / curvature)
            state["H_diag"] = curvature / change.dot(change)
        parts = state.setdefault("al", [None] * size)
        q: Tensor = -g
        for i in reversed(range(len(changes))):
            parts[i] = steps[i].dot(q) * ratios[i]
            q = q - parts[i] * changes[i]
        q = q * state["H_diag"]
        for i in range(len(changes)):
            q = q + (parts[i] - changes[i].dot(q) * ratios[i]) * steps[i]
        return q


def _number(loss: Any) -> float:
    return float(loss.detach() if isinstance(loss, Tensor) else loss)


def _largest(x: Tensor) -> float:
    return float(x.abs().max())
