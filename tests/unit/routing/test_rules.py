"""Rules: each condition, their order, what they cost, and how a trace tells them."""

import pytest

from proxy.convo.model import Reasoning
from proxy.errors import ProxyError
from proxy.routing.facts import Facts, client_of
from proxy.routing.load import load
from proxy.routing.rules import within

HEAD = """
[upstreams.x]
wire = "chat"
base-url = "https://x.example"
[models]
plain = { to = ["x"] }
other = { to = ["x"] }
deep = { to = ["x"] }
[aliases]
short = "other(low)"
loop = "plain"
[keys.laptop]
key = "env:PATH"
"""


@pytest.fixture
def table(tmp_path):
    def make(*rules):
        text = HEAD + "".join(
            f"[[rules]]\nwhen = {{ {when} }}\nuse = '{use}'\n" for when, use in rules
        )
        (tmp_path / "a.toml").write_text(text)
        environ = {"HOME": str(tmp_path), "PATH": "k"}
        return load(None, [str(tmp_path / "a.toml")], environ, str(tmp_path)).table

    return make


HELD = [
    ('client = "codex"', {"client": "codex"}, {"client": "claude-code"}),
    ('client = ["codex", "zed"]', {"client": "zed"}, {}),
    ('surface = "gemini"', {"surface": "gemini"}, {"surface": "chat"}),
    ('key = "laptop"', {"key": "laptop"}, {"key": ""}),
    ("stream = true", {"stream": True}, {"stream": False}),
    ("stream = false", {"stream": False}, {"stream": True}),
    ("thinking = true", {"thinking": lambda: True}, {"thinking": lambda: False}),
    ("tools = true", {"tools": lambda: ("a",)}, {"tools": lambda: ()}),
    ("tools = false", {"tools": lambda: ()}, {"tools": lambda: ("a",)}),
    ('tool = "web_*"', {"tools": lambda: ("a", "Web_search")}, {"tools": lambda: ("web",)}),
    ("images = true", {"images": lambda: True}, {"images": lambda: False}),
    ("tokens-over = 10", {"size": 99, "tokens": lambda: 11}, {"size": 99, "tokens": lambda: 10}),
    ('time-of-day = "22:00-06:00"', {"minute": lambda: 23 * 60}, {"minute": lambda: 6 * 60}),
    ('time-of-day = "22:00-06:00"', {"minute": lambda: 0}, {"minute": lambda: 22 * 60 - 1}),
    (
        'header = { X-Team = "red*" }',
        {"headers": [(b"x-team", b"blue"), (b"x-team", b"Red-2")]},
        {"headers": [(b"x-teams", b"red")]},
    ),
    (
        'stream = true, client = "codex"',
        {"stream": True, "client": "codex"},
        {"stream": True, "client": "zed"},
    ),
]


@pytest.mark.parametrize(
    ("when", "yes", "no"), HELD, ids=[f"{w}-{i}" for i, (w, _, _) in enumerate(HELD)]
)
def test_conditions(table, when, yes, no):
    made = table((when, "deep"))
    assert made.resolve("plain", lambda: Facts(**yes)).model == "deep"
    assert made.resolve("plain", lambda: Facts(**no)).model == "plain"


def test_the_model_is_what_the_client_spelled_without_suffix(table):
    made = table(('model = "pl*"', "deep"))
    plan = made.resolve("Plain(high)", Facts)
    assert (plan.model, plan.asked, plan.reasoning) == (
        "deep",
        "Plain(high)",
        Reasoning(effort="high"),
    )
    assert made.resolve("plenty", Facts).model == "deep"
    assert made.resolve("plain(odd)", Facts).model == "deep"
    assert made.resolve("other", Facts).model == "other"


def test_the_suffix_says_whether_it_thinks(table):
    made = table(("thinking = true", "deep"), ("thinking = false", "other"))
    asked = {"plain(high)": "deep", "plain(0)": "other", "plain(none)": "other", "plain": "deep"}
    for name, model in asked.items():
        assert made.resolve(name, lambda: Facts(thinking=lambda: True)).model == model


def test_the_first_rule_wins_and_no_rule_is_asked_twice(table):
    made = table(('model = "plain"', "loop"), ('model = "*"', "short"))
    assert made.resolve("plain", Facts).model == "plain"
    plan = made.resolve("unheard-of", Facts)
    assert (plan.model, plan.reasoning) == ("other", Reasoning(effort="low"))


def test_thinking_comes_from_the_client_then_the_rule_then_the_alias(table):
    made = table(("stream = true", "short(max)"), ("stream = false", "short"))
    streaming = lambda: Facts(stream=True)  # noqa: E731
    assert made.resolve("x(none)", streaming).reasoning == Reasoning(effort="none")
    assert made.resolve("x", streaming).reasoning == Reasoning(effort="max")
    assert made.resolve("x", Facts).reasoning == Reasoning(effort="low")


def test_facts_are_made_only_for_tables_with_rules_and_bodies_read_only_when_asked(table):
    def never():
        raise AssertionError

    assert table().resolve("plain", never).model == "plain"
    made = table(('client = "codex", tokens-over = 5, tools = true', "deep"))
    lazy = {"tokens": never, "tools": never, "images": never, "thinking": never, "minute": never}
    assert made.resolve("plain", lambda: Facts(client="zed", size=100, **lazy)).model == "plain"
    lazy["tools"] = lambda: ("a",)
    # Five bytes are never more than five tokens.
    assert made.resolve("plain", lambda: Facts(client="codex", size=5, **lazy)).model == "plain"
    assert made.resolve("plain").model == "plain"


def test_a_rule_that_leads_nowhere_is_told(table):
    made = table(("stream = true", "depe"))
    with pytest.raises(ProxyError) as caught:
        made.resolve("plain", lambda: Facts(stream=True))
    assert str(caught.value) == (
        "unknown provider for model depe, which rule 1 uses for plain; did you mean 'deep'?"
    )
    assert caught.value.status == 404


def test_a_trace_tells_every_step_with_its_place(table, tmp_path):
    made = table(('client = "codex"', "deep"), ("stream = true", "short"))
    trace = made.trace("plain(8192)", lambda: Facts(stream=True))
    file = tmp_path / "a.toml"
    assert [str(step) for step in trace.steps] == [
        "thinking suffix '8192' is cut off",
        f"rule 1 does not hold: client is unknown ({file}:15:1)",
        f"rule 2 holds: use 'short' ({file}:18:1)",
        f"alias 'short' is 'other(low)' ({file}:10:1)",
        f"model 'other' ({file}:7:1)",
    ]
    assert trace.plan == made.resolve("plain(8192)", lambda: Facts(stream=True))
    assert made.place("other") == f"{file}:7:1"
    lost = made.trace("nobody", Facts)
    assert lost.plan is None
    assert lost.error is not None
    assert lost.error.status == 404
    assert [step.kind for step in lost.steps] == ["no-rule", "no-rule"]


@pytest.mark.parametrize(
    ("when", "facts", "why"),
    [
        ('client = "zed"', {"client": "codex"}, "client is codex"),
        ('surface = "chat"', {"surface": "gemini"}, "surface is gemini"),
        ('key = "laptop"', {}, "client key is without a name"),
        ("stream = true", {}, "no stream is wanted"),
        ("stream = false", {"stream": True}, "a stream is wanted"),
        ('model = "x*"', {}, "model is plain"),
        ('header = { a = "b" }', {}, "header does not fit"),
        ('time-of-day = "22:00-06:00"', {"minute": lambda: 545}, "time of day is 09:05"),
        ("thinking = true", {}, "thinking does not fit"),
        ("tools = true", {}, "0 tools are on offer"),
        ('tool = "x"', {}, "tool does not fit"),
        ("images = true", {}, "there are no images"),
        ("images = false", {"images": lambda: True}, "there are images"),
        ("tokens-over = 9", {"size": 99, "tokens": lambda: 7}, "about 7 tokens"),
    ],
)
def test_a_trace_says_why_a_rule_does_not_hold(table, when, facts, why):
    trace = table((when, "deep")).trace("plain", lambda: Facts(**facts))
    assert trace.steps[0].text == f"rule 1 does not hold: {why}"


@pytest.mark.parametrize(
    ("agent", "client"),
    [
        (b"claude-cli/2.1.2 (external, cli)", "claude-code"),
        (b"codex_cli_rs/0.50.0 (Mac OS 26.0.1; arm64)", "codex"),
        (b"codex_vscode/0.50.0", "codex"),
        (b"GeminiCLI/0.34.0/gemini-2.5-pro (linux; x64)", "gemini-cli"),
        (b"QwenCode/0.10.3 (darwin; arm64)", "qwen-code"),
        (b"opencode/1.0.1 ai-sdk/provider-utils/3.0.9", "opencode"),
        (b"curl/8.5.0", ""),
        (b"", ""),
    ],
)
def test_clients_by_user_agent(agent, client):
    assert client_of([(b"host", b"x"), (b"user-agent", agent)]) == client


def test_spans_of_the_day():
    assert within(0, 0, 24 * 60)
    assert within(9 * 60, 9 * 60, 17 * 60)
    assert not within(17 * 60, 9 * 60, 17 * 60)
