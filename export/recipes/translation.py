"""The translation model from first to last: train, convert, quantize, examine, publish."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from export.candidate import Candidate, draft
from export.console import Story
from export.datasets.rows import SentencePairs
from export.gates import AccuracyGate, Answer, Floor, InvarianceGate, ParityGate
from export.golden import with_self_test
from export.networks.greedy import decode_greedily
from export.networks.transformer import Transformer
from export.options import Options
from export.provenance import provenance
from export.recipes.foresight import TranslatedSplits, tell_foresight, with_quality
from export.recipes.judging import Examination, Gates, Reexamination, examine
from export.recipes.translation_card import card
from export.recipes.translation_data import TranslationData, load
from export.recipes.translation_network import begin, settings
from export.recipes.translation_training import (
    EncodedPairs,
    TranslationTraining,
    encode_pairs,
    train_translation,
)
from export.recipes.translation_variants import variants
from export.tokens import BOS_ID, EOS_ID, PAD_ID, kept_tokenizer, train_translation_tokenizer
from export.training import History
from export.transfer.source import open_source, open_vocabulary
from export.transfer.translations import is_turned
from export.transfer.vocabulary import Respelling
from model_zoo.catalog import Catalog
from model_zoo.manifest import Task, TranslationInput
from service.runtime.slot_decoder import target_limit
from service.tasks.base import TranslationText

TASK: Task = "translation"
VOCABULARY, QUICK_VOCABULARY = 4096, 512
MAX_TOKENS = 200
EXAMINED = 100
GATES: dict[Any, Gates] = {
    "fp32": Gates(ParityGate(1e-3, 0.98), InvarianceGate(1e-4, 1.0)),
    "int8": Gates(ParityGate(0.5, 0.5), InvarianceGate(1e-4, 1.0)),
}
QUICK_GATES: dict[Any, Gates] = {
    "fp32": GATES["fp32"],
    # a network that hardly knows what to say changes its mind easily
    "int8": Gates(ParityGate(0.5, 0.1), InvarianceGate(1e-4, 1.0)),
}
PUBLIC_FLOORS = (
    Floor("Multi30k", "bleu", at_least=30.0, largest_loss=0.5),
    Floor("Tatoeba", "bleu", at_least=25.0, largest_loss=0.5),
)
QUICK_FLOOR_CHRF = 5.0

Pairs = tuple[EncodedPairs, EncodedPairs]  # to train on, to validate on


def make(options: Options) -> str:
    """Make and publish the model; returns its folder. Raises GateFailed or DatasetError."""
    name = options.name_for(TASK)
    story = Story(name)
    options.start(name)
    data = load(options, story)
    options.claim(name, data.deciding_sources)
    network, tokenizer, pairs, history, trained = _train(options, name, data, story)
    story.say("converting and quantizing")
    candidate = _candidate(options, name, data, network, tokenizer, pairs, history)
    spec = candidate.manifest.preprocessing
    assert isinstance(spec, TranslationInput)
    candidate = with_self_test(with_quality(candidate, data.validation, story))
    test = TranslatedSplits(data.measured)
    examine(candidate, _gates(data), _examination(network, data, spec, test), story)
    tell_foresight(candidate, test, story)
    public, closes = data.is_public, bool(data.closing)
    page = card(candidate, test, history, trained, is_public=public, closes=closes)
    folder = candidate.publish(Catalog(options.models), page)
    story.say(f"published as {folder}")
    return folder


def reexamine(options: Options, name: str, spec: TranslationInput, story: Story) -> Reexamination:
    """The same exam for a published model; trains nothing."""
    # nothing is trained, so that the pairs of the closing rounds need not be encoded
    data = replace(load(options, story), closing=())
    network = None
    if options.has_checkpoint(name):
        network, *_ = _train(options, name, data, story, only_load=True)
    exam = _examination(network, data, spec, TranslatedSplits(data.measured))
    return Reexamination(exam, _gates(data), data.sources, network is not None)


def _gates(data: TranslationData) -> dict[Any, Gates]:
    return GATES if data.is_public else QUICK_GATES


def _train(
    options: Options, name: str, data: TranslationData, story: Story, *, only_load: bool = False
) -> tuple[Transformer, Tokenizer, Pairs, History, TranslationTraining]:
    size = options.vocabulary or (QUICK_VOCABULARY if options.quick else VOCABULARY)
    source = open_source(options.origin, TASK, options.models)
    tokenizer = kept_tokenizer(
        options.folder(name),
        lambda: (
            open_vocabulary(source)
            if source and not options.vocabulary
            else train_translation_tokenizer(data.for_vocabulary, size)
        ),
        keep=not only_load,
    )
    turned = is_turned(source, options.languages)
    chosen = replace(settings(options, len(data.train), turned=turned), only_load=only_load)
    train, validation = (
        encode_pairs(tokenizer, pairs, chosen.longest) for pairs in (data.train, data.validation)
    )
    respelling = None
    if source and options.vocabulary:
        respelling = Respelling(open_vocabulary(source), tokenizer)
    network = begin(options, source, tokenizer.get_vocab_size(), respelling)
    if not only_load:
        story.say(f"training on {len(train)} pairs of sentences")
    closing = _encoded(tokenizer, data.closing, chosen.longest)
    history = train_translation(network, train, validation, chosen, options.folder(name), closing)
    return network, tokenizer, (train, validation), history, chosen


def _encoded(
    tokenizer: Tokenizer, rounds: Sequence[Sequence[SentencePairs]], longest: int
) -> list[list[EncodedPairs]]:
    """The same pairs, in however many epochs, are encoded once."""
    different = {id(pairs): pairs for round_ in rounds for pairs in round_}
    encoded = {key: encode_pairs(tokenizer, pairs, longest) for key, pairs in different.items()}
    return [[encoded[id(pairs)] for pairs in round_] for round_ in rounds]


def _candidate(
    options: Options,
    name: str,
    data: TranslationData,
    network: Transformer,
    tokenizer: Tokenizer,
    pairs: Pairs,
    history: History,
) -> Candidate:
    config = network.config
    source, target = options.languages
    generation = {
        "decoder_start_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": PAD_ID,
        "max_length": MAX_TOKENS,
        "num_beams": 1,
    }
    return draft(
        variants(network, *pairs),
        {
            "config.json": _json(
                {"d_model": config.width, "vocab_size": config.vocabulary, **generation}
            ),
            "generation_config.json": _json(generation),
            "tokenizer.json": tokenizer.to_str().encode(),
        },
        name=name,
        version=Catalog(options.models).next_version(name),
        task=TASK,
        description=f"Small Transformer that translates from {source} to {target}.",
        preprocessing=TranslationInput(
            source=source,
            target=target,
            max_source_tokens=MAX_TOKENS,
            max_target_tokens=MAX_TOKENS,
            pad_id=PAD_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            layers=config.decoder_layers,
            heads=config.heads,
            head_size=config.width // config.heads,
            vocabulary=config.vocabulary,
        ),
        provenance=provenance(data.sources, seed=options.seed, seconds=history.seconds),
    )


def _examination(
    network: Transformer | None,
    data: TranslationData,
    spec: TranslationInput,
    test: TranslatedSplits,
) -> Examination:
    def torch_answers(features: Sequence[Any]) -> Sequence[Answer]:
        assert network is not None
        decoded = (
            decode_greedily(
                network,
                torch.from_numpy(f.ids),
                bos_id=BOS_ID,
                eos_id=EOS_ID,
                most=target_limit(spec, len(f.ids)),
            )
            for f in features
        )
        return [Answer(np.array([one.score]), one.ids) for one in decoded]

    spread = max(1, len(data.validation) // EXAMINED)
    return Examination(
        items=[TranslationText(text) for text in data.validation.sources[::spread][:EXAMINED]],
        torch_answers=torch_answers,
        measure=test.measure,
        accuracy=AccuracyGate(PUBLIC_FLOORS if data.is_public else _own_floors(data)),
    )


def _own_floors(data: TranslationData) -> tuple[Floor, ...]:
    """Own or few data: enough to see that the parts fit together."""
    return tuple(
        Floor(title, "chrf", at_least=QUICK_FLOOR_CHRF, largest_loss=5.0)
        for title, _, _ in data.test
    )


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
