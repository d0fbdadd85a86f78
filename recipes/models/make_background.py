"""Make the background that sets the thresholds of keywords: speech, household sounds, hum and music.

    python recipes/models/make_background.py [--data ../shared/data] [--out src/earmark/models/background.opus]

It is 107 minutes long. Speech is of speakers who trained no shipped encoder (speechocean762, every second test
speaker), and of LibriSpeech for other accents and longer sentences. The other test speakers of speechocean762, and
every second clip of ESC-10, are left for benchmarks.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from earmark.core.audio import SAMPLE_RATE, Wave, read
from earmark.core.files import atomic_path
from earmark.data.manifest import Manifest, read_manifest

SPEECH_S = {"speechocean762": 4300.0, "librispeech_one_each": 1000.0}
NOISE_S = {"noise_esc10": 480.0, "speech_commands_train": 100.0, "arabic_commands": 60.0}
MUSIC_S = 160.0
PAUSE_S = 0.25
COMPRESSION = 0.9836  # of libsndfile, 10 kbit/s: below 9 kbit/s Opus drops everything above 4 kHz


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--out", type=Path, default=Path("src/earmark/models/background.opus"))
    options = parser.parse_args()
    generator = np.random.default_rng(1)
    pieces = [
        wave for corpus, length_s in SPEECH_S.items() for wave in speech(options.data, corpus, length_s, generator)
    ]
    pieces += [
        wave for corpus, length_s in NOISE_S.items() for wave in noises(options.data, corpus, length_s, generator)
    ]
    pieces.append(music(MUSIC_S, generator))
    wave = np.concatenate(pieces)
    with atomic_path(options.out) as draft:
        soundfile.write(draft, wave, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
    print(f"{options.out}: {len(wave) / SAMPLE_RATE / 60:.1f} min, {options.out.stat().st_size / 1e6:.2f} MB")


def speech(data: Path, corpus: str, length_s: float, generator: np.random.Generator) -> Iterator[Wave]:
    """Yield sentences of many speakers, with a pause after each, until `length_s` is reached."""
    manifest = read_manifest(data / corpus / "manifest.tsv")
    if corpus == "speechocean762":
        manifest = manifest.only("test")
        chosen = set(sorted({clip.speaker for clip in manifest})[::2])
        manifest = Manifest(tuple(clip for clip in manifest if clip.speaker in chosen), manifest.folder)
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)
    for wave in _shuffled(manifest, length_s, generator):
        yield wave
        yield pause


def noises(data: Path, corpus: str, length_s: float, generator: np.random.Generator) -> Iterator[Wave]:
    """Yield noises of many kinds until `length_s` is reached; long recordings give 20 s."""
    manifest = read_manifest(data / corpus / "manifest.tsv").only("noise")
    if corpus == "noise_esc10":
        manifest = Manifest(manifest.clips[::2], manifest.folder)
    yield from _shuffled(manifest, length_s, generator, longest_s=20.0)


def music(length_s: float, generator: np.random.Generator) -> Wave:
    """Synthesize chords with a melody over a drum beat, in another key and tempo every ten seconds."""
    return np.concatenate([_phrase(10.0, generator) for _ in range(round(length_s / 10))])


def _shuffled(
    manifest: Manifest, length_s: float, generator: np.random.Generator, longest_s: float = 60.0
) -> Iterator[Wave]:
    left_s = length_s
    for number in generator.permutation(len(manifest)):
        if left_s <= 0:
            return
        wave = read(manifest.locate(manifest.clips[number]))[: round(longest_s * SAMPLE_RATE)]
        left_s -= len(wave) / SAMPLE_RATE
        yield wave


def _phrase(length_s: float, generator: np.random.Generator) -> Wave:
    wave = np.zeros(round(length_s * SAMPLE_RATE), np.float64)
    beat_s, root_hz = generator.uniform(0.35, 0.7), 110 * 2 ** (generator.integers(0, 12) / 12)
    scale = (0, 2, 4, 5, 7, 9, 11)
    for beat in range(int(length_s / beat_s)):
        start = round(beat * beat_s * SAMPLE_RATE)
        if beat % 4 == 0:
            first = generator.integers(0, 7)
            for step in (0, 2, 4):
                _add(wave, start, _tone(root_hz * 2 ** (scale[(first + step) % 7] / 12), 4 * beat_s, 0.05, generator))
        note_hz = 2 * root_hz * 2 ** (scale[generator.integers(0, 7)] / 12)
        _add(wave, start, _tone(note_hz, beat_s, 0.08, generator))
        _add(wave, start, _drum(generator, is_low=beat % 2 == 0))
    return np.clip(wave, -1, 1).astype(np.float32)


def _tone(hz: float, length_s: float, level: float, generator: np.random.Generator) -> Wave:
    time_s = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    partials = [generator.uniform(0.3, 1) / n * np.sin(2 * np.pi * n * hz * time_s) for n in range(1, 7)]
    return np.asarray(level * np.sum(partials, axis=0) * np.exp(-2 * time_s / length_s), np.float32)


def _drum(generator: np.random.Generator, *, is_low: bool) -> Wave:
    time_s = np.arange(round(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
    if is_low:
        return np.asarray(
            0.2 * np.sin(2 * np.pi * 90 * np.exp(-8 * time_s) * time_s) * np.exp(-20 * time_s), np.float32
        )
    return np.asarray(0.06 * generator.standard_normal(len(time_s)) * np.exp(-40 * time_s), np.float32)


def _add(wave: np.ndarray, start: int, part: Wave) -> None:
    stop = min(len(wave), start + len(part))
    wave[start:stop] += part[: stop - start]


if __name__ == "__main__":
    main()
