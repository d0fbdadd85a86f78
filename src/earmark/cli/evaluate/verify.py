"""`earmark evaluate verify`: measure speaker verification on pairs of recordings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.evaluate import encoders
from earmark.cli.evaluate.results import OutOption, identity, print_results, results_folder, write_report
from earmark.cli.settings import options_from
from earmark.core.errors import InputError, needs
from earmark.core.progress import follow

if TYPE_CHECKING:
    from earmark.evaluation.embedders import Embedder, Floats
    from earmark.evaluation.embedding_cache import Embeddings
    from earmark.evaluation.protocols.speaker_trials import SpeakerTrials, VerificationSettings
    from earmark.evaluation.protocols.verification import Pairs


TrialsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PAIRS|MANIFEST",
        help="A list such as veri_test.txt with lines '1 path path' and '0 path path'; or a manifest (.tsv, .parquet), "
        "where all pairs of a split are compared.",
    ),
]


@command(
    panel="Speakers",
    example="earmark evaluate verify veri_test.txt --audio corpora/voxceleb1 --encoder runs/speakers/best.safetensors",
)
@options_from(
    "earmark.evaluation.protocols.speaker_trials:VerificationSettings",
    flags={"skip_missing": "--skip-missing", "all_pairs": "--all-pairs"},
)
def verify(
    trials: TrialsArgument,
    settings: "VerificationSettings",
    audio: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder that the paths in a list are relative to; not for a manifest."),
    ] = None,
    encoder: encoders.SpeakerEncoderOption = None,
    cohort: Annotated[
        Path | None,
        typer.Option(metavar="MANIFEST", help="Cohort speakers for --norm as-norm, usually the training speakers."),
    ] = None,
    speakers: encoders.SpeakersOption = None,
    spoken: encoders.SpokenOption = None,
    out: OutOption = None,
) -> None:
    """Verify whether the two recordings of each pair have the same speaker.

    Writes table.md, results.json, embeddings.npz, scores.npz and three plots. The same command continues interrupted
    work, and reuses the embeddings in embeddings.npz.
    """
    _check(settings, cohort)
    with needs("evaluate"):
        from earmark.evaluation.protocols import verification
        from earmark.evaluation.reports import plots
        from earmark.evaluation.reports import speakers as report

    import numpy as np

    from earmark.core.arrays import write_arrays

    tested = _read(trials, audio, speakers, settings)
    embedder = encoders.load_speaker_embedder(encoder, spoken=spoken, crops=settings.crops, seed=settings.seed)
    folder = results_folder(out, "verify", trials.stem, embedder.name)
    found = _embed(folder / "embeddings.npz", tested, embedder, settings, spoken)
    pairs = tested.pairs(found.paths)
    names = [tested.speakers[path] for path in found.paths]
    scores, about = {"cosine": verification.score_pairs(found.vectors, pairs)}, None
    if cohort is not None:
        scores["as-norm"], about = _normalized(folder, cohort, found, names, pairs, embedder, settings, spoken)
    write_arrays(folder / "scores.npz", {**vars(pairs), **scores})

    title = f"{embedder.name} on {trials.name}"
    results = {}
    with console.progress_bar() as progress:
        for kind, values in follow(scores.items(), "computing metrics", progress):
            rng = np.random.default_rng(settings.seed)
            results[kind] = verification.compute_metrics(values, pairs, names, rng)
        plots.draw_verification(folder, scores, pairs.is_same, title=title)
    facts = _facts(tested, found, pairs, settings) | {"cohort": about}
    document = {**facts, **report.verification_document(results)}
    markdown = report.verification_markdown(embedder.name, results)
    write_report(folder, "verification", markdown, document, encoder=identity(embedder), lists=trials.name)
    if settings.skip_missing:
        console.say("dropped: {missing} missing and {silent} silent recordings".format_map(facts["left_out"]))
    title += ": {one_speaker} pairs of one speaker, {two_speakers} of two".format_map(facts["pairs"])
    print_results(report.VERIFICATION_COLUMNS, report.verification_rows(results), title, folder)


def _check(settings: "VerificationSettings", cohort: Path | None) -> None:
    if (settings.norm == "as-norm") != (cohort is not None):
        raise InputError("a cohort is for --norm as-norm, which needs one; give both options or neither", key="cohort")


def _read(trials: Path, audio: Path | None, speakers: Path | None, settings: "VerificationSettings") -> "SpeakerTrials":
    """Read the recordings and pairs to verify, from a list of pairs or from a manifest."""
    from earmark.evaluation.protocols.speaker_trials import read_manifest_trials, read_verification

    if trials.suffix in {".tsv", ".parquet"}:
        for key, value in {"audio": audio, "speakers": speakers}.items():
            if value is not None:
                raise InputError(f"{trials} is a manifest with its own paths and speakers; drop --{key}", key=key)
        return read_manifest_trials(trials, settings.split, skip_missing=settings.skip_missing)
    if audio is None:
        raise InputError(f"give the folder that the paths in {trials} are relative to", key="audio")
    return read_verification(
        trials, audio, all_pairs=settings.all_pairs, manifest=speakers, skip_missing=settings.skip_missing
    )


def _embed(
    cache: Path, trials: "SpeakerTrials", embedder: "Embedder", settings: "VerificationSettings", spoken: bool | None
) -> "Embeddings":
    return encoders.embed_into(
        cache,
        trials.files,
        embedder,
        key=encoders.cache_key(embedder, crops=settings.crops, seed=settings.seed, spoken=spoken),
        speakers=trials.speakers,
        silence="skip" if settings.skip_missing else "refuse",
    )


def _normalized(
    folder: Path,
    cohort: Path,
    found: "Embeddings",
    speakers: list[str],
    pairs: "Pairs",
    embedder: "Embedder",
    settings: "VerificationSettings",
    spoken: bool | None,
) -> "tuple[Floats, dict[str, object]]":
    """Normalize the scores of pairs by a cohort; returns the scores, and facts about the cohort for results.json."""
    from earmark.evaluation.protocols import verification
    from earmark.evaluation.protocols.speaker_trials import read_manifest_trials

    trials = read_manifest_trials(
        cohort,
        settings.cohort_split,
        clips_per_speaker=settings.cohort_clips,
        skip_missing=settings.skip_missing,
    )
    embedded = _embed(folder / "cohort.npz", trials, embedder, settings, spoken)
    names, means = verification.mean_directions(embedded.vectors, [trials.speakers[path] for path in embedded.paths])
    scores = verification.as_norm(found.vectors, pairs, means, settings.top, speakers=speakers, cohort_speakers=names)
    return scores, {"name": cohort.name, "speakers": len(names), "top": settings.top}


def _facts(
    trials: "SpeakerTrials", found: "Embeddings", pairs: "Pairs", settings: "VerificationSettings"
) -> dict[str, Any]:
    """Count the recordings, speakers and pairs, for results.json."""
    same = int(pairs.is_same.sum())
    return {
        "crops": settings.crops,
        "seed": settings.seed,
        "recordings": len(found.paths),
        "speakers": len({trials.speakers[path] for path in found.paths} - {""}),
        "pairs": {"one_speaker": same, "two_speakers": len(pairs) - same},
        "left_out": {"missing": len(trials.missing), "silent": len(found.silent)},
    }
