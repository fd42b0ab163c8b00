"""Every command with its options, as data: help texts and shell completion are made from it.

Imports nothing, so that `--help` answers at once.
"""

from __future__ import annotations

WIRES = ("chat", "responses", "anthropic", "gemini")
SHELLS = ("bash", "zsh", "fish")
OTHER_WORDS = {("explain",): ("routes", "explain"), ("routes", "check"): ("check",)}
"""Commands by a second name."""
FILE, FOLDER = "FILE", "DIR"


class Option:
    """`value`: what follows it, as help shows it; empty = nothing. `words`: all values there are."""

    def __init__(self, name: str, value: str, about: str, words: tuple[str, ...] = ()) -> None:
        self.name = name
        self.value = value
        self.about = about
        self.words = words


class Verb:
    """One command. `arguments`: what follows besides options, as help shows it; `words`: what it may
    be; `more`: a paragraph for its own help.
    """

    def __init__(
        self,
        name: str,
        about: str,
        *options: Option,
        arguments: str = "",
        words: tuple[str, ...] = (),
        more: str = "",
    ) -> None:
        self.name = name
        self.about = about
        self.options = options
        self.arguments = arguments
        self.words = words
        self.more = more


CONFIG = Option("--config", FILE, "a config.yaml; default: the one in this folder, if there is one")
ROUTES = Option("--routes", FOLDER, "a folder of route files, or one file; may be given again")
JSON = Option("--json", "", "machine-readable")
PLACE = (CONFIG, ROUTES)

VERBS = (
    Verb(
        "serve",
        "serve until stopped (also without a command)",
        *PLACE,
        Option("--host", "HOST", "the address to listen on"),
        Option("--port", "PORT", "the port to listen on; 0 = any free one"),
        more="Without --routes: routes.d beside the config file, else pointsman/routes.d in the XDG\n"
        "config folder. Changed files are served within two seconds. Signals: TERM and INT stop,\n"
        "HUP reloads, USR2 restarts without closing the port.",
    ),
    Verb("check", "read the configuration, tell what is wrong or odd, and stop", *PLACE, JSON),
    Verb(
        "status", "what the running server serves, and the last refused configuration", *PLACE, JSON
    ),
    Verb(
        "restart",
        "replace the running server without closing its port or its streams",
        *PLACE,
        more="The new process inherits the listening sockets; the old one ends its streams and goes.",
    ),
    Verb("routes list", "every model that can be asked for, and where it goes", *PLACE, JSON),
    Verb(
        "routes explain",
        "why a request goes where it goes: the server's own decision, without network (also: explain)",
        *PLACE,
        Option("--request", FILE, "a request body; - = standard input"),
        Option("--surface", "WIRE", "the protocol of the body; default: chat", WIRES),
        Option("--header", "NAME:VALUE", "a header of the request; may be given again"),
        Option("--key", "NAME", "the name of the client key that asks"),
        Option("--state", FILE, "cooldowns of accounts, as JSON"),
        Option("--at", "TIME", "as if it were then: 14:30, or 2026-01-31T14:30"),
        JSON,
        arguments="[MODEL]",
        more="A state file:\n"
        '  {"version": 1, "cooldowns": [{"credential": "routes:zai:0a1b2c3d4e5f",\n'
        '    "scope": "model:glm-4.7", "word": "quota", "firm": true, "until": 1767225600}]}',
    ),
    Verb(
        "routes import",
        "write the upstreams of a CLIProxyAPI config.yaml as a file of routes.d",
        Option("--out", FOLDER, "the folder to write to; default: routes.d beside the config"),
        arguments="CONFIG",
    ),
    Verb(
        "routes fmt",
        "put route files into their usual layout; comments and order stay",
        *PLACE,
        Option("--check", "", "change nothing; exit status 1 if a file would change"),
        arguments="[FILE ...]",
    ),
    Verb("config log", "the configurations that were served, newest first", *PLACE, JSON),
    Verb(
        "config diff",
        "what changed between two of them; with one number, from it to the files as they are",
        *PLACE,
        arguments="[N [M]]",
        more="Without a number: from the last one to the files as they are, or, where these are equal,\n"
        "from the one before to the last one. Keys are masked.",
    ),
    Verb(
        "config undo",
        "write the files of an earlier one back; default: the one before",
        *PLACE,
        arguments="[N]",
        more="Files that it did not have are removed. What stood there before stays in the history.",
    ),
    Verb(
        "login",
        "log an account in (-copilot-login and the like too)",
        *PLACE,
        Option("--no-browser", "", "open no browser; show the address alone"),
        Option(
            "--account-type", "TYPE", "of the account", ("individual", "business", "enterprise")
        ),
        Option("--device", "", "with a code that is typed on another machine (codex)"),
        Option("--key", "FILE", "of a service account (vertex)"),
        Option("--location", "PLACE", "where Vertex AI computes; default: us-central1"),
        Option("--project", "ID", "of Google's cloud; several with commas, or ALL (gemini-cli)"),
        Option("--label", "NAME", "what the account is called, where the service does not say it"),
        Option("--cookie", "", "with the cookie of a browser (iflow)"),
        Option("--start-url", "URL", "of an organization at AWS (kiro)"),
        Option("--region", "NAME", "of that organization"),
        arguments="PROVIDER",
        words=(
            "copilot",
            "claude",
            "codex",
            "gemini-cli",
            "antigravity",
            "vertex",
            "qwen",
            "iflow",
            "kiro",
        ),
    ),
    Verb(
        "accounts list",
        "the accounts of the auth directory",
        *PLACE,
        JSON,
        arguments="[ACCOUNT ...]",
    ),
    Verb(
        "accounts test",
        "ask the service for a token and the model list",
        *PLACE,
        JSON,
        arguments="[ACCOUNT ...]",
    ),
    Verb("accounts pause", "use an account no more", *PLACE, JSON, arguments="ACCOUNT ..."),
    Verb("accounts resume", "use it again", *PLACE, JSON, arguments="ACCOUNT ..."),
    Verb("accounts remove", "delete its file", *PLACE, JSON, arguments="ACCOUNT ..."),
    Verb(
        "bundle create",
        "account files in one text, to carry to a host",
        Option("--out", FILE, "where it goes; default: standard output"),
        Option("--encrypt", "", "with a passphrase, asked for or in AUTH_BUNDLE_PASSPHRASE"),
        arguments="[DIR]",
        more="DIR: default ~/.cli-proxy-api.",
    ),
    Verb(
        "bundle inspect",
        "what a bundle holds",
        Option("--env", "[NAME]", "from a variable; default: AUTH_BUNDLE"),
        Option("--url", "URL", "a zip or tar.gz archive"),
        JSON,
        arguments="[FILE]",
    ),
    Verb(
        "bundle restore",
        "write a bundle's account files; newer tokens stay",
        Option("--env", "[NAME]", "from a variable; default: AUTH_BUNDLE"),
        Option("--url", "URL", "a zip or tar.gz archive"),
        Option("--into", FOLDER, "where they go; default: ~/.cli-proxy-api"),
        JSON,
        arguments="[FILE]",
    ),
    Verb(
        "passthru add",
        "a route to a model of any service, kept in routes.d",
        *PLACE,
        Option("--file", FILE, "the file to edit; default: 50-passthru.toml in routes.d"),
        Option("--base-url", "URL", "the service's address"),
        Option("--protocol", "WORD", "what it speaks", ("openai", "codex", "claude", "gemini")),
        Option("--name", "NAME", "what clients ask for; default: MODEL"),
        Option("--key", "KEY", "env:NAME, file:PATH or the key itself; - = ask for it"),
        Option("--proxy", "URL", "a proxy of its own"),
        Option("--header", "NAME=VALUE", "a header; may be given again"),
        Option("--context", "TOKENS", "shown in the model lists"),
        Option("--output", "TOKENS", "shown in the model lists"),
        Option("--replace", "", "replace the route of this name"),
        arguments="MODEL",
    ),
    Verb(
        "passthru list",
        "the routes of that file",
        *PLACE,
        Option("--file", FILE, "the file to read"),
        JSON,
    ),
    Verb(
        "passthru remove",
        "take a route away",
        *PLACE,
        Option("--file", FILE, "the file to edit"),
        arguments="NAME",
    ),
    Verb(
        "passthru env",
        "the line of PASSTHRU_MODELS_JSON, keys included",
        *PLACE,
        Option("--file", FILE, "the file to read"),
        JSON,
    ),
    Verb(
        "transcode",
        "translate recorded requests and answers between wires",
        Option("--from", "WIRE", "what it is written in; of a request, the client's"),
        Option("--to", "WIRE", "what it is wanted in"),
        Option("--kind", "KIND", "what it is", ("request", "stream", "response")),
        Option("--model", "MODEL", "the model to ask for"),
        Option("--stream", "", "it is a stream; with --kind request: it asks for one"),
        Option("--batch", FILE, "many at once, a JSON object a line"),
        Option("--out", FILE, "where the results of a batch go"),
        arguments="[FILE]",
    ),
    Verb(
        "completion",
        "a script for the shell that completes commands and options",
        arguments="SHELL",
        words=SHELLS,
        more='bash: eval "$(pointsman completion bash)"         in ~/.bashrc\n'
        "zsh:  source <(pointsman completion zsh)         in ~/.zshrc, after compinit\n"
        "fish: pointsman completion fish > ~/.config/fish/completions/pointsman.fish",
    ),
    Verb("version", "the version"),
    Verb("help", "this text; with a command, its options", arguments="[COMMAND]"),
)
BY_NAME = {verb.name: verb for verb in VERBS}


def groups() -> dict[str, list[str]]:
    """First words with their second words, in order; a command of one word has none."""
    found: dict[str, list[str]] = {}
    for verb in VERBS:
        first, _, second = verb.name.partition(" ")
        found.setdefault(first, [])
        if second:
            found[first].append(second)
    return found


def usual(words: list[str]) -> list[str]:
    """A command line under the first name of its command."""
    for name, first in OTHER_WORDS.items():
        if tuple(words[: len(name)]) == name:
            return [*first, *words[len(name) :]]
    return words


def overview() -> str:
    """What `--help` prints."""
    width = max(len(verb.name) for verb in VERBS)
    lines = [
        "pointsman: one file that lets every coding tool use every model account",
        "",
        "usage: pointsman [serve] [--config FILE] [--routes DIR ...] [--host HOST] [--port PORT]",
        "       pointsman COMMAND [OPTIONS]",
        "",
        "commands:",
        *(f"  {verb.name:{width}}  {verb.about}" for verb in VERBS),
        "",
        "options that most commands take:",
        *_options((CONFIG, ROUTES, JSON)),
        "  --version, -h, --help",
        "",
        "exit status: 0 well, 1 failed, 2 wrong usage, 78 wrong configuration",
        "'pointsman help COMMAND' tells the options of a command.",
    ]
    return "\n".join(lines) + "\n"


def help_of(words: list[str]) -> str:
    """The help of the command that `words` begin with; the overview for none."""
    words = usual(words)
    for name in (" ".join(words[:2]), " ".join(words[:1])):
        verb = BY_NAME.get(name)
        if verb is not None:
            return _own(verb)
    inside = [verb for verb in VERBS if words and verb.name.startswith(f"{words[0]} ")]
    return "\n".join(_own(verb) for verb in inside) if inside else overview()


def _own(verb: Verb) -> str:
    options = " [OPTIONS]" if verb.options else ""
    arguments = f" {verb.arguments}" if verb.arguments else ""
    lines = [f"usage: pointsman {verb.name}{options}{arguments}", f"  {verb.about}"]
    if verb.options:
        lines += ["", "options:", *_options(verb.options)]
    if verb.words:
        lines += ["", f"{verb.arguments}: {', '.join(verb.words)}"]
    if verb.more:
        lines += ["", verb.more]
    return "\n".join(lines) + "\n"


def _options(options: tuple[Option, ...]) -> list[str]:
    shown = [f"{option.name} {option.value}".strip() for option in options]
    width = max(len(text) for text in shown)
    about = [f"{o.about}: {', '.join(o.words)}" if o.words else o.about for o in options]
    return [f"  {text:{width}}  {word}" for text, word in zip(shown, about, strict=True)]
