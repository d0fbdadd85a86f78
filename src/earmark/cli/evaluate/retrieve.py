"""`earmark evaluate map`: measure how well an encoder retrieves segments with the same label."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.evaluate import encoders
from earmark.cli.evaluate.results import OutOption, print_results, results_folder, write_report
from earmark.cli.settings import options_from
from earmark.core.errors import InputError, needs, writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from earmark.core.progress import Progress
    from earmark.data.audio_folder import AudioFolder
    from earmark.data.manifest import Clip
    from earmark.evaluation.protocols.retrieval import Floats, Ints, RetrievalSettings, Similarities
    from earmark.evaluation.reports.retrieval import System
    from earmark.evaluation.segment_embeddings import SegmentEmbedder

MEAN, WARPING = "log-mel-mean", "dtw"

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SEGMENTS|MANIFEST",
        help="A list with lines 'wav spk vad_start vad_end seg_start seg_end label', or a manifest (.tsv, .parquet).",
    ),
]
Audio = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Folder that paths are relative to; the manifest's folder if not given."),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME|FILE",
        help="Name of a shipped encoder, an .onnx file, a checkpoint (.safetensors), or the untrained baseline "
        f"{MEAN}; base if not given.",
    ),
]
Split = Annotated[str | None, typer.Option(help="Split of a manifest; all if not given.")]
Spoken = Annotated[
    bool,
    typer.Option("--spoken/--whole", help="For clips without times: embed only the spoken part, or all of it."),
]


@command(
    "map",
    panel="Segments",
    example="earmark evaluate map data/ngrams.txt --audio corpus --encoder base --encoder log-mel-mean",
)
@options_from("earmark.evaluation.protocols.retrieval:RetrievalSettings", flags={"published": "--published"})
def retrieve(
    source: Source,
    settings: "RetrievalSettings",
    audio: Audio = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            metavar="NAME|FILE",
            help="Name of a shipped encoder, an .onnx file, a checkpoint (.safetensors), or an untrained baseline: "
            f"{MEAN}, or {WARPING} for up to a few thousand segments. May be repeated; base if not given.",
        ),
    ] = None,
    split: Split = None,
    spoken: Spoken = True,
    out: OutOption = None,
) -> None:
    """Rank all segments by their similarity to each segment, and compute MAP and MAP@R.

    There are three rankings: of all other segments, of those of other speakers, and of those of the query's own
    speaker. Writes table.md, results.json, map.png and the embeddings. The same command continues interrupted work.
    """
    from earmark.data.lists.segments import read_clips
    from earmark.evaluation.protocols import retrieval
    from earmark.evaluation.reports import retrieval as report

    with needs("evaluate"):
        from earmark.evaluation import plots

    clips, recordings = read_clips(source, audio, split=split)
    segments = [clip for clip in clips if clip.split not in {"noise", "rir"}]
    _check_labels(source, segments)
    labels, speakers = [clip.label for clip in segments], {clip.speaker for clip in segments} - {""}
    # Most manifests are called `manifest`, in a folder with the name of the corpus.
    corpus = source.resolve().parent.name if source.stem == "manifest" else source.stem
    lists = "-".join(filter(None, [corpus, split]))
    folder = results_folder(out, "map", lists)
    systems = [_system(name, segments, recordings, folder, settings, spoken=spoken) for name in encoder or ["base"]]
    counts = {"segments": len(segments), "labels": len(set(labels)), "speakers": len(speakers)}
    first = systems[0]
    write_report(
        folder,
        "map",
        report.markdown(systems),
        {**counts, "spoken": spoken, "seed": settings.seed, **report.document(systems, labels)},
        encoder=(first.name, first.fingerprint),
        lists=lists,
    )
    figure = plots.average_precision_plot(
        {system.name: system.by_label(labels) for system in systems},
        title=f"{lists}, against {retrieval.RANKINGS[first.plotted_ranking]}",
    )
    with writing(folder):
        plots.save(figure, folder / "map.png")
    title = f"{lists}: {counts['segments']} segments, {counts['labels']} labels, {counts['speakers']} speakers"
    print_results(report.COLUMNS, report.rows(systems), title, folder)


def load(name: str | None, *, spoken: bool) -> "SegmentEmbedder":
    """Load an encoder, a checkpoint or a baseline that embeds segments.

    Raises:
        InputError: as in `encoders.load`; or the baseline has no embeddings.
    """
    from earmark.evaluation.segment_embeddings import LogMelMean, segment_embedder

    if name == WARPING:
        raise InputError(f"{name} compares segments without embeddings; choose another encoder", key="encoder")
    if name == MEAN:
        return LogMelMean()
    return segment_embedder(encoders.load(name), spoken=spoken)


def _check_labels(source: Path, segments: "Sequence[Clip]") -> None:
    """Raise an error if a segment has no label or no two have the same, before any segment is embedded."""
    if not segments:
        raise InputError(f"{source}: all clips are noise or room responses; name segments of speech")
    for number, clip in enumerate(segments, 1):
        if not clip.label:
            raise InputError(
                f"{source}: segment {number} of {len(segments)}, {clip.path} from {clip.start_s:g} s on, has no label;"
                " label all segments, as earmark prepare ngrams does"
            )
    if len({clip.label for clip in segments}) == len(segments):
        raise InputError(
            f"{source}: all {len(segments)} segments have different labels, so no query has an answer; add segments "
            "with the same label"
        )


def _system(
    name: str,
    segments: "Sequence[Clip]",
    recordings: "AudioFolder",
    folder: Path,
    settings: "RetrievalSettings",
    *,
    spoken: bool,
) -> "System":
    """Compute the retrieval metrics of one encoder or baseline on all segments."""
    import numpy as np

    from earmark.evaluation.protocols import retrieval
    from earmark.evaluation.reports.retrieval import System

    title, fingerprint, similarities = _similarities(name, segments, recordings, folder, spoken=spoken)
    labels, speakers = [clip.label for clip in segments], [clip.speaker for clip in segments]
    with console.progress_bar() as progress:
        found = retrieval.precisions(similarities, labels, speakers, published=settings.published, progress=progress)
    numbers = retrieval.compute_metrics(found, speakers, np.random.default_rng(settings.seed))
    return System(title, fingerprint, found, numbers)


def _similarities(
    name: str, segments: "Sequence[Clip]", recordings: "AudioFolder", folder: Path, *, spoken: bool
) -> "tuple[str, str, Similarities]":
    """Return name and fingerprint of an encoder or baseline, and the function that computes similarities by it."""
    import numpy as np

    from earmark.evaluation import dtw
    from earmark.evaluation.protocols import retrieval
    from earmark.evaluation.segment_embeddings import embed_all

    if name != WARPING:
        embedder = load(name, spoken=spoken)
        cache = folder / f"embeddings-{embedder.name}.npz"
        with console.progress_bar() as progress:
            vectors = embed_all(segments, recordings, embedder, cache, progress=progress)
        return embedder.name, embedder.fingerprint, retrieval.cosine_similarities(vectors)
    dtw.check_count(len(segments))
    with console.progress_bar() as progress:
        distances = dtw.warped_distances(_warping_frames(segments, recordings, progress), progress=progress)

    def similarities(rows: "Ints", columns: "Ints") -> "Floats":
        return -distances[np.ix_(rows, columns)]

    return "log-mel DTW", f"{WARPING}-1", similarities


def _warping_frames(segments: "Sequence[Clip]", recordings: "AudioFolder", progress: "Progress") -> "list[Floats]":
    """Compute the log-mel frames of each segment for dynamic time warping; each recording is read once."""
    from earmark.evaluation.dtw import halved
    from earmark.evaluation.segment_embeddings import mel_frames

    rows_of: dict[str, list[int]] = {}
    for row, clip in enumerate(segments):
        rows_of.setdefault(clip.path, []).append(row)
    frames: dict[int, Floats] = {}
    for path, rows in rows_of.items():
        spans = [(segments[row].start_s, segments[row].end_s) for row in rows]
        found = mel_frames(recordings.locate(path), spans, centered=True)
        frames |= {row: halved(part) for row, part in zip(rows, found, strict=True)}
        progress("reading", len(frames), len(segments))
    return [frames[row] for row in range(len(segments))]
