"""`earmark embed`: embeddings of segments or clips, in a file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.evaluate import retrieve
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from earmark.data.manifest import Clip

EXAMPLE = "Example: [bold]earmark embed data/segments.txt --audio corpus --out data/segments.parquet[/bold]"


def embed(
    source: retrieve.Source,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Embeddings to write: .npz or .parquet.", show_default=False)
    ],
    audio: retrieve.Audio = None,
    encoder: retrieve.EncoderName = None,
    split: retrieve.Split = None,
    spoken: retrieve.Spoken = True,
) -> None:
    """Embed every segment of a list, or clip of a manifest.

    A .parquet has the columns path, start_s, end_s, speaker, label and vector, in the order of the list, and is
    written as it grows: a list may be longer than memory. An .npz has the arrays paths, start_s, end_s, speakers,
    labels and vectors, and the same command goes on where it was stopped. Put segments of a recording one after the
    other, so that it is heard once.
    """
    from earmark.data.embedding_tables import write_table
    from earmark.data.lists.segments import read_clips
    from earmark.evaluation.segment_embeddings import embed_all, embed_stream

    if out.suffix not in {".npz", ".parquet"}:
        raise InputError(f"{out}: embeddings are .npz or .parquet, not {out.suffix or 'a file without suffix'}")
    embedder = retrieve.load(encoder, spoken=spoken)
    clips, recordings = read_clips(source, audio, split=split)
    with console.progress_bar() as bar:
        task = bar.add_task(f"embedding by {embedder.name}", total=None)
        if out.suffix == ".npz":
            every = list(clips)
            embed_all(
                every,
                recordings,
                embedder,
                out,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
            count = len(every)
        else:

            def told(some: "Iterable[Clip]") -> "Iterator[Clip]":
                for number, clip in enumerate(some, 1):
                    if number % 1000 == 0:
                        bar.update(task, description=f"{number:,} segments by {embedder.name}")
                    yield clip

            made_by = {"encoder": embedder.name, "fingerprint": embedder.fingerprint}
            count = write_table(out, embed_stream(told(clips), recordings, embedder), made_by)
    console.say(f"{out}: {count} embeddings by {embedder.name}, {out.stat().st_size / 2**20:.1f} MiB")
