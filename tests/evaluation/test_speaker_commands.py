import itertools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from earmark import audio
from earmark.cli.evaluate import app, encoders
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.evaluation import metrics
from earmark.evaluation.embedders import SpeakerEmbedder
from earmark.evaluation.protocols import identification, verification
from earmark.evaluation.reports import plots

VOICES = {"anna": 200, "bob": 330, "carl": 550, "dora": 900}


@dataclass(frozen=True)
class Bands:
    """An embedder whose dimensions are the energies of bands, and whose classes are voices by their loudest band."""

    name: str = "bands"
    fingerprint: str = "b4d5"
    classes: tuple[str, ...] = tuple(VOICES)

    def embed_batch(self, waves):
        rows = []
        for wave in waves:
            spectrum = np.abs(np.fft.rfft(wave, 16_000))[:1600]
            rows.append([spectrum[round(0.9 * hz) : round(1.1 * hz)].sum() for hz in VOICES.values()])
        return np.log1p(np.array(rows, np.float32)) ** 3

    def classify(self, embeddings):
        return embeddings if self.classes else None


@pytest.fixture
def corpus(tmp_path, say):
    """Four takes of each of four voices, which are tones, with lists and a manifest."""
    clips = []
    for speaker, hz in VOICES.items():
        for seed in range(4):
            path = f"{speaker}/{seed}.wav"
            (tmp_path / "corpus" / speaker).mkdir(parents=True, exist_ok=True)
            audio.write(tmp_path / "corpus" / path, say(hz, hz, seconds=0.3, before_s=0.1, after_s=0.1, seed=seed))
            clips.append(Clip(path, speaker=speaker, split="test" if seed else "train"))
    write_manifest(Manifest(tuple(clips), tmp_path / "corpus"), tmp_path / "corpus" / "all.tsv")
    (tmp_path / "iden_split.txt").write_text("".join(f"{3 if '1' in c.path else 1} {c.path}\n" for c in clips))
    pairs = [f"{int(one.speaker == other.speaker)} {one.path} {other.path}" for one in clips[:8] for other in clips[8:]]
    pairs += [f"1 {one.path} {other.path}" for one, other in itertools.pairwise(clips) if one.speaker == other.speaker]
    (tmp_path / "veri_test.txt").write_text("\n".join(pairs) + "\n")
    return tmp_path


@pytest.fixture
def run(corpus, monkeypatch):
    """`run("verify", …)`: run the command with the embedder of bands; it draws plots only with `draw`."""
    monkeypatch.setenv("COLUMNS", "160")

    def invoke(command, *words, embedder=Bands(), draw=False):
        for load in ("load", "load_speaker_embedder"):
            monkeypatch.setattr(encoders, load, lambda *_, **__: embedder)
        if not draw:
            monkeypatch.setattr(plots, "draw_verification", lambda *_, **__: None)
        arguments = [str(word) for word in (command, *words, "--out", corpus / "out")]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        return result, corpus / "out"

    return invoke


def test_verify_writes_metrics_embeddings_scores_and_plots(run, corpus):
    result, out = run("verify", corpus / "veri_test.txt", "--audio", corpus / "corpus", draw=True)
    assert result.exit_code == 0
    assert "12 pairs of one speaker, 64 of two" in result.stdout
    files = {"table.md", "results.json", "embeddings.npz", "scores.npz", "det.png", "roc.png", "scores.png"}
    assert {path.name for path in out.iterdir()} == files
    document = json.loads((out / "results.json").read_text())
    assert document["kind"] == "verification"
    assert document["pairs"] == {"one_speaker": 12, "two_speakers": 64}
    numbers = document["results"]["cosine"]
    assert list(numbers) == list(verification.METRICS)
    assert numbers["eer"]["low"] <= numbers["eer"]["value"] <= numbers["eer"]["high"]
    assert "| bands | cosine |" in (out / "table.md").read_text()
    with (
        np.load(out / "scores.npz", allow_pickle=False) as stored,
        np.load(out / "embeddings.npz", allow_pickle=False) as vectors,
    ):
        first, second = vectors["vectors"][stored["first"]], vectors["vectors"][stored["second"]]
        plain = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
        np.testing.assert_allclose(stored["cosine"], plain, atol=1e-5)
        curve = metrics.error_curve(stored["cosine"], stored["is_same"])
    assert numbers["eer"]["value"] == pytest.approx(metrics.equal_error_rate(curve))


def test_all_pairs_of_a_manifest_are_normalized_by_a_cohort(run, corpus):
    manifest = corpus / "corpus" / "all.tsv"
    result, out = run("verify", manifest, "--norm", "as-norm", "--cohort", manifest, "--top", "3")
    assert result.exit_code == 0
    document = json.loads((out / "results.json").read_text())
    assert set(document["results"]) == {"cosine", "as-norm"}
    assert document["pairs"] == {"one_speaker": 12, "two_speakers": 54}
    assert document["cohort"] == {"name": "all.tsv", "speakers": 4, "top": 3}
    with np.load(out / "scores.npz", allow_pickle=False) as stored:
        assert np.isfinite(stored["as-norm"]).all()
    assert (out / "cohort.npz").is_file()


def test_the_same_command_again_embeds_nothing(run, corpus):
    command = ("verify", corpus / "veri_test.txt", "--audio", corpus / "corpus")
    _, out = run(*command)
    before = (out / "results.json").read_text()

    class NoEmbedder(Bands):
        embed_batch: Any = None

    assert run(*command, embedder=NoEmbedder())[0].exit_code == 0
    assert (out / "results.json").read_text() == before


def test_missing_and_silent_recordings_are_errors_or_counted(run, corpus):
    command = ("verify", corpus / "veri_test.txt", "--audio", corpus / "corpus")
    (corpus / "corpus/anna/0.wav").unlink()
    audio.write(corpus / "corpus/bob/0.wav", np.zeros(8000, np.float32))
    with pytest.raises(InputError, match=r"1 of 16 .*anna/0\.wav"):
        run(*command)
    result, out = run(*command, "--skip-missing")
    assert "1 missing and 1 silent" in result.stdout
    document = json.loads((out / "results.json").read_text())
    assert document["left_out"] == {"missing": 1, "silent": 1}
    assert document["pairs"] == {"one_speaker": 10, "two_speakers": 48}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["veri_test.txt"], "--audio"),
        (["corpus/all.tsv", "--audio", "corpus"], "--audio"),
        (["corpus/all.tsv", "--speakers", "corpus/all.tsv"], "--speakers"),
        (["corpus/all.tsv", "--norm", "as-norm"], "--cohort"),
        (["corpus/all.tsv", "--cohort", "corpus/all.tsv"], "--cohort"),
        (["corpus/all.tsv", "--split", "dev"], "split 'dev'"),
        (["corpus/all.tsv", "--split", "train"], "6 pairs"),
    ],
)
def test_wrong_combinations_name_the_option(run, corpus, monkeypatch, words, named):
    monkeypatch.chdir(corpus)
    with pytest.raises(InputError, match=named):
        run("verify", *words)


def test_crops_are_refused_for_encoders_of_whole_recordings(corpus):
    command = ["verify", str(corpus / "corpus/all.tsv"), "--crops", "5", "--encoder", "base"]
    with pytest.raises(InputError, match="--crops"):
        CliRunner().invoke(app, command, catch_exceptions=False)


def test_the_default_encoder_is_the_shipped_speaker_encoder():
    assert encoders.load_speaker_embedder(None).name == encoders.load_speaker_embedder("speaker").name == "speaker"
    assert encoders.load_speaker_embedder("base").name == "base"
    assert encoders.load_speaker_embedder(str(files("earmark") / "models" / "base.onnx")).name == "base"
    with pytest.raises(InputError, match=r"none.onnx"):
        encoders.load_speaker_embedder("none.onnx")
    with pytest.raises(InputError, match="crops"):
        encoders.load_speaker_embedder(None, crops=5)


@pytest.mark.parametrize("spoken", [True, False])
def test_pauses_are_cut_out_before_a_voice_is_embedded(say, hush, spoken):
    class Lengths:
        def embed_batch(self, waves):
            return np.array([[len(wave), 1] for wave in waves])

    speech = say("rise", before_s=0, after_s=0)
    paused = np.concatenate([hush(1), speech, hush(1)])
    encoder: Any = Lengths()
    voice = SpeakerEmbedder(encoder, spoken=spoken)
    lengths = voice.embed_batch([paused, hush(1)])[:, 0]
    assert lengths[1] == 16_000  # without speech, the whole recording is embedded
    assert lengths[0] < 1.5 * len(speech) if spoken else lengths[0] == len(paused)
    assert (voice.classes, voice.classify(lengths)) == ((), None)


def test_identify_writes_metrics_and_answers(run, corpus):
    result, out = run(
        "identify", corpus / "iden_split.txt", "--audio", corpus / "corpus", "--encoder", "run/best.safetensors"
    )
    assert result.exit_code == 0
    assert {path.name for path in out.iterdir()} == {"table.md", "results.json", "answers.tsv", "embeddings.npz"}
    document = json.loads((out / "results.json").read_text())
    assert list(document["result"]) == list(identification.METRICS)
    assert document["counts"] == {"recordings": 4, "speakers": 4, "classes": 4}
    assert document["result"]["top_5"]["value"] == 1
    rows = [line.split("\t") for line in (out / "answers.tsv").read_text().splitlines()[1:]]
    assert [row[1] for row in rows] == list(VOICES)
    right = [row[1] == row[2] for row in rows]
    assert [row[3] == "1" for row in rows] == right
    assert document["result"]["top_1"]["value"] == np.mean(right) == 1


def test_speakers_outside_the_classes_are_named(run, corpus):
    command = ["identify", corpus / "iden_split.txt", "--audio", corpus / "corpus", "--encoder", "best.safetensors"]
    with pytest.raises(InputError, match=r"carl/1\.wav"):
        run(*command, embedder=Bands(classes=("anna", "bob")))
    with pytest.raises(InputError, match="--encoder"):
        run(*command, embedder=Bands(classes=()))
    with pytest.raises(InputError, match="--encoder"):
        run(*command[:-1], "speaker.onnx")


def test_help_shows_examples():
    for command in ("identify", "verify"):
        assert f"Example: earmark evaluate {command}" in CliRunner().invoke(app, [command, "--help"]).stdout
