"""The states of the process: starting → ready → draining. Nothing goes back."""

from enum import Enum

from service.errors import NotReady


class State(Enum):
    """Where the process is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Lifecycle:
    """The one place that knows whether requests may come and whether they are answered."""

    def __init__(self) -> None:
        self._state = State.STARTING
        self._has_models = False

    @property
    def state(self) -> State:
        """Where the process is now."""
        return self._state

    def become_ready(self) -> None:
        """All required models are loaded and warm; no effect once draining."""
        if self._state is State.STARTING:
            self._state = State.READY
            self._has_models = True

    def begin_drain(self) -> None:
        """The process is about to leave: no new traffic, please; what comes is still answered."""
        self._state = State.DRAINING

    def require_ready(self) -> None:
        """NotReady unless new traffic is welcome; what a load balancer asks."""
        if self._state is State.DRAINING:
            raise NotReady("The service is shutting down; send the request to another replica.")
        self.require_started()

    def require_started(self) -> None:
        """NotReady while the models are loaded; what a request asks, so that none is lost."""
        if not self._has_models:
            raise NotReady("The models are being loaded; try again in a few seconds.")
