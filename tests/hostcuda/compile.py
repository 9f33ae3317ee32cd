"""Compile CUDA source with g++, through include/hostcuda.hpp, to a shared library."""

import functools
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
INCLUDE = HERE / "include"
CACHE = Path(os.environ.get("HOSTCUDA_CACHE", "~/.cache/hostcuda")).expanduser()
CXX = os.environ.get("HOSTCUDA_CXX", "g++")
ASAN = os.environ.get("HOSTCUDA_ASAN") == "1"
FLAGS = (
    *("-std=c++17", "-fPIC", "-w", "-fno-strict-aliasing", "-ffp-contract=off"),
    *os.environ.get("HOSTCUDA_FLAGS", "-O1").split(),
    # No code for what a kernel does not call, and no search of C++'s library: half of the time.
    *(("-fsanitize=address", "-g") if ASAN else ("-fwhole-program", "-nodefaultlibs")),
)

_KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(")
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\(\d+\)\s+)?([^;\[]+?)\s+(\w+)\s*\[\s*\]\s*;"
)
_SHARED = re.compile(r"(?<!extern )(__shared__\s+[^;{}()=]*?(\w+)\s*(?:\[[^\]]*\]\s*)*;)")
_SYNC = re.compile(r"__sync(?:threads|warp)|__shfl_|__(?:ballot|any|all)_sync")


class HostCompileError(Exception):
    """The compiler refused a source; the message is the compiler's."""


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HostCompileError(" ".join(map(str, command)) + "\n" + done.stderr[:8000])


def _cached(name, key, make):
    """Return CACHE/<hash of key>/<name>, which make(path) builds if it is not there."""
    folder = CACHE / hashlib.sha256("\0".join(map(str, key)).encode()).hexdigest()[:24]
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # two processes may build at once
            make(Path(scratch) / name)
            os.replace(Path(scratch) / name, path)
    return path


@functools.cache
def _shim():
    return "\0".join(path.read_text() for path in sorted(INCLUDE.rglob("*.*h*")) if path.is_file())


def host_source(source, name_expressions=()):
    """Return the source with a launch entry for each kernel, and {name expression: entry name}."""
    source = _DYNAMIC.sub(r"\1 *\2 = reinterpret_cast<\1 *>(hc_dynamic_shared);", source)
    source = _SHARED.sub(r"\1 hc_poison((void *)&\2, sizeof \2);", source)
    mapping = {expression: f"t{k}" for k, expression in enumerate(name_expressions)}
    kernels = mapping or {name: name for name in _KERNEL.findall(source)}
    entries = [f"HC_ENTRY({symbol}, {expression})" for expression, symbol in kernels.items()]
    return source + "\n" + "\n".join(entries) + "\n", mapping


def build(source, include_dirs=(), name_expressions=()):
    """Compile `source`; return the library's path and {name expression: entry name}."""
    code, mapping = host_source(source, name_expressions)
    flags = list(FLAGS)
    if _SYNC.search(source):
        flags.append("-DHC_SYNC")
        if "__global__ void cupy_" in source:
            flags.append("-DHC_LENIENT")
    header = "hostcuda_cupy.hpp" if "#include <cupy/" in source else "hostcuda.hpp"
    include = [f"-I{folder}" for folder in (INCLUDE, *include_dirs)]
    # Not the path of INCLUDE, whose files are in the key: all checkouts share what is compiled.
    key = [_shim(), CXX, *flags, *include_dirs]

    def make_precompiled(path):
        _run([CXX, *flags, *include, "-x", "c++-header", INCLUDE / header, "-o", path])

    def make(path):
        precompiled = _cached(header + ".gch", key, make_precompiled)
        unit = path.with_name("kernel.cpp")
        unit.write_text(f'#include "{header}"\n' + code)
        _run([CXX, *flags, f"-I{precompiled.parent}", *include, "-shared", unit, "-o", path])

    return _cached("kernel.so", [*key, code], make), mapping


def build_c(text, soname, rest=""):
    """Compile C texts, one file each, to a shared library with this soname; return its path."""

    def make(path):
        units = [path.with_name("unit.c"), path.with_name("rest.c")]
        for unit, content in zip(units, (text, rest), strict=True):
            unit.write_text(content)
        # Who is linked with a library asks for the version of its symbols, which is its name.
        options = ["-shared", "-fPIC", "-O2", f"-Wl,-soname,{soname}", "-Wl,--default-symver"]
        _run(["gcc", *options, *units, "-o", path, "-ldl", "-lm"])

    return _cached(soname, [text, rest, soname, "symver"], make)
