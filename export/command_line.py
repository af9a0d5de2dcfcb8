"""What one may say to `slipway-export`: commands, options, their help and examples."""

import argparse
import os
from pathlib import Path

from export.networks.kinds import IMAGE_KINDS, TEXT_KINDS
from model_zoo.catalog import DEFAULT_ROOT
from model_zoo.manifest import Task

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
  slipway-export image-classification --name student --teacher large --teacher larger
      learn from the answers of other models of the same classes, and not from labels alone
  slipway-export image-classification
      the published model, from CIFAR-10 (set SLIPWAY_DATA to the folder that holds it)
  slipway-export check cifar10-resnet
      every gate once more on a published model, as a table

A run that is stopped goes on where it was when the same command is given again; --fresh starts
over. Exit codes: 0 published (or all gates passed), 1 not, 2 wrong usage."""

NAME_HELP = "name of the model (default: the recipe's; your own data need one)"

TASKS: dict[Task, str] = {
    "image-classification": "a residual network that names what a picture shows",
    "text-classification": "an LSTM that tells the tone of a text",
    "translation": "a Transformer that translates sentences",
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; it ends the process with 2 on wrong usage."""
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
    if images:
        command.add_argument(
            "--teacher",
            dest="teachers",
            action="append",
            default=[],
            metavar="MODEL",
            help="learn from the answers of this model, too; give several for their mean",
        )
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
    command.add_argument(
        "--vocabulary",
        type=_positive,
        metavar="TOKENS",
        help="size of the vocabulary that both languages share (default: 4096, or that of --from; "
        "with --from each token of another begins as the mean of those that spell it)",
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
