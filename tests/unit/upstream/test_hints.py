"""When to come back, out of error bodies."""

from __future__ import annotations

import pytest

from proxy.convo.model import ErrorInfo
from proxy.jsonio import encode
from proxy.upstream.base import refusal

NOW = 1_750_000_000.0
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.8s"}
ERROR_INFO = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "RATE_LIMIT_EXCEEDED",
    "metadata": {"quotaResetDelay": "1h2m373.5ms", "model": "m"},
}


def hint(body: object, status: int = 429, headers=()) -> float | None:
    data = body if isinstance(body, bytes) else encode(body)
    info = ErrorInfo("no")
    return refusal(status, list(headers), info, data, "gemini", NOW).retry_after


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"code": 429, "details": [ERROR_INFO, RETRY_INFO]}, 0.8),
        ({"code": 429, "details": [ERROR_INFO]}, 3720.3735),
        ({"details": [{"retryDelay": "soon"}, {"retryDelay": "2s"}]}, 2.0),
        ({"type": "usage_limit_reached", "resets_in_seconds": 3600}, 3600.0),
        ({"type": "usage_limit_reached", "resets_at": NOW + 90, "plan_type": "pro"}, 90.0),
        ({"type": "usage_limit_reached", "resets_at": NOW - 90}, 0.0),
        ({"resets_in_seconds": -5}, None),
        ({"resets_in_seconds": "x"}, None),
        ({"message": "no"}, None),
        ({"message": "Your quota will reset after 39s."}, 39.0),
        ({"message": "It will reset after 1h2m3.5s."}, 3723.5),
        ({"message": "reset after 39s", "details": [{"retryDelay": "2s"}]}, 2.0),
        (
            {"message": "after a while", "details": [{"metadata": {"quotaResetDelay": "2h"}}]},
            7200.0,
        ),
        ("text", None),
    ],
)
def test_hints(error: object, seconds: float | None) -> None:
    assert hint({"error": error}) == (None if seconds is None else pytest.approx(seconds))
    assert hint([{"error": error}]) == hint({"error": error})


def test_headers_come_first_and_other_failures_have_no_end() -> None:
    body = {"error": {"resets_in_seconds": 50}}
    assert hint(body, headers=[(b"retry-after", b"7")]) == 7.0
    assert hint(body, status=503) == 50.0
    assert hint(body, status=401) is None
    assert hint(b"<html>") is None
    assert hint(b"\xff\xfe{") is None
