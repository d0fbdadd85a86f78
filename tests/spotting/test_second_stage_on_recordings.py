"""The verifier on phrases that are joined from real words of one speaker each."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from earmark import audio
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.models.verifier import load_verifier
from earmark.spotting.recent_audio import MARGIN_S
from earmark.spotting.speech import find_speech
from earmark.spotting.takes import Take
from earmark.spotting.verifier_scores import embed_with_verifier, similarity

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(not (DATA / "trials" / "phrases").is_dir(), reason="no recordings in ../shared/data"),
]

PHRASES = ("right off", "no up")
CLIPS = 12


def spoken(path: Path) -> Wave:
    wave = audio.read(path)
    start_s, end_s = find_speech(wave) or (0.0, len(wave) / SAMPLE_RATE)
    return wave[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]


def phrases(phrase: str, role: str) -> Iterator[Take]:
    """Clips of a role, with near-silence of the margin of a candidate on each side."""
    with (DATA / "trials" / "phrases" / "phrases.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if (row["phrase"], row["role"]) == (phrase, role)]
    quiet = np.zeros(round(MARGIN_S * SAMPLE_RATE), np.float32)
    for row in rows[:CLIPS]:
        words = [spoken(DATA / "speech_commands_test" / row[key]) for key in ("first", "second") if row[key]]
        wave = np.concatenate([quiet, *words, quiet])
        yield Take(wave, MARGIN_S, len(wave) / SAMPLE_RATE - MARGIN_S)


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_outscores_its_words_in_the_wrong_order_and_alone(phrase: str) -> None:
    verifier, takes = load_verifier(), list(phrases(phrase, "enroll"))
    embedded = embed_with_verifier(takes, verifier)
    length_s = float(np.mean([take.end_s - take.start_s for take in takes]))

    def scores(role: str) -> list[float]:
        return [
            similarity(embedded, length_s, verifier, take.wave, take.start_s, take.end_s)
            for take in phrases(phrase, role)
        ]

    lowest = np.quantile(scores("target"), 0.25)
    for role in ("swapped", "first only", "second only"):
        others = scores(role)
        assert len(others) > 3
        assert np.quantile(others, 0.9) < lowest
