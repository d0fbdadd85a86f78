"""What mining leaves behind beside the pairs: `report.md` for people, `results.json` for machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earmark.core.report import heading, table, write_page
from earmark.core.report import write_results as write_document
from earmark.data.lists.list_format import number_text
from earmark.data.lists.spans import Span
from earmark.training.mining.counts import Counts, Tallies
from earmark.training.mining.examples import Example
from earmark.training.mining.settings import RELATIONS, MiningSettings
from earmark.training.mining.threshold import Curve


@dataclass(frozen=True, eq=False)
class Mined:
    """What was found.

    Attributes:
        out: folder of all that was written.
        encoder: name and fingerprint.
        lists: name of the list.
        settings: how it was mined.
        counts: of the pairs.
        curve: coverage of each threshold, and which was chosen.
        tallies: neighbors by similarity.
        examples: to listen to.
        segments: how many were compared.
        recordings: that they are from.
        speakers: who are known.
        left_out: segments that were too long.
        not_drawn: segments that chance left out.
        explained: share of the variance that the principal components keep.
        recall: share of true neighbors that were found; 1 where all were compared.
        chance: share of agreeing labels among pairs drawn blindly; NaN without labels.
        has_list: whether the pairs stand in pairs.txt too; not where a path or name has spaces.
        seconds: of each stage of this run.
    """

    out: Path
    encoder: tuple[str, str]
    lists: str
    settings: MiningSettings
    counts: Counts
    curve: Curve
    tallies: Tallies
    examples: Sequence[Example]
    segments: int
    recordings: int
    speakers: int
    left_out: int
    not_drawn: int
    explained: float
    recall: float
    chance: float
    has_list: bool
    seconds: Mapping[str, float]

    @property
    def coverage(self) -> float:
        """Share of segments that have a neighbor at the threshold."""
        return float(self.curve.coverage[self.curve.chosen])


def rows(mined: Mined) -> list[tuple[str, str]]:
    """What there is to say, and its value."""
    counts, settings = mined.counts, mined.settings
    kept = f"{settings.neighbors} nearest of {RELATIONS[settings.relation]}"
    found = [
        ("segments", f"{mined.segments:,} of {mined.recordings:,} recordings, {mined.speakers:,} speakers"),
        ("neighbors", kept + (", mutual" if settings.is_mutual else "")),
        ("threshold", f"cosine {mined.curve.threshold:g}"),
        ("coverage", f"{_percent(mined.coverage)} of segments, {_percent(settings.coverage)} wanted"),
        ("pairs", f"{counts.pairs:,}, of {counts.segments:,} segments"),
        ("same speaker", _share(counts.same_speaker, counts.pairs)),
        ("two speakers", _share(counts.across_speakers, counts.pairs)),
        ("same recording", _share(counts.same_recording, counts.pairs)),
        ("variance kept by the components", _percent(mined.explained)),
        ("true neighbors found", "all: exact" if mined.recall == 1 else _percent(mined.recall)),
    ]
    if counts.unknown_speaker:
        found.insert(7, ("a speaker unknown", _share(counts.unknown_speaker, counts.pairs)))
    if counts.labeled:
        words = f"{_percent(counts.purity)} of {counts.labeled:,} labeled pairs; blindly {_percent(mined.chance)}"
        found.append(("same label", words))
    if mined.left_out:
        found.append((f"longer than {settings.longest_s:g} s, left out", f"{mined.left_out:,}"))
    if mined.not_drawn:
        found.append(("not drawn", f"{mined.not_drawn:,}"))
    return found


def write_report(mined: Mined, folder: Path) -> None:
    """Write `report.md` into a folder."""
    has_labels = any(any(example.labels) for example in mined.examples)
    columns = [">", ">cosine", "pair", "first", "second", *(["labels"] if has_labels else [])]
    examples = []
    for number, example in enumerate(mined.examples, 1):
        pair = example.pair
        cells = [str(number), f"{pair.similarity:.2f}", "yes" if example.is_kept else "no"]
        cells += [_place(pair.first), _place(pair.second)]
        examples.append([*cells, *([" / ".join(label or "?" for label in example.labels)] if has_labels else [])])
    no_list = "There is no pairs.txt: a path or speaker has spaces, which only pairs.parquet can hold."
    write_page(
        folder / "report.md",
        f"# Pairs of segments: {mined.lists}",
        f"Mined by the encoder {mined.encoder[0]}.",
        table(["", ""], rows(mined)),
        "![Similarities of neighbors](similarities.png)",
        "![Coverage by threshold](coverage.png)",
        "## Examples",
        "Segments and their nearest neighbors, in descending order of similarity.",
        table(columns, examples),
        "" if mined.has_list else no_list,
    )


def write_results(mined: Mined, folder: Path, command: Sequence[str]) -> None:
    """Write `results.json` into a folder; NaN becomes null."""
    curve, tallies = mined.curve, mined.tallies
    # From the highest threshold to where nothing more is found.
    last = len(curve.thresholds) - int(np.argmax(tallies.neighbors > 0))
    columns = {
        "threshold": curve.thresholds[:last],
        "coverage": curve.coverage[:last],
        "neighbors": np.cumsum(tallies.neighbors[::-1])[:last],
        "purity": tallies.purity_from()[:last],
    }
    document: dict[str, Any] = {
        **heading("mining", command, encoder=mined.encoder, lists=mined.lists),
        "settings": mined.settings.model_dump(),
        "segments": mined.segments,
        "recordings": mined.recordings,
        "speakers": mined.speakers,
        "left_out": mined.left_out,
        "not_drawn": mined.not_drawn,
        "threshold": mined.curve.threshold,
        "coverage": mined.coverage,
        "pairs": mined.counts.document(),
        "chance": mined.chance,
        "explained": mined.explained,
        "recall": mined.recall,
        "seconds": dict(mined.seconds),
        "curve": {name: values.tolist() for name, values in columns.items()},
        "examples": [example.document() for example in mined.examples],
    }
    write_document(folder / "results.json", document)


def _place(span: Span) -> str:
    return f"{span.path} {number_text(span.start_s)}–{number_text(span.end_s)} s"


def _share(count: int, total: int) -> str:
    return f"{count:,} ({_percent(count / total if total else 0.0)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
