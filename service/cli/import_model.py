"""`slipway models import`: publish a translator that Hugging Face Optimum exported."""

import argparse
import datetime
import hashlib
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from model_zoo.catalog import Catalog
from model_zoo.fields import NAME_PATTERN
from model_zoo.manifest import (
    ArtefactFile,
    Graph,
    Manifest,
    Provenance,
    Role,
    TensorSpec,
    TranslationInput,
    Variant,
)
from model_zoo.preprocessing import OptimumInput
from service.cli.errors import CommandFailed
from service.cli.graph_header import read_header
from service.cli.optimum_folder import OptimumConfig, OptimumFolder, read_folder
from service.runtime.errors import EngineError
from service.runtime.optimum import DecoderShape, decoder_shape
from service.runtime.runner import make_runner
from service.runtime.session import Session, open_session
from service.tasks.base import TranslationText
from service.tasks.registry import make_task

LONGEST = 512  # tokens of a target, whatever the model would write
EXAMPLE = "This is the first sentence."
UNKNOWN = "unknown"


def run(options: argparse.Namespace) -> int:
    """Read, check, translate an example and publish; nothing is written before all went well."""
    if not re.fullmatch(NAME_PATTERN, options.name):
        raise CommandFailed(f"{options.name!r} cannot be a name; letters, digits, . _ and - can")
    folder = read_folder(options.folder, options.variant)
    catalog = Catalog(options.models) if options.models else Catalog()
    try:
        manifest = _manifest(folder, catalog.next_version(options.name), options)
        said = _translate(manifest, folder)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(map(str, problem["loc"]))
        raise CommandFailed(f"{options.folder}: {field}: {problem['msg']}") from error
    except (EngineError, ValueError) as error:
        raise CommandFailed(f"{options.folder}: {error}") from error
    target = catalog.publish(manifest, folder.files)
    sys.stdout.write(f"{manifest.name}/{manifest.version} is published in {target}\n")
    for wish in folder.config.not_followed():
        sys.stdout.write(f"not followed: {wish}\n")
    sys.stdout.write(f"{EXAMPLE} → {said}\n")
    return 0


def _manifest(folder: OptimumFolder, number: int, options: argparse.Namespace) -> Manifest:
    sessions = {role: _open(folder, role) for role in folder.graphs}
    spec = _preprocessing(folder.config, decoder_shape(sessions), options)
    graphs = tuple(
        Graph(role=role, **_promise(file, folder.files[file]))
        for role, file in folder.graphs.items()
    )
    others = sorted(folder.files.keys() - set(folder.graphs.values()))
    logits = TensorSpec(name="logits", dtype="float32", shape=("batch", "step", spec.vocabulary))
    return Manifest(
        name=options.name,
        version=number,
        task="translation",
        description=f"A {folder.config.model_type} translator from {spec.source} to {spec.target}, "
        "imported as Hugging Face Optimum exported it; nothing was measured on it.",
        inputs=tuple(
            TensorSpec(name=name, dtype="int64", shape=("batch", "source"))
            for name in ("input_ids", "attention_mask")
        ),
        outputs=(logits,),
        preprocessing=spec,
        variants=(Variant(precision=options.variant, graphs=graphs, providers=("cpu",)),),
        files=tuple(ArtefactFile(**_promise(file, folder.files[file])) for file in others),
        provenance=_provenance(folder, options),
    )


def _open(folder: OptimumFolder, role: Role) -> Session:
    try:
        return open_session(folder.files[folder.graphs[role]])
    except EngineError as error:
        raise type(error)(f"{folder.graphs[role]}: {error}") from error


def _preprocessing(
    config: OptimumConfig, shape: DecoderShape, options: argparse.Namespace
) -> TranslationInput:
    if config.decoder_vocab_size not in (None, config.vocab_size):
        raise CommandFailed(
            "source and target have vocabularies of their own, but there is one tokenizer.json"
        )
    start_id, end_id = config.start_id, config.end_id
    if start_id is None or end_id is None:
        raise CommandFailed("config.json names no decoder_start_token_id, or no eos_token_id")
    positions = config.max_position_embeddings or config.n_positions or LONGEST
    # the makers' limit counts the token that begins a target
    longest = max(1, config.max_length - 1) if config.max_length else LONGEST
    return TranslationInput(
        source=options.source,
        target=options.target,
        max_source_tokens=min(options.max_tokens, positions),
        max_target_tokens=min(longest, positions, LONGEST),
        pad_id=end_id if config.pad_token_id is None else config.pad_token_id,
        bos_id=start_id,
        eos_id=end_id,
        optimum=OptimumInput(
            prefix=config.prefix(options.source, options.target)
            if options.prefix is None
            else options.prefix,
            first_id=config.forced_bos_token_id,
            banned_ids=config.banned_ids,
        ),
        **shape._asdict(),
    )


def _translate(manifest: Manifest, folder: OptimumFolder) -> str:
    """The example in the other language: a folder that cannot answer is not worth publishing."""
    graphs = {role: folder.files[file] for role, file in folder.graphs.items()}
    runner = make_runner(manifest, graphs)
    task = make_task(manifest, folder.files.__getitem__)
    raw = TranslationText(EXAMPLE)
    features = [task.preprocess(part) for part in task.split(raw)]
    rows = runner.run(features)
    answers = [task.postprocess(*pair) for pair in zip(features, rows, strict=True)]
    return str(task.join(raw, answers).text)


def _promise(file: str, data: bytes) -> dict[str, Any]:
    return {"file": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _provenance(folder: OptimumFolder, options: argparse.Namespace) -> Provenance:
    header = read_header(folder.files[folder.graphs["encoder"]])
    producer, _, number = header.producer.partition(" ")
    return Provenance(
        datasets=(),
        git_commit=UNKNOWN,
        seed=0,
        torch=number if producer == "pytorch" else UNKNOWN,
        onnx=UNKNOWN,
        onnxruntime=version("onnxruntime"),
        opset=header.opset,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        training_seconds=0.0,
        machine=platform.machine(),
        command=f"slipway models import {Path(options.folder).name} --name {options.name} "
        f"--source {options.source} --target {options.target}",
    )
