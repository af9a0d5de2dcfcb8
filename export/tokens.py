"""Trains the subword vocabularies: one for review text, one shared by two languages."""

from collections.abc import Callable, Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, WordPieceTrainer

PAD, BOS, EOS, UNKNOWN = "<pad>", "<s>", "</s>", "<unk>"
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2


def train_translation_tokenizer(sentences: Iterable[str], vocabulary: int) -> Tokenizer:
    """Byte-level BPE (Sennrich 2016; Radford 2019): any text has tokens, and they decode back.

    An encoded sentence ends in EOS; the decoder's first input is BOS.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, EOS_ID)]
    )
    return tokenizer


def train_review_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """WordPiece over lower-case words and single punctuation marks.

    "it's" and the treebank's "it 's" get the same tokens, as do HTML breaks and spaces.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"<br\s*/?>"), " "),
            normalizers.BertNormalizer(lowercase=True),
            normalizers.Replace(Regex(r"\s+n't\b"), "n't"),
            normalizers.Replace("-lrb-", "("),
            normalizers.Replace("-rrb-", ")"),
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=[PAD, UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def kept_tokenizer(folder: Path, train: Callable[[], Tokenizer], *, keep: bool = True) -> Tokenizer:
    """Trained once, then kept beside the checkpoint: a resumed run needs the same vocabulary.

    keep: whether to write one that is not there yet.
    """
    kept = folder / "tokenizer.json"
    if kept.exists():
        return Tokenizer.from_file(str(kept))
    tokenizer = train()
    if keep:
        kept.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(kept))
    return tokenizer
