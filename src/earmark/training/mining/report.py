"""Report of mining: `report.md`, `results.json`, two plots, and examples as audio."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from earmark.core.files import scratch_folder
from earmark.core.report import heading, table, write_page, write_results
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.list_format import number_text
from earmark.data.lists.spans import Span
from earmark.evaluation.plots.figures import save
from earmark.training.mining.examples import write_snippets
from earmark.training.mining.plots import coverage_plot, similarity_plot
from earmark.training.mining.result import MiningResult
from earmark.training.mining.settings import RELATIONS

FILES = ("similarities.png", "coverage.png", "report.md", "results.json")
"""Files of the report; `results.json` is written last, so that it marks a complete result."""


def write_report(
    result: MiningResult, recordings: AudioFolder, command: Sequence[str], *, snippets: bool = False
) -> None:
    """Write the report of mining into the result's folder: a page, two plots, `results.json`, and audio if wanted.

    Args:
        result: result of the mining.
        recordings: folder of the recordings.
        command: words of the command line.
        snippets: also write the examples as audio.
    """
    if snippets:
        write_snippets(result.examples, recordings, result.out / "listen")
    with scratch_folder(result.out) as folder:
        save(similarity_plot(result.histograms, result.curve, result.settings.bin_width), folder / "similarities.png")
        save(coverage_plot(result.histograms, result.curve, result.settings.coverage), folder / "coverage.png")
        write_page(folder / "report.md", *_page(result))
        write_results(folder / "results.json", _document(result, command))
        for name in FILES:
            (folder / name).replace(result.out / name)


def summary(result: MiningResult) -> list[tuple[str, str]]:
    """Describe the result of mining as rows of a table, each with a name and a value as text."""
    counts, settings = result.counts, result.settings
    searched = f"{settings.neighbors} nearest of {RELATIONS[settings.relation]}"
    rows = [
        ("segments", f"{result.segments:,} of {result.recordings:,} recordings, {result.speakers:,} speakers"),
        ("neighbors", searched + (", mutual" if settings.mutual else "")),
        ("threshold", f"cosine {result.curve.threshold:g}"),
        ("coverage", f"{_percent(result.coverage)} of segments, {_percent(settings.coverage)} wanted"),
        ("pairs", f"{counts.pairs:,}, of {counts.segments:,} segments"),
        ("same speaker", _share(counts.same_speaker, counts.pairs)),
        ("two speakers", _share(counts.across_speakers, counts.pairs)),
        ("same recording", _share(counts.same_recording, counts.pairs)),
        ("variance kept by the components", _percent(result.explained)),
        ("true neighbors found", "all: exact" if result.recall == 1 else _percent(result.recall)),
    ]
    if counts.unknown_speaker:
        rows.insert(7, ("a speaker unknown", _share(counts.unknown_speaker, counts.pairs)))
    if counts.labeled:
        words = f"{_percent(counts.purity)} of {counts.labeled:,} labeled pairs; by chance {_percent(result.chance)}"
        rows.append(("same label", words))
    if result.left_out:
        rows.append((f"longer than {settings.longest_s:g} s, dropped", f"{result.left_out:,}"))
    if result.not_drawn:
        rows.append(("not in the sample", f"{result.not_drawn:,}"))
    return rows


def _page(result: MiningResult) -> list[str]:
    return [
        f"# Pairs of segments: {result.lists}",
        f"Mined by the encoder {result.encoder[0]}.",
        table(["", ""], summary(result)),
        "![Similarities of neighbors](similarities.png)",
        "![Coverage by threshold](coverage.png)",
        "## Examples for listening",
        "Segments and their nearest neighbors, in order of falling similarity.",
        _examples(result),
        "" if result.has_list else "There is no pairs.txt, because a path or speaker has spaces; use pairs.parquet.",
    ]


def _examples(result: MiningResult) -> str:
    has_labels = any(any(example.labels) for example in result.examples)
    rows = []
    for number, example in enumerate(result.examples, 1):
        pair = example.pair
        row = [str(number), f"{pair.similarity:.2f}", "yes" if example.is_kept else "no"]
        row += [_span_text(pair.first), _span_text(pair.second)]
        rows.append([*row, *([" / ".join(label or "?" for label in example.labels)] if has_labels else [])])
    return table([">", ">cosine", "pair", "first", "second", *(["labels"] if has_labels else [])], rows)


def _document(result: MiningResult, command: Sequence[str]) -> dict[str, Any]:
    curve, histograms = result.curve, result.histograms
    # The curve ends at the lowest threshold that adds neighbors.
    last = len(curve.thresholds) - int(np.argmax(histograms.neighbors > 0))
    columns = {
        "threshold": curve.thresholds[:last],
        "coverage": curve.coverage[:last],
        "neighbors": np.cumsum(histograms.neighbors[::-1])[:last],
        "purity": histograms.purity_from()[:last],
    }
    return {
        **heading("mining", command, encoder=result.encoder, lists=result.lists),
        "settings": result.settings.model_dump(),
        "segments": result.segments,
        "recordings": result.recordings,
        "speakers": result.speakers,
        "left_out": result.left_out,
        "not_drawn": result.not_drawn,
        "threshold": curve.threshold,
        "coverage": result.coverage,
        "pairs": result.counts.document(),
        "chance": result.chance,
        "explained": result.explained,
        "recall": result.recall,
        "seconds": dict(result.seconds),
        "curve": {name: values.tolist() for name, values in columns.items()},
        "examples": [example.document() for example in result.examples],
    }


def _span_text(span: Span) -> str:
    return f"{span.path} {number_text(span.start_s)}–{number_text(span.end_s)} s"


def _share(count: int, total: int) -> str:
    return f"{count:,} ({_percent(count / total if total else 0.0)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
