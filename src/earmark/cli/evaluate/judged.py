"""What is judged: the encoder or checkpoint that the command line names, and the vectors that it gives."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.extras import needs
from earmark.errors import InputError

if TYPE_CHECKING:
    from earmark.evaluation.embedders import Embedder, Floats

CHECKPOINT = ".safetensors"

EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME|FILE",
        help="base, tiny, an .onnx file, or a checkpoint of earmark train (.safetensors).",
        show_default="base",
    ),
]
Spoken = Annotated[
    bool | None,
    typer.Option(
        "--spoken/--whole",
        help="Embed the spoken part of a clip, or all of it; an encoder of clips of one length hears all.",
        show_default="--spoken",
    ),
]


def is_checkpoint(name: str | None) -> bool:
    """Whether `--encoder` names a checkpoint of a training."""
    return name is not None and Path(name).suffix == CHECKPOINT


def load(name: str | None, *, spoken: bool | None = None) -> "Embedder":
    """The encoder or checkpoint, ready to embed.

    Args:
        name: what `--encoder` says.
        spoken: whether only the spoken part of a clip is embedded; None for the default.

    Raises:
        InputError: no such file, or a checkpoint of an encoder of clips that shall embed the spoken part.
    """
    from earmark.evaluation.embedders import Exported

    if not is_checkpoint(name):
        from earmark.encoder import load_encoder

        return Exported(load_encoder(name), spoken=spoken is not False)
    with needs("train"):
        from earmark.training.judging import load_embedder

    embedder = load_embedder(Path(str(name)))
    if spoken is None:
        return embedder
    if isinstance(embedder, Exported):  # the checkpoint of an encoder that hears streams
        return replace(embedder, spoken=spoken)
    if spoken:
        raise InputError(f"--spoken: {name} hears clips of one length, as its training did; leave it out")
    return embedder


def embed(embedder: "Embedder", paths: Iterable[str], folder: Path) -> "dict[str, Floats]":
    """Vectors by path, with a progress bar."""
    from earmark.evaluation.embedders import embed_clips

    with console.progress_bar() as bar:
        task = bar.add_task("embedding clips", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return embed_clips(paths, folder, embedder.embed_batch, progress=progress)


def words(text: str, option: str) -> list[str]:
    """The words of `yes,no,zoom in`.

    Raises:
        InputError: there is no word.

    >>> words("yes, zoom in,", "--targets")
    ['yes', 'zoom in']
    """
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise InputError(f"{option} {text!r}: write words with commas between them, such as yes,no")
    return found
