"""A table of 10,000 models and 1,000 aliases: load time, resolve time, memory. Prints figures.

    python tests/bench/routes_scale.py [toml|yaml] [--rules]

Each figure is taken in a process of its own, so that memory is what a server would see.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
MODELS, ALIASES, UPSTREAMS = 10_000, 1_000, 20


def write(folder: Path, language: str, rules: bool) -> None:
    """The files: upstreams and rules in one, models and aliases in others."""
    names = [f"vendor-{i % 50}/model-{i}" for i in range(MODELS)]
    exact = {f"alias-{i}": names[i] for i in range(ALIASES // 2)}
    wild = {f"family-{i}-*": names[i * 2] for i in range(ALIASES // 2)}
    when = ['client = "codex"', 'header = { x-team = "red" }', "tokens-over = 60_000"]
    head = [
        f'[upstreams.u{i}]\nwire = "chat"\nbase-url = "https://u{i}.example/v1"\nkeys = ["env:KEY"]'
        for i in range(UPSTREAMS)
    ]
    head += ['[prefixes]\n"any/" = { upstream = "u1", any-model = true }']
    if rules:
        head += [f'[[rules]]\nwhen = {{ {w} }}\nuse = "{names[0]}"' for w in when]
    (folder / "00-head.toml").write_text("\n".join(head))
    if language == "toml":
        body = [
            f'[models."{n}"]\nto = ["u{i % UPSTREAMS}", "u{(i + 1) % UPSTREAMS}:other-{i}"]\n'
            for i, n in enumerate(names)
        ]
        body += ["[aliases]", *(f'"{k}" = "{v}"' for k, v in (exact | wild).items())]
    else:
        body = ["models:"]
        body += [
            f'  "{n}":\n    to: ["u{i % UPSTREAMS}", "u{(i + 1) % UPSTREAMS}:other-{i}"]'
            for i, n in enumerate(names)
        ]
        body += ["aliases:", *(f'  "{k}": "{v}"' for k, v in (exact | wild).items())]
    (folder / f"10-models.{language}").write_text("\n".join(body))


def resident() -> float:
    """Memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def measure(folder: str, routes: str) -> None:
    """One load of these routes, and lookups of every kind."""
    from proxy.routing.facts import Facts
    from proxy.routing.load import load

    environ = {"KEY": "k", "HOME": folder}
    load(None, [str(Path(folder) / "small")], environ, folder)
    before = resident()
    start = time.perf_counter()
    loaded = load(None, [routes], environ, folder)
    seconds = time.perf_counter() - start
    more = resident() - before
    table = loaded.table
    pick = random.Random(1)
    asked = {
        "model": [f"vendor-{i % 50}/model-{i}" for i in pick.choices(range(MODELS), k=5000)],
        "other case": [f"Vendor-{i % 50}/Model-{i}" for i in pick.choices(range(MODELS), k=5000)],
        "suffix": [f"vendor-{i % 50}/model-{i}(high)" for i in pick.choices(range(MODELS), k=5000)],
        "alias": [f"alias-{i}" for i in pick.choices(range(ALIASES // 2), k=5000)],
        "prefix": [f"any/thing-{i}" for i in range(5000)],
        "wildcard": [f"family-{i}-x" for i in pick.choices(range(ALIASES // 2), k=5000)],
    }
    print(f"load {seconds:.2f} s, memory {more:.0f} MB more, {len(loaded.warnings)} warnings")
    for kind, names in asked.items():
        print(
            f"resolve {kind:<11} median {_median(lambda n: table.resolve(n, Facts), names):.1f} us"
        )


def _median(call, names: list[str]) -> float:
    taken = []
    for name in names:
        start = time.perf_counter_ns()
        call(name)
        taken.append(time.perf_counter_ns() - start)
    return statistics.median(taken) / 1000


def main(words: list[str]) -> None:
    """Writes the files, measures in a new process."""
    if words[:1] == ["--in"]:
        measure(words[1], words[2])
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small").mkdir()
        (folder / "small" / "a.toml").write_text('[upstreams.demo]\nprovider = "demo"\n')
        for language in [w for w in words if w in ("toml", "yaml")] or ["toml", "yaml"]:
            routes = folder / language
            routes.mkdir()
            write(routes, language, "--rules" in words)
            print(language, flush=True)
            command = [sys.executable, __file__, "--in", name, str(routes)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
