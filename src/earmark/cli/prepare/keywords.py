"""`earmark prepare keywords`: words cut out of sentences, as a keyword corpus."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from earmark.cli import console
from earmark.cli.prepare import words as named
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from earmark.data.keyword_corpus.corpus import Listener
    from earmark.data.manifest import Manifest

EXAMPLE = "Example: [bold]earmark prepare keywords librispeech.tsv --out data/lsk/manifest.parquet --words 1000[/bold]"

CUTS, CHOICE = "What is cut", "What stays"
# The defaults of the rules stand in CutRules, which is slow to import; a test keeps the words here true.


def keywords(
    sentences: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="Sentences, .tsv or .parquet.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The manifest of cuts to write: .parquet or .tsv.", show_default=False)],
    text_from: Annotated[Literal["text", "label"], typer.Option(help="The column that says what is said.")] = "text",
    split: Annotated[str | None, typer.Option(help="Only sentences of this split.", show_default="all")] = None,
    alignments: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Where the words are: a folder of TextGrids, or a .ctm, .json or .jsonl file.",
            show_default="found by pocketsphinx",
        ),
    ] = None,
    pronunciations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Words that the dictionary lacks: WORD PH ON ES.", show_default="none"),
    ] = None,
    phones: Annotated[bool, typer.Option("--phones", help="Keep the place of each phone too.")] = False,
    length: Annotated[
        float | None,
        typer.Option(
            help="Seconds of a cut, the word in its middle; 0: the word alone.", rich_help_panel=CUTS, show_default="1"
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Seconds around the word where it is cut alone.", rich_help_panel=CUTS, show_default="0.02"),
    ] = None,
    shortest: Annotated[
        float | None,
        typer.Option(help="Leave out words of fewer seconds.", rich_help_panel=CUTS, show_default="0.2"),
    ] = None,
    longest: Annotated[
        float | None,
        typer.Option(help="Leave out words of more seconds.", rich_help_panel=CUTS, show_default="--length"),
    ] = None,
    write_audio: Annotated[
        bool,
        typer.Option("--write-audio", help="Write each cut to clips/WORD/, not only places.", rich_help_panel=CUTS),
    ] = False,
    letters: Annotated[
        int | None,
        typer.Option(help="Leave out words of fewer letters.", rich_help_panel=CHOICE, show_default="2"),
    ] = None,
    common: Annotated[
        int | None,
        typer.Option(help="Leave out this many of the commonest words.", rich_help_panel=CHOICE, show_default="13"),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|WORDS",
            help=f"Leave out these: a file of words, or words {named.HELP}. May be repeated.",
            rich_help_panel=CHOICE,
            show_default="none",
        ),
    ] = None,
    listen_again: Annotated[
        bool,
        typer.Option(
            "--filter/--no-filter", help="Keep a cut only if its word is recognized in it.", rich_help_panel=CHOICE
        ),
    ] = True,
    recognizer: Annotated[
        Literal["corpus", "english"],
        typer.Option(
            help="What pocketsphinx expects: the words of these sentences, or English text (slow).",
            rich_help_panel=CHOICE,
        ),
    ] = "corpus",
    hypotheses: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What another recognizer heard in the cuts: .ctm, .json or .jsonl.",
            rich_help_panel=CHOICE,
            show_default="none",
        ),
    ] = None,
    error_rate: Annotated[
        float | None,
        typer.Option(
            help="Wrong letters that a recognized word may have, over the word's.",
            rich_help_panel=CHOICE,
            show_default="0.2",
        ),
    ] = None,
    least_clips: Annotated[
        int | None,
        typer.Option(help="Leave out words with fewer clips.", rich_help_panel=CHOICE, show_default="1"),
    ] = None,
    most_clips: Annotated[
        int | None,
        typer.Option(help="Of a word with more clips, draw this many.", rich_help_panel=CHOICE, show_default="all"),
    ] = None,
    words: Annotated[
        int | None,
        typer.Option(help="Words for training: those with the most clips.", rich_help_panel=CHOICE, show_default="all"),
    ] = None,
    val_words: Annotated[
        int | None,
        typer.Option(
            help="The next words, for validation, with a list of pairs.", rich_help_panel=CHOICE, show_default="0"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the draws.", show_default="0")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one a core")] = None,
) -> None:
    """Cut words out of sentences: align, cut, recognize again, choose.

    Beside the manifest stand tight.parquet (the words without their neighbors), report.md and report.json. Started
    again, the command goes on where it stopped.
    """
    from earmark.data.alignment.forced import read_pronunciations
    from earmark.data.alignment.formats import read_alignments
    from earmark.data.keyword_corpus.corpus import Sources, cut_keywords
    from earmark.data.keyword_corpus.cuts import CutRules
    from earmark.data.keyword_corpus.report import summary
    from earmark.data.manifest import read_manifest

    rules = CutRules(
        **_given(
            length_s=length,
            margin_s=margin,
            shortest_s=shortest,
            longest_s=longest,
            letters=letters,
            common=common,
            exclude=_excluded(exclude or []),
            error_rate=error_rate,
            least_clips=least_clips,
            most_clips=most_clips,
            words=words,
            val_words=val_words,
            seed=seed,
        )
    )
    manifest = _chosen(read_manifest(sentences), sentences, text_from, split)
    sources = Sources(
        alignments=read_alignments(alignments) if alignments else None,
        listener=_listener(listen_again, recognizer, hypotheses),
        phones=phones,
        pronunciations=read_pronunciations(pronunciations) if pronunciations else (),
    )
    with console.progress_bar() as progress:
        report = cut_keywords(
            manifest,
            out,
            rules,
            sources,
            write_audio=write_audio,
            workers=workers or os.cpu_count() or 1,
            on_progress=progress,
        )
    console.say(f"{out}: {summary(report)}")
    lost = [f"{count} {reason}" for reason, count in [*report.failures.items(), *report.dropped.items()] if count]
    console.say(f"dropped: {', '.join(lost) or 'nothing'}")
    console.say(f"words by count, reasons, speed: {out.parent / 'report.md'}")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _excluded(parts: list[str]) -> frozenset[str]:
    """The words of files and of options."""
    words: set[str] = set()
    for part in parts:
        path = Path(part)
        if path.is_file():
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except UnicodeDecodeError:
                raise InputError(f"--exclude: {path}: not a text file in UTF-8") from None
            words.update(word.lower() for line in lines if not line.startswith("#") for word in line.split())
        elif path.suffix or (os.sep in part and not part.startswith("gsc/")):
            raise InputError(f"--exclude: {part}: no such file")
        else:
            words.update(word.lower() for word in named.read_words(part, "--exclude"))
    return frozenset(words)


def _listener(listen_again: bool, recognizer: Literal["corpus", "english"], hypotheses: Path | None) -> "Listener":
    from earmark.data.alignment.recognition import read_hypotheses

    if hypotheses is None:
        return recognizer if listen_again else None
    if not listen_again:
        raise InputError("--hypotheses and --no-filter: give one of them")
    return read_hypotheses(hypotheses)


def _chosen(manifest: "Manifest", source: Path, text_from: str, split: str | None) -> "Manifest":
    """The sentences of the split, with what is said in `text`."""
    if split is not None:
        found = sorted({clip.split or "(none)" for clip in manifest})
        manifest = manifest.only(split)
        if not manifest.clips:
            raise InputError(f"{source}: no clips of the split {split!r}; it has {', '.join(found)}")
    if text_from == "label":
        manifest = replace(manifest, clips=tuple(replace(clip, text=clip.label, label="") for clip in manifest.clips))
    return manifest
