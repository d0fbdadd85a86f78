"""The gate on real recordings: two people say one word, and the keyword answers to one of them."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import earmark
from earmark import audio
from earmark.data.manifest import read_manifest

MANIFEST = Path(__file__).parents[2].parent / "shared" / "data" / "dspspeech" / "manifest.tsv"


@pytest.mark.corpora
@pytest.mark.skipif(not MANIFEST.exists(), reason="the recordings of dspspeech are absent")
@pytest.mark.parametrize(("right", "wrong"), [(4, 5), (5, 4), (6, 7)])
def test_only_the_right_one_of_two_people_is_detected(right: int, wrong: int) -> None:
    manifest = read_manifest(MANIFEST)
    names = sorted({clip.speaker for clip in manifest.clips})
    label = sorted({clip.label for clip in manifest.clips})[0]

    def takes(number: int) -> list[np.ndarray]:
        clips = [clip for clip in manifest.clips if (clip.speaker, clip.label) == (names[number], label)]
        return [audio.read(manifest.locate(clip)) for clip in clips]

    own, others = takes(right), takes(wrong)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", earmark.TakeWarning)
        keyword = earmark.enroll("word", [*own[:3], *others[:3]], only_speaker="right")
        speaker = earmark.enroll_speaker("right", own[:3])
    said = {"right": [*own[3:], own[0]], "wrong": [*others[3:], others[0]]}
    found = {}
    for who, waves in said.items():
        stream = np.concatenate([part for wave in waves for part in (wave, np.zeros(8_000, np.float32))])
        detector = earmark.Detector([keyword], speakers=[speaker])
        found[who] = detector.push(stream) + detector.finish()
    assert len(found["right"]) >= 3
    assert found["wrong"] == []
    assert {hit.speaker for hit in found["right"]} == {"right"}
    assert min(hit.speaker_score or -1 for hit in found["right"]) >= speaker.threshold
