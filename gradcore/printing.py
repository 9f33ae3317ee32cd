"""Values as text, in PyTorch's format, character for character.

The numbers shown share one width and one notation: `1.` if all are integers, `1.0000` otherwise,
`1.0000e+00` if they span too wide a range. An array of more than `threshold` elements shows the
first and last `edgeitems` along each long axis, and only these are read: `summarize` picks them
(on a GPU as well) and `format_tensor` prints them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "PrintOptions",
    "format_tensor",
    "get_printoptions",
    "printoptions",
    "set_printoptions",
    "summarize",
]


class PrintOptions(NamedTuple):
    """How values are printed.

    Attributes:
        precision: Digits after the decimal point.
        threshold: An array of more elements than this is summarized; `math.inf` for never.
        edgeitems: Elements shown at either end of an axis of a summarized array.
        linewidth: Characters in a line.
        sci_mode: Scientific notation always (True), never (False), or by the values (None).
    """

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}
_options = _PROFILES["default"]


def get_printoptions() -> PrintOptions:
    """Return the options in force."""
    return _options


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set the options that are given, all of them or, on an error, none.

    Args:
        precision: See `PrintOptions`, here and for the other options.
        threshold: None keeps the value, as for all options but `sci_mode`.
        edgeitems: With 0, every summarized array prints as `[...]`.
        linewidth: Wraps rows and suffixes; a row has at least one element a line.
        profile: `"default"`, `"short"` or `"full"`: the values to start from.
        sci_mode: As in PyTorch, every call sets it: None is the automatic choice.

    Raises:
        ValueError: An option is negative or of the wrong type, or the profile is unknown.
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        known = ", ".join(map(repr, _PROFILES))
        raise ValueError(f"print options: profile must be one of {known}, got {profile!r}.")
    given: dict[str, Any] = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    given = {name: value for name, value in given.items() if value is not None}
    start = _options if profile is None else _PROFILES[profile]
    options = start._replace(sci_mode=sci_mode, **given)
    _check(options)
    _options = options


def _check(options: PrintOptions) -> None:
    for name in ("precision", "threshold", "edgeitems", "linewidth"):
        value = getattr(options, name)
        kind, words = (Real, "a number") if name == "threshold" else (Integral, "an integer")
        fits = isinstance(value, kind) and not isinstance(value, bool)
        # `not >=` also refuses NaN.
        if not fits or not value >= 0:
            raise ValueError(f"print options: {name} must be {words} >= 0, got {value!r}.")
    if not (options.sci_mode is None or isinstance(options.sci_mode, bool)):
        raise ValueError(
            f"print options: sci_mode must be True, False or None, got {options.sci_mode!r}."
        )


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Apply `set_printoptions(**options)` inside a `with` block."""
    global _options
    before = _options
    set_printoptions(**options)
    try:
        yield
    finally:
        _options = before


def summarize(array: Any) -> Any:
    """Return the elements of `array` that are printed, where `array` is: summarize, then fetch.

    Args:
        array: `(*)`, any dtype; a NumPy or CuPy array.

    Returns:
        `array` itself if it is printed whole, otherwise a new array that joins its corners.
    """
    edge = _options.edgeitems
    if array.ndim == 0 or array.size <= _options.threshold:
        return array
    shown = [np.r_[:edge, n - edge : n] if n > 2 * edge else np.arange(n) for n in array.shape]
    return array[np.ix_(*shown)]


def format_tensor(
    array: npt.NDArray[Any],
    *,
    prefix: str = "tensor(",
    suffixes: Sequence[str] = (),
    shape: tuple[int, ...] | None = None,
) -> str:
    """Return `array` as PyTorch prints a tensor of these values.

    PyTorch's suffixes, in its order, are `device='...'` if not the default device; `size=(...)`
    of an empty array that is not 1-D, and of any other if `edgeitems` is 0; `dtype=...` if neither
    the default float or complex dtype nor, unless the array is empty, int64 or bool (empty complex
    arrays show theirs too); `grad_fn=<...>`, else `requires_grad=True`; `tangent=...`.

    Args:
        array: `(*)`, bool, integer, float or complex, on the host.
        prefix: What comes before the values; later lines are indented by its length.
        suffixes: What comes after the values; each starts a new line if the last one is full.
        shape: The whole array's shape, if `array` is what `summarize` made of it.

    Returns:
        The text, `prefix` and closing parenthesis included.
    """
    shown = summarize(array)
    texts, width = _aligned(shown.ravel())
    cells = np.array(texts, dtype=object).reshape(shown.shape).tolist()
    row_indent = len(prefix) + array.ndim - 1
    per_line = max(1, (_options.linewidth - row_indent) // (width + len(", ")))
    text = prefix + _bracketed(cells, shape or array.shape, len(prefix), per_line)

    # PyTorch counts two characters too many in the line that the values end.
    column = len(text) - (text.rfind("\n") + 1) + 2
    for suffix in suffixes:
        if column + len(", ") + len(suffix) > _options.linewidth:
            text += ",\n" + " " * len(prefix) + suffix
            column = len(prefix) + len(suffix)
        else:
            text += ", " + suffix
            column += len(", ") + len(suffix)
    return text + ")"


def _aligned(values: npt.NDArray[Any]) -> tuple[list[str], int]:
    """Return the values' texts, and the width that they have in the wrapping of rows."""
    if values.dtype.kind == "c":
        reals, real_width = _aligned(values.real)
        imags, imag_width = _aligned(values.imag)
        imags = [text.lstrip() + "j" for text in imags]
        signed = [text if text.startswith("-") else "+" + text for text in imags]
        return list(map(str.__add__, reals, signed)), real_width + imag_width + len("j")
    if values.dtype.kind == "f":
        # Zeros, infinities and NaNs take part in neither the notation nor the width.
        counted = np.isfinite(values) & (values != 0)
        notation = _notation(values[counted])
        texts = [format(value, notation) for value in values.tolist()]
        width = max(map(len, compress(texts, counted.tolist())), default=1)
    else:
        texts = [str(value) for value in values.tolist()]
        width = max(map(len, texts), default=1)
    return [text.rjust(width) for text in texts], width


def _notation(values: npt.NDArray[Any]) -> str:
    """Return the format specification that suits all the (finite, nonzero) values."""
    if not values.size:
        return "#.0f"
    sizes = np.abs(values)
    # Python floats: their quotient neither overflows in float16 nor warns.
    low, high = float(sizes.min()), float(sizes.max())
    scientific = _options.sci_mode
    if scientific is None:
        scientific = high / low > 1000 or high > 1e8 or low < 1e-4
    if scientific:
        return f".{_options.precision}e"
    # `#` ends an integer with its point, and leaves infinities and NaNs as they are.
    return "#.0f" if (sizes == np.floor(sizes)).all() else f".{_options.precision}f"


def _bracketed(cells: Any, shape: tuple[int, ...], indent: int, per_line: int) -> str:
    """Lay out nested lists of texts; `shape` tells where elements were left out."""
    if not shape:
        return str(cells)
    if 0 in shape:
        return "[]"
    row = len(shape) == 1
    items = cells if row else [_bracketed(c, shape[1:], indent + 1, per_line) for c in cells]
    if len(cells) < shape[0]:
        middle = len(cells) // 2
        items = [*items[:middle], " ..." if row and cells else "...", *items[middle:]]
    if row:
        items = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    newlines = "\n" * max(1, len(shape) - 1)
    return "[" + ("," + newlines + " " * (indent + 1)).join(items) + "]"
