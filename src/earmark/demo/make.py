"""Make the demo audio: five takes of “hey jupiter”, a stream in which other voices speak it, and the true times.

Needs espeak-ng and flite. The sentences, voices and noise were chosen before any encoder scored them.

    python src/earmark/demo/make.py [FOLDER]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE = 16_000
WORD = "hey jupiter"
TAKES = ["flite:rms", "flite:awb", "espeak:en-us:165", "espeak:en-gb+f2:150", "espeak:en-us+m7:180"]
# Voice, words, and the pause after them in seconds. No voice of the stream is in the takes.
STREAM = [
    ("flite:slt", "good morning, the kettle is on", 0.7),
    ("espeak:en-gb-scotland+f4:155", WORD, 0.12),
    ("espeak:en-gb-scotland+f4:155", "what time is it", 0.8),
    ("espeak:en-us+m3:160", "she planted a juniper tree by the gate", 0.7),
    ("flite:slt", WORD, 0.9),
    ("flite:kal16", "they computed the orbit of a comet", 0.6),
    ("espeak:en-gb-x-rp+f3:165", "hey julia", 0.5),
    ("espeak:en-gb-x-rp+m3:160", WORD, 0.1),
    ("espeak:en-gb-x-rp+m3:160", "turn the lights off", 0.8),
    ("espeak:en-gb-scotland+f4:170", "the paper is on the table, have you read it", 0.7),
    ("flite:kal16", WORD, 0.8),
    ("flite:slt", "stupid computer", 0.8),
]


def speak(voice: str, text: str) -> np.ndarray:
    """Speak `text` in a voice, `flite:NAME` or `espeak:NAME:WORDS_A_MINUTE`.

    Returns:
        Shape (n,), 16 kHz, rms 1, without silence at its ends.
    """
    kind, name, *rate = voice.split(":")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        spoken = (
            ["flite", "-voice", name, "-t", text, "-o"]
            if kind == "flite"
            else ["espeak-ng", "-v", name, "-s", *rate, text, "-w"]
        )
        subprocess.run([*spoken, str(out)], check=True)
        wave, rate_hz = soundfile.read(out, dtype="float32")
    wave = soxr.resample(wave, rate_hz, RATE)
    loud = np.flatnonzero(np.abs(wave) > 0.01 * np.abs(wave).max())
    wave = wave[loud[0] : loud[-1] + 1]
    return wave / np.sqrt(np.mean(wave**2))


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Make noise of a room with a fan: falling spectrum, hum, slow swells and some rattles; shape (count,), rms 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    sound = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 60)), count)
    sound /= sound.std()
    time_s = np.arange(count) / RATE
    sound *= 1 + 0.3 * np.sin(2 * np.pi * 0.11 * time_s)
    sound += 0.3 * np.sin(2 * np.pi * 100 * time_s)
    for start in rng.integers(0, count, size=count // (4 * RATE)):
        rattle = rng.standard_normal(RATE // 5) * np.exp(-np.arange(RATE // 5) / (0.04 * RATE))
        sound[start : start + len(rattle)] += rattle[: count - start]
    return sound / sound.std()


def make(folder: Path) -> None:
    """Write the demo files into a folder: the takes, the stream, and the times of the keyword in the stream."""
    rng = np.random.default_rng(2024)
    for number, voice in enumerate(TAKES, start=1):
        word = np.pad(0.05 * speak(voice, WORD), (RATE // 2, RATE // 2))
        word += 0.05 * 10 ** (-30 / 20) * noise(len(word), rng)
        soundfile.write(folder / f"take_{number}.flac", word, RATE, subtype="PCM_16")

    parts, truth, now_s = [np.zeros(RATE)], [], 1.0
    for voice, text, pause_s in STREAM:
        snr_db = rng.uniform(10, 15)  # ratio of the spoken part to noise of rms 0.004
        part = 0.004 * 10 ** (snr_db / 20) * speak(voice, text)
        if text == WORD:
            truth.append((now_s, now_s + len(part) / RATE))
        parts += [part, np.zeros(int(pause_s * RATE))]
        now_s += (len(part) + int(pause_s * RATE)) / RATE
    stream = np.concatenate(parts)
    stream += 0.004 * noise(len(stream), rng)
    soundfile.write(folder / "stream.flac", stream, RATE, subtype="PCM_16")
    rows = [f"{start_s:.2f}\t{end_s:.2f}\t{WORD}" for start_s, end_s in truth]
    (folder / "truth.tsv").write_text("\n".join(["start_s\tend_s\tkeyword", *rows]) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
