"""The fence around a send: ends a process that was paused beyond its send window.

A check before sending is not enough: the process may be stopped (SIGSTOP, a frozen container, a
suspended machine) between the check and the first byte, and continue after another process has
become leader. A timer of the kernel keeps running, and its signal is delivered before the sender
runs again.

`setitimer` and SIGALRM would be simpler, and lack three properties (docs/decisions/0011):
- libc's `_exit` handles the signal. The kernel withholds the default action from process 1 of a
  container, which the operator is; a Python handler runs between two bytecodes, perhaps after the
  send.
- The signal goes to the thread that sends. Another thread could take it while this one sends.
- The clock keeps running while the machine sleeps.
"""

import ctypes
import os
import signal
import threading
import time
from itertools import count

__all__ = ["FENCED", "Fence"]

FENCED = signal.SIGRTMIN.value
"""The signal, and the exit status of a process that the fence has ended: 34."""

_SIGEV_THREAD_ID = 4
_TIMER_ABSTIME = 1
_NANO = 1_000_000_000


class _SigEvent(ctypes.Structure):
    """struct sigevent of Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("padding", ctypes.c_char * 64),
    )


class Fence:
    """A timer that ends this process; created in the thread that sends.

    Deadlines are seconds of CLOCK_BOOTTIME.
    """

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._numbers = count()
        self._libc = libc = ctypes.CDLL(None, use_errno=True)
        libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
        libc.signal(FENCED, ctypes.cast(libc._exit, ctypes.c_void_p))  # noqa: SLF001 - libc's name
        event = _SigEvent(signo=FENCED, notify=_SIGEV_THREAD_ID, thread=threading.get_native_id())
        self._timer = ctypes.c_void_p()
        _check(
            libc.timer_create(time.CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer))
        )

    def arm(self, deadline: float) -> int:
        """End this process at `deadline` unless it is disarmed before.

        Returns:
            The number to disarm it with.
        """
        number = next(self._numbers)
        self._deadlines[number] = deadline
        self._set()
        return number

    def disarm(self, number: int) -> None:
        """Disarm the timer: all bytes have left, or none will; may be called twice."""
        if self._deadlines.pop(number, None) is not None:
            self._set()

    def _set(self) -> None:
        # Zero disarms it.
        at = int(min(self._deadlines.values(), default=0.0) * _NANO)
        spec = (ctypes.c_long * 4)(0, 0, *divmod(at, _NANO))  # struct itimerspec: once, at
        _check(self._libc.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(spec), None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the fence's timer: {os.strerror(number)}")
