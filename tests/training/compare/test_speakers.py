"""A comparison of speaker encoders: identification of known speakers, and verification of unknown ones."""

import hashlib
import json
import warnings

import numpy as np
import pytest

from earmark import __version__, audio
from earmark.core.errors import InputError
from earmark.data.manifest import Clip, Manifest, write_manifest
from earmark.evaluation.embedders import Embedder
from earmark.evaluation.protocols import few_shot, identification, open_set, verification
from earmark.training.compare.evaluator import Evaluator
from earmark.training.compare.protocol import read_protocol
from earmark.training.compare.report import average_text
from earmark.training.compare.runs import plan_runs, train_runs
from earmark.training.compare.summary import Average
from earmark.training.export.checkpoint_embedder import load_embedder

RECIPE = """
checkpoint_every = 2
[data]
folder = "../packed"
words = [{ manifest = "../clips/manifest.tsv", split = "train" }]
classes = "speaker"
validation = [{ manifest = "../clips/manifest.tsv", split = "val" }]
known_validation = true
[scenes]
kind = "tiled_crop"
length_s = 0.5
"""
PROTOCOL = """
title = "Voices"
[[identification]]
name = "known voices"
list = "lists/iden_split.txt"
audio = "clips"
crops = 2

[[identification]]
name = "known voices, listed elsewhere"
manifest = "clips/manifest.tsv"
crops = 2

[[verification]]
name = "listed pairs"
pairs = "lists/veri_test.txt"
audio = "clips"
crops = 2

[[verification]]
name = "all pairs"
manifest = "clips/manifest.tsv"
split = "unseen"
backends = ["cosine", "as-norm"]
cohort = "clips/manifest.tsv"
cohort_clips = 2
"""
KNOWN = {"ann": (200, 900), "ben": (1200, 300), "cat": (500, 1500), "dan": (700, 720)}
UNKNOWN = {"eve": (250, 260), "fay": (1500, 1600), "gus": (900, 300)}


@pytest.fixture
def folder(tmp_path, monkeypatch, say, small):
    """Recipes, recordings and lists of a small comparison."""
    monkeypatch.chdir(tmp_path)
    for name in ("clips", "lists", "recipes"):
        (tmp_path / name).mkdir()
    clips = []
    for speaker, pitches in {**KNOWN, **UNKNOWN}.items():
        for number in range(7):
            split = (
                "unseen" if speaker in UNKNOWN else ("train", "train", "train", "val", "val", "test", "test")[number]
            )
            path = f"{speaker}_{number}.wav"
            audio.write(tmp_path / "clips" / path, say(*pitches, seconds=0.4 + 0.1 * number, seed=number))
            clips.append(Clip(path, speaker=speaker, label="hello", split=split))
    write_manifest(Manifest(tuple(clips), tmp_path / "clips"), "clips/manifest.tsv")
    columns = {"train": 1, "val": 2, "test": 3}
    listed = [f"{columns[clip.split]} {clip.path}" for clip in clips if clip.split in columns]
    (tmp_path / "lists" / "iden_split.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    pairs = ["1 eve_0.wav eve_1.wav", "0 eve_0.wav fay_0.wav", "1 gus_2.wav gus_0.wav", "0 fay_1.wav gus_0.wav"]
    (tmp_path / "lists" / "veri_test.txt").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    for name, loss in (("a-softmax", "a_softmax"), ("prototypes", "angular_prototypical")):
        (tmp_path / "recipes" / f"{name}.toml").write_text(
            f'name = "{name}"\n{RECIPE}{small}length_s = 0.5\n[loss]\nkind = "{loss}"\n'
        )
    (tmp_path / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    return tmp_path


@pytest.fixture
def trained(folder):
    """Checkpoints of both systems, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        runs = plan_runs([folder / "recipes"], [1], folder / "out")
        list(train_runs(runs, device="cpu"))
    return {run.system: run.folder / "best.safetensors" for run in runs}


def test_losses_are_rows_of_one_report_about_speakers(folder, compare):
    code, _, errors = compare("recipes", "--seeds", "2")
    assert code == 0, errors
    report = (folder / "out" / "report.md").read_text(encoding="utf-8")
    for line in (
        "## known voices: speaker identification",
        "| system | back-end | top-1 accuracy (%) | top-5 accuracy (%) |",
        "## all pairs: speaker verification",
        "| system | back-end | EER (%) | minDCF, prior 0.01 | minDCF, prior 0.001 |",
        "| a-softmax | classifier |",
        "| prototypes | cosine |",
        "| prototypes | as-norm |",
        "(dots-1.png)",
        "(det-3.png)",
        "## Learning",
    ):
        assert line in report
    assert "| prototypes | classifier |" not in report
    assert "(det-1.png)" not in report
    results = json.loads((folder / "out" / "results.json").read_text(encoding="utf-8"))["results"]
    assert len(results) == 2 + 2 * 3
    costs = next(row["numbers"] for row in results if row["condition"] == "speaker verification")
    assert list(costs) == list(verification.METRICS)
    assert len(costs["min_dcf_0_01"]["seeds"]) == 2


def test_numbers_are_those_of_the_evaluations(folder, trained):
    evaluator = Evaluator(read_protocol(folder / "protocol.toml"))
    found = {(one.test, one.backend): one.numbers for one in evaluator.evaluate(trained["a-softmax"])}
    clips = folder / "clips"

    def embedded(names, crops):
        embedder = load_embedder(trained["a-softmax"], crops=crops)
        return embedder, embedder.embed_batch([audio.read(clips / f"{name}.wav") for name in names])

    speakers = [speaker for speaker in KNOWN for _ in range(2)]
    embedder, rows = embedded([f"{speaker}_{number}" for speaker in KNOWN for number in (5, 6)], 2)
    expected = identification.compute_metrics(embedder.classify(rows), embedder.classes, speakers)
    for name in ("known voices", "known voices, listed elsewhere"):
        assert found[name, "classifier"] == {key: number.value for key, number in expected.items()}

    _, rows = embedded(["eve_0", "eve_1", "fay_0", "gus_2", "gus_0", "fay_1"], 2)
    pairs = verification.Pairs(np.array([0, 0, 3, 5]), np.array([1, 2, 4, 4]), np.array([1, 0, 1, 0], bool))
    expected = verification.compute_metrics(verification.score_pairs(rows, pairs), pairs, [""] * 6)
    assert found["listed pairs", "cosine"] == pytest.approx({key: one.value for key, one in expected.items()})

    speakers = [speaker for speaker in UNKNOWN for _ in range(7)]
    _, rows = embedded([f"{speaker}_{number}" for speaker in UNKNOWN for number in range(7)], 0)
    pairs = verification.every_pair(speakers)
    _, others = embedded([f"{speaker}_{number}" for speaker in KNOWN for number in (0, 1)], 0)
    means = (others / np.linalg.norm(others, axis=1, keepdims=True)).reshape(4, 2, -1).mean(axis=1)
    for backend, scores in {
        "cosine": verification.score_pairs(rows, pairs),
        "as-norm": verification.as_norm(rows, pairs, means),
    }.items():
        expected = verification.compute_metrics(scores, pairs, speakers)
        assert found["all pairs", backend] == pytest.approx({key: one.value for key, one in expected.items()})


def test_a_recording_is_embedded_once_for_all_tests_with_the_same_crops(folder, trained):
    counts: dict[tuple[int, int], int] = {}

    def counting(checkpoint, *, crops=0, seed=0):
        embedder = load_embedder(checkpoint, crops=crops, seed=seed)

        class Counting:
            fingerprint, classes, classify = embedder.fingerprint, embedder.classes, staticmethod(embedder.classify)

            @staticmethod
            def embed_batch(waves):
                counts[crops, seed] = counts.get((crops, seed), 0) + len(waves)
                return embedder.embed_batch(waves)

        return Counting

    Evaluator(read_protocol(folder / "protocol.toml"), load=counting).evaluate(trained["a-softmax"])
    # Two test clips of each known voice and six clips in pairs; those of the unknown voices and of the cohort.
    assert counts == {(2, 0): 2 * 4 + 6, (0, 0): 7 * 3 + 2 * 4}
    # Another test costs only what no other test names.
    (folder / "protocol.toml").write_text(PROTOCOL.replace("cohort_clips = 2", "cohort_clips = 3"), encoding="utf-8")
    Evaluator(read_protocol(folder / "protocol.toml"), load=counting).evaluate(trained["a-softmax"])
    assert counts == {(2, 0): 2 * 4 + 6, (0, 0): 7 * 3 + 3 * 4}


def test_results_are_kept_until_a_list_or_a_test_changes(folder, trained):
    checkpoint = trained["prototypes"]
    first = Evaluator(read_protocol(folder / "protocol.toml")).evaluate(checkpoint)

    def refuse(*_: object, **__: object) -> Embedder:
        raise AssertionError("evaluated again")

    assert Evaluator(read_protocol(folder / "protocol.toml"), load=refuse).evaluate(checkpoint) == first
    for path, old, new in (
        ("lists/veri_test.txt", "0 eve_0.wav", "0 eve_2.wav"),
        ("protocol.toml", "cohort_clips = 2", "cohort_clips = 1"),
    ):
        kept = (folder / path).read_text(encoding="utf-8")
        (folder / path).write_text(kept.replace(old, new), encoding="utf-8")
        with pytest.raises(AssertionError, match="evaluated again"):
            Evaluator(read_protocol(folder / "protocol.toml"), load=refuse).evaluate(checkpoint)
        (folder / path).write_text(kept, encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('list = "lists/iden_split.txt"\n', ""), "identification.0: list: "),
        (('name = "listed pairs"', 'name = "x"\nmanifest = "m.tsv"'), "verification.0: pairs: "),
        (('txt"\naudio = "clips"', 'txt"'), "identification.0: audio: "),
        (('cohort = "clips/manifest.tsv"\n', ""), "verification.1: cohort: "),
        (("crops = 2", "crop = 2"), "no such key; did you mean 'crops'?"),
    ],
)
def test_a_test_with_missing_or_contradicting_keys_is_refused(folder, change, message):
    old, new = change
    (folder / "wrong.toml").write_text(PROTOCOL.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_protocol(folder / "wrong.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        (
            "lists/iden_split.txt",
            ("3 ann_5.wav", "3 ann_9.wav"),
            "1 of 8 recordings are not in .*, the first ann_9.wav",
        ),
        ("lists/iden_split.txt", ("3 ", "1 "), "'3 path'"),
        ("lists/veri_test.txt", ("0 ", "1 "), "every line begins with 1"),
        ("lists/veri_test.txt", ("eve_0.wav", "eve_9.wav"), "1 of 6 recordings are not in .*, the first eve_9.wav"),
        (
            "protocol.toml",
            ('"unseen"', '"strange"'),
            "split 'strange'",
        ),
    ],
)
def test_wrong_lists_stop_before_any_training(folder, path, change, message):
    text = (folder / path).read_text(encoding="utf-8")
    (folder / path).write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        Evaluator(read_protocol(folder / "protocol.toml"))


def test_results_of_a_protocol_without_speakers_are_kept_under_the_stamp_of_earlier_versions(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"weights")
    (tmp_path / "protocol.toml").write_text('title = "Words"\n', encoding="utf-8")
    counted = repr((__version__, list(few_shot.METRICS), list(open_set.METRICS))).encode()
    parts = b"weights", b'{"title":"Words","few_shot":[],"open_set":[]}', counted
    stamp = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    row = {"test": "a", "condition": "k1", "backend": "svm", "numbers": {"eer": 0.5}, "curve": [[], []]}
    (tmp_path / "judged.json").write_text(json.dumps({"stamp": stamp, "verdicts": [row]}), encoding="utf-8")
    (result,) = Evaluator(read_protocol(tmp_path / "protocol.toml")).evaluate(tmp_path / "checkpoint")
    assert result.numbers == {"eer": 0.5}


def test_costs_are_not_shown_in_percent():
    average = Average((0.4, 0.5))
    assert average_text(average, percent=False) == "0.450 ± 0.635"
