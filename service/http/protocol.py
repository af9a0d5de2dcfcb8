"""Uvicorn's HTTP protocol with what it lacks: limits on the time and size of a request's head,
patience with a request that arrives while the server leaves, and the short way to the hot paths.

A sweep once a second looks for what is late; so a request pays for one look at the clock, and not
for a timer.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import InvalidInput
from service.http.acceptor import Acceptor
from service.http.answers import AnswerWriter, StandingHeaders
from service.http.direct import DirectExchange
from service.http.edge import Edge
from service.http.heads import Heads, KnownHead
from service.http.routes import DirectRoute, direct_routes

SWEEP_S = 1.0
LINGER_S = 0.2
LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)

Turn = RequestResponseCycle | DirectExchange


class HeadLimitProtocol(HttpToolsProtocol):
    """One connection. `head_began_s` is None while no head is being received.

    Requests that came while another one is answered wait in `pipeline`; `turn` is the one that is
    being answered, `cycle` the one whose body is being received. `between` tells for sure that the
    parser stands between two requests, so that it need not see one whose head is known.
    """

    max_head_bytes = 64 << 10
    head_s = 10.0
    routes: Mapping[bytes, DirectRoute] = {}
    heads: Heads
    answers: AnswerWriter
    acceptor: Acceptor | None = None

    head_began_s: float | None = None
    idle_since_s: float | None = None
    head_bytes = 0
    between = True
    leaving = False
    turn: Turn | None = None

    # What arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection owes us a head at once."""
        super().connection_made(transport)
        self.answers = AnswerWriter(
            transport, self.flow, StandingHeaders(self.server_state), self.on_response_complete
        )
        self.head_began_s = time.monotonic()
        if self.acceptor is not None:
            self.acceptor.connected()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and stop a head that grows without end."""
        is_busy, awaited_since_s = self._is_busy, self.head_began_s
        if self.between and not is_busy and not self.leaving:
            found = self.heads.find(data)
            if found is not None:
                self._take_known(*found)
                return
        begins = self.between or not (is_busy or awaited_since_s)
        earlier, self.between = self.cycle, False
        super().data_received(data)
        if begins and self.cycle is not earlier:
            self.between = self._learn(data, self.cycle)
        # Only what belongs to one head for sure is counted: a chunk may also end a body.
        if awaited_since_s is not None and self.head_began_s == awaited_since_s:
            self.head_bytes += len(data)
            if self.head_bytes > self.max_head_bytes:
                self.end_with(TOO_LARGE)

    def _learn(self, data: bytes, cycle: Turn) -> bool:
        """Whether that was one whole request of the short way; its head may come again."""
        if not isinstance(cycle, DirectExchange) or not (cycle.keep_alive and cycle.body_complete):
            return False
        try:
            asked = cycle.asked()
        except InvalidInput:
            return False  # refused for it, and will be again
        return self.heads.learn(data, self.routes[cycle.raw_path], asked, cycle.fields)

    def _take_known(self, known: KnownHead, body: bytes) -> None:
        self.head_began_s = self.idle_since_s = None
        route, asked = known.route, known.asked
        turned = route.turn_away(asked, body)
        if turned is not None:
            self.answers.whole(turned, turned.lines, turned.body)
            return
        exchange = DirectExchange(
            route, self.answers, asked.query_string, known.fields, keep_alive=True
        )
        self.cycle = self.turn = exchange  # type: ignore[assignment]
        exchange.take_whole(body)

    def on_message_begin(self) -> None:
        """The first byte of a request is here."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self.head_began_s = time.monotonic()
        self.idle_since_s = None
        self.head_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is complete: find the way that this request goes."""
        self.head_began_s = None
        path, _, query = self.url.partition(b"?")
        route = self.routes.get(path)
        if route is None or self.parser.get_method() != b"POST" or self.parser.should_upgrade():
            self._go_the_long_way()
        else:
            self._go_the_short_way(route, query)
        if self.leaving:
            self.cycle.keep_alive = False

    def _go_the_long_way(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()

    def _go_the_short_way(self, route: DirectRoute, query: bytes) -> None:
        exchange = DirectExchange(
            route,
            self.answers,
            query,
            self.headers,
            keep_alive=self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive(),
            expects_continue=self.expect_100_continue,
        )
        waits = self.cycle is not None and not self.cycle.response_complete
        self.cycle = exchange  # type: ignore[assignment]
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, None))  # type: ignore[arg-type]
        else:
            self.turn = exchange
            exchange.take_turn()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.turn = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        if isinstance(self.cycle, DirectExchange):
            self.cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a body."""
        if isinstance(self.cycle, DirectExchange):
            self.cycle.complete()
        else:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: whoever works for it hears of it at once."""
        turn = self.turn
        if isinstance(self.cycle, DirectExchange):
            self.cycle = None  # uvicorn would take it for its own
        super().connection_lost(exc)
        if isinstance(turn, DirectExchange):
            turn.lose_client()
        elif turn is not None and not turn.response_complete:
            turn.disconnected = True
            turn.message_event.set()

    # What leaves

    def on_response_complete(self) -> None:
        """Go on to the next request, if one waits and the client takes its answers."""
        self.server_state.total_requests += 1
        self._go_on()

    def _go_on(self) -> None:
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self.flow.pause_reading()  # who does not read its answers gets no more of them
        elif self.pipeline:
            # In a turn of the loop of its own: a thousand of them must not be a thousand deep.
            self.loop.call_soon(self._take_next)
        else:
            self.idle_since_s = time.monotonic()
            self.flow.resume_reading()

    def _take_next(self) -> None:
        if not self.pipeline or self._is_busy or self.transport.is_closing():
            return
        cycle, app = self.pipeline.pop()
        if not self.pipeline:
            self.flow.resume_reading()  # the rest of its body may be on its way
        if isinstance(cycle, DirectExchange):
            self.turn = cycle
            cycle.take_turn()
        else:
            self._start_asgi_task(cycle, app)

    def resume_writing(self) -> None:
        """The client reads its answers again."""
        super().resume_writing()
        if not self._is_busy:
            self._go_on()
        elif not self.pipeline:
            self.flow.resume_reading()  # the rest of its body may be on its way

    @property
    def _is_busy(self) -> bool:
        return self.turn is not None and not self.turn.response_complete

    # The end

    def shutdown(self) -> None:
        """The server leaves: answer what is here or just arriving, then close."""
        self.leaving = True
        if self.is_idle:
            # The client may have sent a request that we have not read yet.
            self.loop.call_later(LINGER_S, self.end_if_idle)
        else:
            super().shutdown()

    def cut_short(self) -> None:
        """The server waits no longer: answer that it stops, where ASGI has no task to cancel."""
        if isinstance(self.turn, DirectExchange):
            self.turn.interrupt()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def end_if_idle(self) -> None:
        """Close the connection unless a request came meanwhile."""
        if self.is_idle:
            super().shutdown()

    def end_if_late(self, now_s: float) -> None:
        """Give up what has been on its way for too long: a head, a body, or the next request."""
        if self.head_began_s is not None and now_s - self.head_began_s > self.head_s:
            self.end_with(LATE)
        elif self.idle_since_s is not None and now_s - self.idle_since_s > self.timeout_keep_alive:
            self.timeout_keep_alive_handler()
        elif isinstance(self.turn, DirectExchange):
            self.turn.give_up_body(now_s)

    def end_with(self, answer: bytes) -> None:
        """Say why, and close."""
        self.head_began_s = None
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()


async def end_late(state: ServerState) -> None:
    """Give up for ever what is late; run it as a task beside the server."""
    while True:
        await asyncio.sleep(SWEEP_S)
        now_s = time.monotonic()
        for connection in tuple(state.connections):
            if isinstance(connection, HeadLimitProtocol):
                connection.end_if_late(now_s)


def protocol_with(head_s: float, edge: Edge | None = None) -> type[HeadLimitProtocol]:
    """The protocol class for uvicorn, which gives a head `head_s` seconds."""
    namespace: dict[str, Any] = {
        "head_s": head_s,
        "routes": {} if edge is None else direct_routes(edge),
        "heads": Heads(),
    }
    return type("BoundHeadLimitProtocol", (HeadLimitProtocol,), namespace)
