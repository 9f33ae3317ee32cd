"""Module: what holds parameters, buffers and other modules, and is called like a function."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ..device import Device
from ..dtypes import dtype as DType
from ..errors import ArgumentError, ArgumentTypeError, GraphError
from ..hooks import RemovableHandle
from ..mode import no_grad
from ..ops.creation import as_tensor, empty
from ..tensor import Tensor
from .backward_hooks import BackwardHooks
from .parameter import Parameter

__all__ = ["IncompatibleKeys", "Module"]


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` could not place.

    Attributes:
        missing_keys: that the module has, and the state has not.
        unexpected_keys: that the state has, and the module has not.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"_IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


class Module:
    """Base of all modules. A subclass assigns its parts as attributes and defines `forward`.

    A `Parameter`, a `Buffer` or a Module that is assigned as an attribute is registered under that
    name: it is listed, moved and saved with the module.

    Attributes:
        training: whether it is in training mode; see `train`.
    """

    training: bool
    forward: Callable[..., Any]
    _version: ClassVar[int] = 1
    _modules: dict[str, Any]
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]

    def __init__(self) -> None:
        _plain(
            self,
            training=True,
            _parameters={},
            _buffers={},
            _not_persistent=set(),
            _modules={},
            _pre_hooks=OrderedDict(),
            _hooks=OrderedDict(),
            _backward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(),
            _state_pre_hooks=OrderedDict(),
            _state_hooks=OrderedDict(),
            _load_pre_hooks=OrderedDict(),
            _load_hooks=OrderedDict(),
        )

    # calls -----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and the hooks before and behind it."""
        if not (self._hooks or self._pre_hooks or self._backward_hooks or self._backward_pre_hooks):
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in list(self._pre_hooks.values()):
            if with_kwargs:
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise GraphError(
                            "forward pre-hook must return None or a tuple of (new_args, "
                            f"new_kwargs), but got {changed}."
                        )
                    args, kwargs = changed
            else:
                changed = hook(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        backward = None
        if self._backward_hooks or self._backward_pre_hooks:
            backward = BackwardHooks(self, self._backward_hooks, self._backward_pre_hooks)
            args = backward.of_inputs(args)
        called: set[int] = set()
        try:
            result = self.forward(*args, **kwargs)
            for number, (hook, with_kwargs, _) in list(self._hooks.items()):
                called.add(number)
                given = (args, kwargs) if with_kwargs else (args,)
                changed = hook(self, *given, result)
                if changed is not None:
                    result = changed
        except Exception:
            for number, (hook, with_kwargs, always) in list(self._hooks.items()):
                if always and number not in called:
                    hook(self, *((args, kwargs) if with_kwargs else (args,)), None)
            raise
        return result if backward is None else backward.of_outputs(result)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each `forward`; what it returns replaces the arguments.

        Args:
            hook: the function; with `with_kwargs` it is `hook(module, args, kwargs)`, and returns
                None or both.
            prepend: call it before those registered earlier.
            with_kwargs: give it the keyword arguments.

        Returns:
            A handle, whose `remove()` takes the hook away.
        """
        return _register(self._pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each `forward`; its result replaces `output`.

        Args:
            hook: the function; with `with_kwargs` it is `hook(module, args, kwargs, output)`.
            prepend: call it before those registered earlier.
            with_kwargs: give it the keyword arguments.
            always_call: call it also when `forward` raises; `output` is None then.

        Returns:
            A handle, whose `remove()` takes the hook away.
        """
        return _register(self._hooks, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the gradients of the inputs are computed.

        Args:
            hook: what it returns, if not None, replaces the gradients of the outputs, a tuple.
            prepend: call it before those registered earlier.

        Returns:
            A handle, whose `remove()` takes the hook away.
        """
        return _register(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` once the gradients of the inputs are known.

        Args:
            hook: both are tuples, None for what is no Tensor or does not require grad. What it
                returns, if not None, replaces `grad_input`.
            prepend: call it before those registered earlier.

        Returns:
            A handle, whose `remove()` takes the hook away.
        """
        return _register(self._backward_hooks, hook, prepend)

    # attributes ------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        for kind in ("_parameters", "_buffers", "_modules"):
            held = self.__dict__.get(kind)
            if held is not None and name in held:
                return held[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__
        role = getattr(value, "_role", "") if isinstance(value, Tensor) else ""
        if role == "Parameter":
            self._need_init("parameters")
            self._forget(name)
            self.register_parameter(name, value)
        elif name in held.get("_parameters", ()):
            if value is not None:
                raise ArgumentTypeError(
                    f"cannot assign '{_named(value)}' as parameter '{name}' "
                    "(gradcore.nn.Parameter or None expected)"
                )
            self._parameters[name] = None
        elif isinstance(value, Module):
            self._need_init("module")
            self._forget(name)
            self._modules[name] = value
        elif name in held.get("_modules", ()):
            if value is not None:
                raise ArgumentTypeError(
                    f"cannot assign '{_named(value)}' as child module '{name}' "
                    "(gradcore.nn.Module or None expected)"
                )
            self._modules[name] = None
        elif role:
            self._need_init("buffers")
            self._forget(name)
            self.register_buffer(name, value, role == "Buffer")
        elif name in held.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise ArgumentTypeError(
                    f"cannot assign '{_named(value)}' as buffer '{name}' "
                    "(gradcore.nn.Buffer, gradcore.Tensor or None expected)"
                )
            self._buffers[name] = value
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if not self._forget(name):
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*object.__dir__(self), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())

    def _need_init(self, what: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")

    def _forget(self, name: str) -> bool:
        """Remove what is registered, or kept as an attribute, under a name."""
        found = False
        for held in (self._parameters, self._buffers, self._modules, self.__dict__):
            if name in held:
                del held[name]
                found = True
        self._not_persistent.discard(name)
        return found

    def _check_name(self, what: str, name: Any, held: Mapping[str, Any]) -> None:
        if not isinstance(name, str):
            raise ArgumentTypeError(f"{what} name should be a string. Got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in held:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Tensor | None) -> None:
        """Add a parameter under a name; None keeps the name for one that is not there.

        Raises:
            KeyError: the name is taken, empty, or has a dot.
            ArgumentTypeError: `param` is no Parameter.
        """
        self._need_init("parameter")
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentTypeError(
                f"cannot assign '{_named(param)}' object to parameter '{name}' "
                "(gradcore.nn.Parameter or None required)"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a Tensor that is no parameter, such as a running mean, under a name.

        Args:
            name: without a dot.
            tensor: the Tensor, or None.
            persistent: whether it is part of `state_dict`.

        Raises:
            KeyError: the name is taken, empty, or has a dot.
            ArgumentTypeError: `tensor` is no Tensor.
        """
        self._need_init("buffer")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentTypeError(
                f"cannot assign '{_named(tensor)}' object to buffer '{name}' "
                "(gradcore Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._not_persistent.discard(name)
        else:
            self._not_persistent.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module under a name.

        Raises:
            KeyError: the name is taken, empty, or has a dot.
            ArgumentTypeError: `module` is no Module.
        """
        if module is not None and not isinstance(module, Module):
            raise ArgumentTypeError(f"{_named(module)} is not a Module subclass")
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    register_module = add_module

    def get_submodule(self, target: str) -> Module:
        """The module of a name such as `"encoder.0"`; `""` is this one.

        Raises:
            AttributeError: there is none.
        """
        found: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(found, name):
                raise AttributeError(f"{found._get_name()} has no attribute `{name}`")
            found = getattr(found, name)
            if not isinstance(found, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return found  # type: ignore[no-any-return]

    def get_parameter(self, target: str) -> Tensor:
        """The parameter of a name such as `"encoder.0.weight"`.

        Raises:
            AttributeError: there is none.
        """
        return self._held(target, "_parameters", "an nn.Parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a name such as `"encoder.0.running_mean"`.

        Raises:
            AttributeError: there is none.
        """
        return self._held(target, "_buffers", "a buffer")

    def _held(self, target: str, kind: str, what: str) -> Tensor:
        path, _, name = target.rpartition(".")
        holder = self.get_submodule(path)
        if not hasattr(holder, name):
            raise AttributeError(f"{holder._get_name()} has no attribute `{name}`")
        if name not in getattr(holder, kind):
            raise AttributeError(f"`{name}` is not {what}")
        return getattr(holder, name)  # type: ignore[no-any-return]

    # what is in it ---------------------------------------------------------------------------

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """The parameters, of the modules in it too if `recurse`."""
        for _, p in self.named_parameters(recurse=recurse):
            yield p

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The parameters with their names; a shared one once, if `remove_duplicate`."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, of the modules in it too if `recurse`."""
        for _, b in self.named_buffers(recurse=recurse):
            yield b

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their names; a shared one once, if `remove_duplicate`."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def _named(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        modules = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else [(prefix, self)]
        )
        for path, module in modules:
            for name, t in getattr(module, kind).items():
                if t is None or id(t) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(t))
                yield f"{path}.{name}" if path else name, t

    def children(self) -> Iterator[Module]:
        """The modules directly in it."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly in it with their names."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all in it."""
        for _, module in self.named_modules():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all in it with their names.

        Args:
            memo: those that are passed over; those that are listed are added.
            prefix: what all names begin with.
            remove_duplicate: list a module that is in several places once.
        """
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    # changing all of it ------------------------------------------------------------------------

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` with every module in it, then with itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode for this module and all in it.

        Raises:
            ArgumentError: `mode` is no bool.
        """
        if not isinstance(mode, bool):
            raise ArgumentError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode, in which dropout does nothing and batch norm is fixed."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether operations on its parameters are recorded."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of its parameters, or fill them with zeros."""
        for p in self.parameters():
            if p.grad is None:
                continue
            if set_to_none:
                p.grad = None
            else:
                p.grad = p.grad.detach()
                p.grad.zero_()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Put `fn(t)` in the place of each parameter, gradient and buffer."""
        for module in self.children() if recurse else ():
            module._apply(fn)
        with no_grad():
            for p in self._parameters.values():
                if p is None:
                    continue
                grad = p.grad
                p.grad = None
                p.data = fn(p.data)
                if grad is not None:
                    p.grad = fn(grad.detach())
            for name, b in self._buffers.items():
                if b is not None:
                    self._buffers[name] = fn(b)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move it to a device, or cast its floating point parameters and buffers to a dtype.

        Called as `to(device)`, `to(dtype)`, `to(device, dtype)` or `to(other)`; the latter takes
        those of the Tensor `other`. The parameters stay the same Tensors.

        Raises:
            ArgumentTypeError: the dtype is that of integers.
        """
        target = empty(0).to(*args, **kwargs)
        given = [*args, *kwargs.values()]
        cast = any(isinstance(v, Tensor) or _is_dtype(v) for v in given)
        if cast and not target.dtype.is_inexact:
            raise ArgumentTypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={target.dtype}"
            )
        moved = any(isinstance(v, str | int | Device | Tensor) for v in given[:1]) or (
            kwargs.get("device") is not None
        )

        def changed(t: Tensor) -> Tensor:
            options: dict[str, Any] = {}
            if moved:
                options["device"] = target.device
            if cast and t.dtype.is_inexact:
                options["dtype"] = target.dtype
            return t.to(**options) if options else t

        return self._apply(changed)

    def cuda(self, device: Any = None) -> Self:
        """Move it to a CUDA device."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self) -> Self:
        """Move it to the CPU."""
        return self._apply(lambda t: t.cpu())

    def type(self, dst_type: Any) -> Self:
        """Cast all its parameters and buffers to a dtype."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Cast its floating point parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Self:
        """Cast its floating point parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Self:
        """Cast its floating point parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    # state -----------------------------------------------------------------------------------

    def get_extra_state(self) -> Any:
        """What `state_dict` keeps beside parameters and buffers; defined by a subclass."""
        raise NotImplementedError("a subclass that has extra state defines get_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` gave; defined by a subclass."""
        raise NotImplementedError("a subclass that has extra state defines set_extra_state")

    def _has_extra(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(Module, name)

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> Any:
        """The parameters and persistent buffers of this module and all in it, by name.

        Args:
            destination: a dict that they are added to, and that is returned.
            prefix: what all names begin with.
            keep_vars: give the parameters themselves, not their values without history.

        Returns:
            A dict of Tensors, which share memory with the module; in PyTorch's format.
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in list(self._state_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        for name, t in {**self._parameters, **self._buffers}.items():
            if t is not None and name not in self._not_persistent:
                destination[prefix + name] = t if keep_vars else t.detach()
        if self._has_extra("get_extra_state"):
            destination[prefix + "_extra_state"] = self.get_extra_state()
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in list(self._state_hooks.values()):
            changed = hook(self, destination, prefix, metadata)
            if changed is not None:
                destination = changed
        return destination

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Take over the values of `state_dict`.

        Args:
            state_dict: Tensors or arrays by name; also one that PyTorch's modules gave, if its
                tensors were made arrays.
            strict: refuse names that are missing or not expected.
            assign: let the module have the Tensors themselves, with their dtype and device,
                instead of copying their values.

        Returns:
            The missing and the unexpected names.

        Raises:
            ArgumentTypeError: `state_dict` is no mapping.
            GraphError: names or shapes do not fit; nothing is changed then.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentTypeError(
                f"Expected state_dict to be dict-like, got {type(state_dict).__qualname__}."
            )
        state = OrderedDict(state_dict)
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        placed: list[Callable[[], None]] = []
        metadata = getattr(state_dict, "_metadata", None)
        self._load(state, "", metadata, strict, assign, missing, unexpected, errors, placed)
        found = IncompatibleKeys(missing, unexpected)
        for module in self.modules():
            for hook in list(module._load_hooks.values()):
                hook(module, found)
        if strict:
            if unexpected:
                listed = ", ".join(f'"{name}"' for name in unexpected)
                errors.insert(0, f"Unexpected key(s) in state_dict: {listed}. ")
            if missing:
                listed = ", ".join(f'"{name}"' for name in missing)
                errors.insert(0, f"Missing key(s) in state_dict: {listed}. ")
        if errors:
            lines = "\n\t".join(errors)
            raise GraphError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{lines}"
            )
        for place in placed:
            place()
        return found

    def _load(
        self,
        state: Mapping[str, Any],
        prefix: str,
        metadata: Any,
        strict: bool,
        assign: bool,
        missing: list[str],
        unexpected: list[str],
        errors: list[str],
        placed: list[Callable[[], None]],
    ) -> None:
        """Note what is to be done with the part of a state for this module and those in it."""
        own = {} if metadata is None else metadata.get(prefix[:-1], {})
        for hook, with_module in list(self._load_pre_hooks.values()):
            given = (state, prefix, own, strict, missing, unexpected, errors)
            hook(*((self, *given) if with_module else given))
        for name, t in {**self._parameters, **self._buffers}.items():
            if t is None or name in self._not_persistent:
                continue
            key = prefix + name
            if key not in state:
                missing.append(key)
                continue
            value = state[key]
            problem = _misfit(key, value, t)
            if problem:
                errors.append(problem)
            else:
                placed.append(functools.partial(self._place, name, value, assign))
        extra = prefix + "_extra_state"
        if self._has_extra("set_extra_state"):
            if extra in state:
                placed.append(functools.partial(self.set_extra_state, state[extra]))
            else:
                missing.append(extra)
        known = {*self._parameters, *self._buffers} - self._not_persistent
        if self._has_extra("set_extra_state"):
            known.add("_extra_state")
        for key in state:
            if key.startswith(prefix):
                name, _, rest = key[len(prefix) :].partition(".")
                if not (self._modules.get(name) is not None if rest else name in known):
                    unexpected.append(key)
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}{name}."
                part = OrderedDict((k, v) for k, v in state.items() if k.startswith(path))
                module._load(
                    part, path, metadata, strict, assign, missing, unexpected, errors, placed
                )

    def _place(self, name: str, value: Any, assign: bool) -> None:
        held = self._parameters if name in self._parameters else self._buffers
        t = held[name]
        value = as_tensor(value)
        with no_grad():
            if not assign:
                t.copy_(value)
            elif held is self._parameters:
                held[name] = Parameter(value, requires_grad=t.requires_grad)
            else:
                held[name] = value.detach()

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before each `state_dict`."""
        return _register(self._state_pre_hooks, hook, False)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` after each `state_dict`."""
        return _register(self._state_hooks, hook, False)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook` before each `load_state_dict`.

        Args:
            hook: `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
                unexpected_keys, error_msgs)`; it may change `state_dict`, which is a copy.

        Returns:
            A handle, whose `remove()` takes the hook away.
        """
        return _register(self._load_pre_hooks, (hook, True), False)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after each `load_state_dict`."""
        return _register(self._load_hooks, hook, False)

    # text ------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the brackets of its text; defined by a subclass."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        inner = [
            f"({name}): " + repr(module).replace("\n", "\n  ")
            for name, module in self._modules.items()
        ]
        if len(lines) == 1 and not inner:
            return f"{self._get_name()}({lines[0]})"
        text = "\n  ".join([*lines, *inner])
        return f"{self._get_name()}(\n  {text}\n)" if text else f"{self._get_name()}()"


def _plain(module: Module, **attributes: Any) -> None:
    """Set attributes without looking for what is to be registered."""
    for name, value in attributes.items():
        object.__setattr__(module, name, value)


def _register(hooks: OrderedDict[int, Any], entry: Any, prepend: bool) -> RemovableHandle:
    handle = RemovableHandle(hooks, entry)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _named(value: Any) -> str:
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _is_dtype(value: Any) -> bool:
    return isinstance(value, DType | np.dtype | type)


def _misfit(key: str, value: Any, t: Tensor) -> str:
    """What is wrong with a value for the parameter or buffer `t`; "" if nothing."""
    shape = getattr(value, "shape", None)
    if shape is None:
        return (
            f'While copying the parameter named "{key}", expected gradcore.Tensor or an array from '
            f"checkpoint but received {type(value)}"
        )
    if tuple(shape) != t._shape:
        return (
            f"size mismatch for {key}: copying a param with shape {_size(shape)} from checkpoint, "
            f"the shape in current model is {_size(t._shape)}."
        )
    return ""


def _size(shape: Any) -> str:
    return f"gradcore.Size({list(shape)})"
