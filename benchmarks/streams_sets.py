"""Streams of the benchmark: words after other speech, phrases, and audio without keywords; kept in a folder.

A set of streams is a folder of WAV files of about five minutes and `places.tsv`, the true times of what they contain.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
from streams_audio import (
    Spoken,
    active_level_db,
    cut,
    drawn,
    find_spoken,
    limited,
    music,
    over,
    prompts,
    scaled_db,
    silence,
)
from streams_conditions import Condition, conditions

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.files import atomic_folder
from earmark.data.manifest import Clip, read_manifest

VERSION = 2  # of the streams; a change makes all of them again
FILE_S = 300.0
TIMES = ("start_s", "end_s", "word_start_s", "word_end_s")
DITHER = 1e-4
WORDS_AS_SPOKEN = {"heycomputer": "hey computer", "heysavant": "hey savant", "heychatterbox": "hey chatterbox"}
SHORT_WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
BACKGROUND = ("speech", "speech over noise", "speech over music")
WAKE_WORD_CLIPS = 200  # at most, of each word
SHORT_WORD_CLIPS = 80
PHRASE_CLIPS = 40  # of each phrase and role
CONDITION_CLIPS = 40  # of each wake word, in each condition


@dataclass(frozen=True)
class Place:
    """What a part of a stream contains.

    Attributes:
        file: number of the file in its set.
        start_s: start in the file.
        end_s: end in the file.
        label: word, phrase, or kind of background.
        role: of a phrase: target, swapped, first only …; of a word: clear or unclear, see `streams_audio.Spoken`;
            of noise: its kind.
        source: the clip.
        text: transcript in lower case; "?" where it is unknown.
        word_start_s: start of the word within the place, where it is clear.
        word_end_s: end of the word.
    """

    file: int
    start_s: float
    end_s: float
    label: str
    role: str = ""
    source: str = ""
    text: str = ""
    word_start_s: float = 0.0
    word_end_s: float = 0.0

    def moved(self, file: int, by_s: float) -> "Place":
        """The place in a file, `by_s` later."""
        times_s = {name: round(getattr(self, name) + by_s, 4) for name in TIMES}
        return replace(self, file=file, **times_s)


@dataclass(frozen=True)
class StreamSet:
    """Streams and the places in them."""

    name: str
    files: tuple[Path, ...]
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Piece:
    """The next part of a stream: a wave, and the place in it, whose times are relative to the wave."""

    wave: Wave
    place: Place


@dataclass(frozen=True)
class Corpora:
    """Folders of the recordings.

    Attributes:
        data: folder of wake_words, trials, speech_commands_test, speechocean762, librispeech_one_each, noise_esc10.
        prompts: folder of spoken prompts, with one folder per language; None for none.
        half: choose or report.
        share: share of the clips and of the background that is used, for a quick run.
    """

    data: Path
    prompts: Path | None
    half: str
    share: float = 1.0

    def clips(self, corpus: str) -> list[Clip]:
        """The clips of a corpus, sorted by path."""
        return sorted(read_manifest(self.data / corpus / "manifest.tsv"), key=lambda clip: clip.path)

    def limit(self, count: int) -> int:
        """The share of a number of clips."""
        return max(1, round(self.share * count))


def kept_set(name: str, folder: Path, make: Callable[[], Iterable[Piece]]) -> StreamSet:
    """Read a set of streams from its folder, or make it there."""
    slug = re.sub(r"[^\w.-]+", "_", name)
    home = folder / f"{slug}-v{VERSION}"
    if not (home / "places.tsv").exists():
        print(f"making the streams {name}", flush=True)
        with atomic_folder(home, replace=True) as draft:
            write_set(draft, make())
    with (home / "places.tsv").open(encoding="utf-8", newline="") as file:
        places = tuple(map(read_place, csv.DictReader(file, delimiter="\t")))
    return StreamSet(name, tuple(sorted(home.glob("*.wav"))), places)


def read_place(row: dict[str, str]) -> Place:
    """A place from a row of the table."""
    return Place(
        file=int(row["file"]),
        start_s=float(row["start_s"]),
        end_s=float(row["end_s"]),
        label=row["label"],
        role=row["role"],
        source=row["source"],
        text=row["text"],
        word_start_s=float(row["word_start_s"]),
        word_end_s=float(row["word_end_s"]),
    )


def write_set(folder: Path, pieces: Iterable[Piece]) -> None:
    """Write pieces one after another to WAV files of at least `FILE_S`, with faint noise, and a table of places."""
    generator = np.random.default_rng(0)
    places: list[Place] = []
    waves: list[Wave] = []
    number, length_s = 0, 0.0

    def close() -> None:
        wave = np.concatenate([*waves, silence(1.0)])
        wave += DITHER * generator.standard_normal(len(wave), np.float32)
        audio.write(folder / f"{number:03d}.wav", np.clip(wave, -1, 1))
        print(f"  file {number}: {length_s:.0f} s", flush=True)

    for piece in pieces:
        places.append(piece.place.moved(number, length_s))
        waves.append(piece.wave)
        length_s += len(piece.wave) / SAMPLE_RATE
        if length_s >= FILE_S:
            close()
            number, length_s, waves = number + 1, 0.0, []
    if waves:
        close()
    with (folder / "places.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Place)], delimiter="\t")
        writer.writeheader()
        writer.writerows(map(asdict, places))


def word_clips(corpora: Corpora, corpus: str) -> dict[str, list[Clip]]:
    """Clips by word: the wake words of a half, or the short words of Speech Commands."""
    found: dict[str, list[Clip]] = {}
    for clip in corpora.clips(corpus):
        wake = corpus == "wake_words" and clip.split == corpora.half and not clip.label.startswith("not_")
        if wake or (corpus == "speech_commands_test" and clip.label in SHORT_WORDS):
            found.setdefault(clip.label, []).append(clip)
    return found


def word_pieces(corpora: Corpora, corpus: str, most: int) -> Iterator[Piece]:
    """Words after other speech of similar level, at most `most` clips of each word, drawn at random."""
    generator, context = np.random.default_rng(1), other_speech(corpora)
    for clip in drawn_clips(corpora, corpus, most):
        yield from after_speech(audio.read(corpora.data / corpus / clip.path), clip, context, generator)


def condition_pieces(corpora: Corpora, condition: Condition) -> Iterator[Piece]:
    """Wake words after other speech under a condition; clips and context are the same under all conditions."""
    generator, changes, context = np.random.default_rng(6), np.random.default_rng(7), other_speech(corpora)
    for clip in drawn_clips(corpora, "wake_words", CONDITION_CLIPS):
        wave = condition.of_clip(audio.read(corpora.data / "wake_words" / clip.path))
        for piece in after_speech(wave, clip, context, generator):
            spoken = Spoken(piece.place.word_start_s, piece.place.word_end_s, clear=False)
            yield replace(piece, wave=condition.of_piece(piece.wave, spoken, changes))


def drawn_clips(corpora: Corpora, corpus: str, most: int) -> Iterator[Clip]:
    """At most `most` random clips of each word, word by word."""
    generator = np.random.default_rng(8)
    for _, clips in sorted(word_clips(corpora, corpus).items()):
        for index in generator.permutation(len(clips))[: corpora.limit(most)]:
            yield clips[index]


def hard_negative_pieces(corpora: Corpora) -> Iterator[Piece]:
    """Rhymes and look-alikes of a wake word, after other speech; their labels begin with `not_`."""
    generator, context = np.random.default_rng(2), other_speech(corpora)
    for clip in corpora.clips("wake_words"):
        if clip.split == corpora.half and clip.label.startswith("not_"):
            wave = audio.read(corpora.data / "wake_words" / clip.path)
            yield from after_speech(wave, clip, context, generator)


def other_speech(corpora: Corpora) -> list[Wave]:
    """Utterances from which the speech before a word is drawn."""
    clips = corpora.clips("librispeech_one_each")
    return [
        audio.read(corpora.data / "librispeech_one_each" / clip.path) for clip in clips[: corpora.limit(len(clips))]
    ]


def after_speech(wave: Wave, clip: Clip, context: list[Wave], generator: np.random.Generator) -> Iterator[Piece]:
    """A clip after 1.2 to 2.2 s of speech that is 2 to 8 dB softer, and a gap of 0.1 to 0.4 s."""
    spoken = find_spoken(wave)
    if spoken is None:
        return
    before = drawn(
        context[int(generator.integers(len(context)))], round(generator.uniform(1.2, 2.2) * SAMPLE_RATE), generator
    )
    gain_db = active_level_db(cut(wave, spoken)) - active_level_db(before) - generator.uniform(2, 8)
    lead = np.concatenate([limited(scaled_db(before, gain_db)), silence(generator.uniform(0.1, 0.4))])
    lead_s, role = len(lead) / SAMPLE_RATE, "clear" if spoken.clear else "unclear"
    place = Place(
        file=0,
        start_s=lead_s,
        end_s=lead_s + len(wave) / SAMPLE_RATE,
        label=clip.label,
        role=role,
        source=clip.path,
        word_start_s=lead_s + spoken.start_s,
        word_end_s=lead_s + spoken.end_s,
    )
    yield Piece(np.concatenate([lead, wave, silence(generator.uniform(0.5, 0.8))]), place)


@dataclass(frozen=True)
class PhraseClip:
    """A row of the trial list of phrases."""

    number: int
    phrase: str
    role: str
    words: tuple[str, ...]

    @property
    def source(self) -> str:
        """Name of the joined clip."""
        return f"{self.number}: {' + '.join(self.words)}"


def phrase_clips(corpora: Corpora) -> list[PhraseClip]:
    """Rows of the half."""
    with (corpora.data / "trials" / "phrases" / "phrases.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [
        PhraseClip(number, row["phrase"], row["role"], tuple(row[key] for key in ("first", "second") if row[key]))
        for number, row in enumerate(rows)
        if row["half"] == corpora.half
    ]


def phrase_wave(corpora: Corpora, clip: PhraseClip) -> Wave:
    """The spoken parts of one or two clips, joined with 0 to 150 ms between, and 0.4 s of near-silence around."""
    generator = np.random.default_rng((3, clip.number))
    parts = [silence(0.4)]
    for word in clip.words:
        wave = audio.read(corpora.data / "speech_commands_test" / word)
        if len(parts) > 1:
            parts.append(silence(generator.uniform(0, 0.15)))
        parts.append(cut(wave, find_spoken(wave)))
    wave = np.concatenate([*parts, silence(0.4)])
    return wave + DITHER * generator.standard_normal(len(wave), np.float32)


def phrase_pieces(corpora: Corpora) -> Iterator[Piece]:
    """At most `PHRASE_CLIPS` clips of each phrase and role, apart from the takes."""
    counts: dict[tuple[str, str], int] = {}
    for clip in phrase_clips(corpora):
        key = clip.phrase, clip.role
        counts[key] = counts.get(key, 0) + 1
        if clip.role == "enroll" or counts[key] > corpora.limit(PHRASE_CLIPS):
            continue
        wave = np.concatenate([phrase_wave(corpora, clip), silence(0.6)])
        place = Place(0, 0.4, len(wave) / SAMPLE_RATE - 1.0, clip.phrase, clip.role, clip.source)
        yield Piece(wave, place)


def test_sentences(corpora: Corpora) -> list[Clip]:
    """Sentences of every second test speaker of speechocean762; the other speakers may set thresholds."""
    clips = [clip for clip in corpora.clips("speechocean762") if clip.split == "test"]
    speakers = set(sorted({clip.speaker for clip in clips})[1::2])
    kept = [clip for clip in clips if clip.speaker in speakers]
    return kept[: corpora.limit(len(kept))]


def speech_pieces(corpora: Corpora) -> Iterator[Piece]:
    """Sentences, then spoken prompts, with pauses of 0.3 s."""
    for clip in test_sentences(corpora):
        yield background(audio.read(corpora.data / "speechocean762" / clip.path), "speech", clip.path, clip.label)
    for folder in sorted(path for path in corpora.prompts.iterdir() if path.is_dir()) if corpora.prompts else ():
        decoded = list(prompts(folder))
        for name, wave in decoded[: corpora.limit(len(decoded))]:
            yield background(wave, "speech", f"{folder.name}/{name}", "?")


def background(wave: Wave, kind: str, source: str, text: str) -> Piece:
    """A piece of background, with a pause of 0.3 s."""
    wave = np.concatenate([wave, silence(0.3)])
    return Piece(wave, Place(0, 0.0, len(wave) / SAMPLE_RATE, kind, "", source, text.lower()))


def test_noises(corpora: Corpora) -> list[tuple[Clip, Wave]]:
    """Every second clip of ESC-10, sorted by path; the other clips may set thresholds."""
    return [(clip, audio.read(corpora.data / "noise_esc10" / clip.path)) for clip in corpora.clips("noise_esc10")[1::2]]


def mixture_pieces(corpora: Corpora) -> Iterator[Piece]:
    """Sentences over noise or music at 5 to 15 dB; half of the sentences each, taken in turn."""
    generator = np.random.default_rng(4)
    noises = [wave for _, wave in test_noises(corpora)]
    songs = [music(20.0, generator) for _ in range(corpora.limit(24))]
    for number, clip in enumerate(test_sentences(corpora)):
        kind, sounds = (("speech over noise", noises), ("speech over music", songs))[number % 2]
        wave = np.concatenate([audio.read(corpora.data / "speechocean762" / clip.path), silence(0.3)])
        sound = drawn(sounds[int(generator.integers(len(sounds)))], len(wave), generator)
        mixed = over(wave, sound, generator.uniform(5, 15))
        yield Piece(mixed, Place(0, 0.0, len(mixed) / SAMPLE_RATE, kind, "", clip.path, clip.label.lower()))


def noise_pieces(corpora: Corpora) -> Iterator[Piece]:
    """Household noise alone: one event is one clip, with a pause of 1 s."""
    for clip, wave in test_noises(corpora):
        piece = Piece(np.concatenate([wave, silence(1.0)]), Place(0, 0.0, len(wave) / SAMPLE_RATE, "noise"))
        yield replace(piece, place=replace(piece.place, role=clip.label, source=clip.path))


def all_conditions(corpora: Corpora) -> list[Condition]:
    """The conditions, with the noises of the test."""
    return conditions([wave for _, wave in test_noises(corpora)], corpora.data / "room_impulse_responses")


def stream_sets(corpora: Corpora, folder: Path, *, with_conditions: bool) -> dict[str, StreamSet]:
    """Make or read all sets of streams of a half."""
    half = corpora.half if corpora.share == 1 else f"{corpora.half}-{corpora.share:g}"
    both = "both" if corpora.share == 1 else f"both-{corpora.share:g}"
    made: dict[str, tuple[str, Callable[[], Iterable[Piece]]]] = {
        "wake words": (half, lambda: word_pieces(corpora, "wake_words", WAKE_WORD_CLIPS)),
        "hard negatives": (half, lambda: hard_negative_pieces(corpora)),
        "phrases": (half, lambda: phrase_pieces(corpora)),
        "short words": (both, lambda: word_pieces(corpora, "speech_commands_test", SHORT_WORD_CLIPS)),
        "speech": (f"{both}{'-prompts' * (corpora.prompts is not None)}", lambda: speech_pieces(corpora)),
        "mixtures": (both, lambda: mixture_pieces(corpora)),
        "noise": (both, lambda: noise_pieces(corpora)),
    }
    for condition in all_conditions(corpora) if with_conditions else ():
        made[f"wake words, {condition.name}"] = (half, partial(condition_pieces, corpora, condition))
    found = {name: kept_set(f"{name} {part}", folder, make) for name, (part, make) in made.items()}
    return {name: streams for name, streams in found.items() if streams.files}
