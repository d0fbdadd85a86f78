"""`earmark demo`: enroll, detect and draw, with sound that comes with earmark."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, options

if TYPE_CHECKING:
    from earmark.spotting.detector import Detection

EXAMPLE = "Example: [bold]earmark demo --out demo.png[/bold]"


def demo(
    out: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Where to draw the picture.", show_default="earmark-demo.png")
    ] = None,
    encoder: options.EncoderName = None,
) -> None:
    """Show in a few seconds what earmark does.

    Enrolls "hey jupiter" from five takes, listens to a noisy stream in which other voices say it, and says how that
    went. All voices are synthetic.
    """
    from earmark import audio
    from earmark import demo as sound
    from earmark.cli import detection_plot as picture
    from earmark.core.errors import InputError
    from earmark.models.encoder import load_encoder
    from earmark.spotting.detector import Detector
    from earmark.spotting.enrollment import enroll
    from earmark.spotting.takes import TakeWarning

    loaded = load_encoder(encoder)
    files = sound.take_files()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TakeWarning)  # the table says them
        keyword = enroll(sound.KEYWORD, files, encoder=loaded, sources=[file.name for file in files])
    console.say(f"Enrolled {keyword.name!r} from five takes:")
    console.print_takes(keyword.takes)
    detector = Detector([keyword], encoder=loaded)
    stream = audio.read(sound.STREAM)
    detections = [hit for block in audio.blocks(sound.STREAM) for hit in detector.push(block)] + detector.finish()
    _compare(sound.true_places(), detections, len(stream) / audio.SAMPLE_RATE)
    try:
        target = out or Path("earmark-demo.png")
        title = f"“{keyword.name}”, said by voices that did not enroll"
        picture.draw(target, stream, detector, detections, title=title, truth=sound.true_places())
        console.say(f"Drew {target}")
    except InputError as error:
        if out is not None:
            raise
        console.say(f"No picture: {console.one_line(error)}")


def _compare(truth: list[tuple[float, float]], detections: "list[Detection]", length_s: float) -> None:
    """Print what was said beside what was heard."""
    rows, matched = [], []
    for start_s, end_s in truth:
        hits = [hit for hit in detections if hit.start_s < end_s and hit.end_s > start_s]
        matched += hits
        heard = ", ".join(f"{hit.start_s:.2f} – {hit.end_s:.2f} s" for hit in hits) or "missed"
        rows.append((start_s, [f"{start_s:.2f} – {end_s:.2f} s", heard, *_sureness(hits)]))
    wrong = [hit for hit in detections if hit not in matched]
    for hit in wrong:
        rows.append((hit.start_s, ["not said", f"{hit.start_s:.2f} – {hit.end_s:.2f} s", *_sureness([hit])]))
    console.say(f"\nListened to {length_s:.0f} s of other voices, in noise:")
    console.print_table([">said", ">heard", ">score", ">probability"], [row for _, row in sorted(rows)])
    missed = sum(row[1] == "missed" for _, row in rows)
    alarms = "1 false alarm" if len(wrong) == 1 else f"{len(wrong)} false alarms"
    console.say(f"Heard {len(truth) - missed} of {len(truth)}, with {alarms}.")


def _sureness(hits: "list[Detection]") -> tuple[str, str]:
    best = max(hits, key=lambda hit: hit.score, default=None)
    return (f"{best.score:.2f}", f"{100 * best.probability:.0f} %") if best else ("", "")
