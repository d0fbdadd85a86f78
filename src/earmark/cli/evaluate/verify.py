"""`earmark evaluate verify`: is it the same speaker?"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.cli import console
from earmark.cli.evaluate import encoders as judged
from earmark.cli.extras import needs
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from earmark.evaluation.embedding_cache import Embeddings, Silence
    from earmark.evaluation.protocols.speaker_trials import SpeakerTrials

EXAMPLE = (
    "Example: [bold]earmark evaluate verify veri_test.txt --audio corpora/voxceleb1 "
    "--encoder runs/speakers/best.safetensors[/bold]"
)


class Norm(StrEnum):
    """What is done to scores."""

    none = "none"
    as_norm = "as-norm"


def verify(
    trials: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS|MANIFEST",
            help="A list such as veri_test.txt, lines '1 path path' and '0 path path'; or a manifest (.tsv, .parquet), "
            "of which all pairs of a split are compared.",
            show_default=False,
        ),
    ],
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder that the paths in a list start from.", show_default="the manifest's folder"
        ),
    ] = None,
    encoder: judged.VoiceName = None,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Compare all pairs of the recordings that a list of pairs names.")
    ] = False,
    split: Annotated[str, typer.Option(help="Split of a manifest.")] = "test",
    crops: judged.Crops = 0,
    norm: Annotated[
        Norm, typer.Option(help="as-norm: each score in the scale of what both recordings score against strangers.")
    ] = Norm.none,
    cohort: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST", help="Strangers for --norm, as a rule the training speakers.", show_default="none"
        ),
    ] = None,
    cohort_split: Annotated[str, typer.Option(help="Split of the cohort.")] = "train",
    cohort_clips: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many recordings of each stranger are averaged.", show_default="all"),
    ] = None,
    top: Annotated[int, typer.Option(min=2, help="Strangers that a recording is most like, for --norm.")] = 300,
    speakers: judged.Speakers = None,
    spoken: judged.Spoken = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out missing and silent recordings, and say how many.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Results folder; runs/verify-<list>-<encoder> unless given.")] = None,
    seed: Annotated[int, typer.Option(help="Of the crops, and of the bootstrap over speakers.")] = 0,
) -> None:
    """Compare pairs of recordings; writes table.md, results.json, embeddings.npz, scores.npz and three pictures.

    The same command again goes on where it was stopped, and does not embed again what embeddings.npz holds.
    """
    if (norm is Norm.as_norm) != (cohort is not None):
        raise InputError("--norm as-norm and --cohort MANIFEST: give both, or none of them")
    with needs("plots"):
        from earmark.evaluation.protocols import speaker_trials, verification
        from earmark.evaluation.reports import plots as pictures
        from earmark.evaluation.reports import speakers as speaker_report

    import numpy as np

    tested = _read(trials, audio, split, speakers, all_pairs=all_pairs, skip=skip_missing)
    embedder = judged.load_voice(encoder, spoken=spoken, crops=crops, seed=seed)
    out = out or Path("runs") / f"verify-{trials.stem}-{embedder.name}"
    out.mkdir(parents=True, exist_ok=True)
    key = judged.key(embedder, crops=crops, seed=seed, spoken=spoken)

    def embed(name: str, heard: "SpeakerTrials") -> "Embeddings":
        silence: Silence = "skip" if skip_missing else "refuse"
        return judged.embed_into(out / name, heard.places, embedder, key=key, speakers=heard.speakers, silence=silence)

    found = embed("embeddings.npz", tested)
    names = [tested.speakers[path] for path in found.paths]
    pairs = tested.pairs(found.paths)
    scores = {"cosine": verification.score_pairs(found.vectors, pairs)}
    strangers: list[str] = []
    if cohort is not None:
        others = speaker_trials.read_manifest_trials(
            cohort, cohort_split, of_each=cohort_clips, skip_missing=skip_missing
        )
        heard = embed("cohort.npz", others)
        strangers, means = verification.mean_directions(heard.vectors, [others.speakers[path] for path in heard.paths])
        scores["as-norm"] = verification.as_norm(
            found.vectors, pairs, means, top, speakers=names, cohort_speakers=strangers
        )
    arrays: dict[str, Any] = {"first": pairs.first, "second": pairs.second, "is_same": pairs.is_same, **scores}
    np.savez(out / "scores.npz", **arrays)

    with console.progress_bar() as progress:
        progress("measuring", 0, None)
        results = {
            kind: verification.compute_metrics(values, pairs, names, np.random.default_rng(seed))
            for kind, values in scores.items()
        }
        title = f"{embedder.name} on {trials.name}"
        pictures.draw_verification(out, scores, pairs.is_same, title=title)
    table = speaker_report.verification_table({(embedder.name, kind): numbers for kind, numbers in results.items()})
    (out / "table.md").write_text(table, encoding="utf-8")
    same = int(pairs.is_same.sum())
    speaker_report.write_verification_results(
        out / "results.json",
        results,
        command=["earmark", *sys.argv[1:]],
        encoder=embedder.name,
        fingerprint=embedder.fingerprint,
        lists=trials.name,
        about={
            "crops": crops,
            "seed": seed,
            "recordings": len(names),
            "speakers": len(set(names) - {""}),
            "pairs": {"one_speaker": same, "two_speakers": len(pairs) - same},
            "left_out": {"missing": len(tested.missing), "silent": len(found.silent)},
            "cohort": {"name": cohort.name, "speakers": len(strangers), "top": top} if cohort else None,
        },
    )
    if skip_missing:
        console.say(f"left out: {len(tested.missing)} missing and {len(found.silent)} silent recordings")
    rows = [
        [kind, *(speaker_report.verification_text(key, numbers[key]) for key in verification.METRICS)]
        for kind, numbers in results.items()
    ]
    title = f"{title}: {same} pairs of one speaker, {len(pairs) - same} of two"
    console.print_table(["score", *(f">{column}" for column in speaker_report.VERIFICATION_COLUMNS)], rows, title)
    console.say(f"wrote {out}")


def _read(
    trials: Path, audio: Path | None, split: str, speakers: Path | None, *, all_pairs: bool, skip: bool
) -> "SpeakerTrials":
    from earmark.evaluation.protocols.speaker_trials import read_manifest_trials, read_verification

    if trials.suffix in {".tsv", ".parquet"}:
        if audio is not None or speakers is not None:
            raise InputError(
                f"--audio and --speakers: for lists of pairs; {trials} says itself where files lie and who speaks, so "
                "leave them out"
            )
        return read_manifest_trials(trials, split, skip_missing=skip)
    if audio is None:
        raise InputError(f"--audio FOLDER: say where the paths in {trials} start from")
    return read_verification(trials, audio, all_pairs=all_pairs, manifest=speakers, skip_missing=skip)
