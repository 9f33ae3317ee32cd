"""Spectra of short pieces of a signal, and the windows the pieces are seen through."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..batching.array import bottom
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import public, recorded, tensor_of
from ..samples import bad, sample
from ..tensor import Tensor
from .creation import ones, tensor
from .fourier import fft, ifft, integer, irfft, rfft
from .padding import pad
from .shape import squeeze, stack, transpose, unsqueeze
from .strided import add_windows, unfold

__all__ = [
    "bartlett_window",
    "blackman_window",
    "hamming_window",
    "hann_window",
    "istft",
    "kaiser_window",
    "stft",
]


# windows ---------------------------------------------------------------------------------------


def _window(
    name: str,
    length: Any,
    periodic: bool,
    values: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
    dtype: Any,
    device: Any,
    requires_grad: bool,
) -> Tensor:
    """`values` of places from 0 to 1; the last of them is left out where `periodic`."""
    n = integer(name, "window_length", length)
    kind = dtypes.get_default_dtype() if dtype is None else dtypes.to_dtype(dtype)
    if not kind.is_floating_point:
        raise DTypeError(f"{name} expects floating point dtypes, got: {kind.name}.")
    if n < 0:
        raise ArgumentError(f"{name} requires non-negative window_length, got window_length={n}.")
    if n < 2:
        host = np.ones(n)
    else:
        steps = n if periodic else n - 1
        host = values(np.arange(n) / steps)
    return tensor(host, dtype=kind, device=device, requires_grad=requires_grad)


def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Hann's window: sin(pi t)^2 for t from 0 to 1.

    Args:
        window_length: the number of values.
        periodic: leave out t = 1, for use with `stft`; else the window is symmetric.
        dtype: floating point; the default dtype if it is not given.
        device: where the result is to be.
        requires_grad: the result is a leaf to differentiate by.

    Raises:
        ArgumentError: `window_length` is negative.
        DTypeError: `dtype` is not floating point.
    """
    values = lambda t: np.sin(np.pi * t) ** 2
    return _window("hann_window", window_length, periodic, values, dtype, device, requires_grad)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Hamming's window: alpha - beta cos(2 pi t) for t from 0 to 1; the rest as `hann_window`."""
    values = lambda t: alpha - beta * np.cos(2 * np.pi * t)
    return _window("hamming_window", window_length, periodic, values, dtype, device, requires_grad)


def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Blackman's window: 0.42 - 0.5 cos(2 pi t) + 0.08 cos(4 pi t); the rest as `hann_window`."""
    values = lambda t: 0.42 - 0.5 * np.cos(2 * np.pi * t) + 0.08 * np.cos(4 * np.pi * t)
    return _window("blackman_window", window_length, periodic, values, dtype, device, requires_grad)


def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Bartlett's window, a triangle: 1 - |2 t - 1| for t from 0 to 1; the rest as `hann_window`."""
    values = lambda t: 1 - np.abs(2 * t - 1)
    return _window("bartlett_window", window_length, periodic, values, dtype, device, requires_grad)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Kaiser's window: I0(beta sqrt(1 - (2 t - 1)^2)) / I0(beta); the rest as `hann_window`."""
    values = lambda t: np.i0(beta * np.sqrt(1 - (2 * t - 1) ** 2)) / np.i0(beta)
    return _window("kaiser_window", window_length, periodic, values, dtype, device, requires_grad)


# pieces of a signal ----------------------------------------------------------------------------


def _added(pieces: Tensor, length: int, step: int) -> Tensor:
    """Pieces `(*, count, n)` that start every `step` elements, added up to `(*, length)`."""
    *lead, _, n = pieces._shape
    return add_windows(pieces, (*lead, length), len(lead), n, step)


def _centred(x: Tensor, n: int) -> Tensor:
    """The last dimension filled up with zeros on both sides, to length n."""
    missing = n - x._shape[-1]
    return pad(x, (missing // 2, missing - missing // 2)) if missing else x


def _padded(x: Tensor, p: int, mode: str) -> Tensor:
    """The signals with p elements more on both sides."""
    if len(x._shape) == 2:
        return pad(x, (p, p), mode)
    return squeeze(pad(unsqueeze(x, 0), (p, p), mode), 0)


def _window_of(name: str, window: Any, win_length: int, like: Tensor) -> Tensor:
    """The window, floating point or complex; ones if it was not given."""
    real = like._type.dtype.to_real() if like._type.dtype.is_complex else like._type.dtype
    if window is None:
        return ones(win_length, dtype=real, device=like.device)
    window = tensor_of(name, window)
    if window._shape != (win_length,):
        raise ShapeError(
            f"{name}: Invalid window shape: expected a 1D window tensor of size equal to "
            f"win_length={win_length}, but got window with size {list(window._shape)}."
        )
    y: Tensor = window if window._type.recordable else window.to(real)
    return y


def _lengths(name: str, n_fft: Any, hop_length: Any, win_length: Any) -> tuple[int, int, int]:
    n = integer(name, "n_fft", n_fft)
    hop = n // 4 if hop_length is None else integer(name, "hop_length", hop_length)
    width = n if win_length is None else integer(name, "win_length", win_length)
    return n, hop, width


@public(
    methods=("stft",),
    samples=lambda make: [
        sample(make.real(12), 4, return_complex=True),
        sample(make.real(2, 9), 4, 2, 3, make.real(3), return_complex=True),
        sample(make.real(2, 9), 4, 3, center=False, normalized=True, return_complex=False),
        sample(make.real(9), 5, 2, pad_mode="circular", onesided=False, return_complex=True),
        sample(
            make.real(11), 6, 3, 3, make.real(3), False, align_to_window=True, return_complex=True
        ),
        sample(make.complex(8), 4, pad_mode="replicate", window=make.complex(4)),
        sample(make.real(8), 4, pad_mode="constant", return_complex=True),
    ],
    errors=lambda make: [
        bad(RuntimeError, "requires the return_complex parameter", make.real(8), 4),
        bad(RuntimeError, "onesided output if window or input", make.complex(8), 4, onesided=True),
        bad(RuntimeError, "expected 0 < n_fft < 8", make.real(8), 0, return_complex=True),
        bad(RuntimeError, "n_fft=9", make.real(8), 9, center=False, return_complex=True),
        bad(RuntimeError, "hop_length > 0", make.real(8), 4, 0, return_complex=True),
        bad(RuntimeError, "0 < win_length <= n_fft", make.real(8), 4, 2, 5, return_complex=True),
        bad(RuntimeError, "window tensor of size", make.real(8), 4, 2, 3, make.real(4)),
        bad(RuntimeError, "Padding size should be less", make.real(3), 8, return_complex=True),
        bad(RuntimeError, "1D or 2D tensor", make.real(2, 2, 8), 4, return_complex=True),
        bad(RuntimeError, "floating point or complex", make.integers(0, 9, 8), 4),
        bad(RuntimeError, "when center", make.real(8), 4, align_to_window=True),
        bad(NotImplementedError, "padding mode", make.real(8), 4, pad_mode="odd"),
    ],
    departs={
        "node": "nothing is made two-dimensional first",
        "saves": "the window, which PyTorch copies",
        "saves less": "the operand, of a linear function",
    },
)
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Short-time Fourier transform: y_kt = sum_j window_j x_(t hop + j) exp(-2 pi i j k / n_fft).

    Args:
        input: `(length)` or `(batch, length)`, floating point or complex.
        n_fft: the length of a transform.
        hop_length: the distance between the starts of two pieces; n_fft // 4 by default.
        win_length: the length of the window, n_fft by default; zeros on both sides fill it up.
        window: `(win_length)`; ones by default.
        center: the pieces have their middle at t hop: both ends are padded by n_fft // 2.
        pad_mode: with what: `"reflect"`, `"constant"` (zeros), `"replicate"` or `"circular"`.
        normalized: divide by sqrt(n_fft).
        onesided: only the frequencies 0 to n_fft // 2; the default where all is real.
        return_complex: must be given for real input; False puts real and imaginary part side by
            side in a last dimension.
        align_to_window: without `center`, the pieces have the length of the window, not n_fft.

    Returns:
        `(frequencies, pieces)` or `(batch, frequencies, pieces)`, complex.

    Raises:
        ArgumentError: a length is out of range, or arguments contradict each other.
        ShapeError: `input` or `window` has a wrong shape.
        DTypeError: `input` is not floating point or complex.
    """
    x = tensor_of("stft", input)
    n, hop, width = _lengths("stft", n_fft, hop_length, win_length)
    if center and align_to_window is not None:
        raise ArgumentError("stft align_to_window should only be set when center = false.")
    if not x._type.recordable:
        raise DTypeError(
            "stft: expected a tensor of floating point or complex values, "
            f"but got {x._type.dtype.name}."
        )
    if x._type.dtype is dtypes.float16:
        raise DTypeError("stft: Fourier transforms do not support tensors of type: Half.")
    if len(x._shape) not in (1, 2):
        raise ShapeError(f"stft: expected a 1D or 2D tensor, but got {len(x._shape)} dimensions.")
    if center and n > 0:
        x = _padded(x, n // 2, pad_mode)
    length = x._shape[-1]
    if not 0 < n <= length:
        raise ArgumentError(f"stft: expected 0 < n_fft < {length}, but got n_fft={n}.")
    if hop <= 0:
        raise ArgumentError(f"stft: expected hop_length > 0, but got hop_length={hop}.")
    if not 0 < width <= n:
        raise ArgumentError(f"stft: expected 0 < win_length <= n_fft, but got win_length={width}.")
    seen = _window_of("stft", window, width, x)
    complex_ = x._type.dtype.is_complex or seen._type.dtype.is_complex
    if return_complex is None:
        if not complex_:
            raise ArgumentError(
                "stft requires the return_complex parameter be given for real inputs; "
                "return_complex=True gives complex numbers."
            )
        return_complex = True
    if onesided and complex_:
        raise ArgumentError("Cannot have onesided output if window or input is complex.")
    if align_to_window:
        pieces = _centred(unfold(x, -1, width, hop) * seen, n)
    else:
        pieces = unfold(x, -1, n, hop)
        if window is not None or width != n:
            pieces = pieces * _centred(seen, n)
    transform = rfft if not complex_ and onesided is not False else fft
    y = transpose(transform(pieces, norm="ortho" if normalized else None), -1, -2)
    return y if return_complex else stack((y.real, y.imag), -1)


@public(
    methods=("istft",),
    samples=lambda make: [
        sample(make.complex(3, 4), 4),
        sample(make.complex(2, 3, 4), 4, 2, 4, make.real(4, low=0.5), normalized=True),
        sample(make.complex(2, 4, 3), 4, 3, center=False, onesided=False),
        sample(make.complex(3, 4), 4, 2, 3, window=make.real(3, low=1.0), length=5),
        sample(make.complex(4, 4), 4, 1, window=make.complex(4), return_complex=True),
    ],
    errors=lambda make: [
        bad(RuntimeError, "requires a complex-valued input", make.real(3, 4), 4),
        bad(RuntimeError, "onesided output", make.complex(3, 4), 4, return_complex=True),
        bad(RuntimeError, "match n_fft when", make.complex(3, 4), 4, onesided=False),
        bad(RuntimeError, "match n_fft / 2 .* got 4", make.complex(4, 4), 4, onesided=True),
        bad(RuntimeError, "0 < hop_length <= win_length", make.complex(3, 4), 4, 5),
        bad(RuntimeError, "0 < win_length <= n_fft", make.complex(3, 4), 4, 2, 5),
        bad(RuntimeError, "Invalid window shape", make.complex(3, 4), 4, 2, 3, make.real(4)),
        bad(RuntimeError, "input tensor cannot be empty", make.complex(3, 0), 4),
        bad(RuntimeError, "2 or 3 dimensions", make.complex(2, 2, 3, 4), 4),
        bad(RuntimeError, "Complex windows", make.complex(3, 4), 4, window=make.complex(4)),
        bad(RuntimeError, "window overlap add min", make.complex(3, 4), 4, window=np.zeros(4)),
    ],
    waits=True,
    departs={"node": "nothing is made two-dimensional first"},
)
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """Inverse of `stft`: the signal whose short-time transform is nearest to `input`.

    The inverse transforms of the pieces, times the window, are added up where they overlap, and
    divided by the sum of the squared windows there.

    Args:
        input: `(frequencies, pieces)` or `(batch, frequencies, pieces)`, complex.
        n_fft: the length of a transform.
        hop_length: the distance between the starts of two pieces; n_fft // 4 by default.
        win_length: the length of the window, n_fft by default; zeros on both sides fill it up.
        window: `(win_length)`; ones by default.
        center: the first and last n_fft // 2 elements are padding, and are left out.
        normalized: the transform was divided by sqrt(n_fft).
        onesided: `input` has only the frequencies 0 to n_fft // 2; by default where their number
            is not n_fft.
        length: of the result; zeros fill it up.
        return_complex: the signal is complex.

    Returns:
        `(length)` or `(batch, length)`.

    Raises:
        ArgumentError: a length is out of range, arguments contradict each other, or somewhere all
            windows are 0.
        ShapeError: `input` or `window` has a wrong shape.
        DTypeError: `input` is not complex.
    """
    x = tensor_of("istft", input)
    n, hop, width = _lengths("istft", n_fft, hop_length, win_length)
    if not x._type.dtype.is_complex:
        raise DTypeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            f"return_complex=True, but got {x._type.dtype.name}."
        )
    if len(x._shape) not in (2, 3):
        raise ShapeError(
            f"istft: expected a tensor with 2 or 3 dimensions, but got {len(x._shape)}."
        )
    if not x.numel():
        raise ShapeError("istft: input tensor cannot be empty.")
    frequencies, count = x._shape[-2:]
    half = frequencies != n if onesided is None else onesided
    if half and frequencies != n // 2 + 1:
        raise ShapeError(
            "istft: expected the frequency dimension of the input tensor to match n_fft / 2 + 1 "
            f"when onesided=True, but got {frequencies}."
        )
    if not half and frequencies != n:
        raise ShapeError(
            "istft: expected the frequency dimension of the input tensor to match n_fft when "
            f"onesided=False, but got {frequencies}."
        )
    if not 0 < hop <= width:
        raise ArgumentError(
            f"istft: expected 0 < hop_length <= win_length, but got {hop} and {width}."
        )
    if not 0 < width <= n:
        raise ArgumentError(f"istft: expected 0 < win_length <= n_fft, but got {width} and {n}.")
    seen = _centred(_window_of("istft", window, width, x), n)
    if return_complex and half:
        raise ArgumentError("Cannot have onesided output if window or input is complex.")
    if seen._type.dtype.is_complex and not return_complex:
        raise ArgumentError("Complex windows are incompatible with return_complex=False.")
    norm = "ortho" if normalized else None
    spectra = transpose(x, -1, -2)
    if return_complex:
        pieces = ifft(spectra, norm=norm)
    else:
        pieces = irfft(spectra[..., : n // 2 + 1], n, norm=norm)
    whole = n + hop * (count - 1)
    start = n // 2 if center else 0
    end = whole - start if length is None else min(whole, start + length)
    y = _added(pieces * seen, whole, hop)[..., start:end]
    squares = recorded.broadcast_to(seen * seen, (count, n))
    weight = _added(squares, whole, hop)[..., start:end]
    lowest = bottom(weight.detach()._array)
    least = float(abs(lowest).min()) if lowest.size else math.inf
    if not least > 1e-11:
        raise ArgumentError(f"istft: window overlap add min: {least}, which must not be 0.")
    y = y / weight
    if length is not None and y._shape[-1] < length:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded "
            "with zeros in the tail. Please check your center and hop_length settings.",
            UserWarning,
            stacklevel=2,
        )
        y = pad(y, (0, length - y._shape[-1]))
    return y
