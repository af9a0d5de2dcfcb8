"""The decoder's memory by itself: no graph, small numbers that say where they came from."""

import numpy as np
import pytest

from service.runtime.slots import SMALLEST_BUCKET, Slots
from tests.runtime.graphs import Array
from tests.runtime.tiny_transformer import BOS, EOS, HEAD, HEADS, LAYERS, SPEC

CROSS_NAMES = ("cross_key.0", "cross_value.0", "cross_key.1", "cross_value.1")
PAST_NAMES = ("past_key.0", "past_value.0", "past_key.1", "past_value.1")


def packed(length: int, start: float) -> list[Array]:
    """An encoder's outputs in which every number is different."""
    size = 2 * HEADS * length * HEAD
    numbers = np.arange(LAYERS * size, dtype=np.float32) + start
    return list(numbers.reshape(LAYERS, 2 * HEADS, length, HEAD))


def add(slots: Slots, length: int, start: float, limit: int = 20) -> int:
    slots.reserve(source=length, target=limit)
    dtype = slots.inputs()[CROSS_NAMES[0]].dtype
    cross = [layer.astype(dtype) for layer in packed(length, start)]
    return slots.add(cross, slice(0, length), limit)


def step(slots: Slots, ids: list[int], scores: list[float]) -> None:
    """What a run of the decoder leaves behind: a cache entry, a token and a score a row."""
    inputs = slots.inputs()
    for row in range(slots.count):
        for name in PAST_NAMES:
            inputs[name][row, :, slots.position_ids[row]] = slots.input_ids[row]
    slots.next_ids[: slots.count] = ids
    slots.next_scores[: slots.count] = scores
    slots.advance()


def row_state(slots: Slots, row: int) -> dict[str, Array]:
    """All that a row has, without what lies beyond its lengths."""
    inputs = slots.inputs()
    source, written = int(slots.source_lengths[row]), int(slots.position_ids[row])
    return {
        **{name: inputs[name][row, :, :source].copy() for name in CROSS_NAMES},
        **{name: inputs[name][row, :, :written].copy() for name in PAST_NAMES},
        **{
            name: inputs[name][row].copy()
            for name in ("cross_key_last.0", "cross_value_last.1", "input_ids", "position_ids")
        },
        "tokens": slots.tokens[row, :written].copy(),
        "totals": slots.totals[row].copy(),
        "limits": slots.limits[row].copy(),
    }


def assert_state(slots: Slots, row: int, expected: dict[str, Array]) -> None:
    for name, value in row_state(slots, row).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_a_new_row_holds_its_part_of_the_encoders_output() -> None:
    slots = Slots(SPEC, capacity=4)
    slots.reserve(source=9, target=20)
    cross = packed(9, start=0)
    slots.add(cross, slice(0, 4), limit=20)
    row = slots.add(cross, slice(4, 9), limit=12)
    inputs = slots.inputs()
    for layer in range(LAYERS):
        keys, values = cross[layer][:HEADS, 4:9], cross[layer][HEADS:, 4:9]
        np.testing.assert_array_equal(inputs[f"cross_key.{layer}"][row, :, :5], keys)
        np.testing.assert_array_equal(inputs[f"cross_value.{layer}"][row, :, :5], values)
        last = inputs[f"cross_key_last.{layer}"][row, 0]
        np.testing.assert_array_equal(last, keys[:, -1].ravel())
    state = [int(inputs[n][row]) for n in ("input_ids", "position_ids", "source_lengths")]
    assert state == [BOS, 0, 5]


def test_an_input_has_the_rows_in_use_and_an_output_its_memory() -> None:
    slots = Slots(SPEC, capacity=4)
    add(slots, 3, start=0)
    add(slots, 3, start=0)
    inputs, outputs = slots.inputs(), slots.outputs(logits=False)
    assert {len(array) for array in [*inputs.values(), *outputs.values()]} == {2}
    assert "logits" not in outputs
    for out, twin in {"present_key.1": "past_key.1", "cross_value_out.0": "cross_value.0"}.items():
        assert outputs[out].ctypes.data == inputs[twin].ctypes.data
    assert slots.outputs(logits=True)["logits"].shape == (2, SPEC.vocabulary)


def test_memory_grows_in_doubling_buckets_and_keeps_what_rows_hold() -> None:
    slots = Slots(SPEC, capacity=3)
    add(slots, 3, start=100)
    step(slots, [7], [-1.0])
    before = row_state(slots, 0)
    assert slots.reserve(source=33, target=65) is True
    assert slots.inputs()["cross_key.0"].shape[2] == 2 * SMALLEST_BUCKET
    assert slots.inputs()["past_key.0"].shape[2] == 4 * SMALLEST_BUCKET
    assert_state(slots, 0, before)


def test_memory_that_is_large_enough_stays_where_it_is() -> None:
    slots = Slots(SPEC, capacity=3)
    add(slots, 3, start=0)
    addresses = {name: array.ctypes.data for name, array in slots.inputs().items()}
    assert slots.reserve(source=SMALLEST_BUCKET, target=SMALLEST_BUCKET) is False
    slots.remove(0)
    add(slots, 5, start=7)
    assert {name: array.ctypes.data for name, array in slots.inputs().items()} == addresses


def test_memory_far_too_large_is_given_back_once_no_row_uses_it() -> None:
    slots = Slots(SPEC, capacity=3)
    add(slots, 3, start=0, limit=4 * SMALLEST_BUCKET)
    assert slots.reserve(source=5, target=5) is False
    slots.remove(0)
    assert slots.reserve(source=5, target=2 * SMALLEST_BUCKET) is False
    assert slots.reserve(source=5, target=5) is True
    add(slots, 3, start=0, limit=5)
    assert slots.inputs()["past_key.0"].shape[2] == SMALLEST_BUCKET
    step(slots, [EOS], [-1])
    assert slots.generated(0) == ([], -1.0, True)


def test_the_last_row_fills_the_hole_with_all_that_it_has() -> None:
    slots = Slots(SPEC, capacity=3)
    for length, start in ((6, 0), (4, 1000), (5, 2000)):
        add(slots, length, start, limit=length + 10)
    step(slots, [11, 12, 13], [-1, -2, -3])
    step(slots, [21, 22, 23], [-1, -2, -3])
    first, last = row_state(slots, 0), row_state(slots, 2)
    assert slots.remove(1) == 2
    assert slots.count == 2
    assert_state(slots, 0, first)
    assert_state(slots, 1, last)
    assert slots.generated(1) == ([13, 23], -3.0, False)


def test_the_last_row_leaves_without_a_copy() -> None:
    slots = Slots(SPEC, capacity=3)
    add(slots, 3, start=0)
    add(slots, 3, start=500)
    first = row_state(slots, 0)
    assert slots.remove(1) == 1
    assert slots.count == 1
    assert_state(slots, 0, first)


def test_a_slot_that_is_taken_again_knows_nothing_of_the_one_before() -> None:
    slots = Slots(SPEC, capacity=1)
    add(slots, 6, start=0)
    step(slots, [9], [-4.0])
    slots.remove(0)
    add(slots, 2, start=50)
    step(slots, [EOS], [-0.5])
    assert slots.generated(0) == ([], -0.5, True)


def test_a_target_continues_from_another_row() -> None:
    slots = Slots(SPEC, capacity=2)
    add(slots, 3, start=0)
    add(slots, 3, start=0)
    step(slots, [7, 8], [-1, -2])
    slots.copy_target(1, 0)
    assert_state(slots, 0, row_state(slots, 1))


def test_a_row_ends_with_the_end_token_or_at_its_limit() -> None:
    slots = Slots(SPEC, capacity=3)
    for limit in (2, 9, 9):
        add(slots, 3, start=0, limit=limit)
    step(slots, [7, 8, EOS], [-1, -1, -1])
    assert slots.ended() == [2]
    step(slots, [7, EOS, 9], [-2, -3, -1])
    assert slots.ended() == [0, 1]
    assert slots.generated(0) == ([7, 7], -1.5, False)
    assert slots.generated(1) == ([8], -2.0, True)


def test_a_row_steps_and_ends_alone_as_in_company() -> None:
    alone, company = Slots(SPEC, capacity=2), Slots(SPEC, capacity=2)
    for slots in (alone, company, company):
        add(slots, 3, start=0, limit=3)
    for ids in ([7, 7], [8, 8], [9, 9]):
        assert alone.ended() == []
        step(alone, ids[:1], [-1.5])
        step(company, ids, [-1.5, -1.5])
        assert_state(alone, 0, row_state(company, 0))
        assert (alone.ended() == [0]) == (company.ended() == [0, 1]) == (ids == [9, 9])
    assert alone.generated(0) == company.generated(1) == ([7, 8, 9], -1.5, False)
    alone.remove(0)
    add(alone, 3, start=0, limit=3)
    step(alone, [EOS], [-1])
    assert alone.ended() == [0]


def test_an_end_token_at_the_limit_is_an_end() -> None:
    slots = Slots(SPEC, capacity=1)
    add(slots, 3, start=0, limit=1)
    step(slots, [EOS], [-1])
    assert slots.generated(0) == ([], -1.0, True)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_caches_have_the_graphs_element_type(dtype: str) -> None:
    slots = Slots(SPEC, capacity=1, dtype=dtype)
    add(slots, 3, start=0)
    inputs = slots.inputs()
    assert {inputs[name].dtype for name in (*CROSS_NAMES, *PAST_NAMES)} == {np.dtype(dtype)}
    (keys,) = inputs[CROSS_NAMES[0]]
    np.testing.assert_array_equal(keys[:, :3], packed(3, 0.0)[0][: len(keys)])
