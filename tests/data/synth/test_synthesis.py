import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from earmark.core.audio import SAMPLE_RATE, Wave, read
from earmark.core.errors import InputError
from earmark.data.manifest import read_manifest
from earmark.data.synth import voices
from earmark.data.synth.synthesis import SynthSettings, label_of, plan, read_words, spoken_part, synthesize
from earmark.data.synth.voices import Engine, SynthError, Voice, speak, split_at_pauses

WORDS = [("en", "river"), ("en", "hammer"), ("en", "window"), ("en", "paper"), ("es", "casa"), ("es", "ventana")]
SMALL = SynthSettings(voices=2, words_per_voice=3, engines=("espeak-ng",), seed=3)
# fmt: off
SPEECH_COMMANDS = {
    "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "zero", "one", "two", "three", "four",
    "five", "six", "seven", "eight", "nine", "bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila",
    "tree", "wow", "backward", "forward", "follow", "learn", "visual",
}
# fmt: on
WORD_LIST = Path(__file__).parents[3] / "recipes" / "models" / "words.tsv"


def needs(engine: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(engine) is None, reason=f"{engine} is not installed")


def burst(seconds: float) -> Wave:
    return np.full(round(seconds * SAMPLE_RATE), 0.5, dtype=np.float32)


def silence(seconds: float) -> Wave:
    return np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)


def test_none_of_the_speech_commands_words_is_in_the_word_list() -> None:
    words = read_words(WORD_LIST)
    assert {word for _, word in words} & SPEECH_COMMANDS == set()
    assert {word for _, word in words} & {"to", "too", "for", "ate", "won", "know", "write", "knight", "bedd"} == set()
    assert len(words) > 5000
    assert len({language for language, _ in words}) >= 15


def test_a_word_list_is_read_once_a_word_without_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text("# source\nen\triver\n\nes\tcasa \nen\triver\n", encoding="utf-8")
    assert read_words(path) == [("en", "river"), ("es", "casa")]


@pytest.mark.parametrize(("text", "message"), [("river\n", "line 1"), ("#\n", "words.tsv")])
def test_a_faulty_word_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "words.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_words(tmp_path / "words.tsv")
    with pytest.raises(InputError, match=r"absent.tsv"):
        read_words(tmp_path / "absent.tsv")
    (tmp_path / "sound.wav").write_bytes(b"RIFF\xc4\xff")
    with pytest.raises(InputError, match=r"sound.wav"):
        read_words(tmp_path / "sound.wav")


def test_labels_name_the_language_except_english() -> None:
    assert [label_of("en", "river"), label_of("en-gb", "river"), label_of("es", "casa")] == [
        "river",
        "river",
        "es:casa",
    ]


def test_the_spoken_part_keeps_twenty_milliseconds_on_both_sides() -> None:
    start, end = spoken_part(np.concatenate([silence(0.5), burst(0.3), silence(0.2)])) or (0, 0)
    assert start / SAMPLE_RATE == pytest.approx(0.48, abs=1e-9)
    assert end / SAMPLE_RATE == pytest.approx(0.82, abs=1e-9)


def test_silence_has_no_spoken_part() -> None:
    assert spoken_part(silence(1)) is None
    assert spoken_part(silence(0)) is None


def test_words_are_cut_at_the_long_pauses_and_not_at_short_ones() -> None:
    wave = np.concatenate([burst(0.2), silence(0.2), burst(0.2), silence(0.8), burst(0.3), silence(0.8), burst(0.1)])
    seconds = np.array(split_at_pauses(wave)) / SAMPLE_RATE
    assert seconds == pytest.approx(np.array([[0, 1.0], [1.0, 2.1], [2.1, 2.6]]), abs=0.01)
    assert split_at_pauses(silence(1)) == []


@needs("espeak-ng")
def test_the_same_seed_gives_the_same_plan_and_each_word_its_number_of_voices() -> None:
    shards = plan(WORDS, SMALL)
    assert shards == plan(WORDS, SMALL)
    assert shards != plan(WORDS, SMALL.model_copy(update={"seed": 4}))
    for language, word in WORDS:
        spoken_by = [shard.voice for shard in shards if shard.language == language and word in shard.words]
        assert len(spoken_by) == len(set(spoken_by)) == 2
    assert len({shard.stem for shard in shards}) == len(shards)


@needs("espeak-ng")
def test_each_clip_of_the_manifest_is_one_spoken_word(tmp_path: Path) -> None:
    report = synthesize(WORDS, tmp_path, SMALL)
    clips = read_manifest(tmp_path / "manifest.parquet").clips
    assert (report.clips, report.words, report.failures) == (12, 6, {})
    assert report.voices == len({clip.speaker for clip in clips})
    assert {clip.label for clip in clips} == {"river", "hammer", "window", "paper", "es:casa", "es:ventana"}
    for clip in clips:
        wave = read(tmp_path / clip.path)
        cut = wave[round(clip.start_s * SAMPLE_RATE) : round((clip.end_s or 0) * SAMPLE_RATE)]
        assert spoken_part(cut) == (0, len(cut))
        assert 0.2 < len(cut) / SAMPLE_RATE < 2.0
    in_file = sorted((clip for clip in clips if clip.path == clips[0].path), key=lambda clip: clip.start_s)
    assert all(after.start_s - (before.end_s or 0) == pytest.approx(0.1) for before, after in pairwise(in_file))


@needs("espeak-ng")
def test_an_interrupted_run_continues(tmp_path: Path) -> None:
    first = synthesize(WORDS, tmp_path, SMALL)
    manifest = (tmp_path / "manifest.parquet").read_bytes()
    lost = sorted(tmp_path.glob("*.json"))[0]
    lost.unlink()
    seen: list[tuple[float, float | None]] = []
    second = synthesize(WORDS, tmp_path, SMALL, progress=lambda _, done, total: seen.append((done, total)))
    assert (second.shards_made, second.shards_kept) == (1, first.shards_made - 1)
    assert seen == [(first.shards_made - 1, first.shards_made), (first.shards_made, first.shards_made)]
    assert (tmp_path / "manifest.parquet").read_bytes() == manifest
    assert not list(tmp_path.glob(".*"))


@needs("espeak-ng")
def test_two_workers_give_the_same_files_as_one(tmp_path: Path) -> None:
    one = synthesize(WORDS, tmp_path / "one", SMALL)
    two = synthesize(WORDS, tmp_path / "two", SMALL, workers=2)
    assert (one.clips, one.speech_s) == (two.clips, two.speech_s)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@needs("espeak-ng")
def test_words_without_audio_are_counted_and_the_others_keep_their_place(tmp_path: Path) -> None:
    report = synthesize([("en", "river"), ("en", ","), ("en", "a<b>&amp")], tmp_path, SMALL)
    clips = read_manifest(tmp_path / "manifest.parquet").clips
    assert {clip.label for clip in clips} == {"river", "a<b>&amp"}
    assert sum(report.failures.values()) == 2


@needs("espeak-ng")
def test_a_run_without_audio_fails_and_names_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match=r"\(2\)"):
        synthesize([("en", ",")], tmp_path, SMALL)


@pytest.mark.parametrize(
    "voice",
    [
        pytest.param(Voice("espeak-ng", "en-us+f3", 170, 50), marks=needs("espeak-ng")),
        pytest.param(Voice("flite", "slt", 170, 50), marks=needs("flite")),
        pytest.param(Voice("festival", "kal_diphone", 170, 50), marks=needs("festival")),
    ],
    ids=lambda voice: voice.engine,
)
def test_a_slower_rate_makes_words_longer(voice: Voice) -> None:
    if voice.engine == "festival" and voice.name not in voices.festival_voices():
        pytest.skip("festival has no voice kal_diphone here")
    slow = Voice(voice.engine, voice.name, 110, voice.pitch)
    lengths = []
    for setting in (voice, slow):
        waves = [wave for wave in speak(setting, ["river", "hammer"]) if not isinstance(wave, str)]
        lengths.append(sum(end - start for start, end in filter(None, map(spoken_part, waves))))
    assert lengths[1] > 1.15 * lengths[0] > 0


@pytest.mark.parametrize("engine", ["espeak-ng", "flite", "festival"])
def test_a_missing_synthesizer_is_an_error_that_says_how_to_install_it(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    voices.festival_voices.cache_clear()
    with pytest.raises(SynthError, match=f"^{engine}: .*apt install"):
        synthesize([("en", "river")], tmp_path / "out", SynthSettings(engines=(engine,)))
    assert not (tmp_path / "out").exists()


def test_a_language_that_is_not_in_the_list_is_refused() -> None:
    with pytest.raises(InputError, match=r"languages: .*'fr'"):
        plan(WORDS, SynthSettings(languages=("fr",)))


def test_languages_other_than_english_need_espeak() -> None:
    with pytest.raises(InputError, match=r"engines: .*'es'"):
        plan(WORDS, SynthSettings(engines=("flite",), languages=("es",)))


@needs("flite")
def test_too_many_requested_voices_are_refused() -> None:
    settings = SynthSettings(engines=("flite",), rate_wpm=(150, 150), pitch=(50, 50))
    with pytest.raises(InputError, match="5 found"):
        plan([("en", "river")], settings)


@pytest.mark.parametrize("wrong", [{"rate_wpm": (230, 110)}, {"pitch": (0, 120)}, {"voices": 0}, {"voice": 3}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SynthSettings.model_validate(wrong)
