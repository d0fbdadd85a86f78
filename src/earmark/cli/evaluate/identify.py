"""`earmark evaluate identify`: which of the speakers that an encoder was trained to tell apart is it?"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console
from earmark.cli.evaluate import encoders as judged
from earmark.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from earmark.evaluation.embedders import Embedder, Floats

EXAMPLE = (
    "Example: [bold]earmark evaluate identify data/speakers/iden_split.txt --audio corpus "
    "--encoder runs/speakers/best.safetensors[/bold]"
)


def identify(
    split_list: Annotated[
        Path,
        typer.Argument(metavar="LIST", help="iden_split.txt; its lines '3 path' are identified.", show_default=False),
    ],
    audio: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder that the paths in LIST start from.")],
    encoder: Annotated[
        str,
        typer.Option(metavar="FILE", help="Checkpoint of earmark train, of a loss with classes.", show_default=False),
    ],
    crops: judged.Crops = 0,
    speakers: judged.Speakers = None,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out missing and silent recordings, and say how many.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Results folder; runs/identify-<list>-<encoder> unless given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the crops, and of the bootstrap over speakers.")] = 0,
) -> None:
    """Identify the speakers of recordings; writes table.md, results.json, answers.tsv and embeddings.npz.

    The same command again goes on where it was stopped, and does not embed again what embeddings.npz holds.
    """
    import numpy as np

    from earmark.evaluation.protocols import identification, speaker_trials
    from earmark.evaluation.reports import speakers as speaker_report
    from earmark.evaluation.reports.spotting import estimate_text

    if not judged.is_checkpoint(encoder):
        raise InputError(f"--encoder {encoder}: an exported encoder has no classes; name a checkpoint (.safetensors)")
    trials = speaker_trials.read_identification(split_list, audio, manifest=speakers, skip_missing=skip_missing)
    embedder = judged.load(encoder, crops=crops, seed=seed)
    _check(embedder, trials.speakers, encoder)

    out = out or Path("runs") / f"identify-{split_list.stem}-{embedder.name}"
    out.mkdir(parents=True, exist_ok=True)
    found = judged.embed_into(
        out / "embeddings.npz",
        trials.places,
        embedder,
        key=judged.key(embedder, crops=crops, seed=seed),
        speakers=trials.speakers,
        silence="skip" if skip_missing else "refuse",
    )
    logits = embedder.classify(np.asarray(found.vectors))
    assert logits is not None
    labels = [trials.speakers[path] for path in found.paths]
    result = identification.compute_metrics(logits, embedder.classes, labels, np.random.default_rng(seed))

    (out / "table.md").write_text(speaker_report.identification_table({embedder.name: result}), encoding="utf-8")
    _write_answers(out / "answers.tsv", found.paths, labels, logits, embedder.classes)
    counts = {"recordings": len(found.paths), "speakers": len(set(labels)), "classes": len(embedder.classes)}
    left_out = {"missing": len(trials.missing), "silent": len(found.silent)}
    speaker_report.write_identification_results(
        out / "results.json",
        result,
        command=["earmark", *sys.argv[1:]],
        encoder=embedder.name,
        fingerprint=embedder.fingerprint,
        lists=split_list.name,
        about={"crops": crops, "seed": seed, "counts": counts, "left_out": left_out},
    )
    if skip_missing:
        console.say(f"left out: {len(trials.missing)} missing and {len(found.silent)} silent recordings")
    title = f"{embedder.name} on {split_list.name}: {counts['recordings']} recordings, {counts['classes']} classes"
    rows = [[words, estimate_text(result[key])] for key, words in identification.METRICS.items()]
    console.print_table(["number", ">%"], rows, title)
    console.say(f"wrote {out}")


def _check(embedder: "Embedder", names: "Mapping[str, str]", encoder: str) -> None:
    if not embedder.classes:
        raise InputError(f"--encoder {encoder}: was trained with a loss without classes, so that it cannot identify")
    strange = {name: path for path, name in names.items() if name not in embedder.classes}
    if strange:
        name, path = next(iter(strange.items()))
        more = f" and {len(strange) - 1} more speakers" if len(strange) > 1 else ""
        raise InputError(
            f"{path}: its speaker {name!r}{more}: not among the {len(embedder.classes)} classes of {encoder}, such as"
            f" {embedder.classes[0]!r}; take them off the list, or say who speaks with --speakers MANIFEST"
        )


def _write_answers(
    file: Path, paths: "Sequence[str]", labels: "Sequence[str]", logits: "Floats", classes: "Sequence[str]"
) -> None:
    """A line a recording: path, speaker, the class with the best score, and the place of the right one from 1."""
    from earmark.evaluation.protocols.identification import ranks

    lines = ["path\tspeaker\tanswer\tplace"]
    places = ranks(logits, classes, labels) + 1
    for path, label, best, place in zip(paths, labels, logits.argmax(axis=1), places, strict=True):
        lines.append(f"{path}\t{label}\t{classes[best]}\t{place}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
