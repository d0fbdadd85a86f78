"""Find every place where a word is said in recordings of any length: `update` indexes, `search` finds."""

from earmark.search.embedding import Recording
from earmark.search.hits import Hit
from earmark.search.indexing import update
from earmark.search.query import Query, Take, query_of, query_of_keyword
from earmark.search.searching import Archive, SearchSettings, open_archive, search
from earmark.search.settings import IndexSettings

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
