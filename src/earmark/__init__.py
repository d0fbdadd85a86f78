"""Say a word a few times; find it again anywhere."""

__version__ = "0.1.0"
