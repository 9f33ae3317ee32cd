"""Each call that PyTorch documents binds here: the parameters, their order, names and defaults.

What it documents is read from the stubs that it installs, from the signatures of its functions
written in Python, and from the schemas of those that no stub lists.
"""

import ast
import inspect
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import gradcore as gd
import oracle
from gradcore.op import OPS
from gradcore_bench import records
from gradcore_bench.coverage import operations

pytestmark = pytest.mark.parity

NOT_HERE = frozenset({"out", "layout", "pin_memory"})
"""Parameters that no function of gradcore has."""

NUMPYS = {"dim": "axis", "keepdim": "keepdims"}
"""NumPy's names that PyTorch's parser takes in the place of its own.

For `input` and `other` it takes `x`, `a`, `x1` and `x2`, too, which would slow each call here.
"""

NAMED_DIMENSIONS = ("Dimname", "str | EllipsisType | None", "list[str | None]")

DOCSTRING_IS_RIGHT = (
    *("tensor", "Tensor.new_tensor", "Tensor.requires_grad_"),
    *(f"Tensor.{name}" for name in ("bool", "byte", "cdouble", "cfloat", "char", "double")),
    *(f"Tensor.{name}" for name in ("float", "half", "int", "long", "short")),
)
SCHEMA_IS_RIGHT = ("linspace", "logspace", "Tensor.arctanh_", "Tensor.atanh_")
"""Where PyTorch does not take what the stub says, but what these say."""

BY_PLACE_ALONE = {"Tensor.to": {"other"}}
"""Parameters of which PyTorch does not take the name in the stub."""


def resolved(library, path):
    """What stands in a library at a path, or None."""
    for name in path.split("."):
        library = getattr(library, name, None)
    return library


def public_paths():
    """The operations, all other functions beside them, and Tensor's methods."""
    found = set(operations())
    for namespace in ("", "fft.", "linalg.", "nn.functional.", "special."):
        module = resolved(gd, namespace[:-1]) if namespace else gd
        found |= {
            namespace + name
            for name in getattr(module, "__all__", vars(module))
            if inspect.isfunction(getattr(module, name)) and name[0] != "_"
        }
    found |= {f"Tensor.{name}" for name in dir(gd.Tensor) if name[0] != "_"}
    return sorted(path for path in found if callable(resolved(gd, path)))


def record_of(path):
    """The record of an operation, of one of its methods or of a form that writes."""
    if path in OPS:
        return OPS[path]
    namespace, _, name = path.rpartition(".")
    if namespace == "Tensor":
        for op in OPS.values():
            if name in op.methods or (op.in_place and name.removesuffix("_") in op.methods):
                return op
    return None


# PyTorch's overloads -----------------------------------------------------------------------------

Parameter = inspect.Parameter


def _default(node):
    try:
        value = ast.literal_eval(node)
    except ValueError:
        value = ast.unparse(node).removeprefix("torch.")
    return Parameter.empty if value is Ellipsis else value


def _from_definition(node):
    """The signature of a definition in a stub."""
    args = node.args
    positional = [*args.posonlyargs, *args.args]
    lacking = [None] * (len(positional) - len(args.defaults))
    entries = [
        (Parameter.POSITIONAL_OR_KEYWORD, *entry)
        for entry in zip(positional, [*lacking, *args.defaults], strict=True)
    ]
    if args.vararg is not None:
        entries.append((Parameter.VAR_POSITIONAL, args.vararg, None))
    entries += [
        (Parameter.KEYWORD_ONLY, *entry)
        for entry in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    return inspect.Signature(
        [
            Parameter(
                entry.arg,
                kind,
                default=Parameter.empty if default is None else _default(default),
                annotation="" if entry.annotation is None else ast.unparse(entry.annotation),
            )
            for kind, entry, default in entries
        ]
    )


@cache
def stub(torch, name, of_class=None):
    """The overloads in a stub, or of a class in it, by name."""
    body = ast.parse((Path(torch.__file__).parent / "_C" / f"{name}.pyi").read_text()).body
    if of_class is not None:
        (body,) = (n.body for n in body if isinstance(n, ast.ClassDef) and n.name == of_class)
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(_from_definition(node))
    return found


def _from_docstring(function):
    """The signature in the first line of a docstring."""
    line = function.__doc__.strip().splitlines()[0]
    (node,) = ast.parse(f"def {line}: ...").body
    return [_from_definition(node)]


def _from_schemas(torch, name):
    found = []
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        arguments = [argument for argument in schema.arguments if not argument.is_out]
        parameters = [
            Parameter(
                "input" if argument.name == "self" else argument.name,
                Parameter.KEYWORD_ONLY if argument.kwarg_only else Parameter.POSITIONAL_OR_KEYWORD,
                default=argument.default_value if argument.has_default_value() else Parameter.empty,
                annotation=str(argument.type),
            )
            for argument in arguments
        ]
        if any(p.name == "layout" for p in parameters):  # what makes a tensor of none
            kind = Parameter.KEYWORD_ONLY
            parameters.append(Parameter("requires_grad", kind, default=False, annotation="bool"))
        found.append(inspect.Signature(parameters))
    return found


def _of_python(function):
    """The signatures of a function in Python; of several where an argument chooses one."""
    inner = inspect.getclosurevars(function).nonlocals
    if "if_true" in inner:
        return [s for name in ("if_true", "if_false") for s in _of_python(inner[name])]
    return [inspect.signature(function)]


def _documented(torch, path):
    function = resolved(torch, path)
    namespace, _, name = path.rpartition(".")
    if path in DOCSTRING_IS_RIGHT:
        return _from_docstring(function)
    if namespace == "Tensor":
        if path in SCHEMA_IS_RIGHT:
            found = _from_schemas(torch, name)
        elif inspect.isfunction(function):
            found = [inspect.signature(function)]
        else:
            found = stub(torch, "__init__", "TensorBase").get(name, [])
        return [s.replace(parameters=list(s.parameters.values())[1:]) for s in found]
    if inspect.isfunction(function):
        return _of_python(function)
    found = stub(torch, "_VariableFunctions").get(name, [])
    if found and namespace in ("", "nn.functional") and path not in SCHEMA_IS_RIGHT:
        return found
    return _from_schemas(torch, function.__name__)


def _is_kept(overload):
    """Whether dimensions have no names in it, and no scalar stands before the tensors."""
    given = overload.parameters
    named = any(name in str(p.annotation) for p in given.values() for name in NAMED_DIMENSIONS)
    deprecated = "self" in given and given["self"].annotation == "Tensor" and len(given) > 1
    return not named and not deprecated


def overloads(torch, path):
    """What PyTorch documents of a function or method, without what gradcore has nowhere."""
    return [
        s.replace(
            parameters=[
                p.replace(name="input") if p.name == "self" and p.annotation == "Tensor" else p
                for p in s.parameters.values()
                if p.name not in NOT_HERE
            ]
        )
        for s in _documented(torch, path)
        if _is_kept(s)
    ]


def here(path):
    """gradcore's own signature."""
    found = inspect.signature(resolved(gd, path))
    if path.startswith("Tensor."):
        found = found.replace(parameters=list(found.parameters.values())[1:])
    return found


# in what they differ -----------------------------------------------------------------------------


def calls(overload, without_name=()):
    """Calls that an overload allows, each value the name of its parameter."""
    given = list(overload.parameters.values())
    nameless = [
        at
        for at, p in enumerate(given)
        # PyTorch calls a number in the place of `input` `self`.
        if p.kind is p.VAR_POSITIONAL or p.name in ("self", *without_name)
    ]
    first = nameless[-1] + 1 if nameless else 0
    by_place = [p for p in given if p.kind is not p.KEYWORD_ONLY]
    by_name = [p for p in given if p.kind is p.KEYWORD_ONLY]
    required = [p for p in given if p.default is p.empty]
    for args, kwargs in (
        (by_place, by_name),
        (given[:first], given[first:]),
        ([p for p in by_place if p in required], [p for p in by_name if p in required]),
    ):
        yield [p.name for p in args], {p.name: p.name for p in kwargs}


def missing(torch, path):
    """What `path` does not take of what PyTorch documents, in words."""
    parsed = not inspect.isfunction(resolved(torch, path))
    for overload in overloads(torch, path):
        for args, kwargs in calls(overload, BY_PLACE_ALONE.get(path, ())):
            names = [{}, NUMPYS] if parsed else [{}]
            for renamed in names:
                try:
                    here(path).bind(*args, **{renamed.get(k, k): v for k, v in kwargs.items()})
                except TypeError as error:
                    yield f"{error}: of {overload}"


def of_its_own(torch, path):
    """The parameters that PyTorch has not, or not in that place, in words."""
    there = overloads(torch, path)
    names = {name for overload in there for name in overload.parameters}
    names |= {alias for name, alias in NUMPYS.items() if name in names}
    places = [
        [p.name for p in overload.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        for overload in there
    ]
    for at, p in enumerate(here(path).parameters.values()):
        if p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY):
            continue
        if p.name not in names:
            yield f"PyTorch has no parameter {p.name}"
        elif p.kind is not p.KEYWORD_ONLY and not any(p.name in o[at : at + 1] for o in places):
            yield f"{p.name} is not PyTorch's parameter {at}"


def differences(torch, path):
    found = [*missing(torch, path)]
    # What stands at the top level, too, has the parameters that it has in nn.functional.
    if path in OPS or path.startswith("Tensor."):
        found += of_its_own(torch, path)
    return found


# tests -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", public_paths())
def test_a_signature_is_pytorchs(torch, path):
    if resolved(torch, path) is None:
        return
    op = record_of(path)
    if op is not None:
        assert overloads(torch, path), "PyTorch documents nothing"
    if op is None or not op.departs_in("signature"):
        assert not differences(torch, path)


@pytest.mark.parametrize(
    "path", [path for path, op in operations().items() if op.departs_in("signature")]
)
def test_a_record_says_no_more_than_there_is(torch, path):
    assert differences(torch, path)


def bound_samples(path):
    """The arguments of the samples of an operation, by the names of the parameters."""
    signature = inspect.signature(OPS[path].call)
    several = {p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL}
    for sample in oracle.samples(path):
        args, kwargs, _ = records.ours(sample, False)
        arguments = signature.bind(*args, **kwargs).arguments
        if several.isdisjoint(arguments):
            yield arguments


def outputs(path, arguments):
    gd.manual_seed(0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return oracle.flat(OPS[path].call(**arguments))


def plain(default):
    return tuple(default) if isinstance(default, list) else default


def of_method(path, arguments):
    """The names among `arguments` that the method, or the function, has as parameters."""
    names = list(arguments)
    return names[1:] if path.startswith("Tensor.") else names


RECORDS = [path for path in operations() if path not in records.COMPOSED]


@pytest.mark.parametrize("path", RECORDS)
def test_a_default_does_what_pytorchs_does(torch, path):
    own = inspect.signature(OPS[path].call).parameters
    for overload in overloads(torch, path):
        for name, p in overload.parameters.items():
            if p.default is p.empty or name not in own:
                continue
            if plain(p.default) == plain(own[name].default):
                continue
            tried = 0
            for arguments in bound_samples(path):
                given = of_method(path, arguments)
                by_place = isinstance(arguments.get("dim"), bool)  # it is `unbiased` then
                if name in given or by_place or not {*given} <= {*overload.parameters}:
                    continue
                there = outputs(path, {**arguments, name: p.default})
                for y, expected in zip(outputs(path, arguments), there, strict=True):
                    np.testing.assert_array_equal(oracle.array(y), oracle.array(expected))
                tried += 1
            assert tried, f"{name} is {own[name].default} here, {p.default} in PyTorch"


@pytest.mark.parametrize("path", RECORDS)
def test_what_pytorch_requires_is_required(torch, path):
    if OPS[path].departs_in("signature"):
        return
    there = overloads(torch, path)
    for arguments in bound_samples(path):
        names = of_method(path, arguments)
        for at, name in enumerate(names):
            ahead, behind = names[:at], {other: other for other in names[at + 1 :]}
            if any(_takes(overload, ahead, behind) for overload in there):
                continue
            if all(_takes(overload, ahead, {name: name, **behind}) for overload in there):
                rest = {other: v for other, v in arguments.items() if other != name}
                with pytest.raises(TypeError):
                    outputs(path, rest)


def _takes(overload, args, kwargs):
    try:
        overload.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


# the oracle --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda lib, x: lib.sum(x, axis=1, keepdims=True),
        lambda lib, x: x.sum(axis=(0, 1)),
        lambda lib, x: lib.softmax(x, axis=0),
        lambda lib, x: lib.cat([x, x], axis=1),
        lambda lib, x: x.index_select(axis=1, index=lib.tensor([0, 2])),
        lambda lib, x: lib.fft.fft(x, axis=0),
        lambda lib, x: lib.linalg.vector_norm(x, axis=0, keepdims=True),
        lambda lib, x: lib.nn.functional.cosine_similarity(x, x, axis=0),
        lambda lib, x: x.cumsum_(axis=0),
        lambda lib, x: lib.tensor(x.size(axis=1)),
    ],
)
def test_pytorchs_parser_takes_numpys_names(torch, call):
    values = np.arange(6.0).reshape(2, 3)
    y, expected = call(gd, gd.tensor(values)), call(torch, torch.tensor(values))
    oracle.check_same(y, expected, 1e-12, "value")


@pytest.mark.parametrize(
    "call",
    [
        lambda lib, x: x.new_full(size=(2,), fill_value=3),
        lambda lib, x: x.new_tensor(data=[3, 4]),
        lambda lib, x: lib.nn.functional.elu_(x - 3, 0.5, 2.0, input_scale=0.25),
        lambda lib, x: lib.tensor(lib.randint_like(x, high=lib.tensor(1)).tolist()),
        lambda lib, x: lib.zeros(1, dtype=lib.result_type(tensor=x, other=lib.zeros(1))),
        lambda lib, x: lib.zeros(1, dtype=lib.result_type(scalar=1j, tensor=x)),
        lambda lib, x: lib.zeros(1, dtype=lib.result_type(scalar1=1, scalar2=2.0)),
        lambda lib, x: lib.tensor(lib.is_inference(input=x)),
        lambda lib, x: lib.empty(0, memory_format=lib.contiguous_format),
        lambda lib, x: lib.tril_indices(2, 3, requires_grad=False),
        lambda lib, x: lib.triu_indices(2, 3, requires_grad=False),
        lambda lib, x: lib.rrelu(x - 3, 0.25, 0.25, True, None),
        lambda lib, x: lib.rrelu_(x - 3, 0.25, 0.25, True, None),
        lambda lib, x: lib.tensor(x.t().stride(axis=0)),
        lambda lib, x: lib.tensor(x.t().dim_order(ambiguity_check=True)),
        lambda lib, x: lib.tensor(x[:1].t().dim_order(ambiguity_check=[lib.contiguous_format])),
        lambda lib, x: x.clone().map_(other=x, callable=lambda a, b: a - b),
        lambda lib, x: x.clone().copy_(other=x[0]),
        # PyTorch takes such a tensor on the CPU alone, and so no record has a sample of it.
        lambda lib, x: x.tensor_split(tensor_indices_or_sections=lib.tensor([1, 2]), dim=1)[2],
    ],
)
def test_arguments_without_a_sample(torch, call):
    values = np.arange(6.0).reshape(2, 3)
    y, expected = call(gd, gd.tensor(values)), call(torch, torch.tensor(values))
    oracle.check_same(y, expected, 1e-12, "value")


@pytest.mark.parametrize(
    ("error", "check"), [(RuntimeError, True), (RuntimeError, []), (TypeError, "no")]
)
def test_an_ambiguous_order_of_dimensions_is_said(torch, error, check):
    for lib in (gd, torch):
        with pytest.raises(error):
            lib.zeros(1, 3).dim_order(ambiguity_check=check)


@pytest.mark.parametrize(
    "call",
    [
        lambda lib, x: lib.tensor([1.0], lib.float64),
        lambda lib, x: x.new_tensor([1.0], lib.float64),
        lambda lib, x: x.requires_grad_(mode=False),
        lambda lib, x: lib.linspace(0, 1),
        lambda lib, x: lib.logspace(0, 1),
        lambda lib, x: x.atanh_(x),
        lambda lib, x: x.arctanh_(x),
    ],
)
def test_pytorch_does_not_take_what_some_stubs_say(torch, call):
    for lib in (gd, torch):
        with pytest.raises(TypeError):
            call(lib, lib.zeros(2))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda input, dim: input,  # lacks a parameter
        lambda input, dtype=None, *, dim: input,  # in another order
        lambda input, dim, *, type=None: input,  # with another name
        lambda input, dim, dtype=None: input,  # not by name alone
        lambda input, dim, *, dtype=None: input,  # without NumPy's name
        lambda input, dim=None, *, dtype, axis=None: input,  # without a default
    ],
)
def test_a_wrong_signature_is_found(torch, monkeypatch, wrong):
    assert not differences(torch, "cumsum")
    monkeypatch.setattr(gd, "cumsum", wrong)
    assert differences(torch, "cumsum")
