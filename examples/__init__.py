"""Sample services that produce the demo's traffic: client → gateway → orders → analysis_engine."""
