"""The translator that a run begins with, new or with what it learnt before, and its settings."""

from dataclasses import replace

import torch

from export.devices import fastest_device
from export.networks.transformer import Transformer, TransformerConfig
from export.options import Options
from export.recipes.translation_data import QUICK_TRAIN
from export.recipes.translation_training import TranslationTraining
from export.transfer.source import Source
from export.transfer.translations import start_translator
from export.transfer.vocabulary import Respelling

QUICK = TranslationTraining(epochs=6, batch_tokens=800, average_decay=0.95, matrix_rate=5e-3)
ON_GPU = TranslationTraining(epochs=12, batch_tokens=8192, r_drop=5.0, matrix_rate=5e-3)
DROPOUT_ON_GPU = 0.2
BLOCK = 128


def begin(
    options: Options,
    source: Source | None,
    vocabulary: int,
    respelling: Respelling | None = None,
) -> Transformer:
    """The network before its first step; raises TransferError where `source` does not fit.

    respelling: to the vocabulary of the run, where that is not the source's.
    """
    # The decoder looks for its best token by blocks of 128, so the table is filled up to one.
    plain = TransformerConfig(-(-vocabulary // BLOCK) * BLOCK)
    torch.manual_seed(options.seed)
    if fastest_device().type == "cuda":
        plain = replace(plain, dropout=DROPOUT_ON_GPU)
    if source is not None:
        return start_translator(source, options.languages, plain, respelling)
    if options.quick:
        plain = replace(plain, width=64, feed_forward=128, encoder_layers=2, dropout=0.0)
    return Transformer(plain)


def settings(options: Options, rows: int, *, turned: bool = False) -> TranslationTraining:
    """Where a GPU makes an epoch cheap: more of them, and two passes that must agree.

    turned: what the network begins with translates the other way round, and much of it must go.
    """
    chosen = ON_GPU if fastest_device().type == "cuda" else TranslationTraining()
    chosen = QUICK if options.quick else chosen
    if turned:
        # no closing rounds follow
        chosen = replace(chosen, epochs=chosen.epochs + 1, rate_factor=options.rate or 1.0)
    elif options.origin is not None:
        chosen = replace(chosen, rate_factor=options.rate or 0.2)
    usual_rows = QUICK_TRAIN if options.quick else 0
    epochs = options.epochs_for(rows, usual_rows=usual_rows, usual=chosen.epochs)
    return replace(chosen, epochs=epochs, seed=options.seed)
