"""The command line: thin commands over `batchml.study`; parse, one call, render."""
