"""What can go wrong with one item, drawn once. No HTTP here; every message is safe to show.

ServiceError
├── InvalidInput       the item cannot be understood
├── UnsupportedMedia   the item is of a kind that is not read here
├── PayloadTooLarge    the item is bigger than the limits allow
├── UnknownModel       no live model of that name or version
├── Overloaded         the queue is full; come back later
├── DeadlineExceeded   the answer would come too late
├── NotReady           the models are not loaded yet, or the process is leaving
├── Cancelled          the client left before its turn came
└── InferenceFailed    the model broke; not the caller's fault
"""


class ServiceError(Exception):
    """Root of the tree; `detail` is one or two sentences that say what to do."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(ServiceError):
    """The item cannot be understood: an image that is cut short, a text that is empty."""


class UnsupportedMedia(ServiceError):
    """The item is of a kind that is not read here; the detail names the kinds that are."""


class PayloadTooLarge(ServiceError):
    """The item is bigger than the limits allow, in bytes, pixels, characters or sentences."""


class UnknownModel(ServiceError):
    """No live model has that name or version."""


class Overloaded(ServiceError):
    """The queue is full. `retry_after_s` is an estimate of when there will be room."""

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(ServiceError):
    """The answer would come, or came, after the deadline of the item."""


class NotReady(ServiceError):
    """The models are not loaded yet, or the process is shutting down."""


class Cancelled(ServiceError):
    """The client left before the item's turn came; nobody reads this answer."""


class InferenceFailed(ServiceError):
    """The model broke on this item; not the caller's fault."""
