"""Find every place where a word is said in recordings of any length: `update` indexes, `search` finds."""

from earmark.archive.embedding import Recording
from earmark.archive.hits import Hit
from earmark.archive.indexing import update
from earmark.archive.query import Query, Take, query_of, query_of_keyword
from earmark.archive.searching import Archive, SearchSettings, open_archive, search
from earmark.archive.settings import IndexSettings

__all__ = [
    "Archive",
    "Hit",
    "IndexSettings",
    "Query",
    "Recording",
    "SearchSettings",
    "Take",
    "open_archive",
    "query_of",
    "query_of_keyword",
    "search",
    "update",
]
