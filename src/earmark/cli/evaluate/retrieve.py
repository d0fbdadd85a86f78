"""`earmark evaluate map`: does the same thing said elsewhere come first?"""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.evaluate import encoders as judged
from earmark.cli.extras import needs
from earmark.core.errors import InputError, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from earmark.data.audio_folder import AudioFolder
    from earmark.data.manifest import Clip
    from earmark.evaluation.protocols.retrieval import Floats, Ints, Similarities
    from earmark.evaluation.reports.retrieval import System
    from earmark.evaluation.segment_embeddings import SegmentEmbedder

EXAMPLE = (
    "Example: [bold]earmark evaluate map data/ngrams.txt --audio corpus --encoder base --encoder log-mel-mean[/bold]"
)
MEAN, WARPING = "log-mel-mean", "dtw"

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SEGMENTS|MANIFEST",
        help="A list of lines 'wav spk vad_start vad_end seg_start seg_end label', or a manifest (.tsv, .parquet).",
        show_default=False,
    ),
]
Audio = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder that the paths in a list start from.", show_default="the manifest's folder"
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME|FILE",
        help=f"base, tiny, an .onnx file, a checkpoint (.safetensors), or {MEAN}.",
        show_default="base",
    ),
]
Split = Annotated[str | None, typer.Option(help="Split of a manifest.", show_default="all")]
Spoken = Annotated[
    bool,
    typer.Option("--spoken/--whole", help="Of a recording without times, embed the spoken part, or all of it."),
]


def retrieve(
    source: Source,
    audio: Audio = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            metavar="NAME|FILE",
            help=f"base, tiny, an .onnx file, a checkpoint (.safetensors), or a baseline: {MEAN}, or {WARPING} for a "
            "few thousand segments. May be repeated.",
            show_default="base",
        ),
    ] = None,
    split: Split = None,
    spoken: Spoken = True,
    published: Annotated[
        bool, typer.Option("--published", help="Also with each query among its own answers, as published.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results folder.", show_default="runs/map-<list>")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap over speakers.")] = 0,
) -> None:
    """Rank all segments by their similarity to each, and measure MAP and MAP@R of those with its label.

    Against all other segments, against those of other speakers, and against those of the query's own speaker. Writes
    table.md, results.json, map.png, and the embeddings, so that the same command goes on where it was stopped.
    """
    import numpy as np

    from earmark.data.lists.segments import read_clips
    from earmark.evaluation.protocols import retrieval
    from earmark.evaluation.reports import retrieval as retrieval_report

    with needs("plots"):
        from earmark.evaluation import plots

    clips, recordings = read_clips(source, audio, split=split)
    segments = [clip for clip in clips if clip.split not in {"noise", "rir"}]
    _check_labels(source, segments)
    labels, speakers = [clip.label for clip in segments], [clip.speaker for clip in segments]
    # Many a manifest is called manifest: its folder says what it is of.
    lists = "-".join(filter(None, [source.resolve().parent.name if source.stem == "manifest" else source.stem, split]))
    out = out or Path("runs") / f"map-{lists}"
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    systems = []
    for name in encoder or ["base"]:
        title, fingerprint, similarities = _similarities(name, segments, recordings, out, spoken=spoken)
        with console.progress_bar() as progress:
            found = retrieval.precisions(
                similarities, labels, speakers, published=published, progress=partial(progress, "ranking")
            )
        numbers = retrieval.compute_metrics(found, speakers, np.random.default_rng(seed))
        systems.append(retrieval_report.System(title, fingerprint, found, numbers))
    counts = {"segments": len(segments), "labels": len(set(labels)), "speakers": len(set(speakers) - {""})}
    shown = {system.name: retrieval.by_label(retrieval_report.shown(system), labels) for system in systems}
    ranking = retrieval.RANKINGS[retrieval_report.shown_ranking(systems[0])]
    with writing(out):
        _write(out, systems, labels, lists, {**counts, "spoken": spoken, "seed": seed})
        plots.save(plots.average_precision_plot(shown, title=f"{lists}, against {ranking}"), out / "map.png")
    heads = [head if place < 2 else f">{head}" for place, head in enumerate(retrieval_report.COLUMNS)]
    title = f"{lists}: {counts['segments']} segments, {counts['labels']} labels, {counts['speakers']} speakers"
    console.print_table(heads, retrieval_report.rows(systems), title)
    console.say(f"wrote {out}")


def _check_labels(source: Path, segments: "Sequence[Clip]") -> None:
    """Whether segments can be judged, before any of them is heard."""
    if not segments:
        raise InputError(f"{source}: all clips are noise or rooms; name segments of speech")
    for number, clip in enumerate(segments, 1):
        if not clip.label:
            raise InputError(
                f"{source}: segment {number} of {len(segments)}, {clip.path} from {clip.start_s:g} s on, has no label;"
                " label all of them, as prepare ngrams does"
            )
    if len({clip.label for clip in segments}) == len(segments):
        raise InputError(
            f"{source}: {len(segments)} segments of as many labels: nothing has a right answer; add tokens of a label"
        )


def _similarities(
    name: str, segments: "Sequence[Clip]", recordings: "AudioFolder", out: Path, *, spoken: bool
) -> "tuple[str, str, Similarities]":
    """The encoder's name and fingerprint, and its similarities of any segments."""
    import numpy as np

    from earmark.evaluation import dtw as warping
    from earmark.evaluation.protocols import retrieval
    from earmark.evaluation.segment_embeddings import embed_all

    if name != WARPING:
        embedder = load(name, spoken=spoken)
        with console.progress_bar() as progress:
            vectors = embed_all(
                segments,
                recordings,
                embedder,
                out / f"embeddings-{embedder.name}.npz",
                progress=partial(progress, f"embedding by {embedder.name}"),
            )
        return embedder.name, embedder.fingerprint, retrieval.cosine_similarities(vectors)
    if len(segments) > warping.MOST_SEQUENCES:  # told before, not after reading all recordings
        raise InputError(
            f"--encoder {WARPING}: {len(segments)} segments, and dynamic time warping takes {warping.MOST_SEQUENCES} at"
            f" most; draw fewer, or take {MEAN}"
        )
    with console.progress_bar() as progress:
        frames = _warping_frames(segments, recordings, partial(progress, "reading"))
        distances = warping.warped_distances(frames, progress=partial(progress, "warping"))

    def similarities(rows: "Ints", columns: "Ints") -> "Floats":
        return -distances[np.ix_(rows, columns)]

    return "log-mel DTW", f"{WARPING}-1", similarities


def load(name: str | None, *, spoken: bool) -> "SegmentEmbedder":
    """The encoder, checkpoint or baseline that embeds segments.

    Raises:
        InputError: as `judged.load`; or it embeds nothing.
    """
    from earmark.evaluation.segment_embeddings import LogMelMean, segment_embedder

    if name == WARPING:
        raise InputError(f"--encoder {name}: compares segments and embeds none; take another")
    if name == MEAN:
        return LogMelMean()
    return segment_embedder(judged.load(name), spoken=spoken)


def _warping_frames(
    segments: "Sequence[Clip]", recordings: "AudioFolder", progress: "Callable[[int, int], object]"
) -> "list[Floats]":
    """What warping compares, in the order of the segments; each recording is read once."""
    from earmark.evaluation.dtw import halved
    from earmark.evaluation.segment_embeddings import mel_frames

    rows: dict[str, list[int]] = {}
    for row, clip in enumerate(segments):
        rows.setdefault(clip.path, []).append(row)
    frames: dict[int, Floats] = {}
    for path, some in rows.items():
        spans = [(segments[row].start_s, segments[row].end_s) for row in some]
        heard = mel_frames(recordings.locate(path), spans, centered=True)
        frames |= {row: halved(part) for row, part in zip(some, heard, strict=True)}
        progress(len(frames), len(segments))
    return [frames[row] for row in range(len(segments))]


def _write(out: Path, systems: "Sequence[System]", labels: "Sequence[str]", lists: str, about: dict[str, int]) -> None:
    from earmark.evaluation.reports import retrieval as retrieval_report

    (out / "table.md").write_text(retrieval_report.table(systems), encoding="utf-8")
    retrieval_report.write_results(
        out / "results.json", systems, labels, command=["earmark", *sys.argv[1:]], lists=lists, about=about
    )
