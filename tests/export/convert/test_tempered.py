import numpy as np
import onnx
import pytest

from export.candidate import Candidate, of_published, with_graphs
from export.convert.tempered import tempered
from export.convert.text_graph import text_graph
from export.golden import drawings
from export.quantize.text import quantize_text
from export.temperature import Temperature
from model_zoo.manifest import Precision, Role
from service.runtime.collate import pad_ids
from service.runtime.session import Session, open_session
from tests import tiny_zoo
from tests.export.tiny_networks import PAD, TEXTS, Floats, Ids, ids, text_network

Graphs = dict[Precision, dict[Role, bytes]]
LENGTHS = [2, 30, 4, 1, 17]
BY_LENGTH = Temperature(1.5, -0.25)


@pytest.fixture(scope="module", params=["fp32", "int8"])
def graph(request: pytest.FixtureRequest) -> bytes:
    made = text_graph(text_network())
    made = quantize_text(made) if request.param == "int8" else made
    return bytes(made.SerializeToString())


def logits(session: Session, rows: list[Ids]) -> Floats:
    ids_NT, mask_NT = pad_ids(rows, PAD)
    return session.run({"input_ids": ids_NT, "attention_mask": mask_NT})["logits"]


def test_logits_are_divided_and_nothing_else_changes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    zoo = tiny_zoo.build(tmp_path_factory.mktemp("zoo"))
    plain = of_published(zoo.open(tiny_zoo.IMAGES))
    cooled = tempered(plain.graphs["fp32"]["model"], Temperature(4.0))
    graphs: Graphs = {"fp32": {"model": cooled}}
    cooler: Candidate = with_graphs(plain, graphs)
    features = plain.open("fp32").features(drawings(5))
    before, after = (np.stack(one.open("fp32").rows(features)) for one in (plain, cooler))
    assert after == pytest.approx(before / 4, rel=1e-6)
    assert cooler.manifest.variants[0].graphs != plain.manifest.variants[0].graphs
    assert cooler.manifest.outputs == plain.manifest.outputs


@pytest.mark.parametrize("temperature", [Temperature(0.9, 0.0, 0.15), Temperature(1.5, -0.25, 0.3)])
def test_smoothing_is_taken_off_before_the_division(graph: bytes, temperature: Temperature) -> None:
    rows = ids(LENGTHS, TEXTS.vocabulary)
    before = logits(open_session(graph), rows).astype(np.float64)
    after = logits(open_session(tempered(graph, temperature)), rows)
    expected = temperature.applied(before, np.array(LENGTHS, np.float64))
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected - Temperature(0.9).applied(before, None)).max() > 0.01


def test_each_text_is_divided_by_the_temperature_of_its_own_length(graph: bytes) -> None:
    rows = ids(LENGTHS, TEXTS.vocabulary)
    before = logits(open_session(graph), rows)
    after = logits(open_session(tempered(graph, BY_LENGTH)), rows)
    divisors = BY_LENGTH.of(np.array(LENGTHS, np.float64))
    np.testing.assert_allclose(after, before / divisors[:, None], rtol=1e-5)


def test_neighbours_and_padding_do_not_change_the_temperature(graph: bytes) -> None:
    session, rows = open_session(tempered(graph, BY_LENGTH)), ids(LENGTHS, TEXTS.vocabulary)
    alone = np.concatenate([logits(session, [row]) for row in rows])
    np.testing.assert_allclose(logits(session, rows), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [BY_LENGTH, Temperature(1.5, 0.0, 0.1)])
def test_inputs_outputs_and_their_free_axes_stay(graph: bytes, temperature: Temperature) -> None:
    before, after = (
        onnx.load_from_string(content).graph for content in (graph, tempered(graph, temperature))
    )
    assert list(after.input) == list(before.input)
    assert list(after.output) == list(before.output)
