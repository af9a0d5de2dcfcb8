"""An encoder-decoder Transformer for translation (Vaswani et al. 2017), layer norm first.

Shapes: N sentences, S source tokens, T target tokens, D model width, H heads, V vocabulary.
The service runs it as two hand-built graphs, see export/convert/transformer_graphs.py: a change
of arithmetic here is a change there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class TransformerConfig:
    """Deep encoder, shallow decoder: the encoder runs once a sentence, the decoder once a token."""

    vocabulary: int
    width: int = 256
    heads: int = 4
    feed_forward: int = 512
    encoder_layers: int = 3
    decoder_layers: int = 2
    dropout: float = 0.1
    max_tokens: int = 256
    pad_id: int = 0


class Attention(nn.Module):
    """Multi-head attention; queries from `x`, keys and values handed in as one packed tensor."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.output = nn.Linear(config.width, config.width)

    def forward(
        self, query_NTD: Tensor, key_NSD: Tensor, value_NSD: Tensor, keep: Tensor | None
    ) -> Tensor:
        query, key, value = (self._split(x) for x in (query_NTD, key_NSD, value_NSD))
        mixed = attend(query, key, value, keep)
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x_NTD: Tensor) -> Tensor:
        return x_NTD.unflatten(2, (self.heads, -1)).transpose(1, 2)


def attend(query_NHTD: Tensor, key_NHSD: Tensor, value_NHSD: Tensor, keep: Tensor | None) -> Tensor:
    """Scaled dot-product attention [N, H, T, D]. keep: the keys that count, broadcast to
    [N, H, T, S]; None: those up to the query's own place."""
    if query_NHTD.dtype != torch.bfloat16 or query_NHTD.is_cuda:
        return functional.scaled_dot_product_attention(
            query_NHTD, key_NHSD, value_NHSD, attn_mask=keep, is_causal=keep is None
        )
    # torch's fused kernel takes five times as long to learn from short bf16 sequences on a CPU
    if keep is None:
        keep = torch.ones(query_NHTD.shape[2], key_NHSD.shape[2], dtype=torch.bool).tril()
    scores = query_NHTD @ key_NHSD.transpose(2, 3) * query_NHTD.shape[3] ** -0.5
    weights: Tensor = scores.masked_fill(~keep, float("-inf")).softmax(3).to(query_NHTD.dtype)
    return weights @ value_NHSD


class FeedForward(nn.Sequential):
    """Two linear layers around a ReLU, which keeps the int8 scale of the second one tight."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(
            nn.Linear(config.width, config.feed_forward),
            nn.ReLU(inplace=True),
            nn.Linear(config.feed_forward, config.width),
        )


class EncoderLayer(nn.Module):
    """Self-attention over the source, then a feed-forward block."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_NSD: Tensor, keep: Tensor) -> Tensor:
        query, key, value = self.query_key_value(self.attention_norm(x_NSD)).chunk(3, dim=-1)
        x_NSD = x_NSD + self.dropout(self.attention(query, key, value, keep))
        out: Tensor = x_NSD + self.dropout(self.feed_forward(self.feed_forward_norm(x_NSD)))
        return out


class DecoderLayer(nn.Module):
    """Causal self-attention, attention over the encoded source, a feed-forward block."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.attention = Attention(config)
        self.cross_norm = nn.LayerNorm(config.width)
        self.cross_query = nn.Linear(config.width, config.width)
        self.cross_key_value = nn.Linear(config.width, 2 * config.width)
        self.cross_attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_NTD: Tensor, memory_NSD: Tensor, keep: Tensor) -> Tensor:
        query, key, value = self.query_key_value(self.attention_norm(x_NTD)).chunk(3, dim=-1)
        x_NTD = x_NTD + self.dropout(self.attention(query, key, value, None))
        cross_query = self.cross_query(self.cross_norm(x_NTD))
        cross_key, cross_value = self.cross_key_value(memory_NSD).chunk(2, dim=-1)
        crossed = self.cross_attention(cross_query, cross_key, cross_value, keep)
        x_NTD = x_NTD + self.dropout(crossed)
        out: Tensor = x_NTD + self.dropout(self.feed_forward(self.feed_forward_norm(x_NTD)))
        return out


class Transformer(nn.Module):
    """Source ids [N, S] and shifted target ids [N, T], int64 -> logits [N, T, V].

    One embedding serves source, target and output (Press and Wolf 2017, arXiv:1608.05859).
    """

    positions: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.register_buffer("positions", sinusoids(config.max_tokens, config.width))
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.encoder_norm = nn.LayerNorm(config.width)
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.decoder_norm = nn.LayerNorm(config.width)
        self.output_bias = nn.Parameter(torch.zeros(config.vocabulary))
        self.dropout = nn.Dropout(config.dropout)
        self.apply(_initialise)
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)

    def forward(self, source_NS: Tensor, target_NT: Tensor) -> Tensor:
        memory_NSD, keep = self.encode(source_NS)
        return self.decode(memory_NSD, keep, target_NT)

    def encode(self, source_NS: Tensor) -> tuple[Tensor, Tensor]:
        """The encoded source [N, S, D] and which of its tokens are real, [N, 1, 1, S]."""
        keep = (source_NS != self.config.pad_id)[:, None, None]
        x_NSD = self._embed(source_NS)
        for layer in self.encoder:
            x_NSD = layer(x_NSD, keep)
        return self.encoder_norm(x_NSD), keep

    def decode(self, memory_NSD: Tensor, keep: Tensor, target_NT: Tensor) -> Tensor:
        """Logits [N, T, V] of the token after each target token."""
        return self.logits(self.hidden(memory_NSD, keep, target_NT))

    def logits(self, hidden_D: Tensor) -> Tensor:
        """Logits [..., V] of what the output layer sees, [..., D]."""
        return functional.linear(hidden_D, self.embedding.weight, self.output_bias)

    def hidden(self, memory_NSD: Tensor, keep: Tensor, target_NT: Tensor) -> Tensor:
        """What the output layer sees, [N, T, D]."""
        x_NTD = self._embed(target_NT)
        for layer in self.decoder:
            x_NTD = layer(x_NTD, memory_NSD, keep)
        normed: Tensor = self.decoder_norm(x_NTD)
        return normed

    def _embed(self, ids_NT: Tensor) -> Tensor:
        scaled_NTD = self.embedding(ids_NT) * self.config.width**0.5
        embedded: Tensor = self.dropout(scaled_NTD + self.positions[: ids_NT.shape[1]])
        return embedded


def sinusoids(length: int, width: int) -> Tensor:
    """Position table [length, width] of sines, then cosines (Vaswani et al. 2017, section 3.5)."""
    position = torch.arange(length)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-torch.log(torch.tensor(10000.0)) / width))
    return torch.cat([torch.sin(position * rate), torch.cos(position * rate)], dim=1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
