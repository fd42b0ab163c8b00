"""What an answer's headers say of its way, whatever a client made up as the model's name."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from proxy.telemetry.label import Labels
from proxy.wire.refusals import JSON
from tests.scripted import plan


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("gpt-5", b"gpt-5"),
        ("a\r\nset-cookie: x=1", b"a\\r\\nset-cookie: x=1"),
        ("modèle", b"mod\\xe8le"),
        ("\U0001f600" * 900, b"\\U0001f600" * 300),
    ],
)
def test_a_made_up_name_cannot_break_out_of_its_header_or_fill_it(name: str, shown: bytes) -> None:
    the_plan = plan("a")
    made_up = replace(the_plan, asked=name, model=name)
    label = Labels().of(made_up, the_plan.targets[0].candidates[0])
    assert dict(label.headers(JSON, 1))[b"x-pointsman-route"] == shown
    assert "\n" not in label.text


def test_an_account_is_told_by_a_digest() -> None:
    the_plan = plan("someone@example.com")
    label = Labels().of(the_plan, the_plan.targets[0].candidates[0])
    assert b"someone" not in dict(label.headers(JSON, 1))[b"x-pointsman-account"]
    assert "someone" not in label.text.partition("account=")[2]
