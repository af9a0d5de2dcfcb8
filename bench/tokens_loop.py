"""Whether a sentence gets the same tokens alone as among others that join and leave.

A child process: asked for a `precision`, it tells how many of `count` sentences do.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

from bench.agreement import source_features
from bench.child import answer_questions
from bench.corpora import translation_texts
from bench.opened import newest, open_model
from model_zoo.manifest import Precision


def main() -> None:
    """Answer until the input ends."""
    published = newest(Path(sys.argv[1]), "translation")

    def answer(precision: str, count: int) -> dict[str, int]:
        task, runner = open_model(published, cast("Precision", precision))
        sources = source_features(task, translation_texts(count)[0])[:count]
        together = [list(ids) for ids, *_ in runner.run(sources)]
        alone = [list(runner.run([source])[0][0]) for source in sources]
        same = sum(a == b for a, b in zip(together, alone, strict=True))
        return {"same": same, "count": len(sources)}

    answer_questions(answer)


if __name__ == "__main__":
    main()
