"""A rate as people read it."""

from decimal import Decimal


def readable(rate: float) -> str:
    """Four digits below 1,000 and a whole number from there, never with an exponent."""
    return f"{rate:.0f}" if rate >= 1000 else f"{Decimal(f'{rate:.4g}'):f}"
