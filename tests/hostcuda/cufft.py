"""Stand-ins for the plans of `cupy.cuda.cufft`, through which all of `cupy.fft` reaches cuFFT.

They transform host memory by NumPy, in the layout that the plan was made for, and do not scale.
"""

import ctypes
import math

import cupy
import numpy as np
from cupy.cuda import cufft

_IN_AND_OUT = {
    cufft.CUFFT_C2C: "FF",
    cufft.CUFFT_R2C: "fF",
    cufft.CUFFT_C2R: "Ff",
    cufft.CUFFT_Z2Z: "DD",
    cufft.CUFFT_D2Z: "dD",
    cufft.CUFFT_Z2D: "Dd",
}


class _Plan:
    """A batch of transforms of one size.

    Args:
        shape: of the real, or longer, side of a transform.
        layouts: for input and output the lengths in memory, and the strides of elements and of
            transforms.
        fft_type: the types of both sides.
        batch: the number of transforms.
    """

    gpus = None

    def __init__(self, shape, layouts, fft_type, batch):
        self.fft_type, self.batch = fft_type, batch
        self.work_area = cupy.cuda.memory.alloc(0)
        self._shape, self._layouts = tuple(shape), layouts

    def fft(self, a, out, direction):
        """Transform the array `a` into the array `out`."""
        (x, y), axes = self._sides(a, out), tuple(range(1, len(self._shape) + 1))
        if x.dtype.kind == "f":
            y[...] = np.fft.rfftn(x, axes=axes)
        elif y.dtype.kind == "f":
            y[...] = np.fft.irfftn(x, self._shape, axes, norm="forward")
        elif direction == cufft.CUFFT_FORWARD:
            y[...] = np.fft.fftn(x, axes=axes)
        else:
            y[...] = np.fft.ifftn(x, axes=axes, norm="forward")

    def get_output_array(self, a, order="C"):
        """Return an array to transform `a` into."""
        shape = list(a.shape)
        if self.fft_type not in (cufft.CUFFT_C2C, cufft.CUFFT_Z2Z):
            shape[self.last_axis] = self.last_size
        return cupy.empty(shape, _IN_AND_OUT[self.fft_type][1], order=order)

    def _sides(self, a, out):
        for array, char, (embed, stride, distance) in zip(
            (a, out), _IN_AND_OUT[self.fft_type], self._layouts, strict=True
        ):
            dtype = np.dtype(char)
            assert array.dtype == dtype
            strides = [math.prod(embed[d + 1 :]) * stride for d in range(len(embed))]
            shape = [*self._shape[:-1], min(self._shape[-1], embed[-1])]
            memory = (ctypes.c_char * array.nbytes).from_address(array.data.ptr)
            yield np.ndarray(
                (self.batch, *shape),
                dtype,
                memory,
                strides=[n * dtype.itemsize for n in (distance, *strides)],
            )


class Plan1d(_Plan):
    """Transforms of one dimension, one behind the other."""

    def __init__(self, nx, fft_type, batch, *, devices=None, out=None):
        half = nx // 2 + 1
        lengths = [nx if char in "fd" else half for char in _IN_AND_OUT[fft_type]]
        if fft_type in (cufft.CUFFT_C2C, cufft.CUFFT_Z2Z):
            lengths = [nx, nx]
        super().__init__((nx,), [((n,), 1, n) for n in lengths], fft_type, batch)
        self.nx, self.last_axis, self.last_size = nx, -1, lengths[1]


class PlanNd(_Plan):
    """Transforms of up to three dimensions; the arguments are those of `cufftPlanMany`."""

    def __init__(
        self,
        shape,
        inembed,
        istride,
        idist,
        onembed,
        ostride,
        odist,
        fft_type,
        batch,
        order,
        last_axis,
        last_size,
    ):
        layouts = [(inembed, istride, idist), (onembed, ostride, odist)]
        super().__init__(shape, layouts, fft_type, batch)
        self.shape, self.order = tuple(shape), order
        self.last_axis, self.last_size = last_axis, last_size
