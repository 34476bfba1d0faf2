"""No answer of a server takes more memory than an answer can: a request that ran out of time would read on for ever."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

_MOST = 1 << 26  # bytes: log-probabilities of a prompt of 100,000 tokens take a tenth of it
_MOST_PACKED = 1 << 20  # of an answer packed unasked, which may unpack to a thousand times that


class EndlessError(Exception):
    """An answer went on and on."""


def bounded(response: Any) -> None:
    """Let the body of an HTTP ``response`` end in an `EndlessError` where it is longer than an answer is."""
    # The client brings its HTTP library, which has had more than one name.
    library: Any = sys.modules[type(response).__module__.partition(".")[0]]
    packed = response.headers.get("content-encoding", "identity") != "identity"
    most, stream = _MOST_PACKED if packed else _MOST, response.stream

    class Bounded(library.SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            read = 0
            for piece in stream:
                read += len(piece)
                if read > most:
                    raise EndlessError(f"sent more than {most >> 20} MB in answer to one request, which is not read on")
                yield piece

        def close(self) -> None:
            stream.close()

    response.stream = Bounded()
