import numpy as np
import pytest
import torch

from earmark import audio
from earmark.core.audio import SAMPLE_RATE
from earmark.core.errors import InputError
from earmark.data.lists.spans import Span
from earmark.training.batches.section_augment import SectionAugmentSettings
from earmark.training.sequences.frames import LogMelFrameSettings, store_frames
from earmark.training.sequences.samplers import SectionSampler, SectionSettings, StretchedSegments
from earmark.training.sequences.stretched import StretchedSections

SOURCE = LogMelFrameSettings(n_mels=30).build_source()
CPU = torch.device("cpu")
STEP_S = 0.16
PITCHES_HZ = (400, 900, 2200, 600, 3500, 1400)


def pitch_at(step):
    return PITCHES_HZ[step % len(PITCHES_HZ)]


@pytest.fixture(scope="module")
def melody(tmp_path_factory):
    """A folder with two recordings whose tone changes every 0.16 s, counted from 0.5 s on; and a section in each."""
    folder = tmp_path_factory.mktemp("melody")
    time_s = np.arange(round(4.5 * SAMPLE_RATE)) / SAMPLE_RATE
    steps = np.floor((time_s - 0.5) / STEP_S).astype(int)
    phase = 2 * np.pi * np.cumsum([pitch_at(step) for step in steps]) / SAMPLE_RATE
    hiss = 1e-3 * np.random.default_rng(0).standard_normal((2, len(time_s)))
    for name, noise in zip("ab", hiss, strict=True):
        audio.write(folder / f"{name}.wav", 0.3 * np.sin(phase) + noise)
    return folder, [Span("a.wav", "anna", 0.5, 3.3), Span("b.wav", "anna", 0.5, 4.2)]


def stretched(melody, tmp_path, context_s=0.0, **augment):
    folder, sections = melody
    settings = SectionAugmentSettings.model_validate(augment)
    return StretchedSections(sections, folder, tmp_path / "bank", context_s, SOURCE, settings, CPU)


def batch_of(tempo, segments=((0, 0, 1), (0, 5, 7), (1, 2, 8), (0, 15, 17), (1, 20, 22), (1, 9, 10))):
    """Segments of two sections, each as section, first step of the grid, and last."""
    places = np.array(segments)
    return StretchedSegments(
        np.array([1, 0]), np.array(tempo, float), 1 - places[:, 0], 0.5 + STEP_S * places[:, 1:], seed=5
    )


def frames_of(cut):
    return cut.frames[cut.first : cut.stop]


def tones_of(frames):
    """Number of the loudest pitch in each frame."""
    bands = [
        int(SOURCE.frames(np.sin(2 * np.pi * pitch * np.arange(8000) / SAMPLE_RATE).astype(np.float32))[20].argmax())
        for pitch in PITCHES_HZ
    ]
    return frames[:, bands].argmax(axis=1)


@pytest.mark.parametrize("tempo", [0.5, 0.83, 1.0, 1.8])
@pytest.mark.parametrize("context_s", [0.0, 0.3])
def test_the_frames_of_a_segment_are_those_in_which_its_sound_is_stretched(melody, tmp_path, tempo, context_s):
    batch = batch_of([[tempo, tempo], [tempo, tempo]])
    cuts = stretched(melody, tmp_path, context_s).cuts(batch, np.arange(12))
    for row, cut in enumerate(cuts):
        first, last = np.round((batch.bounds[row // 2] - 0.5) / STEP_S).astype(int)
        length = cut.stop - cut.first
        # Stretching moves a piece of audio by at most 8 ms.
        assert abs(length - (last - first) * STEP_S / tempo / 0.01) <= 2 + 1.6 / tempo
        found = tones_of(frames_of(cut))
        shares = (np.arange(length) + 0.5) / length * (last - first)
        wanted = (first + shares.astype(int)) % len(PITCHES_HZ)
        # Without the frames between two tones, which contain both.
        inside = np.abs(shares - np.round(shares)) * STEP_S / tempo > 0.026 + 0.008 / tempo
        assert inside.any()
        np.testing.assert_array_equal(found[inside], wanted[inside])


def test_the_bounds_of_a_segment_are_those_of_its_audio(melody, tmp_path):
    sections = stretched(melody, tmp_path)
    for tempo in (0.5, 1.3, 1.8):
        batch = batch_of([[tempo, tempo], [tempo, tempo]], [(1, step, step + 1) for step in range(2, 20)])
        off = []
        for row, cut in enumerate(sections.cuts(batch, np.arange(36))):
            is_mine = tones_of(cut.frames) == (2 + row // 2) % len(PITCHES_HZ)
            near = np.arange(len(is_mine))
            middle = (cut.first + cut.stop) // 2
            begin = 1 + max(near[(near < middle) & ~is_mine])
            end = min(near[(near > middle) & ~is_mine])
            off.append((cut.first - begin, cut.stop - end))
        assert np.abs(off).max() <= 3  # 30 ms: half a window, and the shift of a piece
        assert np.abs(np.mean(off, axis=0)).max() < 0.8  # without bias


def test_at_tempo_1_frames_equal_those_of_the_store_away_from_the_ends(melody, tmp_path):
    folder, sections = melody
    store = store_frames(SOURCE, sections, folder, tmp_path / "frames")
    batch = batch_of(np.ones((2, 2)))
    for context_s, rows in ((0.0, [4, 5, 2, 3, 10]), (0.3, range(12))):
        cuts = stretched(melody, tmp_path / str(context_s), context_s).cuts(batch, np.array(rows))
        for row, cut in zip(rows, cuts, strict=True):
            number = batch.sections[batch.section_index[row // 2]]
            wanted = store.frames(number, *store.span(number, *batch.bounds[row // 2]))
            # Store and bank round to 16 bits.
            np.testing.assert_allclose(frames_of(cut), wanted, atol=0.05, rtol=1e-3)


@pytest.mark.parametrize(
    "augment", [{}, {name: {"probability": 0.7} for name in ("pitch", "reverb", "noise", "band_reject", "time_drop")}]
)
def test_processes_that_share_rows_compute_those_of_one_process(melody, tmp_path, augment):
    sections = stretched(melody, tmp_path, **augment)
    batch = batch_of([[0.9, 1.7], [1.2, 1.4]])
    whole = sections.cuts(batch, np.arange(12))
    for parts in (2, 3):
        shared = [cut for rows in np.split(np.arange(12), parts) for cut in sections.cuts(batch, rows)]
        for one, other in zip(whole, shared, strict=True):
            assert (one.first, one.stop) == (other.first, other.stop)
            np.testing.assert_allclose(frames_of(one), frames_of(other), atol=1e-4)


def test_rows_alternate_between_the_two_tempos(melody, tmp_path):
    lengths = [
        cut.stop - cut.first for cut in stretched(melody, tmp_path).cuts(batch_of([[0.5, 1.5]] * 2), np.arange(12))
    ]
    ratios = np.array(lengths[::2]) / np.array(lengths[1::2])
    np.testing.assert_allclose(ratios, 3, rtol=0.3)


def test_augmentation_changes_frames_and_not_bounds(melody, tmp_path):
    batch = batch_of([[0.7, 1.3], [1.1, 0.9]])
    plain = stretched(melody, tmp_path).cuts(batch, np.arange(12))
    noisy = stretched(melody, tmp_path, noise={"probability": 1.0}).cuts(batch, np.arange(12))
    for one, other in zip(plain, noisy, strict=True):
        assert (one.first, one.stop) == (other.first, other.stop)
        assert np.abs(frames_of(one) - frames_of(other)).max() > 0.5
        assert (tones_of(frames_of(one)) == tones_of(frames_of(other))).mean() > 0.8


def test_a_segment_has_a_frame_at_any_tempo(melody, tmp_path):
    slow = LogMelFrameSettings(n_mels=10, hop_s=0.1).build_source()
    folder, sections = melody
    variants = StretchedSections(sections, folder, tmp_path / "bank", 0.0, slow, SectionAugmentSettings(), CPU)
    cuts = variants.cuts(batch_of([[1.8, 1.8]] * 2, [(0, step, step + 1) for step in range(16)]), np.arange(32))
    assert min(cut.stop - cut.first for cut in cuts) == 1


def test_all_segments_that_are_drawn_lie_in_what_is_stretched(melody, tmp_path):
    sections = melody[1]
    draws = SectionSampler(sections, SectionSettings(segments=400, least_sections=1), 0)
    sections = stretched(melody, tmp_path)
    batch = draws.draw(0)
    for row, cut in enumerate(sections.cuts(batch, np.arange(2 * len(batch.section_index)))):
        tempo = batch.tempo[batch.section_index[row // 2], row % 2]
        seconds = np.diff(batch.bounds[row // 2])[0]
        assert 0 <= cut.first < cut.stop <= len(cut.frames)
        assert abs((cut.stop - cut.first) * 0.01 - seconds / tempo) <= 0.02 + 0.016 / tempo


def test_a_section_after_the_end_of_its_recording_is_refused(melody, tmp_path):
    folder, sections = melody
    beyond = [*sections, Span("a.wav", "anna", 5.0, 6.5)]
    with pytest.raises(InputError, match="1 sections"):
        StretchedSections(beyond, folder, tmp_path / "bank", 0.0, SOURCE, SectionAugmentSettings(), CPU)


def test_sections_are_packed_once(melody, tmp_path, monkeypatch):
    stretched(melody, tmp_path)
    monkeypatch.setattr("earmark.training.words.corpus.pack", None)
    stretched(melody, tmp_path)
