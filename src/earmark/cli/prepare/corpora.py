"""`earmark prepare speech-commands`, `musan`, `librispeech`: make manifests of corpora in their own layouts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.prepare.folder import counted
from earmark.cli.prepare.options import WORDS, ManifestOut, read_words
from earmark.core.errors import InputError
from earmark.core.progress import within

if TYPE_CHECKING:
    from earmark.data.corpora.download import RemoteArchive

Version = Literal["0.01", "0.02"]


@command(
    panel="Corpora in their own layout",
    example="earmark prepare speech-commands corpora/gsc --out corpora/gsc/manifest.tsv --download",
)
def speech_commands(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The corpus: folder of WORD/SPEAKER_nohash_NUMBER.wav.")
    ],
    out: ManifestOut,
    download: Annotated[
        bool, typer.Option("--download", help="Download and unpack the corpus into DIR, unless DIR has it.")
    ] = False,
    version: Annotated[
        Version | None,
        typer.Option(help="Version to download, 0.02 if not given; without --download, required version."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help=f"Words that keep their labels, {WORDS}; all others become _unknown_. All keep them if not given.",
        ),
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of the archive; Google's server if not given.")] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="SHA-256 of the archive; the published one if not given.")
    ] = None,
) -> None:
    """Make a manifest of Google Speech Commands 0.01 or 0.02, with its own split.

    Each speaker is in one of train, val and test, by the published hash. An interrupted download continues when the
    command is run again; the archive is checked before it is unpacked, and stays in DIR.
    """
    from earmark.data.corpora.speech_commands import find_version, keep_as_classes, read_speech_commands
    from earmark.data.manifest import write_manifest

    if download:
        _download(_archive(version or "0.02", url, sha256), directory)
    elif url or sha256:
        raise InputError(
            "--url and --sha256 describe the archive to download; give --download too", key="url" if url else "sha256"
        )
    manifest = read_speech_commands(directory)
    found = find_version(manifest)
    if version and found and found != version:
        raise InputError(f"{directory}: the corpus has version {found}, not {version}; name another folder or version")
    if keep is not None:
        manifest = keep_as_classes(manifest, read_words(keep, "--keep"))
    write_manifest(manifest, out)
    console.say(f"{out}: Speech Commands {found or 'of unknown version'}, {counted(manifest)}")


@command(
    panel="Corpora in their own layout", example="earmark prepare musan corpora/musan --out corpora/musan/manifest.tsv"
)
def musan(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The corpus: folder of music, noise and speech.")],
    out: ManifestOut,
) -> None:
    """Make a manifest of MUSAN: noise for augmentation, labeled music, noise or speech."""
    from earmark.data.corpora.musan import KINDS, read_musan
    from earmark.data.manifest import write_manifest

    manifest = read_musan(directory)
    write_manifest(manifest, out)
    kinds = ", ".join(f"{kind} {sum(clip.label == kind for clip in manifest)}" for kind in KINDS)
    console.say(f"{out}: {len(manifest)} recordings ({kinds})")


@command(
    panel="Corpora in their own layout",
    example="earmark prepare librispeech corpora/LibriSpeech --out corpora/LibriSpeech/manifest.parquet",
)
def librispeech(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The corpus: folder of train-clean-100 and so on, or one of them."),
    ],
    out: ManifestOut,
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

    archive = VERSIONS[version]
    if sha256 and sha256.lower() != archive.sha256:
        archive = replace(archive, sha256=sha256.lower(), size=None)
    return replace(archive, url=url) if url else archive


def _download(archive: "RemoteArchive", directory: Path) -> None:
    from earmark.data.corpora.speech_commands import download_speech_commands

    with console.progress_bar() as progress:
        download_speech_commands(archive, directory, progress=within(archive.name, progress))
