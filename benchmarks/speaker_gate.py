"""Accuracy of the speaker encoder on sentences and single words, and of the speaker gate of a keyword, end to end.

    python benchmarks/speaker_gate.py DATA [--speaker-encoder FILE]

DATA contains speechocean762, arabic_commands and dspspeech, each with a manifest.tsv. No tested voice was used in
training or calibration. The script writes benchmarks/results/speaker-gate.md.
"""

import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from page import options_parser, write_page

from earmark import Detector, audio, enroll, load_encoder, load_speaker_encoder
from earmark.core.audio import SAMPLE_RATE
from earmark.data.manifest import Clip, read_manifest
from earmark.evaluation.metrics import equal_error_rate, error_curve
from earmark.models.speaker_encoder import SpeakerEncoder
from earmark.spotting.speaker import spoken
from earmark.spotting.speech import find_speech
from earmark.spotting.takes import EnrollmentError

Floats = NDArray[np.floating]

RATES = (0.01, 0.05, 0.1)
MARGINS_S = (0.0, 0.1, 0.3)
ROUNDS = 3
PAUSE_S = 0.5
GATED_WORDS = 2  # of each voice, end to end


def main() -> None:
    """Measure, print and write the page."""
    parser = options_parser(__doc__, "speaker-gate.md")
    parser.add_argument("data", type=Path)
    parser.add_argument("--speaker-encoder", default=None)
    parser.add_argument("--every", type=int, default=1, help="use every n-th clip only, for a quick run")
    settings = parser.parse_args()
    encoder = load_speaker_encoder(settings.speaker_encoder)
    lines = [
        f"# Accuracy of {encoder.name} and of the speaker gate",
        "",
        f"Made by `python benchmarks/speaker_gate.py DATA --every {settings.every}`.",
        "None of these voices was used in training or calibration.",
        "",
        *sentences(settings.data / "speechocean762", encoder, settings.every),
        *words(settings.data, encoder, settings.every),
        *gate(settings.data / "dspspeech", encoder, settings.every),
    ]
    write_page(settings.out, "\n".join(lines))


def sentences(folder: Path, encoder: SpeakerEncoder, every: int) -> list[str]:
    """Section on sentences: all pairs of whole recordings."""
    clips = chosen(folder, {"test"})[::every]
    units = encoder.embed_batch([audio.read(folder / clip.path) for clip in clips])
    speakers = np.array([clip.speaker for clip in clips])
    first, second = np.triu_indices(len(clips), 1)
    scores = np.einsum("nd,nd->n", units[first], units[second])
    curve = error_curve(scores, speakers[first] == speakers[second])
    return [
        "## Sentences",
        "",
        f"speechocean762, split test: {len(clips):,} clips of {len(np.unique(speakers))} speakers, 3.5 s (median), all "
        f"{len(first):,} pairs: **EER {100 * equal_error_rate(curve):.1f} %**.",
        "",
    ]


def words(data: Path, encoder: SpeakerEncoder, every: int) -> list[str]:
    """Section on single words: a voice is enrolled with one to five words and tested with one word."""
    lines = [
        "## Single words",
        "",
        "A voice is enrolled with k clips of one word each and tested with one clip. *Other words*: the test clip has",
        "none of the enrolled words. *Same word*: all clips have the same word. False accepts (FA) and false rejects",
        "(FR) in % at the card's thresholds for 1, 5 and 10 % of false accepts.",
        "",
        "| corpus | test | k | EER % | FA/FR at “1 %” | at “5 %” | at “10 %” |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, splits in (("dspspeech", {"train"}), ("arabic_commands", {"test", "val"})):
        clips = chosen(data / name, splits)[::every]
        heard = [(clip, spoken) for clip in clips if (spoken := word(data / name / clip.path)) is not None]
        units = encoder.embed_batch([wave for _, wave in heard])
        speakers, labels = (np.array([getattr(clip, key) for clip, _ in heard]) for key in ("speaker", "label"))
        count = len(np.unique(speakers))
        for test, takes in (("other words", (1, 3, 5)), ("same word", (1, 3, 5))):
            for k in takes:
                trials = list(enrolled(units, speakers, labels, k, same_word=test == "same word"))
                if trials:
                    row = rates(trials, encoder)
                    lines.append(f"| {name}, {count} voices, {len(heard):,} clips | {test} | {k} | {row} |")
    return [*lines, ""]


def enrolled(
    units: Floats, speakers: NDArray[np.str_], labels: NDArray[np.str_], k: int, *, same_word: bool
) -> Iterable[tuple[Floats, Floats]]:
    """Yield scores of the same voice and of other voices, for each of several enrollments of each voice."""
    generator = np.random.default_rng(0)
    for name in np.unique(speakers).repeat(ROUNDS):
        own = speakers == name
        label = generator.choice(np.unique(labels[own]))
        takes = generator.permutation(np.flatnonzero(own & (labels == label) if same_word else own))[:k]
        prototype = units[takes].mean(axis=0)
        scores = units @ (prototype / np.linalg.norm(prototype))
        is_test = labels == label if same_word else ~np.isin(labels, labels[takes])
        is_test[takes] = False
        if (is_test & own).any():
            yield scores[is_test & own], scores[is_test & ~own]


def gate(folder: Path, encoder: SpeakerEncoder, every: int) -> list[str]:
    """Section on the gate: detect a keyword in a stream in which its speaker and all other voices say the word."""
    listening = load_encoder()
    clips = chosen(folder, {"train"})
    generator = np.random.default_rng(0)
    said: dict[tuple[str, str], list[tuple[bool, float]]] = {}
    right = fired_right = fired_wrong = wrong = 0
    for name in sorted({clip.speaker for clip in clips})[::every]:
        for label in generator.permutation(sorted({clip.label for clip in clips}))[:GATED_WORDS]:
            own = [clip for clip in clips if (clip.speaker, clip.label) == (name, label)]
            others = first_of_each([clip for clip in clips if clip.label == label and clip.speaker != name])
            takes, tests = own[:3], [*own[3:], *others]
            keyword = quiet_enroll(str(label), [audio.read(folder / clip.path) for clip in takes], listening)
            elsewhere = [clip for clip in clips if clip.speaker == name and clip.label != label]
            five = [elsewhere[i] for i in generator.permutation(len(elsewhere))[:5]]
            prototypes = {
                "its 3 takes": prototype_of(folder, takes, encoder),
                "5 other words": prototype_of(folder, five, encoder),
                "both": prototype_of(folder, [*takes, *five], encoder),
            }
            if keyword is None or any(prototype is None for prototype in prototypes.values()):
                continue
            stream, places = laid_out([audio.read(folder / clip.path) for clip in tests])
            detector = Detector([keyword], encoder=listening)
            heard = detector.push(stream) + detector.finish()
            right, wrong = right + len(own) - 3, wrong + len(others)
            for number, (begin_s, end_s) in enumerate(places):
                hit = next((hit for hit in heard if begin_s <= (hit.start_s + hit.end_s) / 2 < end_s), None)
                if hit is None:
                    continue
                is_own = number < len(own) - 3
                fired_right, fired_wrong = fired_right + is_own, fired_wrong + (not is_own)
                for around, wave in stretches(stream, hit.start_s, hit.end_s).items():
                    unit = encoder.embed(wave)
                    for kind, prototype in prototypes.items():
                        said.setdefault((around, kind), []).append((is_own, float(unit @ prototype)))
    lines = [
        "## The gate, end to end",
        "",
        "dspspeech: each voice enrolls two words with three takes each (base, one false alarm per hour). The stream",
        "contains the voice's three other takes and one take of each other voice. Without a gate,",
        f"{fired_right} of the voice's {right} words and {fired_wrong} of the other voices' {wrong} are detected.",
        "Of these, the gate accepts (in %, at the card's thresholds for 1, 5, 10 % of false accepts):",
        "",
        "| audio for the gate | voice enrolled with | EER % | others / right voice at “1 %” | at “5 %” | at “10 %” |",
        "|---|---|---|---|---|---|",
    ]
    for (around, kind), scored in said.items():
        positive, scores = np.array([p for p, _ in scored]), np.array([s for _, s in scored])
        curve = error_curve(scores, positive)
        cells = []
        for rate in RATES:
            passed = scores >= encoder.calibration.threshold(rate)
            cells.append(f"{100 * passed[~positive].mean():.1f} / {100 * passed[positive].mean():.1f}")
        eer = f"{100 * equal_error_rate(curve):.1f}"
        lines.append(f"| {around} | {kind} | {eer} | {' | '.join(cells)} |")
    return lines


def stretches(stream: Floats, start_s: float, end_s: float) -> dict[str, Floats]:
    """Choices of the audio around a detection that the speaker is verified on, by description."""
    found = {}
    for margin_s in MARGINS_S:
        wave = stream[max(0, round((start_s - margin_s) * SAMPLE_RATE)) : round((end_s + margin_s) * SAMPLE_RATE)]
        found[f"all within ± {margin_s:.1f} s"] = wave
        speech = spoken(wave)
        found[f"speech within ± {margin_s:.1f} s"] = speech if len(speech) else wave
    return found


def rates(trials: Iterable[tuple[Floats, Floats]], encoder: SpeakerEncoder) -> str:
    """Cells of a row: EER, and false accepts and rejects at the card's thresholds, over all trials."""
    same, other = (np.concatenate(part) for part in zip(*trials, strict=True))
    curve = error_curve(np.concatenate([same, other]), np.arange(len(same) + len(other)) < len(same))
    cells = [f"{100 * equal_error_rate(curve):.1f}"]
    for rate in RATES:
        threshold = encoder.calibration.threshold(rate)
        cells.append(f"{100 * (other >= threshold).mean():.1f} / {100 * (same < threshold).mean():.1f}")
    return " | ".join(cells)


def chosen(folder: Path, splits: set[str]) -> list[Clip]:
    """The clips of some splits."""
    return [clip for clip in read_manifest(folder / "manifest.tsv") if clip.split in splits]


def word(path: Path) -> Floats | None:
    """The spoken part of a clip, with 0.1 s on either side; None without speech."""
    wave = audio.read(path)
    found = find_speech(wave)
    if found is None:
        return None
    return wave[max(0, round((found[0] - 0.1) * SAMPLE_RATE)) : round((found[1] + 0.1) * SAMPLE_RATE)]


def prototype_of(folder: Path, clips: Iterable[Clip], encoder: SpeakerEncoder) -> Floats | None:
    """Unit mean of the embeddings of some clips of a voice; None without speech."""
    waves = [wave for clip in clips if (wave := word(folder / clip.path)) is not None]
    if not waves:
        return None
    mean = encoder.embed_batch(waves).mean(axis=0)
    return mean / np.linalg.norm(mean)


def quiet_enroll(name: str, waves: list[Floats], encoder: object) -> object | None:
    """Enroll a keyword without warnings; None if `enroll` refuses a take."""
    make: Callable[..., object] = enroll
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make(name, waves, encoder=encoder, false_alarms_per_hour=1.0)
        except EnrollmentError:
            return None


def first_of_each(clips: Iterable[Clip]) -> list[Clip]:
    """One clip of each speaker."""
    return list({clip.speaker: clip for clip in reversed(list(clips))}.values())


def laid_out(waves: Iterable[Floats]) -> tuple[Floats, list[tuple[float, float]]]:
    """Concatenate waves with silence between them; return the stream, and start and end of each wave in seconds."""
    pieces, places, now = [], [], 0
    for wave in waves:
        places.append((now / SAMPLE_RATE, (now + len(wave)) / SAMPLE_RATE))
        pieces += [wave, np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)]
        now += len(pieces[-2]) + len(pieces[-1])
    return np.concatenate(pieces), places


if __name__ == "__main__":
    main()
