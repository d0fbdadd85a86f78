"""Networks and losses: frontends, encoders, pooling, losses."""
