"""Judging: trial lists, metrics, back-ends, the few-shot protocol, plots and reports."""
