"""Keywords of several encoders with different hops in one stream."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark import demo
from earmark.models.encoder import load_encoder, shipped_encoder
from earmark.models.onnx_model import shipped_file
from earmark.spotting.detector import Detector
from earmark.spotting.detector_settings import DetectorSettings
from earmark.spotting.encoder_choice import choose_encoders
from earmark.spotting.enrolled import EncoderMismatch
from earmark.spotting.enrollment import enroll

SAID = (("rise", 1.0), ("fall", 3.2), ("bow", 4.9), ("rise", 6.6), ("rise", 7.8))


@pytest.fixture(scope="module")
def fine(make_encoder):
    return make_encoder()


@pytest.fixture(scope="module")
def coarse(make_encoder):
    """As `fine`, with two hops in one: frames are means of two."""

    class CoarseStream:
        def __init__(self, inner):
            self._inner, self._rest = inner, np.zeros((0, 20), np.float32)

        def push(self, chunk):
            frames = np.concatenate([self._rest, self._inner.push(chunk)])
            whole = len(frames) // 2 * 2
            self._rest = frames[whole:]
            return frames[:whole].reshape(-1, 2, 20).mean(axis=1)

        def finish(self):
            frames = np.concatenate([self._rest, self._inner.finish()])
            return np.concatenate([frames, frames[-1:]])[: -(-len(frames) // 2) * 2].reshape(-1, 2, 20).mean(axis=1)

    class Coarse(make_encoder):  # type: ignore[misc, valid-type]
        def frames(self, wave):
            stream = self.stream()
            return np.concatenate([stream.push(np.asarray(wave, np.float32)), stream.finish()])

        def stream(self):
            return CoarseStream(make_encoder().stream())

    one = make_encoder()
    return Coarse(name="coarse", fingerprint="c0" * 24, hop_s=2 * one.hop_s, lag_s=one.lag_s + one.hop_s)


@pytest.fixture(scope="module")
def keywords(say, fine, coarse):
    def made(word, encoder):
        return enroll(word, [say(word, seed=seed) for seed in range(3)], encoder=encoder)

    return [made("rise", fine), made("fall", coarse), made("bow", fine)]


@pytest.fixture(scope="module")
def stream(say, hush):
    wave = hush(10.0)
    for seed, (word, start_s) in enumerate(SAID, start=20):
        start = round(start_s * 16_000)
        wave[start : start + 9600] += say(word, before_s=0, after_s=0, noise_db=-90.0, seed=seed)
    return wave


def detections_of(detector, wave, cuts=()):
    found = [hit for chunk in np.split(wave, cuts) for hit in detector.push(chunk)]
    return found + detector.finish()


def test_each_keyword_is_scored_by_its_own_encoder(keywords, fine, coarse, stream):
    found = detections_of(Detector(keywords, encoder=[fine, coarse]), stream)
    assert [hit.keyword for hit in found] == [word for word, _ in SAID]
    for hit, (_, start_s) in zip(found, SAID, strict=True):
        assert hit.start_s == pytest.approx(start_s, abs=0.2)
        assert hit.end_s == pytest.approx(start_s + 0.6, abs=0.2)
    alone = detections_of(Detector(keywords[1], encoder=coarse), stream)
    assert [hit for hit in found if hit.keyword == "fall"] == alone


@pytest.mark.slow
@given(cuts=st.lists(st.integers(0, 160_000), max_size=30).map(sorted))
@settings(max_examples=25)
def test_every_chunking_gives_the_same_detections(keywords, fine, coarse, stream, cuts):
    detector = Detector(keywords, encoder=[coarse, fine])
    assert detections_of(detector, stream, cuts) == detections_of(detector, stream)


def test_rivals_of_two_encoders_compete(keywords, fine, coarse, say, stream):
    twin = replace(enroll("twin", [say("rise", seed=seed) for seed in range(3)], encoder=coarse), threshold=0.75)
    both = [keywords[0], twin]
    found = detections_of(Detector(both, encoder=[fine, coarse]), stream)
    assert {hit.keyword for hit in found} == {"twin"}
    assert len(found) == 3
    settings_of_all = DetectorSettings(exclusive=False)
    assert len(detections_of(Detector(both, encoder=[fine, coarse], settings=settings_of_all), stream)) == 6


def test_scores_are_on_the_axis_of_the_shortest_hop(keywords, fine, coarse, stream):
    times_s, scores = Detector(keywords, encoder=[fine, coarse]).scores(stream)
    assert scores.shape == (250, 3)
    np.testing.assert_allclose(times_s, 0.04 * np.arange(1, 251), rtol=1e-5)
    alone_s, alone = Detector(keywords[1], encoder=coarse).scores(stream)
    np.testing.assert_allclose(scores[1::2, 1], alone[:, 0])
    np.testing.assert_allclose(times_s[1::2], alone_s, rtol=1e-5)
    for word, start_s in SAID:
        place = [keyword.name for keyword in keywords].index(word)
        near = np.abs(times_s - start_s - 0.65) < 0.25
        assert scores[near, place].max() >= 0.85


def test_a_keyword_of_none_of_the_encoders_is_refused(keywords, fine, make_encoder):
    other = make_encoder(name="new", fingerprint="f" * 48)
    with pytest.raises(EncoderMismatch, match="'fall'"):
        Detector(keywords, encoder=[fine, other])
    with pytest.raises(EncoderMismatch, match="'fall'"):
        Detector(keywords, encoder=fine)


@pytest.mark.slow
def test_the_shipped_encoder_and_one_of_the_user_detect_in_one_stream(own_encoder):
    encoders = {"base": load_encoder(), "mine": own_encoder}
    found = [enroll(name, demo.take_files(), encoder=encoder, background=None) for name, encoder in encoders.items()]
    loose = DetectorSettings(threshold=0.6, exclusive=False)
    hits = list(Detector(found, encoder=list(encoders.values()), settings=loose).detect(demo.STREAM))
    for name in encoders:
        # "hey jupiter" is said at these times.
        own = [hit for hit in hits if hit.keyword == name]
        for start_s in (3.45, 9.04, 14.70, 20.24):
            assert any(abs(hit.start_s - start_s) < 0.3 for hit in own), (name, start_s)


def test_only_a_shipped_encoder_has_a_name(own_encoder):
    assert shipped_encoder(load_encoder().fingerprint) == "base"
    assert shipped_encoder(own_encoder.fingerprint) is None


def test_an_own_encoder_is_found_by_its_path_and_a_missing_one_skips_its_keywords(keywords, fine, tmp_path):
    of_base = replace(keywords[0], name="shipped", encoder=load_encoder().fingerprint)
    chosen = choose_encoders([*keywords, of_base], {}, [fine])
    assert [keyword.name for keyword in chosen.keywords] == ["rise", "bow", "shipped"]
    assert chosen.of(of_base).name == "base"
    assert len(chosen.skipped) == 1
    assert "'fall'" in chosen.skipped[0]
    assert "reembed fall" in chosen.skipped[0]
    # The file is remembered, but has another content now, or is gone.
    shutil.copyfile(shipped_file("base"), tmp_path / "mine.onnx")
    for path in (tmp_path / "mine.onnx", tmp_path / "absent.onnx"):
        chosen = choose_encoders(keywords, {keywords[1].encoder: path}, [fine])
        assert len(chosen.keywords) == 2
        assert len(chosen.skipped) == 1
        assert str(path) in chosen.skipped[0]
