"""Google Speech Commands in its published layout, `yes/0a7c2a8d_nohash_0.wav`, with the published splits.

P. Warden, “Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition”, arXiv:1804.03209. CC BY 4.0.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

from earmark.core.errors import InputError
from earmark.core.progress import Progress, no_progress
from earmark.data.corpora.download import RemoteArchive, fetch
from earmark.data.corpora.folder import read_folder
from earmark.data.manifest import Clip, Manifest
from earmark.data.silence import SILENCE

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The ten words that are the classes of common tasks; the task of twelve classes adds `SILENCE` and `UNKNOWN`."""

UNKNOWN = "_unknown_"

WORD_GROUPS = {
    "gsc/pre-defined": COMMANDS,
    "gsc/unknown": (
        *("backward", "bed", "bird", "cat", "dog", "follow", "forward", "happy"),
        *("house", "learn", "marvin", "sheila", "tree", "visual", "wow"),
    ),
    "gsc/user-defined": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
}
"""The 35 words by their use in Jung et al. (arXiv:2211.00439).

Pre-defined words are for training, unknown words for training and as impostors, user-defined words for enrollment.
"""

VERSIONS = {
    "0.01": RemoteArchive(
        url="https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.01.tar.gz",
        sha256="743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        size=1_489_096_277,
    ),
    "0.02": RemoteArchive(
        url="https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        size=2_428_923_189,
    ),
}
"""Archives by version; torchaudio and TensorFlow Datasets check the same SHA-256."""

_NEW_IN_0_02 = frozenset({"backward", "follow", "forward", "learn", "visual"})
_WORDS_OF_0_01 = frozenset(word for words in WORD_GROUPS.values() for word in words) - _NEW_IN_0_02

# Constant of the published hash: more clips than any word has.
_MOST_CLIPS = 2**27 - 1
_VAL_PERCENT, _TEST_PERCENT = 10, 10


def split_of(path: str) -> str:
    """The split of a recording by the published hash of its speaker, the part of the name before `_nohash_`.

    >>> split_of("bed/026290a7_nohash_0.wav")
    'val'
    """
    speaker = re.sub(r"_nohash_.*$", "", path.rpartition("/")[2])
    digest = int(sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16)
    percent = digest % (_MOST_CLIPS + 1) * (100 / _MOST_CLIPS)
    if percent < _VAL_PERCENT:
        return "val"
    return "test" if percent < _VAL_PERCENT + _TEST_PERCENT else "train"


def read_speech_commands(folder: str | Path) -> Manifest:
    """Make a manifest of Speech Commands, version 0.01 or 0.02, or of its separate test set, in any audio format.

    The splits come from validation_list.txt and testing_list.txt or, without these lists, from the hash that made them.
    `_background_noise_` gets the split noise; `_silence_` and `_unknown_`, which only the test set has, get test.

    Returns:
        Clips in the order of their paths.

    Raises:
        InputError: the folder is missing, or has another layout than Speech Commands.

    Warns:
        UserWarning: the lists and the hash differ; the lists are used.
    """
    folder = Path(folder)
    found = read_folder(folder)
    _check_layout(found)
    clips = tuple(
        replace(clip, split="test" if clip.label in (SILENCE, UNKNOWN) else clip.split or split_of(clip.path))
        for clip in found
    )
    differing = [
        clip for clip in clips if clip.speaker and not clip.label.startswith("_") and clip.split != split_of(clip.path)
    ]
    if differing:
        first = differing[0]
        warnings.warn(
            f"{folder}: its lists and the published hash differ for {len(differing)} clips, such as {first.path}:"
            f" {first.split} in the list, {split_of(first.path)} by the hash; the lists are used",
            stacklevel=2,
        )
    return Manifest(clips, folder)


def find_version(manifest: Manifest) -> str | None:
    """The version of Speech Commands in a manifest: '0.01', '0.02', or None if it has too few words to tell.

    >>> find_version(Manifest((Clip("visual/a_nohash_0.wav", label="visual"),)))
    '0.02'
    """
    labels = {clip.label for clip in manifest}
    if labels & _NEW_IN_0_02:
        return "0.02"
    readme = manifest.folder / "README.md"
    if readme.is_file():
        # The first match is in the title; the text of version 0.01 names the newer version too.
        named = re.search(r"v(0\.0\d)", readme.read_text(encoding="utf-8", errors="replace"))
        if named and named[1] in VERSIONS:
            return named[1]
    return "0.01" if labels >= _WORDS_OF_0_01 else None


def keep_as_classes(manifest: Manifest, words: Sequence[str] = COMMANDS) -> Manifest:
    """Keep the labels in `words`, and relabel all other spoken words as `_unknown_`, as in the task of twelve classes.

    >>> kept = keep_as_classes(Manifest((Clip("yes/a.wav", label="yes"), Clip("bed/a.wav", label="bed"))))
    >>> [clip.label for clip in kept]
    ['yes', '_unknown_']
    """
    kept = {*words, SILENCE}

    def renamed(clip: Clip) -> Clip:
        return clip if clip.split == "noise" or clip.label in kept else replace(clip, label=UNKNOWN)

    return replace(manifest, clips=tuple(map(renamed, manifest.clips)))


def download_speech_commands(archive: RemoteArchive, folder: Path, *, progress: Progress = no_progress) -> bool:
    """Download and unpack an archive of `VERSIONS`, unless that is done already.

    Returns:
        Whether anything was downloaded or unpacked.
    """
    # Every version has this list; `fetch` moves it into place last.
    return fetch(archive, folder, last="testing_list.txt", progress=progress)


def _check_layout(found: Manifest) -> None:
    named = [clip.path for clip in found if "_nohash_" in clip.path]
    if not named:
        raise InputError(
            f"{found.folder}: not Speech Commands, which has WORD/SPEAKER_nohash_NUMBER.wav; read recordings with other"
            " names as a folder (earmark prepare folder)"
        )
    deep = next((path for path in named if path.count("/") != 1), None)
    if deep is not None:
        home = found.folder.joinpath(*deep.split("/")[:-2]) if "/" in deep else found.folder.parent
        raise InputError(f"{found.folder}: {deep} is not WORD/FILE; use the folder above the words, perhaps {home}")
