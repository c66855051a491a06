"""Steps of a grid: what each reads, writes and is called, when its result is valid, and what has become of it."""
