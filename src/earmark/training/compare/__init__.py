"""Comparing systems: recipes × encoders × seeds trained alike, and judged by back-ends on one protocol."""
