"""Reports of evaluations, as tables, Markdown and JSON."""
