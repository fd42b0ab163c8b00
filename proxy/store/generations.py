"""The last configurations that were accepted, as they stood in their files: for `config log`, `diff`,
`undo`. One JSON file a generation, for its owner's eyes only: configurations hold keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from proxy.store import files
from proxy.store.xdg import folder, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEPT: Final = 20


class Generation(Struct, frozen=True, kw_only=True):
    """One configuration. `source`: start, watch, hangup, undo, or edited (on the disk, never served).

    `texts`: each file's bytes by absolute path; `at`: Unix time.
    """

    number: int
    at: float
    source: str
    digest: str
    texts: dict[str, bytes]


_decoder = msgspec.json.Decoder(Generation)


class Generations:
    """The history of one configuration. Blocking."""

    def __init__(self, environ: Mapping[str, str], config: str) -> None:
        self.folder: Path = folder(environ) / "generations" / name_of(config)

    def numbers(self) -> list[int]:
        """Of what is kept, oldest first."""
        try:
            names = [path.stem for path in self.folder.glob("*.json")]
        except OSError:
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

    def read(self, number: int) -> Generation | None:
        """One of them; None when it is not kept or its file is damaged."""
        try:
            return _decoder.decode(self._file(number).read_bytes())
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def all(self) -> list[Generation]:
        """All that can be read, oldest first."""
        return [found for number in self.numbers() if (found := self.read(number)) is not None]

    def latest(self) -> Generation | None:
        """The newest that can be read."""
        found = (self.read(number) for number in reversed(self.numbers()))
        return next((generation for generation in found if generation is not None), None)

    def add(self, texts: dict[str, bytes], digest: str, source: str, at: float) -> int:
        """Keeps a generation unless it is the newest already; its number. Raises OSError."""
        latest = self.latest()
        if latest is not None and latest.digest == digest:
            return latest.number
        numbers = self.numbers()
        number = (numbers[-1] if numbers else 0) + 1
        made = Generation(number=number, at=at, source=source, digest=digest, texts=texts)
        files.write(self._file(number), msgspec.json.encode(made))
        for old in [*numbers, number][:-KEPT]:
            self._file(old).unlink(missing_ok=True)
        return number

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"
