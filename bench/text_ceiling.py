"""Tokenizes texts, sorts them by length and runs them in batches: the offline ideal.

A child process: asked for `seconds` and `batch_size`, it tells the texts a second. It tokenizes by
the tokenizers library, or with `by_words` as the service does, which looks known words up. It runs
the network in one piece, or with `side_by_side` as the service does, which cuts it.
"""

from __future__ import annotations

import sys
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from bench.child import answer_questions
from bench.corpora import feeling_texts
from bench.opened import newest, open_model
from service.runtime.reading import TextReader
from service.tasks.text import Encoding

SORTED = 512  # texts at once


def main() -> None:
    """Answer until the input ends."""
    published = newest(Path(sys.argv[1]), "text-classification")
    task, cut = open_model(published)
    _, whole = open_model(published, in_one_piece=True)
    tokenizer = Tokenizer.from_buffer(published.read("tokenizer.json"))
    most = published.manifest.preprocessing.max_tokens  # type: ignore[union-attr]
    texts, source = feeling_texts(int(sys.argv[2]))
    following = cycle(texts)

    def read(text: str) -> Encoding:
        (found,) = tokenizer.encode_batch_fast([text])
        return Encoding(np.array(found.ids[:most], np.int64), len(found.ids) > most)

    def answer(
        seconds: float, batch_size: int, *, by_words: bool = False, side_by_side: bool = False
    ) -> dict[str, object]:
        done, runner = 0, cut if side_by_side else whole
        began_s = time.perf_counter()
        while not done or time.perf_counter() - began_s < seconds:
            some = islice(following, SORTED)
            features = sorted(
                map(task.preprocess if by_words else read, some), key=lambda f: len(f.ids)
            )
            for start in range(0, len(features), batch_size):
                batch = features[start : start + batch_size]
                for found, row in zip(batch, runner.run(batch), strict=True):
                    task.postprocess(found, row)
            done += len(features)
        rate = done / (time.perf_counter() - began_s)
        return {"rate": rate, "source": source, "is_cut": isinstance(runner, TextReader)}

    answer_questions(answer)


if __name__ == "__main__":
    main()
