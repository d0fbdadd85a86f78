"""Takes of a typed word in many synthetic voices, with the synthesizers that are installed."""

import shutil
from collections.abc import Sequence

import numpy as np

from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.core.errors import InputError
from earmark.core.progress import Progress, follow, no_progress
from earmark.data.synth.synthesis import spoken_part
from earmark.data.synth.voices import PROGRAMS, Engine, SynthError, Voice, draw_voices, speak
from earmark.spotting.takes import Take

TAKES = 20
"""Number of voices; more gain nothing."""

# Slower, faster, lower and higher voices are less clear.
_RATE_WPM, _PITCH = (130, 200), (25, 75)
_AROUND_S, _NOISE = 0.3, 1e-4


def synthesize_takes(
    text: str,
    language: str = "en",
    *,
    count: int = TAKES,
    engines: Sequence[Engine] | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> list[Take]:
    """Let different voices speak a word or a phrase.

    Args:
        text: what to speak, as it is written.
        language: espeak-ng's code, such as ``"en"`` or ``"fr-fr"``.
        count: number of voices.
        engines: synthesizers to draw voices from; by default all that are installed.
        seed: of the draw.
        progress: called after each voice.

    Returns:
        Takes whose source names the voice, with 0.3 s of weak noise on each side of the word. Voices that fail are left
        out.

    Raises:
        InputError: the text is empty, or contains nothing to speak in this language.
        SynthError: no synthesizer of the language is installed, or most voices fail.
    """
    words = " ".join(text.split())
    if not any(letter.isalnum() for letter in words):
        raise InputError(f"{text!r} contains nothing to speak; give the word as it is written", key="say")
    rng = np.random.default_rng([seed, *language.encode()])
    voices = draw_voices(
        language, count, rng, engines=engines or _installed(language), rate_wpm=_RATE_WPM, pitch=_PITCH
    )
    takes, reasons = [], set()
    for voice in follow(voices, f"synthesizing {words!r}", progress):
        (spoken,) = speak(voice, [words])
        take = spoken if isinstance(spoken, str) else _take(spoken, voice, rng)
        if isinstance(take, Take):
            takes.append(take)
        else:
            reasons.add(take)
    if 2 * len(takes) < count:
        raise SynthError(
            f"{words!r}: {count - len(takes)} of {count} voices in language {language!r} failed "
            f"({', '.join(sorted(reasons))}); check the language: espeak-ng --voices"
        )
    return takes


def _installed(language: str) -> list[Engine]:
    """The installed synthesizers, of which espeak-ng alone has languages other than English."""
    found = [engine for engine in PROGRAMS if shutil.which(engine) is not None]
    if not found or (language != "en" and "espeak-ng" not in found):
        raise SynthError(f"speech synthesis needs espeak-ng; {PROGRAMS['espeak-ng']}")
    return found


def _take(spoken: Wave, voice: Voice, rng: np.random.Generator) -> Take | str:
    """The word with weak noise around it, or why there is none."""
    bounds = spoken_part(spoken)
    if bounds is None:
        return "silent"
    word = spoken[slice(*bounds)]
    margin = round(_AROUND_S * SAMPLE_RATE)
    wave = np.pad(word, margin) + _NOISE * rng.standard_normal(len(word) + 2 * margin)
    start_s = margin / SAMPLE_RATE
    return Take(wave.astype(np.float32), start_s, start_s + len(word) / SAMPLE_RATE, f"synthetic: {voice.id}")
