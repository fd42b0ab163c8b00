"""Quota signals of each service, as windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.accounts import quota
from proxy.accounts.quota import Ledger, Window, read, relevant
from proxy.clock import duration

NOW, WALL = 1000.0, 1_750_000_000.0


def windows(**headers: str) -> list[tuple[str, str, float, float | None]]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    found = read(relevant(pairs, "chat"), "m", NOW, WALL).windows
    return [
        (w.name, w.scope, round(w.used, 6), round(w.resets_at - NOW, 3) if w.dated else None)
        for w in found
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("250ms", 0.25),
        ("12", 12.0),
        ("0.8s", 0.8),
        ("", None),
        ("soon", None),
        ("1m-2s", None),
        ("nan", None),
        ("-5", None),
        ("inf", None),
    ],
)
def test_durations(text: str, expected: float | None) -> None:
    assert duration(text) == expected


def test_openai() -> None:
    assert windows(
        x_ratelimit_limit_requests="100",
        x_ratelimit_remaining_requests="25",
        x_ratelimit_reset_requests="6m0s",
        x_ratelimit_limit_tokens="1000",
        x_ratelimit_remaining_tokens="1000",
    ) == [("requests", "model:m", 0.75, 360.0), ("tokens", "model:m", 0.0, None)]


@pytest.mark.parametrize("reset", [str(WALL + 90), str((WALL + 90) * 1000), "90", "1m30s"])
def test_plain_ratelimit_headers_and_their_four_kinds_of_time(reset: str) -> None:
    assert windows(x_ratelimit_limit="10", x_ratelimit_remaining="0", x_ratelimit_reset=reset) == [
        ("requests", "model:m", 1.0, 90.0)
    ]


def test_anthropic_keys() -> None:
    assert windows(
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2025-06-15T15:07:40Z",
        anthropic_ratelimit_input_tokens_limit="100",
        anthropic_ratelimit_input_tokens_remaining="0",
    ) == [("requests", "model:m", 0.02, 60.0), ("input-tokens", "model:m", 1.0, None)]


def test_anthropic_subscriptions() -> None:
    pairs = {
        "5h-utilization": "0.17",
        "5h-reset": str(WALL + 3600),
        "5h-status": "allowed",
        "7d-utilization": "0.5",
        "7d_opus-status": "rejected",
        "7d_opus-reset": str(WALL + 86400),
        "status": "allowed",
        "reset": str(WALL + 3600),
        "overage-status": "allowed",
        "overage-utilization": "0.0",
        "overage-in-use": "false",
    }
    headers = [(f"anthropic-ratelimit-unified-{k}".encode(), v.encode()) for k, v in pairs.items()]
    found = read(relevant(headers, "anthropic"), "claude-opus-4-5", NOW, WALL)
    assert [(w.name, w.scope, w.used) for w in found.windows] == [
        ("5h", "account", 0.17),
        ("7d", "account", 0.5),
        ("7d_opus", "tier:opus", 1.0),
    ]
    assert found.overage_until is None


def test_codex() -> None:
    assert windows(
        x_codex_primary_used_percent="42.5",
        x_codex_primary_window_minutes="300",
        x_codex_primary_reset_after_seconds="1234",
        x_codex_secondary_used_percent="7",
        x_codex_secondary_reset_at="2025-06-15T15:16:40Z",
        x_codex_primary_over_secondary_limit_percent="0",
        x_codex_bengalfox_primary_used_percent="99",
    ) == [("primary", "account", 0.425, 1234.0), ("secondary", "account", 0.07, 600.0)]


def test_copilot() -> None:
    assert windows(
        **{
            "x-quota-snapshot-chat": "ent=-1&ov=0.0&ovPerm=false&rem=100.0&rst=2025-07-01T00:00:00Z",
            "x-quota-snapshot-premium_interactions": "ent=300&ov=0.0&rem=88.5&rst=2025-06-15T15%3A07%3A40Z",
            "x-usage-ratelimit-weekly": "ent=0&ov=0.0&ovPerm=false&rem=0",
        }
    ) == [
        ("premium-interactions", "account", 0.115, 60.0),
        ("weekly", "account", 1.0, None),
    ]


@pytest.mark.parametrize(
    ("headers", "until"),
    [
        ({"anthropic-ratelimit-unified-overage-in-use": "true"}, 3600.0),
        (
            {
                "anthropic-ratelimit-unified-overage-in-use": "true",
                "anthropic-ratelimit-unified-reset": str(WALL + 50),
            },
            50.0,
        ),
        (
            {
                "anthropic-ratelimit-unified-overage-in-use": "true",
                "anthropic-ratelimit-unified-7d-utilization": "1.02",
                "anthropic-ratelimit-unified-7d-reset": str(WALL + 500),
                "anthropic-ratelimit-unified-reset": str(WALL + 50),
            },
            500.0,
        ),
        (
            {
                "x-codex-primary-used-percent": "100",
                "x-codex-primary-reset-after-seconds": "70",
                "x-codex-credits-has-credits": "True",
            },
            70.0,
        ),
        ({"x-quota-snapshot-premium_models": "ent=9&ov=1.5&rem=0&rst=2025-06-15T15:07:40Z"}, 60.0),
        ({"x-codex-primary-used-percent": "100", "x-codex-credits-has-credits": "False"}, None),
    ],
)
def test_signals_of_overage(headers: dict[str, str], until: float | None) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    found = read(relevant(pairs, "chat"), "m", NOW, WALL).overage_until
    assert (found is None) if until is None else (found is not None and found - NOW == until)


def test_replies_without_quota_headers_are_told_apart_at_once() -> None:
    assert (
        relevant([(b"content-type", b"x"), (b"x-request-id", b"x-ratelimit-reset")], "chat") == []
    )
    assert relevant([(b"x-ratelimit-limit-requests", b"1")], "gemini") == []


NAMES = st.sampled_from(
    [
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
        b"anthropic-ratelimit-unified-5h-utilization",
        b"anthropic-ratelimit-unified-5h-reset",
        b"anthropic-ratelimit-unified-status",
        b"anthropic-ratelimit-unified-representative-claim",
        b"x-codex-primary-used-percent",
        b"x-codex-primary-reset-at",
        b"x-quota-snapshot-chat",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"1e308", b"-1", b"NaN", b"9" * 40, b"2025-13-45", b"rem=1e400&rst=9e99"]),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_no_header_can_break_it_or_reach_beyond_a_month(headers: list[tuple[bytes, bytes]]) -> None:
    for window in read(relevant(headers, "chat"), "m", NOW, WALL).windows:
        assert window.used >= 0
        assert NOW <= window.resets_at <= NOW + quota.LONGEST


def test_a_window_that_started_anew_is_forgotten() -> None:
    ledger = Ledger()
    ledger.put("a", [Window("5h", "account", 1.0, 50.0), Window("7d", "tier:opus", 0.9, 500.0)])
    assert ledger.room("a", "claude-opus-4", 49.0) == 0.0
    assert ledger.room("a", "claude-opus-4", 50.0) == pytest.approx(0.1)
    assert ledger.room("a", "claude-sonnet-4", 50.0) == quota.NEUTRAL
    assert ledger.spent("a", "m", 49.0).name == "5h"
    assert ledger.spent("a", "m", 50.0) is None


def test_headers_are_read_when_somebody_asks_and_newer_ones_win() -> None:
    ledger = Ledger()

    def said(used: bytes) -> list[tuple[bytes, bytes]]:
        return [(b"x-codex-primary-used-percent", used)]

    ledger.offer("a", said(b"10"), "m", NOW, WALL)
    ledger.offer("a", said(b"20"), "n", NOW, WALL)
    assert ledger.room("a", "m", NOW) == pytest.approx(0.8)
    ledger.offer("a", said(b"30"), "m", NOW, WALL)
    ledger.put("a", [Window("primary", "account", 0.6, NOW + 60)])
    assert ledger.room("a", "m", NOW) == pytest.approx(0.4)
    assert ledger.names() == ["a"]


def test_the_ledger_is_bounded() -> None:
    ledger = Ledger()
    for number in range(100):
        ledger.put("a", [Window(str(number), "account", 0.1, 50.0)])
    assert len(ledger.windows("a", 0.0)) <= 24
    for number in range(20_010):
        ledger.offer(f"k{number}", [(b"x-codex-primary-used-percent", b"1")], "m", NOW, WALL)
    assert len(ledger._unread) <= 20_000
    assert len(ledger.names()) <= 20_000
