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
    from earmark.spotting.clips import Clip, ClipRecorder, ClipSettings
    from earmark.spotting.detector import Detection, Detector, DetectorSettings
    from earmark.store.near_miss_rows import LastDetection

LONGEST_PLOT_S = 600.0


@command(panel="Keywords and voices", example="earmark detect meeting.mp3 --keyword jarvis")
@options_from("earmark.spotting.detector:DetectorSettings", flags={"tempos": Flag(metavar="FACTOR")}, panel="Detector")
@options_from("earmark.spotting.clips:ClipSettings", "clips", prefix="clips", panel="Kept clips")
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
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plot to write (.png, .svg, .pdf): audio, scores and detections of one recording, at most 10 minutes.",
        ),
    ] = None,
    start_s: Annotated[float, typer.Option("--from", metavar="SECONDS", min=0, help="Start of the plot.")] = 0.0,
    end_s: Annotated[
        float | None,
        typer.Option("--to", metavar="SECONDS", min=0, help="End of the plot; that of the recording if not given."),
    ] = None,
    keep_clips: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep a clip of each detection in this folder, to mark false ones later.",
            rich_help_panel="Kept clips",
        ),
    ] = None,
    *,
    settings: "DetectorSettings",
    clips: "ClipSettings",
) -> None:
    """Find keywords in recordings of any length and format.

    A recording that cannot be read is reported, and the others are searched.
    """
    from earmark.core.errors import EarmarkError, InputError

    _check_plot(plot, len(files), start_s, end_s)
    if settings.threshold is not None and false_alarms_per_hour is not None:
        raise InputError("--threshold and --false-alarms-per-hour set the same threshold; give one of them")
    rejected: list[Detection] = []
    detector, least = _detector(
        store, keyword, encoder, speaker_encoder, settings, false_alarms_per_hour, rejected.append
    )
    recorder = _recorder(keep_clips, clips, store)
    exit_code = 0
    for file in files:
        try:
            span = None if plot is None else _plot_span(file, start_s, end_s)
            rejected.clear()
            detections = _detect_file(file, detector, recorder, store, as_json=as_json)
            others = [one for one in rejected if not any(_is_same_word(one, hit) for hit in detections)]
            _show(file, detections, others if refused else [], as_json=as_json)
            if not refused:
                _note(file, others, least)
            if plot is not None and span is not None:
                _draw(plot, file, detector, detections, span)
        except EarmarkError as error:
            exit_code = max(exit_code, console.report(error))
    raise typer.Exit(exit_code)


def _check_plot(plot: Path | None, count: int, start_s: float, end_s: float | None) -> None:
    """Raise an error for wrong options of a plot, before the recordings are read."""
    from earmark.core.errors import InputError

    if plot is None:
        if start_s or end_s is not None:
            raise InputError("--from and --to choose what --plot draws; give --plot FILE too")
        return
    from earmark.cli import detection_plot

    if count > 1:
        raise InputError(f"a plot shows one recording, not {count}; give one FILE", key="plot")
    detection_plot.check_path(plot, "plot")


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


def _recorder(folder: Path | None, settings: "ClipSettings", store: Path | None) -> "ClipRecorder | None":
    """Make the recorder of clips, whose folder the store remembers; None where none are kept."""
    from earmark.core.errors import EarmarkError, InputError
    from earmark.spotting.clips import ClipRecorder
    from earmark.store.store import KeywordStore

    if folder is not None:
        with suppress(EarmarkError), KeywordStore(store) as kept:
            kept.save_clip_folder(folder)
        return ClipRecorder(folder, settings)
    if settings.model_fields_set:
        raise InputError("options of clips need a folder; give --keep-clips DIR too")
    return None


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


def _plot_span(file: Path, start_s: float, end_s: float | None) -> tuple[float, float]:
    """Return start and end of the plot, in seconds.

    Raises:
        InputError: it is empty or too long.
    """
    from earmark import audio
    from earmark.core.errors import InputError

    length_s = audio.duration_s(file)
    stop_s = length_s if end_s is None else min(end_s, length_s)
    if stop_s <= start_s:
        raise InputError(
            f"{file}: nothing to plot from {start_s:g} to {stop_s:g} s of {length_s:.2f} s; give --from before --to"
        )
    if stop_s - start_s > LONGEST_PLOT_S:
        raise InputError(
            f"{file}: {stop_s - start_s:.0f} s are too long for a plot of at most {LONGEST_PLOT_S:.0f} s; choose a "
            "part with --from and --to"
        )
    return start_s, stop_s


def _draw(
    plot: Path, file: Path, detector: "Detector", detections: "list[Detection]", span: tuple[float, float]
) -> None:
    from earmark.cli import detection_plot
    from earmark.core.audio import read_parts

    start_s, end_s = span
    lead_s = min(start_s, detection_plot.LEAD_S)
    (wave,) = read_parts(file, [(start_s - lead_s, end_s)])
    detection_plot.draw(plot, wave, detector, detections, title=file.name, start_s=start_s, lead_s=lead_s)
    sys.stderr.write(f"drew {plot}\n")
