"""`earmark prepare keywords`: make a keyword corpus of words that are cut out of sentences."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.options import WORDS, Split, TextFrom, Workers, process_count, read_word_lists
from earmark.cli.settings import Flag, options_from

if TYPE_CHECKING:
    from earmark.data.keyword_corpus.corpus import SourceSettings
    from earmark.data.keyword_corpus.cuts import CutRules


@command(example="earmark prepare keywords librispeech.tsv --out data/lsk/manifest.parquet --words 1000")
@options_from("earmark.data.keyword_corpus.cuts:CutRules", "rules", without=["exclude"], panel="Words and cuts")
@options_from(
    "earmark.data.keyword_corpus.corpus:SourceSettings",
    "sources",
    flags={
        "alignments": Flag(metavar="PATH"),
        "pronunciations": Flag(metavar="FILE"),
        "hypotheses": Flag(metavar="FILE"),
    },
    panel="Alignment and recognition",
)
def keywords(
    sentences: Annotated[Path, typer.Argument(metavar="MANIFEST", help="Sentences, .tsv or .parquet.")],
    out: Annotated[Path, typer.Option(help="Manifest of cuts to write: .parquet or .tsv.")],
    rules: "CutRules",
    sources: "SourceSettings",
    text_from: TextFrom = "text",
    split: Split = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE|WORDS", help=f"Drop these words: a file of words, or words {WORDS}. Repeatable."),
    ] = None,
    write_audio: Annotated[
        bool, typer.Option("--write-audio", help="Also write each cut as an audio file to clips/WORD/.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Cut words out of sentences: align, cut, confirm cuts by recognition, and choose words.

    Beside the manifest are tight.parquet (the words without their neighbors), report.md and report.json. An interrupted
    command continues when run again.
    """
    from earmark.data.keyword_corpus.corpus import cut_keywords
    from earmark.data.keyword_corpus.report import summary
    from earmark.data.manifest import read_manifest, sentences_of

    rules = rules.model_copy(update={"exclude": read_word_lists(exclude or [], "--exclude")})
    manifest = sentences_of(read_manifest(sentences, split=split), text_from)
    read = sources.read()
    with console.progress_bar() as progress:
        report = cut_keywords(
            manifest,
            out,
            rules,
            read,
            write_audio=write_audio,
            workers=process_count(workers),
            progress=progress,
        )
    console.say(f"{out}: {summary(report)}")
    lost = [f"{count} {reason}" for reason, count in [*report.failures.items(), *report.dropped.items()] if count]
    console.say(f"dropped: {', '.join(lost) or 'nothing'}")
    console.say(f"words by count, reasons, speed: {out.parent / 'report.md'}")
