"""Hear keywords in a stream of sound: compare every stretch that is as long as a keyword with its prototype."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from earmark.core.audio import as_wave
from earmark.core.errors import InputError
from earmark.spotting.keyword import Keyword
from earmark.spotting.peaks import Peak, PeakPicker
from earmark.spotting.speaker_gate import Gate, speakers_of

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.speaker_encoder import SpeakerEncoder
    from earmark.spotting.speaker import Speaker

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_PIECE = 256  # frames that are compared at a time, so that hours of sound need no more memory than minutes


class DetectorSettings(BaseModel):
    """How to listen. Times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tempos: tuple[Annotated[float, Field(gt=0.2, lt=5)], ...] = Field(default=(0.85, 1.0, 1.2), min_length=1)
    """Lengths of the stretches that are compared, relative to the keyword's own: said faster, alike, slower."""
    smoothing_s: float = Field(default=0.12, ge=0, le=1)
    """A score is the mean over this time."""
    hold_s: float = Field(default=0.3, ge=0, le=2)
    """How long a detection waits for a still better fit while the score stays above the threshold."""
    refractory_s: float = Field(default=0.5, ge=0, le=60)
    """How long a keyword rests after it was heard."""
    threshold: float | None = Field(default=None, ge=-1, le=1)
    """For all keywords, instead of their own."""
    exclusive: bool = True
    """Of several keywords on the same sound, report only the best."""


@dataclass(frozen=True)
class Detection:
    """A keyword was said: which, where (seconds from the stream's beginning), how alike, and how sure that is.

    Where the keyword answers to one voice: whose that is, and how alike the voice was.
    """

    keyword: str
    start_s: float
    end_s: float
    score: float
    probability: float
    speaker: str | None = None
    speaker_score: float | None = None


class Detector:
    """Listens to one stream for any number of keywords.

    Each keyword is compared, once a frame (`encoder.hop_s`), with the stretches of sound that end there and are about
    as long as it. The encoder hears the sound once, however many keywords there are. A detection comes `encoder.lag_s`
    plus at most about `smoothing_s + hold_s` after the word.

    A keyword that answers to one speaker fires when the voice, too, is alike enough; the speaker encoder hears the
    sound of such a detection, and nothing else.

    Args:
        keywords: with names that differ, all enrolled with this encoder.
        encoder: the shipped one unless given.
        settings: how to listen.
        speakers: among them those to whom keywords answer.
        speaker_encoder: which they were enrolled with; the shipped one unless given.
        on_refusal: is told of each time a keyword was said in another voice than the one that it answers to; the
            detection that it would have been has that voice's score.

    Raises:
        InputError: there are no keywords, two have one name, one was enrolled with another encoder, or the encoder's
            card has no calibration; a keyword answers to somebody who is not among the speakers, or who was enrolled
            with another speaker encoder.
    """

    def __init__(
        self,
        keywords: Sequence[Keyword],
        *,
        encoder: Encoder | None = None,
        settings: DetectorSettings | None = None,
        speakers: Sequence[Speaker] = (),
        speaker_encoder: SpeakerEncoder | None = None,
        on_refusal: Callable[[Detection], object] = lambda _: None,
    ) -> None:
        if encoder is None:
            from earmark.models.encoder import load_encoder

            encoder = load_encoder()
        _check(keywords, encoder)
        self.keywords = tuple(keywords)
        self.encoder = encoder
        self.settings = settings or DetectorSettings()
        own = [keyword.threshold for keyword in keywords]
        override = self.settings.threshold
        self.thresholds: Floats = np.array(own if override is None else [override] * len(own), np.float32)
        self._calibration = encoder.calibration
        self._windows = _Windows(self.keywords, encoder.hop_s, self.settings.tempos)
        self._smoothing = max(1, round(self.settings.smoothing_s / encoder.hop_s))
        self._speakers = speakers_of(keywords, speakers)
        if self._speakers and speaker_encoder is None:
            from earmark.models.speaker_encoder import load_speaker_encoder

            speaker_encoder = load_speaker_encoder()
        self._speaker_encoder = speaker_encoder
        self._on_refusal = on_refusal
        self._begin()

    def push(self, chunk: ArrayLike) -> list[Detection]:
        """Listen to the next piece of the stream.

        Args:
            chunk: shape (n,), 16 kHz, any n; floats in [-1, 1] or int16.

        Returns:
            What has been heard by now, in order; the same however the stream is cut into chunks.

        Raises:
            AudioError: the chunk is not sound.
        """
        wave = as_wave(chunk)
        if self._gate is not None:
            self._gate.hear(wave)
        return self._hear(self._stream.push(wave))

    def finish(self) -> list[Detection]:
        """End the stream: what is still to be reported. The next `push` begins a new stream, at 0 s."""
        detections = self._hear(self._stream.finish()) + self._detections(self._picker.finish())
        self._begin()
        return detections

    def scores(self, wave: ArrayLike) -> tuple[Floats, Floats]:
        """The numbers that `push` compares with the thresholds, for a whole wave. Leaves the stream alone.

        Args:
            wave: shape (n,), 16 kHz.

        Returns:
            times_s, shape (t,): where the compared stretches end; scores, shape (t, n_keywords).
        """
        checked = as_wave(wave)
        if not len(checked):
            return np.zeros(0, np.float32), np.zeros((0, len(self.keywords)), np.float32)
        memory = _Memory(self._windows, self._smoothing)
        pieces = list(memory.pieces(self.encoder.frames(checked), self.encoder))
        times_s = (np.arange(memory.count) + 1) * np.float32(self.encoder.hop_s)
        return times_s.astype(np.float32), np.concatenate([scores for scores, _, _ in pieces])

    def _begin(self) -> None:
        hop_s = self.encoder.hop_s
        self._stream = self.encoder.stream()
        self._memory = _Memory(self._windows, self._smoothing)
        self._gate: Gate | None = None
        if self._speakers and self._speaker_encoder is not None:
            self._gate = Gate(self._speakers, self._speaker_encoder, self.encoder.lag_s)
        self._picker = PeakPicker(
            self.thresholds,
            hold=round(self.settings.hold_s / hop_s),
            rest=round(self.settings.refractory_s / hop_s),
            span=self._windows.longest,
            exclusive=self.settings.exclusive,
            admit=self._admit if self._gate is not None else None,
        )

    def _hear(self, frames: Floats) -> list[Detection]:
        pieces = self._memory.pieces(frames, self.encoder)
        detections = [detection for piece in pieces for detection in self._detections(self._picker.push(*piece))]
        if self._gate is not None:
            # A peak that opens with the next frame begins no earlier than the longest window, smoothed.
            next_start = self._memory.count - self._windows.longest - self._smoothing
            earliest = self._picker.earliest
            start = next_start if earliest is None else min(next_start, earliest)
            self._gate.forget(max(0, start) * self.encoder.hop_s)
        return detections

    def _admit(self, peak: Peak) -> Peak | None:
        """The peak with its voice's score, or None when it is another's voice."""
        name = self.keywords[peak.keyword].only_speaker
        if self._gate is None or name is None:
            return peak
        hop_s = self.encoder.hop_s
        verdict = self._gate.judge(name, max(0, peak.start) * hop_s, peak.stop * hop_s)
        judged = replace(peak, speaker_score=verdict.score)
        if verdict.is_same:
            return judged
        self._on_refusal(self._detection(judged))
        return None

    def _detections(self, peaks: Sequence[Peak]) -> list[Detection]:
        return [self._detection(peak) for peak in peaks]

    def _detection(self, peak: Peak) -> Detection:
        hop_s = self.encoder.hop_s
        return Detection(
            keyword=self.keywords[peak.keyword].name,
            start_s=round(max(0, peak.start) * hop_s, 3),
            end_s=round(peak.stop * hop_s, 3),
            score=peak.score,
            probability=self._calibration.probability(peak.score, float(self.thresholds[peak.keyword])),
            speaker=self.keywords[peak.keyword].only_speaker,
            speaker_score=peak.speaker_score,
        )


class _Windows:
    """Which window lengths are compared with which prototypes."""

    def __init__(self, keywords: Sequence[Keyword], hop_s: float, tempos: Sequence[float]) -> None:
        self.prototypes: Floats = np.stack([keyword.prototype for keyword in keywords])
        wanted = [{max(1, round(tempo * keyword.duration_s / hop_s)) for tempo in tempos} for keyword in keywords]
        # Keywords share what has been embedded for one length.
        self.lengths: Ints = np.array(sorted(set().union(*wanted)))
        self.longest = int(self.lengths[-1])
        self._unwanted = np.array([[length not in own for own in wanted] for length in self.lengths.tolist()])

    def best(self, frames: Floats, past: int, first: int, encoder: Encoder) -> tuple[Floats, Ints]:
        """Compare the windows that end with each frame.

        Args:
            frames: shape (past + n, width), the first of them is frame `first` of the stream.
            past: how many of them only give the windows their beginnings.
            first: see frames.
            encoder: embeds windows of frames.

        Returns:
            scores, shape (n, n_keywords), and lengths, alike: of each keyword's best window.
        """
        stops = np.arange(past + 1, len(frames) + 1)
        # All lengths at once: a live chunk is one or two frames, and each call costs more than what it computes.
        every = encoder.embed_windows(frames, np.tile(stops, len(self.lengths)), self.lengths.repeat(len(stops)))
        similarity = (every @ self.prototypes.T).reshape(len(self.lengths), len(stops), -1)
        # Nothing is said before half of it could be heard: a window of one or two frames resembles anything.
        similarity[2 * (first + stops) < self.lengths[:, None]] = 0
        similarity[np.broadcast_to(self._unwanted[:, None], similarity.shape)] = -2
        return similarity.max(axis=0), self.lengths[similarity.argmax(axis=0)]


class _Memory:
    """What a stream must remember between chunks: frames for the longest window, and scores for the smoothing."""

    def __init__(self, windows: _Windows, smoothing: int) -> None:
        self.count = 0  # frames so far
        self._windows, self._smoothing = windows, smoothing
        self._frames: Floats | None = None
        self._scores = np.zeros((smoothing - 1, len(windows.prototypes)), np.float32)
        self._lengths = np.ones(self._scores.shape, np.int64)

    def pieces(self, frames: Floats, encoder: Encoder) -> Iterator[tuple[Floats, Ints, Ints]]:
        """Score new frames.

        Args:
            frames: shape (n, width).
            encoder: embeds windows of frames.

        Yields:
            Smoothed scores, shape (m, n_keywords); where their windows stop, shape (m,); how long those are, shape
            (m, n_keywords). The smoothing delays a peak by half its time: the window is the one in its middle.
        """
        middle = (self._smoothing - 1) // 2
        for start in range(0, len(frames), _PIECE):
            piece = frames[start : start + _PIECE]
            known = piece[:0] if self._frames is None else self._frames
            joined = np.concatenate([known, piece])
            raw, lengths = self._windows.best(joined, len(known), self.count - len(known), encoder)
            self._frames = joined[max(0, len(joined) - self._windows.longest + 1) :]
            scores = np.concatenate([self._scores, raw])
            lengths = np.concatenate([self._lengths, lengths])
            # A sum of shifted copies: each score then is the same sum, however the stream was cut.
            smooth = sum(scores[shift : shift + len(piece)] for shift in range(self._smoothing)) / self._smoothing
            stops = self.count + 1 + np.arange(len(piece)) - middle
            first = self._smoothing - 1 - middle
            yield np.asarray(smooth, np.float32), stops, lengths[first : first + len(piece)]
            kept = len(scores) - self._smoothing + 1
            self._scores, self._lengths = scores[kept:], lengths[kept:]
            self.count += len(piece)


def _check(keywords: Sequence[Keyword], encoder: Encoder) -> None:
    if not keywords:
        raise InputError("no keywords to listen for; make one: earmark enroll NAME FILE...")
    names = [keyword.name for keyword in keywords]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"keyword {name!r} is given twice; names must differ")
    for keyword in keywords:
        if keyword.encoder != encoder.fingerprint:
            raise InputError(
                f"keyword {keyword.name!r} was enrolled with encoder {keyword.encoder[:12]}, not with {encoder.name!r} "
                f"({encoder.fingerprint[:12]}); convert it: earmark keywords reembed --encoder {encoder.name}"
            )
