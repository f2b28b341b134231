"""The parts of the comparison; `run` beside this folder puts them together."""
