"""A plugin of pytest, `-p tests.kernels.without_pool`: each array is an allocation of its own.

compute-sanitizer knows the ends of allocations. In CuPy's memory pool an access beyond an array
hits the next one.
"""

import cupy

cupy.cuda.set_allocator(None)
