"""Takes with known times: recordings of a word, and the same recordings damaged as those of real users are."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from streams_audio import active_level_db, drawn, limited, scaled_db, silence
from streams_sets import Corpora, test_noises, word_clips

from earmark import audio, find_speech
from earmark.core.audio import SAMPLE_RATE, Wave

TYPICAL = 1.25
"""A reference differs from the median length of its word by at most this factor."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A recording of a word whose place is known.

    Attributes:
        label: the word.
        source: the clip.
        wave: shape (n,), 16 kHz.
        spans_s: start and end of the word in seconds; of a word that is said twice, both places.
    """

    label: str
    source: str
    wave: Wave
    spans_s: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Sounds:
    """What is mixed into takes: speech of other voices, and noises; waves of shape (n,)."""

    speech: tuple[Wave, ...]
    noises: tuple[Wave, ...]


Damage = Callable[[Reference, Sounds, np.random.Generator], Reference]


def references(corpora: Corpora, corpus: str) -> list[Reference]:
    """Clips in which the word is found without doubt: quiet around it, and of a typical length.

    The place is that of `find_speech` in the clip as it is; the damage moves it by a known time.
    """
    found = []
    for label, clips in sorted(word_clips(corpora, corpus).items()):
        own = []
        for clip in clips:
            wave = audio.read(corpora.data / corpus / clip.path)
            spoken = find_speech(wave)
            length_s = len(wave) / SAMPLE_RATE
            if spoken is not None and spoken[0] > 0.05 and spoken[1] < length_s - 0.05 and is_quiet(wave, spoken):
                own.append(Reference(label, clip.path, wave, (spoken,)))
        middle_s = float(np.median([length(each) for each in own])) if own else 0.0
        found += [each for each in own if middle_s / TYPICAL <= length(each) <= middle_s * TYPICAL]
    return found


def is_quiet(wave: Wave, spoken: tuple[float, float]) -> bool:
    """Whether the audio around a word is 20 dB below it."""
    start, stop = (round(time_s * SAMPLE_RATE) for time_s in spoken)
    around = np.concatenate([wave[:start], wave[stop:]])
    level_db = 10 * np.log10(np.mean(np.square(around, dtype=np.float64)) + 1e-12)
    return bool(level_db < active_level_db(wave[start:stop]) - 20)


def length(reference: Reference) -> float:
    """Length of the word in seconds."""
    start_s, end_s = reference.spans_s[0]
    return end_s - start_s


def sounds(corpora: Corpora) -> Sounds:
    """Utterances of LibriSpeech, and noises of ESC-10."""
    clips = corpora.clips("librispeech_one_each")[:: round(1 / corpora.share)]
    folder = corpora.data / "librispeech_one_each"
    return Sounds(
        tuple(audio.read(folder / clip.path) for clip in clips), tuple(wave for _, wave in test_noises(corpora))
    )


def cut(reference: Reference, before_s: float = 0.03, after_s: float = 0.03) -> Reference:
    """The word alone, with a little of the audio around it."""
    start_s, end_s = reference.spans_s[0]
    start = max(0, round((start_s - before_s) * SAMPLE_RATE))
    wave = reference.wave[start : round((end_s + after_s) * SAMPLE_RATE)]
    return replace(reference, wave=wave, spans_s=((start_s - start / SAMPLE_RATE, end_s - start / SAMPLE_RATE),))


def padded(reference: Reference, before: Wave, after: Wave) -> Reference:
    """The recording between two others."""
    by_s = len(before) / SAMPLE_RATE
    spans_s = tuple((start_s + by_s, end_s + by_s) for start_s, end_s in reference.spans_s)
    return replace(reference, wave=np.concatenate([before, reference.wave, after]), spans_s=spans_s)


def word_level_db(reference: Reference) -> float:
    """Active level of the word."""
    start_s, end_s = reference.spans_s[0]
    return active_level_db(reference.wave[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)])


def hiss(size: int, level_db: float, generator: np.random.Generator) -> Wave:
    """White noise of a level in dB of full scale."""
    return scaled_db(generator.standard_normal(size).astype(np.float32), level_db)


def clean(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """The recording as it is."""
    del others, generator
    return reference


def zeros(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """Digital silence on both sides."""
    del others
    return padded(reference, *(silence(generator.uniform(0.2, 1.0)) for _ in range(2)))


def gate(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """A gate of the microphone: noise 25 dB below the word, from 0.1 to 0.5 s before it to 0.2 to 0.6 s after it."""
    del others
    inside = padded(cut(reference), *(silence(generator.uniform(low, high)) for low, high in ((0.1, 0.5), (0.2, 0.6))))
    noise = hiss(len(inside.wave), word_level_db(reference) - 25, generator)
    outer = (silence(generator.uniform(0.2, 0.8)) for _ in range(2))
    return padded(replace(inside, wave=limited(inside.wave + noise)), *outer)


def step(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """Noise 40 dB below the word that rises by 20 dB at some place outside the word."""
    del others
    inside = padded(cut(reference), silence(generator.uniform(0.3, 0.8)), silence(generator.uniform(0.3, 0.8)))
    start_s, end_s = inside.spans_s[0]
    noise = hiss(len(inside.wave), word_level_db(reference) - 40, generator)
    if generator.random() < 0.5:
        noise[: round(generator.uniform(0.3, 0.9) * start_s * SAMPLE_RATE)] *= 10
    else:
        noise[round((end_s + generator.uniform(0.05, 0.25)) * SAMPLE_RATE) :] *= 10
    return replace(inside, wave=limited(inside.wave + noise))


def clicks(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """Two or three clicks of a key or a mouse beside the word, as loud as the word."""
    del others
    inside = padded(reference, silence(0.3), silence(0.3))
    wave, (start_s, end_s) = inside.wave.copy(), inside.spans_s[0]
    for at_s in (start_s - generator.uniform(0.05, 0.25), end_s + generator.uniform(0.05, 0.3), end_s + 0.35):
        size = int(generator.integers(80, 640))
        at = round(at_s * SAMPLE_RATE)
        click = hiss(size, word_level_db(reference) + generator.uniform(-6, 6), generator)
        click *= np.exp(-5 * np.arange(size) / size)
        wave[at : at + size] += click[: max(0, len(wave) - at)]
    return replace(inside, wave=limited(wave))


def hum(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """Hum of the mains, 15 dB below the word, switched on or off outside the word."""
    del others
    inside = padded(cut(reference), silence(generator.uniform(0.3, 0.8)), silence(generator.uniform(0.3, 0.8)))
    time_s = np.arange(len(inside.wave)) / SAMPLE_RATE
    mains_hz = float(generator.choice([50, 60]))
    wave = sum(np.sin(2 * np.pi * mains_hz * order * time_s) / order for order in range(1, 9))
    loud = scaled_db(np.asarray(wave, np.float32), word_level_db(reference) - 15)
    start_s, end_s = inside.spans_s[0]
    if generator.random() < 0.5:
        loud[time_s < start_s * generator.uniform(0.2, 0.9)] = 0
    else:
        loud[time_s > end_s + generator.uniform(0.05, 0.25)] = 0
    return replace(inside, wave=limited(inside.wave + loud + hiss(len(loud), -70, generator)))


def breath(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """A breath of 0.2 to 0.5 s before the word, 12 to 20 dB below it."""
    del others
    size = round(generator.uniform(0.2, 0.5) * SAMPLE_RATE)
    spectrum = np.fft.rfft(generator.standard_normal(size))
    at_hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    shaped = np.fft.irfft(spectrum * np.exp(-(((at_hz - 1800) / 1500) ** 2)), size) * np.hanning(size)
    wave = (shaped / np.sqrt(np.mean(shaped**2))).astype(np.float32)
    wave = scaled_db(wave, word_level_db(reference) - generator.uniform(12, 20))
    lead = np.concatenate([silence(0.4), wave, silence(generator.uniform(0.02, 0.15))])
    return hushed(padded(cut(reference), lead, silence(0.5)), generator)


def uh(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """A syllable of 0.15 to 0.35 s before the word, 0 to 6 dB below it."""
    syllable = other_voice(others, generator.uniform(0.15, 0.35), generator)
    syllable = scaled_db(syllable, word_level_db(reference) - active_level_db(syllable) - generator.uniform(0, 6))
    lead = np.concatenate([silence(0.4), faded(syllable), silence(generator.uniform(0.05, 0.25))])
    return hushed(padded(cut(reference), lead, silence(0.5)), generator)


def second_voice(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """Another voice for 0.5 to 1.2 s after the word or before it, 3 to 12 dB below it."""
    voice = other_voice(others, generator.uniform(0.5, 1.2), generator)
    voice = scaled_db(voice, word_level_db(reference) - active_level_db(voice) - generator.uniform(3, 12))
    sides = [silence(0.4), np.concatenate([silence(generator.uniform(0.1, 0.28)), faded(voice), silence(0.2)])]
    if generator.random() < 0.5:
        sides = [side[::-1] if number else side for number, side in enumerate(sides)][::-1]
    return hushed(padded(cut(reference), *sides), generator)


def louder_voice(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """Another voice for 0.6 to 1.2 s, 0.4 s from the word, 3 dB above it."""
    voice = other_voice(others, generator.uniform(0.6, 1.2), generator)
    voice = faded(scaled_db(voice, word_level_db(reference) - active_level_db(voice) + 3))
    after = np.concatenate([silence(0.4), voice, silence(0.3)])
    return hushed(padded(cut(reference), silence(0.4), after), generator)


def twice(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """The word said twice, with a pause of 0.15 to 0.5 s."""
    del others
    one = cut(reference)
    pause = silence(generator.uniform(0.15, 0.5))
    again = scaled_db(one.wave, generator.uniform(-3, 3))
    first = padded(one, silence(0.4), np.concatenate([pause, again, silence(0.4)]))
    by_s = (len(one.wave) + len(pause)) / SAMPLE_RATE
    start_s, end_s = first.spans_s[0]
    return hushed(replace(first, spans_s=((start_s, end_s), (start_s + by_s, end_s + by_s))), generator)


def household(reference: Reference, others: Sounds, generator: np.random.Generator) -> Reference:
    """Household noise 8 to 15 dB below the word."""
    inside = padded(cut(reference), silence(generator.uniform(0.3, 0.8)), silence(generator.uniform(0.3, 0.8)))
    noise = drawn(others.noises[int(generator.integers(len(others.noises)))], len(inside.wave), generator)
    level_db = 10 * np.log10(np.mean(np.square(noise, dtype=np.float64)) + 1e-12)
    loud = scaled_db(noise, word_level_db(reference) - generator.uniform(8, 15) - max(level_db, -60))
    return replace(inside, wave=limited(inside.wave + loud))


def other_voice(others: Sounds, length_s: float, generator: np.random.Generator) -> Wave:
    """A part of an utterance, not of its pauses."""
    size = round(length_s * SAMPLE_RATE)
    while True:
        utterance = others.speech[int(generator.integers(len(others.speech)))]
        part = drawn(utterance, size, generator)
        if active_level_db(part) > active_level_db(utterance) - 6:
            return part.astype(np.float32)


def faded(wave: Wave, fade_s: float = 0.02) -> Wave:
    """A wave with short ramps at its ends."""
    size = min(round(fade_s * SAMPLE_RATE), len(wave) // 2)
    ramp = np.ones(len(wave), np.float32)
    ramp[:size] = np.linspace(0, 1, size)
    return wave * np.minimum(ramp, ramp[::-1])


def hushed(reference: Reference, generator: np.random.Generator) -> Reference:
    """The recording with steady noise 45 dB below the word."""
    noise = hiss(len(reference.wave), word_level_db(reference) - 45, generator)
    return replace(reference, wave=limited(reference.wave + noise))


DAMAGES: dict[str, Damage] = {
    "as recorded": clean,
    "zeros": zeros,
    "gate": gate,
    "step in noise": step,
    "clicks": clicks,
    "hum": hum,
    "household noise": household,
    "breath": breath,
    "uh": uh,
    "second voice": second_voice,
    "louder voice": louder_voice,
    "said twice": twice,
}
