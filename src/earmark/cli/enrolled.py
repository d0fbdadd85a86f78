"""What the commands for keywords and for speakers share: they enroll, remove, re-embed, and print takes."""

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as changed
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from earmark.cli import console
from earmark.core.errors import EarmarkError

if TYPE_CHECKING:
    from earmark.models.encoder import Encoder
    from earmark.models.speaker_encoder import SpeakerEncoder
    from earmark.spotting.detector_settings import DetectorSettings
    from earmark.spotting.encoder_choice import EncoderChoice
    from earmark.spotting.enrolled import Enrolled
    from earmark.spotting.keyword import Keyword
    from earmark.spotting.near_miss import NearMiss
    from earmark.spotting.speaker import Speaker, Verification
    from earmark.spotting.takes import Take
    from earmark.store.store import KeywordStore


@dataclass(frozen=True)
class Kind:
    """How commands enroll, read, save and remove the keywords of a store, or its speakers.

    Attributes:
        label: noun before a name in messages, with a space after it; empty for keywords.
        rate_name: argument of `enroll`, `extend` and `reembed` that determines the threshold.
        found_at: words before the value of a threshold, in messages.
    """

    label: str
    rate_name: str
    found_at: str
    names: Callable[[], list[str]]
    get: Callable[[str], Any]
    save: Callable[..., None]
    remove: Callable[..., None]
    enroll: Callable[..., Any]
    extend: Callable[..., Any]
    reembed: Callable[..., Any]


def keyword_kind(store: "KeywordStore", *, verify: bool = True) -> Kind:
    """Make the `Kind` for the keywords of a store, which are enrolled for the verifier or not."""
    from earmark.spotting import enrollment

    return Kind(
        label="",
        rate_name="false_alarms_per_hour",
        found_at="detected at score",
        names=store.names,
        get=store.get,
        save=store.save,
        remove=store.remove,
        enroll=_with_bar(partial(enrollment.enroll, verify=verify)),
        extend=_with_bar(partial(enrollment.extend, verify=verify)),
        reembed=_with_bar(partial(enrollment.reembed, verify=verify)),
    )


def _with_bar(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same function with a progress bar."""

    def drawn(*given: Any, **named: Any) -> Any:
        with console.progress_bar() as progress:
            return work(*given, progress=progress, **named)

    return drawn


def speaker_kind(store: "KeywordStore") -> Kind:
    """Make the `Kind` for the speakers of a store."""
    from earmark.spotting import speaker_enrollment

    return Kind(
        label="speaker ",
        rate_name="false_accepts",
        found_at="the same voice at score",
        names=lambda: [speaker.name for speaker in store.speakers()],
        get=store.get_speaker,
        save=store.save_speaker,
        remove=store.remove_speaker,
        enroll=speaker_enrollment.enroll_speaker,
        extend=speaker_enrollment.extend_speaker,
        reembed=speaker_enrollment.reembed_speaker,
    )


def check_enrolling(kind: Kind, name: str, *, add: bool, replace: bool) -> Any:
    """Check the name of a keyword or speaker to enroll; returns the one to add takes to, None for a new one.

    Raises:
        InputError: the name is not valid, is taken, or is unknown where takes are added.
    """
    from earmark.core.errors import InputError
    from earmark.core.names import clean_name, fold

    noun = kind.label.strip() or "keyword"
    if add and replace:
        raise InputError("--add keeps the earlier takes, --replace drops them; give one of the two")
    clean_name(name, of=noun)
    if add:
        return kind.get(name)
    if not replace and fold(name) in map(fold, kind.names()):
        raise InputError(f"{noun} {name!r} exists; add these takes with --add, or start over with --replace")
    return None


def enroll_files(
    kind: Kind,
    name: str,
    files: Sequence[Path],
    encoder: Any,
    known: Any,
    rate: float | None,
    *,
    synthetic: "Sequence[Take]" = (),
    force: bool = False,
) -> Any:
    """Enroll recordings, or add them to a known keyword or speaker, and print the table of takes.

    Raises:
        InputError: there are doubts about a take, and the user does not insist on it.
    """
    from earmark.core.errors import InputError
    from earmark.spotting.takes import TakeWarning

    paths = recordings_of(files)
    chosen: dict[str, Any] = {} if rate is None else {kind.rate_name: rate}
    if synthetic:
        chosen["synthetic"] = synthetic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TakeWarning)  # the table shows the remarks
        if known is not None:
            enrolled = kind.extend(known, paths, encoder=encoder, **chosen)
        else:
            enrolled = kind.enroll(name, paths, encoder=encoder, **chosen)
    new = enrolled.takes[len(enrolled.takes) - len(paths) :]
    doubts = [doubt for take in new for doubt in take.doubts]
    asks = sys.stdin.isatty()
    if doubts and not force and not asks:
        raise InputError(f"{'; '.join(doubts)}; nothing was saved, --force saves all takes")
    if enrolled.takes:
        print_takes(enrolled.takes)
    if doubts and not force and not typer.confirm("Save these takes all the same?"):
        raise InputError("nothing was saved: leave out the takes with remarks, or record them again")
    return enrolled


def remove(kind: Kind, names: Sequence[str]) -> None:
    """Remove keywords or speakers and print their names."""
    kind.remove(*names)
    for name in dict.fromkeys(names):
        console.say(f"removed {kind.label}{name!r}")


def reembed(kind: Kind, names: Sequence[str] | None, encoder: Any, rate: float | None) -> None:
    """Re-embed keywords or speakers, all unless named, and print their thresholds."""
    for name in names or kind.names():
        known = kind.get(name)
        converted = kind.reembed(known, encoder, **{kind.rate_name: rate})
        kind.save(converted, replace=known)
        console.say(
            f"converted {kind.label}{converted.name!r} to {encoder.name}: {kind.found_at} {converted.threshold:.2f}"
            f"{threshold_origin(known, converted, rate)}"
        )


def choose_encoders(store: "KeywordStore", keywords: "Sequence[Keyword]", name: str | None = None) -> "EncoderChoice":
    """Load the encoder of each keyword; prints a note for each keyword whose encoder is not available.

    Args:
        store: remembers the files of the user's own encoders.
        keywords: of any encoders.
        name: encoder that the user gave.

    Raises:
        InputError: the encoder of no keyword is available.
    """
    from earmark.core.errors import InputError
    from earmark.models.encoder import load_encoder
    from earmark.spotting import encoder_choice

    given = [] if name is None else [load_encoder(name)]
    chosen = encoder_choice.choose_encoders(keywords, store.encoder_paths(), given)
    option = "" if name is None else f" --encoder {quote(name)}"
    if not chosen.keywords:
        raise InputError(f"{chosen.skipped[0]}{option}")
    for line in chosen.skipped:
        console.note(f"{line}{option}")
    for encoder in given:
        if any(keyword.encoder == encoder.fingerprint for keyword in keywords):
            remember_encoder(store, encoder)
        else:
            console.note(f"no keyword here was enrolled with encoder {name}; each is scored by its own")
    return chosen


def encoder_of(store: "KeywordStore", keyword: "Keyword", name: str | None = None) -> "Encoder":
    """Load the encoder of one keyword; arguments as those of `choose_encoders`."""
    return choose_encoders(store, [keyword], name).of(keyword)


def remember_encoder(store: "KeywordStore", encoder: "Encoder") -> None:
    """Remember the file of an encoder that does not ship with earmark, where the store can be written."""
    from earmark.models.encoder import shipped_encoder

    if shipped_encoder(encoder.fingerprint) is None and store.encoder_paths().get(encoder.fingerprint) != encoder.path:
        with suppress(EarmarkError):
            store.save_encoder_path(encoder.fingerprint, encoder.path)


def at_rate(chosen: "EncoderChoice", rate: float, settings: "DetectorSettings") -> "EncoderChoice":
    """The keywords with their thresholds for another rate of false alarms."""
    from earmark.spotting.background import with_threshold

    with console.progress_bar() as progress:
        keywords = [
            with_threshold(
                keyword, chosen.of(keyword), rate, settings=settings, verify=settings.verify, progress=progress
            )
            for keyword in chosen.keywords
        ]
    return changed(chosen, keywords=keywords)


def convert_earlier(store: "KeywordStore", chosen: "EncoderChoice") -> "EncoderChoice":
    """Convert the keywords that an earlier version enrolled, in the store too, with one note."""
    from earmark.spotting.enrollment import convert_earlier as convert

    converted, count = [], 0
    with console.progress_bar() as progress:
        for keyword in chosen.keywords:
            (current,) = convert([keyword], chosen.of(keyword), progress=progress)
            converted.append(current)
            if current is not keyword:
                count += 1
                with suppress(EarmarkError):  # a store that cannot be written still serves; it is converted each time
                    store.save(current, replace=keyword, change="convert from an earlier version")
    if count:
        console.note(f"converted {count} keyword{'s' * (count != 1)} of an earlier version from the stored takes")
    return changed(chosen, keywords=converted)


def convert_earlier_speakers(
    store: Path | None, speakers: "Sequence[Speaker]", encoder: "SpeakerEncoder"
) -> "list[Speaker]":
    """Convert the speakers of an earlier version, in the store too, with one note.

    Args:
        store: path of the store; None for that of the user.
        speakers: some speakers of the store.
        encoder: to convert to.
    """
    from earmark.spotting.speaker_enrollment import convert_earlier_speakers as convert
    from earmark.store.store import KeywordStore

    converted = convert(speakers, encoder)
    changes = [(old, new) for old, new in zip(speakers, converted, strict=True) if old is not new]
    if changes:
        # A store that cannot be written still serves; it is converted each time.
        with suppress(EarmarkError), KeywordStore(store) as kept:
            for old, new in changes:
                kept.save_speaker(new, replace=old)
        plural = "s" * (len(changes) != 1)
        console.note(f"converted {len(changes)} speaker{plural} of an earlier version from the stored takes")
    return converted


def near_miss(store: "KeywordStore", name: str, number: int) -> "NearMiss":
    """A near miss of a keyword by its number, from 1.

    Raises:
        InputError: there is no such near miss.
    """
    from earmark.core.errors import InputError

    found = store.near_misses(name)
    if not 1 <= number <= len(found):
        raise InputError(f"no near miss {number} among the {len(found)} of {name!r}; list them with near-misses")
    return found[number - 1]


def recordings_of(files: Iterable[Path]) -> list[Path]:
    """List recordings: files as they are, and for a folder the recordings in it.

    Raises:
        InputError: a folder contains no recording.
    """
    from earmark.data.corpora.folder import recordings_in

    return [path for file in files for path in (recordings_in(file, below=False) if file.is_dir() else [file])]


def threshold_origin(known: "Enrolled | None", current: "Enrolled", rate: float | None) -> str:
    """Explain the value of a threshold, as the end of a sentence; empty if the user gave the rate.

    Args:
        known: the keyword or speaker before the command.
        current: the keyword or speaker now.
        rate: the rate that the user gave.
    """
    if known is None or rate is not None:
        return ""
    has_same_encoder = known.encoder == current.encoder
    if has_same_encoder and known.threshold == current.threshold:
        return ", as before"
    if current.rate is not None and (has_same_encoder or known.rate is not None):
        return f", for the same rate as before, {current.rate:g}"
    return ", for the default rate: the earlier rate is unknown, and the encoder is another one"


def encoder_label(fingerprint: str) -> str:
    """Return the name of the shipped encoder with this fingerprint; for another, the beginning of the fingerprint."""
    from earmark.models.onnx_model import shipped_name

    return shipped_name(fingerprint) or fingerprint[:12]


def print_takes(takes: Iterable["Take"]) -> None:
    """Print a table of takes: the spoken part, its level, and remarks."""
    import numpy as np

    from earmark.core.audio import SAMPLE_RATE

    rows = []
    for number, take in enumerate(takes, start=1):
        spoken = take.wave[round(take.start_s * SAMPLE_RATE) : round(take.end_s * SAMPLE_RATE)]
        level_db = 20 * np.log10(np.sqrt(np.mean(np.square(spoken, dtype=np.float64))) + 1e-9)
        # The row already shows the number and the file of the take.
        remarks = "; ".join(
            remark.removeprefix(f"take {number} ").removeprefix(f"({take.source}) ") for remark in take.remarks
        )
        rows.append([str(number), take.source or "–", span_text(take), f"{level_db:.0f} dB", remarks or "good"])
    console.print_table([">take", "file", ">spoken part", ">level", "remarks"], rows)


def span_text(take: "Take") -> str:
    """The span of a take or negative, for tables."""
    return f"{console.time_text(take.start_s)} – {console.time_text(take.end_s)}"


def verify_file(speaker: "Speaker", file: Path, encoder: "SpeakerEncoder") -> "Verification":
    """Verify whether a recording is of a speaker's voice; errors name the file.

    Raises:
        InputError: the file is too long or contains no speech, or the speaker is of another encoder.
    """
    from earmark import audio
    from earmark.core.errors import InputError
    from earmark.spotting.speaker import LONGEST_TAKE_S
    from earmark.spotting.verification import verify

    length_s = audio.duration_s(file)  # refuses a long file before it is read
    if length_s > LONGEST_TAKE_S:
        raise InputError(
            f"{file}: {length_s:.0f} s of audio are too long; cut out a part of at most {LONGEST_TAKE_S:.0f} s"
        )
    wave = audio.read(file)
    try:
        return verify(speaker, wave, encoder=encoder)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
