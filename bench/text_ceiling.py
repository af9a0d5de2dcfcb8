"""Tokenizes all texts, sorts them by length and runs them in batches: the offline ideal.

A child process: asked for `seconds` and `batch_size`, it tells the texts a second.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.child import answer_questions
from bench.corpora import feeling_texts
from bench.opened import newest, open_model


def main() -> None:
    """Answer until the input ends."""
    task, runner = open_model(newest(Path(sys.argv[1]), "text-classification"))
    texts, source = feeling_texts(int(sys.argv[2]))

    def answer(seconds: float, batch_size: int) -> dict[str, object]:
        done = 0
        began_s = time.perf_counter()
        while not done or time.perf_counter() - began_s < seconds:
            features = sorted((task.preprocess(text) for text in texts), key=lambda f: len(f.ids))
            for start in range(0, len(features), batch_size):
                batch = features[start : start + batch_size]
                for found, row in zip(batch, runner.run(batch), strict=True):
                    task.postprocess(found, row)
            done += len(texts)
        return {"rate": done / (time.perf_counter() - began_s), "source": source}

    answer_questions(answer)


if __name__ == "__main__":
    main()
