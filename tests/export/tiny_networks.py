"""The three networks, tiny and of random weights, with token ids and pictures to feed them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.networks.cnn import ResNet, ResNetConfig
from export.networks.kinds import TextKind
from export.networks.mlp import Mlp, MlpConfig
from export.networks.ngrams import NgramVotes
from export.networks.text import TextConfig, TextNetwork
from export.networks.transformer import Transformer, TransformerConfig
from model_zoo.manifest import TranslationInput

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

SIDE, CLASSES = 16, 4
PAD, BOS, EOS = 0, 1, 2
TEXTS = TextConfig(vocabulary=60, classes=3, embedding=12, hidden=10)
TRANSLATIONS = TransformerConfig(
    vocabulary=128,
    width=32,
    heads=2,
    feed_forward=48,
    encoder_layers=2,
    decoder_layers=2,
    max_tokens=64,
)
SPEC = TranslationInput(
    source="en",
    target="de",
    max_source_tokens=40,
    max_target_tokens=48,
    pad_id=PAD,
    bos_id=BOS,
    eos_id=EOS,
    layers=2,
    heads=2,
    head_size=16,
    vocabulary=128,
)


@dataclass(frozen=True)
class Source:
    """A sentence as the translation task hands it to the runner."""

    ids: Ids
    beam: int = 1


@torch.no_grad()
def resnet(seed: int = 0, depths: tuple[int, ...] = (1, 1)) -> ResNet:
    """Its norms have seen some data: means and variances far from 0 and 1."""
    torch.manual_seed(seed)
    network = ResNet(ResNetConfig(classes=CLASSES, widths=(8, 12), depths=depths))
    network.whiten(torch.rand(20, 3, SIDE, SIDE))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.3, 3)
            module.bias.normal_(0, 0.3)
    return network.eval()


@torch.no_grad()
def mlp(seed: int = 0) -> Mlp:
    torch.manual_seed(seed)
    network = Mlp(MlpConfig(CLASSES, SIDE, SIDE, widths=(24, 16)))
    for parameter in network.parameters():
        parameter.normal_(0, 0.1)
    return network.eval()


@torch.no_grad()
def text_network(kind: TextKind = "lstm", seed: int = 0, classes: int = 3) -> TextNetwork:
    torch.manual_seed(seed)
    network = TextNetwork(replace(TEXTS, kind=kind, classes=classes))
    for parameter in network.parameters():
        parameter.normal_(0, 0.5)
    return network.eval()


def with_votes(network: TextNetwork, buckets: int = 997, seed: int = 0) -> TextNetwork:
    """The network joined by a table of random votes."""
    classes = network.config.classes
    generator = torch.Generator().manual_seed(seed)
    columns = 1 if classes == 2 else classes
    network.votes = NgramVotes(torch.randn(buckets, columns, generator=generator))
    return network


@torch.no_grad()
def transformer(seed: int = 0, ends: float = 1.5) -> Transformer:
    """Says many different tokens and ends after none, some or (at the limit) all of them.

    For that the biases take away what all sentences have in common; `ends` favours the end.
    """
    torch.manual_seed(seed)
    network = Transformer(TRANSLATIONS).eval()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            parameter.normal_(1.0 if "norm.weight" in name else 0.0, 0.2)
        elif name != "embedding.weight":
            parameter.mul_(1.5)
    network.decoder_norm.weight.mul_(-2.0)  # else the shared embedding repeats the last token
    network.output_bias.zero_()
    source_NS, target_NT = torch.randint(EOS + 1, TRANSLATIONS.vocabulary, (2, 40, 20))
    network.output_bias.copy_(-network(source_NS, target_NT).mean((0, 1)))
    network.output_bias[[PAD, BOS]] = -20.0
    network.output_bias[EOS] += ends
    return network


def images(count: int, seed: int = 0) -> Tensor:
    """Normalised images [N, 3, H, W]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, SIDE, SIDE, generator=generator)


def ids(lengths: Sequence[int], vocabulary: int, seed: int = 0) -> list[Ids]:
    """Random ordinary tokens, none of them special."""
    generator = np.random.default_rng(seed)
    return [generator.integers(3, vocabulary, length) for length in lengths]


def sentences(lengths: Sequence[int], seed: int = 0) -> list[Ids]:
    """Random sources of so many tokens, the end among them."""
    bodies = ids([length - 1 for length in lengths], TRANSLATIONS.vocabulary, seed)
    return [np.append(body, EOS) for body in bodies]
