"""Results, costs and plots of spatial auto-encoder simulations."""
