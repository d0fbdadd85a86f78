"""`earmark detect`: find keywords in recordings."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earmark.cli import console, enrolled, options
from earmark.cli.commands import command
from earmark.cli.settings import Flag, options_from

if TYPE_CHECKING:
    from earmark.cli.detection_plot import PlotSettings
    from earmark.cli.kept_clips import KeptClips
    from earmark.spotting.clips import Clip, ClipRecorder
    from earmark.spotting.detector import Detection, Detector
    from earmark.spotting.detector_settings import DetectorSettings
    from earmark.store.near_miss_rows import LastDetection


@command(panel="Keywords and voices", example="earmark detect meeting.mp3 --keyword jarvis")
@options_from(
    "earmark.spotting.detector_settings:DetectorSettings", flags={"tempos": Flag(metavar="FACTOR")}, panel="Detector"
)
@options_from(
    "earmark.cli.kept_clips:KeptClips",
    "clips",
    flags={"folder": Flag("--keep-clips", metavar="DIR")},
    prefix="clips-",
    panel="Kept clips",
)
@options_from(
    "earmark.cli.detection_plot:PlotSettings",
    "plot",
    flags={"path": Flag("--plot", metavar="FILE"), "start_s": "--from", "end_s": "--to"},
    panel="Plot",
)
def detect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Recordings to search.")],
    store: options.Store = None,
    keyword: Annotated[
        list[str] | None,
        typer.Option("--keyword", metavar="NAME", help="Only this keyword, all if not given; may be repeated."),
    ] = None,
    encoder: options.EncoderName = None,
    false_alarms_per_hour: options.FalseAlarms = None,
    speaker_encoder: options.SpeakerEncoderName = None,
    refused: Annotated[
        bool,
        typer.Option("--refused", help="Also list refused detections: those of a restricted keyword in another voice."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each detection as a JSON object, one per line.")
    ] = False,
    *,
    settings: "DetectorSettings",
    clips: "KeptClips",
    plot: "PlotSettings",
) -> None:
    """Find keywords in recordings of any length and format.

    A recording that cannot be read is reported, and the others are searched.
    """
    from earmark.core.errors import EarmarkError, InputError

    plot.check(len(files))
    if settings.threshold is not None and false_alarms_per_hour is not None:
        raise InputError("--threshold and --false-alarms-per-hour set the same threshold; give one of them")
    rejected: list[Detection] = []
    detector, least = _detector(
        store, keyword, encoder, speaker_encoder, settings, false_alarms_per_hour, rejected.append
    )
    recorder = clips.recorder(store)
    exit_code = 0
    for file in files:
        try:
            span = plot.span(file)
            rejected.clear()
            detections = _detect_file(file, detector, recorder, store, as_json=as_json)
            others = [one for one in rejected if not any(_is_same_word(one, hit) for hit in detections)]
            _show(file, detections, others if refused else [], as_json=as_json)
            if not refused:
                _note(file, others, least)
            if span is not None:
                plot.draw(file, detector, detections, span)
        except EarmarkError as error:
            exit_code = max(exit_code, console.report(error))
    raise typer.Exit(exit_code)


def _detector(
    store: Path | None,
    names: list[str] | None,
    encoder_name: str | None,
    speaker_encoder_name: str | None,
    settings: "DetectorSettings",
    false_alarms_per_hour: float | None,
    on_refusal: "Callable[[Detection], object]",
) -> "tuple[Detector, dict[str, float]]":
    """Make a detector of stored keywords; returns it, and the voice threshold of each needed speaker by name."""
    from earmark.core.errors import InputError
    from earmark.spotting.detector import Detector
    from earmark.spotting.enrolled import EncoderMismatch
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        keywords = kept.all() if names is None else [kept.get(name) for name in dict.fromkeys(names)]
        if not keywords:
            raise InputError(f"{kept.path}: no keywords yet; make one: earmark enroll NAME FILE...")
        chosen = enrolled.convert_earlier(kept, enrolled.choose_encoders(kept, keywords, encoder_name))
        needed = dict.fromkeys(one.only_speaker for one in chosen.keywords if one.only_speaker is not None)
        speakers, speaker_encoder = [kept.get_speaker(name) for name in needed], None
    if speakers:
        from earmark.models.speaker_encoder import load_speaker_encoder

        speaker_encoder = load_speaker_encoder(speaker_encoder_name)
        speakers = enrolled.convert_earlier_speakers(store, speakers, speaker_encoder)
    if false_alarms_per_hour is not None:
        chosen = enrolled.at_rate(chosen, false_alarms_per_hour, settings)
    try:
        detector = Detector(
            chosen.keywords,
            encoder=list(chosen.encoders.values()),
            settings=settings,
            speakers=speakers,
            speaker_encoder=speaker_encoder,
            on_refusal=on_refusal,
        )
    except EncoderMismatch as error:
        name = speaker_encoder_name
        raise InputError(f"{error} --speaker-encoder {name}" if name else str(error)) from None
    return detector, {speaker.name: speaker.threshold for speaker in speakers}


def _detect_file(
    file: Path, detector: "Detector", recorder: "ClipRecorder | None", store: Path | None, *, as_json: bool
) -> "list[Detection]":
    """Detect keywords in a file, keep their clips, and remember where each keyword was detected last.

    With `as_json`, each detection is printed as soon as it is found.
    """
    from earmark.core.audio import AudioError

    detections, places = [], {}
    if recorder is not None:
        recorder.begin()
    try:
        with console.progress_bar() as progress:
            on_audio = (lambda _: None) if recorder is None else recorder.push
            for detection in detector.detect(file, progress=progress, on_audio=on_audio):
                detections.append(detection)
                clip = None if recorder is None else recorder.keep(detection)
                places[detection.keyword] = _place(file, detection, clip)
                if as_json:
                    _print_json(file, detection, **({} if clip is None else {"clip": str(clip.path)}))
                    sys.stdout.flush()
    except AudioError as error:
        raise error if str(file) in str(error) else AudioError(f"{file}: {error}") from None
    finally:
        _remember(store, places)
    return detections


def _place(file: Path, detection: "Detection", clip: "Clip | None") -> "LastDetection":
    from earmark.spotting.enrolled import now
    from earmark.store.near_miss_rows import LastDetection

    if clip is None:
        return LastDetection(str(file.absolute()), detection.start_s, detection.end_s, now())
    return LastDetection(str(clip.path.absolute()), clip.start_s, clip.end_s, now())


def _remember(store: Path | None, places: "dict[str, LastDetection]") -> None:
    """Remember where keywords were detected last, for corrections; a store that cannot be written stays as it is."""
    from earmark.core.errors import EarmarkError
    from earmark.store.store import KeywordStore

    with suppress(EarmarkError), KeywordStore(store) as kept:
        kept.save_last_detections(places)


def _show(file: Path, detections: "Sequence[Detection]", refused: "Sequence[Detection]", *, as_json: bool) -> None:
    """Print the table of a file, or the JSON lines of refused detections."""
    if not as_json:
        print_detections(detections, title=str(file), refused=refused)
        return
    for one in refused:
        _print_json(file, one, refused=True)


def _print_json(file: Path, detection: "Detection", **more: bool | str) -> None:
    known = {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in asdict(detection).items()
        if value is not None
    }
    console.say(json.dumps({"file": str(file), **known, **more}, ensure_ascii=False))


def print_detections(detections: "Sequence[Detection]", title: str, *, refused: "Sequence[Detection]" = ()) -> None:
    """Print a table of detections and refused detections, in order."""
    shown = sorted([*detections, *refused], key=lambda hit: hit.end_s) if refused else detections
    if not shown:
        console.say(f"{title}: no keyword detected")
        return
    rows = [
        [
            hit.keyword,
            console.time_text(hit.start_s),
            console.time_text(hit.end_s),
            f"{hit.score:.2f}",
            f"{100 * hit.probability:.0f} %",
        ]
        for hit in shown
    ]
    columns = ["keyword", ">from", ">to", ">score", ">probability"]
    if any(hit.speaker is not None for hit in shown):
        columns += ["voice", ">voice score"]
        rejected = {id(hit) for hit in refused}
        for row, hit in zip(rows, shown, strict=True):
            voice = f"not {hit.speaker}: refused" if id(hit) in rejected else hit.speaker or "–"
            row += ["–", ""] if hit.speaker_score is None else [voice, f"{hit.speaker_score:.2f}"]
    console.print_table(columns, rows, title)


def _is_same_word(one: "Detection", other: "Detection") -> bool:
    """Whether two detections overlap by more than half of the shorter one, as keywords of two speakers may."""
    shared = min(one.end_s, other.end_s) - max(one.start_s, other.start_s)
    return 2 * shared > min(one.end_s - one.start_s, other.end_s - other.start_s)


def _note(file: Path, refused: "Sequence[Detection]", least: dict[str, float]) -> None:
    """Print a note for each keyword detected in other voices only; `least` has the voice threshold of each speaker."""
    for keyword, speaker in dict.fromkeys((one.keyword, one.speaker or "") for one in refused):
        same = [one for one in refused if one.keyword == keyword]
        nearest = max(same, key=lambda one: one.speaker_score or -1.0)
        often = "once" if len(same) == 1 else f"{len(same)} times"
        console.note(
            f"{file}: {keyword!r} was refused {often}, because the voice is not {speaker}'s; best voice score "
            f"{nearest.speaker_score:.2f} at {console.time_text(nearest.start_s)}, needed {least[speaker]:.2f}; "
            "--refused lists all"
        )
