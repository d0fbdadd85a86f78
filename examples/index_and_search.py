"""Index a recording, and find a word in it by a few takes.

python examples/index_and_search.py
"""

from earmark import demo, load_encoder
from earmark.search import QueryTake, Recording, open_index, query_from_takes, search, update_index


def main() -> None:
    """Use the recordings that ship with earmark."""
    encoder = load_encoder()
    # A second call embeds only new and changed recordings.
    report = update_index("talks.index", [Recording(demo.STREAM)], encoder)
    print(f"indexed {report.embedded_s:.0f} s")
    query = query_from_takes(demo.KEYWORD, [QueryTake(path) for path in demo.take_files()], encoder)
    for hit in search(open_index("talks.index"), query, top=4):
        print(f"{query.name}: {hit.file} {hit.start_s:.2f} – {hit.end_s:.2f} s, score {hit.score:.2f}")


if __name__ == "__main__":
    main()
