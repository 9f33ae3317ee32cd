"""A module imports only from its own or a lower layer, and CuPy is imported in two places."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gradcore"
KERNELS = ROOT / "kernels" / "gradcore_kernels"

LAYERS = {
    "errors": 0,
    "mode": 0,
    "namespace": 0,
    "dtypes": 0,
    "samples": 0,
    "printing": 0,
    "erf": 0,
    "raw": 0,
    "methods": 0,
    "symbols": 0,
    "fusible": 0,
    "batching": 0,
    "device": 1,
    "random": 2,
    "graph": 2,
    "storage": 2,
    "versions": 2,
    "inplace": 4,
    "saved": 5,
    "uniform": 2,
    "hooks": 1,
    "generated": 3,
    "tensor": 3,
    "op": 3,
    "batches": 3,
    "anomaly": 3,
    "levels": 0,
    "engine": 4,
    "forward": 4,
    "packing": 4,
    "ops": 5,
}
TOP = 6


def layer(module):
    """Of a module's name without the leading `gradcore.`; "" is the package itself."""
    return LAYERS.get(module.split(".")[0], TOP)


def name_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


class Imports(ast.NodeVisitor):
    """What a module imports when it runs, at its top or inside a function; as full names."""

    def __init__(self, package):
        self.package = package
        self.found = []

    def visit_If(self, node):
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.orelse:
                self.visit(child)
        else:
            self.generic_visit(node)

    def visit_Import(self, node):
        self.found += [(alias.name, node.lineno) for alias in node.names]

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            outer = self.package.split(".")[: len(self.package.split(".")) - node.level + 1]
            base = ".".join([*outer, *([node.module] if node.module else [])])
        self.found += [(f"{base}.{alias.name}", node.lineno) for alias in node.names]

    def visit_Call(self, node):
        # importlib.import_module("cupy") and __import__("cupy")
        name = ast.unparse(node.func).split(".")[-1]
        if name in ("import_module", "__import__") and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant):
                self.found.append((argument.value, node.lineno))
        self.generic_visit(node)


def imports(path, package):
    visitor = Imports(package)
    visitor.visit(ast.parse(path.read_text(), str(path)))
    return visitor.found


def imported_modules(module):
    """gradcore's modules that one of them imports, with line numbers."""
    path = MODULES[module]
    full = f"gradcore.{module}" if module else "gradcore"
    package = full if path.name == "__init__.py" else full.rpartition(".")[0]
    for name, line in imports(path, package):
        if name.split(".")[0] != "gradcore":
            continue
        inner = name.split(".")[1:]
        while inner and ".".join(inner) not in MODULES:
            inner.pop()
        yield ".".join(inner), line


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_its_own_layer_or_below(module):
    for other, line in imported_modules(module):
        assert layer(other) <= layer(module), (
            f"gradcore/{module} (layer {layer(module)}), line {line}, imports "
            f"{other or 'gradcore'} (layer {layer(other)})"
        )


def test_modules_form_no_cycle():
    # A package's own __init__ gathers its modules; they never import it back.
    graph = {module: {other for other, _ in imported_modules(module)} for module in MODULES}
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for other in sorted(graph[module]):
            visit(other)
        path.pop()
        done.add(module)

    for module in MODULES:
        visit(module)


def test_every_layer_named_here_exists():
    tops = {module.split(".")[0] for module in MODULES}
    assert set(LAYERS) <= tops


@pytest.mark.parametrize("module", MODULES)
def test_only_device_imports_cupy(module):
    if module == "device":
        return
    for name, line in imports(MODULES[module], "gradcore"):
        top = name.split(".")[0]
        assert top not in ("cupy", "cupyx", "cupy_backends", "gradcore_kernels"), (
            f"gradcore/{module}, line {line}, imports {name}"
        )


def test_importing_gradcore_imports_no_optional_package():
    for module in ("", "device", "tensor", "op", "engine"):
        tree = ast.parse(MODULES[module].read_text())
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                text = ast.unparse(node)
                assert not any(f" {name}" in text for name in ("cupy", "torch", "scipy", "jax"))


@pytest.mark.parametrize("path", sorted(KERNELS.rglob("*.py")), ids=lambda path: path.stem)
def test_kernels_never_import_gradcore(path):
    for name, line in imports(path, "gradcore_kernels"):
        assert name.split(".")[0] != "gradcore", f"{path.name}, line {line}, imports {name}"
