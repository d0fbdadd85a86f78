"""Search by example: `update_index` indexes recordings of any length, `search` finds where a word is said in them."""

from earmark.search.embedding import Recording
from earmark.search.hits import Hit
from earmark.search.index import Index, open_index
from earmark.search.indexing import IndexReport, update_index
from earmark.search.query import Query, QueryTake, query_from_keyword, query_from_takes
from earmark.search.reranking import rerank
from earmark.search.searching import SearchSettings, search
from earmark.search.settings import IndexSettings

__all__ = [
    "Hit",
    "Index",
    "IndexReport",
    "IndexSettings",
    "Query",
    "QueryTake",
    "Recording",
    "SearchSettings",
    "open_index",
    "query_from_keyword",
    "query_from_takes",
    "rerank",
    "search",
    "update_index",
]
