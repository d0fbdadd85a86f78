import warnings
from dataclasses import replace

import numpy as np
import pytest

from earmark.core import audio
from earmark.core.audio import AudioError
from earmark.core.errors import InputError
from earmark.spotting.detector import Detector
from earmark.spotting.enrollment import enroll, extend, reembed
from earmark.spotting.takes import EnrollmentError, TakeWarning


@pytest.fixture
def takes(say):
    return [say("rise", seed=seed) for seed in range(5)]


def remarks_of(*args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        keyword = enroll(*args, **kwargs)
    assert all(warning.category is TakeWarning for warning in caught)
    kept = [remark for take in keyword.takes for remark in take.remarks]
    assert kept == [str(warning.message) for warning in caught]
    return kept


def test_takes_may_be_files_and_one_take_needs_no_list(takes, stand_in, tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for path, take in zip(paths, takes, strict=False):
        audio.write(path, take)
    keyword = enroll("rise", paths, encoder=stand_in)
    assert [take.source for take in keyword.takes] == [str(path) for path in paths]
    for single in (str(paths[0]), paths[0], audio.read(paths[0])):
        one = enroll("rise", single, encoder=stand_in)
        np.testing.assert_array_equal(one.embeddings, keyword.embeddings[:1])
    audio.write(tmp_path / "another.wav", takes[4])
    assert len(extend(keyword, tmp_path / "another.wav", encoder=stand_in).takes) == 4
    with pytest.raises(AudioError, match=r"absent\.wav"):
        enroll("rise", tmp_path / "absent.wav", encoder=stand_in)


def test_a_keyword_is_shown_on_one_line(takes, stand_in):
    shown = repr(enroll("rise", takes, encoder=stand_in))
    assert shown.startswith("Keyword('rise', 5 takes, ")
    assert "\n" not in shown
    assert len(shown) < 120


@pytest.mark.parametrize(
    ("arguments", "key"),
    [({"name": 3}, "name"), ({"takes": 3}, "takes"), ({"encoder": "base"}, "encoder"), ({"takes": [None]}, "take 1")],
)
def test_wrong_types_are_refused_by_argument(takes, stand_in, arguments, key):
    with pytest.raises(InputError, match=f"^{key}"):
        enroll(**{"name": "rise", "takes": takes, "encoder": stand_in} | arguments)


def test_a_warning_points_at_the_caller(takes, stand_in):
    clipped = np.clip(takes[1] * 30, -1, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        extend(enroll("rise", takes, encoder=stand_in), clipped, encoder=stand_in)
    assert {warning.filename for warning in caught} == {__file__}


def test_good_takes_make_a_keyword_without_remarks(takes, stand_in):
    keyword = enroll("rise", takes, encoder=stand_in, sources=[f"{n}.wav" for n in range(5)])
    assert (keyword.name, len(keyword.takes), keyword.embeddings.shape) == ("rise", 5, (5, 60))
    assert keyword.encoder == stand_in.fingerprint
    assert (keyword.threshold, keyword.rate) == (0.87, 0.5)
    assert keyword.duration_s == pytest.approx(0.6, abs=0.12)
    np.testing.assert_allclose(np.linalg.norm(keyword.embeddings, axis=1), 1, atol=1e-5)
    assert keyword.takes[3].source == "3.wav"
    assert 0.3 < keyword.takes[0].start_s < 0.4


def test_one_take_is_enough(takes, stand_in):
    keyword = enroll("rise", takes[:1], encoder=stand_in)
    np.testing.assert_allclose(keyword.prototype, keyword.embeddings[0], atol=1e-6)


def test_fewer_false_alarms_mean_a_higher_threshold(takes, stand_in):
    assert enroll("rise", takes, encoder=stand_in, false_alarms_per_hour=0.1).threshold == 0.9


def test_silence_around_a_take_changes_little(say, stand_in):
    short = enroll("rise", [say("rise", before_s=0.2, after_s=0.2)], encoder=stand_in)
    long = enroll("rise", [say("rise", before_s=3.0, after_s=2.0)], encoder=stand_in)
    assert short.prototype @ long.prototype > 0.97
    assert short.duration_s == pytest.approx(long.duration_s, abs=0.05)


def test_int16_takes_are_accepted(takes, stand_in):
    whole = [np.round(take * 32_767).astype(np.int16) for take in takes]
    expected = enroll("rise", takes, encoder=stand_in).prototype
    np.testing.assert_allclose(enroll("rise", whole, encoder=stand_in).prototype, expected, atol=0.02)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(16_000, np.float32), r"take 2 \(b.wav\) is silent.*record it again"),
        (np.zeros(0, np.float32), r"take 2 \(b.wav\) is empty: record it again"),
        (np.full(16_000, 1e-4, np.float32), r"take 2 \(b.wav\) is silent"),
        (0.1 * np.random.default_rng(0).standard_normal(16_000), r"take 2 \(b.wav\) is without speech"),
        (np.zeros(31 * 16_000, np.float32), r"take 2 \(b.wav\) is 31 s long.*cut the word out"),
    ],
    ids=["silent", "empty", "nearly silent", "noise", "long"],
)
def test_a_take_without_the_word_is_refused_by_name(takes, stand_in, wave, message):
    with pytest.raises(EnrollmentError, match=message):
        enroll("rise", [takes[0], wave], encoder=stand_in, sources=["a.wav", "b.wav"])


def test_a_take_with_too_little_speech_is_refused(say, stand_in):
    with pytest.raises(EnrollmentError, match=r"take 1 contains only 0.1\d s of speech"):
        enroll("rise", [say("rise", seconds=0.08)], encoder=stand_in)


@pytest.mark.parametrize("wave", [np.full(16_000, np.nan), np.zeros((2, 16_000)), np.array(["sound"])])
def test_other_things_than_audio_are_refused_by_name(takes, stand_in, wave):
    with pytest.raises(AudioError, match=r"take 2 \(b.wav\): "):
        enroll("rise", [takes[0], wave], encoder=stand_in, sources=["a.wav", "b.wav"])


def test_no_takes_no_name_or_too_few_sources_are_refused(takes, stand_in):
    with pytest.raises(EnrollmentError, match="no takes"):
        enroll("rise", [], encoder=stand_in)
    with pytest.raises(InputError, match="name"):
        enroll("  ", takes, encoder=stand_in)
    with pytest.raises(EnrollmentError, match="5 takes but 2 sources"):
        enroll("rise", takes, encoder=stand_in, sources=["a", "b"])


def test_a_clipped_take_is_remarked(takes, stand_in):
    takes[1] = np.clip(takes[1] * 30, -1, 1)
    assert remarks_of("rise", takes, encoder=stand_in)[0].startswith("take 2 is clipped: record it with less gain")


def test_a_loud_take_is_not_called_clipped(takes, stand_in):
    takes[1] = takes[1] / np.abs(takes[1]).max()
    assert remarks_of("rise", takes, encoder=stand_in) == []


def test_a_noisy_take_is_remarked(takes, say, stand_in):
    takes[1] = say("rise", noise_db=-8.0, seed=1)
    assert any("take 2 is noisy" in remark for remark in remarks_of("rise", takes, encoder=stand_in))


def test_a_long_take_is_remarked_and_the_window_stays_two_seconds(say, stand_in):
    with pytest.warns(TakeWarning, match=r"take 1 contains 2.\d s of speech"):
        keyword = enroll("rise", [say("rise", seconds=2.6)], encoder=stand_in)
    assert keyword.duration_s == 2.0


def test_two_words_in_a_take_are_remarked(takes, say, stand_in):
    takes[2] = np.concatenate([takes[2], say("rise", seed=9)])
    (remark,) = remarks_of("rise", takes, encoder=stand_in)
    assert remark.startswith("take 3 contains more than one spoken part")


@pytest.mark.parametrize("count", [3, 5, 8])
@pytest.mark.parametrize("odd", ["fall", "bow"])
def test_the_take_of_another_word_is_named(say, stand_in, count, odd):
    waves = [say("rise", seed=seed) for seed in range(count - 1)]
    sources = [f"{n}.wav" for n in range(count)]
    (remark,) = remarks_of("rise", [*waves, say(odd, seed=50)], encoder=stand_in, sources=sources)
    assert remark.startswith(f"take {count} ({count - 1}.wav) sounds unlike the others")


def test_two_takes_cannot_outvote_each_other(say, stand_in):
    assert remarks_of("rise", [say("rise"), say("fall")], encoder=stand_in) == []


def test_another_encoder_embeds_the_same_takes(takes, stand_in, make_encoder):
    keyword = enroll("rise", takes, encoder=stand_in, false_alarms_per_hour=5)
    again = reembed(keyword, stand_in)
    np.testing.assert_array_equal(again.embeddings, keyword.embeddings)
    other = make_encoder(fingerprint="0" * 48)
    converted = reembed(keyword, other, false_alarms_per_hour=10)
    assert (converted.encoder, converted.threshold, converted.name) == ("0" * 48, 0.75, "rise")
    assert converted.takes == keyword.takes


def test_the_rate_stays_and_an_unknown_rate_keeps_the_threshold_of_the_same_encoder(takes, stand_in, make_encoder):
    keyword = enroll("rise", takes[1:], encoder=stand_in, false_alarms_per_hour=10)
    unknown = replace(keyword, threshold=0.77, rate=None)
    other = make_encoder(fingerprint="0" * 48)
    cases = ((keyword, stand_in, 0.75), (unknown, stand_in, 0.77), (keyword, other, 0.75), (unknown, other, 0.87))
    for known, encoder, threshold in cases:
        assert reembed(known, encoder).threshold == threshold
        assert extend(known, takes[:1], encoder=encoder).threshold == threshold
    assert reembed(keyword, stand_in, false_alarms_per_hour=100).threshold == 0.5


def test_a_keyword_of_an_earlier_version_is_converted_from_its_takes(takes, stand_in):
    keyword = enroll("rise", takes, encoder=stand_in, false_alarms_per_hour=10)
    earlier = replace(keyword, parts=None, threshold=0.99)
    with pytest.raises(InputError, match="earmark keywords reembed rise"):
        _ = earlier.part_prototypes
    converted = reembed(earlier, stand_in)
    np.testing.assert_array_equal(converted.parts, keyword.parts)
    assert (converted.threshold, converted.rate) == (0.75, 10)
    # Where the rate is unknown, it is the one that the threshold had.
    for threshold, rate in ((0.8, 5), (0.85, 1), (0.99, 0.1)):
        assert reembed(replace(earlier, threshold=threshold, rate=None), stand_in).rate == rate


def test_a_detector_converts_keywords_of_an_earlier_version_with_one_warning(takes, stand_in):
    known = enroll("rise", takes, encoder=stand_in, false_alarms_per_hour=10)
    earlier = [replace(known, name=name, parts=None) for name in ("rise", "again")]
    with pytest.warns(UserWarning, match="'rise', 'again'") as caught:
        detector = Detector([*earlier, replace(known, name="new")], encoder=stand_in)
    assert len(caught) == 1
    assert [(keyword.rate, keyword.threshold) for keyword in detector.keywords] == [(10, 0.75)] * 3
    assert earlier[0].parts is None


def test_a_keyword_with_more_takes_is_the_one_enrolled_with_all_of_them(takes, stand_in):
    known = enroll("rise", takes[:3], encoder=stand_in, sources=["a", "b", "c"], only_speaker="alice")
    longer = extend(known, takes[3:], encoder=stand_in, sources=["d", "e"])
    whole = enroll("rise", takes, encoder=stand_in)
    np.testing.assert_array_equal(longer.embeddings, whole.embeddings)
    assert (longer.duration_s, longer.only_speaker) == (whole.duration_s, "alice")
    assert [take.source for take in longer.takes] == list("abcde")
    with pytest.raises(EnrollmentError, match=r"take 4 \(d\) is empty"):
        extend(known, [np.zeros(0)], encoder=stand_in, sources=["d"])
