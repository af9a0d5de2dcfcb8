"""What can go wrong when a network is to begin with what another learnt."""


class TransferError(Exception):
    """What was learnt before does not fit what is to be learnt now; the message says why."""
