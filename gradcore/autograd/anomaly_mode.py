"""The switches of anomaly mode."""

from __future__ import annotations

import warnings

from ..anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled, set_anomaly_enabled

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class detect_anomaly:
    """Within it errors in backward come with the traceback of the forward call behind them.

    It does two things. Operations note the traceback of their call, and if backward then raises in
    the rules of one, that is shown as a warning. And a gradient that is nan raises GraphError.
    It slows programs down, so it is for debugging::

        with gradcore.autograd.detect_anomaly():
            y = (x - 1.0).sqrt().sum()
            y.backward()  # RuntimeError: Function 'SqrtBackward0' returned nan values ...

    Without it errors in backward still have a note with the line that recorded the operation.
    Holds for the thread or asynchronous task.

    Args:
        check_nan: whether nan raises.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self.prev = is_anomaly_enabled()
        self.prev_check_nan = is_anomaly_check_nan_enabled()
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        set_anomaly_enabled(True, self.check_nan)

    def __exit__(self, *error: object) -> None:
        set_anomaly_enabled(self.prev, self.prev_check_nan)


class set_detect_anomaly:
    """Switch anomaly mode on or off at once; as a context manager, for its extent.

    See `detect_anomaly`.

    Args:
        mode: whether it is on.
        check_nan: whether nan raises.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.prev = is_anomaly_enabled()
        self.prev_check_nan = is_anomaly_check_nan_enabled()
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        set_anomaly_enabled(self.prev, self.prev_check_nan)
