"""`earmark evaluate identify`: identify speakers among the classes of a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earmark.cli import console
from earmark.cli.commands import command
from earmark.cli.evaluate import encoders
from earmark.cli.evaluate.results import OutOption, identity, print_results, results_folder, write_report
from earmark.cli.settings import options_from
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from earmark.evaluation.embedders import Embedder
    from earmark.evaluation.embedding_cache import Embeddings
    from earmark.evaluation.protocols.speaker_trials import IdentificationSettings, SpeakerTrials


@command(
    panel="Speakers",
    example="earmark evaluate identify data/speakers/iden_split.txt --audio corpus "
    "--encoder runs/speakers/best.safetensors",
)
@options_from(
    "earmark.evaluation.protocols.speaker_trials:IdentificationSettings", flags={"skip_missing": "--skip-missing"}
)
def identify(
    split_list: Annotated[
        Path, typer.Argument(metavar="LIST", help="iden_split.txt; the recordings in lines '3 path' are identified.")
    ],
    audio: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder that the paths in LIST are relative to.")],
    encoder: Annotated[str, typer.Option(metavar="FILE", help="Checkpoint of earmark train whose loss has classes.")],
    settings: "IdentificationSettings",
    speakers: encoders.SpeakersOption = None,
    out: OutOption = None,
) -> None:
    """Identify the speakers of recordings; writes table.md, results.json, answers.tsv and embeddings.npz.

    The same command continues interrupted work, and reuses the embeddings in embeddings.npz.
    """
    import numpy as np

    from earmark.core.files import write_text
    from earmark.evaluation.protocols import identification, speaker_trials
    from earmark.evaluation.reports import speakers as report

    if not encoders.is_checkpoint(encoder):
        raise InputError(
            f"{encoder}: exported encoders have no classes; name a checkpoint (.safetensors)", key="encoder"
        )
    crops, seed, skip = settings.crops, settings.seed, settings.skip_missing
    trials = speaker_trials.read_identification(split_list, audio, manifest=speakers, skip_missing=skip)
    embedder = encoders.load(encoder, crops=crops, seed=seed)
    _check(embedder, trials.speakers, encoder)

    folder = results_folder(out, "identify", split_list.stem, embedder.name)
    found = encoders.embed_into(
        folder / "embeddings.npz",
        trials.files,
        embedder,
        key=encoders.cache_key(embedder, crops=crops, seed=seed),
        speakers=trials.speakers,
        silence="skip" if skip else "refuse",
    )
    logits = embedder.classify(np.asarray(found.vectors))
    assert logits is not None
    labels = [trials.speakers[path] for path in found.paths]
    result = identification.compute_metrics(logits, embedder.classes, labels, np.random.default_rng(seed))

    write_text(folder / "answers.tsv", report.answers_text(found.paths, labels, embedder.classes, logits))
    facts = _facts(trials, found, embedder, settings)
    write_report(
        folder,
        "identification",
        report.identification_markdown({embedder.name: result}),
        {**facts, **report.identification_document(result)},
        encoder=identity(embedder),
        lists=split_list.name,
    )
    if skip:
        console.say("dropped: {missing} missing and {silent} silent recordings".format_map(facts["left_out"]))
    title = f"{embedder.name} on {split_list.name}: "
    title += "{recordings} recordings, {classes} classes".format_map(facts["counts"])
    print_results(report.IDENTIFICATION_COLUMNS, report.identification_rows(result), title, folder)


def _facts(
    trials: "SpeakerTrials", found: "Embeddings", embedder: "Embedder", settings: "IdentificationSettings"
) -> dict[str, Any]:
    """Count the recordings, speakers and classes, for results.json."""
    speakers = {trials.speakers[path] for path in found.paths}
    counts = {"recordings": len(found.paths), "speakers": len(speakers), "classes": len(embedder.classes)}
    left_out = {"missing": len(trials.missing), "silent": len(found.silent)}
    return {"crops": settings.crops, "seed": settings.seed, "counts": counts, "left_out": left_out}


def _check(embedder: "Embedder", names: "Mapping[str, str]", encoder: str) -> None:
    """Raise an error if the encoder has no classes, or a speaker is not among them; `names` has paths by speaker."""
    if not embedder.classes:
        raise InputError(f"{encoder} was trained with a loss without classes; name another checkpoint", key="encoder")
    unknown = {name: path for path, name in names.items() if name not in embedder.classes}
    if unknown:
        name, path = next(iter(unknown.items()))
        more = f" and {len(unknown) - 1} more speakers are" if len(unknown) > 1 else " is"
        raise InputError(
            f"{path}: the speaker {name!r}{more} not among the {len(embedder.classes)} classes of {encoder}, such as"
            f" {embedder.classes[0]!r}; list only training speakers, or give the manifest that names them by --speakers"
        )
