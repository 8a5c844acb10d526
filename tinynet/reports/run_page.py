"""The report's page about one run: headline figures, remarks, curves, the test part, pictures, how to repeat it."""

from __future__ import annotations

from typing import Any

from tinynet.artifacts.run_folder import Status
from tinynet.artifacts.stored_runs import StoredRun
from tinynet.config.building import Run
from tinynet.config.loading import flat
from tinynet.reports import html
from tinynet.reports.curves import curve_charts
from tinynet.reports.html import Cell, Html
from tinynet.reports.predictions import boundary_section, first_layer_section, prediction_sections
from tinynet.reports.remarks import kept_epoch, kept_weights, remarks
from tinynet.reports.scores import score, shown_score

REFRESH_S = 5
ENDINGS: dict[str, str] = {
    Status.RUNNING: f"The run is under way. This page is rewritten at most every {REFRESH_S} seconds.",
    Status.UNFINISHED: "The run has not ended: it is still running, or it was killed; this is what it has written.",
    Status.DIVERGED: "The loss or its gradient stopped being finite; the weights are those after the last whole epoch.",
    Status.INTERRUPTED: "The run was interrupted; the figures end with the last whole epoch.",
    Status.FAILED: "The run failed before its end; the figures end with the last whole epoch.",
}
RESUMABLE = (Status.UNFINISHED, Status.INTERRUPTED, Status.FAILED)


def run_page(stored: StoredRun, run: Run | str) -> bytes:
    """Return the page about `stored`; `run` is what was trained, or a sentence that says why it is not at hand."""
    summary, logits, scores = stored.summary, None, None
    if summary is not None and isinstance(run, Run) and summary.test_accuracy is not None:
        logits = run.net.logits(run.dataset.X_test)
        scores = score(run.dataset.y_test, logits, run.dataset.class_counts)
    elif summary is not None and summary.test_scores is not None:
        scores = summary.test_scores.model_dump()
    said = (summary.remarks if summary is not None else []) or []
    if summary is not None and summary.remarks is None and isinstance(run, Run):  # an older version's
        data = run.dataset
        found = remarks(stored.config.training, stored.history, scores, data.class_counts, data.class_names)
        said = [*data.remarks, *found]
    notices = [ENDINGS[stored.status]] if stored.status in ENDINGS else []
    parts = list[Html]()
    if stored.status in RESUMABLE:
        parts += [html.paragraph("Resume it with:"), _command(stored.folder.resume_command())]
    parts.append(html.tiles(_headline(stored, scores, len(said))))
    parts.append(html.section("Curves", curve_charts(stored.history)))
    if isinstance(run, str):
        parts.append(html.section("Predictions", html.paragraph(run, "note")))
    else:
        net, data = run.net, run.dataset
        if scores is not None and logits is not None:
            parts += prediction_sections(data, logits, scores)
        else:
            none = "The test part is measured once, when a run finishes; this one did not."
            untested = none if len(data.X_test) else "There is none: dataset.test_size is 0."
            parts.append(html.section("Test part", html.paragraph(untested, "note")))
        parts += [boundary_section(net, data)] if data.n_features == 2 else []
        parts += [first_layer_section(net, data.image_shape)] if data.image_shape is not None else []
        if data.summary:
            head = tuple(data.summary[0])
            rows = [tuple(html.value_of(column[name]) for name in head) for column in data.summary]
            columns = html.table("Columns of the table", head, rows, "words whole")
            parts.append(html.section("How the table was prepared", columns))
    parts.append(_repeat(stored))
    refresh_s = REFRESH_S if stored.running else 0
    return html.document(stored.config.name, _lead(stored), [*notices, *said], parts, refresh_s=refresh_s)


def _lead(stored: StoredRun) -> str:
    config, summary, samples = stored.config, stored.summary, ""
    if summary is not None:
        parts = f"{summary.n_train:,} training, {summary.n_validation:,} validation and {summary.n_test:,} test"
        samples = f"; {parts} samples"
    units = f"{config.network.hidden_units} {config.network.activation} units"
    return f"{config.dataset.name} data, {units}{samples}; run folder {stored.label}"


def _headline(stored: StoredRun, scores: dict[str, Any] | None, n_remarks: int) -> list[tuple[str, Cell, Cell]]:
    summary, history = stored.summary, stored.history
    figures: list[tuple[str, Cell, Cell]] = []
    if scores is not None:
        figures += score_tiles(scores)
    elif summary is not None and summary.test_accuracy is not None:
        figures.append(("Test accuracy", html.percent(summary.test_accuracy), f"{summary.n_test:,} samples"))
    if len(history):
        words = kept_weights(stored.config.training, history).partition(", ")[2]
        kept = kept_epoch(stored.config.training, history)
        figures.append(("Weights of epoch", kept.epoch, f"{words} ({history.best.monitored:#.4g})"))
    steps = f"{history.rows[-1].step:,} steps" if len(history) else "no epoch ended"
    seconds = sum(history["duration_s"]) if summary is None else summary.duration_s
    figures.append(("Time", html.duration(seconds), steps))
    if summary is not None:
        figures.append(("Parameters", f"{summary.n_parameters:,}", "weights and biases"))
    kind = "" if stored.running or (stored.finished and n_remarks) else "good" if stored.finished else "bad"
    status = Html(f'<span class="{kind}">{html.text(stored.status)}</span>')
    noted = f"; {n_remarks} remark{'s' if n_remarks > 1 else ''} above" if n_remarks else ""
    figures.append(("Status", status, f"seed {stored.config.seed}{noted}"))
    return figures


def score_tiles(scores: dict[str, Any], part: str = "test") -> list[tuple[str, Cell, Cell]]:
    """Return the headline figures of a test part, or of another one."""
    n, (low, high) = scores["n_samples"], scores["accuracy_interval"]
    right = f"{round(scores['accuracy'] * n):,} of {n:,} right; 95 % interval {100 * low:.1f} to {100 * high:.1f} %"
    area = "second class against the first" if len(scores["classes"]) == 2 else "each class against the rest"
    loss, guessing = (shown_score(scores[name], "#.4g") for name in ("loss", "guessing_loss"))
    return [
        (f"{part.capitalize()} accuracy", html.percent(scores["accuracy"]), right),
        ("By guessing", html.percent(scores["majority_accuracy"]), "always the most frequent class"),
        ("Balanced accuracy", shown_score(scores["balanced_accuracy"]), "mean recall of the classes"),
        ("Macro F1", shown_score(scores["macro_f1"]), "mean over the classes"),
        ("ROC AUC", shown_score(scores["roc_auc"]), area),
        (f"{part.capitalize()} loss", loss, f"nats a sample; {guessing} by always giving the class frequencies"),
    ]


def _repeat(stored: StoredRun) -> Html:
    words = f"In the run folder, {stored.label}; the same versions on the same machine give the same bits:"
    keys, about = _cells(flat(stored.folder.written_config)), _cells(flat(stored.environment))
    config = html.table(stored.folder.config.name, ("key", "value"), keys, "words")
    environment = html.table(stored.folder.environment.name, ("what", "value"), about, "words")
    command = _command("tinynet train config.json")
    return html.section("Repeat it", html.paragraph(words), command, html.grid("pair", [config, environment]))


def _cells(values: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name, value in values.items():
        if isinstance(value, list):
            value = "; ".join(" ".join(map(str, one.values())) if isinstance(one, dict) else str(one) for one in value)
        rows.append((name, html.value_of(value)))
    return rows


def _command(line: str) -> Html:
    return Html(f"<pre><code>{html.text(line)}</code></pre>")
