"""The keyword store: one SQLite file of keywords, speakers and their takes."""
