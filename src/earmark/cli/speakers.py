"""`earmark speakers`: manage the stored speakers."""

import json
from pathlib import Path
from typing import Annotated

import typer

from earmark.cli import console, enrolled, options
from earmark.cli.commands import App

app = App(
    name="speakers", panel="Keywords and voices", help="Enroll, list, verify, convert and remove the voices of people."
)

_Name = Annotated[str, typer.Argument(help="Name of a speaker.")]
_FalseAccepts = Annotated[
    float | None,
    typer.Option(
        "--false-accepts",
        metavar="SHARE",
        help="Share of other voices' words to accept, from 0.01 to 0.2; 0.05 for a new speaker.",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]


@app.command(epilog="Example: [bold]earmark speakers enroll alice lights1.wav lights2.wav story.mp3[/bold]")
def enroll(
    name: Annotated[str, typer.Argument(help="Name of the speaker.")],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE|FOLDER", help="Recordings of this voice alone, or folders of them."),
    ],
    store: options.Store = None,
    speaker_encoder: options.SpeakerEncoderName = None,
    replace: options.Replace = False,
    add: options.Add = False,
    false_accepts: _FalseAccepts = None,
) -> None:
    """Enroll a speaker from recordings of the voice.

    Ten seconds of speech with any words are good. Takes of a keyword that is restricted to this speaker help most.
    """
    from earmark.models.speaker_encoder import load_speaker_encoder
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        kind = enrolled.speaker_kind(kept)
        known = enrolled.check_enrolling(kind, name, add=add, replace=replace)
        loaded = load_speaker_encoder(speaker_encoder)
        speaker = enrolled.enroll_files(kind, name, files, loaded, known, false_accepts)
        kept.save_speaker(speaker, replace=known or replace)
    count = len(speaker.takes)
    console.say(
        f"saved speaker {speaker.name!r}: {count} take{'s' * (count != 1)}, {kind.found_at} {speaker.threshold:.2f}"
        f"{enrolled.threshold_origin(known, speaker, false_accepts)}"
    )


@app.command(
    "list",
    epilog="Examples: [bold]earmark speakers list[/bold], [bold]earmark speakers list --json[/bold]",
)
def list_(store: options.Store = None, as_json: _Json = False) -> None:
    """List all speakers, and the keywords that are restricted to each."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        speakers, keywords = kept.speakers(), kept.all()
        if not speakers and not as_json:
            console.say(f"{kept.path}: no speakers yet; make one: earmark speakers enroll NAME FILE...")
            return
    rows = []
    for speaker in speakers:
        restricted = [keyword.name for keyword in keywords if keyword.only_speaker == speaker.name]
        if as_json:
            entry = {
                "speaker": speaker.name,
                "takes": len(speaker.takes),
                "threshold": speaker.threshold,
                "encoder": speaker.encoder,
                "created": speaker.created,
                "keywords": restricted,
            }
            console.say(json.dumps(entry, ensure_ascii=False))
        rows.append(
            [
                speaker.name,
                str(len(speaker.takes)),
                f"{speaker.threshold:.2f}",
                "unknown" if speaker.rate is None else f"{100 * speaker.rate:g} %",
                enrolled.encoder_label(speaker.encoder),
                ", ".join(restricted) or "–",
            ]
        )
    if not as_json:
        columns = ["speaker", ">takes", ">threshold", ">false accepts", "speaker encoder", "keywords"]
        console.print_table(columns, rows)


@app.command(epilog="Example: [bold]earmark speakers verify alice message.ogg[/bold]")
def verify(
    name: _Name,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Recordings to verify.")],
    store: options.Store = None,
    speaker_encoder: options.SpeakerEncoderName = None,
    as_json: _Json = False,
) -> None:
    """Verify whether recordings are of a speaker's voice.

    The exit code is 0 for both results. A recording that cannot be verified is reported, and the others are verified.
    """
    from earmark.core.errors import EarmarkError
    from earmark.models.speaker_encoder import load_speaker_encoder
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        speaker = kept.get_speaker(name)
    encoder = load_speaker_encoder(speaker_encoder)
    (speaker,) = enrolled.convert_earlier_speakers(store, [speaker], encoder)
    rows, exit_code = [], 0
    for file in files:
        try:
            result = enrolled.verify_file(speaker, file, encoder)
        except EarmarkError as error:
            exit_code = max(exit_code, console.report(error))
            continue
        if as_json:
            answer = {
                "file": str(file),
                "speaker": speaker.name,
                "score": round(result.score, 4),
                "probability": round(result.probability, 4),
                "is_same": result.is_same,
            }
            console.say(json.dumps(answer, ensure_ascii=False))
        is_same = "yes" if result.is_same else "no"
        rows.append([str(file), f"{result.score:.2f}", f"{100 * result.probability:.0f} %", is_same])
    if rows and not as_json:
        console.print_table(["file", ">score", ">probability", f"{speaker.name}?"], rows)
    raise typer.Exit(exit_code)


@app.command(epilog="Example: [bold]earmark speakers remove alice[/bold]")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Names of speakers.")],
    store: options.Store = None,
) -> None:
    """Remove speakers and their takes. If one is unknown, or a keyword is restricted to one, none is removed."""
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        enrolled.remove(enrolled.speaker_kind(kept), names)


@app.command(epilog="Example: [bold]earmark speakers reembed --speaker-encoder voices.onnx[/bold]")
def reembed(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Names of speakers; all if not given.")
    ] = None,
    store: options.Store = None,
    speaker_encoder: options.SpeakerEncoderName = None,
    false_accepts: _FalseAccepts = None,
) -> None:
    """Convert speakers to another speaker encoder: embed their takes again."""
    from earmark.models.speaker_encoder import load_speaker_encoder
    from earmark.store.store import KeywordStore

    with KeywordStore(store) as kept:
        enrolled.reembed(enrolled.speaker_kind(kept), names, load_speaker_encoder(speaker_encoder), false_accepts)
