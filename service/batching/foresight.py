"""How much longer an answer takes than was foreseen when its item was let in.

Predictions are means, and the speed of a shared machine changes within seconds. So whoever is let
in by a hair is often late, and what ran for it ran in vain. The margin follows the share of answers
that came later than was promised, which is what was foreseen times the margin of that moment: by
the method of Robbins and Monro (1951) it finds the factor that all but one in a hundred keep.

An answer is held to the promise it was let in with, not to what would be promised now: of whoever
expires no more is known than that its time was too short, and a margin that grew meanwhile would
call that long enough.
"""

IN_TIME = 0.99  # the share of answers that shall come as promised
STEP = 0.02
MOST = 2.0
# A machine that slows down makes all who wait late at once. They are remembered beyond MOST, up to
# here, or they would come on top of the one in a hundred.
OWED = MOST**3
# A slow minute says little of the next hour, and who is refused for it never shows otherwise.
HALF_LIFE_S = 300.0
FADES_EVERY_S = 1.0  # often enough, and seldom enough to cost a newcomer nothing
# Of the time that there is: below it the prediction decides nothing, and little waits disturb it.
TELLING = 0.5


class Foresight:
    """Used on the event loop alone."""

    def __init__(self) -> None:
        self._owed = 1.0
        self._faded_s = 0.0

    @property
    def margin(self) -> float:
        """By how much answers may come later than foreseen."""
        return min(MOST, self._owed)

    def promise_s(self, foreseen_s: float, spare_s: float) -> float | None:
        """Seconds in which the answer is to be there; None where that shows nothing of how good
        predictions are. `spare_s` to the deadline."""
        promised_s = self.margin * foreseen_s
        return promised_s if promised_s >= TELLING * spare_s else None

    def fade(self, now_s: float) -> None:
        """Forget a part of what was learnt; called as time goes on."""
        past_s = now_s - self._faded_s
        if past_s >= FADES_EVERY_S:
            self._owed **= 0.5 ** (past_s / HALF_LIFE_S)
            self._faded_s = now_s

    def answered(self, promised_s: float, took_s: float) -> None:
        """An answer came, or its deadline did."""
        step = STEP * (IN_TIME if took_s > promised_s else IN_TIME - 1.0)
        self._owed = min(OWED, max(1.0, self._owed * (1.0 + step)))
