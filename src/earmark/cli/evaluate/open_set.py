"""`earmark evaluate open-set`: tell target words from each other, and refuse all that is none of them."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console
from earmark.cli.evaluate import encoders as judged
from earmark.cli.extras import needs
from earmark.core.errors import InputError

EXAMPLE = "Example: [bold]earmark evaluate open-set LISTS --audio FOLDER --targets yes,no,up,down --backend svm[/bold]"


class Backend(StrEnum):
    """How training clips give scores."""

    centroid = "centroid"
    prototype = "prototype"
    best_take = "best-take"
    svm = "svm"
    classifier = "classifier"


class Unknown(StrEnum):
    """How a clip is found to be no target."""

    cluster = "cluster"
    threshold = "threshold"


def open_set(
    lists: Annotated[
        Path, typer.Argument(help="Folder of train.txt, test.txt and perhaps val.txt, one 'label path' a line.")
    ],
    audio: Annotated[Path, typer.Option(help="Folder that the paths in the lists start from.")],
    targets: Annotated[
        str, typer.Option(metavar="WORD,WORD", help="Words to recognize; all other words are to be refused.")
    ],
    encoder: judged.EncoderName = None,
    backend: Annotated[
        Backend,
        typer.Option(
            help="Plain mean of a class's training clips, mean of unit vectors, the nearest clip, one RBF-SVM a class, "
            "or the classes that a checkpoint was trained on."
        ),
    ] = Backend.centroid,
    unknown: Annotated[
        Unknown,
        typer.Option(
            help="cluster: all other training words are one more class; threshold: refuse low scores, from a threshold "
            "chosen on val.txt or on folds of train.txt."
        ),
    ] = Unknown.cluster,
    svm_c: Annotated[float, typer.Option("--svm-c", help="Price of a clip on the wrong side (svm).")] = 1.0,
    svm_gamma: Annotated[
        float | None,
        typer.Option("--svm-gamma", help="Width of the kernel (svm).", show_default="scikit-learn's scale"),
    ] = None,
    svm_search: Annotated[
        bool, typer.Option("--svm-search", help="Choose c and gamma on val.txt or on folds of train.txt (svm).")
    ] = False,
    spoken: judged.Spoken = None,
    out: Annotated[
        Path | None, typer.Option(help="Results folder; runs/open-set-<lists>-<encoder>-<backend> unless given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of folds, of the bootstrap over speakers, and of the map.")] = 0,
) -> None:
    """Tell target words apart and refuse all others; writes table.md, results.json and five pictures."""
    if backend is not Backend.svm and (svm_search or svm_gamma is not None or svm_c != 1.0):
        raise InputError("--svm-c, --svm-gamma and --svm-search: for --backend svm only")
    with needs("plots"):
        from earmark.evaluation.protocols import open_set as protocol
        from earmark.evaluation.protocols import trials
        from earmark.evaluation.reports import plots as pictures
        from earmark.evaluation.reports import spotting as report
        from earmark.evaluation.svm import Svm

    import numpy as np

    settings = Svm(c=svm_c, gamma="scale" if svm_gamma is None else svm_gamma)
    read = protocol.read_lists(lists, judged.words(targets, "--targets"), audio=audio)
    embedder = judged.load(encoder, spoken=spoken)
    vectors = judged.embed(embedder, read.paths, audio)
    speakers = trials.speakers_of(audio, read.paths)
    if svm_search:
        settings = protocol.search_svm(read, vectors, unknown=unknown.value, svm=settings, speakers=speakers, seed=seed)
    scored = protocol.score(
        read,
        vectors,
        backend=backend.value,
        unknown=unknown.value,
        svm=settings,
        head=protocol.Head(embedder.classify, embedder.classes),
        speakers=speakers,
        seed=seed,
    )
    result = protocol.count(scored, speakers=speakers, rng=np.random.default_rng(seed))

    name = lists.resolve().name
    out = out or Path("runs") / f"open-set-{name}-{embedder.name}-{backend.value}"
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(report.open_set_table({embedder.name: result}), encoding="utf-8")
    report.write_open_set_results(
        out / "results.json",
        result,
        command=["earmark", *sys.argv[1:]],
        encoder=embedder.name,
        fingerprint=embedder.fingerprint,
        lists=name,
    )
    title = f"{embedder.name} on {name}, {backend.value}, unknown by {unknown.value}"
    pictures.draw_open_set(out, scored, vectors, title=title, seed=seed)
    rows = [[words, report.estimate_text(result.numbers[key])] for key, words in protocol.METRICS.items()]
    console.print_table(["number", ">%"], rows, title)
    console.say(f"wrote {out}")
