"""The keyword store: one SQLite file with keywords, speakers and their takes."""
