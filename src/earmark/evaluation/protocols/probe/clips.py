"""The clips that a probe is about: two lists, or a manifest with splits or speakers."""

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
    """Who may label and who may test.

    Attributes:
        name: for folders: the corpus.
        title: for pictures: the corpus, and what labels and what tests.
        folder: that paths start from.
        labeled: clips that labels are drawn from.
        test: clips that are told apart; None where the speakers of `labeled` are halved.
        speakers: by path.
    """

    name: str
    title: str
    folder: Path
    labeled: tuple[TrialClip, ...]
    test: tuple[TrialClip, ...] | None
    speakers: dict[str, str]

    def only(self, words: Collection[str]) -> "ProbeClips":
        """The clips that say one of the words.

        Raises:
            InputError: a word that nobody says.
        """
        test = None if self.test is None else keep_words(self.test, words)
        return replace(self, labeled=keep_words(self.labeled, words), test=test)

    def split(self, labels: Sequence[int | None], repetitions: int, seed: int) -> tuple[LabelSplit, ...]:
        """Draws from both lists, or from halves of the speakers; see `split_lists`, `split_speakers`."""
        if self.test is None:
            return split_speakers(self.labeled, self.speakers, labels=labels, repetitions=repetitions, seed=seed)
        return split_lists(self.labeled, self.test, labels=labels, repetitions=repetitions, seed=seed)


def read_lists(labeled: Path, test: Path, audio: Path) -> ProbeClips:
    """Clips from two lists whose paths start from a folder.

    Raises:
        InputError: a list that `earmark.data.lists.clip_lists.read_list` refuses.
    """
    first, second = read_list(labeled, audio=audio), read_list(test, audio=audio)
    speakers = speakers_of(audio, [clip.path for clip in (*first, *second)])
    name = labeled.resolve().parent.name
    return ProbeClips(name, f"{name}, {labeled.stem} → {test.stem}", audio, first, second, speakers)


def read_splits(
    path: Path, labeled: Sequence[str] = (), test: Sequence[str] = (), *, audio: Path | None = None
) -> ProbeClips:
    """Clips from a manifest.

    Args:
        path: of the manifest.
        labeled: splits that labels are drawn from; none: all but noise and responses of rooms.
        test: splits that are told apart; none: the speakers are halved.
        audio: folder that paths start from; None for the manifest's.

    Raises:
        InputError: a manifest that cannot be read, a split without a clip, or a clip that is no labeled whole file.
    """
    manifest, folder = read_manifest(path), audio or path.parent
    splits = labeled or sorted({clip.split for clip in manifest} - NOT_SPOKEN)
    first = _listed(manifest, splits, folder)
    second = _listed(manifest, test, folder) if test else None
    speaker = known_speakers(manifest, folder)
    speakers = {clip.path: speaker(clip.path) for clip in (*first, *(second or ()))}
    place = path.resolve()
    # Most manifests are called so, and it is their folder that is called like the corpus.
    name = place.parent.name if place.stem == "manifest" else place.stem
    title = f"{name}, {'+'.join(labeled)} → {'+'.join(test)}" if test else f"{name}, half of the speakers → the others"
    return ProbeClips(name, title, folder, first, second, speakers)


def _listed(manifest: Manifest, splits: Sequence[str], folder: Path) -> tuple[TrialClip, ...]:
    present = {clip.split for clip in manifest}
    for split in splits:
        if split not in present:
            raise InputError(f"no clip of the split {split!r}; the manifest has {', '.join(sorted(present))}")
    listed = listing_from(folder, manifest)
    return tuple(listed(clip) for clip in manifest.only(*splits))
