"""Further rounds over the credentials: when, and in which order."""

from __future__ import annotations

import pytest

from proxy.accounts.pool import Pool
from proxy.accounts.rounds import others_first, pause
from proxy.config.model import Settings
from proxy.errors import ProxyError
from tests.scripted import chain

PATIENT = Settings(request_retry=3, max_retry_interval=30.0, bootstrap_retries=1)


def failure(status: int, kind: str = "x") -> ProxyError:
    return ProxyError("no", status=status, kind=kind)


@pytest.mark.parametrize(
    ("error", "round_", "cooldown", "seconds"),
    [
        (failure(503), 1, None, 0.25),
        (failure(503), 3, None, 1.0),
        (failure(503), 4, None, None),
        (failure(408), 2, None, 0.5),
        (failure(404), 1, None, None),
        (failure(429), 1, 12.0, 12.0),
        (failure(429), 1, 31.0, None),
        (failure(429), 1, None, None),
        (None, 1, 5.0, 5.0),
        # Free at once, and yet nothing could be tried: another request's probe is under way.
        (None, 1, 0.0, 0.25),
        (None, 3, 0.1, 1.0),
        (failure(502, "upstream_cut"), 3, None, 0.0),
        (failure(502, "upstream_cut"), 4, None, None),
    ],
)
def test_when(error, round_: int, cooldown: float | None, seconds: float | None) -> None:
    assert pause(error, round_, PATIENT, lambda: cooldown) == seconds


def test_a_cut_has_rounds_of_its_own() -> None:
    settings = Settings(bootstrap_retries=2)
    rounds = [pause(failure(502, "upstream_cut"), n, settings, lambda: None) for n in (1, 2, 3)]
    assert rounds == [0.0, 0.0, None]
    assert pause(failure(502), 1, settings, lambda: None) is None


def test_who_broke_an_answer_comes_last() -> None:
    order = others_first(Pool(), chain("a", "b", "c"), 0.0, "", ["a", "b"])
    assert [candidate.credential.id for candidate in order] == ["c", "a", "b"]
