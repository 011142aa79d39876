"""The fractional epidemic of the Neural Power Units paper: its grid of networks, and our neural ODE route."""
