"""Speed of time stretching on one core, as a multiple of real time, compared with librosa's phase vocoder.

    python benchmarks/stretch.py [--rows 20] [--seconds 4]

The result is the shortest of several CPU times, because other processes can only lengthen a run.
"""

import argparse
import time
from collections.abc import Callable
from importlib.resources import files

import librosa
import numpy as np
import torch

from earmark import audio
from earmark.training.batches.time_stretch import stretch


def shortest_s(work: Callable[[], object], repetitions: int = 5) -> float:
    """Shortest CPU time of some runs, in seconds."""
    taken = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> None:
    """Print a table of tempo, and of speed for a batch, for one row, and for librosa."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20, help="rows of the batch")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    speech = audio.read(str(files("earmark") / "demo" / "stream.flac"))
    size = round(options.seconds * audio.SAMPLE_RATE)
    waves = torch.from_numpy(np.resize(speech, (options.rows, size)))
    row = waves[0].numpy()
    print(f"tempo\t{options.rows} rows\tone row\tlibrosa")
    for tempo in (0.5, 0.75, 1.0, 1.4, 1.8):
        rates = torch.full((options.rows,), tempo)
        batch_s = shortest_s(lambda rates=rates: stretch(waves, rates))
        alone_s = shortest_s(lambda rates=rates: stretch(waves[:1], rates[:1]))
        librosa_s = shortest_s(lambda tempo=tempo: librosa.effects.time_stretch(row, rate=tempo))
        length_s = options.seconds
        print(f"{tempo}\t{options.rows * length_s / batch_s:.0f}\t{length_s / alone_s:.0f}\t{length_s / librosa_s:.0f}")


if __name__ == "__main__":
    main()
