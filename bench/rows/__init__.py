"""One module a row, or a few rows that share a server. `measure(place)` yields its rows."""
