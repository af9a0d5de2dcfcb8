"""Uvicorn's HTTP protocol with what it lacks: limits on the time and size of a request's head,
patience with a request that arrives while the server leaves, and the short way to the hot paths.

A sweep once a second looks for what is late; so a request pays for one look at the clock, and not
for a timer.
"""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import InvalidInput, ServiceError
from service.http.acceptor import Acceptor
from service.http.answers import AnswerWriter, StandingHeaders, problem_form
from service.http.asgi import SCOPE_KEY, AsgiExchange
from service.http.direct import DirectExchange
from service.http.edge import Edge
from service.http.errors import Refusal, problem_of
from service.http.exchange import UNROUTED, new_request_id
from service.http.heads import Heads, KnownHead
from service.http.limits import Limits
from service.http.neighbours import SharedPortProtocol
from service.http.parsing import ReadingProtocol
from service.http.routes import DirectRoute, direct_routes
from service.http.standstill import Standstill
from service.http.turning_away import Refused

SWEEP_S = 1.0
LINGER_S = 0.2
LATE = Refusal(HTTPStatus.REQUEST_TIMEOUT, "The head did not arrive in time; send it again.")

Turn = RequestResponseCycle | DirectExchange


class HeadLimitProtocol(ReadingProtocol, SharedPortProtocol):
    """One connection.

    Requests that came while another one is answered wait in `pipeline`; `turn` is the one that is
    being answered, `cycle` the one whose body is being received. `between` tells for sure that the
    parser stands between two requests, so that it need not see one whose head is known.
    `last_words` close the connection after the answers that are due.
    """

    head_s = 10.0
    edge: Edge | None = None
    server_leaves = False
    routes: Mapping[bytes, DirectRoute] = {}
    heads: Heads
    standing_headers: StandingHeaders
    answers: AnswerWriter
    acceptor: Acceptor | None = None

    between = True
    leaving = False
    last_words: Refusal | ServiceError | None = None
    standstill: Standstill
    turn: Turn | None = None

    # What arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection owes us a head at once, unless a neighbour has fewer connections."""
        if self.acceptor is not None:
            self.acceptor.connected()
        if not self.settled and self.passes_on(transport, len(self.connections)):
            return
        super().connection_made(transport)
        self.tell_neighbours()
        self.answers = AnswerWriter(
            transport,
            self.flow,
            self.standing_headers,
            self.server_state,
            self.on_response_complete,
        )
        self.standstill = Standstill()
        if self.owes_nothing:
            self.idle_since_s = time.monotonic()
        else:
            self.head_began_s = time.monotonic()
        if self.server_leaves:  # it was accepted before
            self.shutdown()

    def _pass_on_if_idle(self) -> None:
        """Once its answer is written, and unless its client has asked again."""
        is_asked = self.inside or self.pipeline or self._is_busy
        if is_asked or not isinstance(self.cycle, DirectExchange):
            return
        if not self.transport.is_closing() and not self.transport.get_write_buffer_size():
            self.passes_on(self.transport, len(self.connections) - 1, is_idle=True)

    def data_received(self, data: bytes) -> None:
        """Requests, or pieces of them."""
        if self.last_words is not None:
            return
        is_busy = self._is_busy
        if self.between and not is_busy and not self.leaving:
            found = self.heads.find(data)
            if found is not None:
                self._take_known(*found)
                return
        begins = self.between or not (is_busy or self.head_began_s or self.inside)
        earlier, self.between = self.cycle, False
        self.parse(data)
        if begins and self.cycle is not earlier:
            self.between = self._learn(data, self.cycle)

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
        began_s = time.monotonic()
        turned = route.turn_away(asked, body)
        if turned is not None:
            answer = turned.answer(self._always, began_s)
            if not self.transport.is_closing():
                self.transport.write(answer)
            self.on_response_complete()
            return
        exchange = DirectExchange(
            route, self.answers, asked.query_string, known.fields, keep_alive=True
        )
        self.cycle = self.turn = exchange  # type: ignore[assignment]
        exchange.take_whole(body)

    def take_head(self) -> None:
        """Find the way that this request goes."""
        path, _, query = self.url.partition(b"?")
        route = self.routes.get(path)
        if route is None or self.parser.get_method() != b"POST":
            self._go_the_long_way()
        else:
            self._go_the_short_way(route, query)
        if self.leaving or self.parser.get_method() == b"CONNECT":  # which never ends
            self.cycle.keep_alive = False

    def _go_the_long_way(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        HttpToolsProtocol.on_headers_complete(self)
        self.body_limit = self.limits.body_limit(self.scope["path"])

    def _go_the_short_way(self, route: DirectRoute, query: bytes) -> None:
        exchange = DirectExchange(
            route,
            self.answers,
            query,
            self.headers,
            keep_alive=self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive(),
            expects_continue=self.expect_100_continue,
        )
        self.body_limit = exchange.body_limit
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

    def end_body(self) -> None:
        """The end of a body."""
        if isinstance(self.cycle, DirectExchange):
            self.cycle.complete()
        else:
            HttpToolsProtocol.on_message_complete(self)

    def break_off(self, reason: Refusal | ServiceError) -> None:
        """The body that is being received will not come to a good end."""
        cycle = self.cycle
        if isinstance(cycle, DirectExchange):
            cycle.break_off(reason)
        elif self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()  # it waits for its turn, and is told then
            self.end_with(reason)
        else:
            # its task was to begin before
            self.loop.call_soon(self._interrupt, cycle, reason)

    def _interrupt(self, cycle: RequestResponseCycle, reason: Refusal | ServiceError) -> None:
        exchange: AsgiExchange | None = cycle.scope.get(SCOPE_KEY)  # type: ignore[assignment]
        if cycle.response_started or exchange is None:
            self.transport.close()
        else:
            exchange.interrupt(reason)

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
        elif self.last_words is not None:
            self._say_last(self.last_words)
        else:
            self.idle_since_s = time.monotonic()
            self.flow.resume_reading()
            if self.neighbours is not None and self.neighbours.surplus:
                self.loop.call_soon(self._pass_on_if_idle)

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
        """Give up what has been on its way for too long: a head, a body, the next request, or
        answers that nobody reads."""
        if self._is_stuck(now_s):
            self.transport.abort()
        elif self.head_began_s is not None and now_s - self.head_began_s > self.head_s:
            if self._is_busy or self.pipeline or self.flow.read_paused:
                self.head_began_s = now_s  # it may be we who did not read it
            else:
                self.end_with(LATE)
        elif self.head_began_s is not None:
            return
        elif self.idle_since_s is not None and now_s - self.idle_since_s > self.timeout_keep_alive:
            self.timeout_keep_alive_handler()
        elif isinstance(self.turn, DirectExchange):
            self.turn.give_up_body(now_s)

    def _is_stuck(self, now_s: float) -> bool:
        if self.flow.write_paused or self.transport.is_closing():
            return self.standstill.lasts(self.transport, now_s)
        self.standstill.forget()
        return False

    def end_with(self, refusal: Refusal | ServiceError) -> None:
        """Say why, once all answers that are due are given, and close."""
        self.head_began_s = None
        if self._is_busy or self.pipeline:
            self.last_words = refusal
            self.flow.pause_reading()
        else:
            self._say_last(refusal)

    def _say_last(self, error: Refusal | ServiceError) -> None:
        if self.transport.is_closing():
            return
        if self.edge is None or not self.inside:  # who sent nothing made no request
            name = new_request_id()
            form = problem_form(problem_of(error), self._always, keep_alive=False)
            answer = form % (b"", name, name)
        else:
            turning_away, began_s = self.edge.turning_away, time.monotonic()
            turned = turning_away.by(Refused(error), UNROUTED, b"", method="-", keep_alive=False)
            answer = turned.answer(self._always, began_s)
        self.transport.write(answer)
        self.transport.close()
        self.on_response_complete()

    @property
    def _always(self) -> bytes:
        return self.standing_headers.lines(self.server_state)


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
        "edge": edge,
        "limits": Limits() if edge is None else edge.limits,
        "routes": {} if edge is None else direct_routes(edge),
        "heads": Heads(),
        "standing_headers": StandingHeaders(),
    }
    return type("BoundHeadLimitProtocol", (HeadLimitProtocol,), namespace)
