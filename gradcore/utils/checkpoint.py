"""Checkpoints: parts of a program that keep nothing for backward, and are run again for it.

A checkpoint is a pair of hooks on saved Tensors. In forward each Tensor that is saved is let go,
and a `_Holder` kept in its place. The first that backward wants back has the function run again,
under hooks that hand what is saved then to the holders, in the same order; as soon as all are
served the run is ended. A checkpoint within another one gives its inputs to the hooks of the outer,
so that these too are recomputed.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, NoReturn

from .. import random
from ..autograd import backward
from ..autograd.function import Function
from ..autograd.graph import saved_tensors_hooks
from ..batching.array import BatchedArray, Level, levels_of
from ..device import type_of
from ..engine import Walk, WalkWanted
from ..errors import ArgumentError, GraphError
from ..graph import SEQUENCE, Node, where
from ..mode import Watching, enable_grad, is_grad_enabled, no_grad
from ..packing import hooks_are_set, pack_with_history, unpacked_with_history
from ..random import Generator, default_generator, fork_rng
from ..tensor import Tensor, new_tensor
from ..versions import change

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(GraphError):
    """A checkpointed function did not run again as it had run in forward."""


_early_stop: ContextVar[bool | None] = ContextVar("gradcore_early_stop", default=None)
_debug: ContextVar[bool | None] = ContextVar("gradcore_checkpoint_debug", default=None)

_TIP: Final = (
    "\nTip: To see a more detailed error message, either pass `debug=True` to `checkpoint(...)` or "
    "wrap the code block with `with set_checkpoint_debug_enabled(True):`."
)


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Whether checkpoints made within it stop running again as soon as they may.

    It overrides their own `early_stop`. Holds for the thread or asynchronous task.

    Args:
        enable: False has the whole function run again.
    """
    before = _early_stop.get()
    _early_stop.set(enable)
    try:
        yield
    finally:
        _early_stop.set(before)


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Whether errors of checkpoints made within it list the operations that ran.

    It overrides their own `debug`. Holds for the thread or asynchronous task.

    Args:
        enabled: None leaves it to them.
    """
    before = _debug.get()
    _debug.set(enabled)
    try:
        yield
    finally:
        _debug.set(before)


def noop_context_fn() -> Contexts:
    """Two context managers that do nothing."""
    return nullcontext(), nullcontext()


# one checkpoint ----------------------------------------------------------------------------------


class _Stop(Exception):  # it is no error
    """Ends a function that runs again once all is there that backward needs."""


class _Holder:
    """What stands for a Tensor that was saved in forward.

    Attributes:
        recomputed: by backward pass, the Tensor, or None once the pass has had it.
    """

    __slots__ = ("__weakref__", "recomputed")

    def __init__(self) -> None:
        self.recomputed: weakref.WeakKeyDictionary[Walk, Tensor | None] = (
            weakref.WeakKeyDictionary()
        )


class _Frame:
    """A call of `checkpoint`.

    Attributes:
        run: the function that runs it again on its positional arguments.
        early_stop: whether that ends once all holders are served.
        metadata: what of each saved Tensor must be the same again; None if nothing.
        explain: raises a CheckpointError with more to it.
        completed: whether the forward is over.
    """

    def __init__(
        self,
        run: Callable[..., object],
        early_stop: bool,
        metadata: Callable[[Tensor], Any] | None,
        explain: Callable[[CheckpointError], NoReturn] | None,
        args: tuple[Any, ...],
    ) -> None:
        self.run = run
        self.early_stop = early_stop
        self.metadata = metadata
        self.explain = explain
        self.completed = False
        self._wanted = WalkWanted()
        self._sequence = next(SEQUENCE)
        inside = hooks_are_set()
        self._args = [pack_with_history(a) if inside and isinstance(a, Tensor) else a for a in args]
        self._holders: list[weakref.ref[_Holder]] = []
        self._levels: list[list[Level]] = []
        self._found: list[Any] = []
        self._counts: weakref.WeakKeyDictionary[Walk, int] = weakref.WeakKeyDictionary()
        self._lenient = False

    def arguments(self) -> list[Any]:
        """The positional arguments of the call.

        Raises:
            GraphError: one was written to since.
        """
        for a in self._args:
            versions = change(a._array, self._sequence) if isinstance(a, Tensor) else None
            if versions is not None:
                raise GraphError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: an argument of checkpoint, {a._type} {list(a._shape)}, is "
                    f"at version {versions[0]}; expected version {versions[1]} instead."
                )
        return [unpacked_with_history(a) for a in self._args]

    def let_go(self, t: Tensor) -> _Holder:
        """In forward, what stands for `t`."""
        holder = _Holder()
        self._holders.append(weakref.ref(holder))
        self._levels.append(levels_of(t._array))
        if self.metadata is not None:
            self._found.append(self.metadata(t))
        return holder

    def take(self, t: Tensor, walk: Walk) -> Tensor:
        """While it runs again, hand `t` to the holder whose turn it is."""
        t = t.detach()
        number = self._counts.get(walk, 0)
        self._counts[walk] = number + 1
        if number >= len(self._holders):
            if not self.completed:  # a backward within the forward: what follows is not needed
                self._lenient = True
                return t
            raise CheckpointError(
                "torch.utils.checkpoint: trying to save more tensors during recomputation than "
                f"during the original forward pass.{_TIP}"
            )
        holder = self._holders[number]()
        if holder is not None:
            holder.recomputed[walk] = _at_levels(t, self._levels[number])
        if self.early_stop and number + 1 == len(self._holders):
            raise _Stop
        return t

    def give_back(self, holder: _Holder) -> Tensor:
        """In backward, the Tensor that `holder` stands for."""
        try:
            return self._give_back(holder)
        except CheckpointError as error:
            if self.explain is not None:
                self.explain(error)
            raise

    def _give_back(self, holder: _Holder) -> Tensor:
        walk = Walk.current.get() or Walk((), None)
        if walk not in self._counts:
            args = self.arguments()
            self._counts[walk] = 0
            take = lambda t: self.take(t, walk)
            with contextlib.suppress(_Stop), saved_tensors_hooks(take, _same), enable_grad():
                self.run(*args)
            self._check(walk)
        if holder.recomputed.get(walk) is None:
            raise CheckpointError(
                "torch.utils.checkpoint: Unpack is being triggered for a tensor that was already "
                "unpacked once. If you are calling ctx.saved_tensors in backward, make sure to do "
                "so only once."
            )
        t = holder.recomputed[walk]
        holder.recomputed[walk] = None
        assert t is not None
        return t

    def _check(self, walk: Walk) -> None:
        """Raise if what was saved again is not what was saved before.

        Raises:
            CheckpointError: it is not.
        """
        if self._lenient:
            return
        if self._counts[walk] != len(self._holders):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\n"
                f"Number of tensors saved during forward: {len(self._holders)}\n"
                f"Number of tensors saved during recomputation: {self._counts[walk]}.\n{_TIP}"
            )
        if self.metadata is None:
            return
        different = ""
        for number, (reference, found) in enumerate(zip(self._holders, self._found, strict=True)):
            holder = reference()
            t = None if holder is None else holder.recomputed.get(walk)
            if t is not None and self.metadata(t) != found:
                different += (
                    f"tensor at position {number}:\nsaved metadata: {found}\n"
                    f"recomputed metadata: {self.metadata(t)}\n"
                )
        if different:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                f"different metadata than during the forward pass.\n{different}.\n{_TIP}"
            )


def _at_levels(t: Tensor, levels: list[Level]) -> Tensor:
    """`t`, of a vmap that ran again, as one of the vmap that ran in forward."""
    again = levels_of(t._array)
    if again == levels:
        return t
    if len(again) != len(levels):
        raise CheckpointError(
            f"torch.utils.checkpoint: a tensor that was saved is batched by {len(again)} vmaps "
            f"now, and by {len(levels)} during the original forward.{_TIP}"
        )
    array = t._array
    for _ in again:
        array = array.inner
    for level in reversed(levels):
        array = BatchedArray(level, array)
    return new_tensor(array, type_of(array), t._shape)


def _same(t: Tensor) -> Tensor:
    return t


def _metadata(t: Tensor) -> dict[str, Any]:
    return {"shape": t.shape, "dtype": t.dtype, "device": t.device}


_CHECKS: Final[dict[str, Callable[[Tensor], Any] | None]] = {"default": _metadata, "none": None}


# random numbers ----------------------------------------------------------------------------------


class _RandomStates:
    """The states of all generators before a function runs, for when it runs again."""

    def __init__(self) -> None:
        default_generator()
        self._states = {g: g.get_state() for g in random._defaults.values()}

    def add_new(self) -> None:
        """Note the first states of generators that the function was the first to use."""
        for generator in list(random._defaults.values()):
            if generator not in self._states:
                fresh = Generator(generator.device).manual_seed(generator.initial_seed())
                self._states[generator] = fresh.get_state()

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """Within it the generators are in these states; behind it, as they were."""
        with fork_rng():
            for generator, state in self._states.items():
                default_generator(generator.device).set_state(state)
            yield


# what ran, for debugging -------------------------------------------------------------------------


_log: ContextVar[list[str] | None] = ContextVar("gradcore_checkpoint_log", default=None)


class _LogWatcher:
    def made(self, t: Tensor) -> None:
        """Only what is recorded matters."""

    def recorded(self, node: Node, inputs: tuple[Any, ...]) -> None:
        """Note the operation, and the user's line."""
        log = _log.get()
        if log is not None:
            log.append(f"{node.name()} at {where(node)}")


_LOG_WATCHER: Final = _LogWatcher()


class _Logged:
    """A context manager that lists the operations recorded within it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __enter__(self) -> None:
        self._outer = _log.get()
        self.lines.clear()
        _log.set(self.lines)
        self._watching: Watching | None = Watching(_LOG_WATCHER)

    def __exit__(self, *error: object) -> None:
        _log.set(self._outer)
        self._watching = None


def _debugging() -> tuple[Contexts, Callable[[CheckpointError], NoReturn]]:
    forward, again = _Logged(), _Logged()

    def explain(error: CheckpointError) -> NoReturn:
        raise CheckpointError(
            "An error happened while unpacking tensors.\n"
            "Operations executed during the original forward:\n\n"
            + "\n".join(forward.lines)
            + "\n\nOperations executed during recomputation:\n\n"
            + "\n".join(again.lines)
            + f"\n\n{str(error).removesuffix(_TIP)}"
        ) from error

    return (forward, again), explain


# what users call ---------------------------------------------------------------------------------


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool = False,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Run a function whose operations keep nothing for backward; for that it is run again.

    It trades time for memory: between forward and backward there are the arguments of the function,
    and no intermediate results. It must do the same again: have no effects that matter, and depend
    on nothing that changes.

    Args:
        function: what to run.
        args: its positional arguments. Tensors among them are kept.
        use_reentrant: False, the default (PyTorch asks to be told), runs it again in the backward
            pass that needs it. True runs a backward pass within the backward pass, as older
            programs expect: an argument must then require grad for the outputs to, and `grad` and
            the `inputs` of `backward` raise.
        context_fn: gives two context managers: the first is entered for the run in forward, the
            second for the runs in backward.
        determinism_check: `"default"` compares shape, dtype and device of what is saved with what
            was saved in forward; `"none"` does not.
        debug: list the operations that ran if these differ.
        early_stop: end a run in backward as soon as all is there that is needed.
        preserve_rng_state: put gradcore's generators back for the runs in backward, so that they
            draw the same numbers.
        kwargs: arguments of the function by name.

    Returns:
        What the function returns.

    Raises:
        ArgumentError: there is no such check, or arguments go with the other `use_reentrant`.
        CheckpointError: in backward, if the function did something else than in forward.
    """
    if use_reentrant:
        if kwargs:
            raise ArgumentError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ArgumentError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return _Reentrant.apply(function, preserve_rng_state, *args)
    explain = None
    set_debug = _debug.get()
    if debug if set_debug is None else set_debug:
        if context_fn is not noop_context_fn:
            raise ArgumentError("debug=True is incompatible with non-default context_fn")
        contexts, explain = _debugging()
    else:
        contexts = context_fn()
    if determinism_check not in _CHECKS:
        raise ArgumentError(
            f"determinism_check should be one of {list(_CHECKS)}, but got {determinism_check}"
        )
    if not is_grad_enabled():
        return function(*args, **kwargs)
    states = _RandomStates() if preserve_rng_state else None

    def run_again(*args: Any) -> None:
        with nullcontext() if states is None else states.again(), contexts[1]:
            function(*args, **kwargs)

    set_stop = _early_stop.get()
    stop = early_stop if set_stop is None else set_stop
    frame = _Frame(run_again, stop, _CHECKS[determinism_check], explain, args)
    with saved_tensors_hooks(frame.let_go, frame.give_back), contexts[0]:
        result = function(*args, **kwargs)
        frame.completed = True
    if not frame.completed:
        raise GraphError(
            "torch.utils.checkpoint: the forward context provided by context_fn suppressed an "
            "exception raised during the checkpointed forward. This is not supported because "
            "checkpoint cannot return a value for a failed forward."
        )
    if states is not None:
        states.add_new()
    return result


class _Reentrant(Function):
    """A checkpoint whose backward runs a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, function: Any, preserve_rng_state: bool, *args: Any) -> Any:
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4
            )
        ctx.function = function
        ctx.states = _RandomStates() if preserve_rng_state else None
        ctx.wanted = WalkWanted()
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*[args[i] for i in ctx.places])
        with no_grad():
            outputs = function(*args)
        if ctx.states is not None:
            ctx.states.add_new()
        return outputs

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        walk = Walk.current.get()
        if walk is not None and walk.is_partial:
            raise GraphError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument."
            )
        args = list(ctx.others)
        for place, t in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = t.detach().requires_grad_(t.requires_grad)
        with nullcontext() if ctx.states is None else ctx.states.again(), enable_grad():
            outputs = ctx.function(*args)
        several = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [
            (y, g)
            for y, g in zip(several, grad_outputs, strict=True)
            if isinstance(y, Tensor) and y.requires_grad
        ]
        if not pairs:
            raise GraphError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        backward([y for y, _ in pairs], [g for _, g in pairs])
        return (None, None, *[a.grad if isinstance(a, Tensor) else None for a in args])


def checkpoint_sequential(
    functions: Sequence[Callable[[Any], Any]],
    segments: int,
    input: Any,
    use_reentrant: bool = False,
    preserve_rng_state: bool = True,
) -> Any:
    """Run functions one after the other, in segments of which all but the last are checkpoints.

    Args:
        functions: each is called with what the one before it returned.
        segments: how many.
        input: what the first is called with.
        use_reentrant: as for `checkpoint`.
        preserve_rng_state: as for `checkpoint`.

    Returns:
        What the last returns.
    """
    functions = list(functions)
    length = len(functions) // segments

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def segment(value: Any) -> Any:
            for function in functions[start:end]:
                value = function(value)
            return value

        return segment

    last = length * (segments - 1)
    for start in range(0, last, length or 1):
        input = checkpoint(
            run(start, start + length),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return run(last, len(functions))(input)
