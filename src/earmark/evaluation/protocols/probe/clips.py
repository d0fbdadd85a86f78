"""Clips of a probe: from two lists, or from a manifest with splits or speakers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from earmark.core.errors import InputError
from earmark.data.lists.clip_lists import known_speakers, listing_from, read_list
from earmark.data.manifest import Manifest, read_manifest
from earmark.evaluation.protocols.probe.splits import LabelSplit, keep_words, split_lists, split_speakers
from earmark.evaluation.protocols.trials import TrialClip, speakers_of

NOT_SPOKEN = frozenset({"noise", "rir"})


@dataclass(frozen=True)
class ProbeClips:
    """Training and test clips.

    Attributes:
        name: name of the corpus, for names of folders.
        title: title of plots, with the corpus, the training clips and the test clips.
        folder: folder that paths are relative to.
        labeled: clips that training clips are drawn from.
        test: test clips; None if each repetition tests on half of the speakers in `labeled`.
        speakers: speaker by path.
    """

    name: str
    title: str
    folder: Path
    labeled: tuple[TrialClip, ...]
    test: tuple[TrialClip, ...] | None
    speakers: dict[str, str]

    def only(self, words: Collection[str]) -> "ProbeClips":
        """Keep only the clips of some words.

        Raises:
            InputError: a word has no clip.
        """
        test = None if self.test is None else keep_words(self.test, words)
        return replace(self, labeled=keep_words(self.labeled, words), test=test)

    def split(self, labels: Sequence[int | None], repetitions: int, seed: int) -> tuple[LabelSplit, ...]:
        """Draw training and test clips of each repetition by `split_lists` or, without test clips, `split_speakers`."""
        if self.test is None:
            return split_speakers(self.labeled, self.speakers, labels=labels, repetitions=repetitions, seed=seed)
        return split_lists(self.labeled, self.test, labels=labels, repetitions=repetitions, seed=seed)


def read_lists(labeled: Path, test: Path, audio: Path) -> ProbeClips:
    """Read the clips of two lists.

    Args:
        labeled: list of the clips that training clips are drawn from.
        test: list of the test clips.
        audio: folder that the paths in the lists are relative to.

    Raises:
        InputError: as in `earmark.data.lists.clip_lists.read_list`.
    """
    first, second = read_list(labeled, audio=audio), read_list(test, audio=audio)
    speakers = speakers_of(audio, [clip.path for clip in (*first, *second)])
    name = labeled.resolve().parent.name
    return ProbeClips(name, f"{name}, {labeled.stem} → {test.stem}", audio, first, second, speakers)


def read_splits(
    path: Path, labeled: Sequence[str] = (), test: Sequence[str] = (), *, audio: Path | None = None
) -> ProbeClips:
    """Read the clips of a manifest.

    Args:
        path: the manifest.
        labeled: splits that training clips are drawn from; if empty, all but noise and room responses.
        test: splits of the test clips; if empty, each repetition tests on half of the speakers.
        audio: folder that paths are relative to; None for the folder of the manifest.

    Raises:
        InputError: the manifest cannot be read, a split has no clip, or a clip has no label or is a part of a file.
    """
    manifest, folder = read_manifest(path), audio or path.parent
    splits = labeled or sorted({clip.split for clip in manifest} - NOT_SPOKEN)
    first = _listed(manifest, splits, folder)
    second = _listed(manifest, test, folder) if test else None
    speaker = known_speakers(manifest, folder)
    speakers = {clip.path: speaker(clip.path) for clip in (*first, *(second or ()))}
    file = path.resolve()
    # Most manifests are called `manifest`, in a folder with the name of the corpus.
    name = file.parent.name if file.stem == "manifest" else file.stem
    title = f"{name}, {'+'.join(labeled)} → {'+'.join(test)}" if test else f"{name}, half of the speakers → the others"
    return ProbeClips(name, title, folder, first, second, speakers)


def _listed(manifest: Manifest, splits: Sequence[str], folder: Path) -> tuple[TrialClip, ...]:
    present = {clip.split for clip in manifest}
    for split in splits:
        if split not in present:
            raise InputError(f"split {split!r} has no clips; choose one of {', '.join(sorted(present))}")
    listed = listing_from(folder, manifest)
    return tuple(listed(clip) for clip in manifest.only(*splits))
