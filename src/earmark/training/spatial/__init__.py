"""Spatial auto-encoder features of Humayun, Yassin and Abas 2021, and their simulation."""
