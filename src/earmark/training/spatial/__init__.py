"""Spatial auto-encoder of Humayun, Yassin and Abas (2021), and the simulation that evaluates its features."""
