"""`earmark prepare`: make manifests, recordings of word lists, and lists for training and evaluation."""

from earmark.cli.commands import App

app = App(
    name="prepare",
    panel="Data",
    package=__name__,
    order=(
        *("folder", "synth", "keywords"),
        *("speech-commands", "musan", "librispeech", "voxceleb"),
        *("lists", "open-set", "pairs", "speakers", "from-lists"),
        *("vad", "segments", "ngrams"),
    ),
    help="Make manifests of recordings, recordings of word lists, and lists for training and evaluation.",
)
