"""Networks: frontends that compute spectral features, encoders, pooling of their outputs, and losses."""
