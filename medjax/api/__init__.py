"""The way in from Python: what `import medjax` offers, each function as its command does it."""
