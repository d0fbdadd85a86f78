"""Tables, JSON documents and plots of each evaluation.

Each module has `COLUMNS` and `rows` for tables (on the terminal and in `table.md`), `markdown` for the page, and
`document` for `results.json`; `earmark.core.report` writes them.
"""
