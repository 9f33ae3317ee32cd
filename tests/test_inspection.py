"""autograd.graph_report and autograd.draw."""

import html
import re
import subprocess
import sys
import types
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import gradcore as gd
from gradcore.autograd import Function, draw, graph_report
from gradcore.tensor import wrap


def leaf(*shape, dtype=None):
    return gd.ones(*shape, dtype=dtype or gd.float32).requires_grad_()


def chain(x, count):
    for _ in range(count):
        x = x * 1.0
    return x


def by_name(report):
    return {entry.name.removesuffix("Backward0"): entry for entry in report.entries}


# graph_report ----------------------------------------------------------------------------------


def test_a_node_says_what_it_has_saved():
    x = leaf(100, 3)
    y = gd.exp(x)
    report = graph_report(y.sum())
    exp = by_name(report)["Exp"]
    assert (exp.number, exp.nbytes, exp.freed) == (0, 1200, False)
    (saved,) = exp.saved
    assert saved.role == "output"
    assert saved.shape == (100, 3)
    assert saved.dtype is gd.float32
    assert saved.device is gd.device("cpu")
    assert (saved.nbytes, saved.kept, saved.counted_at) == (1200, 1200, None)
    assert by_name(report)["Sum"].saved == ()
    assert report.total_bytes == 1200
    assert report.bytes_by_device == {gd.device("cpu"): 1200}


def test_memory_is_counted_once():
    x = leaf(100)
    y = gd.exp(x)
    z = y * y
    report = graph_report(z * x)
    assert report.total_bytes == 800
    first, second, third = sorted(report.entries, key=lambda e: e.number)
    assert [s.counted_at for s in first.saved] == [None]
    assert [s.counted_at for s in second.saved] == ["#0 ExpBackward0"] * 2
    assert {s.role: s.counted_at for s in third.saved} == {"input 0": None, "input 1": "leaf 0"}
    assert [e.nbytes for e in (first, second, third)] == [400, 0, 400]
    assert report.entries == (first, third, second)


def test_of_two_inputs_that_are_one_only_one_is_counted():
    y = leaf(100) + 1.0
    (entry,) = [e for e in graph_report(y * y).entries if e.saved]
    assert [s.counted_at for s in entry.saved] == [None, "#1 MulBackward0"]
    assert entry.nbytes == 400


def test_constants_are_the_graphs():
    entry = by_name(graph_report(leaf(3) * gd.ones(2, 3)))["Mul"]
    assert [(s.role, s.shape, s.counted_at) for s in entry.saved] == [("constant", (2, 3), None)]


def test_a_view_keeps_all_of_its_memory():
    large = gd.ones(1000)
    y = leaf(10) * large[:10]
    z = y * leaf(1).expand(10)
    report = graph_report(z)
    first, second = sorted((e for e in report.entries if e.saved), key=lambda e: e.number)
    assert [(s.nbytes, s.kept) for s in first.saved] == [(40, 4000)]
    assert [(s.nbytes, s.kept, s.counted_at) for s in second.saved] == [
        (40, 40, None),
        (40, 4, "leaf 1"),
    ]
    assert report.total_bytes == 4040
    assert "constant: (10,) float32, in memory of 3.91 KiB" in str(report)


def test_leaves_are_apart_with_their_gradients():
    w, b = leaf(10, 10), leaf(10, dtype=gd.float64)
    w.grad = gd.ones(10, 10)
    report = graph_report((w * 2.0).sum() + b.sum(), params={"w": w})
    assert [(e.name, e.nbytes, e.grad_nbytes) for e in report.leaves] == [
        ("w", 800, 400),
        ("leaf 1", 80, 0),
    ]
    assert report.leaf_bytes == 880
    assert report.leaves[0].shape == (10, 10)
    assert report.leaves[1].dtype is gd.float64


def test_leaves_of_one_memory_are_counted_once():
    a = np.ones(100)
    x, y = wrap(a[:60], True), wrap(a[40:], True)
    report = graph_report(x.sum() + y.sum())
    assert [e.nbytes for e in report.leaves] == [800, 0]


def test_what_backward_has_freed_is_said():
    x = leaf(10)
    y = gd.exp(x) + 1.0
    z = y.sum()
    z.backward()
    report = graph_report(z)
    assert {name: e.freed for name, e in by_name(report).items()} == {
        "Exp": True,
        "Add": False,
        "Sum": False,
    }
    assert report.total_bytes == 0
    assert "of which backward has freed 1" in str(report)
    assert re.search(r"0 B  #0 ExpBackward0  freed by backward", str(report))


def test_several_outputs_are_one_graph():
    x = leaf(10)
    y = gd.exp(x)
    assert graph_report([y * 2.0, y * 3.0]).total_bytes == 40
    assert len(graph_report((y * 2.0, y * 3.0)).entries) == 3
    a, b = (x * 1.0).split(5)
    names = Counter(e.name for e in graph_report([a, b]).entries)
    assert names == {"MulBackward0": 1, "SplitBackward0": 1}


def test_without_a_graph_nothing_is_kept():
    report = graph_report([gd.ones(3), leaf(2)])
    assert report.entries == ()
    assert report.total_bytes == 0
    assert [e.nbytes for e in report.leaves] == [8]
    assert str(graph_report(gd.ones(1))).startswith("kept alive: 0 B by 0 nodes; 0 B by 0 leaves")


class Scaled(Function):
    @staticmethod
    def forward(ctx, x, table):
        y = x * 2.0
        ctx.save_for_backward(x, y)
        ctx.factors = {"a": [gd.ones(50)], "b": "text"}
        ctx.y = y
        ctx.words = np.array(["a", "b"])
        ctx.me = ctx
        return y

    @staticmethod
    def backward(ctx, g):
        return g * 2.0, None


def test_what_a_function_keeps_is_found():
    x = leaf(100)
    entry = by_name(graph_report(Scaled.apply(x, None)))["ScaledBackward"]
    assert [(s.role, s.shape, s.nbytes, s.counted_at) for s in entry.saved] == [
        ("saved_tensors[0]", (100,), 400, "leaf 0"),
        ("saved_tensors[1]", (100,), 400, None),
        ("ctx.factors", (50,), 200, None),
        ("ctx.words", (2,), 8, None),
        ("ctx.y", (100,), 400, "#0 ScaledBackward"),
    ]
    assert entry.nbytes == 400 + 200 + 8
    assert "ctx.words: (2,) str32" in str(graph_report(Scaled.apply(x, None)))


def test_the_history_of_what_a_function_keeps_is_of_the_graph():
    class Keeping(Function):
        @staticmethod
        def forward(ctx, x, kept):
            ctx.kept = kept
            return x * 1.0

        @staticmethod
        def backward(ctx, g):
            return g, None

    x = leaf(1)
    y = leaf(100).exp() + 1.0
    assert graph_report(Keeping.apply(x, [y.detach()])).total_bytes == 400
    names = [e.name for e in graph_report(Keeping.apply(x, [y])).entries]
    assert sorted(names) == ["AddBackward0", "ExpBackward0", "KeepingBackward"]
    assert graph_report(Keeping.apply(x, [y])).total_bytes == 800


def test_the_source_line_is_shown_if_it_was_noted():
    y = leaf(10).exp()
    y.grad_fn.metadata["traceback_"] = ['  File "main"\n', '  File "model.py", line 3\n']
    (entry,) = graph_report(y).entries
    assert entry.source == 'File "model.py", line 3'
    assert str(graph_report(y)).splitlines()[3].endswith('  File "model.py", line 3')


def test_a_graph_may_be_long():
    y = chain(leaf(1), 100_000).exp()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        report = graph_report(y)
        assert str(report)
    finally:
        sys.setrecursionlimit(limit)
    assert len(report.entries) == 100_001
    assert report.entries[0].name == "ExpBackward0"
    assert report.entries[0].number == 100_000


def test_the_table_shows_the_largest():
    y = leaf(1)
    for n in range(1, 41):
        y = (y.expand(n) * 0.0).exp().sum()
    w = [leaf(1) for _ in range(30)]
    text = str(graph_report([y, *w]))
    assert text.startswith("kept alive: 3.20 KiB by 160 nodes; 124 B by 31 leaves\n")
    rows = text.splitlines()[2:]
    assert rows[0].split() == ["memory", "node", "or", "leaf", "saved", "line"]
    line = r"[^ ]*test_inspection.py:\d+ in test_the_table_shows_the_largest"
    assert re.fullmatch(rf" *160 B  #158 ExpBackward0 +output: \(40,\) float32 +{line}", rows[1])
    assert re.fullmatch(r" *840 B  20 more nodes", rows[21])
    assert re.fullmatch(r" *0 B  120 nodes +nothing is saved", rows[22])
    assert re.fullmatch(r" *44 B  11 more leaves", rows[-1])


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.cells = [], []
        self.feed(text)
        self.close()
        assert self.tags == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.tags.pop() == tag

    def handle_data(self, data):
        self.cells[-1] += data


def test_jupyter_shows_the_table():
    x = leaf(3)
    report = graph_report(x.exp(), params={"<b>&x": x})
    cells = Cells(report._repr_html_()).cells
    assert cells[0] == str(report).splitlines()[0]
    assert cells[5:8] == ["12 B", "#0 ExpBackward0", "output: (3,) float32"]
    assert cells[8].endswith(" in test_jupyter_shows_the_table")
    assert cells[9:] == ["12 B", "<b>&x", "(3,) float32", ""]
    assert html.escape("<b>&x") in report._repr_html_()


@pytest.mark.parametrize("function", [graph_report, draw])
def test_only_tensors_have_graphs(function):
    with pytest.raises(TypeError, match=rf"{function.__name__}: expected Tensors, not int"):
        function([1])
    with pytest.raises(TypeError, match=r"params must be .*'w' is of type int"):
        function(gd.ones(1), params={"w": 1})


# draw ------------------------------------------------------------------------------------------


class Dot:
    """A reader of the part of DOT that is written: one statement a line.

    Attributes:
        nodes: attributes by the node's name.
        edges: triples of two names and attributes.
    """

    STRING = r'"(?:[^"\\\n]|\\.)*"'
    VALUE = rf"(?:{STRING}|[a-z]+)"
    ATTRIBUTES = rf"\[({VALUE}=|[a-z]+={VALUE})(, [a-z]+={VALUE})*\]"

    def __init__(self, drawing):
        self.nodes, self.edges, self.defaults = {}, [], {}
        first, *lines, last, end = drawing.dot.split("\n")
        assert (first, last, end) == ("digraph {", "}", "")
        for line in lines:
            match = re.fullmatch(r"  (\w+)(?: -> (\w+))?(?: \[(.*)\])?;", line)
            assert match, line
            a, b, text = match.groups()
            if b is not None:
                self.edges.append((a, b, self.attributes(text)))
            elif a in ("graph", "node", "edge"):
                self.defaults[a] = self.attributes(text)
            else:
                assert a not in self.nodes
                self.nodes[a] = self.attributes(text)
        for a, b, _ in self.edges:
            assert {a, b} <= set(self.nodes)

    def attributes(self, text):
        found = {}
        while text:
            match = re.match(rf"([a-z]+)=({self.VALUE})(?:, |$)", text)
            assert match, text
            name, value = match.groups()
            found[name] = self.unquoted(value) if value.startswith('"') else value
            text = text[match.end() :]
        return found

    def unquoted(self, value):
        meant = {"n": "\n", "\\": "\\", '"': '"'}
        text = re.sub(r"\\(.)", lambda match: meant[match.group(1)], value[1:-1])
        assert not re.search(r"&(?!amp;)", text)
        return text.replace("&amp;", "&")

    def label(self, name):
        return self.nodes[name]["label"].split("\n")

    def arrows(self):
        """The edges by the first lines of the labels of their ends."""
        return sorted((self.label(a)[0], self.label(b)[0]) for a, b, _ in self.edges)


def test_leaves_are_boxes_and_operations_ellipses():
    w, x = leaf(2, 3), leaf(3)
    drawing = draw((w * x).sum(), params={"w": w})
    dot = Dot(drawing)
    assert dot.arrows() == [("Mul", "Sum"), ("Sum", "output"), ("leaf", "Mul"), ("w", "Mul")]
    assert {dot.nodes[n]["label"]: dot.nodes[n].get("shape") for n in dot.nodes} == {
        "Sum\n() float32": None,
        "Mul\n(2, 3) float32": None,
        "w\n(2, 3) float32": "box",
        "leaf\n(3,) float32": "box",
        "output\n() float32": "box",
    }
    assert str(drawing) == drawing.dot
    assert draw((w * x).sum(), params={"w": w}).dot == drawing.dot


def test_an_operand_that_is_used_twice_has_two_arrows():
    x = leaf(2)
    assert Dot(draw(x * x)).arrows() == [("Mul", "output"), ("leaf", "Mul"), ("leaf", "Mul")]


def test_outputs_are_marked_by_name():
    x = leaf(2)
    y = x.exp()
    dot = Dot(draw([y, y * 2.0, x], params=[("loss", y), ("x", x)]))
    outputs = [dot.label(n)[0] for n in dot.nodes if n.startswith("out")]
    assert outputs == ["loss", "output 1", "x"]
    assert ("Exp", "loss") in dot.arrows()
    assert ("x", "x") in dot.arrows()
    fills = {dot.nodes[n]["fillcolor"] for n in dot.nodes if n.startswith("out")}
    assert len(fills) == 1
    assert not fills & {dot.nodes[n]["fillcolor"] for n in dot.nodes if n.startswith("n")}


def test_names_may_be_those_of_intermediate_tensors():
    x = leaf(2)
    h = x.exp()
    assert ["h", "Exp", "(2,) float32"] in [
        Dot(draw(h * 2.0, params={"h": h})).label(n) for n in ("n0", "n1", "n2")
    ]


def test_several_outputs_of_a_node_are_told_apart():
    x = leaf(4, 6)
    a, b, _ = x.split(2, 1)
    dot = Dot(draw((a * b).sum()))
    labels = [e[2].get("label") for e in dot.edges if dot.label(e[0])[0] == "Split"]
    assert labels == ["output 0\n(4, 2) float32", "output 1\n(4, 2) float32"]
    assert not any("OutputOf" in attributes["label"] for attributes in dot.nodes.values())
    assert Dot(draw(a)).edges[-1][2] == {"label": "output 0\n(4, 2) float32"}


def shown_shapes(y):
    dot = Dot(draw(y))
    found = {}
    for name in dot.nodes:
        if name.startswith("n"):
            operation, *shape = dot.label(name)
            found[operation] = shape[0] if shape else None
    return found


def test_shapes_are_told_as_far_as_they_follow():
    w, x = leaf(3, 4), leaf(2, 3)
    h = (x @ w).relu()
    found = shown_shapes((h * h).mean())
    assert found["Mean"] == "() float32"
    assert found["Mul"] == found["Relu"] == found["Mm"] == "(2, 4) float32"
    assert shown_shapes((h * gd.ones(5, 1, 4)).sum())["Mul"] == "(5, 2, 4) float32"
    assert shown_shapes((h + gd.ones(5, 1, 4)).sum())["Add"] is None
    wide = (leaf(3) + leaf(2, 1)).to(gd.float64)
    found = shown_shapes(wide.sin())
    assert found["Sin"] == found["ToCopy"] == "(2, 3) float64"
    assert shown_shapes(Scaled.apply(leaf(5), None) * 2.0)["Scaled"] == "(5,) float32"
    assert "(2," not in draw(w * 2.0, show_shapes=False).dot
    assert "float" not in draw(w * 2.0, show_shapes=False).dot


def test_shapes_stay_after_backward():
    x = leaf(3)
    y = (x * leaf(2, 3) + 1.0).sum()
    y.backward()
    assert shown_shapes(y)["Mul"] == "(2, 3) float32"


def test_saved_arrays_are_drawn_on_demand():
    x = leaf(3)
    y = x.exp() * gd.ones(3)
    assert "note" not in draw(y).dot
    dot = Dot(draw(y, show_saved=True))
    notes = {
        (dot.nodes[a]["label"], dot.label(b)[0])
        for a, b, _ in dot.edges
        if dot.nodes[a].get("shape") == "note"
    }
    assert notes == {("output\n(3,) float32", "Exp"), ("constant\n(3,) float32", "Mul")}
    y.sum().backward()
    dot = Dot(draw(y, show_saved=True))
    notes = [a["label"] for a in dot.nodes.values() if a.get("shape") == "note"]
    assert notes == ["freed by backward"] * 2


def test_large_graphs_are_cut():
    x = leaf(1)
    y = chain(x, 20_000)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(200)
    try:
        dot = Dot(draw(y, max_nodes=10))
    finally:
        sys.setrecursionlimit(limit)
    assert len(dot.nodes) == 12
    assert dot.label("more") == ["… 19,991 more", "(max_nodes=10)"]
    assert [e for e in dot.edges if e[0] == "more"] == [("more", "n9", {"style": "dashed"})]
    assert "more" not in Dot(draw(chain(x, 9), max_nodes=10)).nodes
    with pytest.raises(ValueError, match="max_nodes must be at least 1"):
        draw(x, max_nodes=0)


def test_without_a_graph_there_is_the_output_alone():
    dot = Dot(draw(gd.ones(2)))
    assert list(dot.nodes) == ["out0"]
    x = leaf(2)
    assert Dot(draw(x, params={"x": x})).arrows() == [("x", "x")]


@given(st.text())
@example('&lt;"\\N\n\\')
def test_any_name_is_escaped(name):
    x = leaf(1)
    dot = Dot(draw(x * 2.0, params={name: x}))
    (label,) = [a["label"] for a in dot.nodes.values() if a["label"].endswith("\n(1,) float32")][
        1:2
    ]
    shown = label.removesuffix("\n(1,) float32")
    expected = [c if c == "\n" or (c.isprintable() or ord(c) > 159) else None for c in name]
    assert len(shown) == len(name)
    for c, e in zip(shown, expected, strict=True):
        assert c == e or c == "\ufffd" or e is None
    drawing = draw(x * 2.0, params={name: x})
    drawing.dot.encode()


# files and pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["dot", "gv", "DOT"])
def test_the_text_is_saved_without_graphviz(ending, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    x = leaf(1)
    drawing = draw(x * 2.0, params={"ä": x})
    drawing.save(tmp_path / f"graph.{ending}")
    assert (tmp_path / f"graph.{ending}").read_bytes().decode() == drawing.dot


def fake_graphviz(monkeypatch, pipe):
    module = types.ModuleType("graphviz")
    module.ExecutableNotFound = type("ExecutableNotFound", (RuntimeError,), {})

    class Source:
        def __init__(self, text):
            self.text = text

        def pipe(self, format):
            return pipe(module, self.text, format)

    module.Source = Source
    monkeypatch.setitem(sys.modules, "graphviz", module)


def test_pictures_are_drawn_by_graphviz(tmp_path, monkeypatch):
    fake_graphviz(monkeypatch, lambda module, text, form: f"{form}: {text}".encode())
    drawing = draw(leaf(1) * 2.0)
    drawing.save(str(tmp_path / "graph.PNG"))
    assert (tmp_path / "graph.PNG").read_bytes().decode() == f"png: {drawing.dot}"
    assert drawing._repr_svg_() == f"svg: {drawing.dot}"


def test_without_graphviz_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    drawing = draw(leaf(1) * 2.0)
    for call in (drawing._repr_svg_, lambda: drawing.save(tmp_path / "graph.svg")):
        with pytest.raises(ImportError, match=r'pip install "gradcore\[graph\]"'):
            call()
    assert list(tmp_path.iterdir()) == []


def test_without_its_program_the_program_is_named(monkeypatch):
    def pipe(module, text, form):
        raise module.ExecutableNotFound

    fake_graphviz(monkeypatch, pipe)
    with pytest.raises(RuntimeError, match="the program `dot` of Graphviz is needed"):
        draw(leaf(1) * 2.0)._repr_svg_()


def test_a_file_must_say_its_format(tmp_path):
    with pytest.raises(ValueError, match=r"'.*graph', must end in its format, such as \.svg"):
        draw(leaf(1)).save(tmp_path / "graph")


def test_graphviz_itself_reads_the_text():
    pytest.importorskip("graphviz")
    x = leaf(2, 3)
    drawing = draw((x.exp() * x).sum(), params={'\\N "&lt; <b>\n&': x}, show_saved=True)
    try:
        svg = drawing._repr_svg_()
    except gd.errors.MissingPackageError:
        pytest.skip("the program is missing")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr.decode())
    text = html.unescape(re.sub(r"<[^>]*>", "", svg))
    assert '\\N "&lt; <b>' in text
