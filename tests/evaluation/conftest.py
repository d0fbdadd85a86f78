"""Real files and lists of stand-in words, small enough to run every protocol in seconds."""

import pytest

from earmark import audio

LABELS = ("rise", "fall", "other")


@pytest.fixture
def corpus(tmp_path, say):
    """Folders of lists and clips: two words and an impostor by four voices, two lists of k1 and one list of k2."""
    clips, lists = tmp_path / "clips", tmp_path / "tiny"
    lists.mkdir()
    rows = ["path\tspeaker\tlabel\tsplit\tduration_s"]
    for label in LABELS:
        (clips / label).mkdir(parents=True)
        for voice in range(4):
            wave = say(700, 650, seed=voice) if label == "other" else say(label, seed=voice)
            audio.write(clips / label / f"{voice}.wav", wave)
            rows.append(f"{label}/{voice}.wav\tvoice{voice}\t{label}\ttest\t1.4")
    (clips / "manifest.tsv").write_text("\n".join(rows) + "\n")
    for name, voices in {"k1_s0": [0], "k1_s1": [1], "k2_s0": [0, 1]}.items():
        enroll = [f"{label} {label}/{voice}.wav" for label in LABELS[:2] for voice in voices]
        test = [f"{label} {label}/{voice}.wav" for label in LABELS for voice in range(4) if voice not in voices]
        (lists / f"enroll_{name}.txt").write_text("\n".join(enroll) + "\n")
        (lists / f"test_{name}.txt").write_text("\n".join(test) + "\n")
    return lists, clips
