"""`slipway predict`: the models in this process, the answers of the HTTP API."""

import argparse
import asyncio
import mimetypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.text import Text

from model_zoo.catalog import Catalog, PublishedModel
from model_zoo.manifest import Task
from service.cli.errors import CommandFailed
from service.http.results import answer, image_result, sentiment_result, translate_result
from service.metrics import Metrics
from service.predictor import predict
from service.repository.live import LiveModel
from service.repository.loading import load
from service.repository.models import precedence
from service.repository.options import LoadOptions
from service.runtime.errors import EngineError
from service.settings import Settings
from service.tasks.base import TranslationText

NO_DEADLINE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Question:
    """One item of the command line: what to call it, what it is, and what is asked about it."""

    title: str
    task: Task
    item: Any


def run(options: argparse.Namespace) -> int:
    """Answer every item, those of one task together."""
    questions = [_question(given, options) for given in options.items]
    for task in dict.fromkeys(question.task for question in questions):
        asked = [question for question in questions if question.task == task]
        live = _load(_choose(task, options), options)
        try:
            items = [question.item for question in asked]
            predictions = asyncio.run(predict(live, items, NO_DEADLINE_S))
        finally:
            live.close()
        results = [_result(task, prediction, options) for prediction in predictions]
        _write(live, asked, results, as_json=options.json)
    return 0


def _question(given: str, options: argparse.Namespace) -> Question:
    path = Path(given)
    if given == "-":
        return _text_question("stdin", sys.stdin.read(), options)
    if not _is_file(path):
        if _named_like_image(path) and " " not in given:
            raise CommandFailed(f"{given}: there is no such file")
        return _text_question(given, given, options)
    data = path.read_bytes()
    if not _named_like_image(path):
        try:
            return _text_question(given, data.decode(), options)
        except UnicodeDecodeError:  # then it is an image, or the model says that it is none
            pass
    return Question(given, "image-classification", data)


def _text_question(title: str, text: str, options: argparse.Namespace) -> Question:
    if options.task == "translate" or (options.task is None and (options.source or options.target)):
        return Question(title, "translation", TranslationText(text, options.beam))
    return Question(title, "text-classification", text)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a sentence may be too long for a name
        return False


def _named_like_image(path: Path) -> bool:
    return (mimetypes.guess_type(path.name)[0] or "").startswith("image/")


def _choose(task: Task, options: argparse.Namespace) -> PublishedModel:
    """The newest version of the model that is asked for, or of the task's default."""
    catalog = Catalog(options.models) if options.models else Catalog()
    defaults = Settings.load().default_models
    for ref in sorted(catalog.list(), key=lambda ref: precedence(ref.name, ref.version, defaults)):
        if options.model in (None, ref.name) and options.model_version in (None, ref.version):
            published = catalog.open(ref.name, ref.version)
            if published.manifest.task == task and _speaks(published, options):
                return published
    wanted = f" called {options.model}" if options.model else ""
    raise CommandFailed(f"no model for {task}{wanted}; `slipway models` lists what there is")


def _speaks(published: PublishedModel, options: argparse.Namespace) -> bool:
    pair = published.manifest.preprocessing
    if pair.kind != "translation":
        return True
    return options.source in (None, pair.source) and options.target in (None, pair.target)


def _load(published: PublishedModel, options: argparse.Namespace) -> LiveModel:
    settings = Settings.load({"providers": options.providers, "variant": options.variant})
    wanted = LoadOptions(
        providers=",".join(settings.providers),
        precision=None if settings.variant == "auto" else settings.variant,
        max_queue_size=1_000_000,
    )
    try:
        return load(published, wanted, Metrics.create(CollectorRegistry()))
    except (EngineError, ValueError) as error:
        raise CommandFailed(str(error)) from error


def _result(task: Task, prediction: Any, options: argparse.Namespace) -> dict[str, Any]:
    if task == "image-classification":
        return image_result(prediction, options.top_k)
    if task == "text-classification":
        return sentiment_result(prediction)
    return translate_result(prediction)


def _write(
    live: LiveModel, asked: list[Question], results: list[dict[str, Any]], *, as_json: bool
) -> None:
    if as_json:
        sys.stdout.write(orjson.dumps(answer(live, results)).decode() + "\n")
        return
    console = Console(highlight=False)
    for question, result in zip(asked, results, strict=True):
        for line in _lines(question, result):
            console.print(line, soft_wrap=True)


def _lines(question: Question, result: dict[str, Any]) -> Iterator[Text]:
    if question.task == "translation":
        yield Text(result["text"])
        return
    scores = result.get("top") or [result]
    best = Text(f"{result['label']}  {result['score']:.1%}", style="bold")
    others = ", ".join(f"{found['label']} {found['score']:.1%}" for found in scores[1:])
    yield Text.assemble(_shortened(question.title), ": ", best, f"  ({others})" if others else "")


def _shortened(title: str, limit: int = 60) -> str:
    line = " ".join(title.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
