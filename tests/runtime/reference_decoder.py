"""The oracle: the tiny transformer in plain numpy, without cache, packing, slots or batch.

It computes each sentence alone and the whole target again for every token. N source and T target
tokens, E width, V vocabulary, H heads.
"""

import numpy as np

from service.runtime.slot_decoder import target_limit
from service.runtime.slots import Generated
from tests.runtime.graphs import Array
from tests.runtime.tiny_transformer import BOS, EOS, HEAD, HEADS, LAYERS, SPEC, WIDTH, Weights


class ReferenceDecoder:
    """Greedy and beam search by the book."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def greedy(self, source: Array) -> Generated:
        memory = self.encode(source)
        ids: list[int] = []
        total = 0.0
        while len(ids) < target_limit(SPEC, len(source)):
            chances = self.next_log_probabilities(memory, ids)
            ids.append(int(chances.argmax()))
            total += float(chances.max())
            if ids[-1] == EOS:
                return Generated(ids[:-1], total / len(ids), True)
        return Generated(ids, total / len(ids), False)

    def beam(self, source: Array, width: int) -> Generated:
        memory = self.encode(source)
        alive: list[tuple[float, list[int]]] = [(0.0, [])]
        complete: list[Generated] = []
        for length in range(1, target_limit(SPEC, len(source)) + 1):
            found = []
            for total, ids in alive:
                chances = self.next_log_probabilities(memory, ids)
                found += [(total + float(c), [*ids, token]) for token, c in enumerate(chances)]
            found = sorted(found, key=lambda pair: -pair[0])[: 2 * width]
            for total, ids in found[:width]:
                if ids[-1] == EOS:
                    complete.append(Generated(ids[:-1], total / length, True))
            alive = [pair for pair in found if pair[1][-1] != EOS][:width]
            if len(complete) >= width:
                break
        if complete:
            return max(complete, key=lambda hypothesis: hypothesis.score)
        total, ids = alive[0]
        return Generated(ids, total / len(ids), False)

    def encode(self, source: Array) -> Array:
        x_NE = self._embed(source, "source positions")
        for layer in range(LAYERS):
            q, k, v = np.split(self._linear(f"encoder {layer} qkv", _normal(x_NE)), 3, axis=1)
            x_NE = x_NE + self._linear(f"encoder {layer} out", _attend(q, k, v, causal=False))
            x_NE = self._feed_forward(f"encoder {layer}", x_NE)
        return _normal(x_NE)

    def next_log_probabilities(self, memory_NE: Array, ids: list[int]) -> Array:
        x_TE = self._embed(np.array([BOS, *ids]), "target positions")
        for i in range(LAYERS):
            q, k, v = np.split(self._linear(f"decoder {i} qkv", _normal(x_TE)), 3, axis=1)
            x_TE = x_TE + self._linear(f"decoder {i} out", _attend(q, k, v, causal=True))
            q = self._linear(f"cross {i} q", _normal(x_TE))
            k, v = np.split(self._linear(f"cross {i} kv", memory_NE), 2, axis=1)
            x_TE = x_TE + self._linear(f"cross {i} out", _attend(q, k, v, causal=False))
            x_TE = self._feed_forward(f"decoder {i}", x_TE)
        logits_V = self._linear("head", _normal(x_TE))[-1]
        highest = logits_V.max()
        log_sum = highest + np.log(np.exp(logits_V - highest).sum())
        chances: Array = logits_V - log_sum
        return chances

    def _embed(self, ids: Array, positions: str) -> Array:
        tables = self._weights.tables
        embedded: Array = tables["tokens"][ids] + tables[positions][: len(ids)]
        return embedded.astype(np.float64)

    def _linear(self, name: str, x: Array) -> Array:
        weight, bias = self._weights.matrices[name]
        result: Array = x @ weight + bias
        return result

    def _feed_forward(self, layer: str, x: Array) -> Array:
        up = np.maximum(self._linear(f"{layer} up", _normal(x)), 0.0)
        return x + self._linear(f"{layer} down", up)


def _normal(x: Array) -> Array:
    centred = x - x.mean(axis=1, keepdims=True)
    result: Array = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    return result


def _attend(q_TE: Array, k_NE: Array, v_NE: Array, *, causal: bool) -> Array:
    q, k, v = (x.reshape(-1, HEADS, HEAD).transpose(1, 0, 2) for x in (q_TE, k_NE, v_NE))
    scores_HTN = q @ k.transpose(0, 2, 1) / np.sqrt(HEAD)
    if causal:
        later = np.triu(np.ones(scores_HTN.shape[1:], bool), 1)
        scores_HTN = np.where(later, -np.inf, scores_HTN)
    weights = np.exp(scores_HTN - scores_HTN.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    mixed: Array = (weights @ v).transpose(1, 0, 2).reshape(-1, WIDTH)
    return mixed
