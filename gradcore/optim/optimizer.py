"""What all optimisers share: parameter groups, state, and the walk over the parameters."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from ..device import Array, TensorType
from ..errors import ArgumentError, ArgumentTypeError
from ..mode import enable_grad
from ..tensor import Tensor, wrap

__all__ = ["Optimizer"]

_required: Final = object()

BLOCK: Final = 65536
"""Elements updated at a time: all arrays of an update then stay in the cache."""

Update = Callable[..., None]


class _Scratch:
    """Memory for intermediate results, shared by all parameters: at most one array at a time."""

    def __init__(self) -> None:
        self._buffers: dict[TensorType, Array] = {}
        self._views: dict[tuple[TensorType, Any], Array] = {}

    def like(self, type: TensorType, shape: tuple[int, ...], size: int) -> Array:
        """An array of that shape and type, with anything in it."""
        found = self._views.get((type, shape))
        if found is None:
            buffer = self._buffers.get(type)
            if buffer is None or buffer.size < size:
                buffer = type.device.backend.module.empty(size, type.numpy)
                self._buffers[type] = buffer
                self._views = {k: v for k, v in self._views.items() if k[0] is not type}
            found = self._views[type, shape] = buffer[:size].reshape(shape)
        return found


class Optimizer:
    """Base of the optimisers.

    Subclasses define `_update(group, parameter, grad)`, which changes one parameter.

    Args:
        params: the Tensors to change, or dicts, each with a list `"params"` and options of its own;
            or pairs of a name and a Tensor.
        defaults: the options of groups that do not give them.

    Attributes:
        param_groups: a list of dicts: `"params"`, and the options.
        state: a dict per Tensor with what the optimiser remembers.
        defaults: as given.

    Raises:
        ArgumentTypeError: `params` holds something that is no Tensor.
        ArgumentError: `params` is empty, a Tensor is no leaf or stands in two groups.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise ArgumentTypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {params._type}; put it in a list."
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._scratch = _Scratch()
        groups = list(params)
        if not groups:
            raise ArgumentError("optimizer got an empty parameter list.")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._scratch = _Scratch()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters.

        Args:
            param_group: `"params"`, a Tensor or a list of Tensors (or of pairs of a name and a
                Tensor), and the options that differ from the defaults.

        Raises:
            ArgumentTypeError: it is no dict, or holds something that is no Tensor, or a set.
            ArgumentError: a Tensor is no leaf, is expanded or stands in another group; an option is
                missing.
        """
        if not isinstance(param_group, dict):
            raise ArgumentTypeError(f"param_group must be a dict, but got {type(param_group)}.")
        given = param_group["params"]
        if isinstance(given, set):
            raise ArgumentTypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. "
                "Please use a list instead."
            )
        params = [given] if isinstance(given, Tensor) else list(given)
        names = [p[0] for p in params if isinstance(p, tuple)]
        params = [p[1] if isinstance(p, tuple) else p for p in params]
        if names and len(names) != len(params):
            raise ArgumentError(
                "all optimizer params should be with/without names. Some param names are missing."
            )
        for p in params:
            if not isinstance(p, Tensor):
                raise ArgumentTypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__module__}.{type(p).__qualname__}."
                )
            if not p.is_leaf and not p.retains_grad:
                raise ArgumentError("can't optimize a non-leaf Tensor.")
            expanded = any(n > 1 and not s for n, s in zip(p.shape, p.stride(), strict=True))
            if expanded and p.numel():
                raise ArgumentError(
                    "unsupported operation: more than one element of the written-to tensor refers "
                    "to a single memory location. Please clone() the parameter before optimizing "
                    f"it: its shape is {tuple(p.shape)}, its stride {p.stride()}."
                )
        for name, default in self.defaults.items():
            if default is _required and name not in param_group:
                raise ArgumentError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}."
                )
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                UserWarning,
                stacklevel=3,
            )
        for group in self.param_groups:
            if bool(names) != ("param_names" in group):
                raise ArgumentError(
                    "all optimizer param groups should be with/without names. cannot add param "
                    f"group {'with' if names else 'without'} names to the optimizer."
                )
            if not set(group["params"]).isdisjoint(params):
                raise ArgumentError("some parameters appear in more than one parameter group.")
        param_group["params"] = params
        if names:
            param_group["param_names"] = names
        for name, default in self.defaults.items():
            param_group.setdefault(name, default)
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: True sets `.grad` to None; False fills it with zeros.
        """
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p._grad is not None:
                    grad = p._grad
                    if grad._node is None and grad._array.flags.writeable:
                        grad._array.fill(0)
                    else:
                        p._grad = wrap(p._type.xp.zeros(p._shape, p._array))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: computes the loss again, with its gradients; called first.

        Returns:
            What `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        update = self._update
        for group in self.param_groups:
            for p in group["params"]:
                grad = p._grad
                if grad is not None:
                    update(group, p, grad)
        return loss

    def _update(self, group: dict[str, Any], p: Tensor, grad: Tensor) -> None:
        """Change the parameter `p` in place."""
        raise NotImplementedError(
            f"{type(self).__name__}: an optimizer must define step or _update."
        )

    def _apply(self, update: Update, p: Tensor, arrays: tuple[Array, ...], *options: Any) -> None:
        """`update(xp, s, *arrays, *options)`, with a scratch array `s` as large as the others.

        Large arrays are updated block by block: memory is then read and written once, however
        many array operations the update is made of.
        """
        type = p._type
        size = arrays[0].size
        if size <= BLOCK or type.device.kind or not all(a.flags.c_contiguous for a in arrays):
            update(type.xp, self._scratch.like(type, p._shape, size), *arrays, *options)
            return
        scratch = self._scratch.like(type, (BLOCK,), BLOCK)
        flat = [a.reshape(-1) for a in arrays]
        for start in range(0, size, BLOCK):
            blocks = [a[start : start + BLOCK] for a in flat]
            update(type.xp, scratch[: blocks[0].size], *blocks, *options)

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, with numbers in place of the parameters.

        Returns:
            `"state"`: by number of the parameter what is remembered about it; `"param_groups"`:
            the options, and under `"params"` the numbers. Tensors are shared, not copied.
        """
        numbers: dict[Any, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(p, len(numbers))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[p] for p in group["params"]]
            groups.append(packed)
        state = {numbers.get(key, key): value for key, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over state and options from `state_dict` of an optimiser of the same parameters.

        The Tensors are copied, with the dtype and to the device of the parameters.

        Raises:
            ArgumentError: the groups are not as many or not as large as those here.
        """
        saved = copy.deepcopy(state_dict["param_groups"])
        if len(saved) != len(self.param_groups):
            raise ArgumentError("loaded state dict has a different number of parameter groups.")
        for ours, theirs in zip(self.param_groups, saved, strict=True):
            if len(ours["params"]) != len(theirs["params"]):
                raise ArgumentError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group."
                )
        chain = itertools.chain.from_iterable
        of = dict(
            zip(
                chain(group["params"] for group in saved),
                chain(group["params"] for group in self.param_groups),
                strict=True,
            )
        )
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for number, values in state_dict["state"].items():
            if number in of:
                p = of[number]
                state[p] = {key: _cast(key, value, p) for key, value in values.items()}
            else:
                state[number] = copy.deepcopy(values)
        for ours, theirs in zip(self.param_groups, saved, strict=True):
            theirs["params"] = ours["params"]
            if "param_names" in ours:
                theirs.setdefault("param_names", ours["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})


def _cast(key: str, value: Any, p: Tensor) -> Any:
    """A copy of a value of the state, where it is a Tensor as `p` has its values."""
    if isinstance(value, Tensor):
        # The number of steps stays what it is: float16 cannot count beyond 2048.
        if key == "step":
            return copy.deepcopy(value)
        return copy.deepcopy(value.detach()).to(p._type.device, p._type.dtype)
    return copy.deepcopy(value)


def check_at_least(name: str, value: Any, least: float = 0.0) -> None:
    """Refuse an option that is too small.

    Raises:
        ArgumentError: it is below `least`, or not a number.
    """
    if not value >= least:
        raise ArgumentError(f"Invalid {name}: {value}")


def check_not_differentiable(differentiable: bool) -> None:
    """Refuse `differentiable=True`.

    Raises:
        NotImplementedError: it was asked for.
    """
    if differentiable:
        raise NotImplementedError("differentiable=True is not implemented: step is not recorded.")
