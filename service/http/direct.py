"""The short way of a request: from the connection to its endpoint and back, without a task, an
ASGI message or a timer of its own. Those cost more than all the rest of a small request.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

from service.errors import Cancelled, InvalidInput, ServiceError
from service.http.answers import AnswerWriter
from service.http.client_watch import LEFT
from service.http.edge import stopped
from service.http.errors import Refusal
from service.http.exchange import Exchange, Fields, event_of
from service.http.limits import check_head, too_large, too_slow
from service.http.routes import DirectRoute
from service.tracing.current import served

JSON_LINE = b"content-type: application/json\r\n"
EVENT_LINES = b"content-type: text/event-stream\r\ncache-control: no-store\r\n"
MANY = 1024  # chunks that are joined to one
LEFT_EARLY = "The client left before its request was complete."
_UNWATCHED = nullcontext()


class DirectExchange(Exchange):
    """One request of one connection. The connection feeds it; it answers through the connection.

    The endpoint is started when the body is complete, and is a coroutine that is stepped by hand:
    whenever the future that it awaits is done, it goes on in that future's callback.
    """

    __slots__ = (
        "_answers",
        "_awaited",
        "_chunks",
        "_coroutine",
        "_door",
        "_edge",
        "_endpoint",
        "_joined",
        "_must_cancel",
        "_size",
        "_turn_s",
        "expects_continue",
        "has_told",
        "interruption",
        "is_its_turn",
        "keep_alive",
        "response_complete",
    )

    def __init__(
        self,
        route: DirectRoute,
        answers: AnswerWriter,
        query_string: bytes,
        fields: Fields,
        *,
        keep_alive: bool,
        expects_continue: bool = False,
    ) -> None:
        super().__init__("POST", route.path, route.raw_path, query_string, fields)
        self.bind(route.edge.limits)
        self.endpoint = route.path
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.is_its_turn = False
        self.response_complete = False
        self.has_told = False
        self.interruption: ServiceError | Refusal | None = None
        self._edge = route.edge
        self._endpoint = route.endpoint
        self._door = route.door
        self._answers = answers
        self._chunks: list[bytes] = []
        self._size = self._joined = 0
        self._turn_s = self.began_s
        self._coroutine: Coroutine[Any, Any, bytes | None] | None = None
        self._awaited: asyncio.Future[Any] | None = None
        self._must_cancel = False

    # What the connection tells

    def take_turn(self) -> None:
        """The requests before this one on its connection are answered."""
        self.is_its_turn = True
        self._turn_s = time.monotonic()
        self._edge.begin(self)
        if self.interruption is not None:
            self._refuse(self.interruption)
            return
        try:
            check_head(self, self.limits)
        except Exception as error:
            self._refuse(error)
            return
        if self.body_complete:
            self._start()
        elif self.expects_continue:
            self._answers.ask_for_body()

    def take_whole(self, body: bytes) -> None:
        """It is its turn, its head passed all checks, the door lets it in, and this is its body."""
        self.is_its_turn = self.body_complete = True
        self._edge.begin(self)
        if body:
            self._chunks.append(body)
        self._size = len(body)
        self._enter()

    def feed(self, chunk: bytes) -> None:
        """More of the body."""
        if self.response_complete:
            return  # refused: nobody needs the rest
        self._size += len(chunk)
        if self._size > self.body_limit:
            self.break_off(too_large(self.body_limit))
            return
        self._chunks.append(chunk)
        if len(self._chunks) - self._joined == MANY:  # a body of bytes would take fifty times that
            self._chunks[self._joined :] = [b"".join(self._chunks[self._joined :])]
            self._joined += 1

    def break_off(self, reason: ServiceError | Refusal) -> None:
        """Its body will not come to a good end."""
        if self.response_complete:
            return
        self._chunks.clear()
        if self.is_its_turn:
            self.interrupt(reason)
        elif self.interruption is None:
            self.interruption = reason

    def complete(self) -> None:
        """The body has come to its end."""
        if self.response_complete:
            return
        self.body_complete = True
        if self.is_its_turn:
            self._start()

    def lose_client(self) -> None:
        """The connection is gone."""
        if self.is_its_turn:
            self.interrupt(Cancelled(LEFT if self.body_complete else LEFT_EARLY))

    def give_up_body(self, now_s: float) -> None:
        """Wait no longer for a body that is late by now."""
        waits = self.is_its_turn and not self.body_complete
        if waits and now_s - self._turn_s > self.limits.body_s:
            self.interrupt(too_slow(self.limits.body_s))

    def interrupt(self, reason: ServiceError | Refusal | None = None) -> None:
        """Stop working on this request, because of `reason` or because the server stops."""
        if self.response_complete or self.interruption is not None:
            return
        self.interruption = reason or stopped()
        if self._awaited is None:
            self._refuse(self.interruption)
        else:
            # Its callback goes on with the endpoint, which ends; where that is on its way already,
            # with the next future that the endpoint awaits.
            self._must_cancel = not self._awaited.cancel()

    # The endpoint

    def _start(self) -> None:
        if self._door is not None:
            try:
                asked = self.asked()
            except InvalidInput as error:
                self._refuse(error)
                return
            refused = self._door(asked, self._chunks[0] if len(self._chunks) == 1 else None)
            if refused is not None:
                self.model, self.version = refused.model, refused.version
                self._refuse(refused.error)
                return
        self._enter()

    def _enter(self) -> None:
        self._coroutine = cast(Coroutine[Any, Any, bytes | None], self._endpoint(self))
        self._step()

    def _step(self, awaited: object = None) -> None:
        """Go on until the endpoint awaits something or ends."""
        coroutine = cast(Coroutine[Any, Any, bytes | None], self._coroutine)
        self._awaited = None
        if self.response_complete:  # interrupted between two turns of the loop
            coroutine.close()
            return
        token = served.set(self)  # a task would have a context of its own
        try:
            future = coroutine.send(None)
        except StopIteration as end:
            self._reply(end.value)
        except asyncio.CancelledError:
            self._refuse(self.interruption or stopped())
        except Exception as error:
            self._refuse(error)
        else:
            self._await(future)
        finally:
            served.reset(token)

    def _await(self, future: asyncio.Future[Any] | None) -> None:
        if future is None:  # asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self._step)
            return
        self._awaited = future
        future._asyncio_future_blocking = False  # as a task does: we have seen it
        future.add_done_callback(self._step)
        if self._must_cancel:
            self._must_cancel = not future.cancel()

    # What the endpoint asks

    async def body(self) -> bytes:
        """The whole body; it is here when the endpoint starts."""
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body, as it came."""
        for chunk in self._chunks:
            yield chunk

    def watched(self) -> AbstractContextManager[None]:
        """Interrupts its block once the client has left: the connection notices by itself."""
        return _UNWATCHED

    def tell(self, event: bytes) -> None:
        """Send an event, unless the client is behind."""
        if not (self.has_told and self._answers.is_full):
            self.tell_last(event)

    def tell_last(self, event: bytes) -> None:
        """Send an event."""
        if self.response_complete:
            return
        if not self.has_told:
            self.has_told = True
            self.status = 200
            self._answers.begin(self, self._signed(EVENT_LINES))
        self._answers.piece(event)

    # The end

    def _reply(self, body: bytes | None) -> None:
        self.status = 200
        self.outcome = "ok"
        self._finish(JSON_LINE, body or b"")

    def _refuse(self, error: BaseException) -> None:
        problem = self._edge.judge(self, error)
        if isinstance(error, Cancelled):
            self.response_complete = True
            self._edge.end(self)
            return
        if not self.body_complete:
            self.keep_alive = False  # nobody will read the rest of that body
        body = problem.body(self.request_id)
        if self.has_told:  # too late for another status
            self.tell_last(event_of(b"error", body))
        self._finish(problem.lines, body)

    def _finish(self, lines: bytes, body: bytes) -> None:
        self.response_complete = True
        if self.has_told:
            self._answers.end(self)
        else:
            self._answers.whole(self, self._signed(lines), body)
        self._edge.end(self)  # while the client reads

    def _signed(self, lines: bytes) -> bytes:
        if self.trace is None:
            return lines
        return lines + b"traceparent: %b\r\n" % self.trace.traceparent
