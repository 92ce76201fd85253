"""One try of something that may hang, leak a cancellation, raise or answer nonsense: it always comes to an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from conformance.suite.bounds import cut

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

GRACE_SECONDS = 5.0
"""What is cancelled may take so long to tidy up; then it is left alone."""


@dataclass(frozen=True, slots=True)
class Attempt(Generic[_T]):
    """How it ended: with a value, with an error, or not in time.

    Attributes:
        value: What it returned; None unless it returned.
        error: What it raised; None unless it raised.
        late: It did not end in time.
    """

    value: _T | None = None
    error: Exception | None = None
    late: bool = False


class LeakedCancellationError(Exception):
    """Something was cancelled that nobody asked to be cancelled: a mistake of the suite."""


async def attempt(work: Coroutine[Any, Any, _T], seconds: float) -> Attempt[_T]:
    """Run it as a task of its own for at most so long.

    A task that does not heed its cancellation is left behind after `GRACE_SECONDS`. When the caller is cancelled, so is
    the task, and the cancellation goes on.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        late = not task.done()
        if late:
            await _end(task)
    if late:
        return Attempt(late=True)
    if task.cancelled():
        return Attempt(error=LeakedCancellationError("a task was cancelled by nobody"))
    error = task.exception()
    if error is None:
        return Attempt(value=task.result())
    if isinstance(error, Exception):
        return Attempt(error=error)
    raise error


async def _end(task: asyncio.Future[Any]) -> None:
    task.cancel()
    try:
        await asyncio.wait({task}, timeout=GRACE_SECONDS)
    finally:
        if task.done():
            _forget(task)
        else:
            _LOG.warning("a task does not heed its cancellation and is left alone")
            task.add_done_callback(_forget)


def _forget(task: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more: whatever it raised is known to nobody, and no warning."""
    if not task.cancelled():
        task.exception()


def told(error: Exception) -> str:
    """An error of the suite itself in one sentence, with its place; the traceback goes to the log."""
    _LOG.debug("the suite failed by itself", exc_info=error)
    return cut(f"{type(error).__name__}: {error}{_place(error)}")


def safely(ask: Callable[[], _T], otherwise: _T) -> _T:
    """What a target tells of itself; where the suite fails at that, the report goes on without."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - a report without it is better than none
        _LOG.warning("the target's own facts are missing in the report: %s", told(error))
        return otherwise


def _place(error: Exception) -> str:
    """Where in the suite it happened."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" ({trace.tb_frame.f_code.co_name}, line {trace.tb_lineno})"
