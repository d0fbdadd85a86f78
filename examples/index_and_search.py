"""Index a recording and find in it a word of which there are a few takes.

python examples/index_and_search.py
"""

from earmark import demo, load_encoder
from earmark.search import Recording, Take, open_archive, query_of, search, update


def main() -> None:
    """Use the sound that comes with earmark."""
    encoder = load_encoder()
    # The same again later: only what is new or has changed is heard.
    report = update("talks.index", [Recording(demo.STREAM)], encoder)
    print(f"indexed {report.embedded_s:.0f} s")
    query = query_of(demo.KEYWORD, [Take(path) for path in demo.take_files()], encoder)
    for hit in search(open_archive("talks.index"), query, top=4):
        print(f"{query.name}: {hit.file} {hit.start_s:.2f} – {hit.end_s:.2f} s, score {hit.score:.2f}")


if __name__ == "__main__":
    main()
