"""The layouts that the kernels are tried on: a shape and strides, and the axes to reduce."""

import numpy as np

# name: (shape of the base array, view of it, axes to reduce)
LAYOUTS = {
    "0-d": ((), lambda xp, a: a, [()]),
    "one": ((1,), lambda xp, a: a, [(0,)]),
    "odd": ((3, 7), lambda xp, a: a, [(0,), (1,), (0, 1)]),
    "long rows": ((2, 300), lambda xp, a: a, [(1,)]),
    "no rows": ((0, 3), lambda xp, a: a, [(0,), (1,), (0, 1)]),
    "transposed": ((5, 7), lambda xp, a: a.T, [(0,), (1,), (0, 1)]),
    "broadcast": ((5,), lambda xp, a: xp.broadcast_to(a, (4, 5)), [(0,), (0, 1)]),
    "every other": ((3, 9), lambda xp, a: a[:, ::-2], [(1,), (0, 1)]),
    "permuted": ((3, 4, 5), lambda xp, a: a.transpose(2, 0, 1), [(1,), (0, 2)]),
    "3-d": ((3, 4, 5), lambda xp, a: a, [(1,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]),
}
CASES = [(name, dim) for name, (_, _, dims) in LAYOUTS.items() for dim in dims]


def random(shape, dtype, seed):
    """Return numbers of size 0.5 to 2 and any sign (or phase), where every norm is smooth."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.5, 2, shape)
    if np.dtype(dtype).kind == "c":
        return (size * np.exp(1j * rng.uniform(0, 2 * np.pi, shape))).astype(dtype)
    return (size * rng.choice([-1, 1], shape)).astype(dtype)


def pair(cp, name, dtype, seed=0):
    """Return a layout as a device array, and the same numbers as a wide NumPy array."""
    shape, view, _ = LAYOUTS[name]
    base = random(shape, dtype, seed)
    wide = np.complex128 if np.dtype(dtype).kind == "c" else np.float64
    return view(cp, cp.asarray(base)), view(np, base.astype(wide))
