"""Modules that are one function with options that do not change."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Final, dataclass_transform

from .module import Module

__all__ = ["FunctionModule"]

_MISSING: Final = inspect.Parameter.empty


@dataclass_transform()
class FunctionModule(Module):
    """Base of the modules that call one function.

    The fields of `class ELU(FunctionModule, of=F.elu)` are the arguments of its constructor, and
    what `forward` gives the function beside its inputs; with `training=True` also whether the
    module is in training mode. A field whose name ends with `_weight` or is `weight` is a buffer.
    """

    _of: ClassVar[Callable[..., Any]]
    _fields: ClassVar[dict[str, Any]] = {}
    _shown: ClassVar[tuple[str, ...] | None] = None
    _training: ClassVar[bool] = False
    _not_given: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls,
        of: Callable[..., Any] | None = None,
        shown: tuple[str, ...] | None = None,
        training: bool = False,
        not_given: tuple[str, ...] = (),
    ) -> None:
        """Read the fields of a class.

        Args:
            of: the function.
            shown: the fields in its text; by default all but `inplace=False`.
            training: give the function `training`.
            not_given: fields that the function does not take.
        """
        super().__init_subclass__()
        if of is None:
            return
        cls._of = staticmethod(of)
        cls._shown, cls._training, cls._not_given = shown, training, not_given
        cls._fields = {
            name: cls.__dict__.get(name, _MISSING)
            for name, kind in inspect.get_annotations(cls).items()
            if "ClassVar" not in str(kind)
        }
        for name in cls._fields:
            if name in cls.__dict__:
                delattr(cls, name)
        ordered = inspect.Parameter.POSITIONAL_OR_KEYWORD
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, ordered, default=v) for n, v in cls._fields.items()]
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        try:
            bound = self.__signature__.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}.__init__() {error}") from None
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if name == "weight" or name.endswith("_weight"):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, *inputs: Any) -> Any:
        """The function of these inputs, with the options."""
        options = {n: getattr(self, n) for n in self._fields if n not in self._not_given}
        if self._training:
            options["training"] = self.training
        return type(self)._of(*inputs, **options)

    def extra_repr(self) -> str:
        """The options."""
        names = self._shown
        if names is None:
            names = tuple(n for n in self._fields if n != "inplace" or self.inplace)
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
