"""`earmark prepare`: make manifests, recordings of word lists, and lists for training and evaluation."""

from earmark.cli.commands import App
from earmark.cli.prepare import (
    corpora,
    folder,
    from_lists,
    keywords,
    lists,
    ngrams,
    pairs,
    segments,
    speakers,
    synth,
    vad,
    voxceleb,
)

app = App(
    name="prepare",
    help="Make manifests of recordings, recordings of word lists, and lists for training and evaluation.",
    no_args_is_help=True,
)
app.command("folder", epilog=folder.EXAMPLE)(folder.folder)
app.command("synth", epilog=synth.EXAMPLE)(synth.synth)
app.command("keywords", epilog=keywords.EXAMPLE)(keywords.keywords)

CORPORA = "Corpora in their own layout"
app.command("speech-commands", epilog=corpora.SPEECH_COMMANDS_EXAMPLE, rich_help_panel=CORPORA)(corpora.speech_commands)
app.command("musan", epilog=corpora.MUSAN_EXAMPLE, rich_help_panel=CORPORA)(corpora.musan)
app.command("librispeech", epilog=corpora.LIBRISPEECH_EXAMPLE, rich_help_panel=CORPORA)(corpora.librispeech)
app.command("voxceleb", epilog=voxceleb.EXAMPLE, rich_help_panel=CORPORA)(voxceleb.voxceleb)

LISTS = "Lists"
app.command("lists", epilog=lists.LISTS_EXAMPLE, rich_help_panel=LISTS)(lists.lists)
app.command("open-set", epilog=lists.OPEN_SET_EXAMPLE, rich_help_panel=LISTS)(lists.open_set)
app.command("pairs", epilog=pairs.EXAMPLE, rich_help_panel=LISTS)(pairs.pairs)
app.command("speakers", epilog=speakers.EXAMPLE, rich_help_panel=LISTS)(speakers.speakers)
app.command("from-lists", epilog=from_lists.EXAMPLE, rich_help_panel=LISTS)(from_lists.from_lists)

SEGMENTS = "Sections and segments of recordings"
app.command("vad", epilog=vad.EXAMPLE, rich_help_panel=SEGMENTS)(vad.vad)
app.command("segments", epilog=segments.EXAMPLE, rich_help_panel=SEGMENTS)(segments.segments)
app.command("ngrams", epilog=ngrams.EXAMPLE, rich_help_panel=SEGMENTS)(ngrams.ngrams)
