"""Enroll a word from a few recordings and find it in another one.

python examples/enroll_and_detect.py
"""

from earmark import Detector, audio, demo, enroll, load_encoder


def main() -> None:
    """Use the sound that comes with earmark."""
    encoder = load_encoder()
    takes = [audio.read(path) for path in demo.take_files()]
    keyword = enroll(demo.KEYWORD, takes, encoder=encoder)
    detector = Detector([keyword], encoder=encoder)
    # A microphone would give such pieces, of any length, as they come.
    for chunk in audio.blocks(demo.STREAM, block_s=0.1):
        for detection in detector.push(chunk):
            print(
                f"{detection.keyword}: {detection.start_s:.2f} – {detection.end_s:.2f} s, score {detection.score:.2f}"
            )
    for detection in detector.finish():
        print(f"{detection.keyword}: {detection.start_s:.2f} – {detection.end_s:.2f} s, score {detection.score:.2f}")


if __name__ == "__main__":
    main()
