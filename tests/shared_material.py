"""Material that lies beside the checkout: golden vectors, recorded scenarios, the judge of both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(
    os.environ.get("POINTSMAN_SHARED", Path(__file__).resolve().parent.parent.parent / "shared")
)


def folder(name: str) -> Path:
    """A folder of the material; without it the tests that need it are skipped, loudly."""
    found = SHARED / name
    if not found.is_dir():
        pytest.skip(f"no {name}/ in {SHARED}; set POINTSMAN_SHARED to the folder that holds it")
    return found
