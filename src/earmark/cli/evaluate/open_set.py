"""`earmark evaluate open-set`: recognize target words and reject all others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli.commands import command
from earmark.cli.evaluate import encoders
from earmark.cli.evaluate.results import OutOption, identity, print_results, results_folder, write_report
from earmark.cli.settings import Flag, options_from
from earmark.core.errors import needs

if TYPE_CHECKING:
    from earmark.evaluation.protocols.open_set import OpenSetSettings


@command(example="earmark evaluate open-set LISTS --audio FOLDER --targets yes,no,up,down --backend svm")
@options_from(
    "earmark.evaluation.protocols.open_set:OpenSetSettings",
    flags={"targets": Flag(metavar="WORD,WORD", separator=","), "svm_search": "--svm-search"},
    without=["svm.unit_rows", "svm.balanced"],
)
def open_set(
    lists: Annotated[
        Path, typer.Argument(help="Folder of train.txt, test.txt and optional val.txt with lines 'label path'.")
    ],
    audio: Annotated[Path, typer.Option(help="Folder that the paths in the lists are relative to.")],
    settings: "OpenSetSettings",
    encoder: encoders.EncoderOption = None,
    spoken: encoders.SpokenOption = None,
    out: OutOption = None,
) -> None:
    """Recognize target words and reject all others; writes table.md, results.json and five plots."""
    with needs("evaluate"):
        from earmark.evaluation.protocols import open_set as protocol
        from earmark.evaluation.protocols import trials
        from earmark.evaluation.reports import open_set as report
        from earmark.evaluation.reports import plots

    import numpy as np

    clips = protocol.read_lists(lists, settings.targets, audio=audio)
    embedder = encoders.load(encoder, spoken=spoken)
    vectors = encoders.embed(embedder, clips.paths, audio)
    speakers = trials.speakers_of(audio, clips.paths)
    svm, unknown, seed = settings.svm, settings.unknown, settings.seed
    if settings.svm_search:
        svm = protocol.search_svm(clips, vectors, unknown=unknown, svm=svm, speakers=speakers, seed=seed)
    scored = protocol.score(
        clips,
        vectors,
        backend=settings.backend,
        unknown=unknown,
        svm=svm,
        head=protocol.Head(embedder.classify, embedder.classes),
        speakers=speakers,
        seed=seed,
    )
    result = protocol.count(scored, speakers=speakers, rng=np.random.default_rng(seed))

    name = lists.resolve().name
    folder = results_folder(out, "open-set", name, embedder.name, settings.backend)
    markdown = report.markdown({embedder.name: result})
    write_report(folder, "open-set", markdown, report.document(result), encoder=identity(embedder), lists=name)
    title = f"{embedder.name} on {name}, {settings.backend}, unknown by {unknown}"
    plots.draw_open_set(folder, scored, vectors, title=title, seed=seed)
    print_results(report.COLUMNS, report.rows(result), title, folder)
