"""What all optimisers share: parameter groups, state, and the walk over the parameters."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..device import Array, Device, TensorType
from ..errors import ArgumentError, ArgumentTypeError
from ..inplace import prepare_write
from ..mode import enable_grad
from ..tensor import Tensor, wrap
from ..versions import note_write

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

    Subclasses define `_update(group, parameter, grad)`, which changes one parameter. Those of which
    a device has kernels also define `_update_together`, for many parameters in one launch.

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
        self._forget()
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
        self._forget()

    _has_stepped = False  # a learning rate scheduler warns where it goes first

    def _forget(self) -> None:
        """Start without what is only kept to be faster."""
        self._scratch = _Scratch()
        self._steps: dict[Any, Any] = {}
        self._zeros: dict[Device, Any] = {}

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
            set_to_none: True sets `.grad` to None. False fills it with zeros: on CUDA, one launch.
        """
        elsewhere: dict[Device, dict[int, Array]] = {}
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p._grad is not None:
                    grad = p._grad
                    device = grad._type.device
                    if device.kind:
                        if grad._node is not None:
                            p._grad = zeros_like(p)
                        else:
                            elsewhere.setdefault(device, {})[id(grad._array)] = grad._array
                    elif grad._node is None and grad._array.flags.writeable:
                        prepare_write(grad._array)
                        note_write(grad._array)
                        grad._array.fill(0)
                    else:
                        p._grad = wrap(p._type.xp.zeros(p._shape, p._array))
        for device, arrays in elsewhere.items():
            with device.backend.at(device):
                self._fill_with_zeros(device, list(arrays.values()))

    def _fill_with_zeros(self, device: Device, arrays: list[Array]) -> None:
        kernels = device.backend.kernels
        dense = [] if kernels is None else [a for a in arrays if a.flags.forc]
        for a in arrays:
            if kernels is None or not a.flags.forc:
                a.fill(0)
        if dense:
            zeros = self._zeros.get(device)
            if zeros is None:
                zeros = self._zeros[device] = kernels.optim.Zeros()
            zeros(dense)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: computes the loss again, with its gradients; called first.

        Returns:
            What `closure` returned, or None.
        """
        loss = None
        self._has_stepped = True
        if closure is not None:
            with enable_grad():
                loss = closure()
        update = self._update
        for group in self.param_groups:
            elsewhere = False
            for p in group["params"]:
                grad = p._grad
                if grad is not None:
                    prepare_write(p._array)
                    note_write(p._array)
                    if p._type.device.kind:
                        elsewhere = True
                    else:
                        update(group, p, grad)
            if elsewhere:
                self._update_elsewhere(group)
        return loss

    def _update_elsewhere(self, group: dict[str, Any]) -> None:
        """Change the parameters that are not on the CPU."""
        by_type: dict[TensorType, list[Tensor]] = {}
        for p in group["params"]:
            if p._type.device.kind:
                by_type.setdefault(p._type, []).append(p)
        for type, parameters in by_type.items():
            device = type.device
            kernels = device.backend.kernels
            # A parameter that was given twice is stepped twice, one after the other; gradients that
            # do not fit (there is new data since) are refused by the array operations.
            together = (
                kernels is not None
                and len(set(parameters)) == len(parameters)
                and all(p._grad is None or _fits(p._grad, p) for p in parameters)
            )
            with device.backend.at(device):
                if together and self._update_together(group, type, parameters, kernels.optim):
                    continue
                for p in parameters:
                    if p._grad is not None:
                        self._update(group, p, p._grad)

    def _update_together(
        self, group: dict[str, Any], type: TensorType, parameters: list[Tensor], kernels: Any
    ) -> bool:
        """Change those of the parameters, all of one type, that have a gradient.

        Args:
            group: theirs.
            type: of all of them.
            parameters: those of the group, each once.
            kernels: the module with the device's updates.

        Returns:
            False if nothing was done, since there is no such kernel: then `_update` is called.
        """
        return False

    def _steps_of(self, update: Any, group: dict[str, Any], type: TensorType, kernels: Any) -> Any:
        """The launches of an update for the parameters of a group that have that type."""
        key = update, id(group), type
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = kernels.Steps(update)
        return found

    def _update(self, group: dict[str, Any], p: Tensor, grad: Tensor) -> None:
        """Change the parameter `p` in place."""
        raise NotImplementedError(
            f"{type(self).__name__}: an optimizer must define step or _update."
        )

    def _apply(
        self, update: Update, type: TensorType, arrays: tuple[Array, ...], *options: Any
    ) -> None:
        """`update(xp, s, *arrays, *options)`, with a scratch array `s` like the others, of `type`.

        Large arrays are updated block by block: memory is then read and written once, however
        many array operations the update is made of.
        """
        whole = arrays[0]
        size = whole.size
        if size <= BLOCK or type.device.kind or not all(a.flags.c_contiguous for a in arrays):
            update(type.xp, self._scratch.like(type, whole.shape, size), *arrays, *options)
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


_NUMBERS: Final = frozenset({"step", "mu_product", "eta", "mu"})


def _cast(key: str, value: Any, p: Tensor) -> Any:
    """A copy of a value of the state, where it is a Tensor as `p` has its values."""
    if isinstance(value, Tensor):
        # Numbers of all elements stay what they are: float16 cannot count beyond 2048. They are on
        # the host, so that a step need not wait for the device.
        if key in _NUMBERS:
            return copy.deepcopy(value.detach()).cpu()
        return copy.deepcopy(value.detach()).to(p._type.device, p._type.dtype)
    if isinstance(value, list):
        return [_cast(key, v, p) for v in value]
    return copy.deepcopy(value)


def _fits(grad: Tensor, p: Tensor) -> bool:
    return grad._type is p._type and grad._shape == p._shape


def zeros_like(p: Tensor) -> Tensor:
    """Zeros for the state of a parameter, on its device."""
    device = p._type.device
    if device.kind:
        # In the same order in memory, so that a kernel meets them in the same order.
        return wrap(device.backend.on(device, lambda xp: xp.zeros_like(p._array)))
    return wrap(np.zeros(p._shape, p._type.numpy))


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
