"""From segments of recordings to vectors: a recording is heard once, and then every segment of it is embedded.

An encoder that hears streams hears what stands before and after a segment, as it does when it listens; its frames are
shared by all segments of a recording. Other encoders hear the segment alone.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.errors import InputError, writing
from earmark.data.audio_folder import AudioFolder
from earmark.data.lists.list_format import FRAME_S
from earmark.data.manifest import Clip
from earmark.evaluation.embedders import Embedder, EncoderEmbedder, Progress, silent
from earmark.evaluation.log_mel import HOP_S, log_mel

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder

Floats = NDArray[np.floating]
Span = tuple[float, float | None]
"""Start and end in seconds; None for the end of the recording."""

SAVE_EVERY_S = 60.0
_AT_ONCE = 256
# Ends in lists are rounded, and files end a little earlier than their headers say.
_FILE_END_S = 0.06


class SegmentEmbedder(Protocol):
    """What embeds segments."""

    @property
    def name(self) -> str:
        """For titles and file names."""

    @property
    def fingerprint(self) -> str:
        """Tells its weights, and how it hears segments, from all others."""

    def embed_file(self, path: Path, spans: Sequence[Span]) -> Floats:
        """Vectors of spans of one recording, shape (m, d)."""


@runtime_checkable
class SelfSegmenting(SegmentEmbedder, Protocol):
    """An embedder, a dataclass, that hears segments of recordings by itself."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def spoken(self) -> bool:
        """Whether of a recording that is embedded whole only the spoken part is."""


@dataclass(frozen=True)
class WindowEmbedder:
    """An encoder of streams: a segment is a window over the frames of its recording.

    Attributes:
        encoder: runs the .onnx file.
        spoken: of a recording that is embedded whole, only the spoken part is.
    """

    encoder: "Encoder"
    spoken: bool = True

    @property
    def name(self) -> str:
        """Of the encoder."""
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        """Of its file, and whether whole recordings are cut to their spoken part."""
        return self.encoder.fingerprint + ("" if self.spoken else "-whole")

    def embed_file(self, path: Path, spans: Sequence[Span]) -> Floats:
        """Unit vectors, shape (m, d)."""
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
        """Samples of a recording, and its frames; the samples are not kept."""
        stream = self.encoder.stream()
        length, heard = 0, []
        for block in audio.blocks(path, block_s=8.0):
            length += len(block)
            heard.append(stream.push(block))
        heard.append(stream.finish())
        return length, np.concatenate(heard)[: -(-length // round(self.encoder.hop_s * SAMPLE_RATE))]


@dataclass(frozen=True)
class CropEmbedder:
    """Any other encoder: it hears a segment and nothing around it.

    Attributes:
        embedder: waves in, vectors out.
    """

    embedder: Embedder

    @property
    def name(self) -> str:
        """Of the encoder."""
        return self.embedder.name

    @property
    def fingerprint(self) -> str:
        """Of the encoder."""
        return self.embedder.fingerprint

    def embed_file(self, path: Path, spans: Sequence[Span]) -> Floats:
        """Vectors, shape (m, d)."""
        wave = audio.read(path)
        cuts = [_cut(wave, bounds) for bounds in bounds_of(path, spans, len(wave))]
        pieces = [self.embedder.embed_batch(cuts[start : start + _AT_ONCE]) for start in range(0, len(cuts), _AT_ONCE)]
        return np.concatenate(pieces)


@dataclass(frozen=True)
class LogMelMean:
    """A baseline without learning: the mean of a segment's log-mel frames, each less its own mean over the bands.

    What is left of a frame without its mean is the shape of the spectrum, however loud the sound.
    """

    name: str = "log-mel-mean"
    fingerprint: str = "log-mel-mean-1"

    def embed_file(self, path: Path, spans: Sequence[Span]) -> Floats:
        """Vectors, shape (m, 40)."""
        return np.stack([frames.mean(axis=0) for frames in mel_frames(path, spans, centered=False)])


def mel_frames(path: Path, spans: Sequence[Span], *, centered: bool) -> list[Floats]:
    """Log-mel frames of spans of a recording, less their mean over bands; of a whole recording, the spoken part's.

    Args:
        path: of the recording.
        spans: of it.
        centered: also less the mean over each span, which takes away much of microphone and voice.

    Returns:
        Shapes (t, 40), a frame every 10 ms.
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
    """What embeds segments with an encoder or a checkpoint.

    Args:
        embedder: from `--encoder`.
        spoken: of a recording that is embedded whole, only the spoken part is; for what hears recordings.
    """
    if isinstance(embedder, EncoderEmbedder):
        return WindowEmbedder(embedder.encoder, spoken)
    if isinstance(embedder, SelfSegmenting):
        return replace(embedder, spoken=spoken)
    return CropEmbedder(embedder)


def embed_stream(
    clips: Iterable[Clip], recordings: AudioFolder, embedder: SegmentEmbedder
) -> Iterator[tuple[list[Clip], Floats]]:
    """Embed segments in their order, recording by recording; what was given is not kept.

    Args:
        clips: segments; those of a recording one after the other, or it is heard again.
        recordings: where they lie.
        embedder: to embed them with.

    Yields:
        Segments of one recording, and their vectors, shape (m, d).

    Raises:
        InputError: a recording is missing or no sound, a segment lies outside of it, or its vector is zero or not
            finite.
    """
    for path, group in groupby(clips, key=lambda clip: clip.path):
        some = list(group)
        place = recordings.locate(path)
        rows = np.asarray(embedder.embed_file(place, [(clip.start_s, clip.end_s) for clip in some]))
        if rows.ndim != 2 or len(rows) != len(some):
            raise InputError(f"{place}: {len(some)} segments gave embeddings of shape {rows.shape}; check the encoder")
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1))
        if wrong.size:
            clip = some[wrong[0]]
            end = "its end" if clip.end_s is None else f"{clip.end_s:g} s"
            raise InputError(
                f"{place}: the embedding from {clip.start_s:g} s to {end} is zero or not finite; listen to it, and take"
                " it off the list if it is silent"
            )
        yield some, rows


def embed_all(
    clips: Sequence[Clip],
    recordings: AudioFolder,
    embedder: SegmentEmbedder,
    file: Path,
    *,
    progress: Progress = silent,
    save_every_s: float = SAVE_EVERY_S,
) -> Floats:
    """Embed segments into a file; what it holds of the same segments is not embedded again.

    Args:
        clips: segments in any order; each recording is heard once.
        recordings: where they lie.
        embedder: to embed them with.
        file: an .npz with the arrays of `write_embeddings`; until it is done, what there is stands in a hidden file
            beside it.
        progress: told how many segments are done.
        save_every_s: how often the file is written meanwhile.

    Returns:
        Shape (n, d), in the order of the clips.

    Raises:
        InputError: as `embed_stream`.
    """
    key = _key(clips, recordings, embedder)
    rows = _read(file, key)
    if len(rows) == len(clips):
        return rows
    unfinished = file.with_name(f".{file.stem}.unfinished.npz")
    order = sorted(range(len(clips)), key=lambda row: clips[row].path)
    rows = _read(unfinished, key)
    done, pieces = len(rows), [rows] if len(rows) else []
    saved = time.monotonic()

    def save() -> None:
        write_embeddings(unfinished, [clips[row] for row in order[:done]], np.concatenate(pieces), embedder, key=key)

    try:
        for some, vectors in embed_stream((clips[row] for row in order[done:]), recordings, embedder):
            pieces.append(vectors)
            done += len(some)
            progress(done, len(clips))
            if time.monotonic() - saved > save_every_s:
                save()
                saved = time.monotonic()
    except BaseException:  # also an interrupted run goes on later
        if done > len(rows):
            save()
        raise
    found = np.concatenate(pieces)
    back = np.empty_like(found)
    back[order] = found
    write_embeddings(file, clips, back, embedder, key=key)
    unfinished.unlink(missing_ok=True)
    return back


def write_embeddings(
    file: Path, clips: Sequence[Clip], vectors: Floats, embedder: SegmentEmbedder, *, key: str = ""
) -> None:
    """Write embeddings as .npz: `paths`, `start_s`, `end_s` (NaN: to the end), `speakers`, `labels`, `vectors` (n, d).

    The arrays `encoder` and `fingerprint` say what made them, `key` which list they are of. The file is complete or it
    is not there.

    Raises:
        EarmarkError: the file cannot be written, or the disk is full.
    """
    partial = file.with_name(f".{file.stem}.partial.npz")
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            np.savez(
                partial,
                paths=np.array([clip.path for clip in clips], np.str_),
                start_s=np.array([clip.start_s for clip in clips]),
                end_s=np.array([np.nan if clip.end_s is None else clip.end_s for clip in clips]),
                speakers=np.array([clip.speaker for clip in clips], np.str_),
                labels=np.array([clip.label for clip in clips], np.str_),
                vectors=np.asarray(vectors, np.float32),
                encoder=np.array(embedder.name),
                fingerprint=np.array(embedder.fingerprint),
                key=np.array(key),
            )
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)


def bounds_of(path: Path, spans: Sequence[Span], length: int) -> Floats:
    """Start and end of each span in seconds, shape (m, 2).

    Raises:
        InputError: a span is not inside the recording, or shorter than a frame.
    """
    whole_s = length / SAMPLE_RATE
    bounds = np.array([(start_s, whole_s if end_s is None else end_s) for start_s, end_s in spans], np.float64)
    bounds = bounds.reshape(-1, 2)  # also where there is none
    for start_s, end_s in bounds[(bounds[:, 1] > whole_s + _FILE_END_S) | (bounds[:, 0] >= whole_s)]:
        raise InputError(
            f"{path}: a segment from {start_s:g} to {end_s:g} s, but the recording ends at {whole_s:.2f} s; make the"
            " list of these recordings"
        )
    bounds[:, 1] = np.minimum(bounds[:, 1], whole_s)
    for start_s, end_s in bounds[bounds[:, 1] - bounds[:, 0] < FRAME_S - 1e-9]:
        raise InputError(
            f"{path}: {1000 * (end_s - start_s):.0f} ms from {start_s:g} s on, shorter than a frame of"
            f" {1000 * FRAME_S:.0f} ms; take it off the list"
        )
    return bounds


def _cut(wave: Wave, bounds: Floats) -> Wave:
    return wave[round(float(bounds[0]) * SAMPLE_RATE) : round(float(bounds[1]) * SAMPLE_RATE)]


def _key(clips: Sequence[Clip], recordings: AudioFolder, embedder: SegmentEmbedder) -> str:
    """Changes with the list, its folder and the encoder."""
    digest = hashlib.sha256(f"{embedder.fingerprint}\n{recordings.folder.resolve()}\n".encode())
    for clip in clips:
        digest.update(json.dumps([clip.path, clip.start_s, clip.end_s, clip.speaker, clip.label]).encode())
    return digest.hexdigest()


def _read(file: Path, key: str) -> Floats:
    """Vectors of a file under this key; none of any other file."""
    nothing = np.empty((0, 0), np.float32)
    if not file.is_file():
        return nothing
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            vectors = np.asarray(stored["vectors"])
            return vectors if str(stored["key"]) == key else nothing
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile):  # cut off, or another program's
        return nothing
