"""Make the lexicon that names the words which a new keyword may be confused with: common words, each spoken once.

    python recipes/models/make_lexicon.py [--data ../shared/data] [--out src/earmark/models/lexicon.opus]

Writes the recording, and beside it a table of `start_s<TAB>end_s<TAB>word`. English words are spoken by espeak-ng,
which must be installed, in two voices in turn; the single words of kokoro_words, in seven languages, by a neural voice.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from earmark.core.audio import SAMPLE_RATE, Wave, read
from earmark.core.files import atomic_path, write_text
from earmark.data.manifest import Clip, read_manifest
from earmark.spotting.speech import find_speech

VOICES = ("en-us", "en-gb+f3")
LEVEL = 0.05  # root mean square
MARGIN_S, PAUSE_S = 0.04, 0.25
NOISE = 1e-4
COMPRESSION = 0.985  # of libsndfile, about 12 kbit/s
# First letter of a neural voice's name, by the language of its words.
NATIVE = {"en-us": "ab", "es": "e", "fr-fr": "f", "it": "i", "pt-br": "p", "hi": "h"}


def main() -> None:
    """Write the recording and its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--out", type=Path, default=Path("src/earmark/models/lexicon.opus"))
    options = parser.parse_args()
    noise = np.random.default_rng(1)
    pieces, rows, start_s = [], [], 0.0
    for word, wave in (
        *neural(options.data / "kokoro_words"),
        *synthetic(Path(__file__).with_name("lexicon-words.txt")),
    ):
        spoken = trimmed(wave)
        if spoken is None:
            print(f"{word}: no speech found, left out")
            continue
        pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.float32)
        rows.append(f"{start_s + MARGIN_S:.2f}\t{start_s + len(spoken) / SAMPLE_RATE - MARGIN_S:.2f}\t{word}\n")
        pieces += [spoken, pause]
        start_s += (len(spoken) + len(pause)) / SAMPLE_RATE
    recording = np.concatenate(pieces)
    recording += NOISE * noise.standard_normal(len(recording)).astype(np.float32)
    with atomic_path(options.out) as draft:
        soundfile.write(draft, recording, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
    write_text(options.out.with_suffix(".tsv"), "".join(rows))
    print(f"{options.out}: {len(rows)} words, {start_s / 60:.1f} min, {options.out.stat().st_size / 1e6:.2f} MB")


def neural(corpus: Path) -> Iterator[tuple[str, Wave]]:
    """Yield the single words of kokoro_words, each by a voice of its own language where there is one."""
    manifest = read_manifest(corpus / "manifest.tsv")
    chosen: dict[str, Clip] = {}
    for clip in manifest:
        native = NATIVE.get(clip.path.split("/")[0], "")
        if " " not in clip.label and (clip.label not in chosen or clip.speaker[0] in native):
            chosen[clip.label] = clip
    for word, clip in chosen.items():
        yield word, read(manifest.locate(clip))


def synthetic(words: Path) -> Iterator[tuple[str, Wave]]:
    """Yield the words of a list, spoken by espeak-ng."""
    lines = [line for line in words.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        for number, word in enumerate(lines):
            subprocess.run(["espeak-ng", "-v", VOICES[number % len(VOICES)], "-w", path, word], check=True)
            yield word, read(path)


def trimmed(wave: Wave) -> Wave | None:
    """The spoken part of a wave at the usual level, with a margin; None without speech."""
    spoken = find_speech(wave)
    if spoken is None:
        return None
    first, last = (round(time_s * SAMPLE_RATE) for time_s in (max(0.0, spoken[0] - MARGIN_S), spoken[1] + MARGIN_S))
    part = wave[first:last]
    return np.clip(part * LEVEL / max(float(np.sqrt(np.mean(part**2))), 1e-6), -1, 1).astype(np.float32)


if __name__ == "__main__":
    main()
