"""Secrets and logs."""

from __future__ import annotations

import os

from proxy.secret import Secret
from proxy.telemetry.log import Log


def test_a_secret_never_prints() -> None:
    secret = Secret("sk-very-private")
    assert "private" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "sk-very-private"
    assert secret.matches("sk-very-private")
    assert not secret.matches("sk-other")
    assert not Secret("")


def test_a_secret_is_hidden_in_the_texts_of_others() -> None:
    text = b'{"message": "bad key: sk-very-private, sk-very-private"}'
    assert Secret("sk-very-private").hide(text) == b'{"message": "bad key: ***, ***"}'
    assert Secret("key").hide(text) == text
    assert Secret("").hide(text) == text


def read(log: Log, fd: int) -> str:
    log.flush()
    return os.read(fd, 1 << 20).decode()


def test_a_log_line_cannot_be_forged() -> None:
    out, into = os.pipe()
    log = Log(descriptor=into)
    log.line("info", "served", model="x\ny info faked", empty="")
    text = read(log, out)
    assert text.count("\n") == 1
    assert "empty" not in text


def test_the_buffer_is_bounded_and_says_so() -> None:
    out, into = os.pipe()
    log = Log(descriptor=into)
    for _ in range(2005):
        log.line("info", "x")
    os.set_blocking(into, False)
    assert "lost=5" in read(log, out)


def test_a_closed_standard_error_stops_nothing() -> None:
    out, into = os.pipe()
    os.close(out)
    log = Log(descriptor=into)
    log.line("info", "x")
    log.flush()
