"""What is judged: the encoder or checkpoint that the command line names, and the vectors that it gives."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.extras import needs
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from earmark.evaluation.embedders import Embedder, Floats
    from earmark.evaluation.embedding_cache import Embeddings, Key, Silence

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
VoiceName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME|FILE",
        help="speaker, an .onnx file, or a checkpoint of earmark train (.safetensors); base and tiny hear words.",
        show_default="speaker",
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
Crops = Annotated[
    int,
    typer.Option(
        min=0,
        help="Random crops of a recording whose embeddings are averaged, as training crops; 0: an encoder of clips "
        "hears the middle.",
    ),
]
Speakers = Annotated[
    Path | None,
    typer.Option(
        metavar="MANIFEST",
        help="Knows who speaks.",
        show_default="manifest.tsv beside the list or in FOLDER, else the folder of a recording",
    ),
]


def is_checkpoint(name: str | None) -> bool:
    """Whether `--encoder` names a checkpoint of a training."""
    return name is not None and Path(name).suffix == CHECKPOINT


def load(name: str | None, *, spoken: bool | None = None, crops: int = 0, seed: int = 0) -> "Embedder":
    """The encoder or checkpoint, ready to embed.

    Args:
        name: what `--encoder` says.
        spoken: whether only the spoken part of a clip is embedded; None for the default.
        crops: so many random crops of a recording are averaged; for checkpoints of encoders of clips.
        seed: of the crops.

    Raises:
        InputError: no such file, a checkpoint of an encoder of clips that shall embed the spoken part, or crops for
            an encoder that hears a recording whole.
    """
    from earmark.evaluation.embedders import EncoderEmbedder

    if not is_checkpoint(name):
        if crops:
            raise InputError(f"--crops {crops}: {name or 'base'} hears a recording whole; leave it out")
        from earmark.models.encoder import load_encoder

        return EncoderEmbedder(load_encoder(name), spoken=spoken is not False)
    with needs("train"):
        from earmark.training.export.checkpoint_embedder import load_embedder

    embedder = load_embedder(Path(str(name)), crops=crops, seed=seed)
    if spoken is None:
        return embedder
    if isinstance(embedder, EncoderEmbedder):  # the checkpoint of an encoder that hears streams
        return replace(embedder, spoken=spoken)
    if spoken:
        raise InputError(f"--spoken: {name} hears clips of one length, as its training did; leave it out")
    return embedder


def load_voice(name: str | None, *, spoken: bool | None = None, crops: int = 0, seed: int = 0) -> "Embedder":
    """As `load`, where speakers are judged: the shipped encoder of speakers unless another is named."""
    from earmark.evaluation.embedders import SpeakerEmbedder
    from earmark.models.encoder import SHIPPED, load_encoder
    from earmark.models.onnx_model import EncoderError
    from earmark.models.speaker_encoder import load_speaker_encoder

    if is_checkpoint(name) or name in SHIPPED:
        return load(name, spoken=spoken, crops=crops, seed=seed)
    try:
        encoder = load_speaker_encoder(name)
    except EncoderError as error:
        try:
            load_encoder(name)
        except EncoderError:
            raise error from None
        return load(name, spoken=spoken, crops=crops, seed=seed)
    if crops:
        raise InputError(f"--crops {crops}: {encoder.name} hears a recording whole; leave it out")
    return SpeakerEmbedder(encoder, spoken=spoken is not False)


def embed(embedder: "Embedder", paths: Iterable[str], folder: Path) -> "dict[str, Floats]":
    """Vectors by path, with a progress bar."""
    from earmark.evaluation.embedders import embed_clips

    with console.progress_bar() as progress:
        return embed_clips(paths, folder, embedder.embed_batch, progress=partial(progress, "embedding clips"))


def key(embedder: "Embedder", *, crops: int, seed: int, spoken: bool | None = None) -> "Key":
    """What embeddings depend on."""
    return {"fingerprint": embedder.fingerprint, "crops": crops, "seed": seed if crops else None, "spoken": spoken}


def embed_into(
    file: Path,
    places: Mapping[str, Path],
    embedder: "Embedder",
    *,
    key: "Key",
    speakers: Mapping[str, str] | None = None,
    silence: "Silence" = "refuse",
    refuse_others: bool = False,
) -> "Embeddings":
    """Embeddings of recordings, kept in a file, with a progress bar; arguments as of `embeddings.embed_into`."""
    from earmark.evaluation import embedding_cache as embeddings

    with console.progress_bar() as progress:
        return embeddings.embed_into(
            file,
            places,
            embedder.embed_batch,
            key=key,
            speakers=speakers,
            silence=silence,
            refuse_others=refuse_others,
            progress=partial(progress, "embedding recordings"),
        )


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
