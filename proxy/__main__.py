"""argv -> command line. `--version` and `--help` answer before anything else is imported."""

from __future__ import annotations

import sys

from proxy import __version__

HELP = """\
pointsman: one file that lets every coding tool use every model account

usage: pointsman [serve] [--config FILE] [--routes DIR ...] [--host HOST] [--port PORT]
       pointsman check [--config FILE] [--routes DIR ...] [--json]
       pointsman transcode --from WIRE --to WIRE [--stream] FILE
       pointsman transcode --batch IN.jsonl --out OUT.jsonl
       pointsman login copilot [--no-browser] [--account-type TYPE]
       pointsman accounts [list | test | pause | resume | remove] [ACCOUNT ...] [--json]
       pointsman bundle create [DIR] [--out FILE] [--encrypt]
       pointsman bundle inspect | restore [FILE | --env [NAME] | --url URL] [--into DIR] [--json]
       pointsman passthru add MODEL --base-url URL [--protocol P] [--name N] [--key KEY]
       pointsman passthru list | remove NAME | env
       pointsman version

commands:
  serve      serve until stopped (also without a command)
  check      read the configuration, tell what is wrong or odd, and stop
  transcode  translate recorded requests and answers between wires
  login      log an account in (-copilot-login, -github-copilot-login too)
  accounts   show, try, pause and remove the accounts of the auth directory
  bundle     account files in one text, to carry to a host
  passthru   routes to a model of any service, kept in routes.d
  version    the version

options:
  --config FILE  a config.yaml; default: config.yaml in this folder, if there is one
  --routes DIR   a folder of route files; default: routes.d beside the config,
                 else pointsman/routes.d in the XDG config folder
  --host HOST    the address to listen on
  --port PORT    the port to listen on; 0 = any free one
  --json         machine-readable
  --version, -h, --help

exit status: 0 well, 1 failed, 2 wrong usage, 78 wrong configuration
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command line (default: the process's own) and answers the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    first = arguments[0] if arguments else ""
    if first in ("--version", "-version", "-V", "version"):
        sys.stdout.write(f"pointsman {__version__}\n")
        return 0
    if first in ("-h", "--help", "-help", "help"):
        sys.stdout.write(HELP)
        return 0
    from proxy.cli.main import run  # the line above all imports: --version stays fast

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
