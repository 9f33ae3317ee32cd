"""Redirect CuPy to this machine's CPU: `install()` before `import cupy`.

CuPy's Cython modules reach the CUDA runtime through the capsules in
`cupy_backends.cuda.api.runtime.__pyx_capi__`, the driver and cuBLAS/cuRAND/cuSOLVER by dlopen, and
NVRTC through one Python function. `install` replaces these four, and the sorts of Thrust, which are
compiled into CuPy: device memory is fenced host memory and a "cubin" is a library that g++ made.
Everything else (ndarray, ufuncs, casting, broadcasting,
kernel code generation, errors on mixing with NumPy) is CuPy itself.
"""

import collections
import ctypes
import functools
import importlib.util
import itertools
import os
import re
import sys
import threading
import time
from pathlib import Path

from hostcuda import compile as hc
from hostcuda import thrust

# What was done since the start: h2d, d2h, d2d and h2h (copies), sync, malloc (of device memory),
# pinned (of host memory), compile. For kernels: launches() and launched().
counters = collections.Counter()
# Each is called with (source, options, name expressions) as CuPy asks for a compilation.
on_compile = []

N_DEVICES = int(os.environ.get("HOSTCUDA_DEVICES", "2"))

_keep = []  # what CuPy holds pointers to
_current = threading.local()  # as in CUDA, each thread has its own current device
_pinned = {}  # the size of each block
_recorded = {}  # when an event was
_libraries = {}
_handles = itertools.count(0x1000)
_visible = [True]

_C_TYPES = {
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "size_t": ctypes.c_size_t,
    "intptr_t": ctypes.c_ssize_t,
    "float": ctypes.c_float,
    "uintmax_t": ctypes.c_uint64,
    "PyObject *": ctypes.py_object,
}
_COPY_KINDS = ("h2h", "h2d", "d2h", "d2d")
_DEVICE_ATTRIBUTES = {75: 9, 76: 0, 10: 32, 1: 1024, 16: 4, 8: 49152, 97: 232448, 39: 2048}
_PROPERTIES = {
    "name": b"hostcuda",
    "warpSize": 32,
    "multiProcessorCount": 4,
    "maxThreadsPerBlock": 1024,
    "sharedMemPerBlock": 49152,
    "totalGlobalMem": 1 << 34,
    "major": 9,
    "minor": 0,
}


def launches():
    """Return the number of kernels launched since the start."""
    return _libraries["cuda"].hc_launches()


def launched(since=0):
    """Return the names of the kernels launched, in order, less the first `since`.

    What is not made of CuPy's kernels counts as one: "thrust::sort", and "cufft" per transform.
    """
    name = _libraries["cuda"].hc_launched
    return [name(i).decode() for i in range(since, launches())]


def hide():
    """Make CuPy find no device, as on a machine without a GPU."""
    _set_visible(False)


def show():
    """Undo `hide`."""
    _set_visible(True)


def _set_visible(visible):
    _visible[0] = visible
    sys.modules["cupy"].cuda._available = None  # what cupy.cuda.is_available() remembers


def _device_count():
    if not _visible[0]:
        runtime = sys.modules["cupy_backends.cuda.api.runtime"]
        raise runtime.CUDARuntimeError(100)  # cudaErrorNoDevice
    return N_DEVICES


def _malloc(size, *_):
    counters["malloc"] += 1
    return _libraries["cuda"].hc_malloc(size)


def _free(pointer, *_):
    _libraries["cuda"].hc_free(pointer)


def _pin(size, flags):
    counters["pinned"] += 1
    pointer = _libraries["cuda"].hc_malloc(size)
    _pinned[pointer] = size
    return pointer


def _unpin(pointer):
    del _pinned[pointer]
    _libraries["cuda"].hc_free(pointer)


def _memory_type(pointer):
    """Return CUDA's number: 0 for memory it does not know, 1 for pinned, 2 for the device's."""
    if any(start <= pointer < start + size for start, size in _pinned.items()):
        return 1
    return 2 if _libraries["cuda"].hc_owns(pointer) else 0


def _memcpy(target, source, size, kind, *_):
    if kind == 4:  # cudaMemcpyDefault: the pointers say it
        kind = (_memory_type(target) == 2) + 2 * (_memory_type(source) == 2)
    counters[_COPY_KINDS[kind]] += 1
    ctypes.memmove(target, source, size)


def _memcpy_peer(target, target_device, source, source_device, size, *_):
    _memcpy(target, source, size, 3)


def _memset(pointer, value, size, *_):
    ctypes.memset(pointer, value, size)


def _sync(*_):
    counters["sync"] += 1


def _new_handle(*_):
    return next(_handles)


def _record(event, stream=0):
    _recorded[event] = time.perf_counter()


def _elapsed(start, end):
    return 1e3 * (_recorded[end] - _recorded[start])


def _mem_info():
    total = _PROPERTIES["totalGlobalMem"]
    return total - _libraries["cuda"].hc_used() + sum(_pinned.values()), total


def _nothing(*_):
    return None


def _zero(*_):
    return 0


# The runtime's functions, by CuPy's names.
_API = {
    "getDevice": lambda: getattr(_current, "device", 0),
    "setDevice": lambda device: setattr(_current, "device", device),
    "deviceGetAttribute": lambda attribute, device: _DEVICE_ATTRIBUTES.get(attribute, 0),
    "getDeviceProperties": lambda device: dict(_PROPERTIES),
    "deviceGetPCIBusId": lambda device: f"0000:{device:02x}:00.0",
    "memGetInfo": _mem_info,
    "hostAlloc": _pin,
    "freeHost": _unpin,
    "eventRecord": _record,
    "eventElapsedTime": _elapsed,
    "_getCUDAMajorVersion": lambda: 12,
    **dict.fromkeys(("driverGetVersion", "runtimeGetVersion"), lambda: 12090),
    **dict.fromkeys(("malloc", "mallocAsync", "mallocManaged"), _malloc),
    **dict.fromkeys(("free", "freeAsync"), _free),
    **dict.fromkeys(("memcpy", "memcpyAsync"), _memcpy),
    **dict.fromkeys(("memcpyPeer", "memcpyPeerAsync"), _memcpy_peer),
    **dict.fromkeys(("memset", "memsetAsync"), _memset),
    **dict.fromkeys(("deviceSynchronize", "streamSynchronize", "eventSynchronize"), _sync),
    "pointerGetMemoryType": _memory_type,
    **dict.fromkeys(
        (
            "streamCreate",
            "streamCreateWithFlags",
            "streamCreateWithPriority",
            "eventCreate",
            "eventCreateWithFlags",
        ),
        _new_handle,
    ),
    **dict.fromkeys(
        (
            "deviceCanAccessPeer",
            "eventQuery",
            "streamQuery",
            "streamIsCapturing",
            "streamGetFlags",
            "streamGetPriority",
        ),
        _zero,
    ),
    **dict.fromkeys(
        (
            "_ensure_context",
            "streamDestroy",
            "streamWaitEvent",
            "eventDestroy",
        ),
        _nothing,
    ),
}


def _patch_runtime(runtime):
    """Point the module's functions, those for C (capsules) and those for Python, at _API."""

    def pointer_attributes(pointer):
        return runtime.PointerAttributes(0, pointer, pointer, _memory_type(pointer))

    name_of, new = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_New
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    api = {
        **_API,
        "getDeviceCount": lambda: N_DEVICES,
        "pointerGetAttributes": pointer_attributes,
    }
    for name, function in api.items():
        if name in runtime.__pyx_capi__:
            # For example b"int (int, int __pyx_skip_dispatch)".
            signature = name_of(runtime.__pyx_capi__[name])
            result, listed = re.fullmatch(r"(.+?) ?\((.*)\)", signature.decode()).groups()
            args = [a for a in listed.split(", ") if a != "void"]
            types = [
                _C_TYPES.get(a.replace(" __pyx_skip_dispatch", ""), ctypes.c_void_p) for a in args
            ]
            given = sum("__pyx" not in a for a in args)
            prototype = ctypes.PYFUNCTYPE(_C_TYPES.get(result, ctypes.py_object), *types)
            callback = prototype(lambda *a, f=function, n=given: f(*a[:n]))
            _keep.extend([callback, signature])
            address = ctypes.cast(callback, ctypes.c_void_p)
            runtime.__pyx_capi__[name] = new(address, signature, None)
        setattr(runtime, name, function)
    # An exception must not pass through C code that does not expect one: for Python alone.
    runtime.getDeviceCount = _device_count


def _preload(library, soname=None, user=None):
    """Load fake<library>.c under the soname CuPy asks for: a later dlopen finds this copy.

    With `user`, a module of CuPy's, every other symbol that it needs says "not supported".
    """
    source = hc.HERE / f"fake{library}.c"
    text, rest = source.read_text() if source.exists() else "", ""
    if user:
        packages = Path(importlib.util.find_spec("cupy").origin).parent.parent
        (module,) = packages.glob(f"{user}.*.so")
        elf = module.read_bytes()
        soname = re.search(rb"lib%s\.so\.\d+" % library.encode(), elf)[0].decode()
        symbols = re.findall(rb"\0(%s[A-Z]\w*)(?=\0)" % library.encode(), elf)
        for symbol in sorted({s.decode() for s in symbols}):
            rest += f"__attribute__((weak)) int {symbol}(void) {{ return 15; }}\n"
    _libraries[library] = ctypes.CDLL(str(hc.build_c(text, soname, rest)), mode=ctypes.RTLD_GLOBAL)
    return soname


def _lapack(name):
    """Return the address of a routine of LAPACK or BLAS, as SciPy carries them.

    Their integers have 32 bits, which those of NumPy's copy have not.
    """
    from scipy.linalg import cython_blas, cython_lapack

    name = name.decode()
    capsules = cython_lapack.__pyx_capi__
    capsule = capsules[name] if name in capsules else cython_blas.__pyx_capi__[name]
    name_of, address_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of.restype = ctypes.c_void_p
    address_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return address_of(capsule, name_of(capsule))


def _noted(function, name):
    """Return a function that is noted as a launch of that name."""

    @functools.wraps(function)
    def noted(*args):
        _libraries["cuda"].hc_note(name)
        function(*args)

    return noted


def _replace_plans():
    """Let cupy.fft find cufft.py's plans; a transform is noted as a launch."""
    # As an attribute of cupy.cuda it would look for the library.
    theirs = importlib.import_module("cupy.cuda.cufft")
    from hostcuda import cufft  # it imports that too

    for name in ("Plan1d", "PlanNd"):
        plan = getattr(cufft, name)
        plan.fft = _noted(plan.fft, b"cufft")
        setattr(theirs, name, plan)


def install(pool=False, dispatch=True):
    """Make CuPy use this machine's CPU, and return the cupy module.

    Args:
        pool: Whether arrays come from CuPy's memory pool. If not, each has its own fences, and a
            kernel's write out of bounds raises at the launch that made it.
        dispatch: Whether NumPy functions accept device arrays, as in CuPy, where np.sum(x) is
            cupy.sum(x). If not they raise, which finds code that names the wrong module. (Ufuncs
            are always accepted: x * 2.0 goes through numpy.multiply.)
    """
    if "cupy" in sys.modules:
        raise RuntimeError("hostcuda.install() must run before cupy is imported")
    _preload("cuda", "libcuda.so.1")
    for library in ("cusolver", "cusparse", "curand"):
        _preload(library, user=f"cupy_backends/cuda/libs/{library}")
    _preload("nvJitLink", "libnvJitLink.so.12")  # cuSOLVER depends on it
    routine = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(_lapack)
    _keep.append(routine)
    address = ctypes.cast(routine, ctypes.c_void_p).value
    ctypes.c_void_p.in_dll(_libraries["cusolver"], "hc_lapack").value = address
    cublas = _preload("cublas", user="cupy_backends/cuda/libs/cublas")
    _preload("cublasLt", cublas.replace("cublas", "cublasLt"))
    _preload("cufft", user="cupy/cuda/cufft")
    cuda = _libraries["cuda"]
    cuda.hc_malloc.restype, cuda.hc_malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    cuda.hc_free.argtypes = cuda.hc_owns.argtypes = [ctypes.c_void_p]
    cuda.hc_launches.restype = cuda.hc_used.restype = ctypes.c_long
    cuda.hc_launched.restype, cuda.hc_launched.argtypes = ctypes.c_char_p, [ctypes.c_long]
    cuda.hc_note.argtypes = [ctypes.c_char_p]
    # Kernels are linked without libraries: what they need of C++'s they find in the process.
    ctypes.CDLL("libstdc++.so.6", mode=ctypes.RTLD_GLOBAL)
    cuda.hc_fences(0 if hc.ASAN else 1)
    from cupy_backends.cuda.api import runtime

    _patch_runtime(runtime)
    import cupy
    from cupy._core import _accelerator, core
    from cupy.cuda import compiler, function

    _accelerator.set_routine_accelerators([])  # device-wide CUB is compiled into CuPy
    for name in ("sort", "argsort", "lexsort"):
        setattr(cupy.cuda.thrust, name, _noted(getattr(thrust, name), b"thrust::sort"))
    _replace_plans()
    if not pool:
        cupy.cuda.set_allocator(None)
    headers = [core._get_header_dir_path(), *(o[2:] for o in core._get_cccl_include_options())]

    def compile_module(source, options=(), *_, name_expressions=None, **__):
        counters["compile"] += 1
        expressions = tuple(name_expressions or ())
        for callback in on_compile:
            callback(source, options, expressions)
        defines = [f"#define {o[2:].replace('=', ' ')}\n" for o in options if o.startswith("-D")]
        library, mapping = hc.build("".join(defines) + source, headers, expressions)
        module = function.Module()
        module.load(str(library).encode() + b"\0")
        if mapping:
            module._set_mapping(mapping)
        return module

    def unsupported(*_, **__):
        raise NotImplementedError(
            "hostcuda: kernels compiled into CuPy do not run here; use cupy.random.RandomState"
        )

    def refuse(self, function, *_, **__):
        raise TypeError(f"numpy.{function.__name__} was given a device array")

    if not dispatch:
        cupy.ndarray.__array_function__ = refuse
    compiler._compile_module_with_cache = compile_module
    cupy.random.default_rng = cupy.random.Generator = unsupported
    return cupy
