"""How operations run: whether they are recorded, checked, repeatable, and whether NumPy warns.

All but repeatability hold per thread and asynchronous task.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar, cast

import numpy as np

from .errors import GraphError

if TYPE_CHECKING:
    from .graph import Node
    from .tensor import Tensor

__all__ = [
    "are_deterministic_algorithms_enabled",
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
    "use_deterministic_algorithms",
]

P = ParamSpec("P")
R = TypeVar("R")

_recording: ContextVar[bool] = ContextVar("gradcore_recording", default=True)

is_grad_enabled = _recording.get
"""True where operations are recorded."""

_inference: ContextVar[_Inference | None] = ContextVar("gradcore_inference", default=None)

_asked_for: ContextVar[bool] = ContextVar("gradcore_asked_for", default=False)
"""In inference mode, where nothing is recorded: what the switches of recording say."""


def is_recording_asked_for() -> bool:
    """True where operations are recorded, or would be outside inference mode."""
    return _recording.get() if _inference.get() is None else _asked_for.get()


def _ask_for_recording(mode: bool) -> None:
    (_recording if _inference.get() is None else _asked_for).set(mode)


def is_inference_mode_enabled() -> bool:
    """True in `inference_mode`."""
    return _inference.get() is not None


class _GradMode:
    """Base of the switches: a context manager and a decorator of functions and generators."""

    _mode: bool

    def __init__(self) -> None:
        self._outer: list[Any] = []

    def __enter__(self) -> None:
        self._outer.append(is_recording_asked_for())
        _ask_for_recording(self._mode)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        _ask_for_recording(self._outer.pop())

    def _fresh(self) -> _GradMode:
        return type(self)()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Run every call of `function` in this mode; of a generator, every step."""
        if inspect.isgeneratorfunction(function):
            return cast(Callable[P, R], self._each_step(function))

        @functools.wraps(function)
        def in_mode(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._fresh():
                return function(*args, **kwargs)

        return in_mode

    def _each_step(self, function: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            inner = function(*args, **kwargs)
            try:
                with self._fresh():
                    value = next(inner)
                while True:
                    # The caller's own mode holds while the generator waits at the yield.
                    try:
                        sent = yield value
                    except GeneratorExit:
                        with self._fresh():
                            inner.close()
                        raise
                    except BaseException as error:
                        with self._fresh():
                            value = inner.throw(error)
                    else:
                        with self._fresh():
                            value = inner.send(sent)
            except StopIteration as end:
                return end.value

        return steps


class no_grad(_GradMode):
    """Stop recording: results have `requires_grad=False` and hold no history.

    A context manager and a decorator (``@no_grad()`` or ``@no_grad``), also of generators.
    """

    _mode = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """Decorate `function` at once where the class itself is used as the decorator."""
        switch = super().__new__(cls)
        if function is None:
            return switch
        switch.__init__()  # type: ignore[misc]
        return switch(function)


class enable_grad(no_grad):
    """Record again inside a `no_grad` block. Same uses as `no_grad`."""

    _mode = True


class set_grad_enabled(_GradMode):
    """Set recording on or off at once; as a context manager or decorator, for its extent."""

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._mode = bool(mode)
        self._before = is_recording_asked_for()
        _ask_for_recording(self._mode)

    def __enter__(self) -> None:
        # The constructor has switched already; what held before it comes back at the end.
        self._outer.append(self._before)
        _ask_for_recording(self._mode)

    def _fresh(self) -> _GradMode:
        switch = set_grad_enabled.__new__(set_grad_enabled)
        _GradMode.__init__(switch)
        switch._mode, switch._before = self._mode, is_recording_asked_for()
        return switch

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Run every call of `function` in this mode, and undo the switch made here."""
        _ask_for_recording(self._before)
        return super().__call__(function)

    def __repr__(self) -> str:
        return f"set_grad_enabled(mode={self._mode})"


class inference_mode(_GradMode):
    """`no_grad` for results that no graph will ever need: they are inference tensors.

    An inference tensor (`Tensor.is_inference()`) has no version, cannot be written to outside of
    the mode, and cannot be saved for a backward pass; `clone()` outside gives a normal Tensor.
    Views of normal Tensors made in the mode are normal, and so is what is made of inference tensors
    outside, but for views. Within the mode nothing is recorded, also under `enable_grad`.

    It saves no time over `no_grad`, but finds results that are used where they must not be. While
    inference tensors exist, every operation looks whether it has met one.

    A context manager and a decorator (``@inference_mode()`` or ``@inference_mode``), also of
    generators. Holds for the thread or asynchronous task.

    Args:
        mode: False ends the mode, and records, for the extent.
    """

    def __new__(cls, mode: Any = True) -> Any:
        """Decorate a function at once where the class itself is used as the decorator."""
        switch = super().__new__(cls)
        if isinstance(mode, bool):
            return switch
        switch.__init__()  # type: ignore[misc]
        return switch(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = mode

    def __enter__(self) -> None:
        outer = _inference.get()
        self._outer.append((outer, _recording.get(), _asked_for.get()))
        _inference.set((outer or _Inference()) if self.mode else None)
        _recording.set(not self.mode)
        _asked_for.set(False)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        inference, recording, asked_for = self._outer.pop()
        _inference.set(inference)
        _recording.set(recording)
        _asked_for.set(asked_for)

    def _fresh(self) -> inference_mode:
        switch: inference_mode = inference_mode(self.mode)
        return switch


class Watcher(Protocol):
    """What a special mode does with all that operations make."""

    def made(self, t: Tensor) -> None:
        """`t` was made, perhaps as the output of an operation."""

    def recorded(self, node: Node, inputs: tuple[Any, ...]) -> None:
        """`node` was made by an operation; `inputs` are its Tensors as far as they are known."""


WATCHERS: Final[list[Watcher]] = []
"""The special modes that are on in any thread, each of which finds out whether it is in this one.

In normal running there are none, which is all that the paths on which operations run look at.
"""

_watching: dict[Watcher, int] = {}
_LOCK: Final = threading.RLock()  # __del__ may run where it is held


class Watching:
    """Has a watcher called as long as it lives.

    The value of the ContextVar that switches a mode on holds it, so that a task which was started
    in the mode is watched also after the mode has ended elsewhere.
    """

    __slots__ = ("_watcher",)

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        with _LOCK:
            _watching[watcher] = _watching.get(watcher, 0) + 1
            if watcher not in WATCHERS:
                WATCHERS.append(watcher)

    def __del__(self) -> None:
        with _LOCK:
            _watching[self._watcher] -= 1
            if not _watching[self._watcher]:
                WATCHERS.remove(self._watcher)


class _Inference:
    """What inference tensors hold: while one lives, operations look for them."""

    __slots__ = ("_watching",)

    def __init__(self) -> None:
        self._watching = Watching(_INFERENCE)


class _InferenceWatcher:
    """Marks what is made in inference mode, and keeps it out of graphs."""

    def made(self, t: Tensor) -> None:
        """Mark `t`."""
        inference = _inference.get()
        if inference is not None:
            t._inference = inference

    def recorded(self, node: Node, inputs: tuple[Any, ...]) -> None:
        """Refuse a node that has saved an inference tensor.

        Raises:
            GraphError: it has.
        """
        for t in inputs:
            if getattr(t, "_inference", None) is not None:
                for value in node.saved or ():
                    if value is t._array:
                        raise GraphError(INFERENCE_SAVED)


INFERENCE_SAVED: Final = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
    "inference mode in computation tracked by autograd. To work around this, you can make a clone "
    "to get a normal tensor and use it in autograd, or use `no_grad()` instead of "
    "`inference_mode()`."
)

_INFERENCE: Final = _InferenceWatcher()


saved_tensors_policy: ContextVar[str] = ContextVar("gradcore_saved_policy", default="error")
"""What a write to a value that a graph has saved does; see `saved.py`."""


checked_indices: ContextVar[bool] = ContextVar("gradcore_checked_indices", default=False)
"""True where index arrays on CUDA are checked; `gradcore.debug.check_indices` sets it."""

_deterministic = True


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Let results on CUDA be the same bits in every run, or let them be faster.

    **True is the default, where PyTorch's is False.** It matters where several values have one
    place: in the gradients of `x[index]`, `gather`, `take`, `take_along_dim`, `index_select`,
    `repeat_interleave` and `embedding`, and in `scatter_add` and `index_add`. Their places are
    sorted first, so that sums keep the order of the values. Sorting takes several passes over the
    places: as long as the sum itself for rows of many elements, several times as long for single
    ones. False adds atomically, in whatever order threads come: float sums then differ in their
    last bits from run to run. All other operations are deterministic either way; so are sums of
    integers, and those where at most 32 places are named.

    Holds for all threads. On the CPU it changes nothing.

    Args:
        mode: whether results are the same in every run.
        warn_only: PyTorch's, for operations that have no deterministic form: here every one has,
            so that nothing raises or warns.
    """
    global _deterministic
    _deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """True unless `use_deterministic_algorithms(False)` was called."""
    return _deterministic


def _warnings_switch() -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Functions that switch NumPy's floating-point warnings off and back on.

    `numpy.errstate` does it in 0.8 us. It sets a context variable: found here by comparing the
    context inside and outside, that is set in 0.1 us.
    """
    before = copy_context()
    with np.errstate(all="ignore"):
        inside = copy_context()
    changed = [(v, x) for v, x in inside.items() if v not in before or before[v] is not x]
    if len(changed) != 1:

        def enter() -> Any:
            state = np.errstate(all="ignore")
            state.__enter__()
            return state

        return enter, lambda state: state.__exit__(None, None, None)
    ((variable, ignore),) = changed
    return functools.partial(variable.set, ignore), variable.reset


silence, restore_warnings = _warnings_switch()


class quiet:
    """`with quiet():` is `with numpy.errstate(all="ignore"):` in half the time.

    Where a quarter of a microsecond counts: `token = silence()`, then `restore_warnings(token)`.
    """

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = silence()

    def __exit__(self, *error: object) -> None:
        restore_warnings(self._token)
