"""What a client of this wire called its tools: names that an upstream could not take, free-form ones."""

from __future__ import annotations

from proxy.convo.model import Request
from proxy.jsonio import Json, decode, object_of
from proxy.wire.chat import types as t


class ClientTools:
    """Answers questions about the tools of one request; everything is as it was without a request."""

    def __init__(self, request: Request | None) -> None:
        self._request = request
        tools = request.tools if request is not None else []
        self._known = {tool.name for tool in tools if tool.kind != "server"}
        self._custom = {
            tool.name for tool in tools if tool.kind == "custom" and tool.origin == t.NAME
        }
        self._renamed: dict[str, str] | None = None

    def name(self, sent: str) -> str:
        """The client's name of a tool whose name had to be changed for the upstream."""
        if sent in self._known or self._request is None:
            return sent
        if self._renamed is None:
            # Whose rule changed the name is not known here; the rules do not contradict each other.
            from proxy.wire.anthropic import names as anthropic
            from proxy.wire.gemini import names as gemini
            from proxy.wire.responses import names as responses

            self._renamed = {
                **anthropic.client_names(self._request),
                **gemini.client_names(self._request),
                **responses.client_names(self._request),
            }
        return self._renamed.get(sent, sent)

    def custom(self, name: str) -> bool:
        """Whether the client declared the tool as free-form."""
        return name in self._custom

    def free_form(self, arguments: str) -> str:
        """The input out of the arguments of a function that stood for a free-form tool."""
        if object_of(arguments) is None:
            return arguments
        value: Json = decode(arguments)
        text = value.get("input")
        return text if isinstance(text, str) else arguments
