"""Modules that are a function with fixed options: a class lists them as its fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, dataclass_transform

from .module import Module

__all__ = ["FunctionModule"]

_NONE = inspect.Parameter.empty


@dataclass_transform()
class FunctionModule(Module):
    """Base of the modules that call one function with options that do not change.

    The fields of a class `class ELU(FunctionModule, of=F.elu)` are the arguments of its
    constructor, as of a dataclass, and what `forward` gives the function beside its inputs: those
    that are parameters of it, and `training` if that is one. Both methods are made from source, as
    dataclasses are: a call costs no more than if it had been written.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _passed_over: ClassVar[frozenset[str]] = frozenset()
    _shown: ClassVar[str | None] = None

    def __init_subclass__(
        cls,
        of: Callable[..., Any] | None = None,
        inputs: str = "input",
        buffers: tuple[str, ...] = (),
        shown: str | None = None,
        kw_only: bool = False,
    ) -> None:
        """Give the class its constructor and `forward`.

        Args:
            of: the function; without it the class is a base of others, or a user's.
            inputs: the parameters of `forward`.
            buffers: fields that are registered as buffers.
            shown: the form of `extra_repr`; by default all fields, `inplace` only if it is set.
            kw_only: whether the constructor takes its arguments by name only.
        """
        super().__init_subclass__()
        if shown is not None:
            cls._shown = shown
        if of is None:
            return
        fields: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            if issubclass(base, FunctionModule) and base is not FunctionModule:
                for name, kind in inspect.get_annotations(base).items():
                    if "ClassVar" not in kind:
                        fields[name] = getattr(cls, name, _NONE)
        cls._fields = tuple(fields)
        for name in buffers:
            delattr(cls, name)  # a default on the class would be in the way
        known = inspect.signature(of).parameters
        given = [n for n in fields if n in known and n not in cls._passed_over]
        given += ["training"] if "training" in known else []
        options = "".join([f", {name}=self.{name}" for name in given])
        arguments = ["self", *(["*"] if kw_only and fields else [])]
        body = ["Module.__init__(self)"]
        for name, default in fields.items():
            arguments.append(name if default is _NONE else f"{name}=defaults[{name!r}]")
            buffer = name in buffers
            body.append(
                f"self.register_buffer('{name}', {name})" if buffer else f"self.{name} = {name}"
            )
        source = (
            f"def __init__({', '.join(arguments)}):\n    "
            + "\n    ".join([*body, "self._ready()"])
            + f"\ndef forward(self, {inputs}):\n    return function({inputs}{options})\n"
        )
        made: dict[str, Any] = {
            "function": of,
            "defaults": fields,
            "Module": Module,
            "__name__": cls.__module__,
        }
        exec(compile(source, f"<{cls.__name__}>", "exec"), made)
        for name in ("__init__", "forward"):
            if name not in cls.__dict__:
                made[name].__qualname__ = f"{cls.__qualname__}.{name}"
                setattr(cls, name, made[name])

    def _ready(self) -> None:
        """Check and complete the fields; for subclasses."""

    def extra_repr(self) -> str:
        """Its options."""
        if self._shown is not None:
            return self._shown.format(**self.__dict__)
        shown = {name: getattr(self, name) for name in self._fields}
        if not shown.get("inplace", True):
            del shown["inplace"]
        return ", ".join([f"{name}={value!r}" for name, value in shown.items()])
