"""Takes at enrollment: where the word is found, with and without the help of the other takes, and what that changes.

    python benchmarks/takes.py [--data ../shared/data]

Clips of the half `choose` of wake_words and of ten words of Speech Commands in which the word is found without doubt
are damaged as recordings of users are: digital silence, a gate, clicks, hum, a breath, an "uh", a second voice, the
word said twice. The true times are known by construction. Five takes of mixed voices make a keyword; its misses at the
default threshold are counted in other clips as recorded. The script writes benchmarks/results/takes.md.
"""

import io
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray
from page import options_parser, write_page
from streams_audio import music
from streams_sets import Corpora, word_clips
from takes_damage import DAMAGES, Reference, Sounds, hiss, references, sounds

from earmark import Encoder, EnrollmentError, Keyword, audio, enroll, find_speech, load_encoder
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.spotting.agreement import Span, agree
from earmark.spotting.background import Background, load_background, with_threshold
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.enrollment import FALSE_ALARMS_PER_HOUR
from earmark.spotting.keyword import embed_words, word_length_s
from earmark.spotting.parts import WHOLE
from earmark.spotting.scoring import score_frames
from earmark.spotting.takes import Take

TAKES = 5
CORPORA = {"wake_words": 25, "speech_commands_test": 12}
"""Reference clips of each word, at most."""

DRAWS = {"wake_words": 4, "speech_commands_test": 3}
TESTED = 60  # clips of each word in which misses are counted
MIDDLE_S, LENGTH_S = 0.1, 0.2
"""A span is wrong if its middle or its length differs by more."""

KINDS = {
    "cut off": "is cut off",
    "copy": "is the same recording",
    "unlike the others": "sounds unlike the others",
    "no word": "sounds like music or noise",
}
"""Kinds of remarks, and words in them."""

REMARK_DRAWS = {"wake_words": 6, "speech_commands_test": 2}

MIXES = ((2, 1), (5, 1), (5, 2), (5, 5))
"""Number of takes, and how many of them are damaged."""


@dataclass(frozen=True, eq=False)
class Found:
    """A take with its frames, shape (t, width), and the span of `find_speech`; None if it finds none."""

    reference: Reference
    frames: NDArray[np.float32]
    span: Span | None

    def error_s(self, span: Span) -> tuple[float, float]:
        """Error of the middle and of the length; of two places of the word, the nearer one counts."""
        middle_s = sum(span) / 2
        start_s, end_s = min(self.reference.spans_s, key=lambda true: abs(sum(true) / 2 - middle_s))
        return abs(middle_s - (start_s + end_s) / 2), abs((span[1] - span[0]) - (end_s - start_s))


def main() -> None:
    """Measure, print and write the page."""
    parser = options_parser(__doc__, "takes.md")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    options = parser.parse_args()
    corpora, encoder = Corpora(options.data, None, "choose"), load_encoder()
    lines = [
        "# Takes that help each other, and remarks on takes",
        "",
        "Made by `python benchmarks/takes.py`, half `choose`.",
        "",
    ]
    others = sounds(corpora)
    for corpus in CORPORA:
        began = time.perf_counter()
        takes = found_takes(references(corpora, corpus), CORPORA[corpus], others, encoder)
        print(f"{corpus}: {len(takes)} takes, {time.perf_counter() - began:.0f} s", flush=True)
        lines += [*places(corpus, takes, encoder.hop_s), ""]
        lines += ["## Remarks: " + corpus, "", *remarks(takes, REMARK_DRAWS[corpus], encoder), ""]
        if corpus == "wake_words":
            lines += [*misses(corpora, takes, encoder), ""]
        print(f"{time.perf_counter() - began:.0f} s", flush=True)
    write_page(options.out, "\n".join(lines).rstrip())


def found_takes(
    clips: Sequence[Reference], most: int, others: Sounds, encoder: Encoder
) -> dict[tuple[str, str], list[Found]]:
    """The takes of each word under each damage, in the order of the clips."""
    found: dict[tuple[str, str], list[Found]] = {}
    for number, clip in enumerate(clips):
        for kind, (name, damage) in enumerate(DAMAGES.items()):
            own = found.setdefault((clip.label, name), [])
            if len(own) < most:
                take = damage(clip, others, np.random.default_rng((number, kind)))
                own.append(Found(take, encoder.frames(take.wave), find_speech(take.wave)))
    return {key: own for key, own in found.items() if len(own) >= TAKES}


def places(corpus: str, takes: dict[tuple[str, str], list[Found]], hop_s: float) -> Iterator[str]:
    """Section on the places of words in takes."""
    words = sorted({label for label, _ in takes})
    yield f"## Places of words: {corpus}, {len(words)} words"
    yield ""
    yield (
        f"Share of spans that are wrong: the middle by more than {MIDDLE_S:g} s or the length by more than "
        f"{LENGTH_S:g} s. Alone: by `find_speech`; agreed: with the other takes. Columns: number of takes, and how "
        "many of them are damaged in this way; the damaged takes count. The last columns: error of middle and length "
        "in seconds, median and 90th percentile, two of five takes damaged. *Others*: wrong spans among the three "
        "that are not damaged."
    )
    yield ""
    yield (
        "| damage | alone | "
        + " | ".join(f"{bad} of {count}" for count, bad in MIXES)
        + " | others | middle alone | middle agreed | length alone | length agreed |"
    )
    yield "|---" * (len(MIXES) + 7) + "|"
    for name in DAMAGES:
        cells, alone, agreed, rest = [], [], [], []
        for count, bad in MIXES:
            before, after, beside = errors(takes, words, name, count, bad, DRAWS[corpus], hop_s)
            cells.append(f"{wrong(after):.1f} %")
            if (count, bad) == (5, 2):
                alone, agreed, rest = before, after, beside
        yield (
            f"| {name} | {wrong(alone):.1f} % | "
            + " | ".join(cells)
            + f" | {wrong(rest):.1f} % | "
            + " | ".join(spread(errors_s, which) for which in (0, 1) for errors_s in (alone, agreed))
            + " |"
        )


Errors = list[tuple[float, float]]


def errors(
    takes: dict[tuple[str, str], list[Found]],
    words: Sequence[str],
    damage: str,
    count: int,
    bad: int,
    draws: int,
    hop_s: float,
) -> tuple[Errors, Errors, Errors]:
    """Errors of the damaged takes alone and agreed, and of the others agreed."""
    before, after, beside = [], [], []
    for word in words:
        for draw in range(draws):
            order = np.random.default_rng((1, draw)).permutation(len(takes[word, damage]))[:count]
            chosen = [takes[word, damage if place < bad else "as recorded"][index] for place, index in enumerate(order)]
            spans = [take.span for take in chosen if take.span is not None]
            if len(spans) < count:
                continue
            agreed = agreed_spans(chosen, spans, hop_s)
            moved = [take.error_s(span) for take, span in zip(chosen, agreed, strict=True)]
            before += [take.error_s(span) for take, span in zip(chosen[:bad], spans[:bad], strict=True)]
            after += moved[:bad]
            beside += moved[bad:]
    return before, after, beside


def agreed_spans(chosen: Sequence[Found], spans: Sequence[Span], hop_s: float) -> list[Span]:
    """The spans by the agreement of the takes."""
    return [each.span for each in agree([take.frames for take in chosen], spans, hop_s)]


def wrong(found: Errors) -> float:
    """Share of wrong spans in %."""
    return 100 * float(np.mean([middle > MIDDLE_S or length > LENGTH_S for middle, length in found]))


def spread(found: Errors, which: int) -> str:
    """Median and 90th percentile of one of both errors."""
    return " / ".join(f"{value:.2f}" for value in np.percentile([error[which] for error in found], (50, 90)))


def misses(corpora: Corpora, takes: dict[tuple[str, str], list[Found]], encoder: Encoder) -> Iterator[str]:
    """Section on misses of keywords at their default thresholds."""
    background = load_background(encoder)
    assert background is not None
    tests = dict(tested(corpora, encoder))
    clear = sorted({label for label, _ in takes})
    yield "## Missed words"
    yield ""
    yield (
        f"Misses at {FALSE_ALARMS_PER_HOUR:g} false alarms an hour, without the verifier, in "
        f"{sum(map(len, tests.values()))} clips as recorded of {len(tests)} words; each word is enrolled "
        f"{DRAWS['wake_words']} times with five takes. Damage is drawn at random for each take of "
        f"{len(clear)} of the words. *Any clips*: takes are drawn from all clips of all words, also unclear ones."
    )
    yield ""
    yield "| takes | alone | agreed | true places |"
    yield "|---|---|---|---|"
    rows: dict[str, Callable[[str, int], list[Found]]] = {
        "clear clips": lambda word, draw: drawn_takes(takes, word, draw, 0),
        "any clips": lambda word, draw: any_takes(tests[word], draw),
        "2 of 5 damaged": lambda word, draw: drawn_takes(takes, word, draw, 2),
        "5 of 5 damaged": lambda word, draw: drawn_takes(takes, word, draw, 5),
    }
    for name, draw_takes in rows.items():
        shares: list[list[float]] = [[], [], []]
        for word in sorted(tests) if name == "any clips" else clear:
            for draw in range(DRAWS["wake_words"]):
                chosen = draw_takes(word, draw)
                spans = [take.span for take in chosen if take.span is not None]
                true = [take.reference.spans_s[0] for take in chosen]
                for place, own in enumerate((spans, agreed_spans(chosen, spans, encoder.hop_s), true)):
                    keyword = enrolled(chosen, own, encoder, background)
                    sources = {take.reference.source for take in chosen}
                    shares[place].append(missed(keyword, encoder, tests[word], sources))
        print(name, [round(100 * float(np.mean(own)), 1) for own in shares], flush=True)
        cells = [f"{100 * float(np.mean(own)):.1f} %" for own in shares]
        yield f"| {name} | {cells[0]} | {cells[1]} | {cells[2] if name != 'any clips' else '–'} |"


def remarks(takes: dict[tuple[str, str], list[Found]], draws: int, encoder: Encoder) -> Iterator[str]:
    """Section on remarks: how many good takes get one, and how many bad ones."""
    background = load_background(encoder)
    assert background is not None
    part = Background(background.frames[: len(background.frames) // 4], background.hop_s, background.encoder)
    clear = {word: own for (word, name), own in takes.items() if name == "as recorded"}
    good: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    hits: dict[str, list[bool]] = {}
    for number, (word, own) in enumerate(sorted(clear.items())):
        others = [take for label, found in clear.items() if label != word for take in found]
        for draw in range(draws):
            generator = np.random.default_rng((6, number, draw))
            chosen = [own[index] for index in generator.permutation(len(own))[:TAKES]]
            for texts in remarked(chosen, encoder, part):
                for kind, words in KINDS.items():
                    good[kind].append(any(words in text for text in texts))
            stranger = others[int(generator.integers(len(others)))].reference
            for name, kind, wave in bad_takes(chosen[0].reference, chosen[1].reference, stranger, generator):
                reference = Reference(word, name, wave, ((0.0, 0.0),))
                bad = Found(reference, encoder.frames(wave), find_speech(wave))
                try:
                    texts = remarked([*chosen[1:], bad], encoder, part)[-1]
                except EnrollmentError:  # there is no speech in it
                    texts = [KINDS["no word"]]
                hits.setdefault(name, []).append(any(KINDS[kind] in text for text in texts))
    yield f"Five takes of one word, {len(good['copy'])} good takes in all:"
    yield ""
    yield "| remark | good takes that get it |"
    yield "|---|---|"
    for kind, found in good.items():
        yield f"| {kind} | {100 * np.mean(found):.1f} % |"
    yield ""
    yield "| one bad take of five | remarked or refused |"
    yield "|---|---|"
    for name, found in hits.items():
        yield f"| {name} | {100 * np.mean(found):.0f} % of {len(found)} |"


def remarked(takes: Sequence[Found], encoder: Encoder, background: Background) -> list[tuple[str, ...]]:
    """The remarks on each take."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        waves = [take.reference.wave for take in takes]
        keyword = enroll("word", waves, encoder=encoder, background=background, verify=False)
    return [take.remarks for take in keyword.takes]


def bad_takes(
    clip: Reference, enrolled_clip: Reference, stranger: Reference, generator: np.random.Generator
) -> Iterator[tuple[str, str, Wave]]:
    """Name, kind of the remark, and wave of bad takes; the second clip is among the other takes."""
    start_s, end_s = clip.spans_s[0]
    lost_s = generator.uniform(0.2, 0.4) * (end_s - start_s)
    wave, copied = clip.wave, enrolled_clip.wave
    yield "start cut off by 20 to 40 %", "cut off", wave[round((start_s + lost_s) * SAMPLE_RATE) :]
    yield "end cut off by 20 to 40 %", "cut off", wave[: round((end_s - lost_s) * SAMPLE_RATE)]
    yield "copy, shifted and softer", "copy", 0.5 * copied[777:]
    yield "copy as Opus", "copy", through_opus(copied)
    yield "copy at 8 kHz", "copy", soxr.resample(soxr.resample(copied, SAMPLE_RATE, 8_000), 8_000, SAMPLE_RATE)
    yield "another word", "unlike the others", stranger.wave
    size = round(generator.uniform(1, 2.5) * SAMPLE_RATE)
    yield "music", "no word", np.pad(music(size / SAMPLE_RATE, generator), 4_000)
    yield "steady noise", "no word", hiss(size, generator.uniform(-50, -10), generator)
    time_s = np.arange(size) / SAMPLE_RATE
    mains = np.sum([np.sin(2 * np.pi * 50 * order * time_s) / order for order in range(1, 9)], axis=0)
    yield "hum", "no word", (0.03 * mains + hiss(size, -60, generator)).astype(np.float32)


def through_opus(wave: Wave) -> Wave:
    """A wave after Opus."""
    file = io.BytesIO()
    sf.write(file, wave, SAMPLE_RATE, format="OGG", subtype="OPUS")
    file.seek(0)
    decoded, _ = sf.read(file, dtype="float32")
    return np.asarray(decoded, np.float32)


def drawn_takes(takes: dict[tuple[str, str], list[Found]], word: str, draw: int, bad: int) -> list[Found]:
    """Five takes in which speech is found, some of them damaged at random."""
    generator = np.random.default_rng((2, draw))
    order = generator.permutation(len(takes[word, "as recorded"]))[:TAKES]
    kinds = [name for name in DAMAGES if name != "as recorded"]
    chosen = []
    for place, index in enumerate(order):
        name = kinds[int(generator.integers(len(kinds)))] if place < bad else "as recorded"
        take = takes[word, name][index]
        chosen.append(take if take.span is not None else takes[word, "as recorded"][index])
    return chosen


def any_takes(tests: Sequence[Found], draw: int) -> list[Found]:
    """Five of the clips in which speech is found."""
    usable = [take for take in tests if take.span is not None and take.span[1] - take.span[0] >= 0.2]
    order = np.random.default_rng((3, draw)).permutation(len(usable))[:TAKES]
    return [usable[index] for index in order]


def tested(corpora: Corpora, encoder: Encoder) -> Iterator[tuple[str, list[Found]]]:
    """At most `TESTED` clips of each word as recorded."""
    for word, clips in word_clips(corpora, "wake_words").items():
        found = []
        for index in np.random.default_rng(4).permutation(len(clips))[:TESTED]:
            wave = audio.read(corpora.data / "wake_words" / clips[index].path)
            span = find_speech(wave)
            reference = Reference(word, clips[index].path, wave, (span or (0.0, 0.0),))
            found.append(Found(reference, encoder.frames(wave), span))
        yield word, found


def enrolled(chosen: Sequence[Found], spans: Sequence[Span], encoder: Encoder, background: Background) -> Keyword:
    """The keyword of these takes, as `enroll` makes it."""
    takes = tuple(Take(take.reference.wave, *span) for take, span in zip(chosen, spans, strict=True))
    parts = embed_words(takes, encoder)
    keyword = Keyword(
        name=chosen[0].reference.label,
        takes=takes,
        embeddings=parts[:, WHOLE],
        parts=parts,
        threshold=0.0,
        encoder=encoder.fingerprint,
        duration_s=word_length_s(takes),
    )
    return with_threshold(keyword, encoder, FALSE_ALARMS_PER_HOUR, background, verify=False)


def missed(keyword: Keyword, encoder: Encoder, tests: Sequence[Found], enrolled_sources: set[str]) -> float:
    """Share of the clips, apart from the takes, in which the score stays below the threshold."""
    settings = DetectorSettings()
    scores = [
        float(score_frames(keyword, encoder, take.frames, settings).max())
        for take in tests
        if take.reference.source not in enrolled_sources
    ]
    return float(np.mean(np.array(scores) < keyword.threshold))


if __name__ == "__main__":
    main()
