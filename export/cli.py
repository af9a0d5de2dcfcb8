"""`slipway-export`: from data to a published model, one command a task."""

import argparse
import sys
from collections.abc import Callable, Sequence

from export.command_line import TASKS, make_parser
from export.console import Story
from export.datasets.errors import DatasetError
from export.gates import GateFailed
from export.options import Options, OtherRun
from export.transfer.errors import TransferError
from model_zoo.errors import ModelZooError
from model_zoo.manifest import Task
from service.errors import ServiceError

FAILURES = (GateFailed, DatasetError, OtherRun, TransferError, ModelZooError, ServiceError)
OURS = ("export", "model_zoo", "service")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = make_parser()
    parsed = parser.parse_args(arguments)
    try:
        tasks = _tasks(parser, parsed)
        if parsed.task == "check":
            return _check(parsed)
        for task in tasks:
            folder = _make(task, parsed)
            print(folder)  # noqa: T201
    except FAILURES as error:
        print(f"slipway-export: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] in OURS:
            raise
        print(  # noqa: T201
            f"slipway-export: {error.name} is missing: `make export` installs what training needs",
            file=sys.stderr,
        )
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
        vocabulary=getattr(parsed, "vocabulary", None),
        teachers=tuple(getattr(parsed, "teachers", ())),
        image_network=getattr(parsed, "image_network", None),
        text_network=getattr(parsed, "text_network", None),
        half=getattr(parsed, "half", False),
    )


def _use_threads(threads: int) -> None:
    import torch

    from service.runtime.threads import available_cpus

    torch.set_num_threads(threads or available_cpus())


if __name__ == "__main__":
    sys.exit(main())
