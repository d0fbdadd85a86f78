"""Load the encoder or checkpoint to evaluate, and embed recordings by it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.core.errors import InputError, needs

if TYPE_CHECKING:
    from earmark.evaluation.embedders import Embedder, Floats
    from earmark.evaluation.embedding_cache import Embeddings, Key, Silence

CHECKPOINT = ".safetensors"

EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME|FILE",
        help="Name of a shipped encoder, an .onnx file, or a checkpoint of earmark train (.safetensors); base if not "
        "given.",
    ),
]
SpeakerEncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="NAME|FILE",
        help="speaker, an .onnx file, or a checkpoint of earmark train (.safetensors); speaker if not given. Encoders "
        "of words are accepted too.",
    ),
]
SpokenOption = Annotated[
    bool | None,
    typer.Option(
        "--spoken/--whole",
        help="Embed only the spoken part of a clip, or the whole clip; if not given, --whole for encoders of clips of "
        "fixed length, --spoken for all others.",
    ),
]
SpeakersOption = Annotated[
    Path | None,
    typer.Option(
        metavar="MANIFEST",
        help="Manifest with the speakers; if not given, manifest.tsv beside the list or in the audio folder, or else "
        "the names of the recordings' folders.",
    ),
]


def is_checkpoint(name: str | None) -> bool:
    """Whether the name is that of a checkpoint file."""
    return name is not None and Path(name).suffix == CHECKPOINT


def load(name: str | None, *, spoken: bool | None = None, crops: int = 0, seed: int = 0) -> "Embedder":
    """Load the encoder or checkpoint to evaluate.

    Args:
        name: name of a shipped encoder or path of a file; None for base.
        spoken: embed only the spoken part of a clip; None for the encoder's default.
        crops: number of random crops of a recording to average, for checkpoints of encoders of fixed length.
        seed: seed of the crops.

    Raises:
        InputError: the file does not exist, an encoder of fixed length cannot embed the spoken part, or the encoder
            does not use crops.
    """
    from earmark.evaluation.embedders import EncoderEmbedder

    if not is_checkpoint(name):
        _refuse_crops(crops, name or "base")
        from earmark.models.encoder import load_encoder

        return EncoderEmbedder(load_encoder(name), spoken=spoken is not False)
    with needs("train"):
        from earmark.training.export.checkpoint_embedder import load_embedder

    embedder = load_embedder(Path(str(name)), crops=crops, seed=seed)
    if spoken is None:
        return embedder
    if isinstance(embedder, EncoderEmbedder):  # the checkpoint of a streaming encoder
        return replace(embedder, spoken=spoken)
    if spoken:
        raise InputError(f"{name} embeds clips of fixed length, as in its training; drop --spoken", key="spoken")
    return embedder


def load_speaker_embedder(name: str | None, *, spoken: bool | None = None, crops: int = 0, seed: int = 0) -> "Embedder":
    """Load an encoder for an evaluation of speakers; as `load`, but the default is the shipped speaker encoder."""
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
    _refuse_crops(crops, encoder.name)
    return SpeakerEmbedder(encoder, spoken=spoken is not False)


def embed(embedder: "Embedder", paths: Iterable[str], folder: Path) -> "dict[str, Floats]":
    """Embed recordings, with a progress bar; returns embeddings by path."""
    from earmark.evaluation.embedders import embed_clips

    with console.progress_bar() as progress:
        return embed_clips(paths, folder, embedder.embed_batch, progress=progress)


def cache_key(embedder: "Embedder", *, crops: int = 0, seed: int = 0, spoken: bool | None = None) -> "Key":
    """Make the key of cached embeddings: all settings that they depend on."""
    return {"fingerprint": embedder.fingerprint, "crops": crops, "seed": seed if crops else None, "spoken": spoken}


def embed_into(
    cache: Path,
    files: Mapping[str, Path],
    embedder: "Embedder",
    *,
    key: "Key",
    speakers: Mapping[str, str] | None = None,
    silence: "Silence" = "refuse",
    refuse_others: bool = False,
) -> "Embeddings":
    """Embed recordings into a cache, with a progress bar; arguments as in `embedding_cache.embed_into`."""
    from earmark.evaluation import embedding_cache

    with console.progress_bar() as progress:
        return embedding_cache.embed_into(
            cache,
            files,
            embedder.embed_batch,
            key=key,
            speakers=speakers,
            silence=silence,
            refuse_others=refuse_others,
            progress=progress,
        )


def _refuse_crops(crops: int, name: str) -> None:
    if crops:
        raise InputError(f"{name} embeds whole recordings, not {crops} crops; drop --crops", key="crops")
