"""The gate on real recordings: two people say one word, and the keyword answers to one of them."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import earmark
from earmark import audio
from earmark.data.manifest import read_manifest
from earmark.models.speaker_encoder import load_speaker_encoder
from earmark.spotting.verification import verify

MANIFEST = Path(__file__).parents[2].parent / "shared" / "data" / "dspspeech" / "manifest.tsv"


@pytest.mark.corpora
@pytest.mark.skipif(not MANIFEST.exists(), reason="the recordings of dspspeech are absent")
def test_of_two_people_the_right_one_is_detected() -> None:
    """Six pairs of voices; the keyword is enrolled with takes of both, and restricted to one."""
    manifest = read_manifest(MANIFEST)
    names = sorted({clip.speaker for clip in manifest.clips})
    label = sorted({clip.label for clip in manifest.clips})[0]
    waves = {
        name: [audio.read(manifest.locate(clip)) for clip in manifest if (clip.speaker, clip.label) == (name, label)]
        for name in names[4:10]
    }
    detected: dict[str, list[int]] = {"right": [], "wrong": []}
    for right, wrong in zip(names[4:10], [*names[7:10], *names[4:7]], strict=True):
        own, others = waves[right], waves[wrong]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", earmark.TakeWarning)
            keyword = earmark.enroll("word", [*own[:3], *others[:3]], only_speaker="right", background=None)
            speaker = earmark.enroll_speaker("right", own[:3])
        for who, said in (("right", own), ("wrong", others)):
            stream = np.concatenate([part for wave in said[3:] for part in (wave, np.zeros(8_000, np.float32))])
            found = list(earmark.Detector([keyword], speakers=[speaker]).detect(stream))
            detected[who].append(len(found))
            assert all(hit.speaker == "right" for hit in found)
            assert min((hit.speaker_score or -1 for hit in found), default=1.0) >= speaker.threshold
    assert sum(detected["right"]) >= 14
    assert sum(detected["wrong"]) <= 4


SENTENCES = MANIFEST.parents[1] / "speechocean762" / "manifest.tsv"


@pytest.mark.corpora
@pytest.mark.skipif(not SENTENCES.exists(), reason="the recordings of speechocean762 are absent")
def test_sentences_of_other_voices_pass_as_rarely_as_words_and_the_right_voice_is_accepted_in_noise() -> None:
    """Eight voices, each enrolled with three sentences and tested with two others, also in white noise at 10 dB."""
    manifest = read_manifest(SENTENCES).only("test")
    names = sorted({clip.speaker for clip in manifest})[1::14][:8]
    waves = {
        name: [audio.read(manifest.locate(clip)) for clip in manifest if clip.speaker == name][:5] for name in names
    }
    generator = np.random.default_rng(0)
    encoder = load_speaker_encoder()
    accepted: dict[str, list[bool]] = {"own": [], "own in noise": [], "others": []}
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", earmark.TakeWarning)
            speaker = earmark.enroll_speaker(name, waves[name][:3], encoder=encoder)
        for other in names:
            test = np.concatenate(waves[other][3:])
            accepted["own" if other == name else "others"].append(verify(speaker, test, encoder=encoder).is_same)
            if other == name:
                noise = generator.standard_normal(len(test)).astype(np.float32)
                noise *= 10 ** (-10 / 20) * np.sqrt(np.mean(test**2))
                accepted["own in noise"].append(verify(speaker, test + noise, encoder=encoder).is_same)
    assert np.mean(accepted["own"]) >= 0.85
    assert np.mean(accepted["own in noise"]) >= 0.6
    assert np.mean(accepted["others"]) <= 0.15
