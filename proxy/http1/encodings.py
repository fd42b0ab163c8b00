"""Content-codings undone, bounded: gzip, deflate (zlib or raw), br, zstd; alone or stacked.

`brotli` and `zstandard` are optional; Python 3.14 brings its own zstd. A coding that this machine
cannot undo is unknown, never skipped.
"""

from __future__ import annotations

import sys
import zlib
from typing import Final, Protocol

from proxy.http1 import limits
from proxy.http1.fields import tokens
from proxy.http1.limits import BadRequest

PIECE: Final = 64 * 1024
"""Most bytes that one step of a decoder gives."""
_INPUT: Final = 16 * 1024
"""Bytes given to a decoder at a time: what it cannot take yet it holds, and copies."""
_ZSTD_WINDOW_LOG: Final = 23
"""RFC 9659: 8 MiB is the most that a content-coding may ask for."""
_ZSTD_SLICE: Final = 256
"""A zstd block needs 4 bytes and makes 128 KiB at most, so a slice makes 8 MiB at most."""


class BadCoding(Exception):  # noqa: N818 - reads as what happened
    """The encoded body is malformed or ends early."""


class UnknownCoding(Exception):  # noqa: N818 - reads as what happened
    """A coding that is not spoken here; the message is its name."""


class Decoder(Protocol):
    """One coding. `step(data)` takes all of `data` in and gives at most PIECE bytes; then call it
    with b"" until it gives nothing, and only then with more data. Raises BadCoding."""

    def step(self, data: bytes) -> bytes:
        """See the class."""
        ...

    def finished(self) -> bool:
        """Whether the body may end here."""
        ...


class _Zlib:
    """gzip (also several members) and deflate; zlib does the bounding."""

    def __init__(self, coding: bytes) -> None:
        self._gzip = coding == b"gzip"
        self._coder: zlib._Decompress | None = None
        self._held = b""
        self._started = False

    def step(self, data: bytes) -> bytes:
        data = self._held + data if self._held else data
        out = b""
        while data and not out:
            coder = self._coder_for(data)
            if coder is None:
                break
            self._started = True
            try:
                out = coder.decompress(data, PIECE)
            except zlib.error:
                raise BadCoding("the compressed body is malformed") from None
            data = coder.unused_data if coder.eof else coder.unconsumed_tail
        else:
            if not data and not out and self._coder is not None:
                # zlib may hold output back that the last step had no room for.
                out = b"" if self._coder.eof else self._coder.decompress(b"", PIECE)
        self._held = data
        return out

    def _coder_for(self, data: bytes) -> zlib._Decompress | None:
        """The coder that `data` goes to; None while two bytes are not there to tell which."""
        if self._coder is not None and not self._coder.eof:
            return self._coder
        if self._gzip:
            self._coder = zlib.decompressobj(31)
            return self._coder
        if self._coder is not None:
            raise BadCoding("bytes behind the compressed body")
        if len(data) < 2:
            return None
        # deflate means zlib by the standard and raw by habit.
        is_zlib = data[0] & 15 == 8 and (data[0] * 256 + data[1]) % 31 == 0
        self._coder = zlib.decompressobj(15 if is_zlib else -15)
        return self._coder

    def finished(self) -> bool:
        return not self._held and (self._coder is None or self._coder.eof or not self._started)


class _Brotli:
    def __init__(self) -> None:
        import brotli  # optional, and 1 MB

        self._coder = brotli.Decompressor()
        self._error = brotli.error
        self._started = False

    def step(self, data: bytes) -> bytes:
        if data and self._coder.is_finished():
            raise BadCoding("bytes behind the compressed body")
        self._started = self._started or bool(data)
        try:
            return bytes(self._coder.process(data, output_buffer_limit=PIECE))
        except self._error:
            raise BadCoding("the compressed body is malformed") from None

    def finished(self) -> bool:
        return not self._started or bool(self._coder.is_finished())


class _Zstd:
    """One or more frames, through `zstandard` or Python's own module, in slices that cannot explode."""

    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd  # 3.14 and later

            options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
            self._make = lambda: zstd.ZstdDecompressor(options=options)
            self._error = zstd.ZstdError
        else:
            import zstandard  # optional, and 2 MB

            coder = zstandard.ZstdDecompressor(max_window_size=1 << _ZSTD_WINDOW_LOG)
            self._make = coder.decompressobj
            self._error = zstandard.ZstdError
        self._coder = self._make()
        self._held = b""
        self._ready = b""
        self._started = False

    def step(self, data: bytes) -> bytes:
        self._held = self._held + data if self._held else data
        while not self._ready and self._held:
            if self._coder.eof:
                self._coder = self._make()
            piece, self._held = self._held[:_ZSTD_SLICE], self._held[_ZSTD_SLICE:]
            self._started = True
            try:
                self._ready = self._coder.decompress(piece)
            except self._error:
                raise BadCoding("the compressed body is malformed") from None
            if self._coder.eof and self._coder.unused_data:
                self._held = self._coder.unused_data + self._held
        out, self._ready = self._ready[:PIECE], self._ready[PIECE:]
        return out

    def finished(self) -> bool:
        return not self._held and not self._ready and (self._coder.eof or not self._started)


class _Chain:
    """Codings applied in the order given, so undone from the last."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._first = decoders[-1]
        self._rest: Decoder = decoders[0] if len(decoders) == 2 else _Chain(decoders[:-1])

    def step(self, data: bytes) -> bytes:
        out = self._rest.step(b"")
        while not out:
            middle = self._first.step(data)
            data = b""
            if not middle:
                return b""
            out = self._rest.step(middle)
        return out

    def finished(self) -> bool:
        return self._first.finished() and self._rest.finished()


def decoder_for(header: bytes) -> Decoder | None:
    """The decoder of a Content-Encoding value; None for identity. Raises UnknownCoding."""
    names = [name for name in tokens(header) if name != b"identity"]
    if not names:
        return None
    if len(names) > limits.CODINGS:
        raise UnknownCoding(f"more than {limits.CODINGS} codings")
    decoders = [_decoder(name) for name in names]
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


def _decoder(name: bytes) -> Decoder:
    try:
        if name in {b"gzip", b"x-gzip"}:
            return _Zlib(b"gzip")
        if name == b"deflate":
            return _Zlib(name)
        if name == b"br":
            return _Brotli()
        if name == b"zstd":
            return _Zstd()
    except ImportError:
        pass
    raise UnknownCoding(name.decode("latin-1")[:40])


def decode_body(header: bytes, body: bytes, limit: int) -> bytes:
    """A whole request body undone.

    Raises:
        BadRequest: 413 past `limit` bytes, 415 for an unknown coding, 400 for a malformed body.
    """
    try:
        decoder = decoder_for(header)
        if decoder is None:
            return body
        parts: list[bytes] = []
        size = 0
        for start in range(0, len(body), _INPUT):
            piece = decoder.step(body[start : start + _INPUT])
            while piece:
                size += len(piece)
                if size > limit:
                    raise BadRequest(413, "The request body is too large once decompressed.")
                parts.append(piece)
                piece = decoder.step(b"")
        if not decoder.finished():
            raise BadRequest(400, "The compressed request body ends early.")
        return b"".join(parts)
    except UnknownCoding as unknown:
        raise BadRequest(415, f"The Content-Encoding is not spoken here: {unknown}.") from None
    except BadCoding as wrong:
        raise BadRequest(400, f"Malformed request: {wrong}.") from None
