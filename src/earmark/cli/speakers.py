"""`earmark speakers`: look after the voices that are kept."""

import json
import warnings
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console, options
from earmark.cli.commands import App
from earmark.cli.takes import read_take, whence
from earmark.core.numbers import finite

app = App(name="speakers", help="Enroll, list, verify, convert and remove the voices of people.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(help="Name of a speaker.", show_default=False)]
_FalseAccepts = Annotated[
    float | None,
    typer.Option(
        "--false-accepts",
        metavar="SHARE",
        help="Share of other voices' words that may pass.",
        show_default="0.05",
    ),
]


@app.command(epilog="Example: [bold]earmark speakers enroll alice lights1.wav lights2.wav story.mp3[/bold]")
def enroll(
    name: Annotated[str, typer.Argument(help="What to call the speaker.", show_default=False)],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Recordings of the voice alone, any words.", show_default=False),
    ],
    store: options.Store = None,
    speaker_encoder: options.SpeakerEncoderName = None,
    replace: Annotated[bool, typer.Option("--replace", help="Forget an earlier speaker of this name.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Add the takes to those of the speaker of this name.")] = False,
    false_accepts: _FalseAccepts = None,
) -> None:
    """Learn a voice from recordings of it.

    Ten seconds of speech are good, of any words; takes of the keyword that the voice will guard help most.
    """
    from earmark.core.errors import InputError
    from earmark.core.names import clean_name
    from earmark.models.speaker_encoder import load_speaker_encoder
    from earmark.spotting.enrollment import FALSE_ACCEPTS, enroll_speaker, extend_speaker
    from earmark.spotting.takes import TakeWarning
    from earmark.store.store import KeywordStore

    if add and replace:
        raise InputError("--add keeps the earlier takes, --replace forgets them; give one of the two")
    clean_name(name, of="speaker")  # a bad name is told before the work
    with KeywordStore(store) as kept:
        known = kept.get_speaker(name) if add else None
        if not add and not replace and kept.has_speaker(name):
            raise InputError(f"speaker {name!r} exists; add these takes with --add, or start over with --replace")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TakeWarning)  # the table says them
            loaded, sources, rate = load_speaker_encoder(speaker_encoder), list(map(str, files)), false_accepts
            if known:
                speaker = extend_speaker(known, files, encoder=loaded, sources=sources, false_accepts=rate)
            else:
                rate = FALSE_ACCEPTS if rate is None else rate
                speaker = enroll_speaker(name, files, encoder=loaded, sources=sources, false_accepts=rate)
        console.print_takes(speaker.takes)
        kept.save_speaker(speaker, replace=known or replace)
    count = len(speaker.takes)
    console.say(
        f"saved speaker {speaker.name!r}: {count} {'take' if count == 1 else 'takes'}, "
        f"the same voice from score {speaker.threshold:.2f} on{whence(known, speaker.encoder, false_accepts)}"
    )


@app.command(
    "list",
    epilog="Examples: [bold]earmark speakers list[/bold], [bold]earmark speakers list --json[/bold]",
)
def list_(
    store: options.Store = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a speaker, one a line.")] = False,
) -> None:
    """List all speakers, and the keywords that answer to each."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        speakers, keywords = kept.speakers(), kept.all()
        if not speakers and not as_json:
            console.say(f"{kept.path}: no speakers yet; make one: earmark speakers enroll NAME FILE...")
            return
    rows = []
    for speaker in speakers:
        answering = [keyword.name for keyword in keywords if keyword.only_speaker == speaker.name]
        if as_json:
            entry = {
                "speaker": speaker.name,
                "takes": len(speaker.takes),
                "threshold": speaker.threshold,
                "encoder": speaker.encoder,
                "created": speaker.created,
                "keywords": answering,
            }
            console.say(json.dumps(finite(entry), ensure_ascii=False, allow_nan=False))
        rows.append(
            [
                speaker.name,
                str(len(speaker.takes)),
                f"{speaker.threshold:.2f}",
                speaker.encoder[:12],
                ", ".join(answering) or "–",
            ]
        )
    if not as_json:
        console.print_table(["speaker", ">takes", ">threshold", "speaker encoder", "keywords"], rows)


@app.command(epilog="Example: [bold]earmark speakers verify alice message.ogg[/bold]")
def verify(
    name: _Name,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings to judge.", show_default=False)],
    store: options.Store = None,
    speaker_encoder: options.SpeakerEncoderName = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a recording, one a line.")] = False,
) -> None:
    """Say whether recordings are of a speaker's voice.

    Both answers are a success. A recording that cannot be judged is reported, and the others are judged all the same.
    """
    from earmark.core.errors import EarmarkError, InputError
    from earmark.models.speaker_encoder import load_speaker_encoder
    from earmark.spotting.speaker import LONGEST_TAKE_S
    from earmark.spotting.speaker import verify as verify_speaker
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        speaker = kept.get_speaker(name)
    encoder = load_speaker_encoder(speaker_encoder)
    rows, exit_code = [], 0
    for file in files:
        try:
            wave = read_take(file, LONGEST_TAKE_S, "cut a part out")
            try:
                verdict = verify_speaker(speaker, wave, encoder=encoder)
            except InputError as error:
                raise InputError(f"{file}: {error}") from None
        except EarmarkError as error:
            exit_code = max(exit_code, console.report(error))
            continue
        if as_json:
            answer = {
                "file": str(file),
                "speaker": speaker.name,
                "score": round(verdict.score, 4),
                "probability": round(verdict.probability, 4),
                "is_same": verdict.is_same,
            }
            console.say(json.dumps(finite(answer), ensure_ascii=False, allow_nan=False))
        rows.append(
            [
                str(file),
                f"{verdict.score:.2f}",
                f"{100 * verdict.probability:.0f} %",
                "yes" if verdict.is_same else "no",
            ]
        )
    if rows and not as_json:
        console.print_table(["file", ">score", ">probability", f"{speaker.name}?"], rows)
    raise typer.Exit(exit_code)


@app.command(epilog="Example: [bold]earmark speakers remove alice[/bold]")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of speakers.", show_default=False)],
    store: options.Store = None,
) -> None:
    """Forget speakers and their takes; none of them when one is unknown or needed by a keyword."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        kept.remove_speaker(*names)
    for name in dict.fromkeys(names):
        console.say(f"removed speaker {name!r}")


@app.command(epilog="Example: [bold]earmark speakers reembed --speaker-encoder voices.onnx[/bold]")
def reembed(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Names of speakers.", show_default="all")
    ] = None,
    store: options.Store = None,
    speaker_encoder: options.SpeakerEncoderName = None,
    false_accepts: _FalseAccepts = None,
) -> None:
    """Convert speakers to another speaker encoder; their takes are heard again."""
    from earmark.models.speaker_encoder import load_speaker_encoder
    from earmark.spotting.enrollment import reembed_speaker
    from earmark.store.store import KeywordStore

    loaded = load_speaker_encoder(speaker_encoder)
    with KeywordStore(store) as kept:
        for known in [kept.get_speaker(name) for name in names] if names else kept.speakers():
            converted = reembed_speaker(known, loaded, false_accepts=false_accepts)
            kept.save_speaker(converted, replace=known)
            console.say(
                f"converted speaker {converted.name!r} to {loaded.name}: the same voice from score "
                f"{converted.threshold:.2f} on{whence(known, converted.encoder, false_accepts)}"
            )
