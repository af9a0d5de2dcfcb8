"""`slipway-export`: from data to a published model, one command a task."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from export.console import Story
from export.datasets.errors import DatasetError
from export.gates import GateFailed
from export.networks.kinds import IMAGE_KINDS, TEXT_KINDS
from export.options import Options, OtherRun
from export.transfer.errors import TransferError
from model_zoo.catalog import DEFAULT_ROOT
from model_zoo.errors import ModelZooError
from model_zoo.manifest import Task
from service.errors import ServiceError

DESCRIPTION = """\
Trains a network, converts it to ONNX, quantizes it to int8, puts every variant through the gates
(parity with torch, accuracy on the test split, invariance to batching and padding) and publishes
what passes into the model folder, where `slipway serve` finds it. A model that fails a gate is not
published, and the exit code is 1."""

EXAMPLES = """\
examples:
  slipway-export all --quick
      tiny versions of all three models in a few minutes: see that everything works
  slipway-export image-classification --data photos/ --name my-model
      your own pictures, one folder a class: photos/cat/1.jpg, photos/dog/2.jpg ...
  slipway-export text-classification --data opinions.csv --name opinions
      a CSV, TSV or JSONL with a text and a label a row
  slipway-export translation --data pairs.tsv --languages en-de --name my-translator
      a TSV with a sentence and its translation a row (or --data a.en --targets a.de)
  slipway-export translation --languages de-en --from en-de-transformer
      the other way round: one vocabulary serves both, so that a sister begins with what it knows
  slipway-export image-classification --data photos/ --name few-photos --from cifar10-resnet
      go on from a published model or a checkpoint.pt: a few pictures a class are then enough
  slipway-export image-classification
      the published model, from CIFAR-10 (set SLIPWAY_DATA to the folder that holds it)
  slipway-export check cifar10-resnet
      every gate once more on a published model, as a table

A run that is stopped goes on where it was when the same command is given again; --fresh starts
over. Exit codes: 0 published (or all gates passed), 1 not, 2 wrong usage."""

FAILURES = (GateFailed, DatasetError, OtherRun, TransferError, ModelZooError, ServiceError)

NAME_HELP = "name of the model (default: the recipe's; your own data need one)"

TASKS: dict[Task, str] = {
    "image-classification": "a residual network that names what a picture shows",
    "text-classification": "an LSTM that tells the tone of a text",
    "translation": "a Transformer that translates sentences",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    tasks = _tasks(parser, parsed)
    try:
        if parsed.task == "check":
            return _check(parsed)
        for task in tasks:
            folder = _make(task, parsed)
            print(folder)  # noqa: T201
    except FAILURES as error:
        print(f"slipway-export: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("slipway-export: stopped; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 130
    return 0


def _tasks(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> list[Task]:
    """What to make, one after another; ends with 2 where the words do not go together."""
    if getattr(parsed, "rate", None) and not parsed.origin:
        parser.error("--rate is for what --from begins with: name that too")
    tasks = [task for task in TASKS if parsed.task in (task, "all")]
    for task in tasks:
        options = _options(task, parsed)
        if options.name is None and _learns_from_own(task, options):
            parser.error(_unnamed(task, options, alone=parsed.task != "all"))
    return tasks


def _learns_from_own(task: Task, options: Options) -> bool:
    if options.data is None:
        return False
    if task == "image-classification":
        from export.recipes.image_data import is_own
    elif task == "text-classification":
        from export.recipes.sentiment_data import is_own
    else:
        from export.recipes.translation_data import is_own
    return is_own(options)


def _unnamed(task: Task, options: Options, *, alone: bool) -> str:
    usual = options.name_for(task)
    add = "add --name NAME" if alone else f"use the command {task} with --name NAME"
    return (
        f"{options.data} is not the public data: {add}. The model would otherwise be the newest "
        f"version of {usual}, with which the server answers; if that is meant, say --name {usual}"
    )


def _check(parsed: argparse.Namespace) -> int:
    """Print the table of all gates; 1 if one failed."""
    from export.check import check, table

    _use_threads(parsed.threads)
    options = Options(parsed.models, parsed.work, parsed.data, targets=parsed.targets)
    rows = check(options, parsed.name, parsed.version, Story(parsed.name))
    print(table(rows))  # noqa: T201
    return int(any(row.verdict == "failed" for row in rows))


def _make(task: Task, parsed: argparse.Namespace) -> str:
    options = _options(task, parsed)
    _use_threads(options.threads)
    return _recipe(task)(options)


def _recipe(task: Task) -> Callable[[Options], str]:
    # torch takes seconds to import: --help and typing errors must not wait for it.
    if task == "image-classification":
        from export.recipes.image_classification import make
    elif task == "text-classification":
        from export.recipes.sentiment import make
    else:
        from export.recipes.translation import make
    return make


def _options(task: Task, parsed: argparse.Namespace) -> Options:
    return Options(
        models=parsed.models,
        work=parsed.work,
        data=parsed.data,
        targets=getattr(parsed, "targets", None),
        name=getattr(parsed, "name", None) or (f"quick-{task}" if parsed.quick else None),
        quick=parsed.quick,
        epochs=parsed.epochs,
        seed=parsed.seed,
        threads=parsed.threads,
        fresh=parsed.fresh,
        languages=getattr(parsed, "languages", ("en", "de")),
        origin=getattr(parsed, "origin", None),
        rate=getattr(parsed, "rate", None),
        image_network=getattr(parsed, "image_network", None),
        text_network=getattr(parsed, "text_network", None),
        half=getattr(parsed, "half", False),
    )


def _use_threads(threads: int) -> None:
    import torch

    from service.runtime.threads import available_cpus

    torch.set_num_threads(threads or available_cpus())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slipway-export",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="task", required=True, metavar="COMMAND")
    for task, text in TASKS.items():
        command = commands.add_parser(task, help=text, description=f"Make {text}.")
        command.add_argument("--name", help=NAME_HELP)
        _add_common(command)
        _add_own(command, task)
    everything = commands.add_parser("all", help="all three models, one after another")
    _add_common(everything)
    _add_check(commands.add_parser("check", help="every gate once more on a published model"))
    return parser


def _add_check(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Verify a published model's files and put every variant through its self-test and all "
        "gates again, on the data it was made from. Parity needs the run's checkpoint in --work. "
        "Exit code 1 if a gate fails."
    )
    command.add_argument("name", metavar="NAME", help="the published model")
    command.add_argument("--version", type=_positive, help="which version (default: the newest)")
    command.add_argument("--targets", type=_existing, help="as when it was made")
    _add_places(command)


def _add_common(command: argparse.ArgumentParser) -> None:
    _add_places(command)
    command.add_argument(
        "--quick", action="store_true", help="a tiny model on a few hundred rows, to try it out"
    )
    command.add_argument("--fresh", action="store_true", help="forget an earlier run's checkpoint")
    command.add_argument("--epochs", type=_positive, help="train for so many epochs")
    command.add_argument("--seed", type=int, default=1, help="seed of all chance (default: 1)")


def _add_places(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data", type=_existing, help="your own data, or the folder of the public data sets"
    )
    command.add_argument(
        "--models",
        type=Path,
        default=Path(os.environ.get("SLIPWAY_MODELS", DEFAULT_ROOT)),
        help="the folder of models (default: the one that `slipway serve` reads)",
    )
    command.add_argument(
        "--work",
        type=Path,
        default=Path("runs"),
        help="checkpoints and logs (default: runs/); a stopped run resumes from there",
    )
    command.add_argument(
        "--threads", type=_positive, default=0, help="CPU threads (default: all that it may use)"
    )


def _add_own(command: argparse.ArgumentParser, task: str) -> None:
    """What only a single task has."""
    command.add_argument(
        "--from",
        dest="origin",
        metavar="MODEL",
        help="begin with the weights of NAME, NAME/VERSION or a checkpoint.pt instead of afresh",
    )
    command.add_argument(
        "--rate",
        type=_share,
        help="with --from: share of the usual learning rates (default: 0.2 to 0.5 by recipe)",
    )
    if task == "translation":
        _add_languages(command)
        return
    images = task == "image-classification"
    kinds = IMAGE_KINDS if images else TEXT_KINDS
    command.add_argument(
        "--network",
        dest="image_network" if images else "text_network",
        choices=kinds,
        help=f"kind of network (default: {kinds[0]}, or that of --from)",
    )
    command.add_argument(
        "--fp16",
        dest="half",
        action="store_true",
        help="publish a half-precision variant too, which the service prefers on a GPU",
    )


def _add_languages(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--languages",
        type=_languages,
        default=("en", "de"),
        metavar="FROM-TO",
        help="source and target language (default: en-de)",
    )
    command.add_argument(
        "--targets", type=_existing, help="the translations, where --data holds only the sources"
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1")
    return share


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"there is no file or folder {text}")
    return path


def _languages(text: str) -> tuple[str, str]:
    source, dash, target = text.partition("-")
    if not (source and dash and target):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form en-de")
    return source, target


if __name__ == "__main__":
    sys.exit(main())
