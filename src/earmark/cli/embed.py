"""`earmark embed`: write the embeddings of segments or clips to a file."""

from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.evaluate import retrieve
from earmark.core.errors import InputError
from earmark.core.progress import follow


@command(panel="Data", example="earmark embed data/segments.txt --audio corpus --out data/segments.parquet")
def embed(
    source: retrieve.Source,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Embeddings to write: .npz or .parquet.")],
    audio: retrieve.Audio = None,
    encoder: retrieve.EncoderName = None,
    split: retrieve.Split = None,
    spoken: retrieve.Spoken = True,
) -> None:
    """Embed every segment of a list, or clip of a manifest.

    A .parquet file has the columns path, start_s, end_s, speaker, label and vector, in the order of the list; the list
    may be larger than memory. An .npz file has the arrays paths, start_s, end_s, speakers, labels and vectors; the same
    command continues interrupted work. Keep the segments of a recording together in the list, so that each
    recording is read once.
    """
    from earmark.data.embedding_tables import write_table
    from earmark.data.lists.segments import read_clips
    from earmark.evaluation.segment_embeddings import embed_all, embed_stream

    if out.suffix not in {".npz", ".parquet"}:
        raise InputError(f"{out}: embeddings are .npz or .parquet files; change the suffix", key="out")
    embedder = retrieve.load(encoder, spoken=spoken)
    clips, recordings = read_clips(source, audio, split=split)
    stage = f"embedding by {embedder.name}"
    with console.progress_bar() as progress:
        if out.suffix == ".npz":
            every = list(clips)
            embed_all(every, recordings, embedder, out, progress=progress)
            count = len(every)
        else:
            made_by = {"encoder": embedder.name, "fingerprint": embedder.fingerprint}
            count = write_table(out, embed_stream(follow(clips, stage, progress), recordings, embedder), made_by)
    console.say(f"{out}: {count} embeddings by {embedder.name}, {out.stat().st_size / 2**20:.1f} MiB")
