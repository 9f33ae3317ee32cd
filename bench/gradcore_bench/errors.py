"""What the command line reports in one line, without a traceback."""

from importlib.util import find_spec


class BenchError(Exception):
    """A run that cannot start as asked; the text says what to do about it."""


def require(*modules: str) -> None:
    """Checks that the modules of the extra `bench` are installed, before any work is done.

    Raises:
        BenchError: names the missing modules and the extra.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise BenchError(
            f'{", ".join(missing)} {verb} not installed; pip install "gradcore[bench]"'
        )
