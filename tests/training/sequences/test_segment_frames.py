import numpy as np
import pytest

from earmark import audio
from earmark.core.errors import InputError
from earmark.data.lists.sections import read_sections
from earmark.data.manifest import Clip
from earmark.training.sequences.frames import ContextSettings, LogMelFrameSettings, section_frames, times_s
from earmark.training.sequences.lists import SegmentList, read_segment_list
from earmark.training.sequences.segment_frames import SegmentFrames

SOURCE = LogMelFrameSettings(n_mels=12, hop_s=0.02).build_source()
CONTEXT = ContextSettings()


def frames_of(cut):
    return cut.frames[cut.first : cut.stop]


@pytest.mark.parametrize("with_sections", [True, False])
def test_a_segment_has_the_frames_whose_times_are_in_it(speech, tmp_path, with_sections):
    listed = read_segment_list(speech / "labeled.txt", speech)
    sections = [*read_sections(speech / "sections.txt")] if with_sections else None
    frames = SegmentFrames(listed, sections, SOURCE, tmp_path / "kept", CONTEXT)
    assert frames.kept.tolist() == list(range(24))
    for row in (0, 5, 23, 6):
        clip = listed.clips[row]
        whole = SOURCE.frames(audio.read(speech / clip.path))
        at_s = times_s(SOURCE, len(whole))
        is_inside = (at_s >= clip.start_s - 1e-6) & (at_s <= clip.end_s + 1e-6)
        (cut,) = frames.cuts([row])
        np.testing.assert_allclose(frames_of(cut), whole[is_inside], atol=0.02)


def test_a_cut_has_a_limited_number_of_frames_around_it(tmp_path):
    noise = np.random.default_rng(0).standard_normal(30 * audio.SAMPLE_RATE)
    audio.write(tmp_path / "long.wav", 0.1 * noise)
    spans = [(0.0, 0.4), (12.3, 12.9), (19.9, 20.2), (29.7, 30.0)]
    listed = SegmentList(tuple(Clip("long.wav", *span, "anna") for span in spans), tmp_path)
    frames = SegmentFrames(listed, None, SOURCE, tmp_path / "kept", CONTEXT, around=32)
    whole, first_s = section_frames(SOURCE, audio.read(tmp_path / "long.wav"), 0.0, 30.0, CONTEXT)
    assert first_s == 0
    for (start_s, _), cut in zip(spans, frames.cuts(range(4)), strict=True):
        first = round(start_s / 0.02)
        np.testing.assert_allclose(
            cut.frames, whole[first - cut.first : first - cut.first + len(cut.frames)], atol=0.02
        )
        around = cut.first, len(cut.frames) - cut.stop
        assert max(around) <= 32
        assert around[0] == min(32, first)
        assert around[1] == min(32, len(whole) - first - (cut.stop - cut.first))


def test_segments_without_a_frame_are_dropped(speech, tmp_path):
    slow = LogMelFrameSettings(n_mels=8, hop_s=0.1).build_source()
    clips = tuple(Clip("anna_0.wav", start_s, start_s + 0.04, "anna") for start_s in (0.28, 0.32, 0.48))
    frames = SegmentFrames(SegmentList(clips, speech), None, slow, tmp_path / "kept", CONTEXT)
    assert frames.kept.tolist() == [0, 2]
    with pytest.raises(InputError):
        SegmentFrames(SegmentList(clips[1:2], speech), None, slow, tmp_path / "kept", CONTEXT)


def test_two_lists_of_the_same_speakers_share_a_folder(speech, tmp_path):
    first = read_segment_list(speech / "labeled.txt", speech)
    one = SegmentFrames(first, [*read_sections(speech / "sections.txt")], SOURCE, tmp_path / "kept", CONTEXT)
    two = SegmentFrames(first, None, SOURCE, tmp_path / "kept", CONTEXT)
    # No frame of the first was read before the second was stored.
    for cut, other in zip(one.cuts(range(24)), two.cuts(range(24)), strict=True):
        np.testing.assert_array_equal(frames_of(cut), frames_of(other))


def test_a_segment_in_no_section_is_refused(speech, tmp_path):
    listed = SegmentList((Clip("anna_0.wav", 1.6, 1.75, "anna"),), speech)
    sections = [*read_sections(speech / "sections.txt")]
    with pytest.raises(InputError, match=r"anna_0\.wav: .*data\.sections"):
        SegmentFrames(listed, sections, SOURCE, tmp_path / "kept", CONTEXT)


def test_a_segment_beyond_its_recordings_end_is_refused_but_for_rounding(speech, tmp_path):
    end_s = audio.duration_s(speech / "anna_0.wav")
    rounded = SegmentList((Clip("anna_0.wav", end_s - 0.3, end_s + 0.03, "anna"),), speech)
    (cut,) = SegmentFrames(rounded, None, SOURCE, tmp_path / "kept", CONTEXT).cuts([0])
    assert cut.stop - cut.first >= 15
    beyond = SegmentList((Clip("anna_0.wav", end_s - 0.3, end_s + 0.3, "anna"),), speech)
    with pytest.raises(InputError, match=rf"anna_0\.wav: a span ends at {end_s + 0.3:g} s, but .* at {end_s:.2f} s"):
        SegmentFrames(beyond, None, SOURCE, tmp_path / "kept", CONTEXT)


def test_a_recording_that_is_missing_is_named(speech, tmp_path):
    listed = SegmentList((Clip("dora.wav", 0.0, 0.5, "dora"),), speech)
    with pytest.raises(InputError, match=r"dora\.wav"):
        SegmentFrames(listed, None, SOURCE, tmp_path / "kept", CONTEXT)
