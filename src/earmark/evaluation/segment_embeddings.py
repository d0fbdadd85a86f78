"""Embed segments of recordings; each recording is read once.

A streaming encoder embeds a segment with the audio before and after it as context, as a detector does, and computes the
frames of a recording once for all of its segments. Other encoders embed the segment alone.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.arrays import read_arrays, write_arrays
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.core.vector_cache import VectorCache
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.list_format import FRAME_S
from earmark.data.manifest import Clip
from earmark.evaluation.embedders import BATCH_CLIPS, Embedder, EncoderEmbedder
from earmark.evaluation.log_mel import HOP_S, log_mel

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.floating]
Times = tuple[float, float | None]
"""Start and end in seconds; None for the end of the recording."""

SAVE_EVERY_S = 60.0
# Ends in lists are rounded, and files end slightly earlier than their headers say.
_FILE_END_S = 0.06


class SegmentEmbedder(Protocol):
    """Embeds segments of recordings."""

    @property
    def name(self) -> str:
        """Name of the encoder, for titles and file names."""

    @property
    def fingerprint(self) -> str:
        """A text that identifies the weights of the encoder, and how segments are cut."""

    def embed_file(self, path: Path, spans: Sequence[Times]) -> Floats:
        """Embed spans of one recording, shape (m, d)."""


@runtime_checkable
class SelfSegmenting(SegmentEmbedder, Protocol):
    """A dataclass that is an `Embedder` and also embeds segments of recordings itself."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def spoken(self) -> bool:
        """Whether a clip of a whole recording is cut to its spoken part."""


@dataclass(frozen=True)
class WindowEmbedder:
    """Embeds segments by a streaming encoder: a segment is a window over the frames of its recording.

    Attributes:
        encoder: runs the .onnx file.
        spoken: cut a clip of a whole recording to its spoken part.
    """

    encoder: "Encoder"
    spoken: bool = True

    @property
    def name(self) -> str:
        """Name of the encoder."""
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the encoder's file, with a suffix if whole recordings are not cut to their spoken part."""
        return self.encoder.fingerprint + ("" if self.spoken else "-whole")

    def embed_file(self, path: Path, spans: Sequence[Times]) -> Floats:
        """Embeddings of m spans of a recording, scaled to unit length, shape (m, d)."""
        is_whole = [start_s == 0 and end_s is None for start_s, end_s in spans]
        if any(is_whole) and self.spoken:
            from earmark.spotting.speech import find_speech

            wave = audio.read(path)
            length, frames = len(wave), self.encoder.frames(wave)
            part = find_speech(wave)
            spans = [part or span if whole else span for span, whole in zip(spans, is_whole, strict=True)]
        else:
            length, frames = self._streamed(path)
        hop_s = self.encoder.hop_s
        bounds = bounds_of(path, spans, length)
        stops = np.clip(np.round(bounds[:, 1] / hop_s), 1, len(frames)).astype(np.int64)
        lengths = np.maximum(1, stops - np.round(bounds[:, 0] / hop_s).astype(np.int64))
        return self.encoder.embed_windows(frames, stops, lengths)

    def _streamed(self, path: Path) -> tuple[int, Floats]:
        """Number of samples of a recording, and its frames; the samples are read block by block."""
        stream = self.encoder.stream()
        length, frames = 0, []
        for block in audio.blocks(path, block_s=8.0):
            length += len(block)
            frames.append(stream.push(block))
        frames.append(stream.finish())
        return length, np.concatenate(frames)[: -(-length // round(self.encoder.hop_s * SAMPLE_RATE))]


@dataclass(frozen=True)
class CropEmbedder:
    """Embeds segments by any other encoder: they are cut out of the recording and embedded without context.

    Attributes:
        embedder: embeds waveforms.
    """

    embedder: Embedder

    @property
    def name(self) -> str:
        """Name of the encoder."""
        return self.embedder.name

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the encoder."""
        return self.embedder.fingerprint

    def embed_file(self, path: Path, spans: Sequence[Times]) -> Floats:
        """Embeddings of m spans of a recording, shape (m, d)."""
        wave = audio.read(path)
        cuts = [_cut(wave, bounds) for bounds in bounds_of(path, spans, len(wave))]
        starts = range(0, len(cuts), BATCH_CLIPS)
        return np.concatenate([self.embedder.embed_batch(cuts[start : start + BATCH_CLIPS]) for start in starts])


@dataclass(frozen=True)
class LogMelMean:
    """An untrained baseline: the mean of a segment's log-mel frames, each minus its own mean over the bands.

    A frame without its mean is the shape of the spectrum, independent of the level.
    """

    name: str = "log-mel-mean"
    fingerprint: str = "log-mel-mean-1"

    def embed_file(self, path: Path, spans: Sequence[Times]) -> Floats:
        """Mean frame of each span of a recording, shape (m, 40)."""
        return np.stack([frames.mean(axis=0) for frames in mel_frames(path, spans, centered=False)])


def mel_frames(path: Path, spans: Sequence[Times], *, centered: bool) -> list[Floats]:
    """Log-mel frames of spans of a recording, each minus its mean over the bands.

    Args:
        path: the recording.
        spans: start and end of each span; (0, None), the whole recording, is cut to its spoken part.
        centered: also subtract the mean over each span, which removes much of microphone and voice.

    Returns:
        One array per span, shape (t, 40), one frame per 10 ms.
    """
    from earmark.spotting.speech import find_speech

    wave = audio.read(path)
    frames = log_mel(wave)
    frames -= frames.mean(axis=1, keepdims=True)
    spans = [find_speech(wave) or span if span == (0, None) else span for span in spans]
    found = []
    for start_s, end_s in bounds_of(path, spans, len(wave)):
        stop = min(len(frames), max(1, round(end_s / HOP_S)))
        part = frames[min(round(start_s / HOP_S), stop - 1) : stop]
        found.append(part - part.mean(axis=0) if centered else part)
    return found


def segment_embedder(embedder: Embedder, *, spoken: bool = True) -> SegmentEmbedder:
    """Make an embedder of segments from an embedder of waveforms.

    Args:
        embedder: an encoder or a checkpoint.
        spoken: cut a clip of a whole recording to its spoken part; encoders without context ignore this option.
    """
    if isinstance(embedder, EncoderEmbedder):
        return WindowEmbedder(embedder.encoder, spoken)
    if isinstance(embedder, SelfSegmenting):
        return replace(embedder, spoken=spoken)
    return CropEmbedder(embedder)


def embed_stream(
    clips: Iterable[Clip], recordings: AudioFolder, embedder: SegmentEmbedder
) -> Iterator[tuple[list[Clip], Floats]]:
    """Embed segments in their order, recording by recording, in constant memory.

    Args:
        clips: segments; a recording is read again for segments that are not adjacent.
        recordings: locates the recordings.
        embedder: embeds the segments.

    Yields:
        Segments of one recording, and their embeddings, shape (m, d).

    Raises:
        InputError: a recording is missing or not audio, a segment exceeds its recording, or an embedding is zero or
            not finite.
    """
    for path, group in groupby(clips, key=lambda clip: clip.path):
        segments = list(group)
        file = recordings.locate(path)
        rows = np.asarray(embedder.embed_file(file, [(clip.start_s, clip.end_s) for clip in segments]))
        if rows.ndim != 2 or len(rows) != len(segments):
            raise InputError(
                f"{file}: {len(segments)} segments gave embeddings of shape {rows.shape}; check the encoder"
            )
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1))
        if wrong.size:
            clip = segments[wrong[0]]
            end = "its end" if clip.end_s is None else f"{clip.end_s:g} s"
            raise InputError(
                f"{file}: the embedding from {clip.start_s:g} s to {end} is zero or not finite; remove the segment from"
                " the list if it is silent"
            )
        yield segments, rows


def embed_all(
    clips: Sequence[Clip],
    recordings: AudioFolder,
    embedder: SegmentEmbedder,
    file: Path,
    *,
    progress: Progress = no_progress,
    save_every_s: float = SAVE_EVERY_S,
) -> Floats:
    """Embed segments and write the embeddings to a file; embeddings of an interrupted call are not computed again.

    Args:
        clips: segments in any order; each recording is read once.
        recordings: locates the recordings.
        embedder: embeds the segments.
        file: an .npz with the arrays of `write_embeddings`; unfinished work is in a hidden file beside it.
        progress: called after each recording.
        save_every_s: seconds between two writes of the hidden file.

    Returns:
        Embeddings, shape (n, d), in the order of the clips.

    Raises:
        InputError: as in `embed_stream`.
    """
    key = _key(clips, recordings, embedder)
    if (known := _finished(file, key)) is not None:
        return known
    stage, unfinished = f"embedding by {embedder.name}", file.with_name(f".{file.stem}.unfinished.npz")
    order = [str(row) for row in sorted(range(len(clips)), key=lambda row: clips[row].path)]
    with VectorCache(unfinished, {"key": key}, save_every_s=save_every_s) as cache:
        missing = cache.missing(order)
        rows, done = iter(missing), len(order) - len(missing)
        progress(stage, done, len(clips))
        for group, vectors in embed_stream((clips[int(row)] for row in missing), recordings, embedder):
            cache.add(dict(zip(islice(rows, len(group)), vectors, strict=True)))
            done += len(group)
            progress(stage, done, len(clips))
    found = np.stack([np.asarray(cache.vectors[str(row)]) for row in range(len(clips))])
    write_embeddings(file, clips, found, embedder, key=key)
    unfinished.unlink(missing_ok=True)
    return found


def write_embeddings(
    file: Path, clips: Sequence[Clip], vectors: Floats, embedder: SegmentEmbedder, *, key: str = ""
) -> None:
    """Write embeddings as .npz: `paths`, `start_s`, `end_s` (NaN: to the end), `speakers`, `labels`, `vectors` (n, d).

    The arrays `encoder` and `fingerprint` name the encoder, `key` identifies the list. The file is written atomically.

    Raises:
        EarmarkError: the file cannot be written.
    """
    arrays = {
        "paths": np.array([clip.path for clip in clips], np.str_),
        "start_s": np.array([clip.start_s for clip in clips]),
        "end_s": np.array([np.nan if clip.end_s is None else clip.end_s for clip in clips]),
        "speakers": np.array([clip.speaker for clip in clips], np.str_),
        "labels": np.array([clip.label for clip in clips], np.str_),
        "vectors": np.asarray(vectors, np.float32),
        "encoder": np.array(embedder.name),
        "fingerprint": np.array(embedder.fingerprint),
        "key": np.array(key),
    }
    write_arrays(file, arrays)


def bounds_of(path: Path, spans: Sequence[Times], length: int) -> Floats:
    """Check spans of a recording, and replace ends of None by its duration; return starts and ends, shape (m, 2).

    Args:
        path: the recording, for errors.
        spans: start and end of each span.
        length: number of samples in the recording.

    Raises:
        InputError: a span exceeds the recording, or is shorter than a frame.
    """
    whole_s = length / SAMPLE_RATE
    bounds = np.array([(start_s, whole_s if end_s is None else end_s) for start_s, end_s in spans], np.float64)
    bounds = bounds.reshape(-1, 2)  # for no spans
    for start_s, end_s in bounds[(bounds[:, 1] > whole_s + _FILE_END_S) | (bounds[:, 0] >= whole_s)]:
        raise InputError(
            f"{path}: the segment from {start_s:g} to {end_s:g} s exceeds the recording, which ends at {whole_s:.2f} s;"
            " check that the list belongs to these recordings"
        )
    bounds[:, 1] = np.minimum(bounds[:, 1], whole_s)
    for start_s, end_s in bounds[bounds[:, 1] - bounds[:, 0] < FRAME_S - 1e-9]:
        raise InputError(
            f"{path}: the segment from {start_s:g} s on lasts {1000 * (end_s - start_s):.0f} ms, less than a frame of"
            f" {1000 * FRAME_S:.0f} ms; remove it from the list"
        )
    return bounds


def _cut(wave: Wave, bounds: Floats) -> Wave:
    return wave[round(float(bounds[0]) * SAMPLE_RATE) : round(float(bounds[1]) * SAMPLE_RATE)]


def _key(clips: Sequence[Clip], recordings: AudioFolder, embedder: SegmentEmbedder) -> str:
    """Hash of the list of clips, the folder of its recordings, and the fingerprint of the encoder."""
    digest = hashlib.sha256(f"{embedder.fingerprint}\n{recordings.folder.resolve()}\n".encode())
    for clip in clips:
        digest.update(json.dumps([clip.path, clip.start_s, clip.end_s, clip.speaker, clip.label]).encode())
    return digest.hexdigest()


def _finished(file: Path, key: str) -> Floats | None:
    """Read the vectors of a file of embeddings; None if it is missing, damaged or has another key."""
    try:
        arrays = read_arrays(file)
        return arrays["vectors"] if str(arrays["key"]) == key else None
    except (InputError, KeyError):
        return None
