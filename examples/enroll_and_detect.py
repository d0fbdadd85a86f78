"""Enroll a word from a few recordings and detect it in another one.

python examples/enroll_and_detect.py
"""

from earmark import Detector, audio, demo, enroll, load_encoder


def main() -> None:
    """Use the demo audio."""
    encoder = load_encoder()
    keyword = enroll(demo.KEYWORD, demo.take_files(), encoder=encoder)
    detector = Detector(keyword, encoder=encoder)
    # As from a microphone: chunks of any length. For a whole recording: detector.detect(demo.STREAM).
    detections = [hit for chunk in audio.blocks(demo.STREAM, block_s=0.1) for hit in detector.push(chunk)]
    for hit in detections + detector.finish():
        print(f"{hit.keyword}: {hit.start_s:.2f} – {hit.end_s:.2f} s, score {hit.score:.2f}")


if __name__ == "__main__":
    main()
