"""`pointsman transcode`: what a person types wrong is answered in one line."""

from __future__ import annotations

import json

import pytest

from proxy import __main__

REQUEST = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "answer.sse").write_text('data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n')
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("--from claude --to gemini nofile", 1, "pointsman: nofile: No such file or directory\n"),
        ("--from claude --to gemini .", 1, "pointsman: .: Is a directory\n"),
        ("--batch nofile --out out", 1, "pointsman: nofile: No such file or directory\n"),
        (
            "--batch broken.json --out out",
            1,
            "pointsman: broken.json:1: is no case: Input data was",
        ),
        ("--batch broken.json --out no/out", 1, "pointsman: no/out: No such file or directory\n"),
        ("--from claude --to gemini broken.json", 1, "transcode: The request body is not a JSON"),
        ("--batch broken.json", 2, "pointsman: --batch needs --out\n"),
        ("--from claude", 2, "pointsman: --from and --to are needed (or --batch)\n"),
        (
            "--form claude",
            2,
            "pointsman: unrecognized arguments: --form; did you mean --from?",
        ),
        ("--from clade --to chat request.json", 2, "pointsman: unknown wire 'clade'; did you mean"),
    ],
)
def test_mistakes(words, status, said, capsys):
    try:
        found = __main__.main(["transcode", *words.split()])
    except SystemExit as end:
        found = end.code
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert "Traceback" not in told
    assert found == status


def test_a_request_that_asks_for_a_stream(capsys):
    words = ["transcode", "--from", "claude", "--to", "chat", "request.json"]
    assert __main__.main([*words, "--kind", "request", "--stream"]) == 0
    assert json.loads(capsys.readouterr().out)["stream"] is True
    assert __main__.main(words) == 0
    assert not json.loads(capsys.readouterr().out).get("stream")


def test_a_stream_from_the_upstreams_wire(capsys):
    assert (
        __main__.main(["transcode", "--from", "chat", "--to", "claude", "--stream", "answer.sse"])
        == 0
    )
    assert "content_block_delta" in capsys.readouterr().out


def test_a_batch(folder, capsys):
    case = {
        "id": "1",
        "kind": "request",
        "client": "claude",
        "upstream": "openai",
        "client_request": REQUEST,
    }
    (folder / "in.jsonl").write_text(json.dumps(case) + "\n\n")
    assert __main__.main(["transcode", "--batch", "in.jsonl", "--out", "out.jsonl"]) == 0
    (made,) = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert (made["id"], made["ok"], made["upstream_request"]["messages"][0]["role"]) == (
        "1",
        True,
        "user",
    )
