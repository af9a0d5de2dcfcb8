"""What can be typed after `slipway`, and the help that teaches it."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.cli.load_options import BENCH_EXAMPLES, TUNE_EXAMPLES, add_bench, add_tune
from service.cli.version import slipway_version
from service.settings import SETTINGS, Setting

SERVE_EXAMPLES = """\
examples:
  slipway serve                           the models that come with Slipway, on port 8000
  slipway serve --models ./my-models --port 9000
  slipway serve --host 0.0.0.0            for other machines too
  SLIPWAY_MAX_QUEUE_SIZE=64 slipway serve

Every flag is also a variable (--max-queue-size is SLIPWAY_MAX_QUEUE_SIZE) and a line of the
TOML file that --config names. SIGTERM: not ready, --pre-drain-s later accept nothing new, answer
everything that was accepted, exit code 0. A second one ends the process at once.
"""
PREDICT_EXAMPLES = """\
examples:
  slipway predict cat.jpg dog.png         what is in the pictures
  slipway predict "A film to remember."   how a text feels
  slipway predict --task translate "Where is the station?"
  slipway predict --json review.txt       a text from a file, the answer as JSON
  echo "Good morning!" | slipway predict --task translate -

A file that holds an image is classified. Any other file and everything that is no file is text.
"""
MODELS_EXAMPLES = """\
examples:
  slipway models                          what is published, and how good it is
  slipway models --verify                 read every file and compare its hash
  slipway models --self-test              ask every variant what it must answer, on this machine
  slipway models --json --models ./my-models
  slipway models import ./opus-mt-en-fr --name en-fr --source en --target fr
"""
IMPORT_EXAMPLES = """\
examples:
  optimum-cli export onnx --model ID --task text2text-generation-with-past ./exported
  slipway models import ./exported --name en-fr --source en --target fr --models ./my-models
  slipway serve --models ./my-models

The folder needs encoder_model.onnx, decoder_model_merged.onnx (or decoder_model.onnx and
decoder_with_past_model.onnx), config.json and tokenizer.json. It is copied, not changed.
"""

Run = Callable[[argparse.Namespace], int]


def make_parser() -> argparse.ArgumentParser:
    """The parser; every command sets `run`."""
    parser = argparse.ArgumentParser(
        prog="slipway",
        description="Serve published models over HTTP, or ask them right here.",
        epilog="`slipway COMMAND --help` shows examples.",
    )
    parser.add_argument("--version", action="version", version=f"slipway {slipway_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    _add_serve(_command(commands, "serve", "answer HTTP requests", SERVE_EXAMPLES))
    _add_predict(_command(commands, "predict", "ask the models without a server", PREDICT_EXAMPLES))
    _add_models(_command(commands, "models", "list the published models", MODELS_EXAMPLES))
    bench = _command(commands, "bench", "send load to a server and measure it", BENCH_EXAMPLES)
    add_bench(bench)
    bench.set_defaults(run=_bench)
    tune = _command(commands, "tune", "find the best settings for this machine", TUNE_EXAMPLES)
    add_tune(tune)
    tune.set_defaults(run=_tune)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    epilog: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    for setting in SETTINGS:
        _add_setting(parser, setting)
    parser.set_defaults(run=_serve)


def _add_setting(parser: argparse.ArgumentParser, setting: Setting) -> None:
    default = f" [{setting.default}]" if setting.default else ""
    text = f"{setting.help}{default}".replace("%", "%%")
    if setting.is_switch:
        parser.add_argument(
            setting.flag,
            dest=setting.name,
            default=None,
            action=argparse.BooleanOptionalAction,
            help=text,
        )
    else:
        parser.add_argument(setting.flag, dest=setting.name, metavar="VALUE", help=text)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("items", nargs="+", metavar="FILE|TEXT", help="`-` reads text from stdin")
    parser.add_argument(
        "--task", choices=("sentiment", "translate"), help="what to do with text [sentiment]"
    )
    parser.add_argument("--model", metavar="NAME", help="[the default model of the task]")
    parser.add_argument("--model-version", type=int, metavar="N", help="[the newest]")
    parser.add_argument("--source", metavar="LANGUAGE", help="to translate from")
    parser.add_argument("--target", metavar="LANGUAGE", help="to translate to")
    parser.add_argument(
        "--beam", type=_beam, default=1, metavar="N", help="1 to 8; 1 is greedy [1]"
    )
    parser.add_argument(
        "--top-k", type=_top_k, default=5, metavar="N", help="labels an image, 1 to 100 [5]"
    )
    parser.add_argument("--json", action="store_true", help="answers as the HTTP API gives them")
    _add_folder(parser)
    parser.add_argument("--providers", metavar="LIST", help="as for serve [auto]")
    parser.add_argument("--variant", metavar="NAME", help="as for serve [auto]")
    parser.set_defaults(run=_predict)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the manifests as JSON")
    parser.add_argument("--verify", action="store_true", help="read every file, compare its hash")
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="load every variant that suits this machine and tell whether it answers rightly",
    )
    _add_folder(parser)
    parser.set_defaults(run=_models)
    actions = parser.add_subparsers(metavar="[ACTION]", title="actions")
    _add_import(_command(actions, "import", "publish what Optimum exported", IMPORT_EXAMPLES))


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="as Optimum wrote it")
    parser.add_argument("--name", required=True, help="of the model; each import is a version")
    parser.add_argument("--source", required=True, metavar="LANGUAGE", help="it translates from")
    parser.add_argument("--target", required=True, metavar="LANGUAGE", help="it translates to")
    parser.add_argument(
        "--variant", choices=("fp32", "int8"), default="fp32", help="int8: *_quantized.onnx [fp32]"
    )
    parser.add_argument(
        "--prefix", metavar="TEXT", help="put before every sentence [what config.json says]"
    )
    parser.add_argument(
        "--max-tokens", type=int, default=256, metavar="N", help="longest sentence [256]"
    )
    _add_folder(parser, default=argparse.SUPPRESS)
    parser.set_defaults(run=_import)


def _add_folder(parser: argparse.ArgumentParser, default: Any = None) -> None:
    parser.add_argument(
        "--models",
        type=Path,
        default=default,
        metavar="DIR",
        help="folder of published models [those that come with Slipway]",
    )


def _beam(word: str) -> int:
    from service.http.schemas import MAX_BEAM

    return _up_to(MAX_BEAM, word)


def _top_k(word: str) -> int:
    from service.http.schemas import MAX_TOP_K

    return _up_to(MAX_TOP_K, word)


def _up_to(most: int, word: str) -> int:
    try:
        value = int(word)
    except ValueError:
        value = 0
    if not 1 <= value <= most:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 1 to {most}")
    return value


def _serve(options: argparse.Namespace) -> int:
    from service.cli.serve import run

    return run(options)


def _predict(options: argparse.Namespace) -> int:
    from service.cli.predict import run

    return run(options)


def _models(options: argparse.Namespace) -> int:
    from service.cli.models import run

    return run(options)


def _import(options: argparse.Namespace) -> int:
    from service.cli.import_model import run

    return run(options)


def _bench(options: argparse.Namespace) -> int:
    from service.cli.bench import run

    return run(options)


def _tune(options: argparse.Namespace) -> int:
    from service.cli.tune import run

    return run(options)
