"""Scaling laws: fits, back-tests, forecasts and judgements. Works on any table."""
