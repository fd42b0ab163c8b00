"""Limits of client keys: requests under way, requests in a window, and when to come again."""

import pytest

from proxy.accounts.client_keys import KeyUsage
from proxy.config.model import ClientKey
from proxy.errors import Fault, ProxyError
from proxy.secret import Secret


def key(name="ci", **limits):
    return ClientKey(name=name, key=Secret("k"), **limits)


def refused(usage, asked, now):
    with pytest.raises(ProxyError) as caught:
        usage.enter(asked, now)
    assert (caught.value.status, caught.value.fault) == (429, Fault.CLIENT)
    return caught.value


def test_a_key_without_limits_is_not_counted():
    usage = KeyUsage()
    for _ in range(5):
        usage.enter(key(), 0.0)
    usage.leave(key())
    assert usage._uses == {}


def test_requests_under_way():
    usage, ci = KeyUsage(), key(in_flight=2)
    usage.enter(ci, 0.0)
    usage.enter(ci, 0.0)
    error = refused(usage, ci, 0.0)
    assert "2 requests under way" in error.message
    assert error.retry_after == 1.0
    usage.enter(key("other", in_flight=2), 0.0)
    usage.leave(ci)
    usage.enter(ci, 0.0)
    usage.leave(ci)
    usage.leave(ci)
    usage.leave(ci)
    assert set(usage._uses) == {"other"}


def test_a_request_that_was_not_counted_in_is_not_counted_out():
    """A reload took the limits away while one was under way, and brings them back."""
    usage, limited, free = KeyUsage(), key(in_flight=1), key()
    usage.enter(limited, 0.0)
    usage.enter(free, 1.0)
    usage.leave(free)
    refused(usage, limited, 2.0)


def test_no_window_holds_more_than_its_requests():
    usage, ci = KeyUsage(), key(requests=3, window=60.0)
    for now in (0.0, 10.0, 50.0):
        usage.enter(ci, now)
        usage.leave(ci)
    assert refused(usage, ci, 59.0).retry_after == 1.0
    usage.enter(ci, 60.0)
    assert refused(usage, ci, 61.0).retry_after == 9.0
    usage.enter(ci, 200.0)


def test_a_refused_request_counts_for_nothing():
    usage, ci = KeyUsage(), key(requests=1, in_flight=1, window=60.0)
    usage.enter(ci, 0.0)
    for _ in range(3):
        refused(usage, ci, 1.0)
    usage.leave(ci)
    assert usage._uses["ci"].in_flight == 0
    usage.enter(ci, 60.0)


def test_a_smaller_limit_after_a_reload():
    usage = KeyUsage()
    for now in range(5):
        usage.enter(key(requests=5, window=60.0), float(now))
    assert refused(usage, key(requests=2, window=60.0), 10.0).retry_after == 53.0


def test_names_are_bounded(monkeypatch):
    monkeypatch.setattr("proxy.accounts.client_keys._MOST_NAMES", 3)
    usage = KeyUsage()
    usage.enter(key("busy", requests=9), 0.0)
    for number in range(10):
        usage.enter(key(f"k{number}", requests=9), 0.0)
        usage.leave(key(f"k{number}", requests=9))
    assert set(usage._uses) == {"busy", "k8", "k9"}
