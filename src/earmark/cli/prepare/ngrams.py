"""`earmark prepare ngrams`: list n-grams of phones or words in recordings, as labeled segments."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import SegmentsOut, Split, TextFrom, Workers, check_out, process_count
from earmark.cli.settings import Flag, options_from
from earmark.core.errors import EarmarkError, InputError

if TYPE_CHECKING:
    from earmark.data.alignment.forced import Alignment
    from earmark.data.lists.segments import SpeechSegment
    from earmark.data.manifest import Manifest
    from earmark.data.segments.ngrams import NgramRules


Sentences = Annotated[
    Path,
    typer.Argument(
        metavar="ALIGNMENTS|MANIFEST",
        help="A folder of TextGrids, or a .ctm, .json or .jsonl file; or a manifest of sentences, which pocketsphinx "
        "aligns.",
    ),
]


@command(
    panel="Sections and segments of recordings",
    example="earmark prepare ngrams data/alignments.jsonl --recordings "
    "sentences.tsv --unit phones --n 1-5 --out data/ngrams.txt",
)
@options_from("earmark.data.segments.ngrams:NgramRules", "rules", flags={"n": Flag(metavar="N|N-N", separator="-")})
def ngrams(
    source: Sentences,
    out: SegmentsOut,
    rules: "NgramRules",
    recordings: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST",
            help="Manifest of the recordings and speakers of ALIGNMENTS; its own paths if not given.",
        ),
    ] = None,
    sections: Annotated[
        Path | None,
        typer.Option(
            metavar="SECTIONS",
            help="List of sections that n-grams are inside; if not given, runs of words without a pause.",
        ),
    ] = None,
    segments: Annotated[
        Path | None,
        typer.Option(
            metavar="SEGMENTS",
            help="List of segments to label, such as that of prepare segments; lists no n-grams then.",
        ),
    ] = None,
    split: Split = None,
    text_from: TextFrom = "text",
    most: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of n-grams, drawn from all; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    workers: Workers = None,
) -> None:
    """List n-grams of phones or words with their times and labels such as HH,AH,L,OW.

    All n-grams are listed, equal ones in a row too. Sentences of a manifest are aligned by pocketsphinx; a .jsonl file
    beside the list is the checkpoint log: an interrupted command continues when run again.
    """
    from earmark.data.lists.segments import write_segments

    check_out(out, source, recordings, sections, segments)
    if sections is not None and segments is not None:
        raise InputError("--sections and --segments exclude each other; give one of the two", key="sections")
    manifest, alignments = _aligned(source, recordings, split, text_from, rules, out, workers)
    tokens: Counter[str] = Counter()
    found = _drawn(_segments(manifest, alignments, rules, sections, segments), most, seed)
    count = write_segments(_counted(found, tokens), out, folder=manifest.folder)
    if not count:
        out.unlink(missing_ok=True)
        raise EarmarkError(f"{source}: no n-gram fits the options; change --n, --shortest, --longest or --gap")
    lost = Counter(alignment.failure.partition(":")[0] for alignment in alignments if alignment.failure)
    if lost:
        console.say(f"dropped: {', '.join(f'{number} sentences: {why}' for why, number in lost.most_common())}")
    repeated = sum(number > 1 for number in tokens.values())
    console.say(f"{out}: {count} n-grams of {rules.unit}, {len(tokens)} labels, {repeated} of them more than once")


def _segments(
    manifest: "Manifest",
    alignments: "list[Alignment]",
    rules: "NgramRules",
    sections: Path | None,
    segments: Path | None,
) -> "Iterator[SpeechSegment]":
    """Yield n-grams of sentences, inside sections if given; if segments are given, these with labels instead."""
    from earmark.data.lists.sections import by_path, read_sections
    from earmark.data.lists.segments import read_segments
    from earmark.data.segments import ngrams as made

    if segments is None:
        inside = None
        if sections is not None:
            inside = {made.stem(path): some for path, some in by_path(read_sections(sections)).items()}
        return made.ngrams(manifest, alignments, rules, sections=inside)
    units = {
        made.stem(clip.path): made.units_of(alignment, rules.unit, clip.path)
        for clip, alignment in zip(manifest, alignments, strict=True)
    }
    return made.transcribe(read_segments(segments), units, rules)


def _counted(segments: "Iterator[SpeechSegment]", tokens: Counter[str]) -> "Iterator[SpeechSegment]":
    """Yield the segments, and count their labels in `tokens`."""
    for segment in segments:
        tokens[segment.label] += 1
        yield segment


def _aligned(
    source: Path,
    recordings: Path | None,
    split: str | None,
    text_from: Literal["text", "label"],
    rules: "NgramRules",
    out: Path,
    workers: int | None,
) -> "tuple[Manifest, list[Alignment]]":
    """Read alignments from a file, or align the sentences of a manifest; return the sentences and alignments."""
    from earmark.data.alignment.forced import Alignment, align_sentences
    from earmark.data.alignment.formats import read_alignments
    from earmark.data.manifest import Clip, Manifest, is_manifest

    if not is_manifest(source):
        given = read_alignments(source)
        if recordings is not None:
            manifest = _sentences(recordings, text_from, split)
            return manifest, given.of(manifest)
        if split is not None:
            raise InputError(f"{split!r} is a split of a manifest; give the manifest as --recordings", key="split")
        return Manifest(tuple(map(Clip, given.words))), [Alignment(tuple(words)) for words in given.words.values()]
    if recordings is not None:
        raise InputError("a manifest of sentences has its own recordings; drop --recordings", key="recordings")
    manifest = _sentences(source, text_from, split)
    if not any(clip.text for clip in manifest):
        raise InputError(
            f"no sentence of {source} has a text; if transcripts are in the column label, give --text-from label",
            key="text_from",
        )
    with console.progress_bar() as progress:
        return manifest, align_sentences(
            manifest,
            out.with_suffix(".jsonl"),
            phones=rules.unit == "phones",
            workers=process_count(workers),
            progress=progress,
        )


def _sentences(source: Path, text_from: Literal["text", "label"], split: str | None) -> "Manifest":
    """Read the clips of a split of a manifest, and put their transcripts into the field `text`."""
    from earmark.data.manifest import read_manifest, sentences_of

    return sentences_of(read_manifest(source, split=split), text_from)


def _drawn(segments: "Iterator[SpeechSegment]", most: int | None, seed: int) -> "Iterator[SpeechSegment]":
    """Draw `most` segments at random, in their order; None yields all, without keeping them in memory."""
    if most is None:
        return segments
    import numpy as np

    every = list(segments)
    if len(every) <= most:
        return iter(every)
    rows = np.sort(np.random.default_rng(seed).choice(len(every), size=most, replace=False))
    return (every[row] for row in rows)
