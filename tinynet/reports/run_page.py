"""The report's page about one run: headline figures, remarks, curves, the test part, pictures, how to repeat it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.artifacts.run_folder import Status
from tinynet.artifacts.stored_runs import StoredRun
from tinynet.config.building import Run
from tinynet.config.loading import flat
from tinynet.data.datasets import Dataset
from tinynet.reports.curves import curve_charts
from tinynet.reports.html import (
    Cell,
    Html,
    document,
    duration,
    grid,
    paragraph,
    percent,
    section,
    table,
    text,
    tiles,
    value_of,
)
from tinynet.reports.pictures import boundary_section, first_layer_section
from tinynet.reports.predictions import prediction_sections
from tinynet.reports.remarks import kept_epoch, kept_weights, remarks
from tinynet.reports.scores import score

REFRESH_S = 5
ENDINGS: dict[str, str] = {
    Status.RUNNING: f"The run is under way. This page is written anew every {REFRESH_S} seconds or more.",
    Status.UNFINISHED: "The run has not ended: it is still running, or it was killed; this is what it has written.",
    Status.DIVERGED: "The loss or its gradient stopped being finite; the weights are those after the last whole epoch.",
    Status.INTERRUPTED: "The run was interrupted; the figures end with the last whole epoch.",
    Status.FAILED: "The run failed before its end; the figures end with the last whole epoch.",
}
RESUMABLE = (Status.UNFINISHED, Status.INTERRUPTED, Status.FAILED)


def run_page(stored: StoredRun, run: Run | str) -> bytes:
    """Return the page about `stored`; `run` is what was trained, or a sentence that says why it is not at hand."""
    logits, scores, said = _judged(stored, run)
    parts = [Html(f"<h1>{text(stored.config.name)}</h1>"), paragraph(_lead(stored), "lead")]
    if stored.status in ENDINGS:
        parts.append(paragraph(ENDINGS[stored.status], "notice"))
    if stored.status in RESUMABLE:
        parts += [
            paragraph("It is resumed by:"),
            _command(stored.folder.resume_command()),
        ]
    parts += [paragraph(f"{remark[0].upper()}{remark[1:]}.", "notice") for remark in said]
    parts.append(tiles(_headline(stored, scores, len(said))))
    parts.append(section("Curves", curve_charts(stored.history)))
    if isinstance(run, str):
        parts.append(section("Predictions", paragraph(run, "note")))
    else:
        data = run.dataset
        if scores is not None and logits is not None:
            parts += prediction_sections(data, logits, scores)
        else:
            parts.append(section("Test part", paragraph(_why_not_tested(len(data.X_test)), "note")))
        parts += [boundary_section(run.net, data)] if data.n_features == 2 else []
        parts += [first_layer_section(run.net, data.image_shape)] if data.image_shape is not None else []
        parts += _preparation(data)
    parts.append(_repeat(stored))
    refresh_s = REFRESH_S if stored.running else None
    return document(f"{stored.config.name}: tinynet report", parts, refresh_s=refresh_s)


def _judged(stored: StoredRun, run: Run | str) -> tuple[Any, dict[str, Any] | None, list[str]]:
    """Return logits and scores of the test part, and remarks; where there are no data, what the run said of them."""
    summary = stored.summary
    if summary is None or isinstance(run, str):
        known = None if summary is None or summary.test_scores is None else summary.test_scores.model_dump()
        return None, known, [] if summary is None else summary.remarks
    data, counts = run.dataset, np.bincount(run.dataset.y_train, minlength=run.dataset.n_classes)
    logits = run.net.logits(data.X_test) if summary.test_accuracy is not None else None
    scores = None if logits is None else score(data.y_test, logits, counts)
    found = remarks(stored.config.training, stored.history, scores, counts, data.class_names)
    return logits, scores, [*data.remarks, *found]


def _why_not_tested(n_test: int) -> str:
    if not n_test:
        return "There is none: dataset.test_size is 0."
    return "The test part is measured once, at the end of a run that comes to its end; this one did not."


def _lead(stored: StoredRun) -> str:
    config, summary = stored.config, stored.summary
    sentence = f"{config.dataset.name} data, {config.network.hidden_units} {config.network.activation} units"
    if summary is None:
        return f"{sentence}; run folder {stored.label}"
    parts = [
        f"{n:,} {part}"
        for part, n in (("training", summary.n_train), ("validation", summary.n_validation), ("test", summary.n_test))
    ]
    return f"{sentence}; {', '.join(parts[:-1])} and {parts[-1]} samples; run folder {stored.label}"


def _headline(stored: StoredRun, scores: dict[str, Any] | None, n_remarks: int) -> list[tuple[str, Cell, Cell]]:
    summary, history = stored.summary, stored.history
    figures: list[tuple[str, Cell, Cell]] = []
    if scores is not None:
        figures += score_tiles(scores)
    elif summary is not None and summary.test_accuracy is not None:
        figures.append(("Test accuracy", percent(summary.test_accuracy), f"{summary.n_test:,} samples"))
    if len(history):
        kept, best = kept_epoch(stored.config.training, history), history.best
        loss = best.train_loss if np.isnan(best.validation_loss) else best.validation_loss
        words = kept_weights(stored.config.training, history).partition(", ")[2]
        figures.append(("Weights of epoch", kept.epoch, f"{words} ({loss:#.4g})"))
    steps = f"{history.rows[-1].step:,} steps" if len(history) else "no epoch ended"
    seconds = sum(history["duration_s"]) if summary is None else summary.duration_s
    figures.append(("Time", duration(seconds), steps))
    if summary is not None:
        figures.append(("Parameters", f"{summary.n_parameters:,}", "weights and biases"))
    kind = "" if stored.running or (stored.finished and n_remarks) else "good" if stored.finished else "bad"
    status = Html(f'<span class="{kind}">{text(stored.status)}</span>')
    noted = f"; {n_remarks} remark{'s' if n_remarks > 1 else ''} above" if n_remarks else ""
    figures.append(("Status", status, f"seed {stored.config.seed}{noted}"))
    return figures


def score_tiles(scores: dict[str, Any]) -> list[tuple[str, Cell, Cell]]:
    """Return the headline figures of a test part."""
    n, (low, high) = scores["n_samples"], scores["accuracy_interval"]
    right = round(scores["accuracy"] * n)
    loss, guessing, balanced, f1, auc = (
        "—" if scores[name] is None else f"{scores[name]:{digits}}"
        for name, digits in (
            *(("loss", "#.4g"), ("guessing_loss", "#.4g"), ("balanced_accuracy", ".3f")),
            *(("macro_f1", ".3f"), ("roc_auc", ".3f")),
        )
    )
    area = "second class against the first" if len(scores["classes"]) == 2 else "each class against the rest"
    return [
        (
            "Test accuracy",
            percent(scores["accuracy"]),
            f"{right:,} of {n:,} right; 95 % interval {100 * low:.1f} to {100 * high:.1f} %",
        ),
        ("By guessing", percent(scores["majority_accuracy"]), "always the most frequent class"),
        ("Balanced accuracy", balanced, "mean recall of the classes"),
        ("Macro F1", f1, "mean over the classes"),
        ("ROC AUC", auc, area),
        ("Test loss", loss, f"nats a sample; {guessing} by always giving the class frequencies"),
    ]


def _preparation(data: Dataset) -> list[Html]:
    """Return how the columns of a table became features, where the data set says it."""
    columns = data.summary
    if not columns:
        return []
    head = tuple(columns[0])
    rows = [tuple("—" if column[name] is None else column[name] for name in head) for column in columns]
    return [section("How the table was prepared", table("Columns of the table", head, rows, "words whole"))]


def _repeat(stored: StoredRun) -> Html:
    return section(
        "Repeat it",
        paragraph(f"In the run folder, {stored.label}; the same versions on the same machine give the same bits:"),
        _command("tinynet train config.json"),
        grid(
            "pair",
            [
                table(stored.folder.config.name, ("key", "value"), _cells(flat(stored.folder.written_config)), "words"),
                table(stored.folder.environment.name, ("what", "value"), _cells(flat(stored.environment)), "words"),
            ],
        ),
    )


def _cells(values: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, value in values.items():
        if isinstance(value, list):
            inner = [" ".join(map(str, one.values())) if isinstance(one, dict) else str(one) for one in value]
            value = "; ".join(inner)
        rows.append((name, "—" if value is None else value_of(value)))
    return rows


def _command(line: str) -> Html:
    return Html(f"<pre><code>{text(line)}</code></pre>")
