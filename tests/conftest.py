"""Fixtures of all tests: async tests run under trio, time tests under a clock that jumps."""

from __future__ import annotations

import inspect
from functools import partial

import pytest
import trio
import trio.testing


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """A clock that jumps to the next deadline when everything waits."""
    return trio.testing.MockClock(autojump_threshold=0)


@pytest.fixture
def inline_threads(monkeypatch):
    """A clock that jumps does not wait for threads."""

    async def run_sync(function, *arguments):
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs an `async def` test in trio, on the mock clock if it asked for one."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    clock = arguments.get("autojump_clock")
    trio.run(partial(pyfuncitem.obj, **arguments), clock=clock)
    return True
