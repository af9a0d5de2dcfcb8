"""How much longer an answer takes than was foreseen when its item was let in.

Predictions are means, and the speed of a shared machine changes within seconds. So whoever is let
in by a hair is often late, and what ran for it ran in vain. The margin follows the share of answers
that came later than foreseen, times the margin: by the method of Robbins and Monro (1951) it finds
the factor that all but one in a hundred keep.
"""

IN_TIME = 0.99  # the share of answers that shall come within the margin
STEP = 0.02
MOST = 2.0
# Of the time that there is: below it the prediction decides nothing, and little waits disturb it.
TELLING = 0.5


class Foresight:
    """Used on the event loop alone."""

    def __init__(self) -> None:
        self.margin = 1.0

    def answered(self, foreseen_s: float, took_s: float) -> None:
        """An answer came, or its deadline did."""
        late = took_s > self.margin * foreseen_s
        step = STEP * (IN_TIME if late else IN_TIME - 1.0)
        self.margin = min(MOST, max(1.0, self.margin * (1.0 + step)))


def is_telling(foreseen_s: float, spare_s: float) -> bool:
    """Whether an item that takes so long by prediction shows how good predictions are."""
    return foreseen_s >= TELLING * spare_s
