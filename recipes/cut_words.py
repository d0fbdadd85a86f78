"""Cut words out of speechocean762's training sentences, by pocketsphinx's forced alignment of their transcripts.

    pip install pocketsphinx
    python recipes/cut_words.py ../shared/data/speechocean762/manifest.tsv data/cut/manifest.parquet

Left out: the 35 Speech Commands words and what sounds like them, words of one or two letters, words said once only, and
sentences with a word that the pronouncing dictionary lacks.
"""

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder
from rich.progress import track

from earmark.audio import read
from earmark.data.manifest import Clip, Manifest, read_manifest, write_manifest

COMMANDS = """
    yes no up down left right on off stop go zero one two three four five six seven eight nine bed bird cat dog happy
    house marvin sheila tree wow backward forward follow learn visual
""".split()  # noqa: SIM905 - a list is longer than it reads
SOUND_ALIKES = """
    know write wright won too to for fore ate bad cats dogs followed following follows fourth goes houses knowing known
    knows learned learning learnt ones rights stopped through throw our out own
""".split()  # noqa: SIM905
FRAME_S = 0.01
SHORTEST_S, LONGEST_S = 0.2, 1.2
MARGIN_S = 0.02

_decoder: Decoder | None = None


def cut(path: Path, clip: Clip) -> list[Clip]:
    """The words of one sentence that can be used."""
    global _decoder
    if _decoder is None:
        _decoder = Decoder(loglevel="FATAL")
    words = clip.label.lower().split()
    if any(_decoder.lookup_word(word) is None for word in words):
        return []
    sound = (read(path) * 32767).astype(np.int16).tobytes()
    try:
        _decoder.set_align_text(" ".join(words))
        _decoder.start_utt()
        _decoder.process_raw(sound, full_utt=True)
        _decoder.end_utt()
        segments = list(_decoder.seg() or [])
    except RuntimeError:
        return []
    found = []
    for segment in segments:
        word = segment.word.split("(")[0]
        start_s, end_s = segment.start_frame * FRAME_S, (segment.end_frame + 1) * FRAME_S
        usable = word.isalpha() and len(word) > 2 and word not in COMMANDS and word not in SOUND_ALIKES
        if usable and SHORTEST_S <= end_s - start_s <= LONGEST_S:
            start_s = max(0.0, round(start_s - MARGIN_S, 3))
            found.append(replace(clip, start_s=start_s, end_s=round(end_s + MARGIN_S, 3), label=word, text=word))
    return found


def main(source: str, target: str) -> None:
    """Cut all training sentences of a manifest into another manifest."""
    manifest = read_manifest(source).only("train")
    out = Path(target)
    out.parent.mkdir(parents=True, exist_ok=True)
    paths = [manifest.locate(clip).absolute() for clip in manifest]
    with ProcessPoolExecutor(1) as pool:
        found = pool.map(cut, paths, manifest.clips, chunksize=8)
        cuts = [
            replace(clip, path=str(path))
            for path, clips in track(zip(paths, found, strict=True), "aligning", total=len(paths))
            for clip in clips
        ]
    count = Counter(clip.label for clip in cuts)
    kept = tuple(clip for clip in cuts if count[clip.label] > 1)
    write_manifest(Manifest(kept, Path()), out)
    hours = sum((clip.end_s or 0) - clip.start_s for clip in kept) / 3600
    print(f"{len(kept)} clips of {len({clip.label for clip in kept})} words, {hours:.2f} h")


if __name__ == "__main__":
    main(*sys.argv[1:])
