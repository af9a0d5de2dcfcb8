"""Why a load could not be sent."""


class LoadError(Exception):
    """The server, the payload or the schedule is unfit; the message says what to do about it."""
