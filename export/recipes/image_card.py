"""The card of an image model, with its pictures."""

from export import plots
from export.candidate import Candidate
from export.networks.cnn import ResNet
from export.networks.mlp import Mlp
from export.recipes.card_tables import by_class, drawing_examples, served
from export.recipes.honesty import TestSplits
from export.recipes.image_network import SIDE
from export.recipes.image_training import ImageTraining
from export.report import CARD_FILE, CardText, Plot, model_card
from export.training import History


def card(
    candidate: Candidate,
    test: TestSplits,
    history: History,
    network: ResNet | Mlp,
    trained: ImageTraining,
) -> dict[str, bytes]:
    """README.md and its plots, by file name."""
    precision, (split,) = served(candidate), test.splits
    (answer,) = test.answers[precision]
    labels, chosen, names = split.labels, answer.chosen, test.names
    pictures = [
        Plot("curves.png", plots.training_curves(history.rows), "Training, epoch by epoch"),
        Plot(
            "confusion.png",
            plots.confusion_matrix(labels, chosen, names),
            f"Confusion on the test split, {precision}",
        ),
        Plot(
            "reliability.png",
            plots.reliability(answer.probabilities_NK, labels),
            f"Confidence against accuracy on the test split, {precision}",
        ),
    ]
    tables = [by_class(names, labels, chosen, f"Test split, {precision}.")]
    page = model_card(
        candidate.with_evidence({}),
        card_text(network, trained),
        pictures,
        tables,
        drawing_examples(candidate),
    )
    return {CARD_FILE: page.encode(), **{plot.file: plot.png for plot in pictures}}


def card_text(network: ResNet | Mlp, trained: ImageTraining) -> CardText:
    """What is true of this kind of network, trained in this way."""
    return CardText(
        intended_use=(
            "A first model to serve and to measure with; a start for small pictures of one thing.",
        ),
        misuse=(
            "Anything that matters to a person's safety, rights or money.",
            "Pictures of a kind that is not among its labels: it names one of them all the same.",
        ),
        known_limits=(
            f"It sees {SIDE} x {SIDE} pixels: whatever needs more detail is lost.",
            "Its classes are exclusive; a picture with two of them gets one name.",
        ),
        training=_training(network, trained),
        licence="Apache-2.0",
    )


def _training(network: ResNet | Mlp, trained: ImageTraining) -> str:
    sgd = "SGD with Nesterov momentum"
    learnt = f"Muon for the convolutions and {sgd} for the rest" if trained.matrix_rate else sgd
    stem = ", on a whitened first layer" if isinstance(network, ResNet) else ""
    small = ", small pictures first" if trained.small_share else ""
    smooth = f"label smoothing {trained.label_smoothing:g}"
    taught = (
        f"{trained.taught_share:.0%} of each loss against the answers of "
        f"{' and '.join(trained.taught_by)}, softened by {trained.softness:g}"
    )
    return (
        f"{learnt}{stem}; {taught if trained.taught_by else smooth}, alternating flips, shifts "
        f"of up to {trained.shift} pixels, cutout of {trained.cut_out}{small}, weights averaged "
        "over the last steps."
    )
