"""Accuracy of the speaker encoder on words and sentences of several lengths, clean and in noise, and of the gate.

    python benchmarks/speaker_gate.py DATA [--half choose] [--speaker-encoder FILE]

DATA contains speechocean762, dspspeech, arabic_commands and noise_esc10, each with a manifest.tsv. No tested voice was
used in training. The half choose was used to choose and contains the voices of the calibration; the half report, the
default, has other voices and other household noise. The script writes benchmarks/results/speaker-gate.md.
"""

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from page import options_parser, write_page

from earmark import Detector, Keyword, Speaker, audio, enroll, enroll_speaker, load_encoder, load_speaker_encoder
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.data.manifest import Clip, read_manifest
from earmark.evaluation.metrics import equal_error_rate, error_curve
from earmark.models.speaker_encoder import SpeakerEncoder
from earmark.spotting.peaks import Peak
from earmark.spotting.recent_audio import RecentAudio
from earmark.spotting.speaker import spoken
from earmark.spotting.speaker_gate import SpeakerGate
from earmark.spotting.speech import signal_to_noise_db, spoken_parts
from earmark.spotting.takes import EnrollmentError

Floats = NDArray[np.floating]

HALVES = {"choose": 0, "report": 1}
RATES = (0.01, 0.05, 0.1)
DEFAULT_RATE = 0.05
NOISES = (("clean", None), *itertools.product(("white noise", "household noise"), (20.0, 10.0, 5.0, 0.0)))
GATE_NOISES = (("clean", None), ("white noise", 20.0), ("white noise", 10.0), ("household noise", 10.0))
TESTS_S = {0.5: 2, 1.0: 2, 2.0: 2, 4.0: 1, 8.0: 1}  # length of the tested speech: tests of each voice
SECTION_S = 0.7  # of a sentence, as long as a word
ROUNDS = 3
PADDING_S = 0.3
ROOM_DB = 45.0  # level of the speech above the noise around it, where no noise is added
GATED_WORDS = 2  # of each voice, end to end


@dataclass(frozen=True)
class Heard:
    """What the gate knows of some audio: embedding, shape (d,), length of speech, signal-to-noise ratio."""

    unit: Floats
    length_s: float
    snr_db: float


@dataclass(frozen=True)
class Enrolled:
    """A voice: its prototype, shape (d,), and the length of its speech."""

    speaker: str
    prototype: Floats
    speech_s: float


def main() -> None:
    """Measure, print and write the page."""
    parser = options_parser(__doc__, "speaker-gate.md")
    parser.add_argument("data", type=Path)
    parser.add_argument("--half", choices=tuple(HALVES), default="report")
    parser.add_argument("--speaker-encoder", default=None)
    parser.add_argument("--every", type=int, default=1, help="use every n-th voice only, for a quick run")
    settings = parser.parse_args()
    encoder = load_speaker_encoder(settings.speaker_encoder)
    noise = Noise(settings.data / "noise_esc10", settings.half)
    lines = [
        f"# Accuracy of {encoder.name} and of the speaker gate",
        "",
        f"Half `{settings.half}`; made by `python benchmarks/speaker_gate.py DATA`, which says what is measured.",
        "In percent. FA: share of other voices of the corpus that are accepted; FR: share of the right voice that is",
        "refused; both at the threshold for 5 % (`--false-accepts 0.05`, the default) unless another one is named.",
        "",
        *sentences(voices_of(settings.data / "speechocean762", {"test"}, settings), encoder, noise),
        *words(settings, encoder, noise),
        *gate(voices_of(settings.data / "dspspeech", {"train"}, settings), encoder, noise),
    ]
    write_page(settings.out, "\n".join(lines))


class Noise:
    """White and household noise for a wave; every second clip of ESC-10 belongs to a half."""

    def __init__(self, folder: Path, half: str) -> None:
        clips = sorted(read_manifest(folder / "manifest.tsv"), key=lambda clip: clip.path)[HALVES[half] :: 2]
        self._household = [audio.read(folder / clip.path) for clip in clips]
        self._generator = np.random.default_rng(0)

    def add(self, wave: Wave, kind: str, snr_db: float | None, level: float) -> Wave:
        """A wave with noise at `snr_db` below `level`, the root mean square of its speech; None adds none."""
        if snr_db is None:
            return wave
        noise = self._generator.standard_normal(len(wave), np.float32)
        if kind == "household noise":
            loud = 0.0
            while loud < 1e-4:
                found = self._household[self._generator.integers(len(self._household))]
                found = np.resize(found, max(len(found), len(wave)))
                start = self._generator.integers(len(found) - len(wave) + 1)
                noise, loud = found[start : start + len(wave)], rms(found[start : start + len(wave)])
        return (wave + noise * (level * 10 ** (-snr_db / 20) / rms(noise))).astype(np.float32)


def sentences(voices: dict[str, list[Wave]], encoder: SpeakerEncoder, noise: Noise) -> list[str]:
    """Section on sentences: tests of several lengths, in noise, of voices enrolled with words or sentences."""
    generator = np.random.default_rng(0)
    enrolled: dict[str, list[Enrolled]] = {}
    tests: list[tuple[str, float, str, float | None, Heard]] = []
    for name, waves in voices.items():
        takes = [spoken(wave) for wave in waves]
        takes = [take for take in takes if len(take) >= SAMPLE_RATE]
        first, rest = takes[: len(takes) // 2], takes[len(takes) // 2 :]
        sections = [section(take, SECTION_S, generator) for take in first[:3]]
        for how, chosen in (("three words", sections), ("a sentence", first[:1]), ("three sentences", first[:3])):
            enrolled.setdefault(how, []).append(voice(name, chosen, encoder))
        speech = np.concatenate(rest)
        for length_s, count in TESTS_S.items():
            for _ in range(count):
                padded, level = in_a_room(section(speech, length_s, generator), generator)
                for kind, snr_db in NOISES:
                    tests.append((name, length_s, kind, snr_db, hear(noise.add(padded, kind, snr_db, level), encoder)))
    lengths = ", ".join(f"{how} ({np.mean([one.speech_s for one in those]):.1f} s)" for how, those in enrolled.items())
    lines = [
        "## Sections of sentences",
        "",
        f"speechocean762, {len(voices)} test speakers, enrolled with {lengths} and tested with other clips:",
        "sections of 0.5 to 8 s, with noise at a signal-to-noise ratio in dB. FA / FR.",
        "",
        f"| enrolled with | tested | {' | '.join(condition(*noise_kind) for noise_kind in NOISES)} |",
        f"|---|---|{'---|' * len(NOISES)}",
    ]
    for how, those in enrolled.items():
        for length_s in TESTS_S:
            cells = []
            for kind, snr_db in NOISES:
                own, other = trials(
                    [(name, heard) for name, *key, heard in tests if key == [length_s, kind, snr_db]], those, encoder
                )
                cells.append(fa_fr(own, other, encoder, DEFAULT_RATE))
            lines.append(f"| {how} | {length_s:g} s | {' | '.join(cells)} |")
    whole = [(name, hear(wave, encoder)) for name, waves in voices.items() for wave in waves[-4:]]
    own, other = trials(whole, enrolled["three sentences"], encoder)
    rows = " | ".join(fa_fr(own, other, encoder, rate) for rate in RATES)
    median_s = np.median([heard.length_s for _, heard in whole])
    return [
        *lines,
        "",
        f"Whole sentences as recorded (median {median_s:.1f} s), of voices that are enrolled with three other ones:",
        "",
        "| EER | FA / FR at “1 %” | at “5 %” | at “10 %” |",
        "|---|---|---|---|",
        f"| {eer(own, other)} | {rows} |",
        "",
    ]


def words(settings: object, encoder: SpeakerEncoder, noise: Noise) -> list[str]:
    """Section on single words: a voice is enrolled with one to five words and tested with one word."""
    lines = [
        "## Single words",
        "",
        "A voice is enrolled with k clips of one word each and tested with one clip. *Other words*: the test clip has",
        "none of the enrolled words. *Same word*: all clips have the same word. FA / FR.",
        "",
        "| corpus | test | k | EER | at “1 %” | at “5 %” | at “10 %” | at “5 %”, white noise 10 dB | household 10 dB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for corpus, splits in (("dspspeech", {"train"}), ("arabic_commands", {"test", "val"})):
        clips = clips_of(settings.data / corpus, splits, settings)[:: 1 if corpus == "dspspeech" else 3]
        waves = [audio.read(settings.data / corpus / clip.path) for clip in clips]
        conditions = (("clean", None), ("white noise", 10.0), ("household noise", 10.0))
        heard = {
            kind: [hear(noise.add(wave, kind, snr_db, level_of(wave)), encoder) for wave in waves]
            for kind, snr_db in conditions
        }
        count = len({clip.speaker for clip in clips})
        for test, takes in (("other words", (1, 3, 5)), ("same word", (1, 3, 5))):
            for k in takes:
                rounds = list(word_rounds(clips, k, same_word=test == "same word"))
                if not rounds:
                    continue
                found = {kind: word_trials(rounds, heard["clean"], heard[kind], encoder) for kind in heard}
                own, other = found["clean"]
                cells = [
                    eer(own, other),
                    *(fa_fr(own, other, encoder, rate) for rate in RATES),
                    *(fa_fr(*found[kind], encoder, DEFAULT_RATE) for kind in ("white noise", "household noise")),
                ]
                start = f"| {corpus}, {count} voices, {len(clips):,} clips | {test} | {k} |"
                lines.append(f"{start} {' | '.join(cells)} |")
    return [*lines, ""]


def word_rounds(clips: Sequence[Clip], k: int, *, same_word: bool) -> Iterator[tuple[Floats, Floats, Floats]]:
    """Yield the indices of the takes, of tests of the same voice and of tests of other voices."""
    generator = np.random.default_rng(0)
    speakers, labels = (np.array([getattr(clip, key) for clip in clips]) for key in ("speaker", "label"))
    for name in np.unique(speakers).repeat(ROUNDS):
        own = speakers == name
        label = generator.choice(np.unique(labels[own]))
        takes = generator.permutation(np.flatnonzero(own & (labels == label) if same_word else own))[:k]
        is_test = labels == label if same_word else ~np.isin(labels, labels[takes])
        is_test[takes] = False
        if (is_test & own).any():
            yield takes, np.flatnonzero(is_test & own), np.flatnonzero(is_test & ~own)


def word_trials(
    rounds: Iterable[tuple[Floats, Floats, Floats]],
    takes: Sequence[Heard],
    tests: Sequence[Heard],
    encoder: SpeakerEncoder,
) -> tuple[Floats, Floats]:
    """Scores of the same voice and of other voices."""
    own, other = [], []
    for chosen, same, different in rounds:
        prototype = np.mean([takes[i].unit for i in chosen], axis=0)
        one = Enrolled("", prototype / np.linalg.norm(prototype), sum(takes[i].length_s for i in chosen))
        own.append(scored([tests[i] for i in same], one, encoder))
        other.append(scored([tests[i] for i in different], one, encoder))
    return np.concatenate(own), np.concatenate(other)


def gate(voices: dict[str, list[tuple[str, Wave]]], encoder: SpeakerEncoder, noise: Noise) -> list[str]:
    """Section on the gate: detect a keyword in a stream in which its speaker and all other voices say the word."""
    listening, generator = load_encoder(), np.random.default_rng(0)
    passed: dict[tuple[str, str], list[tuple[bool, bool]]] = {}
    labels = sorted({label for clips in voices.values() for label, _ in clips})
    for name, clips in voices.items():
        for label in generator.permutation(labels)[:GATED_WORDS]:
            own = [wave for said, wave in clips if said == label]
            others = [
                next(wave for said, wave in those if said == label) for other, those in voices.items() if other != name
            ]
            elsewhere = [wave for said, wave in clips if said != label]
            five = [elsewhere[i] for i in generator.permutation(len(elsewhere))[:5]]
            keyword = quietly(enroll, str(label), own[:3], encoder=listening, false_alarms_per_hour=1.0)
            speakers = [
                quietly(enroll_speaker, how, takes, encoder=encoder)
                for how, takes in (("its 3 takes", own[:3]), ("5 other words", five), ("both", [*own[:3], *five]))
            ]
            if keyword is None or None in speakers:
                continue
            for kind, snr_db in GATE_NOISES:
                noisy = [noise.add(wave, kind, snr_db, level_of(wave)) for wave in (*own[3:], *others)]
                for number, how, is_accepted in gated(keyword, speakers, noisy, listening, encoder):
                    key = how, condition(kind, snr_db)
                    passed.setdefault(key, []).append((number < len(own) - 3, is_accepted))
    lines = [
        "## The gate, end to end",
        "",
        f"dspspeech: each of {len(voices)} voices enrolls two words with three takes each (base, one false alarm an",
        "hour). The stream contains the voice's three other takes and one take of each other voice. Of the detected",
        "words, the gate accepts (FA) or refuses (FR):",
        "",
        "| noise | voice enrolled with | others' words | FA | own words | FR |",
        "|---|---|---|---|---|---|",
    ]
    for (how, noisy_as), results in passed.items():
        is_own, is_accepted = np.array(results).T
        counts = (
            f"{(~is_own).sum()} | {percent(is_accepted[~is_own])} | {is_own.sum()} | {percent(~is_accepted[is_own])}"
        )
        lines.append(f"| {noisy_as} | {how} | {counts} |")
    return lines


def gated(
    keyword: Keyword, speakers: Sequence[Speaker], waves: Sequence[Wave], listening: object, encoder: SpeakerEncoder
) -> Iterator[tuple[int, str, bool]]:
    """Yield the number of each detected wave, the name of a speaker, and whether the gate accepts the voice."""
    stream, places = laid_out(waves)
    detector = Detector([keyword], encoder=listening)
    hits = detector.push(stream) + detector.finish()
    recent = RecentAudio(listening.lag_s)
    recent.push(stream)
    keeper = SpeakerGate([one.name for one in speakers], speakers, encoder, recent)
    for number, (begin_s, end_s) in enumerate(places):
        hit = next((hit for hit in hits if begin_s <= (hit.start_s + hit.end_s) / 2 < end_s), None)
        if hit is None:
            continue
        for place, one in enumerate(speakers):
            start, stop = round(hit.start_s * SAMPLE_RATE), round(hit.end_s * SAMPLE_RATE)
            yield number, one.name, keeper.admit(Peak(place, start, stop, hit.score)) is not None


def hear(wave: Wave, encoder: SpeakerEncoder) -> Heard:
    """Hear a wave as the gate does."""
    speech = spoken(wave)
    speech = speech if len(speech) else wave
    snr_db = signal_to_noise_db(wave)
    return Heard(encoder.embed(speech), len(speech) / SAMPLE_RATE, np.inf if snr_db is None else snr_db)


def voice(name: str, takes: Sequence[Wave], encoder: SpeakerEncoder) -> Enrolled:
    """Enroll a voice with speech that was found before."""
    prototype = encoder.embed_batch(takes).mean(axis=0)
    return Enrolled(name, prototype / np.linalg.norm(prototype), sum(map(len, takes)) / SAMPLE_RATE)


def scored(tests: Sequence[Heard], one: Enrolled, encoder: SpeakerEncoder) -> Floats:
    """Scores of tests against a voice, shape (n,)."""
    cosines = np.stack([test.unit for test in tests]) @ one.prototype
    impostors = encoder.calibration.impostors
    if impostors is None:
        return cosines
    lengths_s, snrs_db = [test.length_s for test in tests], [test.snr_db for test in tests]
    return impostors.normalized(cosines, lengths_s, one.speech_s, snrs_db)


def trials(
    tests: Sequence[tuple[str, Heard]], enrolled: Sequence[Enrolled], encoder: SpeakerEncoder
) -> tuple[Floats, Floats]:
    """Scores of the same voice and of other voices."""
    speakers = np.array([name for name, _ in tests])
    own, other = [], []
    for one in enrolled:
        scores = scored([heard for _, heard in tests], one, encoder)
        own.append(scores[speakers == one.speaker])
        other.append(scores[speakers != one.speaker])
    return np.concatenate(own), np.concatenate(other)


def fa_fr(own: Floats, other: Floats, encoder: SpeakerEncoder, rate: float) -> str:
    """Cell of a table: false accepts and false rejects at the threshold of a rate."""
    threshold = encoder.calibration.threshold(rate)
    return f"{percent(other >= threshold)} / {percent(own < threshold)}"


def eer(own: Floats, other: Floats) -> str:
    """Cell of a table: the equal error rate."""
    curve = error_curve(np.concatenate([own, other]), np.arange(len(own) + len(other)) < len(own))
    return f"{100 * equal_error_rate(curve):.1f}"


def percent(hits: Floats) -> str:
    """Share in percent."""
    return f"{100 * np.mean(hits):.1f}"


def condition(kind: str, snr_db: float | None) -> str:
    """Name of a condition."""
    return kind if snr_db is None else f"{kind.split()[0]} {snr_db:g}"


def section(speech: Wave, length_s: float, generator: np.random.Generator) -> Wave:
    """A random section of speech, of at most `length_s`."""
    length = min(len(speech), round(length_s * SAMPLE_RATE))
    start = generator.integers(len(speech) - length + 1)
    return speech[start : start + length]


def in_a_room(speech: Wave, generator: np.random.Generator) -> tuple[Wave, float]:
    """Speech with faint noise around it, as the gate gets it, and the root mean square of the speech."""
    level = rms(speech)
    padded = np.pad(speech, round(PADDING_S * SAMPLE_RATE))
    faint = level * 10 ** (-ROOM_DB / 20) * generator.standard_normal(len(padded))
    return (padded + faint).astype(np.float32), level


def level_of(wave: Wave) -> float:
    """Root mean square of the speech in a wave."""
    parts = [
        wave[round(part.start_s * SAMPLE_RATE) : round(part.end_s * SAMPLE_RATE)] for part in spoken_parts(wave)
    ] or [wave]
    return rms(np.concatenate(parts))


def rms(wave: Floats) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) + 1e-9


def clips_of(folder: Path, splits: set[str], settings: object) -> list[Clip]:
    """The clips of the voices of a half."""
    clips = [clip for clip in read_manifest(folder / "manifest.tsv") if clip.split in splits]
    chosen = set(sorted({clip.speaker for clip in clips})[HALVES[settings.half] :: 2][:: settings.every])
    return [clip for clip in clips if clip.speaker in chosen]


def voices_of(folder: Path, splits: set[str], settings: object) -> dict[str, list]:
    """The clips of each voice of a half: waves of sentences, or label and wave of words."""
    found: dict[str, list] = {}
    for clip in clips_of(folder, splits, settings):
        wave = audio.read(folder / clip.path)
        found.setdefault(clip.speaker, []).append(wave if folder.name == "speechocean762" else (clip.label, wave))
    return found


def quietly(make: Callable[..., object], *given: object, **named: object) -> object | None:
    """Enroll without warnings; None if a take is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make(*given, **named)
        except EnrollmentError:
            return None


def laid_out(waves: Iterable[Floats], pause_s: float = 0.5) -> tuple[Floats, list[tuple[float, float]]]:
    """Concatenate waves with pauses between them; return the stream, and start and end of each wave in seconds."""
    pieces, places, now = [], [], 0
    for wave in waves:
        places.append((now / SAMPLE_RATE, (now + len(wave)) / SAMPLE_RATE))
        pieces += [wave, np.zeros(round(pause_s * SAMPLE_RATE), np.float32)]
        now += len(pieces[-2]) + len(pieces[-1])
    return np.concatenate(pieces), places


if __name__ == "__main__":
    main()
