"""Clips of a simulation: all unlabeled, labeled and test clips, and the random sample that a repetition uses."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from earmark.core.errors import InputError, collected, raise_faults
from earmark.core.progress import Progress, no_progress
from earmark.data.manifest import Clip, Manifest
from earmark.training.batches.clip_bank import ClipBank
from earmark.training.nn.encoders.dense import DenseSettings
from earmark.training.spatial.features import POSITION_MEL, MelPower, compute_features
from earmark.training.spatial.settings import Sizes, SpatialData
from earmark.training.words.check import missing_recordings
from earmark.training.words.corpus import digest, is_packed, open_or_pack, selected, stamp_of

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
ListedClip = tuple[str, Clip, str]
"""Role of a clip, the clip, and the path of its recording."""


@dataclass(frozen=True)
class Pools:
    """All clips of a simulation with their features: unlabeled, labeled and test clips.

    The number of a clip is its row in ``mfcc``.

    Attributes:
        stamp: text that identifies the clips.
        classes: words of the labeled and test clips, sorted.
        paths: path of each clip's recording in its manifest, shape (n,).
        speakers: speaker of each clip, shape (n,).
        labels: number of each clip's class, shape (n,); -1 for unlabeled clips.
        unlabeled: numbers of the unlabeled clips, shape (u,).
        labeled: numbers of the labeled clips.
        test: numbers of the test clips; empty if each repetition draws test speakers from ``labeled``.
        mfcc: MFCC of all clips, shape (n, f · t), mapped into memory.
        mel: mel spectra of the unlabeled clips in their order, shape (u, 4096), mapped into memory.
    """

    stamp: str
    classes: tuple[str, ...]
    paths: NDArray[np.str_]
    speakers: NDArray[np.str_]
    labels: Ints
    unlabeled: Ints
    labeled: Ints
    test: Ints
    mfcc: Floats
    mel: Floats


@dataclass(frozen=True)
class Sample:
    """The clips that one repetition of a simulation draws at random.

    Attributes:
        unlabeled: indices into ``Pools.unlabeled``, sorted; the auto-encoders shuffle the clips.
        labeled: numbers of the labeled clips.
        test: numbers of the test clips.
    """

    unlabeled: Ints
    labeled: Ints
    test: Ints


def prepare_pools(data: SpatialData, encoder: DenseSettings, *, progress: Progress = no_progress) -> Pools:
    """Decode the clips of a simulation and compute their features, or open both if an earlier run has stored them.

    Args:
        data: sources of the clips.
        encoder: settings of the encoder, with its frontend and clip length.
        progress: counts packed clips and batches of features.

    Raises:
        InputError: a clip has two roles or no samples; there are fewer than two classes; or a manifest cannot be read.
    """
    listed, manifests = check_pools(data)
    folder = data.folder / "clips"
    bank = open_or_pack(manifests, folder, spoken=False, progress=progress)
    if len(bank) != len(listed):
        raise InputError(
            f"{data.folder}: {len(listed) - len(bank)} of {len(listed)} clips have no samples; check their times"
        )
    role = np.array([name for name, _, _ in listed])
    unlabeled = np.flatnonzero(role == "unlabeled")
    labeled, test = np.flatnonzero(role == "labeled"), np.flatnonzero(role == "test")
    if data.speakers == "drawn":
        labeled, test = np.sort(np.concatenate([labeled, test])), test[:0]
    clips = [clip for _, clip, _ in listed]
    classes = sorted({clips[number].label for number in np.concatenate([labeled, test])})
    number_of = {label: number for number, label in enumerate(classes)}
    labels = [-1 if name == "unlabeled" else number_of[clip.label] for name, clip, _ in listed]
    return Pools(
        stamp_of(folder),
        tuple(classes),
        np.array([clip.path for clip in clips]),
        np.array([clip.speaker for clip in clips]),
        np.array(labels),
        unlabeled,
        labeled,
        test,
        *_features(bank, unlabeled, encoder, data, progress),
    )


def check_pools(data: SpatialData) -> tuple[list[ListedClip], list[Manifest]]:
    """Check the manifests and recordings of the unlabeled, labeled and test clips, before clips are decoded.

    Returns:
        The clips with their roles and paths, in the order of the bank; and the manifests.

    Raises:
        InputError: a manifest or recording is missing, a clip has two roles, or there are fewer than two words; the
            error lists all faults.
    """
    faults: list[str] = []
    roles: dict[str, list[Manifest]] = {role: [] for role in data.roles}
    for role, sources in data.roles.items():
        for source in sources:
            with collected(faults, f"data.{role}"):
                roles[role].append(selected(source))
    manifests = [manifest for group in roles.values() for manifest in group]
    if not is_packed(manifests, data.folder / "clips"):
        for role, group in roles.items():
            faults += [f"data.{role}: {missing}" for manifest in group if (missing := missing_recordings(manifest))]
    listed: list[ListedClip] = []
    with collected(faults):
        listed = _listed(roles)
    classes = {clip.label for role in ("labeled", "test") for manifest in roles[role] for clip in manifest}
    are_read = all(len(roles[role]) == len(data.roles[role]) for role in ("labeled", "test"))
    if are_read and (len(classes) < 2 or "" in classes):
        faults.append(
            f"data.labeled: the labeled and test clips have {len(classes)} words; name clips of two words or more, "
            "each with a label"
        )
    raise_faults(faults)
    return listed, manifests


def _listed(roles: dict[str, list[Manifest]]) -> list[ListedClip]:
    """List the clips of all roles with their roles and the paths of their recordings, in the order of the clip bank.

    Raises:
        InputError: a clip has two roles.
    """
    listed = [
        (role, clip, str(manifest.locate(clip)))
        for role, manifests in roles.items()
        for manifest in manifests
        for clip in manifest
    ]
    listed.sort(key=lambda entry: (entry[2], entry[1].start_s))
    for (role, clip, place), (next_role, next_clip, next_place) in pairwise(listed):
        if (place, clip.start_s) == (next_place, next_clip.start_s):
            raise InputError(
                f"{place}: a clip is in data.{role} and in data.{next_role}; leave it out of one by split or exclude"
            )
    return listed


def _features(
    bank: ClipBank, unlabeled: Ints, encoder: DenseSettings, data: SpatialData, progress: Progress
) -> tuple[Floats, Floats]:
    # The features are in the folder of the bank, so that they are removed when the bank is packed again.
    folder = data.folder / "clips"
    mfcc = folder / f"features-{digest([encoder.frontend.model_dump_json(), str(encoder.length_s)])}.npy"
    mel = folder / f"mel-{digest([POSITION_MEL.model_dump_json(), str(encoder.length_s)])}.npy"
    everything = np.arange(len(bank))
    frontend = encoder.frontend.build()
    return (
        compute_features(bank, everything, frontend, mfcc, length_s=encoder.length_s, progress=progress),
        compute_features(bank, unlabeled, MelPower(), mel, length_s=encoder.length_s, progress=progress),
    )


def draw_sample(pools: Pools, sizes: Sizes, generator: np.random.Generator) -> Sample:
    """Draw the unlabeled, labeled and test clips of a repetition at random.

    Raises:
        InputError: there are fewer clips than `sizes` asks for; or speakers are to be drawn, but are unknown.
    """
    labeled, test = pools.labeled, pools.test
    if not len(test):
        labeled, test = _by_speakers(pools, generator)
    return Sample(
        np.sort(_some(np.arange(len(pools.unlabeled)), sizes.unlabeled, "unlabeled", generator)),
        _some(labeled, sizes.labeled, "labeled", generator),
        _some(test, sizes.test, "test", generator),
    )


def _by_speakers(pools: Pools, generator: np.random.Generator) -> tuple[Ints, Ints]:
    """Divide the labeled clips by speakers: return the clips of a random half of the speakers, and the other clips.

    Raises:
        InputError: there are fewer than two speakers, or a clip has no speaker.
    """
    speaker = pools.speakers[pools.labeled]
    names = np.unique(speaker)
    if len(names) < 2 or "" in names:
        raise InputError(
            "data.speakers: 'drawn' needs two speakers or more and a known speaker for each clip, which the labeled "
            "clips do not have; choose 'listed'"
        )
    chosen = np.isin(speaker, generator.permutation(names)[: len(names) // 2])
    return pools.labeled[chosen], pools.labeled[~chosen]


def _some(pool: Ints, count: int, role: str, generator: np.random.Generator) -> Ints:
    if count > len(pool):
        raise InputError(
            f"sizes.{role}: it is {count}, but there are {len(pool)} such clips; lower it, or set it to 0 for all"
        )
    return generator.permutation(pool)[: count or len(pool)]
