"""The golden file of faulty configurations: `== name`, then texts under `-- file`, then `-> message`."""

from __future__ import annotations

from pathlib import Path

from proxy.config.diagnose import ConfigError, render
from proxy.config.settings import refuse_open
from proxy.routing.load import load

GOLDEN = Path(__file__).with_name("faults.txt")
ENVIRONMENT = {"PATH": "/bin"}


def cases(text: str):
    """(name, {file: text}, expected) of each case."""
    for part in text.split("\n== ")[1:]:
        name, _, rest = part.partition("\n")
        inputs, _, expected = rest.partition("\n->\n")
        files = {}
        for piece in inputs.split("-- ")[1:]:
            file, _, content = piece.partition("\n")
            files[file] = content
        yield name, files, expected.rstrip("\n")


def message(files: dict[str, str], folder: Path) -> str:
    """What is said about these files, with the folder's name taken out."""
    environ = dict(ENVIRONMENT, HOME=str(folder))
    for name, content in files.items():
        if name.isupper():
            environ[name] = content.rstrip("\n")
        else:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.encode().replace(b"<FF>", b"\xff"))
    try:
        loaded = load(None, [], environ, str(folder))
        if loaded.config:
            refuse_open(loaded.settings)
    except ConfigError as error:
        said = str(error)
    else:
        said = "\n".join(render(warning) for warning in loaded.warnings)
    return said.replace(f"{folder}/", "")
