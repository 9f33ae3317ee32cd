"""README's code blocks run, in order, and print what stands below them."""

import contextlib
import io
import re
from pathlib import Path

from gradcore.op import NUMPY_FACES, OPS

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", README, re.DOTALL)


def test_the_code_blocks_print_what_they_say():
    operations, faces = dict(OPS), dict(NUMPY_FACES)
    scope = {}
    try:
        for code, expected in BLOCKS:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, scope)
            assert printed.getvalue() == expected, code
    finally:
        # One block declares an operation.
        for registry, before in ((OPS, operations), (NUMPY_FACES, faces)):
            registry.clear()
            registry.update(before)


def test_the_continuous_integration_runs_the_test_command():
    commands = re.findall(r"^python3 .*pytest$", README, re.MULTILINE)
    assert len(commands) == 1
    script = (Path(__file__).parent.parent / ".ci" / "run").read_text()
    assert commands[0] in script
