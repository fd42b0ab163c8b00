"""Credentials, plans and failures for tests of the pool, and a driver that spends a pool as the
exchange does, against scripted accounts and an injected clock."""

from __future__ import annotations

from collections.abc import Callable

from proxy.accounts.pool import Pool
from proxy.config.model import Candidate, Credential, Plan, Target
from proxy.errors import Fault, ProxyError, Retry

WALL = 1_750_000_000.0


def candidate(name: str, model: str = "m", **more) -> Candidate:
    more = {"provider": "openai-compat", "wire": "chat"} | more
    credential = Credential(id=name, base_url="http://127.0.0.1:1", **more)
    return Candidate(credential=credential, model=model)


def target(upstream: str, *ids: str, model: str = "m", **more) -> Target:
    return Target(upstream=upstream, candidates=tuple(candidate(i, model, **more) for i in ids))


def plan(*targets: Target, model: str = "m", **more) -> Plan:
    return Plan(asked=model, model=model, targets=targets, **more)


def plain(*ids: str, model: str = "m", strategy: str = "round-robin", **more) -> Plan:
    """A plan of one upstream."""
    return plan(target("u", *ids, model=model, **more), model=model, strategy=strategy)


def failure(status: int, **more) -> ProxyError:
    more = {"retry": Retry.CREDENTIAL, "kind": "upstream_error"} | more
    return ProxyError("x", fault=Fault.UPSTREAM, status=status, **more)


def ids(pool: Pool, the_plan: Plan, now: float = 0.0, session: str = "", **more) -> list[str]:
    order = pool.order(the_plan.targets[0], the_plan, now, session, **more)
    return [c.credential.id for c in order]


class Caller:
    """Sends requests through a pool. `answers` says what an account does with a model at a time:
    None = it answers, else the failure; headers of its replies come from `headers`."""

    def __init__(
        self,
        pool: Pool,
        answers: Callable[[str, str, float], ProxyError | None],
        headers: Callable[[str, float], list[tuple[bytes, bytes]]] = lambda _name, _now: [],
    ) -> None:
        self.pool = pool
        self.answers = answers
        self.headers = headers
        self.now = 0.0
        self.calls: list[tuple[float, str, str]] = []

    def request(self, the_plan: Plan, session: str = "") -> str:
        """One client request; the id of the account that served it. Raises what the client sees."""
        pool, failed = self.pool, None
        for each in pool.targets(the_plan):
            for chosen in pool.order(each, the_plan, self.now, session):
                if not pool.usable(chosen, self.now):
                    continue
                pool.take(chosen)
                name = chosen.credential.id
                self.calls.append((self.now, name, chosen.model))
                pool.signals(chosen, self.headers(name, self.now), self.now, WALL + self.now)
                error = self.answers(name, chosen.model, self.now)
                if error is None:
                    pool.succeeded(chosen, the_plan, self.now, session)
                    pool.give_back(chosen)
                    return name
                pool.failed(chosen, the_plan, error, self.now, session)
                pool.give_back(chosen)
                if error.retry is Retry.NEVER:
                    raise error
                failed = error
        raise failed or pool.exhausted(the_plan, self.now)

    def try_request(self, the_plan: Plan, session: str = "") -> str:
        """As `request`; "" where the client gets an error."""
        try:
            return self.request(the_plan, session)
        except ProxyError:
            return ""

    def called(self, name: str) -> list[float]:
        """When an account was called."""
        return [at for at, who, _ in self.calls if who == name]
