"""Everything about one model: its items, batches and stages, and what goes in and comes out."""

from monitoring.board import HIDDEN, INSTANCE, WINDOW, Board, Json, quantile
from monitoring.files import dashboard as whole
from monitoring.files import instances, variable

M = f'model="$model", {INSTANCE}'
R = WINDOW
STAGE = "slipway_stage_duration_seconds"


def dashboard() -> Json:
    """All rows."""
    board = Board()
    _now(board)
    _items(board)
    _batches(board)
    _stages(board)
    _inputs(board)
    _answers(board)
    models = variable("model", "Model", "label_values(slipway_model_ready, model)", multi=False)
    title = "Slipway: a model"
    return whole(
        board, "slipway-model", title, "Everything about one model.", [models, instances()]
    )


def rate(metric: str, conditions: str = "", window: str = R) -> str:
    """The rate of a counter of this model."""
    return f"rate({metric}{{{M}{conditions}}}[{window}])"


def _now(b: Board) -> None:
    answered = rate("slipway_items_total", ', outcome="ok"', "$__range")
    b.stat(
        "Ready",
        "Versions that take requests.",
        [(f"sum by (version) (slipway_model_ready{{{M}}})", "version {{version}}")],
        "none",
        4,
        steps=(("red", None), ("green", 1)),
    )
    b.stat(
        "Answered",
        "Items that ended well, of all.",
        [(f"sum({answered}) / sum({rate('slipway_items_total', window='$__range')})", "answered")],
        "percentunit",
        4,
        decimals=2,
    )
    b.table(
        "What serves",
        "Variant, providers that really run, digest of the graph.",
        f"slipway_model_info{{{M}}}",
        16,
        height=4,
        hidden=(*HIDDEN, "model"),
    )


def _items(b: Board) -> None:
    b.row("Items")
    b.lines(
        "Items by outcome",
        "Of this model, whatever request they belong to.",
        [(f"sum by (outcome) ({rate('slipway_items_total')})", "{{outcome}}")],
        "ops",
        stack=True,
    )
    b.lines(
        "Requests by version and outcome",
        "Where two versions are live, both.",
        [
            (
                f"sum by (version, outcome) ({rate('slipway_requests_total')})",
                "{{version}} {{outcome}}",
            )
        ],
        "reqps",
        stack=True,
    )
    b.lines(
        "Queue",
        "Items that wait, and how many may.",
        [
            (f"sum by (instance) (slipway_queue_depth{{{M}}})", "waiting {{instance}}"),
            (f"sum by (instance) (slipway_queue_limit{{{M}}})", "limit {{instance}}"),
        ],
    )


def _batches(b: Board) -> None:
    executions = f"sum({rate('slipway_executions_total')})"
    padding = f"sum({rate('slipway_padding_tokens_total')})"
    real = f"sum({rate('slipway_real_tokens_total')})"
    b.row("Batches")
    b.heat(
        "Batch size",
        "How many batches had how many items.",
        f"sum by (le) (increase(slipway_batch_size_bucket{{{M}}}[{R}]))",
        "none",
    )
    b.lines(
        "Batch size, mean",
        "Items that ran together.",
        [(f"sum({rate('slipway_inferences_total')}) / {executions}", "mean")],
        width=6,
    )
    b.lines("Batches a second", "Runs of this model.", [(executions, "batches")], "ops", 6)
    b.lines(
        "Why batches were not larger",
        "full: at the limit; idle: nobody else was there; deadline, age: somebody could not wait.",
        [(f"sum by (reason) ({rate('slipway_batch_releases_total')})", "{{reason}}")],
        "ops",
        stack=True,
    )
    b.lines(
        "Items that need not run",
        "hit: the answer was kept; shared: an identical one was in flight; miss: it had to run.",
        [(f"sum by (result) ({rate('slipway_shared_items_total')})", "{{result}}")],
        "ops",
        stack=True,
    )
    b.lines(
        "Padding",
        "Share of the tokens that only made the texts of a batch equally long. Texts only.",
        [(f"{padding} / ({padding} + {real})", "padding")],
        "percentunit",
        most=1,
    )


def _stages(b: Board) -> None:
    b.row("Stages")
    for title, description, stage in (
        ("Wait in the queue", "Of an item.", "queue"),
        (
            "Inference",
            "Of a batch; of a translation, from start to end.",
            "inference",
        ),
    ):
        conditions = f'{M}, stage="{stage}"'
        targets = [(quantile(q, STAGE, conditions), f"p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)]
        b.lines(title, description, targets, "s")
    working = rate(f"{STAGE}_sum", ', stage!="queue"')
    b.lines(
        "Time by stage",
        "Mean number of worker threads in each stage.",
        [(f"sum by (stage) ({working})", "{{stage}}")],
        stack=True,
    )


def _inputs(b: Board) -> None:
    texts = f"sum({rate('slipway_input_tokens_count')})"
    b.row("What goes in (texts)")
    b.heat(
        "Length",
        "Tokens of a text, as the model reads it.",
        f"sum by (le) (increase(slipway_input_tokens_bucket{{{M}}}[{R}]))",
        "none",
    )
    b.lines(
        "Cut short",
        "Share of the texts of which only the beginning was read.",
        [(f"sum({rate('slipway_truncated_inputs_total')}) / {texts}", "cut")],
        "percentunit",
        6,
        most=1,
    )
    unknown = f"sum({rate('slipway_unknown_tokens_total')})"
    b.lines(
        "Unknown tokens",
        "Share of the tokens that the vocabulary has no word for. Empty where it has one for all.",
        [(f"{unknown} / sum({rate('slipway_input_tokens_sum')})", "unknown")],
        "percentunit",
        6,
        most=1,
    )


def _answers(b: Board) -> None:
    confidence = "slipway_prediction_confidence"
    b.row("What comes out")
    b.heat(
        "Confidence",
        "Probability of the answer; of a translation, the mean one of its tokens.",
        f"sum by (le) (increase({confidence}_bucket{{{M}}}[{R}]))",
        "percentunit",
    )
    b.lines(
        "Confidence, mean",
        "A fall without a new version means that inputs changed.",
        [(f"sum({rate(f'{confidence}_sum')}) / sum({rate(f'{confidence}_count')})", "mean")],
        "percentunit",
        6,
        most=1,
    )
    b.lines(
        "Labels",
        "Share of each label among the answers. Classifiers only.",
        [
            (
                f"sum by (label) ({rate('slipway_predictions_total')}) "
                f"/ on () group_left () sum({rate('slipway_predictions_total')})",
                "{{label}}",
            )
        ],
        "percentunit",
        6,
        stack=True,
        most=1,
    )
