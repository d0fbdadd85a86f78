"""Compare what earmark expects of keywords at enrollment with what they do: missed words, and the probability.

    python benchmarks/expectations.py [--data ../shared/data] [--out docs/expectations.png]

Words of four corpora are enrolled with takes of one to ten voices, and searched in other voices, after other speech.
Audio without the words is the half of speechocean762's test speakers that sets no threshold. Writes the picture, and
benchmarks/results/expectations.md. Needs ten minutes on one core.
"""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from expectations_page import Trial, draw, page
from numpy.typing import NDArray
from streams_audio import active_level_db, drawn, find_spoken, scaled_db, silence

import earmark
from earmark import DetectorSettings, Encoder, EnrollmentError, Keyword
from earmark.core.audio import SAMPLE_RATE, Wave, read
from earmark.core.files import write_text
from earmark.data.manifest import Clip, read_manifest
from earmark.spotting.background import EVENT_GAP_S, peak_places
from earmark.spotting.scoring import score_frames, word_score

Floats = NDArray[np.float32]

TESTS = 40  # clips of a word
NOISE = 1e-4
LEAST_EVENTS = 0.02  # the lowest probability of interest
SETTINGS = DetectorSettings()


@dataclass(frozen=True)
class Source:
    """Words of a corpus.

    Attributes:
        corpus: its folder.
        counts: numbers of takes.
        fresh: whether no constant of the expectations was fitted on these words.
        first: number of the first word, by name.
        every: step to the next word.
    """

    corpus: str
    counts: tuple[int, ...]
    fresh: bool = False
    first: int = 0
    every: int = 1


SOURCES = (
    Source("dspspeech", (1, 3, 5), fresh=True),
    Source("kokoro_words", (1, 3), fresh=True, first=3, every=30),
    Source("speech_commands_test", (1, 5), every=2),
    Source("wake_words", (1, 3, 5, 10)),
)


@dataclass(frozen=True, eq=False)
class Section:
    """Audio without keywords: its frames, and its sentences with their places in frames."""

    frames: NDArray[np.floating]
    sentences: tuple[tuple[int, int, str], ...]


def main() -> None:
    """Enroll, measure, and write the picture and the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--out", type=Path, default=Path("docs/expectations.png"))
    parser.add_argument("--page", type=Path, default=Path("benchmarks/results/expectations.md"))
    parser.add_argument("--words", type=int, default=1000, help="words of each corpus at most, for a quick run")
    options = parser.parse_args()
    encoder = earmark.load_encoder()
    negatives = other_speech(options.data, encoder)
    trials: list[Trial] = []
    for source in SOURCES:
        for label, clips in list(words(options.data, source).items())[: options.words]:
            trials += word_trials(options.data, source, label, clips, encoder, negatives)
            print(f"{source.corpus}: {label}, {len(trials)} keywords", flush=True)
    draw(trials, options.out)
    write_text(options.page, page(trials))


def words(data: Path, source: Source) -> dict[str, list[Clip]]:
    """The clips of each word; of wake_words, the half that is free to look at."""
    by_label: dict[str, list[Clip]] = {}
    for clip in read_manifest(data / source.corpus / "manifest.tsv"):
        if clip.split not in ("noise", "report") and not clip.label.startswith(("_", "not_")):
            by_label.setdefault(clip.label, []).append(clip)
    labels = sorted(label for label, clips in by_label.items() if len(clips) > 4)
    return {label: by_label[label] for label in labels[source.first :: source.every]}


def other_speech(data: Path, encoder: Encoder) -> Section:
    """Sentences of every second test speaker of speechocean762, those who are not in the background."""
    clips = [clip for clip in read_manifest(data / "speechocean762/manifest.tsv") if clip.split == "test"]
    kept = set(sorted({clip.speaker for clip in clips})[1::2])
    stream, pieces, sentences, done = encoder.stream(), [], [], 0
    for clip in clips:
        if clip.speaker in kept:
            wave = read(data / "speechocean762" / clip.path)
            pieces.append(stream.push(wave))
            place = [round(sample / SAMPLE_RATE / encoder.hop_s) for sample in (done, done + len(wave))]
            sentences.append((place[0], place[1], clip.label.lower()))
            done += len(wave)
    pieces.append(stream.finish())
    return Section(np.concatenate(pieces), tuple(sentences))


def word_trials(
    data: Path, source: Source, label: str, clips: Sequence[Clip], encoder: Encoder, negatives: Section
) -> Iterator[Trial]:
    """Enroll a word with several numbers of takes, each of another voice where voices are known, and measure it."""
    generator = np.random.default_rng(17)
    order = [clips[index] for index in generator.permutation(len(clips))]
    voices = {clip.speaker or clip.path: clip for clip in reversed(order)}
    takes = list(voices.values())[: max(source.counts)]
    known = {clip.speaker or clip.path for clip in takes}
    others = [clip for clip in order if (clip.speaker or clip.path) not in known]
    takes = takes[: len(takes) if others else 3]
    others = others or [clip for clip in order if clip not in takes]
    folder = data / source.corpus
    stream, places = after_speech(data, folder, others[:TESTS], encoder, generator)
    for count in source.counts:
        keyword = enrolled(label, [folder / clip.path for clip in takes[:count]], encoder)
        if keyword is None or count > len(takes) or not places:
            continue
        curve = score_frames(keyword, encoder, stream, SETTINGS)
        true = np.array([word_score(curve, *place_s, encoder.hop_s) for place_s in places])
        false, hours = false_events(keyword, encoder, negatives)
        yield Trial(
            corpus=source.corpus,
            label=label,
            fresh=source.fresh,
            takes=count,
            expected=keyword.calibration.expected_misses,
            threshold=keyword.threshold,
            true=true,
            false=false,
            hours=hours,
            logistic=keyword.calibration.logistic,
        )


def after_speech(
    data: Path, folder: Path, clips: Sequence[Clip], encoder: Encoder, generator: np.random.Generator
) -> tuple[Floats, list[tuple[float, float]]]:
    """Frames of a stream of clips, each after speech of its level, and the times of their words."""
    background = read_manifest(data / "librispeech_one_each/manifest.tsv").clips
    pieces: list[Wave] = []
    places, size = [], 0
    for clip in clips:
        wave = read(folder / clip.path)
        spoken = find_spoken(wave)
        if spoken is None:
            continue
        other = read(data / "librispeech_one_each" / background[int(generator.integers(len(background)))].path)
        speech = drawn(other, round(generator.uniform(1.2, 2.2) * SAMPLE_RATE), generator)
        speech = scaled_db(speech, active_level_db(wave) - active_level_db(speech) - generator.uniform(2, 8))
        before = [speech, silence(generator.uniform(0.1, 0.4))]
        start_s = (size + sum(map(len, before))) / SAMPLE_RATE
        places.append((start_s + spoken.start_s, start_s + spoken.end_s))
        pieces += [*before, wave, silence(generator.uniform(0.3, 0.6))]
        size = sum(map(len, pieces))
    if not pieces:
        return np.zeros((0, encoder.dimension), np.float32), []
    stream = np.concatenate(pieces)
    stream += NOISE * generator.standard_normal(len(stream)).astype(np.float32)
    return encoder.frames(np.clip(stream, -1, 1)), places


def enrolled(label: str, paths: Sequence[Path], encoder: Encoder) -> Keyword | None:
    """Enroll takes; None where one is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return earmark.enroll(label, list(paths), encoder=encoder)
        except EnrollmentError:
            return None


def false_events(keyword: Keyword, encoder: Encoder, negatives: Section) -> tuple[Floats, float]:
    """Scores of the events in speech without the word, and its duration in hours."""
    curve = score_frames(keyword, encoder, negatives.frames, SETTINGS).copy()
    kept = np.full(len(curve), True)
    for first, last, text in negatives.sentences:
        if f" {keyword.name.lower()} " in f" {text} ":
            kept[max(0, first - 2) : last + 12] = False
    curve[~kept] = -1
    scores = curve[peak_places(curve, round((keyword.duration_s + EVENT_GAP_S) / encoder.hop_s))]
    return scores[scores > -1], float(kept.sum() * encoder.hop_s / 3600)


if __name__ == "__main__":
    main()
