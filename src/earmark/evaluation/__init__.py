"""Evaluation: trial lists, metrics, scoring back-ends, protocols, plots and reports."""
