"""What happens to good callers while something goes wrong: `python -m benchmarks.faults`."""
