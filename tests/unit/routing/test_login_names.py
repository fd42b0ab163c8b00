"""`oauth-model-mappings` and `oauth-excluded-models`: the names of accounts that log in, not of keys."""

from __future__ import annotations

from proxy.config.declared import Account, Declared, ModelMapping
from proxy.config.model import Credential, ListedModel
from proxy.routing.build import build

NAMES = ("gpt-5", "gpt-6", "gpt-5-old")


def account(name: str, *, login: bool = True, **more) -> Account:
    credential = Credential(
        id=name,
        provider="codex",
        wire="responses",
        base_url="http://u.test",
        account=f"{name}.json" if login else "",
    )
    listed = tuple((model, ListedModel(id=model)) for model in NAMES)
    return Account(credential=credential, group="codex", listed=listed, **more)


def table(*accounts: Account, **more):
    mappings = {
        "codex": (
            ModelMapping(name="GPT-5", alias="fast", fork=True),
            ModelMapping(name="gpt-6", alias="best"),
        ),
        "claude": (ModelMapping(name="gpt-5-old", alias="never"),),
    }
    excluded = {"codex": ("*-old",)}
    return build(Declared(accounts=accounts, mappings=mappings, excluded=excluded, **more))[0]


def ids(made) -> list[str]:
    return [model.id for model in made.listed()]


def upstream_name(made, asked: str) -> str:
    return made.resolve(asked).targets[0].candidates[0].model


def test_names_of_logins_are_mapped_and_left_out():
    made = table(account("a"))
    assert ids(made) == ["best", "fast", "gpt-5"]
    assert [upstream_name(made, id) for id in ids(made)] == ["gpt-6", "gpt-5", "gpt-5"]


def test_keys_keep_their_names():
    assert ids(table(account("a", login=False))) == sorted(NAMES)


def test_prefixes_come_before_the_new_names():
    made = table(account("a", prefix="work"), force_prefix=True)
    assert ids(made) == ["work/best", "work/fast", "work/gpt-5"]
