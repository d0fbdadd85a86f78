"""`earmark prepare speech-commands`, `musan`, `librispeech`: manifests of corpora in their own layouts."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.prepare import options as words
from earmark.cli.prepare.folder import counted
from earmark.core.errors import InputError
from earmark.core.progress import within

if TYPE_CHECKING:
    from earmark.data.corpora.download import RemoteArchive

SPEECH_COMMANDS_EXAMPLE = (
    "Example: [bold]earmark prepare speech-commands corpora/gsc --out corpora/gsc/manifest.tsv --download[/bold]"
)
MUSAN_EXAMPLE = "Example: [bold]earmark prepare musan corpora/musan --out corpora/musan/manifest.tsv[/bold]"
LIBRISPEECH_EXAMPLE = (
    "Example: [bold]earmark prepare librispeech corpora/LibriSpeech --out corpora/LibriSpeech/manifest.parquet[/bold]"
)

Out = Annotated[Path, typer.Option(help="The manifest to write: .tsv or .parquet.", show_default=False)]


class Version(StrEnum):
    """The versions of Speech Commands."""

    first = "0.01"
    second = "0.02"


def speech_commands(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The corpus: WORD/SPEAKER_nohash_NUMBER.wav in it.", show_default=False),
    ],
    out: Out,
    download: Annotated[
        bool, typer.Option("--download", help="Download and unpack it into DIR, unless it is there already.")
    ] = False,
    version: Annotated[
        Version | None, typer.Option(help="The version to download, or to insist on.", show_default="0.02")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help=f"Words that keep their labels, {words.WORDS}; all others become _unknown_.",
            show_default="all",
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Download from here.", show_default="Google's server")] = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="SHA-256 of the archive.", show_default="that of the published one"),
    ] = None,
) -> None:
    """Make a manifest of Google Speech Commands 0.01 or 0.02, with its own split.

    Each speaker is in one of train, val and test, by the published hash. A download that was interrupted goes on
    when the command is given again; the archive is checked before it is unpacked, and stays in DIR.
    """
    from earmark.data.corpora.speech_commands import find_version, keep_as_classes, read_speech_commands
    from earmark.data.manifest import write_manifest

    if download:
        _download(_archive(version or Version.second, url, sha256), directory)
    elif url or sha256:
        raise InputError("--url and --sha256: for --download only")
    manifest = read_speech_commands(directory)
    found = find_version(manifest)
    if version and found and found != version:
        raise InputError(f"{directory}: holds version {found}, not {version}; name another folder or version")
    if keep is not None:
        manifest = keep_as_classes(manifest, words.read_words(keep, "--keep"))
    write_manifest(manifest, out)
    console.say(f"{out}: Speech Commands {found or 'of unknown version'}, {counted(manifest)}")


def musan(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The corpus: music, noise and speech in it.", show_default=False)
    ],
    out: Out,
) -> None:
    """Make a manifest of MUSAN: noise for augmentation, labeled music, noise or speech."""
    from earmark.data.corpora.musan import KINDS, read_musan
    from earmark.data.manifest import write_manifest

    manifest = read_musan(directory)
    write_manifest(manifest, out)
    kinds = ", ".join(f"{kind} {sum(clip.label == kind for clip in manifest)}" for kind in KINDS)
    console.say(f"{out}: {len(manifest)} recordings ({kinds})")


def librispeech(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The corpus: train-clean-100 and so on in it, or one of them.", show_default=False
        ),
    ],
    out: Out,
) -> None:
    """Make a manifest of LibriSpeech: sentences with speaker and transcript; dev becomes val."""
    from earmark.data.corpora.librispeech import read_librispeech
    from earmark.data.manifest import write_manifest

    manifest = read_librispeech(directory)
    write_manifest(manifest, out)
    splits = sorted({clip.split for clip in manifest})
    by_split = ", ".join(f"{split} {len(manifest.only(split))}" for split in splits)
    speakers = len({clip.speaker for clip in manifest})
    console.say(f"{out}: {len(manifest)} sentences ({by_split}), {speakers} speakers")


def _archive(version: Version, url: str | None, sha256: str | None) -> "RemoteArchive":
    from dataclasses import replace

    from earmark.data.corpora.speech_commands import VERSIONS

    archive = VERSIONS[version.value]
    if sha256 and sha256.lower() != archive.sha256:
        archive = replace(archive, sha256=sha256.lower(), size=None)
    return replace(archive, url=url) if url else archive


def _download(archive: "RemoteArchive", directory: Path) -> None:
    from earmark.data.corpora.speech_commands import download_speech_commands

    with console.progress_bar() as progress:
        download_speech_commands(archive, directory, progress=within(archive.name, progress))
