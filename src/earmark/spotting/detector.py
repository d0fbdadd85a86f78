"""The detector: keywords in a stream of audio.

A chunk takes one way: `Detector.push` → frames of each encoder → scores (`scoring`) → one axis of time (`timeline`) →
peaks (`peaks`), which the speaker gate accepts or rejects (`speaker_gate`) → detections.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earmark.core.audio import SAMPLE_RATE, AudioInput, Wave, as_wave, blocks, duration_s, load
from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.spotting.detector_settings import REST, DetectorSettings
from earmark.spotting.encoder_choice import matching_encoders
from earmark.spotting.keyword import Keyword
from earmark.spotting.peaks import Peak, PeakPicker
from earmark.spotting.recent_audio import RecentAudio
from earmark.spotting.rivals import contained
from earmark.spotting.scoring import StreamScorer
from earmark.spotting.second_stage import SecondStage
from earmark.spotting.speaker_enrollment import converted_speakers
from earmark.spotting.speaker_gate import SpeakerGate, required_speakers
from earmark.spotting.timeline import Rows, Timeline, encoder_groups

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.speaker_encoder import SpeakerEncoder
    from earmark.spotting.speaker import Speaker

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Detection:
    """A keyword in the audio.

    Attributes:
        keyword: its name.
        start_s: start, in seconds from the beginning of the stream.
        end_s: end, in seconds.
        score: similarity to the keyword; with the verifier, the score of both stages on the same scale.
        probability: that the detection is right, if the keyword is spoken once an hour. For a keyword without a
            measured threshold, it is 0.5 at the threshold, with a slope from the card of the encoder.
        speaker: the only speaker who may trigger the keyword, if it is restricted.
        speaker_score: similarity of the voice to that speaker.
        verifier_score: similarity of the verifier; None without it.
    """

    keyword: str
    start_s: float
    end_s: float
    score: float
    probability: float
    speaker: str | None = None
    speaker_score: float | None = None
    verifier_score: float | None = None


class Detector:
    """Detects any number of keywords in one stream.

    At each frame of its encoder (`hop_s`), each keyword is compared with the windows of about its length that end
    there. An encoder runs once, for all its keywords. A detection follows the word by about the largest `lag_s` of the
    encoders, or by `hold_s` more where a longer keyword contains the word: then the better one is reported.

    The verifier scores candidates again, which pass a lower threshold, and its score and that of the first stage become
    one. Keywords that were enrolled without it are detected by the first stage alone.

    A keyword that is restricted to a speaker is reported only when the voice is similar enough too. The speaker encoder
    embeds only the audio of such detections.

    Args:
        keywords: one or more with different names, each enrolled with one of the encoders. Those of an earlier version
            are converted from their takes, with one warning.
        encoder: one or more; by default the shipped ones that the keywords need.
        settings: detector settings.
        speakers: must contain the speakers to whom keywords are restricted.
        speaker_encoder: the encoder of the speakers; the shipped one by default.
        on_refusal: called with each detection whose voice was refused; its `speaker_score` is that of the voice.

    Raises:
        InputError: there are no keywords, two have one name, an encoder is not calibrated, or a speaker is missing.
        EncoderMismatch: a keyword or speaker was enrolled with another encoder.

    Attributes:
        keywords: all of them.
        encoders: those that the keywords need.
        thresholds: of the keywords, shape (n_keywords,).
    """

    def __init__(
        self,
        keywords: Sequence[Keyword] | Keyword,
        *,
        encoder: Encoder | Sequence[Encoder] | None = None,
        settings: DetectorSettings | None = None,
        speakers: Sequence[Speaker] | Speaker = (),
        speaker_encoder: SpeakerEncoder | None = None,
        on_refusal: Callable[[Detection], object] = lambda _: None,
    ) -> None:
        checked = _checked(keywords)
        encoders = matching_encoders(checked, encoder)
        self.keywords = _converted(checked, encoders)
        self.settings = settings or DetectorSettings()
        own = [keyword.threshold for keyword in self.keywords]
        override = self.settings.threshold
        self.thresholds: Floats = np.array(own if override is None else [override] * len(own), np.float32)
        self._groups = encoder_groups(self.keywords, encoders, self.settings.tempos, self.settings.smoothing_s)
        self.encoders = tuple(group.encoder for group in self._groups)
        self._group_of = {place: group for group in self._groups for place in group.columns}
        self._calibrations = [self._group_of[place].encoder.calibration for place in range(len(self.keywords))]
        self._rises = self._least_rises()
        self._speakers = required_speakers(self.keywords, speakers)
        if self._speakers and speaker_encoder is None:
            from earmark.models.speaker_encoder import load_speaker_encoder

            speaker_encoder = load_speaker_encoder()
        if speaker_encoder is not None:
            self._speakers = converted_speakers(self._speakers, speaker_encoder)
        self._speaker_encoder = speaker_encoder
        self._on_refusal = on_refusal
        self._second = self._second_stage()
        self._begin()

    def push(self, chunk: ArrayLike) -> list[Detection]:
        """Process the next chunk of the stream.

        Args:
            chunk: shape (n,), 16 kHz, any n; floats in [-1, 1] or int16.

        Returns:
            The detections that are final by now, in the order in which they became final; the same for every chunking
            of the stream.

        Raises:
            AudioError: the chunk is not audio.
        """
        wave = as_wave(chunk)
        if self._recent is not None:
            self._recent.push(wave)
        return self._process(self._timeline.push(wave))

    def finish(self) -> list[Detection]:
        """End the stream and return its last detections. The next `push` begins a new stream, at 0 s."""
        detections = self._process(self._timeline.finish()) + self._detections(self._picker.finish())
        self._begin()
        return detections

    def detect(
        self,
        recording: AudioInput,
        *,
        progress: Progress = no_progress,
        on_audio: Callable[[Wave], object] = lambda _: None,
    ) -> Iterator[Detection]:
        """Detect the keywords in a whole recording, as a stream of its own.

        Args:
            recording: shape (n,), 16 kHz, or a path; a file is read block by block.
            progress: called with seconds.
            on_audio: called with each block of the recording before it is scored.

        Yields:
            Detections, in the order in which they become final.

        Raises:
            AudioError: the recording is not audio.
        """
        pieces: Iterable[Wave]
        if isinstance(recording, str | Path):
            stage, length_s, pieces = f"detecting ({Path(recording).name})", duration_s(recording), blocks(recording)
        else:
            wave = as_wave(recording)
            stage, length_s, pieces = "detecting", len(wave) / SAMPLE_RATE, [wave]
        self._begin()
        done_s = 0.0
        try:
            for block in pieces:
                on_audio(block)
                yield from self.push(block)
                done_s += len(block) / SAMPLE_RATE
                progress(stage, done_s, length_s)
            yield from self.finish()
        finally:
            self._begin()

    def scores(self, recording: AudioInput) -> tuple[Floats, Floats]:
        """The scores of the first stage for a whole recording. The stream is not affected.

        Args:
            recording: shape (n,), 16 kHz, or a path.

        Returns:
            times_s, shape (t,): the ends of the windows, every hop of the encoder with the shortest one; scores, shape
            (t, n_keywords): those of other encoders are the latest at that time.
        """
        wave = load(recording)
        hop = min(group.hop for group in self._groups)
        count = -(-len(wave) // hop)
        times_s = ((np.arange(count) + 1) * np.float32(hop / SAMPLE_RATE)).astype(np.float32)
        scores = np.zeros((count, len(self.keywords)), np.float32)
        for group in self._groups if len(wave) else ():
            scorer = StreamScorer(group.windows, group.smoothing)
            own = np.concatenate([scores for scores, _, _ in scorer.push(group.encoder.frames(wave))])
            latest = np.maximum(0, (np.arange(count) + 1) * hop // group.hop - 1)
            scores[:, group.columns] = own[np.minimum(latest, len(own) - 1)]
        return times_s, scores

    def _least_rises(self) -> list[float]:
        """For each keyword, the least rise from one frame to the next that keeps its detection waiting."""
        per_frame = [
            self.settings.rise_per_s * self._group_of[place].encoder.hop_s for place in range(len(self.keywords))
        ]
        if not self.settings.exclusive:
            return per_frame
        waits = contained(self.keywords, self.thresholds)
        return [-math.inf if waiting else rise for waiting, rise in zip(waits, per_frame, strict=True)]

    def _begin(self) -> None:
        self._timeline = Timeline(self._groups)
        self._recent: RecentAudio | None = None
        self._gate: SpeakerGate | None = None
        if self._speakers or self._second is not None:
            # All encoders have reached the end of a peak when it closes, with their look-ahead.
            self._recent = RecentAudio(max(encoder.lag_s for encoder in self.encoders))
        if self._recent is not None and self._speakers and self._speaker_encoder is not None:
            only = [keyword.only_speaker for keyword in self.keywords]
            self._gate = SpeakerGate(only, self._speakers, self._speaker_encoder, self._recent)
        self._picker = PeakPicker(
            self.thresholds,
            hold=max(group.samples(self.settings.hold_s) for group in self._groups),
            rests=[
                self._group_of[place].samples(max(self.settings.refractory_s, REST * keyword.duration_s))
                for place, keyword in enumerate(self.keywords)
            ],
            span=max(group.longest for group in self._groups),
            rises=self._rises,
            exclusive=self.settings.exclusive,
            levels=None if self._second is None else self._second.levels,
            admit=None if self._recent is None else self._admit,
        )

    def _second_stage(self) -> SecondStage | None:
        """The second stage; None where no keyword uses it."""
        if not self.settings.verify or all(keyword.calibration.verifier is None for keyword in self.keywords):
            return None
        from earmark.models.verifier import shipped_verifier

        verifier = shipped_verifier()
        return None if verifier is None else SecondStage(self.keywords, self.thresholds, verifier)

    def _admit(self, peak: Peak) -> Peak | None:
        """The peak with the scores of the verifier and of its voice; None for another voice than its speaker's."""
        if self._second is not None and self._recent is not None:
            peak = self._second.verify(peak, self._recent)
            if peak.score < float(self.thresholds[peak.keyword]):
                return peak  # the picker drops it
        return peak if self._gate is None else self._gate.admit(peak)

    def _process(self, scored: Iterable[Rows]) -> list[Detection]:
        detections = [
            hit for rows in scored for hit in self._detections(self._picker.push(rows.scores, rows.stops, rows.lengths))
        ]
        if self._recent is not None:
            next_start, earliest = self._timeline.next_start, self._picker.earliest
            self._recent.drop(next_start if earliest is None else min(next_start, earliest))
        return detections

    def _detections(self, peaks: Sequence[Peak]) -> list[Detection]:
        """The detections of peaks; refused ones go to the callback."""
        for peak in self._gate.take_refused() if self._gate is not None else ():
            self._on_refusal(self._detection(peak))
        return [self._detection(peak) for peak in peaks]

    def _detection(self, peak: Peak) -> Detection:
        keyword = self.keywords[peak.keyword]
        return Detection(
            keyword=keyword.name,
            start_s=round(max(0, peak.start) / SAMPLE_RATE, 3),
            end_s=round(peak.stop / SAMPLE_RATE, 3),
            score=peak.score,
            probability=self._probability(peak),
            speaker=keyword.only_speaker,
            speaker_score=peak.speaker_score,
            verifier_score=peak.verifier_score,
        )

    def _probability(self, peak: Peak) -> float:
        calibration = self.keywords[peak.keyword].calibration
        second = None if peak.verifier_score is None else calibration.verifier
        measured = calibration.logistic if second is None else second.logistic
        if measured is not None:
            return measured.probability(peak.score)
        threshold = float(self.thresholds[peak.keyword])
        return self._calibrations[peak.keyword].probability(peak.score, threshold)


def _checked(given: Sequence[Keyword] | Keyword) -> tuple[Keyword, ...]:
    keywords = (given,) if isinstance(given, Keyword) else tuple(given)
    for keyword in keywords:
        if not isinstance(keyword, Keyword):
            raise InputError(
                f"a Keyword or a list of them, not {keyword!r}; enroll one with earmark.enroll, or load it with "
                "earmark.KeywordStore().get(NAME)",
                key="keywords",
            )
    if not keywords:
        raise InputError("there are none; make one: earmark enroll NAME FILE...", key="keywords")
    names = [keyword.name for keyword in keywords]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name!r} is given twice; names must differ", key="keywords")
    return keywords


def _converted(keywords: tuple[Keyword, ...], encoders: Sequence[Encoder]) -> tuple[Keyword, ...]:
    """Convert keywords of an earlier version, with one warning."""
    names = [keyword.name for keyword in keywords if keyword.parts is None]
    if not names:
        return keywords
    from earmark.spotting.enrollment import convert_earlier

    warnings.warn(
        f"{', '.join(map(repr, names))}: enrolled by an earlier version, and converted from the takes each time; "
        "convert once: earmark keywords reembed",
        stacklevel=3,
    )
    for encoder in encoders:
        keywords = tuple(convert_earlier(keywords, encoder))
    return keywords
