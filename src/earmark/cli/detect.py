"""`earmark detect`: where in recordings the keywords are said."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, options

if TYPE_CHECKING:
    from earmark.spotting.detector import Detection, Detector

EXAMPLE = "Example: [bold]earmark detect meeting.mp3 --keyword jarvis[/bold]"

_LONGEST_PLOT_S = 600.0


def detect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings to search.", show_default=False)],
    store: options.Store = None,
    keyword: Annotated[
        list[str] | None,
        typer.Option("--keyword", metavar="NAME", help="Only this keyword; may be repeated.", show_default="all"),
    ] = None,
    encoder: options.EncoderName = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=-1, max=1, help="Score from which on a keyword counts as heard.", show_default="the keyword's own"
        ),
    ] = None,
    false_alarms_per_hour: options.FalseAlarms = None,
    speaker_encoder: options.SpeakerEncoderName = None,
    refused: Annotated[
        bool,
        typer.Option("--refused", help="List, too, when a keyword was said in another voice than its --only-speaker."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a detection, one a line.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw sound, scores and detections; one recording of 10 minutes at most."),
    ] = None,
) -> None:
    """Find where keywords are said in recordings of any length and format.

    A recording that cannot be read is reported, and the others are searched all the same.
    """
    from earmark.core.errors import EarmarkError, InputError

    if plot is not None and len(files) > 1:
        raise InputError("--plot draws one recording; name one FILE")
    strangers: list[Detection] = []
    detector, least = _detector(
        store, keyword, encoder, threshold, false_alarms_per_hour, speaker_encoder, strangers.append
    )
    exit_code = 0
    for file in files:
        try:
            if plot is not None:
                _refuse_long(file)
            strangers.clear()
            detections = _listen(file, detector, as_json=as_json)
            others = [one for one in strangers if not any(_is_same_sound(one, hit) for hit in detections)]
            _show(file, detections, others if refused else [], as_json=as_json)
            if not refused:
                _note(file, others, least)
            if plot is not None:
                _draw(plot, file, detector, detections)
        except EarmarkError as error:
            exit_code = max(exit_code, console.report(error))
    raise typer.Exit(exit_code)


def _detector(
    store: Path | None,
    names: list[str] | None,
    encoder_name: str | None,
    threshold: float | None,
    false_alarms_per_hour: float | None,
    speaker_encoder_name: str | None,
    on_refusal: "Callable[[Detection], object]",
) -> "tuple[Detector, dict[str, float]]":
    """The detector, and from which score on each speaker's voice passes."""
    from earmark.core.errors import InputError
    from earmark.models.encoder import load_encoder
    from earmark.spotting.detector import Detector, DetectorSettings
    from earmark.store.store import KeywordStore

    if threshold is not None and false_alarms_per_hour is not None:
        raise InputError("--threshold and --false-alarms-per-hour say the same thing in two ways; give one of them")
    with KeywordStore(store) as kept:
        keywords = kept.all() if names is None else [kept.get(name) for name in dict.fromkeys(names)]
        if not keywords:
            raise InputError(f"{kept.path}: holds no keyword; make one: earmark enroll NAME FILE...")
        needed = dict.fromkeys(keyword.only_speaker for keyword in keywords if keyword.only_speaker is not None)
        speakers = [kept.get_speaker(name) for name in needed]
    encoder = load_encoder(encoder_name)
    if false_alarms_per_hour is not None:
        threshold = encoder.calibration.threshold(false_alarms_per_hour)
    settings = DetectorSettings(threshold=threshold)
    if not speakers:
        return Detector(keywords, encoder=encoder, settings=settings), {}
    from earmark.models.speaker_encoder import load_speaker_encoder

    detector = Detector(
        keywords,
        encoder=encoder,
        settings=settings,
        speakers=speakers,
        speaker_encoder=load_speaker_encoder(speaker_encoder_name),
        on_refusal=on_refusal,
    )
    return detector, {speaker.name: speaker.threshold for speaker in speakers}


def _listen(file: Path, detector: "Detector", *, as_json: bool) -> "list[Detection]":
    """Search a file; JSON is printed as it is heard."""
    detections = []
    for detection in _search(file, detector):
        detections.append(detection)
        if as_json:
            _say_json(file, detection)
            sys.stdout.flush()
    return detections


def _show(file: Path, detections: "Sequence[Detection]", refused: "Sequence[Detection]", *, as_json: bool) -> None:
    """Print what is only known in the end: the table, and what was refused for its voice."""
    if not as_json:
        console.print_detections(detections, title=str(file), refused=refused)
        return
    for one in refused:
        _say_json(file, one, refused=True)


def _say_json(file: Path, detection: "Detection", **more: bool) -> None:
    known = {key: value for key, value in asdict(detection).items() if value is not None}
    console.say(json.dumps({"file": str(file), **known, **more}, ensure_ascii=False, allow_nan=False))


def _is_same_sound(one: "Detection", other: "Detection") -> bool:
    """Whether two detections share more than half of the shorter: one word may be keywords of two speakers."""
    shared = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return 2 * shared > min(one.end_s - one.start_s, other.end_s - other.start_s)


def _note(file: Path, refused: "Sequence[Detection]", least: dict[str, float]) -> None:
    """Say, a line a keyword and not among the detections, what was said in other voices than the keyword's."""
    for keyword, speaker in dict.fromkeys((one.keyword, one.speaker or "") for one in refused):
        same = [one for one in refused if one.keyword == keyword]
        nearest = max(same, key=lambda one: one.speaker_score or -1.0)
        often = "once" if len(same) == 1 else f"{len(same)} times"
        console.note(
            f"{file}: {keyword!r} {often} in another voice than {speaker}'s, most alike at {nearest.start_s:.2f} s: "
            f"voice score {nearest.speaker_score:.2f}, {least[speaker]:.2f} is needed; --refused lists all"
        )


def _search(file: Path, detector: "Detector") -> "Iterator[Detection]":
    from earmark import audio

    try:
        with console.progress_bar() as progress:
            done_s, length_s = 0.0, audio.duration_s(file)
            for block in audio.blocks(file):
                try:
                    yield from detector.push(block)
                except audio.AudioError as error:
                    raise audio.AudioError(f"{file}: {error}") from None
                done_s += len(block) / audio.SAMPLE_RATE
                progress(file.name, done_s, length_s)
        yield from detector.finish()
    except BaseException:
        detector.finish()  # the next file begins at 0 s
        raise


def _refuse_long(file: Path) -> None:
    from earmark import audio
    from earmark.core.errors import InputError

    length_s = audio.duration_s(file)
    if length_s > _LONGEST_PLOT_S:
        raise InputError(
            f"{file}: {length_s:.0f} s long, and a plot holds {_LONGEST_PLOT_S:.0f} s; cut a part out, or drop --plot"
        )


def _draw(plot: Path, file: Path, detector: "Detector", detections: "list[Detection]") -> None:
    from earmark import audio
    from earmark.cli import detection_plot as picture

    wave = audio.read(file)
    picture.draw(plot, wave, detector, detections, title=file.name)
    sys.stderr.write(f"drew {plot}\n")
