"""argv -> command line. `--version` and `--help` answer before anything else is imported."""

from __future__ import annotations

import sys

from proxy import __version__


def main(argv: list[str] | None = None) -> int:
    """Runs the command line (default: the process's own) and answers the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    first = arguments[0] if arguments else ""
    if first in ("--version", "-version", "-V", "version"):
        sys.stdout.write(f"pointsman {__version__}\n")
        return 0
    if first in ("-h", "--help", "-help", "help"):
        from proxy.cli.verbs import help_of

        sys.stdout.write(help_of(arguments[1:]))
        return 0
    from proxy.cli.main import run  # the line above all imports: --version stays fast

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
