import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from earmark.core.audio import SAMPLE_RATE, Wave, read, write
from earmark.core.errors import InputError, MissingPackage
from earmark.data.alignment.forced import AlignmentError, align, align_sentences, read_pronunciations, spoken_words
from earmark.data.manifest import Clip, Manifest, read_manifest

SENTENCES = Path(__file__).parents[4] / "shared" / "data" / "speechocean762" / "manifest.tsv"
NEEDS_ESPEAK = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Wave:
    """“the river … is a hammer” with half a second of silence in the middle, from about 0.8 s on."""
    folder = tmp_path_factory.mktemp("spoken")
    waves = []
    for number, text in enumerate(("the river", "under a hammer")):
        path = folder / f"{number}.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "-w", str(path), text], check=True)
        waves += [read(path), np.zeros(SAMPLE_RATE // 2, np.float32)]
    return np.concatenate(waves)


def test_a_transcript_becomes_plain_words() -> None:
    assert spoken_words("LOOK AT ANN'S PANTS") == ("look", "at", "ann's", "pants")
    assert spoken_words(" “Don’t!” – said 'he', the boys' 3-year-old. ") == (
        *("don't", "said", "he", "the", "boys", "3", "year", "old"),
    )
    assert spoken_words(" - ") == ()


@NEEDS_ESPEAK
def test_words_are_found_in_order_and_where_there_is_sound(spoken: Wave) -> None:
    words = align(spoken, ("the", "river", "under", "a", "hammer"))
    assert [word.text for word in words] == ["the", "river", "under", "a", "hammer"]
    assert all(one.end_s <= other.start_s + 1e-9 for one, other in pairwise(words))
    river, under = words[1], words[2]
    assert under.start_s - river.end_s > 0.3
    for word in words:
        part = spoken[round(word.start_s * SAMPLE_RATE) : round(word.end_s * SAMPLE_RATE)]
        assert np.square(part).mean() > 0.1 * np.square(spoken).mean()


@NEEDS_ESPEAK
def test_phones_fill_their_words(spoken: Wave) -> None:
    words = align(spoken, ("the", "river", "under", "a", "hammer"), phones=True)
    assert [phone.text for phone in words[1].phones] == ["R", "IH", "V", "ER"]
    for word in words:
        times = [(phone.start_s, phone.end_s) for phone in word.phones]
        assert times[0][0] == pytest.approx(word.start_s)
        assert times[-1][1] == pytest.approx(word.end_s)
        assert [start for start, _ in times[1:]] == pytest.approx([end for _, end in times[:-1]])


@NEEDS_ESPEAK
def test_a_word_that_the_dictionary_lacks_needs_a_pronunciation(spoken: Wave, tmp_path: Path) -> None:
    said = ("the", "rivver", "under", "a", "hammmer")
    with pytest.raises(AlignmentError, match=r"^not in the dictionary: hammmer, rivver$"):
        align(spoken, said)
    (tmp_path / "words.txt").write_text("# more words\nrivver R IH V ER\nHammmer hh ae m er\n")
    more = read_pronunciations(tmp_path / "words.txt")
    assert [word.text for word in align(spoken, said, pronunciations=more)] == list(said)


def test_faulty_pronunciations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pronunciations: .*'rivver'"):
        align(np.zeros(SAMPLE_RATE, np.float32), ("rivver",), pronunciations=(("rivver", "QQ"),))
    (tmp_path / "words.txt").write_text("rivver\n")
    with pytest.raises(InputError, match=r"words\.txt:1"):
        read_pronunciations(tmp_path / "words.txt")
    with pytest.raises(InputError, match=r"absent\.txt"):
        read_pronunciations(tmp_path / "absent.txt")


@pytest.mark.parametrize("samples", [0, 1, 4000])
def test_sound_that_is_too_short_for_its_text_cannot_be_aligned(samples: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    with pytest.raises(AlignmentError, match=r"no audio|does not fit the text"):
        align(wave, ("a", "considerable", "mountain", "considerably", "under", "water"))
    with pytest.raises(AlignmentError, match="no text"):
        align(wave, ())


@NEEDS_ESPEAK
def test_an_interrupted_run_continues_with_the_same_result(spoken: Wave, tmp_path: Path) -> None:
    write(tmp_path / "1.wav", spoken)
    half_s = (len(spoken) / SAMPLE_RATE) / 2
    clips = (
        Clip("1.wav", text="the river under a hammer"),
        Clip("1.wav", round(half_s - 0.2, 2), text="under a hammer"),
        Clip("1.wav", text="the rivver"),
        Clip("1.wav"),
    )
    manifest = Manifest(clips, tmp_path)
    log = tmp_path / "out" / "alignments.jsonl"
    seen: list[tuple[float, float | None]] = []

    def progress(_: str, done: float, total: float | None) -> None:
        seen.append((done, total))

    first = align_sentences(manifest, log, progress=progress)
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert [each.failure for each in first[:3]] == ["", "", "not in the dictionary: rivver"]
    assert first[3].failure.startswith("no text")
    # Times of a part of a file count from the start of the file.
    assert first[1].words[0].start_s == pytest.approx(first[0].words[2].start_s, abs=0.15)
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:2]) + lines[2][:20])
    seen.clear()
    assert align_sentences(manifest, log, workers=2, progress=progress) == first
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    seen.clear()
    assert align_sentences(manifest, log, progress=progress) == first
    assert seen == [(4, 4)]


def test_a_damaged_file_is_a_reason_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "1.wav").write_bytes(b"RIFF")
    (found,) = align_sentences(Manifest((Clip("1.wav", text="hello"),), tmp_path), tmp_path / "alignments.jsonl")
    assert found.failure.startswith("unreadable: ")


def test_the_error_of_a_missing_pocketsphinx_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingPackage, match="pocketsphinx"):
        align_sentences(Manifest((Clip("1.wav", text="hello"),), tmp_path), tmp_path / "alignments.jsonl")


@pytest.mark.corpora
@pytest.mark.skipif(not SENTENCES.exists(), reason="the recordings of speechocean762 are absent")
def test_a_real_sentence_is_aligned_as_it_was_before() -> None:
    manifest = read_manifest(SENTENCES)
    manifest = replace(manifest, clips=manifest.clips[:1])
    wave = read(manifest.locate(manifest.clips[0]))
    words = align(wave, spoken_words(manifest.clips[0].label))
    assert [word.text for word in words] == ["we", "call", "it", "bear"]
    assert [word.start_s for word in words] == pytest.approx([0.56, 0.92, 1.21, 1.62], abs=0.1)
