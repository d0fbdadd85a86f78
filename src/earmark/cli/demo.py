"""`earmark demo`: enroll, detect and plot, with audio that ships with earmark."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, options
from earmark.cli.commands import command
from earmark.cli.enrolled import print_takes

if TYPE_CHECKING:
    from earmark.spotting.detector import Detection


@command(panel="Keywords and voices", example="earmark demo --out demo.png")
def demo(
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Plot to write, .png, .svg or .pdf; earmark-demo.png if not given."),
    ] = None,
    encoder: options.EncoderName = None,
) -> None:
    """Show in a few seconds what earmark does.

    Enrolls "hey jupiter" from five takes, detects it in a noisy stream of other voices, and compares the detections
    with the truth. All voices are synthetic.
    """
    from earmark import audio
    from earmark import demo as bundled
    from earmark.cli import detection_plot
    from earmark.core.errors import InputError
    from earmark.models.encoder import load_encoder
    from earmark.spotting.detector import Detector
    from earmark.spotting.enrollment import enroll
    from earmark.spotting.takes import TakeWarning

    if out is not None:
        detection_plot.check_path(out, "out")
    loaded = load_encoder(encoder)
    files = bundled.take_files()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TakeWarning)  # the table shows the remarks
        with console.progress_bar() as progress:
            keyword = enroll(
                bundled.KEYWORD, files, encoder=loaded, sources=[file.name for file in files], progress=progress
            )
    console.say(f"Enrolled {keyword.name!r} from five takes:")
    print_takes(keyword.takes)
    detector = Detector([keyword], encoder=loaded)
    stream = audio.read(bundled.STREAM)
    detections = [*detector.detect(bundled.STREAM)]
    _compare(bundled.true_places(), detections, len(stream) / audio.SAMPLE_RATE)
    try:
        target = out or Path("earmark-demo.png")
        title = f"“{keyword.name}”, spoken by voices that were not enrolled"
        detection_plot.draw(target, stream, detector, detections, title=title, truth=bundled.true_places())
        console.say(f"Drew {target}")
    except InputError as error:
        if out is not None:
            raise
        console.say(f"No plot: {console.one_line(error)}")


def _compare(truth: list[tuple[float, float]], detections: "list[Detection]", length_s: float) -> None:
    """Print the true keywords beside the detections."""
    rows, matched = [], []
    for start_s, end_s in truth:
        hits = [hit for hit in detections if hit.start_s < end_s and hit.end_s > start_s]
        matched += hits
        detected = ", ".join(f"{hit.start_s:.2f} – {hit.end_s:.2f} s" for hit in hits) or "missed"
        rows.append((start_s, [f"{start_s:.2f} – {end_s:.2f} s", detected, *_confidence(hits)]))
    wrong = [hit for hit in detections if hit not in matched]
    for hit in wrong:
        rows.append((hit.start_s, ["none", f"{hit.start_s:.2f} – {hit.end_s:.2f} s", *_confidence([hit])]))
    console.say(f"\nDetections in {length_s:.0f} s of other voices, in noise:")
    console.print_table([">true", ">detected", ">score", ">probability"], [row for _, row in sorted(rows)])
    missed = sum(row[1] == "missed" for _, row in rows)
    alarms = "1 false alarm" if len(wrong) == 1 else f"{len(wrong)} false alarms"
    console.say(f"Detected {len(truth) - missed} of {len(truth)}, with {alarms}.")


def _confidence(hits: "list[Detection]") -> tuple[str, str]:
    best = max(hits, key=lambda hit: hit.score, default=None)
    return (f"{best.score:.2f}", f"{100 * best.probability:.0f} %") if best else ("", "")
